//! `running_mean`: the mean of losses over batches.

use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::u;

params! {
    /// The mean of losses over batches.
    RunningMeanParams { value_at, mean_at }
}

kernel! { running_mean(RunningMeanParams), [Read losses, Read valid, Write means] }

fn reach(_: &Variant, p: &RunningMeanParams, _: Maxima<'_>) -> Reach {
    Reach { losses: u(p.value_at) + 1, valid: 1, means: u(p.mean_at) + 2 }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, _: &RunningMeanParams) -> [u64; 3] {
    [1, 1, 1]
}
