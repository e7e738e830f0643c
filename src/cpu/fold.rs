//! out[i] (+)= Σr f(x0[i, r], x1[i, r], ...), or the largest of these.

use super::call::Call;
use super::formula::{BLOCK, Evaluator, Layout, coordinates, larger};
use super::threads;
use crate::cells::math::{MulAdd, Vectorised, vectorise};
use crate::kernels::{FoldParams, Folding, MAX_INPUTS, Of};
use std::ops::Range;

/// Terms from which on threads share the work.
const SHARED: usize = 1 << 15;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: FoldParams = call.params();
    let Of::Fold { formula, folding, axes, folded, integers, .. } = call.variant.of else { return };
    let words = call.read_indices(0);
    let layout = Layout::new(words, (axes + folded) as usize);
    let values: Vec<_> = (0..MAX_INPUTS).map(|k| call.read(1 + k)).collect();
    let out = call.write(7);
    let outer = layout.sizes.split_at(axes as usize).0;
    let fold = Fold { folding, layout: &layout, kept: axes as usize, terms: p.start..p.end };
    let by_columns = fold.goes_by_columns(formula.inputs());
    let mut results = vec![0.0; p.count];
    let part =
        if p.count * (p.end - p.start) < SHARED { p.count.max(1) } else { p.count.div_ceil(4 * threads::count()) };
    let mut parts: Vec<_> = results.chunks_mut(part).collect();
    threads::for_each(&mut parts, |number, results| {
        let mut evaluator = Evaluator::new(formula, integers, values.clone());
        let first = number * part;
        if by_columns {
            fold.columns(&mut evaluator, first, results);
        } else {
            results.iter_mut().enumerate().for_each(|(i, result)| *result = fold.row(&mut evaluator, first + i));
        }
    });
    let mut place = Vec::new();
    for (i, &result) in results.iter().enumerate() {
        coordinates(i, outer, &mut place);
        let out = &mut out[layout.place(0, &place)];
        *out = match (p.accumulate, folding) {
            (false, _) => result,
            (true, Folding::Sum) => *out + result,
            (true, Folding::Max) => larger(*out, result),
        };
    }
}

/// What is folded, and how.
struct Fold<'a> {
    folding: Folding,
    layout: &'a Layout<'a>,
    /// Axes of the result, before those that are folded.
    kept: usize,
    terms: Range<usize>,
}

impl Fold<'_> {
    /// Whether terms of one result are apart in memory, and those of neighbouring results side by side.
    fn goes_by_columns(&self, inputs: usize) -> bool {
        let sizes = self.layout.sizes;
        let strides = |axis: usize| (1..=inputs).map(move |number| self.layout.operand(number).1[axis]);
        self.kept > 0
            && sizes[self.kept - 1] >= 8
            && strides(sizes.len() - 1).any(|stride| stride > 1)
            && strides(self.kept - 1).all(|stride| stride <= 1)
    }

    /// One result: blocks of its terms.
    fn row(&self, evaluator: &mut Evaluator<'_>, i: usize) -> f32 {
        let (outer, inner) = self.layout.sizes.split_at(self.kept);
        let columns = inner.last().map_or(1, |&size| size as usize);
        let (mut place, mut within) = (Vec::new(), Vec::new());
        let (mut sums, mut most, mut at) = ([0.0; LANES], f32::NEG_INFINITY, self.terms.start);
        while at < self.terms.end {
            coordinates(i, outer, &mut place);
            coordinates(at, inner, &mut within);
            place.append(&mut within);
            let count = BLOCK.min(self.terms.end - at).min(columns - at % columns);
            let results = evaluator.run(self.layout, &place, self.layout.sizes.len() - 1, count);
            match self.folding {
                Folding::Sum => vectorise(Sums { results, sums: &mut sums }),
                Folding::Max => most = results.iter().fold(most, |most, &result| larger(most, result)),
            }
            at += count;
        }
        if self.folding == Folding::Sum { sums.iter().sum::<f64>() as f32 } else { most }
    }

    /// Results from one of them on: blocks of neighbours, which take one term after the other.
    fn columns(&self, evaluator: &mut Evaluator<'_>, first: usize, results: &mut [f32]) {
        let (outer, inner) = self.layout.sizes.split_at(self.kept);
        let width = outer.last().map_or(1, |&size| size as usize);
        let (mut place, mut within, mut at) = (Vec::new(), Vec::new(), 0);
        while at < results.len() {
            let i = first + at;
            let count = BLOCK.min(results.len() - at).min(width - i % width);
            let out = &mut results[at..at + count];
            out.fill(f32::NEG_INFINITY);
            let mut sums = [0.0; BLOCK];
            for term in self.terms.clone() {
                coordinates(i, outer, &mut place);
                coordinates(term, inner, &mut within);
                place.append(&mut within);
                let results = evaluator.run(self.layout, &place, self.kept - 1, count);
                match self.folding {
                    Folding::Sum => vectorise(Sums { results, sums: &mut sums[..count] }),
                    Folding::Max => {
                        out.iter_mut().zip(results).for_each(|(most, &result)| *most = larger(*most, result))
                    }
                }
            }
            if self.folding == Folding::Sum {
                out.iter_mut().zip(&sums).for_each(|(out, &sum)| *out = sum as f32);
            }
            at += count;
        }
    }
}

/// Sums that one row's terms are spread over: vectors of them, in one order.
const LANES: usize = 16;

/// Numbers added to sums, as many at a time as there are sums.
struct Sums<'a> {
    results: &'a [f32],
    sums: &'a mut [f64],
}

impl Vectorised for Sums<'_> {
    #[inline(always)]
    fn run<M: MulAdd>(self) {
        let Self { results, sums } = self;
        for results in results.chunks(sums.len()) {
            sums.iter_mut().zip(results).for_each(|(sum, &result)| *sum += f64::from(result));
        }
    }
}
