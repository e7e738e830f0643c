//! Whether a wgpu object of the caller's is one of a device.
//!
//! wgpu has no function that tells, and what it does with a stranger depends: objects of another device of the same
//! instance are validation errors, whereas those of another instance are taken for whatever has their number here, or
//! panic. Both are found out by a call that must fail, since wgpu reports its failure to the object's own device.

use super::faults::guard;
use super::gpu::Gpu;
use crate::error::{Error, Result};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static PROBING: Cell<bool> = const { Cell::new(false) };
}

/// Whether errors on this thread are provoked: those of another device of this library are none of its faults.
pub(super) fn is_probing() -> bool {
    PROBING.get()
}

/// Runs calls that panic on what is not known here.
fn probe<T>(calls: impl FnOnce() -> T) -> Option<T> {
    PROBING.set(true);
    let result = catch_unwind(AssertUnwindSafe(calls)).ok();
    PROBING.set(false);
    result
}

fn stranger(name: &str) -> Error {
    Error::OtherDevice { tensor: name.to_owned() }
}

impl Gpu {
    /// Whether a queue is this device's.
    pub fn check_queue(&self) -> Result<()> {
        // A browser compares its objects itself, and tells later.
        if cfg!(target_arch = "wasm32") {
            return Ok(());
        }
        self.check_alive()?;
        let descriptor = wgpu::BufferDescriptor {
            label: Some("probe"),
            size: 16,
            usage: wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        };
        let during = "looking whether the queue is the device's";
        let probed = guard(&self.device, &self.faults, during, || self.device.create_buffer(&descriptor))?;
        // A buffer that can't be written: the queue's device is told.
        let told = probe(|| {
            guard(&self.device, &self.faults, during, || self.queue.write_buffer(&probed, 0, &[0; 4])).is_err()
        });
        if told == Some(true) { Ok(()) } else { Err(stranger("queue")) }
    }

    /// Whether a buffer is this device's.
    pub fn check_buffer(&self, buffer: &wgpu::Buffer) -> Result<()> {
        // A browser compares its objects itself, and tells later.
        if cfg!(target_arch = "wasm32") {
            return Ok(());
        }
        self.check_alive()?;
        let during = "looking whether a buffer is the device's";
        // Of another device of the same instance: nobody but this device is told.
        let bound = probe(|| guard(&self.device, &self.faults, during, || self.bind(buffer)));
        match bound {
            None | Some(Err(Error::OtherDevice { .. })) => return Err(stranger("buffer")),
            Some(Err(error)) => return Err(error),
            Some(Ok(())) => {}
        }
        // Of another instance, with the number of some buffer here.
        let mappable = buffer.usage().intersects(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE);
        let is_idle = || matches!(buffer.get_mapped_range(..4), Err(error) if error.to_string().contains("not mapped"));
        if mappable || !is_idle() {
            // The probe would unmap it.
            return Ok(());
        }
        let told = probe(|| guard(&self.device, &self.faults, during, || buffer.unmap()).is_err());
        if told == Some(true) { Ok(()) } else { Err(stranger("buffer")) }
    }

    /// Binds a buffer to nothing in particular.
    fn bind(&self, buffer: &wgpu::Buffer) {
        let layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("probe"),
            entries: &[wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only: true },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            }],
        });
        let _bound = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("probe"),
            layout: &layout,
            entries: &[wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: 0,
                    size: wgpu::BufferSize::new(4),
                }),
            }],
        });
    }
}
