//! How an adapter is chosen and used.

use super::report::Class;
use super::trials::Autotune;

/// How to choose and use an adapter. Where a choice is left open the environment decides, then the adapter's class.
#[derive(Clone, Debug, Default)]
pub struct GpuOptions {
    /// Part of the adapter's name, in any case; else `WGPU_ADAPTER_NAME`.
    pub adapter: Option<String>,
    /// Place in the list of [`adapters`](crate::adapters); then names do not matter.
    pub index: Option<usize>,
    /// Use nothing beyond WebGPU's default limits and features: what runs then runs in every browser.
    pub portable: bool,
    /// Compile shaders with wgpu's bounds checks. Plans prove their bounds, so this finds faults of drivers only.
    pub checked: bool,
    /// Multiply layers of [`Precision::Half`](crate::Precision::Half) by the adapter's units for small matrices (tensor cores),
    /// where Vulkan lists them, in inference, with 16 rows and more: T·N of the input part, N of a step. They are first compared
    /// with their CPU twins on this adapter; [`Device::note`](crate::Device::note) says where that failed and they are not used.
    /// wgpu calls this feature experimental. Also where the environment variable `WGRNN_COOPERATIVE` is set, and not to 0.
    ///
    /// Inputs and states go in as sums of two halves, of which 2⁻²² of them is left out, or 2⁻²⁵; those beyond ±65,504 count as
    /// that. How many rows a product has decides how it is made: chunks of a stream give the numbers of one long call within
    /// rounding, not the same bits.
    pub cooperative_matrices: bool,
    /// Take tiles and schedules from the table's row for this class of adapter: results are right with each, only the speed
    /// differs. None: the adapter's own class.
    pub class: Option<Class>,
    /// Measure which tiles are fastest on this adapter, once, instead of taking those for its class. None: only where the
    /// environment variable `WGRNN_AUTOTUNE` is set, and not to 0.
    pub autotune: Option<Autotune>,
}

/// Whether an environment variable is set, and not to 0.
pub(crate) fn is_asked(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0")
}
