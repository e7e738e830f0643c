//! Arrays that live on a device between calls.

use crate::device::Device;
use crate::error::{Error, Result};
use crate::readback::{Readable, Request, Words, read_together_async};
use crate::storage::Storage;
use ndarray::{ArrayD, ArrayView, Dimension};
use std::fmt::{Debug, Formatter};
use std::marker::PhantomData;

/// The types of a tensor's elements: `f32` and `u32`.
pub trait Element: bytemuck::Pod + Default + sealed::Sealed {}
impl Element for f32 {}
impl Element for u32 {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u32 {}
}

/// A row-major array on a device. Clones are handles of the same memory.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Device, Tensor};
/// let tensor = Tensor::from_array(&Device::auto(), array![[1.0_f32, 2.0], [3.0, 4.0]].view())?;
/// tensor.write(array![[5.0, 6.0], [7.0, 8.0]].view())?;
/// assert_eq!(tensor.read()?, array![[5.0, 6.0], [7.0, 8.0]].into_dyn());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tensor<T: Element = f32> {
    device: Device,
    pub(crate) storage: Storage,
    shape: Vec<usize>,
    element: PhantomData<T>,
}

impl<T: Element> Tensor<T> {
    /// Makes an array of zeros.
    ///
    /// # Errors
    /// [`Limit`](Error::Limit) beyond what one binding of the adapter may hold, [`Gpu`](Error::Gpu) out of memory,
    /// [`Value`](Error::Value) for an axis of length 0.
    pub fn zeros(device: &Device, shape: &[usize]) -> Result<Self> {
        let words = elements(shape)?;
        let name = format!("tensor {shape:?}");
        let storage = if device.reads_windows() {
            Storage::windowed(device, &name, words as u64)?
        } else {
            Storage::zeros(device, &name, words as u64)?
        };
        Ok(Self { device: device.clone(), storage, shape: shape.to_vec(), element: PhantomData })
    }

    /// Makes an array and copies one from the host to it.
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn from_array<D: Dimension>(device: &Device, array: ArrayView<'_, T, D>) -> Result<Self> {
        let tensor = Self::zeros(device, array.shape())?;
        tensor.write(array)?;
        Ok(tensor)
    }

    /// Makes an array of a wgpu buffer of the caller, which must have the usage `STORAGE`. With `COPY_SRC` and
    /// `COPY_DST` it can be read and written from the host, and copied by plans that need it.
    ///
    /// # Errors
    /// [`OtherDevice`](Error::OtherDevice) for the CPU device and for a buffer of another wgpu device,
    /// [`Value`](Error::Value) where the buffer is too small or lacks the usage.
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
        device.gpu_ref().map_or(Ok(()), |gpu| gpu.check_buffer(&buffer))?;
        let storage = Storage::Gpu(buffer);
        Ok(Self { device: device.clone(), storage, shape: shape.to_vec(), element: PhantomData })
    }

    /// A view of memory that something else holds too, of at least as many words as the shape has.
    pub(crate) fn view(device: &Device, storage: &Storage, shape: &[usize]) -> Self {
        Self { device: device.clone(), storage: storage.clone(), shape: shape.to_vec(), element: PhantomData }
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The device it lives on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The wgpu buffer; `None` on the CPU.
    pub fn buffer(&self) -> Option<&wgpu::Buffer> {
        match &self.storage {
            Storage::Gpu(buffer) => Some(buffer),
            Storage::Parts(_) | Storage::Texture(_) | Storage::Cpu(_) => None,
        }
    }

    /// Copies an array from the host to the device.
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

    /// Copies the array to the host, once the work submitted before is done.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where the device was lost or the buffer lacks the usage `COPY_SRC`.
    pub fn read(&self) -> Result<ArrayD<T>> {
        crate::device::block_on(self.read_async())
    }

    /// The asynchronous form of [`Tensor::read`]. It reads what the work submitted before its first poll leaves.
    ///
    /// # Errors
    /// As [`Tensor::read`].
    pub async fn read_async(&self) -> Result<ArrayD<T>> {
        read_together_async(self).await
    }
}

impl<T: Element> Readable for Tensor<T> {
    type Host = ArrayD<T>;

    fn request<'a>(&'a self, request: &mut Request<'a>) -> Result<()> {
        request.add(&self.device, "tensor read", &self.storage, self.shape.iter().product())
    }

    fn receive(&self, words: &mut Words) -> Result<ArrayD<T>> {
        words.array("tensor read", &self.shape)
    }
}

/// The number of elements of a shape: at least one, and addressable by 32-bit words.
pub(crate) fn elements(shape: &[usize]) -> Result<usize> {
    let count = shape.iter().try_fold(1_usize, |count, &axis| count.checked_mul(axis));
    match count {
        // No allocation is larger than `isize::MAX` bytes, which matters where that has 32 bits.
        Some(count) if (1..=(u32::MAX as usize).min(isize::MAX as usize / 4)).contains(&count) => Ok(count),
        _ => Err(Error::value("tensor shape", "from 1 to 2³² elements, in WebAssembly 2²⁹", format!("{shape:?}"))),
    }
}

impl<T: Element> Debug for Tensor<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tensor").field("shape", &self.shape).field("device", &self.device).finish()
    }
}

/// Refuses NaN and infinities, which would spread through every later state.
pub(crate) fn check_finite<'a>(tensor: &str, values: impl Iterator<Item = &'a f32>) -> Result<()> {
    match values.enumerate().find(|(_, value)| !value.is_finite()) {
        Some((index, &value)) => Err(Error::NotFinite { tensor: tensor.to_owned(), index, value }),
        None => Ok(()),
    }
}
