//! Arrays that live on a device between calls.

use crate::device::Device;
use crate::error::{Error, Result};
use ndarray::{Array, ArrayD, ArrayView, Dimension, IxDyn};
use std::fmt::{Debug, Formatter};
use std::marker::PhantomData;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What a tensor may hold: `f32` or `u32`.
pub trait Element: bytemuck::Pod + Default + sealed::Sealed {}
impl Element for f32 {}
impl Element for u32 {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u32 {}
}

/// Words of the host, read by many programs or written by one.
pub(crate) type Memory = Arc<RwLock<Vec<f32>>>;

/// Locks that a panic elsewhere does not close: numbers have no invariant to break.
pub(crate) fn read_lock(memory: &Memory) -> RwLockReadGuard<'_, Vec<f32>> {
    memory.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write_lock(memory: &Memory) -> RwLockWriteGuard<'_, Vec<f32>> {
    memory.write().unwrap_or_else(PoisonError::into_inner)
}

/// Memory of a device: a wgpu buffer, or words of the host.
#[derive(Clone)]
pub(crate) enum Storage {
    Gpu(wgpu::Buffer),
    Cpu(Memory),
}

impl Storage {
    /// Memory of `words` zeros.
    pub fn zeros(device: &Device, name: &str, words: u64) -> Result<Self> {
        let Some(gpu) = device.gpu_ref() else {
            let words = usize::try_from(words).map_err(|_| Error::value(name, "an addressable size", words))?;
            let mut memory = Vec::new();
            memory
                .try_reserve_exact(words)
                .map_err(|error| Error::value(name, "a size that fits into memory", error))?;
            memory.resize(words, 0.0);
            return Ok(Self::Cpu(Arc::new(RwLock::new(memory))));
        };
        let limits = gpu.plan_limits();
        let size = 4 * words.max(1);
        if size > limits.binding_bytes {
            let limit = "max_storage_buffer_binding_size";
            return Err(Error::Limit { what: name.to_owned(), needed: size, limit, allowed: limits.binding_bytes });
        }
        let descriptor = wgpu::BufferDescriptor {
            label: Some(name),
            size,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        gpu.guarded(&format!("allocating {name}"), || Self::Gpu(gpu.device.create_buffer(&descriptor)))
    }

    /// Whether two handles are the same memory.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gpu(a), Self::Gpu(b)) => a == b,
            (Self::Cpu(a), Self::Cpu(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    pub fn write(&self, device: &Device, words: &[u32]) -> Result<()> {
        match self {
            Self::Cpu(memory) => {
                write_lock(memory)[..words.len()].copy_from_slice(bytemuck::cast_slice(words));
                Ok(())
            }
            Self::Gpu(buffer) => device.gpu_ref().map_or(Ok(()), |gpu| {
                gpu.guarded("writing a tensor", || gpu.queue.write_buffer(buffer, 0, bytemuck::cast_slice(words)))
            }),
        }
    }

    /// The first `count` words.
    pub async fn read(&self, device: &Device, count: usize) -> Result<Vec<u32>> {
        let buffer = match self {
            Self::Cpu(memory) => return Ok(bytemuck::cast_slice(&read_lock(memory)[..count]).to_vec()),
            Self::Gpu(buffer) => buffer,
        };
        let during = "reading a tensor";
        let fault = |message: String| Error::Gpu { during: during.to_owned(), message };
        let gpu = device.gpu_ref().ok_or_else(|| fault("its device is gone".to_owned()))?;
        let (send, receive) = futures_channel::oneshot::channel();
        let size = 4 * count as u64;
        let staging = gpu.guarded(during, || {
            let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("readback"),
                size,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, size);
            gpu.queue.submit([encoder.finish()]);
            staging.map_async(wgpu::MapMode::Read, .., move |result| {
                // A receiver that is gone has no use for it.
                drop(send.send(result));
            });
            staging
        })?;
        gpu.wait()?;
        receive.await.map_err(|error| fault(error.to_string()))?.map_err(|error| fault(error.to_string()))?;
        let mapped = staging.get_mapped_range(..).map_err(|error| fault(error.to_string()))?;
        Ok(bytemuck::pod_collect_to_vec(&mapped[..]))
    }
}

/// An array on a device, row-major. Clones are handles of the same memory.
#[derive(Clone)]
pub struct Tensor<T: Element = f32> {
    device: Device,
    pub(crate) storage: Storage,
    shape: Vec<usize>,
    element: PhantomData<T>,
}

impl<T: Element> Tensor<T> {
    /// An array of zeros.
    ///
    /// # Errors
    /// [`Limit`](Error::Limit) beyond what one binding of the adapter may hold, [`Gpu`](Error::Gpu) out of memory,
    /// [`Value`](Error::Value) for an axis of length 0.
    pub fn zeros(device: &Device, shape: &[usize]) -> Result<Self> {
        let words = elements(shape)?;
        let storage = Storage::zeros(device, &format!("tensor {shape:?}"), words as u64)?;
        Ok(Self { device: device.clone(), storage, shape: shape.to_vec(), element: PhantomData })
    }

    /// A copy of an array of the host's.
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn from_array<D: Dimension>(device: &Device, array: ArrayView<'_, T, D>) -> Result<Self> {
        let tensor = Self::zeros(device, array.shape())?;
        tensor.write(array)?;
        Ok(tensor)
    }

    /// A view of a buffer of the caller's, which must have usage `STORAGE`; `COPY_SRC` and `COPY_DST` let it be read and
    /// written from the host, and copied by plans that need it.
    ///
    /// # Errors
    /// [`OtherDevice`](Error::OtherDevice) for the CPU device, [`Value`](Error::Value) where the buffer is too small or
    /// lacks the usage.
    pub fn from_buffer(device: &Device, buffer: wgpu::Buffer, shape: &[usize]) -> Result<Self> {
        if device.is_cpu() {
            return Err(Error::OtherDevice { tensor: "buffer".to_owned() });
        }
        let bytes = 4 * elements(shape)? as u64;
        if buffer.size() < bytes {
            return Err(Error::value("buffer size", format!("{bytes} bytes for {shape:?}"), buffer.size()));
        }
        if !buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
            return Err(Error::value("buffer usage", "STORAGE", format!("{:?}", buffer.usage())));
        }
        let storage = Storage::Gpu(buffer);
        Ok(Self { device: device.clone(), storage, shape: shape.to_vec(), element: PhantomData })
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The device it lives on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The wgpu buffer; none on the CPU.
    pub fn buffer(&self) -> Option<&wgpu::Buffer> {
        match &self.storage {
            Storage::Gpu(buffer) => Some(buffer),
            Storage::Cpu(_) => None,
        }
    }

    /// Copies an array of the host's here.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where it has another shape.
    pub fn write<D: Dimension>(&self, array: ArrayView<'_, T, D>) -> Result<()> {
        if array.shape() != self.shape {
            return Err(Error::shape("array written", &self.shape, array.shape()));
        }
        let array = array.as_standard_layout();
        self.storage.write(&self.device, bytemuck::cast_slice(array.as_slice().unwrap_or_default()))
    }

    /// Copies it to the host, once the work submitted before is done.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where the device was lost or the buffer lacks the usage `COPY_SRC`.
    pub fn read(&self) -> Result<ArrayD<T>> {
        pollster::block_on(self.read_async())
    }

    /// The same as a future, which waits for the GPU when it is first polled.
    ///
    /// # Errors
    /// As [`Tensor::read`].
    pub async fn read_async(&self) -> Result<ArrayD<T>> {
        let words = self.storage.read(&self.device, self.shape.iter().product()).await?;
        let got = words.len();
        let elements = bytemuck::allocation::try_cast_vec(words)
            .unwrap_or_else(|(_, words)| bytemuck::cast_slice(&words).to_vec());
        Array::from_shape_vec(IxDyn(&self.shape), elements).map_err(|_| Error::shape("tensor read", &self.shape, got))
    }
}

/// The number of elements of a shape: at least one, and addressable by 32-bit words.
pub(crate) fn elements(shape: &[usize]) -> Result<usize> {
    let count = shape.iter().try_fold(1_usize, |count, &axis| count.checked_mul(axis));
    match count {
        Some(count) if (1..=u32::MAX as usize).contains(&count) => Ok(count),
        _ => Err(Error::value("tensor shape", "from 1 to 2³² elements", format!("{shape:?}"))),
    }
}

impl<T: Element> Debug for Tensor<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tensor").field("shape", &self.shape).field("device", &self.device).finish()
    }
}
