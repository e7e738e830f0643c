//! Sums of products of two values as products of matrices: `fold` would read both operands again for every result.

use super::outer::outer_rows;
use super::pack::{Matrix, emit_matrix, packed};
use super::product::{Operands, Right, gemm};
use super::schedule;
use crate::kernels::{FLAT, GemmParams, Kernel, Operand, OuterParams, Variant};
use crate::plan::{BufferId, PlanBuilder};

/// Most products of matrices that one sum becomes.
const MOST: usize = 64;

/// An axis of a sum of products, with the strides of the result and of both factors along it; 0 for those that lack it.
#[derive(Clone, Copy)]
struct Axis {
    size: usize,
    out: usize,
    left: usize,
    right: usize,
}

impl Axis {
    /// What stands for an axis that there is not.
    const NONE: Self = Self { size: 1, out: 0, left: 0, right: 0 };
}

/// out[m, n] (+)= Σk left[m, k]·right[k, n], for every matrix of a batch, and for every index of further axes.
#[derive(Clone)]
pub(super) struct Contraction {
    /// Buffers of the result and of both factors, and where each begins.
    buffers: [BufferId; 3],
    offsets: [usize; 3],
    m: Axis,
    n: Axis,
    k: Axis,
    batch: Axis,
    /// The axes beyond these, those of the result before those that are summed.
    loops: Vec<Axis>,
}

impl Contraction {
    /// The products of matrices that a sum consists of; none where it is none, or too small to gain by it. The first operand is the
    /// result, the axes from `kept` on are summed.
    pub fn new(sizes: &[usize], kept: usize, operands: &[Operand], buffers: [BufferId; 3]) -> Option<Self> {
        let [out, left, right] = operands else { return None };
        let axes = (0..sizes.len()).filter(|&axis| sizes[axis] > 1).map(|axis| {
            let [out, left, right] = [out, left, right].map(|operand| operand.strides[axis]);
            (axis < kept, Axis { size: sizes[axis], out, left, right })
        });
        let offsets = [out, left, right].map(|operand| operand.offset);
        let (kept, summed): (Vec<_>, Vec<_>) = axes.partition(|(kept, _)| *kept);
        let [kept, summed] = [kept, summed].map(|axes| axes.into_iter().map(|(_, axis)| axis).collect::<Vec<_>>());
        let swap = |axes: &[Axis]| {
            axes.iter().map(|&axis| Axis { left: axis.right, right: axis.left, ..axis }).collect::<Vec<_>>()
        };
        let turned = ([buffers[0], buffers[2], buffers[1]], [offsets[0], offsets[2], offsets[1]]);
        let found = Self::of_axes((buffers, offsets), &kept, &summed)
            .or_else(|| Self::of_axes(turned, &swap(&kept), &swap(&summed)));
        found.filter(|found| {
            let products = found.loops.iter().map(|axis| axis.size).product::<usize>();
            products <= MOST && schedule::contracts([found.m.size, found.n.size, found.k.size])
        })
    }

    /// The columns of the result lie one after the other and are the second factor's.
    fn of_axes((buffers, offsets): ([BufferId; 3], [usize; 3]), kept: &[Axis], summed: &[Axis]) -> Option<Self> {
        let of_both = |axis: &Axis| axis.left > 0 && axis.right > 0;
        let of_one = |axis: &Axis| axis.left > 0 || axis.right > 0;
        if !summed.iter().all(of_both) || !kept.iter().all(of_one) {
            return None;
        }
        let mut rest = kept.to_vec();
        let mut take = |is: &dyn Fn(&Axis) -> bool| {
            let found = (0..rest.len()).filter(|&i| is(&rest[i])).max_by_key(|&i| rest[i].size)?;
            Some(rest.remove(found))
        };
        let n = take(&|axis| axis.left == 0 && axis.out == 1)?;
        let m = take(&|axis| axis.right == 0)?;
        let batch = take(&|_| true).unwrap_or(Axis::NONE);
        // Vectors of terms where there are any, else the longest sums.
        let mut summed = summed.to_vec();
        let k = (0..summed.len()).max_by_key(|&i| (summed[i].left == 1, summed[i].size))?;
        let k = summed.remove(k);
        rest.extend(summed);
        Some(Self { buffers, offsets, m, n, k, batch, loops: rest })
    }

    /// Appends the products, added to the result or in its place.
    pub fn emit(&self, plan: &mut PlanBuilder, accumulate: bool) {
        let count = self.loops.iter().map(|axis| axis.size).product::<usize>();
        let packed_once = self.loops.iter().all(|axis| axis.right == 0);
        let mut packed = None;
        for number in 0..count {
            let mut at = self.clone();
            let mut added = false;
            let mut rest = number;
            for axis in self.loops.iter().rev() {
                let index = rest % axis.size;
                rest /= axis.size;
                for (offset, stride) in at.offsets.iter_mut().zip([axis.out, axis.left, axis.right]) {
                    *offset += index * stride;
                }
                added |= axis.out == 0 && index > 0;
            }
            if at.is_outer() {
                at.outer(plan, accumulate || added);
                continue;
            }
            let right = packed.filter(|_| packed_once).unwrap_or_else(|| at.pack(plan));
            packed = Some(right);
            at.gemm(plan, right, accumulate || added);
        }
    }

    /// Whether the terms are rows of both factors, as in the gradient of a weight.
    fn is_outer(&self) -> bool {
        self.m.left == 1 && self.n.right == 1 && self.k.left != 1
    }

    fn outer(&self, plan: &mut PlanBuilder, accumulate: bool) {
        let Self { m, n, k, batch, .. } = *self;
        let [out, left, right] = self.buffers;
        let none = plan.workspace("no map", 1);
        let params = OuterParams {
            m: m.size,
            n: n.size,
            batch: batch.size,
            a_offset: self.offsets[1],
            a_row: k.left,
            a_batch: batch.left,
            b_offset: self.offsets[2],
            b_row: k.right,
            b_batch: batch.right,
            c_offset: self.offsets[0],
            c_row: m.out,
            c_batch: batch.out,
            to: k.size,
            accumulate,
            ..Default::default()
        };
        outer_rows(plan, [left, right, none, out], &params);
    }

    /// The matrices of the second factor in the layout that products read.
    fn pack(&self, plan: &mut PlanBuilder) -> BufferId {
        let Self { n, k, batch, .. } = *self;
        let layout = packed(plan.device(), k.size, n.size);
        let variant = Variant::plain(Kernel::Pack, FLAT, plan.device().panel());
        let words = layout.vectors() * variant.reads.vector_words() as usize;
        let matrices = if batch.right == 0 { 1 } else { batch.size };
        let target = plan.workspace("packed factor", matrices * words);
        let source = self.buffers[2];
        for number in 0..matrices {
            let matrix = Matrix { rows: k.size, columns: n.size, offset: 0, row: k.right, column: n.right, bias: None };
            let places = [self.offsets[2] + number * batch.right, 0, number * words];
            emit_matrix(plan, &variant, &matrix, [source, source, target], places);
        }
        target
    }

    fn gemm(&self, plan: &mut PlanBuilder, right: BufferId, accumulate: bool) {
        let Self { m, n, k, batch, .. } = *self;
        let [out, left, _] = self.buffers;
        let none = plan.workspace("no map", 1);
        let params = GemmParams {
            m: m.size,
            n: n.size,
            k: k.size,
            batch: batch.size,
            a_offset: self.offsets[1],
            a_row: m.left,
            a_column: k.left,
            a_batch: batch.left,
            b_batch: if batch.right == 0 { 0 } else { packed(plan.device(), k.size, n.size).vectors() },
            c_offset: self.offsets[0],
            c_row: m.out,
            c_batch: batch.out,
            accumulate,
            ..Default::default()
        };
        gemm(plan, Operands { a: left, b: Right::Buffer(right), map: none, c: out, narrow: false }, &params);
    }
}
