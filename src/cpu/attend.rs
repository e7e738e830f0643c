//! What queries see of the memory of their sequences: see `shaders/attend.wgsl`. Each thread takes queries.

use super::call::Call;
use super::threads;
use crate::cells::math::{MulAdd, Vectorised, exp, vectorise};
use crate::kernels::AttendParams;

/// Numbers that loops take together.
const LANES: usize = 16;
/// Below what counts as a number: nothing but −∞ is told by it.
const NONE: f32 = -3.0e38;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: AttendParams = call.params();
    let [query, keys, values] = [0, 1, 2].map(|binding| call.read(binding));
    let valid = call.read_indices(3);
    let (context, weights) = (call.write(4), call.write(5));
    let context = context[..p.rows * p.width].chunks_exact_mut(p.width);
    let weights = weights[..p.rows * p.steps].chunks_exact_mut(p.steps);
    let mut rows: Vec<_> = context.zip(weights).collect();
    threads::for_each(&mut rows, |row, (context, weights)| {
        let n = row / p.queries;
        let steps = (valid[p.lengths_offset + n] as usize).min(p.steps);
        let (query, keys) = if p.scored {
            (&query[p.query_offset + row * p.steps..][..p.steps], keys)
        } else {
            (&query[p.query_offset + row * p.features..][..p.features], &keys[p.keys_offset + n * p.keys_sequence..])
        };
        let values = &values[p.values_offset + n * p.values_sequence..];
        vectorise(Look { p, steps, query, keys, values, context, weights });
    });
}

/// A query.
struct Look<'a> {
    p: AttendParams,
    steps: usize,
    query: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    context: &'a mut [f32],
    weights: &'a mut [f32],
}

impl Vectorised for Look<'_> {
    #[inline(always)]
    fn run<M: MulAdd>(self) {
        let Self { p, steps, query, keys, values, context, weights } = self;
        context.fill(0.0);
        weights[steps..].fill(0.0);
        let weights = &mut weights[..steps];
        if steps == 0 {
            return;
        }
        for (s, score) in weights.iter_mut().enumerate() {
            *score = if p.scored { query[s] } else { dot::<M>(query, &keys[s * p.keys_step..][..p.features]) };
        }
        let most = weights.iter().fold(NONE, |most, &score| if score.is_nan() { score } else { most.max(score) });
        if weights.iter().any(|score| score.is_nan()) || most == f32::INFINITY || most <= NONE {
            context.fill(p.nan);
            weights.fill(p.nan);
            return;
        }
        let mut sum = 0.0;
        for weight in weights.iter_mut() {
            let below = *weight - most;
            *weight = if below < -87.0 { 0.0 } else { exp::<M>(below) };
            sum += *weight;
        }
        weights.iter_mut().for_each(|weight| *weight /= sum);
        let blocks = weights.chunks_exact(4);
        let rest = (steps - blocks.remainder().len()..steps).zip(blocks.remainder());
        for (block, of) in blocks.enumerate() {
            let [a, b, c, d] = [0, 1, 2, 3].map(|k| &values[(4 * block + k) * p.values_step..][..p.width]);
            for (((sum, &a), (&b, &c)), &d) in context.iter_mut().zip(a).zip(b.iter().zip(c)).zip(d) {
                let pair = M::mul_add(of[1], b, M::mul_add(of[0], a, *sum));
                *sum = M::mul_add(of[3], d, M::mul_add(of[2], c, pair));
            }
        }
        for (s, &weight) in rest {
            for (sum, &value) in context.iter_mut().zip(&values[s * p.values_step..][..p.width]) {
                *sum = M::mul_add(weight, value, *sum);
            }
        }
    }
}

/// Σ a · b
#[inline(always)]
fn dot<M: MulAdd>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (a_parts, b_parts) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_parts.remainder().iter().zip(b_parts.remainder());
    let rest = rest.fold(0.0, |sum, (&a, &b)| M::mul_add(a, b, sum));
    for (a, b) in a_parts.zip(b_parts) {
        for (sum, (&a, &b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum = M::mul_add(a, b, *sum);
        }
    }
    sums.iter().sum::<f32>() + rest
}
