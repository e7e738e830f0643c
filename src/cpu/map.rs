//! out[i] (+)= f(x0[i], x1[i], ...).

use super::call::Call;
use super::formula::{BLOCK, Evaluator, Layout, coordinates};
use super::threads;
use crate::kernels::{MAX_INPUTS, MapParams, Of};

/// Elements from which on threads share the work, and those of a part of it.
const PART: usize = 1 << 14;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: MapParams = call.params();
    let Of::Map { formula, axes, integers, .. } = call.variant.of else { return };
    let words = call.read_indices(0);
    let layout = Layout::new(words, axes as usize);
    let values: Vec<_> = (0..MAX_INPUTS).map(|k| call.read(1 + k)).collect();
    let out = call.write(7);
    let work = |range: std::ops::Range<usize>, out: &mut [f32], base: usize| {
        let mut evaluator = Evaluator::new(formula, integers, values.clone());
        let columns = layout.sizes.last().map_or(1, |&size| size as usize);
        let stride = layout.operand(0).1.last().map_or(1, |&stride| stride as usize);
        let (mut at, mut place) = (range.start, Vec::new());
        while at < range.end {
            coordinates(at, layout.sizes, &mut place);
            let count = BLOCK.min(range.end - at).min(columns - at % columns);
            let results = evaluator.run(&layout, &place, layout.sizes.len() - 1, count);
            let out = &mut out[layout.place(0, &place) - base..];
            match (p.accumulate, stride) {
                (false, 1) => out[..count].copy_from_slice(results),
                (true, 1) => out.iter_mut().zip(results).for_each(|(out, result)| *out += result),
                (accumulate, _) => {
                    let out = out.iter_mut().step_by(stride.max(1)).zip(results);
                    out.for_each(|(out, result)| *out = if accumulate { *out + result } else { *result });
                }
            }
            at += count;
        }
    };
    let offset = layout.operand(0).0;
    // Parts of a result that lies in one piece are apart in memory.
    if p.count < 2 * PART || !is_dense(&layout) {
        return work(0..p.count, out, 0);
    }
    let mut parts: Vec<_> = out[offset..][..p.count].chunks_mut(PART).collect();
    threads::for_each(&mut parts, |i, out| work(i * PART..i * PART + out.len(), out, offset + i * PART));
}

/// Whether the result's elements lie one after the other.
fn is_dense(layout: &Layout<'_>) -> bool {
    let mut expected = 1;
    layout.sizes.iter().zip(layout.operand(0).1).rev().all(|(&size, &stride)| {
        let dense = size == 1 || stride as usize == expected;
        expected *= size as usize;
        dense
    })
}
