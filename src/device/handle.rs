//! A GPU or the CPU: the handle that everything else is made on.

use super::gpu::Gpu;
use super::options::GpuOptions;
use super::pipelines;
use super::report::{AdapterReport, Class};
use super::trials::TuningReport;
use super::waiting::block_on;
use crate::error::{Error, Result};
use crate::kernels::{Cooperative, PlanLimits};
use std::fmt::{Debug, Formatter};
use std::sync::Arc;

/// A GPU, or the CPU. Clones are cheap: they are handles of the same device and share its compiled kernels.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{Device, Tensor};
/// // A hardware GPU if there is one, else the CPU; `Device::gpu` and `Device::cpu` ask for either.
/// let device = Device::auto();
/// println!("{}", device.name());
/// let same = device.clone();
/// let tensor = Tensor::<f32>::zeros(&same, &[2, 3])?;
/// assert_eq!(tensor.device().name(), device.name());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Device(Arc<Inner>);

pub(super) struct Inner {
    gpu: Option<Gpu>,
    note: Option<String>,
}

impl Device {
    /// Makes a device from a wgpu device and queue of the caller. Kernels use the features that `device` was made with;
    /// immediates and subgroups make them faster.
    ///
    /// wgpu keeps one callback for the loss of a device, and this replaces it, so that every later call can say why the
    /// device was lost. Use [`Device::on_lost`] to be called back.
    ///
    /// # Errors
    /// [`OtherDevice`](crate::Error::OtherDevice) where the queue is not this device's,
    /// [`DeviceLost`](crate::Error::DeviceLost) where the device is lost already,
    /// [`Limit`](crate::Error::Limit) where the device was made for fewer than 8 storage buffers a stage or 64
    /// invocations a workgroup. More is asked for only by the sizes that need it.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        let class = AdapterReport::of_device(&device).class;
        Self::from_wgpu_as(device, queue, class)
    }

    /// [`Device::from_wgpu`] with kernels and schedules chosen for a class of adapter that the caller names, where the
    /// adapter does not tell what it is or tells something wrong.
    ///
    /// # Errors
    /// As [`Device::from_wgpu`].
    pub fn from_wgpu_as(device: wgpu::Device, queue: wgpu::Queue, class: Class) -> Result<Self> {
        let report = AdapterReport::of_device(&device);
        let gpu = Gpu::new(device, queue, report, &GpuOptions { class: Some(class), ..GpuOptions::default() })?;
        gpu.check_queue()?;
        Ok(Self(Arc::new(Inner { gpu: Some(gpu), note: None })))
    }

    /// A GPU that was opened.
    pub(crate) fn of_gpu(gpu: Gpu) -> Self {
        Self(Arc::new(Inner { gpu: Some(gpu), note: None }))
    }

    /// The CPU, with a note for its user.
    pub(crate) fn cpu_noted(note: String) -> Self {
        Self(Arc::new(Inner { gpu: None, note: Some(note) }))
    }

    /// Changes a GPU that nobody else holds yet, and its note.
    ///
    /// # Errors
    /// [`Plan`](Error::Plan) where a program on it is left.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Gpu, &mut Option<String>)) -> Result<()> {
        match Arc::get_mut(&mut self.0) {
            Some(Inner { gpu: Some(gpu), note }) => {
                change(gpu, note);
                Ok(())
            }
            _ => Err(Error::Plan("a device is changed while it is used".to_owned())),
        }
    }

    /// The CPU, which runs the kernels' twins on all cores, or on as many as the environment variable
    /// `RAYON_NUM_THREADS` says. If the caller is itself a thread of a rayon pool, they run on that thread alone.
    pub fn cpu() -> Self {
        Self(Arc::new(Inner { gpu: None, note: None }))
    }

    /// What a user should know of the device, in one line: what [`Device::auto`] chose and why, that a GPU is one in
    /// software, and which features are not used.
    pub fn note(&self) -> Option<String> {
        let software = || {
            let report = self.report().filter(|report| report.class == Class::Software)?;
            Some(format!("{} is {}", report.name, report.class.describe()))
        };
        self.0.note.clone().or_else(software)
    }

    /// The adapter's name, or `CPU`.
    pub fn name(&self) -> &str {
        self.report().map_or("CPU", |report| &report.name)
    }

    /// The adapter's name, driver, class, limits and features; `None` for the CPU.
    pub fn report(&self) -> Option<&AdapterReport> {
        self.gpu_ref().map(|gpu| &gpu.report)
    }

    /// The result of [`Autotune`](crate::Autotune); `None` where tiles are chosen by the adapter's class.
    pub fn tuning(&self) -> Option<&TuningReport> {
        self.gpu_ref().and_then(|gpu| gpu.autotuned.as_ref())
    }

    /// Whether this is the CPU device.
    pub fn is_cpu(&self) -> bool {
        self.0.gpu.is_none()
    }

    /// The wgpu device and queue; `None` for the CPU.
    pub fn wgpu(&self) -> Option<(&wgpu::Device, &wgpu::Queue)> {
        self.gpu_ref().map(|gpu| (&gpu.device, &gpu.queue))
    }

    /// Calls `callback` once, with the reason, when the device is lost, or at once if it is lost already. Nothing on a
    /// lost device can be used any more: every call that needs it returns [`DeviceLost`](crate::Error::DeviceLost). The
    /// CPU is never lost.
    pub fn on_lost(&self, callback: impl FnOnce(&str) + Send + 'static) {
        if let Some(gpu) = self.gpu_ref() {
            gpu.faults.on_loss(Box::new(callback));
        }
    }

    /// Waits until all submitted work is done.
    ///
    /// # Errors
    /// [`DeviceLost`](crate::Error::DeviceLost).
    pub fn wait(&self) -> Result<()> {
        block_on(self.wait_async())
    }

    /// The asynchronous form of [`Device::wait`].
    ///
    /// # Errors
    /// As [`Device::wait`].
    pub async fn wait_async(&self) -> Result<()> {
        match self.gpu_ref() {
            Some(gpu) => gpu.wait_async().await,
            None => Ok(()),
        }
    }

    /// How many workgroups of one dispatch run side by side, of 256 at most. A trial finds this out the first time that
    /// it is asked for. It is 1 where workgroups run one after the other, on the CPU, and in a browser, which cannot
    /// wait for the trial.
    pub fn side_by_side(&self) -> usize {
        self.gpu_ref().map_or(1, |gpu| gpu.side_by_side() as usize)
    }

    /// How many compiled kernels the device keeps for the next programs, and how many at most.
    #[doc(hidden)]
    pub fn kept_kernels(&self) -> (usize, usize) {
        (self.gpu_ref().map_or(0, Gpu::pipelines), pipelines::MOST)
    }

    pub(crate) fn gpu_ref(&self) -> Option<&Gpu> {
        self.0.gpu.as_ref()
    }

    /// What its shaders are composed and compiled with.
    pub(crate) fn dialect(&self) -> String {
        self.gpu_ref().map_or_else(String::new, Gpu::dialect)
    }

    /// Rows of a packed matrix that lie together: what a lane loads at once, or plain rows for the twins.
    pub(crate) fn panel(&self) -> u32 {
        if self.is_cpu() { 1 } else { 4 }
    }

    /// Units for small matrices that kernels may use, for workgroups of so many lanes.
    pub(crate) fn cooperative(&self, lanes: u32) -> Option<Cooperative> {
        self.gpu_ref().and_then(|gpu| gpu.cooperative(lanes))
    }

    pub(crate) fn plan_limits(&self) -> PlanLimits {
        self.gpu_ref().map_or(
            PlanLimits {
                // Indices are 32-bit words.
                binding_bytes: 4 << 32,
                workgroups: u64::MAX,
                trips: u64::MAX,
                workgroup_bytes: u64::MAX,
                invocations: u64::MAX,
            },
            Gpu::plan_limits,
        )
    }

    /// Whether two handles are one device.
    pub(crate) fn is(&self, other: &Self) -> bool {
        // Every CPU device is the same memory and the same cores.
        Arc::ptr_eq(&self.0, &other.0) || self.is_cpu() && other.is_cpu()
    }
}

impl Debug for Device {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Device").field(&self.name()).finish()
    }
}
