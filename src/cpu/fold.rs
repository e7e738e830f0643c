//! out[i] (+)= Σr f(x0[i, r], x1[i, r], ...), or the largest of these.

use super::call::Call;
use super::formula::{BLOCK, Evaluator, Layout, coordinates, larger};
use super::threads;
use crate::kernels::{FoldParams, Folding, MAX_INPUTS, Of};

/// Terms from which on threads share the work.
const SHARED: usize = 1 << 15;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: FoldParams = call.params();
    let Of::Fold { formula, folding, axes, folded, integers, .. } = call.variant.of else { return };
    let words = call.read_indices(0);
    let layout = Layout::new(words, (axes + folded) as usize);
    let values: Vec<_> = (0..MAX_INPUTS).map(|k| call.read(1 + k)).collect();
    let out = call.write(7);
    let (outer, inner) = layout.sizes.split_at(axes as usize);
    let columns = inner.last().map_or(1, |&size| size as usize);
    let one = |evaluator: &mut Evaluator<'_>, i: usize| {
        let (mut place, mut within) = (Vec::new(), Vec::new());
        let (mut sum, mut most, mut at) = (0.0_f64, f32::NEG_INFINITY, p.start);
        while at < p.end {
            coordinates(i, outer, &mut place);
            coordinates(at, inner, &mut within);
            place.append(&mut within);
            let count = BLOCK.min(p.end - at).min(columns - at % columns);
            let results = evaluator.run(&layout, &place, count);
            match folding {
                Folding::Sum => sum += results.iter().map(|&result| f64::from(result)).sum::<f64>(),
                Folding::Max => most = results.iter().fold(most, |most, &result| larger(most, result)),
            }
            at += count;
        }
        if folding == Folding::Sum { sum as f32 } else { most }
    };
    let mut results = vec![0.0; p.count];
    let part =
        if p.count * (p.end - p.start) < SHARED { p.count.max(1) } else { p.count.div_ceil(4 * threads::count()) };
    let mut parts: Vec<_> = results.chunks_mut(part).collect();
    threads::for_each(&mut parts, |number, results| {
        let mut evaluator = Evaluator::new(formula, integers, values.clone());
        results.iter_mut().enumerate().for_each(|(i, result)| *result = one(&mut evaluator, number * part + i));
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
