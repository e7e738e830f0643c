//! Devices opened by name or by what suits best, with kernels measured on them where that is asked for.

use super::autotune::{cooperative_fault, tuned};
use crate::device::{
    Autotune, Class, Device, GpuOptions, adapters_async, block_on, elsewhere, may_wait, named, none_found, open,
};
use crate::error::{Error, Result};

impl Device {
    /// Opens the best GPU, or the one that the environment names: `WGPU_ADAPTER_NAME` (part of its name),
    /// `WGPU_BACKEND` (`vulkan`, `metal`, `dx12`) and `WGPU_POWER_PREF` (`low`, `high`), as everywhere in wgpu.
    ///
    /// # Errors
    /// [`NoAdapter`](crate::Error::NoAdapter) without a driver or one of that name, [`NoDevice`](crate::Error::NoDevice)
    /// where the adapter refuses.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// let device = wgrnn::Device::gpu()?;
    /// println!("{}", device.name());
    /// # Ok(())
    /// # }
    /// ```
    pub fn gpu() -> Result<Self> {
        Self::gpu_with(&GpuOptions::default())
    }

    /// Opens a GPU that is chosen by these options.
    ///
    /// # Errors
    /// As [`Device::gpu`].
    pub fn gpu_with(options: &GpuOptions) -> Result<Self> {
        block_on(Self::gpu_async(options))
    }

    /// The asynchronous form of [`Device::gpu`].
    ///
    /// # Errors
    /// As [`Device::gpu`]; [`Unsupported`](crate::Error::Unsupported) for [`Autotune`] in a browser, which can't wait for
    /// measurements.
    pub async fn gpu_async(options: &GpuOptions) -> Result<Self> {
        if may_wait() {
            return Self::open(options).await;
        }
        let options = options.clone();
        elsewhere(move || async move { Self::open(&options).await }).await
    }

    async fn open(options: &GpuOptions) -> Result<Self> {
        if cfg!(target_arch = "wasm32") && options.autotune.is_some() {
            return Err(Error::unsupported(
                "autotune in a browser",
                "a page can't wait for measurements; choose a class instead",
            ));
        }
        let mut device = Self::of_gpu(open(options).await?);
        if device.cooperative(1).is_some()
            && let Some(fault) = cooperative_fault(&device)
        {
            device.change(|gpu, note| {
                *note = Some(format!("cooperative matrices are not used: {fault}"));
                gpu.refuse_cooperative();
            })?;
        }
        if let Some(autotune) = options.autotune.clone().or_else(Autotune::from_environment) {
            let (tuning, report) = tuned(&device, &autotune);
            device.change(|gpu, _| (gpu.tuning, gpu.autotuned) = (tuning, Some(report)))?;
        }
        Ok(device)
    }

    /// Opens the fastest device: a hardware GPU if there is one, else the CPU. [`Device::note`] says in one line which
    /// it is, and why.
    ///
    /// A GPU in software is a driver that runs on the CPU, such as Mesa's llvmpipe, SwiftShader or WARP. It gives the
    /// same results as the CPU device, but more slowly. It is taken only where the environment names it
    /// (`WGPU_ADAPTER_NAME`), or by [`Device::gpu`], which takes the best adapter there is.
    pub fn auto() -> Self {
        let device: Result<Self> = block_on(async { Ok(Self::auto_async().await) });
        device.unwrap_or_else(|error| cpu_for(&error.to_string()))
    }

    /// The asynchronous form of [`Device::auto`].
    pub async fn auto_async() -> Self {
        let options = GpuOptions::default();
        if named().is_some() {
            return match Self::gpu_async(&options).await {
                Ok(device) => chosen(device),
                Err(error) => cpu_for(&error.to_string()),
            };
        }
        let adapters = adapters_async().await;
        let mut refused = Vec::new();
        for (index, _) in adapters.iter().enumerate().filter(|(_, adapter)| adapter.class != Class::Software) {
            match Self::gpu_async(&GpuOptions { index: Some(index), ..options.clone() }).await {
                Ok(device) => return chosen(device),
                Err(error) => refused.push(error.to_string()),
            }
        }
        let software = adapters.iter().find(|adapter| adapter.class == Class::Software);
        cpu_for(&match software {
            _ if !refused.is_empty() => refused.join("; "),
            Some(adapter) => format!("{} is a GPU in software, which is slower", adapter.name),
            None => none_found().to_string(),
        })
    }
}

/// The CPU, and why it is no GPU.
fn cpu_for(reason: &str) -> Device {
    Device::cpu_noted(format!("using the CPU: {reason}"))
}

/// A GPU, with a note that it was chosen.
fn chosen(mut device: Device) -> Device {
    let using = device.report().map(|report| format!("using {}, {}", report.name, report.class.describe()));
    // What was noted before stands behind that. A device that is shared already keeps its note.
    let noted = |note: &mut Option<String>| {
        *note = using.into_iter().chain(note.take()).reduce(|all, one| format!("{all}; {one}"));
    };
    device.change(|_, note| noted(note)).unwrap_or_default();
    device
}
