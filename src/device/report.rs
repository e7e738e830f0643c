//! What an adapter says of itself.

use std::fmt::{Display, Formatter};

/// What kind of machine a device is. Tiles and schedules are chosen by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
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

/// The limits of an adapter that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most bytes of one binding of a buffer.
    pub binding_bytes: u64,
    /// Most bytes of one buffer.
    pub buffer_bytes: u64,
    /// Most workgroups along one axis of a dispatch.
    pub workgroups: u32,
    /// Most invocations of a workgroup.
    pub invocations: u32,
    /// Most bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Most storage buffers that a kernel can bind.
    pub storage_buffers: u32,
    /// Most bytes of immediates (push constants).
    pub immediate_bytes: u32,
}

/// The optional features of an adapter that kernels use where they can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Features {
    /// Parameters of a dispatch without a buffer (push constants).
    pub immediates: bool,
    /// Exchange of values between the lanes of a subgroup.
    pub subgroups: bool,
    /// 16-bit floats in shaders.
    pub f16: bool,
    /// Timestamp queries, which profiles need.
    pub timestamps: bool,
    /// Rows and columns of the square matrices that units such as tensor cores multiply, of 16-bit floats with 32-bit
    /// sums; `None` where Vulkan lists none.
    pub cooperative_matrices: Option<u32>,
}

/// An adapter: its name, class, limits and features.
///
/// ```no_run
/// for (index, report) in wgrnn::adapters().iter().enumerate() {
///     println!("{index}: {report}");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdapterReport {
    /// The adapter's name.
    pub name: String,
    /// The driver and its version.
    pub driver: String,
    /// The graphics API: `vulkan`, `metal`, `dx12`.
    pub backend: String,
    /// What kind of machine it is.
    pub class: Class,
    /// What it allows at most.
    pub limits: Limits,
    /// Which optional features it has.
    pub features: Features,
    /// Lanes of the smallest and of the largest subgroup.
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
