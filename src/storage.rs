//! Memory of a device, without a shape.

use crate::device::{Device, Gpu, elsewhere, may_wait};
use crate::error::{Error, Result};
use crate::kernels::{TEXELS, WINDOW};
use crate::memory;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What kernels and copies need of every buffer.
pub(crate) const BUFFER: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// Bytes that are bound for so many of a plan's: whole vectors, for a binding of an array of vectors must hold one at
/// least, and drivers differ in what they make of a part of one. No more than one binding may hold.
pub(crate) fn bound_bytes(needed: u64, allowed: u64) -> u64 {
    needed.next_multiple_of(16).min(allowed).max(needed)
}

/// A texture's rows as they lie in a buffer.
pub(crate) fn texels_layout(texture: &wgpu::Texture) -> wgpu::TexelCopyBufferLayout {
    wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(texel_bytes(texture) * TEXELS), rows_per_image: None }
}

fn texel_bytes(texture: &wgpu::Texture) -> u32 {
    if texture.format() == wgpu::TextureFormat::Rgba16Float { 8 } else { 16 }
}

/// Words of the host, read by many programs or written by one.
pub(crate) type Memory = Arc<RwLock<Vec<f32>>>;

/// Locks that a panic elsewhere does not close. It leaves them poisoned, which marks numbers that are no result: they can't be
/// read until they are written anew.
pub(crate) fn read_lock(memory: &Memory) -> RwLockReadGuard<'_, Vec<f32>> {
    memory.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write_lock(memory: &Memory) -> RwLockWriteGuard<'_, Vec<f32>> {
    memory.write().unwrap_or_else(PoisonError::into_inner)
}

/// Memory of a device: a wgpu buffer, or some of them, a texture of vectors, or words of the host.
#[derive(Clone)]
pub(crate) enum Storage {
    Gpu(wgpu::Buffer),
    /// Words that follow one another in several buffers, each with how many it has: more than one binding may hold.
    Parts(Arc<[(wgpu::Buffer, usize)]>),
    Texture(wgpu::Texture),
    Cpu(Memory),
}

impl Storage {
    /// Memory of `words` zeros.
    pub fn zeros(device: &Device, name: &str, words: u64) -> Result<Self> {
        let Some(gpu) = device.gpu_ref() else {
            let words = usize::try_from(words).map_err(|_| Error::value(name, "an addressable size", words))?;
            return Ok(Self::Cpu(Arc::new(RwLock::new(memory::filled(name, words, 0.0)?))));
        };
        Self::buffer(gpu, name, words.max(1), 0, BUFFER)
    }

    /// A buffer of some words that one binding may hold, and more behind them.
    fn buffer(gpu: &Gpu, name: &str, words: u64, behind: u64, usage: wgpu::BufferUsages) -> Result<Self> {
        let (needed, allowed) = (words.saturating_mul(4), gpu.plan_limits().binding_bytes);
        if needed > allowed {
            let limit = "max_storage_buffer_binding_size";
            return Err(Error::Limit { what: name.to_owned(), needed, limit, allowed });
        }
        let size = bound_bytes(needed, allowed) + 4 * behind;
        let descriptor = wgpu::BufferDescriptor { label: Some(name), size, usage, mapped_at_creation: false };
        gpu.guarded(&format!("allocating {name}"), || Self::Gpu(gpu.device.create_buffer(&descriptor)))
    }

    /// Memory of zeros in parts of so many words, each of which one binding can hold; in one buffer where there is one part.
    pub fn in_parts(device: &Device, name: &str, parts: &[usize]) -> Result<Self> {
        let (Some(gpu), [_, _, ..]) = (device.gpu_ref(), parts) else {
            return Self::zeros(device, name, parts.iter().map(|&words| words as u64).sum());
        };
        let part = |&words: &usize| match Self::buffer(gpu, name, words as u64, 0, BUFFER)? {
            Self::Gpu(buffer) => Ok((buffer, words)),
            _ => Err(Error::Plan(format!("{name} is no buffer"))),
        };
        Ok(Self::Parts(parts.iter().map(part).collect::<Result<_>>()?))
    }

    /// Its buffers, each with its words; none where it is in one piece.
    pub fn parts(&self) -> Option<&[(wgpu::Buffer, usize)]> {
        match self {
            Self::Parts(parts) => Some(parts),
            _ => None,
        }
    }

    /// Memory that windows of uniform buffers can be bound to: a whole one fits behind every word.
    pub fn windowed(device: &Device, name: &str, words: u64) -> Result<Self> {
        let Some(gpu) = device.gpu_ref() else { return Self::zeros(device, name, words) };
        Self::buffer(gpu, name, words, WINDOW.into(), BUFFER | wgpu::BufferUsages::UNIFORM)
    }

    /// A texture of four numbers a texel, which take a word each, or half of one: in whole rows, so that it may have more words than it was asked for. None where
    /// the adapter has none so large, or is the CPU.
    pub fn texture(device: &Device, name: &str, words: u64, half: bool) -> Result<Option<Self>> {
        let Some(gpu) = device.gpu_ref() else { return Ok(None) };
        let (texel, format) =
            if half { (2, wgpu::TextureFormat::Rgba16Float) } else { (4, wgpu::TextureFormat::Rgba32Float) };
        let rows = words.div_ceil(texel * u64::from(TEXELS)).max(1);
        let size = wgpu::Extent3d { width: TEXELS, height: rows as u32, depth_or_array_layers: 1 };
        if rows > gpu.device.limits().max_texture_dimension_2d.into() {
            return Ok(None);
        }
        let descriptor = wgpu::TextureDescriptor {
            label: Some(name),
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        };
        gpu.guarded(&format!("allocating {name}"), || Some(Self::Texture(gpu.device.create_texture(&descriptor))))
    }

    /// How many words there are.
    pub fn words(&self) -> u64 {
        match self {
            Self::Gpu(buffer) => buffer.size() / 4,
            Self::Parts(parts) => parts.iter().map(|(_, words)| *words as u64).sum(),
            Self::Texture(texture) => {
                u64::from(texel_bytes(texture) / 4) * u64::from(texture.width()) * u64::from(texture.height())
            }
            Self::Cpu(memory) => read_lock(memory).len() as u64,
        }
    }

    /// Whether windows of it can be bound as uniform buffers, for `words` words of it.
    pub fn is_windowed(&self, words: u64) -> bool {
        match self {
            Self::Gpu(buffer) => {
                buffer.usage().contains(wgpu::BufferUsages::UNIFORM) && buffer.size() / 4 >= words + u64::from(WINDOW)
            }
            Self::Parts(_) | Self::Texture(_) => false,
            Self::Cpu(_) => true,
        }
    }

    /// Whether two handles are the same memory.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gpu(a), Self::Gpu(b)) => a == b,
            (Self::Parts(a), Self::Parts(b)) => Arc::ptr_eq(a, b),
            (Self::Texture(a), Self::Texture(b)) => a == b,
            (Self::Cpu(a), Self::Cpu(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    pub fn write(&self, device: &Device, words: &[u32]) -> Result<()> {
        match self {
            Self::Cpu(memory) => {
                let mut memory_words = write_lock(memory);
                memory_words[..words.len()].copy_from_slice(bytemuck::cast_slice(words));
                if memory_words.len() == words.len() {
                    memory.clear_poison();
                }
                Ok(())
            }
            Self::Gpu(buffer) => device
                .gpu_ref()
                .map_or(Ok(()), |gpu| gpu.write(buffer, bytemuck::cast_slice(words), "writing a tensor")),
            Self::Parts(parts) => {
                let mut rest = words;
                parts.iter().try_for_each(|(buffer, words)| {
                    let (these, others) = rest.split_at((*words).min(rest.len()));
                    rest = others;
                    Self::Gpu(buffer.clone()).write(device, these)
                })
            }
            Self::Texture(texture) => device.gpu_ref().map_or(Ok(()), |gpu| {
                let mut texels = words.to_vec();
                texels.resize(self.words() as usize, 0);
                let layout = texels_layout(texture);
                gpu.guarded("writing a texture", || {
                    gpu.queue.write_texture(
                        texture.as_image_copy(),
                        bytemuck::cast_slice(&texels),
                        layout,
                        texture.size(),
                    );
                })
            }),
        }
    }

    /// Writes words from word `first` on. What is written is one buffer, or words of the host.
    pub fn write_at(&self, device: &Device, first: usize, words: &[u32]) -> Result<()> {
        match self {
            Self::Cpu(memory) => {
                write_lock(memory)[first..][..words.len()].copy_from_slice(bytemuck::cast_slice(words));
                Ok(())
            }
            Self::Gpu(buffer) => device.gpu_ref().map_or(Ok(()), |gpu| {
                let (at, bytes) = (4 * first as u64, bytemuck::cast_slice(words));
                gpu.guarded("writing a part of a tensor", || gpu.queue.write_buffer(buffer, at, bytes))
            }),
            Self::Parts(_) | Self::Texture(_) => Err(Error::Plan("only buffers are written in part".to_owned())),
        }
    }

    /// Copies `words` words from the first place of each pair to the second place in other memory of the same device, all of one
    /// moment.
    pub fn copy_to(&self, device: &Device, to: &Self, pairs: &[(usize, usize)], words: usize) -> Result<()> {
        match (self, to) {
            (Self::Cpu(from), Self::Cpu(to)) => {
                let from_words = read_lock(from);
                if from.is_poisoned() {
                    return Err(Error::Spoilt { tensor: "a tensor to be read".to_owned() });
                }
                let mut to = write_lock(to);
                for &(first, target) in pairs {
                    to[target..][..words].copy_from_slice(&from_words[first..][..words]);
                }
                Ok(())
            }
            (Self::Gpu(from), Self::Gpu(to)) => device.gpu_ref().map_or(Ok(()), |gpu| {
                gpu.guarded("copying a part of a tensor", || {
                    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                    for &(first, target) in pairs {
                        let [first, target, bytes] = [first, target, words].map(|words| 4 * words as u64);
                        encoder.copy_buffer_to_buffer(from, first, to, target, bytes);
                    }
                    gpu.queue.submit([encoder.finish()]);
                })
            }),
            _ => Err(Error::Plan("only buffers are copied in part".to_owned())),
        }
    }

    /// A buffer with a copy of a texture's words; other memory as it is.
    pub fn readable(&self, device: &Device, name: &str) -> Result<Self> {
        let (Self::Texture(texture), Some(gpu)) = (self, device.gpu_ref()) else { return Ok(self.clone()) };
        let copy = Self::zeros(device, name, self.words())?;
        if let Self::Gpu(buffer) = &copy {
            gpu.guarded("reading a texture", || {
                let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                let to = wgpu::TexelCopyBufferInfo { buffer, layout: texels_layout(texture) };
                encoder.copy_texture_to_buffer(texture.as_image_copy(), to, texture.size());
                gpu.queue.submit([encoder.finish()]);
            })?;
        }
        Ok(copy)
    }

    /// The first `count` words.
    pub async fn read(&self, device: &Device, count: usize) -> Result<Vec<u32>> {
        Ok(Self::read_all(device, &[(self, count)]).await?.pop().unwrap_or_default())
    }

    /// The first words of several memories of one device, as many of each as it says, all of one moment.
    pub async fn read_all(device: &Device, parts: &[(&Self, usize)]) -> Result<Vec<Vec<u32>>> {
        let Some(gpu) = device.gpu_ref() else {
            let words = |&(memory, count): &(&Self, usize)| match memory {
                Self::Cpu(memory) => {
                    let words = read_lock(memory);
                    if memory.is_poisoned() {
                        return Err(Error::Spoilt { tensor: "a tensor to be read".to_owned() });
                    }
                    Ok(bytemuck::cast_slice(&words[..count]).to_vec())
                }
                Self::Gpu(_) | Self::Parts(_) | Self::Texture(_) => {
                    Err(Error::OtherDevice { tensor: "a tensor to be read".to_owned() })
                }
            };
            if may_wait() {
                return parts.iter().map(words).collect();
            }
            // A program that writes them may be running.
            let parts: Vec<_> = parts.iter().map(|&(memory, count)| (memory.clone(), count)).collect();
            let words = move |(memory, count): (Self, usize)| words(&(&memory, count));
            return elsewhere(move || async move { parts.into_iter().map(words).collect() }).await;
        };
        let mut buffers: Vec<(&wgpu::Buffer, usize)> = Vec::new();
        for &(memory, count) in parts {
            match memory {
                Self::Gpu(buffer) => buffers.push((buffer, count)),
                Self::Parts(parts) => {
                    let mut rest = count;
                    buffers.extend(parts.iter().map(|(buffer, words)| {
                        let some = rest.min(*words);
                        rest -= some;
                        (buffer, some)
                    }));
                }
                Self::Texture(_) => return Err(Error::Plan("a texture is only read by kernels".to_owned())),
                Self::Cpu(_) => return Err(Error::OtherDevice { tensor: "a tensor to be read".to_owned() }),
            }
        }
        let mut read = gpu.read_all(&buffers, "reading a tensor").await?.into_iter();
        let joined = |&(memory, count): &(&Self, usize)| match memory {
            Self::Parts(parts) => {
                let words = memory::collected("a tensor read", count, read.by_ref().take(parts.len()).flatten())?;
                Ok(words)
            }
            _ => Ok(read.next().unwrap_or_default()),
        };
        parts.iter().map(joined).collect()
    }
}
