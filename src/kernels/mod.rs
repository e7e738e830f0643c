//! The table of kernels. A kernel has one name: that of its shader in `shaders/`, of its twin in `src/cpu/` and of its row
//! here. Parity tests and benchmarks come from the rows. If a file is missing, the crate does not compile.

mod compose;
mod limits;
mod needs;
mod packed;
mod params;
mod table;
mod tile;
mod variant;

pub(crate) use compose::compose_progress;
pub use compose::{Dialect, compose};
pub use limits::{MAX_BINDINGS, WINDOW};
pub(crate) use limits::{MAX_TRIPS, PlanLimits, TEXELS, WINDOW_ALIGNMENT};
pub(crate) use needs::{
    EXCHANGE_HEAD, exchange_words, flop, grid, grid_trips, needs, row_tile, sequence_trips, state_width, trips,
    wrapped, wrapped_params,
};
pub(crate) use packed::{BLOCK, Packed};
pub(crate) use params::{
    AdamParams, ApplyParams, ArgmaxParams, BackwardParams, CrossEntropyParams, DropoutParams, ElementLossParams,
    GatherParams, GemmParams, GuardParams, LinksParams, MasksParams, NormParams, OuterParams, PackParams, PhaseParams,
    RecurrenceParams, ReduceParams, ScanParams, ScatterAddParams, SettleParams, SgdParams,
};
pub use table::{Access, Kernel, Row};
pub(crate) use tile::{ALONE, FLAT, STAGED};
pub use tile::{Cooperative, Tile};
pub use variant::{Function, Variant};
