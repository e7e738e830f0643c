//! A wgpu device with the kernels compiled for it.

#[cfg(not(target_arch = "wasm32"))]
use super::faults::loss;
use super::faults::{Faults, finish, guard, locked};
use super::layout::{Layout, LayoutKey, params_layout};
use super::options::GpuOptions;
use super::pipelines::Pipelines;
use super::report::AdapterReport;
use super::trials::TuningReport;
use super::tuning::Tuning;
use super::waiting::{elsewhere, may_wait};
use crate::error::{Error, Result};
use crate::kernels::{Cooperative, Dialect, Kernel, MAX_BINDINGS, MAX_TRIPS, PlanLimits, Variant, compose};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};

pub(crate) struct Gpu {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub report: AdapterReport,
    pub faults: Arc<Faults>,
    /// Whether parameters are immediates; else they lie in a uniform buffer.
    pub immediates: bool,
    checked: bool,
    /// Whether the device was made with all that products by units for small matrices need.
    cooperative: bool,
    layouts: HashMap<LayoutKey, Layout>,
    pub params_layout: wgpu::BindGroupLayout,
    pipelines: Mutex<Pipelines<wgpu::ComputePipeline>>,
    side_by_side: OnceLock<u32>,
    /// Which tiles, and how operands are read.
    pub tuning: Tuning,
    /// How these were found, where they were measured.
    pub autotuned: Option<TuningReport>,
}

/// A staging buffer that is being mapped, and the bytes of each part in it.
struct Staged {
    buffer: wgpu::Buffer,
    parts: Vec<Range<usize>>,
    mapped: futures_channel::oneshot::Receiver<std::result::Result<(), wgpu::BufferAsyncError>>,
}

/// Splits parts, in their order, into as few groups as have at most `most` bytes each, or one part.
fn groups<T>(mut parts: &[(T, usize)], most: u64) -> impl Iterator<Item = &[(T, usize)]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |part: &&(T, usize)| {
            bytes += 4 * part.1 as u64;
            bytes <= most
        };
        let count = parts.iter().take_while(fits).count().max(1);
        let (group, rest) = parts.split_at_checked(count)?;
        parts = rest;
        Some(group)
    })
}

impl Gpu {
    pub fn new(device: wgpu::Device, queue: wgpu::Queue, report: AdapterReport, options: &GpuOptions) -> Result<Self> {
        let least = |limit, allowed: u32, needed: u32| {
            let (needed, allowed) = (needed.into(), allowed.into());
            if allowed >= needed {
                return Ok(());
            }
            Err(Error::Limit { what: "wgrnn".to_owned(), needed, limit, allowed })
        };
        let limits = report.limits;
        least("max_storage_buffers_per_shader_stage", limits.storage_buffers, MAX_BINDINGS as u32)?;
        least("max_compute_invocations_per_workgroup", limits.invocations, 64)?;
        let words = Kernel::ALL.iter().map(|kernel| 4 * kernel.row().params.len() as u32).max().unwrap_or(0);
        let immediates = !options.portable && report.features.immediates && limits.immediate_bytes >= words;
        let faults = Arc::<Faults>::default();
        let loses = Arc::clone(&faults);
        device.set_device_lost_callback(move |reason, message| {
            let what =
                if reason == wgpu::DeviceLostReason::Destroyed { "it was destroyed" } else { "its driver failed" };
            let message = message.trim();
            let said = if message.is_empty() { what.to_owned() } else { format!("{what}: {message}") };
            loses.report_loss(said);
        });
        let (params_layout, layouts) = guard(&device, &faults, "creating layouts", || {
            let params_layout = params_layout(&device);
            let layout = |key| (key, Layout::new(&device, key, &params_layout, immediates));
            let layouts = LayoutKey::all().map(layout).collect();
            (params_layout, layouts)
        })?;
        let pipelines = Mutex::default();
        let checked = options.checked;
        let needed =
            wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP;
        let cooperative = device.features().contains(needed);
        let side_by_side = OnceLock::new();
        let tuning = Tuning::of(options.class.unwrap_or(report.class), &report);
        Ok(Self {
            device,
            queue,
            report,
            faults,
            immediates,
            checked,
            cooperative,
            layouts,
            params_layout,
            pipelines,
            side_by_side,
            tuning,
            autotuned: None,
        })
    }

    /// What shaders are composed and compiled with.
    pub fn dialect(&self) -> String {
        format!(" immediates {}, checked {}, cooperative {}", self.immediates, self.checked, self.cooperative)
    }

    /// As if there were none.
    pub fn refuse_cooperative(&mut self) {
        self.cooperative = false;
    }

    /// Units for small matrices, for workgroups of so many lanes.
    pub fn cooperative(&self, lanes: u32) -> Option<Cooperative> {
        let edge = self.report.features.cooperative_matrices.filter(|_| self.cooperative)?;
        Some(Cooperative { edge, subgroups: (lanes / self.report.subgroup.1.max(1)).max(1) })
    }

    /// Runs wgpu calls, and gives what they complained of: a lost device above all, of which wgpu says nothing.
    pub fn guarded<T>(&self, during: &str, calls: impl FnOnce() -> T) -> Result<T> {
        let made = self.complained(during, calls)?;
        self.check_alive()?;
        Ok(made)
    }

    /// The same, but for a lost device that wgpu is silent about: for calls after which its loss is seen.
    fn complained<T>(&self, during: &str, calls: impl FnOnce() -> T) -> Result<T> {
        // Before: what is refused has not been done.
        self.faults.take(during)?;
        guard(&self.device, &self.faults, during, calls).or_else(|error| {
            // What is made on a lost device is invalid, which is what wgpu complains of.
            self.check_alive()?;
            Err(error)
        })
    }

    /// Copies bytes to the beginning of a buffer.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8], during: &str) -> Result<()> {
        let Some(size) = wgpu::BufferSize::new(bytes.len() as u64) else { return Ok(()) };
        let written = self.complained(during, || {
            self.queue.write_buffer_with(buffer, 0, size).map(|mut view| view.copy_from_slice(bytes)).is_some()
        })?;
        // Where there is no view and no complaint, the device is lost.
        if written { Ok(()) } else { Err(self.loss()) }
    }

    /// Copies bytes to the beginning of a buffer.
    #[cfg(target_arch = "wasm32")]
    pub fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8], during: &str) -> Result<()> {
        self.guarded(during, || self.queue.write_buffer(buffer, 0, bytes))
    }

    /// Waits for all submitted work.
    async fn finish(&self, during: &'static str) -> Result<()> {
        if may_wait() {
            return finish(&self.device, &self.faults, during);
        }
        let (device, faults) = (self.device.clone(), Arc::clone(&self.faults));
        elsewhere(move || async move { finish(&device, &faults, during) }).await
    }

    /// An error if the device is lost, which wgpu tells nobody who does not submit: a mapped buffer can't be had then.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn check_alive(&self) -> Result<()> {
        self.faults.lost()?;
        let descriptor = wgpu::BufferDescriptor {
            label: Some("probe"),
            size: 16,
            usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: true,
        };
        let is_alive = guard(&self.device, &self.faults, "looking whether the device is lost", || {
            self.device.create_buffer(&descriptor).get_mapped_range(..).is_ok()
        })?;
        if is_alive { Ok(()) } else { Err(self.loss()) }
    }

    /// A browser tells of it later.
    #[cfg(target_arch = "wasm32")]
    pub fn check_alive(&self) -> Result<()> {
        self.faults.lost()
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn loss(&self) -> Error {
        loss(&self.device, &self.faults)
    }

    pub async fn wait_async(&self) -> Result<()> {
        let during = "waiting for the GPU";
        let (send, receive) = futures_channel::oneshot::channel();
        // A receiver that is gone has no use for it, and a sender that is gone has nothing to wait for.
        self.queue.on_submitted_work_done(move || send.send(()).unwrap_or_default());
        self.finish(during).await?;
        receive.await.unwrap_or_default();
        self.faults.take(during)?;
        // A destroyed device is silent.
        self.check_alive()
    }

    /// The first `count` words of a buffer, once the work submitted before is done.
    pub async fn read(&self, buffer: &wgpu::Buffer, count: usize, during: &'static str) -> Result<Vec<u32>> {
        Ok(self.read_all(&[(buffer, count)], during).await?.pop().unwrap_or_default())
    }

    /// The first words of several buffers, as many of each as it says, once the work submitted before is done. One
    /// submission copies them, so that they are of one moment, into one staging buffer that is mapped and awaited once;
    /// into more only where all of them together are larger than the adapter's largest buffer.
    pub async fn read_all(&self, parts: &[(&wgpu::Buffer, usize)], during: &'static str) -> Result<Vec<Vec<u32>>> {
        let fault = |message: String| Error::Gpu { during: during.to_owned(), message };
        let faults = self.faults.count();
        let staged = self.complained(during, || self.stage(parts))?;
        self.finish(during).await?;
        let mut read = Vec::with_capacity(parts.len());
        for Staged { buffer, parts, mapped } in staged {
            let received = mapped.await.map_err(|error| error.to_string());
            let received = received.and_then(|mapped| mapped.map_err(|error| error.to_string()));
            if received.is_err() {
                // This tells whether the device is lost; a browser says so after it gives its buffers up.
                self.wait_async().await?;
            }
            // In a browser errors come while this waits.
            self.faults.since(faults, during)?;
            received.map_err(fault)?;
            let mapped = buffer.get_mapped_range(..).map_err(|error| fault(error.to_string()))?;
            read.extend(parts.into_iter().map(|bytes| bytemuck::pod_collect_to_vec(&mapped[bytes])));
            drop(mapped);
            // A browser would keep it until it is collected.
            buffer.destroy();
        }
        Ok(read)
    }

    /// Submits copies of the first words of buffers to staging buffers, and asks for these to be mapped.
    fn stage(&self, parts: &[(&wgpu::Buffer, usize)]) -> Vec<Staged> {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let copied: Vec<_> = groups(parts, self.report.limits.buffer_bytes)
            .map(|group| {
                let bytes: u64 = group.iter().map(|part| 4 * part.1 as u64).sum();
                let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("readback"),
                    size: bytes.max(4),
                    usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                });
                let mut at = 0;
                let ranges = group.iter().map(|&(buffer, count)| {
                    let start = at;
                    encoder.copy_buffer_to_buffer(buffer, 0, &staging, start as u64, 4 * count as u64);
                    at += 4 * count;
                    start..at
                });
                (ranges.collect::<Vec<_>>(), staging)
            })
            .collect();
        self.queue.submit([encoder.finish()]);
        let map = |(parts, buffer): (_, wgpu::Buffer)| {
            let (send, mapped) = futures_channel::oneshot::channel();
            buffer.map_async(wgpu::MapMode::Read, .., move |result| {
                // A receiver that is gone has no use for it.
                drop(send.send(result));
            });
            Staged { buffer, parts, mapped }
        };
        copied.into_iter().map(map).collect()
    }

    /// Workgroups that run side by side, tried once; a browser can't wait for a trial's end.
    pub fn side_by_side(&self) -> u32 {
        let trial = || if cfg!(target_arch = "wasm32") { 1 } else { self.try_side_by_side() };
        *self.side_by_side.get_or_init(trial)
    }

    pub fn plan_limits(&self) -> PlanLimits {
        let limits = &self.report.limits;
        PlanLimits {
            binding_bytes: limits.binding_bytes.min(limits.buffer_bytes),
            workgroups: limits.workgroups.into(),
            trips: MAX_TRIPS,
            workgroup_bytes: limits.workgroup_bytes.into(),
            invocations: limits.invocations.into(),
        }
    }

    /// The layout of a kernel's bindings.
    pub fn bindings_layout(&self, variant: &Variant) -> &wgpu::BindGroupLayout {
        &self.layouts[&LayoutKey::of(variant)].bindings
    }

    /// How many compiled variants are kept.
    pub fn pipelines(&self) -> usize {
        locked(&self.pipelines).len()
    }

    /// The variant compiled, once for this device while it is among the last ones that were asked for.
    pub fn pipeline(&self, variant: &Variant) -> Result<wgpu::ComputePipeline> {
        if let Some(pipeline) = locked(&self.pipelines).get(variant) {
            return Ok(pipeline);
        }
        let wgsl = compose(variant, Dialect { immediates: self.immediates, enable_subgroups: false })?;
        let name = variant.to_string();
        let pipeline = self.guarded(&format!("compiling {name}"), || {
            let source =
                wgpu::ShaderModuleDescriptor { label: Some(&name), source: wgpu::ShaderSource::Wgsl(wgsl.into()) };
            // Nobody knows how far a kernel from outside reaches.
            let own = variant.kernel() == Kernel::Own;
            let module = if self.checked || own {
                self.device.create_shader_module(source)
            } else {
                let checks = wgpu::ShaderRuntimeChecks::unchecked();
                // SAFETY: these are this crate's shaders, whose loops end, and a plan is refused unless each dispatch's
                // parameters and indices keep it inside of its buffers (`kernels::needs`); tests run them checked too.
                unsafe { self.device.create_shader_module_trusted(source, checks) }
            };
            self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&name),
                layout: Some(&self.layouts[&LayoutKey::of(variant)].pipeline),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // The library's kernels write workgroup memory before they read it.
                    zero_initialize_workgroup_memory: own,
                    ..Default::default()
                },
                cache: None,
            })
        })?;
        locked(&self.pipelines).insert(variant.clone(), pipeline.clone());
        Ok(pipeline)
    }
}

#[cfg(test)]
mod tests {
    use super::groups;

    #[test]
    fn parts_beyond_the_largest_buffer_go_into_several_groups() {
        let split = |sizes: &[usize], most| -> Vec<Vec<usize>> {
            let parts: Vec<_> = sizes.iter().map(|&size| ((), size)).collect();
            groups(&parts, most).map(|group| group.iter().map(|part| part.1).collect()).collect()
        };
        assert_eq!(split(&[2, 3, 5], 40), [vec![2, 3, 5]]);
        assert_eq!(split(&[2, 3, 5], 39), [vec![2, 3], vec![5]]);
        assert_eq!(split(&[9, 1, 1, 9], 8), [vec![9], vec![1, 1], vec![9]]);
        assert!(split(&[], 8).is_empty());
    }
}
