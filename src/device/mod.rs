//! Where the work is done: a GPU, through wgpu, or the CPU.

mod choose;
mod gpu;
mod handle;
mod identity;
mod pipelines;
mod progress;
mod report;
mod trials;
mod tuning;
mod waiting;

#[cfg(not(target_arch = "wasm32"))]
pub use choose::adapters;
pub use choose::{GpuOptions, adapters_async};
pub(crate) use choose::{named, none_found, open};
pub(crate) use gpu::{Gpu, LayoutKey, PARAMS_STRIDE, locked};
pub use handle::Device;
pub(crate) use handle::is_asked;
pub use report::{AdapterReport, Class, Features, Limits};
pub use trials::{Autotune, Trial, TuningReport};
pub(crate) use tuning::{Tuning, own_tiles, tiles, tuning};
pub(crate) use waiting::{block_on, elsewhere, may_wait};
