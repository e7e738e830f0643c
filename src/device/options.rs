//! How an adapter is chosen and used.

use super::report::Class;
use super::trials::Autotune;

/// How to choose and use an adapter. Where a choice is left open the environment decides, then the adapter's class.
///
/// ```no_run
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{Class, Device, GpuOptions};
/// let options = GpuOptions::default().adapter("radeon").class(Class::Discrete);
/// let device = Device::gpu_with(&options)?;
/// # let _ = device;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GpuOptions {
    /// Part of the adapter's name, in upper or lower case. `None`: the environment variable `WGPU_ADAPTER_NAME`, if
    /// set.
    pub adapter: Option<String>,
    /// Place in the list of [`adapters`](crate::adapters). If given, names do not matter.
    pub index: Option<usize>,
    /// Use nothing beyond WebGPU's default limits and features. What runs then runs in every browser.
    pub portable: bool,
    /// Compile shaders with wgpu's bounds checks. Plans are checked before they run, so this only helps to find faults
    /// of drivers.
    pub checked: bool,
    /// Multiply layers of [`Precision::Half`](crate::Precision::Half) by the adapter's units for small matrices (tensor
    /// cores). This needs Vulkan, inference, and products of at least 16 rows (T·N rows of the input part, N rows of a
    /// step). When the device is opened, the kernels are compared with their CPU twins on this adapter. If they differ
    /// they are not used, and [`Device::note`](crate::Device::note) says so. wgpu calls this feature experimental. The
    /// environment variable `WGRNN_COOPERATIVE`, if set and not 0, does the same.
    ///
    /// Inputs and states enter the products as sums of two halves, which leaves out at most 2⁻²² of each of them, or
    /// 2⁻²⁵. Those beyond ±65,504 are clamped. The number of rows of a product decides how it is computed, so chunks of
    /// a stream equal one long call within rounding, not bit by bit.
    pub cooperative_matrices: bool,
    /// Choose tiles and schedules as for this class of adapter. Results are correct with each class; only the speed
    /// differs. `None`: the adapter's own class.
    pub class: Option<Class>,
    /// Measure which tiles are fastest on this adapter, instead of taking those for its class. `None`: only if the
    /// environment variable `WGRNN_AUTOTUNE` is set and not 0.
    pub autotune: Option<Autotune>,
}

impl GpuOptions {
    /// Sets a part of the adapter's name, in upper or lower case.
    pub fn adapter(self, name: impl Into<String>) -> Self {
        Self { adapter: Some(name.into()), ..self }
    }

    /// Sets the place in the list of [`adapters`](crate::adapters).
    pub fn index(self, index: impl Into<Option<usize>>) -> Self {
        Self { index: index.into(), ..self }
    }

    /// Sets whether nothing beyond WebGPU's default limits and features is used.
    pub fn portable(self, portable: bool) -> Self {
        Self { portable, ..self }
    }

    /// Sets whether shaders are compiled with wgpu's bounds checks.
    pub fn checked(self, checked: bool) -> Self {
        Self { checked, ..self }
    }

    /// Sets whether layers in half precision are multiplied by units for small matrices.
    pub fn cooperative_matrices(self, cooperative_matrices: bool) -> Self {
        Self { cooperative_matrices, ..self }
    }

    /// Sets the class of adapter that tiles and schedules are chosen for.
    pub fn class(self, class: impl Into<Option<Class>>) -> Self {
        Self { class: class.into(), ..self }
    }

    /// Sets whether the fastest tiles are measured on this adapter.
    pub fn autotune(self, autotune: impl Into<Option<Autotune>>) -> Self {
        Self { autotune: autotune.into(), ..self }
    }
}

/// Whether an environment variable is set, and not to 0.
pub(crate) fn is_asked(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0")
}
