//! The kernels' CPU twins: the same work on slices, for the CPU device and for parity tests.
//!
//! Each file has the name of its kernel and one entry point, `run`. Tile sizes are a matter of the GPU's; twins heed the
//! parameters, not the grid.

pub(crate) mod adam;
pub(crate) mod apply;
pub(crate) mod argmax;
pub(crate) mod attend;
pub(crate) mod average;
pub(crate) mod backward;
pub(crate) mod beam;
mod call;
pub(crate) mod cross_entropy;
pub(crate) mod ctc_beam;
pub(crate) mod ctc_gradient;
pub(crate) mod ctc_greedy;
pub(crate) mod ctc_labels;
pub(crate) mod ctc_lattice;
pub(crate) mod dropout;
pub(crate) mod element_loss;
pub(crate) mod fold;
mod formula;
pub(crate) mod gather;
pub(crate) mod gemm;
pub(crate) mod grid;
pub(crate) mod guard;
pub(crate) mod links;
pub(crate) mod log_sum_exp;
pub(crate) mod map;
pub(crate) mod masks;
pub(crate) mod norm_step;
pub(crate) mod norm_step_backward;
pub(crate) mod outer;
mod overflow;
pub(crate) mod own;
pub(crate) mod pack;
pub(crate) mod product;
pub(crate) mod recurrence;
pub(crate) mod reduce;
pub(crate) mod rms_prop;
mod rows;
pub(crate) mod running_mean;
pub(crate) mod sample;
pub(crate) mod scan;
pub(crate) mod scan_backward;
pub(crate) mod scatter_add;
pub(crate) mod scratch;
mod selection;
pub(crate) mod sequence;
pub(crate) mod sequence_backward;
pub(crate) mod settle;
pub(crate) mod sgd;
mod shares;
pub(crate) mod step;
pub(crate) mod step_backward;
pub(crate) mod threads;
mod threefry;
mod twins;
pub(crate) mod wave;
mod zoneout;

pub(crate) use call::{Call, View, halves, write_halves};
pub(crate) use scratch::Scratch;
pub(crate) use twins::twin;
