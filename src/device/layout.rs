//! Layouts of bindings: what a kernel's shader may bind where.

use crate::kernels::{Access, Kernel, Variant};

/// Uniform parameters of a dispatch begin at multiples of this: the largest alignment that WebGPU lets a device ask for.
pub(crate) const PARAMS_STRIDE: u64 = 256;

/// What a layout depends on: the kernel, and how it reads matrix and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LayoutKey {
    kernel: Kernel,
    texture: bool,
    uniform: bool,
}

impl LayoutKey {
    pub const fn of(variant: &Variant) -> Self {
        Self { kernel: variant.kernel(), texture: variant.reads.texture, uniform: variant.reads.uniform }
    }

    /// Each layout that a kernel may have.
    pub fn all() -> impl Iterator<Item = Self> {
        let has = |kernel: Kernel, access| kernel.row().bindings.iter().any(|binding| binding.1 == access);
        let forms = |is: bool| if is { &[false, true][..] } else { &[false][..] };
        Kernel::ALL.into_iter().flat_map(move |kernel| {
            let [textures, uniforms] = [Access::Matrix, Access::Rows].map(|access| forms(has(kernel, access)));
            let key = move |&texture: &bool| uniforms.iter().map(move |&uniform| Self { kernel, texture, uniform });
            textures.iter().flat_map(key)
        })
    }
}

pub(super) struct Layout {
    pub bindings: wgpu::BindGroupLayout,
    pub pipeline: wgpu::PipelineLayout,
}

impl Layout {
    pub fn new(device: &wgpu::Device, key: LayoutKey, params: &wgpu::BindGroupLayout, immediates: bool) -> Self {
        let row = key.kernel.row();
        let entries: Vec<_> = row
            .bindings
            .iter()
            .zip(0..)
            .map(|(&(_, access), binding)| {
                let buffer = match access {
                    Access::Matrix if key.texture => return texture_entry(binding),
                    Access::Rows if key.uniform => wgpu::BufferBindingType::Uniform,
                    Access::Read | Access::Matrix | Access::Rows => {
                        wgpu::BufferBindingType::Storage { read_only: true }
                    }
                    Access::Write => wgpu::BufferBindingType::Storage { read_only: false },
                };
                entry(binding, buffer, false, None)
            })
            .collect();
        let bindings = device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(row.name), entries: &entries });
        let groups = [Some(&bindings), Some(params)];
        let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(row.name),
            bind_group_layouts: if immediates { &groups[..1] } else { &groups },
            immediate_size: if immediates { 4 * row.params.len() as u32 } else { 0 },
        });
        Self { bindings, pipeline }
    }
}

/// Parameters as a uniform buffer, a dispatch's share chosen by a dynamic offset.
pub(super) fn params_layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    let size = wgpu::BufferSize::new(PARAMS_STRIDE);
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("parameters"),
        entries: &[entry(0, wgpu::BufferBindingType::Uniform, true, size)],
    })
}

pub(super) fn entry(
    binding: u32,
    ty: wgpu::BufferBindingType,
    has_dynamic_offset: bool,
    min_binding_size: Option<wgpu::BufferSize>,
) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size },
        count: None,
    }
}

pub(super) fn texture_entry(binding: u32) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: false },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        },
        count: None,
    }
}
