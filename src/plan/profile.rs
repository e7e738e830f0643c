//! Where a run's time goes.

use super::commands::Plan;
use crate::kernels::Variant;
use std::fmt::{Display, Formatter};

/// The time of each kernel in one run of a program, measured on the device: on a GPU by timestamp queries.
///
/// ```no_run
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{Cell, Device, Rnn, RnnConfig, RnnWeights, SessionOptions};
/// let config = RnnConfig::new(Cell::Lstm, 64, 256);
/// let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
/// let profile = rnn.session(SessionOptions::new(100, 8))?.profile()?;
/// println!("{profile}\n{} s in all", profile.seconds());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Profile {
    /// The kernels, in the order of [`Plan::variants`].
    pub kernels: Vec<KernelTime>,
}

/// One kernel variant's share of a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KernelTime {
    /// The kernel with its tile.
    pub variant: Variant,
    /// The number of its dispatches in a run.
    pub dispatches: usize,
    /// Seconds of all its dispatches together.
    pub seconds: f64,
    /// Floating-point operations of the products in all its dispatches.
    pub flop: u64,
    /// The least number of bytes that all its dispatches move.
    pub bytes: u64,
}

impl Profile {
    /// From the seconds of each of a plan's variants.
    pub(super) fn new(plan: &Plan, seconds: &[f64]) -> Self {
        let kernels = plan.variants().iter().zip(seconds).enumerate().map(|(i, (variant, &seconds))| {
            let of = || plan.dispatches().filter(move |dispatch| dispatch.variant == i);
            KernelTime {
                variant: variant.clone(),
                dispatches: of().count(),
                seconds,
                flop: of().map(|dispatch| dispatch.flop).sum(),
                bytes: of().map(|dispatch| dispatch.bytes).sum(),
            }
        });
        Self { kernels: kernels.collect() }
    }

    /// Seconds of all kernels together.
    pub fn seconds(&self) -> f64 {
        self.kernels.iter().map(|kernel| kernel.seconds).sum()
    }
}

impl Display for Profile {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<44} {:>10} {:>10} {:>10} {:>10}", "kernel", "dispatches", "ms", "GFLOP/s", "GB/s")?;
        for kernel in &self.kernels {
            let rate = |count: u64| count as f64 / kernel.seconds.max(f64::MIN_POSITIVE) / 1e9;
            write!(
                f,
                "\n{:<44} {:>10} {:>10.3} {:>10.2} {:>10.2}",
                kernel.variant.to_string(),
                kernel.dispatches,
                1e3 * kernel.seconds,
                rate(kernel.flop),
                rate(kernel.bytes)
            )?;
        }
        Ok(())
    }
}
