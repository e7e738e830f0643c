//! Where the work is done.

use crate::arrays::{object, property};
use crate::fault::{Fault, Result};
use crate::options;
use crate::promise::{attempt, promise};
use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use wgrnn::{Class, GpuOptions};

/// A GPU, or the CPU in WebAssembly.
#[wasm_bindgen]
pub struct Device {
    inner: wgrnn::Device,
    /// Browsers name adapters by vendor and architecture, which wgpu does not pass on.
    name: String,
    class: Class,
    note: Option<String>,
}

#[wasm_bindgen]
impl Device {
    /// The browser's GPU, be it in software. Rejects where there is none.
    #[wasm_bindgen(unchecked_return_type = "Promise<Device>")]
    pub fn gpu(#[wasm_bindgen(unchecked_optional_param_type = "GpuOptions")] options: &JsValue) -> Promise {
        attempt(|| {
            let options = options::gpu(options)?;
            Ok(promise(async move { Ok(open(&options, &found(&options).await?).await?.into()) }))
        })
    }

    /// The fastest device: the browser's GPU if there is one, else the CPU, which is faster than a GPU in software. `note` says
    /// which it is, and why.
    #[wasm_bindgen(unchecked_return_type = "Promise<Device>")]
    pub fn auto() -> Promise {
        promise(async {
            let options = options::GpuOptions::default();
            let opened = async {
                let found = found(&options).await?;
                if found.software {
                    return Err(Fault::new(format!("{} is a GPU in software, which is slower", found.name)));
                }
                open(&options, &found).await
            };
            Ok(match opened.await {
                Ok(device) => Self { note: Some(format!("using {}", device.name)), ..device },
                Err(reason) => Self::of_cpu(Some(format!("using the CPU: {reason}"))),
            }
            .into())
        })
    }

    /// The CPU in WebAssembly, in one thread: it computes before its promises are returned.
    pub fn cpu() -> Self {
        Self::of_cpu(None)
    }

    fn of_cpu(note: Option<String>) -> Self {
        let inner = wgrnn::Device::cpu();
        Self { name: inner.name().to_owned(), class: Class::Cpu, note, inner }
    }

    /// The adapter's name, or `CPU`.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Whether this is the CPU device.
    #[wasm_bindgen(getter, js_name = isCpu)]
    pub fn is_cpu(&self) -> bool {
        self.inner.is_cpu()
    }

    /// What a user should know of the device: what `auto` chose and why, or that a GPU is one in software only.
    #[wasm_bindgen(getter)]
    pub fn note(&self) -> Option<String> {
        self.note.clone()
    }

    /// What is known of the adapter; undefined for the CPU.
    #[wasm_bindgen(getter, unchecked_return_type = "AdapterReport | undefined")]
    pub fn report(&self) -> JsValue {
        let Some(report) = self.inner.report() else { return JsValue::UNDEFINED };
        let (limits, features) = (report.limits, report.features);
        let number = |number: u64| JsValue::from_f64(number as f64);
        let limits = object([
            ("bindingBytes", number(limits.binding_bytes)),
            ("bufferBytes", number(limits.buffer_bytes)),
            ("workgroups", number(limits.workgroups.into())),
            ("invocations", number(limits.invocations.into())),
            ("workgroupBytes", number(limits.workgroup_bytes.into())),
            ("storageBuffers", number(limits.storage_buffers.into())),
        ]);
        let features = object([("f16", features.f16.into()), ("timestamps", features.timestamps.into())]);
        let subgroup: Array = [report.subgroup.0, report.subgroup.1].map(JsValue::from).into_iter().collect();
        object([
            ("name", self.name.as_str().into()),
            ("backend", report.backend.as_str().into()),
            ("class", format!("{:?}", self.class).to_lowercase().into()),
            ("limits", limits),
            ("features", features),
            ("subgroup", subgroup.into()),
        ])
    }

    /// Waits until all submitted work is done.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn wait(&self) -> Promise {
        let device = self.inner.clone();
        promise(async move {
            device.wait_async().await?;
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Gives the GPU back: whatever is still asked of this device fails.
    pub fn destroy(&self) {
        if let Some((device, _)) = self.inner.wgpu() {
            device.destroy();
        }
    }
}

impl Device {
    pub fn inner(&self) -> &wgrnn::Device {
        &self.inner
    }
}

/// What a browser tells of its adapter.
struct Found {
    name: String,
    software: bool,
}

/// The adapter that the browser gives, if it is of the name that is asked for.
async fn found(options: &options::GpuOptions) -> Result<Found> {
    let global = js_sys::global();
    let gpu = property(&property(&global, "navigator"), "gpu");
    if gpu.is_undefined() || gpu.is_null() {
        return Err(Fault::new("no GPU: this browser has no WebGPU, or does not give it to this page (navigator.gpu)"));
    }
    // wgpu would panic: it takes `navigator.gpu` of these only.
    if ["Window", "WorkerGlobalScope"].iter().all(|name| property(&global, name).is_undefined()) {
        let reason = "no GPU: navigator.gpu is used in windows and workers only, and this is neither";
        return Err(Fault::new(reason));
    }
    let info = info(&gpu).await.ok_or_else(|| Fault::new("no GPU: this browser has WebGPU, but no adapter for it"))?;
    // Where there is no name, some give a number.
    let text =
        |name: &str| property(&info, name).as_string().filter(|text| text.contains(|c: char| !c.is_ascii_digit()));
    let names: Vec<_> = ["vendor", "architecture", "device", "description"].into_iter().filter_map(text).collect();
    let name = if names.is_empty() { "WebGPU".to_owned() } else { names.join(" ") };
    let wanted = options.adapter.as_deref().unwrap_or_default();
    if !name.to_lowercase().contains(&wanted.to_lowercase()) {
        return Err(Fault::new(format!("no GPU named '{wanted}': this browser gives {name}")));
    }
    let known = ["swiftshader", "llvmpipe", "lavapipe", "warp", "basic render"];
    let lower = name.to_lowercase();
    let software = property(&info, "isFallbackAdapter").is_truthy() || known.iter().any(|known| lower.contains(known));
    Ok(Found { name, software })
}

async fn open(options: &options::GpuOptions, Found { name, software }: &Found) -> Result<Device> {
    // Software adapters are to be told from GPUs: other schedules are best for them.
    let class = match software {
        true => Class::Software,
        // Of the vendors the only one whose GPUs all have memory of their own.
        false if name.starts_with("nvidia") => Class::Discrete,
        false => Class::Integrated,
    };
    let note = software.then(|| format!("{name} is a GPU in software: right, but slower than the CPU device"));
    let options = GpuOptions::default()
        .portable(options.portable.unwrap_or(false))
        .class(options.class.map_or(class, Class::from));
    let inner = wgrnn::Device::gpu_async(&options).await?;
    Ok(Device { inner, name: name.clone(), class, note })
}

/// The adapter's `GPUAdapterInfo`.
async fn info(gpu: &JsValue) -> Option<JsValue> {
    let request: Function = property(gpu, "requestAdapter").dyn_into().ok()?;
    let adapter = JsFuture::from(Promise::resolve(&request.call0(gpu).ok()?)).await.ok()?;
    let info = property(&adapter, "info");
    info.is_object().then_some(info)
}
