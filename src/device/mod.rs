//! Where the work is done: a GPU, through wgpu, or the CPU.

mod choose;
mod chosen;
mod faults;
mod gpu;
mod handle;
mod identity;
mod layout;
mod options;
mod pipelines;
mod progress;
mod report;
mod trials;
mod tuning;
mod waiting;

#[cfg(not(target_arch = "wasm32"))]
pub use choose::adapters;
pub use choose::adapters_async;
pub(crate) use choose::{named, none_found, open};
pub(crate) use chosen::{own_tiles, tiles, tuning};
pub(crate) use faults::locked;
pub(crate) use gpu::Gpu;
pub use handle::Device;
pub(crate) use layout::{LayoutKey, PARAMS_STRIDE};
pub use options::GpuOptions;
pub(crate) use options::is_asked;
pub use report::{AdapterReport, Class, Features, Limits};
pub use trials::{Autotune, Trial, TuningReport};
pub(crate) use tuning::Tuning;
pub(crate) use waiting::{block_on, elsewhere, may_wait};
