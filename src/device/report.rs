//! What an adapter says of itself.

use std::fmt::{Display, Formatter};

/// What kind of machine a device is: kernels and schedules are chosen by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// This process's own cores.
    Cpu,
    /// A GPU driver that runs on the CPU.
    Software,
    /// A GPU that shares the CPU's memory.
    Integrated,
    /// A GPU with memory of its own, or a virtual one.
    Discrete,
}

impl Class {
    /// In words, for people.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Cpu => "this process's own cores",
            Self::Software => "a GPU in software: right, but slower than the CPU device",
            Self::Integrated => "a GPU that shares the CPU's memory",
            Self::Discrete => "a GPU with memory of its own",
        }
    }
}

/// The limits that matter to kernels and plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one bound buffer.
    pub binding_bytes: u64,
    /// Bytes of one buffer.
    pub buffer_bytes: u64,
    /// Workgroups along one axis of a dispatch.
    pub workgroups: u32,
    /// Invocations of a workgroup.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Storage buffers of a kernel.
    pub storage_buffers: u32,
    /// Bytes of immediates.
    pub immediate_bytes: u32,
}

/// The optional features that matter to kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Parameters of a dispatch without a buffer.
    pub immediates: bool,
    /// Lanes of a subgroup exchange values.
    pub subgroups: bool,
    /// 16-bit floats.
    pub f16: bool,
    /// Time of a pass measured by the GPU.
    pub timestamps: bool,
    /// Units that multiply matrices of so many rows and columns, of 16-bit floats with sums in 32 bits, such as tensor cores:
    /// where Vulkan lists them.
    pub cooperative_matrices: Option<u32>,
}

/// An adapter: its name, class, limits and features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterReport {
    /// Its name.
    pub name: String,
    /// Driver and its version.
    pub driver: String,
    /// `vulkan`, `metal`, `dx12`.
    pub backend: String,
    /// What kind of machine it is.
    pub class: Class,
    /// Its limits.
    pub limits: Limits,
    /// Its features.
    pub features: Features,
    /// Smallest and largest subgroup.
    pub subgroup: (u32, u32),
}

impl AdapterReport {
    pub(crate) fn of_adapter(adapter: &wgpu::Adapter) -> Self {
        let mut report = Self::new(adapter.get_info(), &adapter.limits(), adapter.features());
        // Of Metal's the products of a matrix with a number are not known to compile.
        if adapter.get_info().backend == wgpu::Backend::Vulkan {
            report.features.cooperative_matrices = cooperative_edge(&adapter.cooperative_matrix_properties());
        }
        report
    }

    pub(crate) fn of_device(device: &wgpu::Device) -> Self {
        Self::new(device.adapter_info(), &device.limits(), device.features())
    }

    /// Whether every subgroup has at least so many lanes.
    pub(crate) fn has_subgroups_of(&self, lanes: u32) -> bool {
        self.features.subgroups && self.subgroup.0 >= lanes
    }

    fn new(info: wgpu::AdapterInfo, limits: &wgpu::Limits, features: wgpu::Features) -> Self {
        // Browsers give no type, but may name the driver.
        let name = info.name.to_lowercase();
        let is_software = ["swiftshader", "llvmpipe", "basic render"].iter().any(|known| name.contains(known));
        Self {
            name: info.name,
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            backend: info.backend.to_string(),
            class: match info.device_type {
                _ if is_software => Class::Software,
                wgpu::DeviceType::Cpu => Class::Software,
                wgpu::DeviceType::DiscreteGpu | wgpu::DeviceType::VirtualGpu => Class::Discrete,
                wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::Other => Class::Integrated,
            },
            limits: Limits {
                binding_bytes: limits.max_storage_buffer_binding_size,
                buffer_bytes: limits.max_buffer_size,
                workgroups: limits.max_compute_workgroups_per_dimension,
                invocations: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
                workgroup_bytes: limits.max_compute_workgroup_storage_size,
                storage_buffers: limits.max_storage_buffers_per_shader_stage,
                immediate_bytes: limits.max_immediate_size,
            },
            features: Features {
                immediates: features.contains(wgpu::Features::IMMEDIATES),
                subgroups: features.contains(wgpu::Features::SUBGROUP),
                f16: features.contains(wgpu::Features::SHADER_F16),
                timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
                // Only an adapter tells their sizes.
                cooperative_matrices: None,
            },
            subgroup: (info.subgroup_min_size, info.subgroup_max_size),
        }
    }
}

/// The largest square matrices of 16-bit floats whose products are added in 32 bits, of those that WGSL knows.
fn cooperative_edge(all: &[wgpu::CooperativeMatrixProperties]) -> Option<u32> {
    use wgpu::CooperativeScalarType::{F16, F32};
    let suits = |properties: &&wgpu::CooperativeMatrixProperties| {
        let edge = properties.m_size;
        let is_square = (properties.n_size, properties.k_size) == (edge, edge);
        is_square && [8, 16].contains(&edge) && (properties.ab_type, properties.cr_type) == (F16, F32)
    };
    all.iter().filter(suits).map(|properties| properties.m_size).max()
}

impl Display for AdapterReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { name, driver, backend, class, limits, features, subgroup } = self;
        writeln!(f, "{name} ({backend}, {class:?}; {driver})")?;
        writeln!(
            f,
            "  limits: binding {} MiB, buffer {} MiB, {} workgroups an axis, {} invocations and {} KiB a workgroup, \
             {} storage buffers, {} bytes of immediates",
            limits.binding_bytes >> 20,
            limits.buffer_bytes >> 20,
            limits.workgroups,
            limits.invocations,
            limits.workgroup_bytes >> 10,
            limits.storage_buffers,
            limits.immediate_bytes,
        )?;
        let names = [
            (features.immediates, "immediates"),
            (features.subgroups, "subgroups"),
            (features.f16, "f16"),
            (features.timestamps, "timestamps"),
            (features.cooperative_matrices.is_some(), "cooperative matrices"),
        ];
        let has: Vec<_> = names.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
        let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
        write!(f, "  features: {has}; subgroups of {} to {} lanes", subgroup.0, subgroup.1)
    }
}
