//! Cases of `log_sum_exp`.

use super::case::{Case, Words};
use super::numbers::{Numbers, poison};
use crate::device::Device;
use crate::kernels::{FLAT, Kernel, LogSumExpParams, Variant};

pub(crate) fn log_sum_exp(_: &Device) -> Vec<Case> {
    [(1, 1), (5, 63), (33, 64), (70, 130), (3, 1000)].into_iter().map(log_sum_exp_case).collect()
}

/// Where there are several rows, one has a number of probability 0, and others have no logarithm.
pub(crate) fn log_sum_exp_case((m, columns): (usize, usize)) -> Case {
    let mut x = Numbers::new(m + columns).uniform(2 + m * columns, 10.0);
    if m > 4 {
        x[2] = f32::NEG_INFINITY;
        x[2 + columns..][..columns].fill(f32::NEG_INFINITY);
        x[2 + 2 * columns + columns / 2] = f32::INFINITY;
        x[2 + 3 * columns + columns - 1] = f32::NAN;
    }
    let params = LogSumExpParams { m, columns, x_offset: 2, nan: f32::NAN, row_groups: 8 };
    Case {
        name: format!("log_sum_exp of {m}x{columns}"),
        variant: Variant::plain(Kernel::LogSumExp, FLAT, 4),
        // exp on GPUs may be off by 3 + 2|x| ulp, x up to 20 below the largest; sums of `columns` terms; a log near 6.
        tolerance: (64.0 + columns as f64) * f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: vec![Words::Numbers(x), poison(m)],
    }
}
