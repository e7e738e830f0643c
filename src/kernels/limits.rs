//! What all kernels and plans keep within: guarantees of WebGPU, and what drivers are known to bear.

/// The largest number of storage buffers that a kernel binds: the number that WebGPU guarantees.
pub const MAX_BINDINGS: usize = 8;

/// The length in words of the part of a buffer that is bound as a uniform buffer: the length that WebGPU guarantees.
pub const WINDOW: u32 = 1 << 14;

/// Windows begin at multiples of this number of words: 256 bytes, the largest alignment that WebGPU lets a device ask for.
pub(crate) const WINDOW_ALIGNMENT: u64 = 64;

/// Vectors in a row of a texture that holds a packed matrix.
pub(crate) const TEXELS: u32 = 1 << 12;

/// How often a lane of `grid` looks for a value before it gives up. Loops of all shaders are bounded, and some drivers
/// stop them without an error when they are not.
pub(crate) const POLLS: u32 = 1 << 13;

/// Most trips through a loop that one dispatch may take. Some drivers end loops silently after 65,535 trips; this keeps
/// well below.
pub(crate) const MAX_TRIPS: u64 = 16_384;

/// What a device can run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlanLimits {
    /// Bytes of one binding.
    pub binding_bytes: u64,
    /// Workgroups along one axis.
    pub workgroups: u64,
    /// Loop trips of one invocation.
    pub trips: u64,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u64,
    /// Invocations of a workgroup.
    pub invocations: u64,
}
