//! out[m] = log Σj exp(x[m, j]).

use super::call::Call;
use super::threads;
use crate::cells::math::{MulAdd, Vectorised, exp, vectorise};
use crate::kernels::LogSumExpParams;

/// Numbers that loops take together.
pub(super) const LANES: usize = 8;
/// Below what counts as a number: a row of nothing but −∞ is told by it.
const NONE: f32 = -3.0e38;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: LogSumExpParams = call.params();
    let (x, out) = (call.read(0), call.write(1));
    let x = &x[p.x_offset..][..p.m * p.columns];
    let rows = p.m.div_ceil(4 * threads::count()).max(1);
    let mut parts: Vec<_> = out[..p.m].chunks_mut(rows).collect();
    threads::for_each(&mut parts, |part, out| {
        vectorise(Rows { x: &x[part * rows * p.columns..], columns: p.columns, nan: p.nan, out });
    });
}

/// Some of the rows.
struct Rows<'a> {
    x: &'a [f32],
    columns: usize,
    nan: f32,
    out: &'a mut [f32],
}

impl Vectorised for Rows<'_> {
    #[inline(always)]
    fn run<M: MulAdd>(self) {
        for (x, out) in self.x.chunks_exact(self.columns.max(1)).zip(self.out) {
            let top = largest(x.iter().map(|&x| if x == f32::NEG_INFINITY { NONE } else { x }), NONE);
            let is_spoilt = x.iter().fold(false, |spoilt, &x| spoilt | x.is_nan() | (x == f32::INFINITY));
            let mut sums = [0.0; LANES];
            for x in x.chunks(LANES) {
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum += exp::<M>(at_least(x - top, -87.0));
                }
            }
            let sum: f32 = sums.iter().sum();
            *out = if is_spoilt || top <= NONE { self.nan } else { top + sum.ln() };
        }
    }
}

/// The larger of two numbers, by one instruction; the second for NaN.
#[inline(always)]
pub(super) fn at_least(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The largest of numbers, at least the one given.
#[inline(always)]
pub(super) fn largest(values: impl ExactSizeIterator<Item = f32>, least: f32) -> f32 {
    let mut tops = [least; LANES];
    for (i, value) in values.enumerate() {
        let top = &mut tops[i % LANES];
        *top = at_least(value, *top);
    }
    tops.into_iter().fold(least, at_least)
}
