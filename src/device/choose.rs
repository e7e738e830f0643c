//! Which adapter, and what is asked of it.

use super::gpu::Gpu;
use super::identity::is_probing;
use super::options::{GpuOptions, is_asked};
use super::report::{AdapterReport, Class};
#[cfg(not(target_arch = "wasm32"))]
use super::waiting::block_on;
use super::waiting::{elsewhere, may_wait};
use crate::error::{Error, Result};
use std::sync::Arc;
#[cfg(not(target_arch = "wasm32"))]
use std::sync::LazyLock;

/// Lists all adapters, the best first.
#[cfg(not(target_arch = "wasm32"))]
pub fn adapters() -> Vec<AdapterReport> {
    block_on(adapters_async())
}

/// The asynchronous form of [`adapters`].
pub async fn adapters_async() -> Vec<AdapterReport> {
    if may_wait() { list().await } else { elsewhere(list).await }
}

async fn list() -> Vec<AdapterReport> {
    find().await.iter().map(AdapterReport::of_adapter).collect()
}

/// What the environment calls the adapter to be used.
pub(crate) fn named() -> Option<String> {
    std::env::var("WGPU_ADAPTER_NAME").ok().filter(|name| !name.is_empty())
}

/// Why there may be none.
const NONE: &str = if cfg!(any(feature = "dx12", feature = "metal", feature = "vulkan", target_arch = "wasm32")) {
    "there is none (on Linux a Vulkan driver is needed; scripts/setup.sh installs a software one)"
} else {
    "wgrnn was built without a driver: enable its feature vulkan, metal or dx12"
};

/// That there is no adapter at all.
pub(crate) fn none_found() -> Error {
    Error::NoAdapter { wanted: "found".to_owned(), reason: NONE.to_owned() }
}

/// Whether adapters can be asked for. In WebAssembly wgpu panics where the global object is neither a window nor a
/// worker, as in Node.js.
#[cfg(target_arch = "wasm32")]
fn is_reachable() -> bool {
    use wasm_bindgen_futures::js_sys::{Reflect, global};
    let has = |name: &str| Reflect::get(&global(), &name.into()).is_ok_and(|value| !value.is_undefined());
    has("Window") || has("WorkerGlobalScope")
}

fn descriptor() -> wgpu::InstanceDescriptor {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    descriptor.with_env()
}

/// From one instance for the whole process: buffers of two instances may have the same identity, so that one device's
/// buffer would be taken for another's.
#[cfg(not(target_arch = "wasm32"))]
async fn enumerate() -> Vec<wgpu::Adapter> {
    static INSTANCE: LazyLock<wgpu::Instance> = LazyLock::new(|| wgpu::Instance::new(descriptor()));
    INSTANCE.enumerate_adapters(descriptor().backends).await
}

/// In a browser each object is itself.
#[cfg(target_arch = "wasm32")]
async fn enumerate() -> Vec<wgpu::Adapter> {
    if !is_reachable() {
        return Vec::new();
    }
    wgpu::Instance::new(descriptor()).enumerate_adapters(descriptor().backends).await
}

async fn find() -> Vec<wgpu::Adapter> {
    let mut adapters = enumerate().await;
    let low = wgpu::PowerPreference::from_env() == Some(wgpu::PowerPreference::LowPower);
    adapters.sort_by_key(|adapter| match AdapterReport::of_adapter(adapter).class {
        Class::Discrete => 1,
        Class::Integrated if low => 0,
        Class::Integrated => 2,
        Class::Software | Class::Cpu => 3,
    });
    adapters
}

/// Opens the first adapter that matches.
pub(crate) async fn open(options: &GpuOptions) -> Result<Gpu> {
    let name = options.adapter.clone().or_else(named).unwrap_or_default();
    let adapters = find().await;
    let matches = |adapter: &&wgpu::Adapter| adapter.get_info().name.to_lowercase().contains(&name.to_lowercase());
    let found = match options.index {
        Some(index) => adapters.get(index),
        None => adapters.iter().find(matches),
    };
    let Some(adapter) = found else {
        let names: Vec<_> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
        return Err(Error::NoAdapter {
            wanted: if let Some(index) = options.index {
                format!("with index {index}")
            } else if name.is_empty() {
                "found".to_owned()
            } else {
                format!("named '{name}'")
            },
            reason: if names.is_empty() { NONE.to_owned() } else { format!("there is {}", names.join(", ")) },
        });
    };
    let mut wanted = wgpu::Features::IMMEDIATES
        | wgpu::Features::SUBGROUP
        | wgpu::Features::SHADER_F16
        | wgpu::Features::TIMESTAMP_QUERY;
    let mut experimental_features = wgpu::ExperimentalFeatures::disabled();
    if !options.portable && (options.cooperative_matrices || is_asked("WGRNN_COOPERATIVE")) {
        wanted |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
        // SAFETY: the caller asks for a feature whose faults in wgpu may be unsound; kernels that use it are held to their
        // twins like all others.
        experimental_features = unsafe { wgpu::ExperimentalFeatures::enabled() };
    }
    let (features, limits) = if options.portable {
        (wgpu::Features::empty(), wgpu::Limits::default())
    } else {
        (adapter.features() & wanted, adapter.limits())
    };
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("wgrnn"),
        required_features: features,
        required_limits: limits,
        memory_hints: wgpu::MemoryHints::Performance,
        experimental_features,
        ..Default::default()
    };
    let (device, queue) = adapter
        .request_device(&descriptor)
        .await
        .map_err(|error| Error::NoDevice { adapter: adapter.get_info().name, reason: error.to_string() })?;
    let mut report = AdapterReport::of_device(&device);
    // What was not asked for is still true of the adapter.
    report.features.cooperative_matrices = AdapterReport::of_adapter(adapter).features.cooperative_matrices;
    let gpu = Gpu::new(device, queue, report, options)?;
    let faults = Arc::clone(&gpu.faults);
    gpu.device.on_uncaptured_error(Arc::new(move |error| {
        if !is_probing() {
            faults.report(&error.to_string());
        }
    }));
    Ok(gpu)
}
