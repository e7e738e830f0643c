#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]
// Training alone uses some of what lies below it.
#![cfg_attr(not(feature = "train"), allow(dead_code, unused_imports))]

pub mod cells;
pub mod check;
mod config;
pub(crate) mod cpu;
mod device;
pub mod dialects;
mod error;
pub mod kernels;
mod layer;
mod memory;
#[cfg(feature = "onnx")]
pub mod onnx;
mod parameters;
pub mod plan;
mod readback;
pub mod reference;
mod storage;
mod tensor;
#[cfg(feature = "train")]
mod train;
mod tune;
mod weights;

pub use ndarray;
pub use wgpu;

pub use cells::{Activation, Cell, CellClip, Coefficient, Reset};
pub use config::{Bias, Direction, Precision, RnnConfig};
#[cfg(not(target_arch = "wasm32"))]
pub use device::adapters;
pub use device::{
    AdapterReport, Autotune, Class, Device, Features, GpuOptions, Limits, Trial, TuningReport, adapters_async,
};
pub use error::{Error, Result};
pub use layer::{
    BatchLengths, DeviceState, Embedding, Lengths, Linear, Output, Reserve, Rnn, RnnCall, RnnGradients, RnnOutput,
    RnnTraining, Schedule, Session, SessionOptions, State, Stream,
};
pub use parameters::Parameters;
pub use plan::{KernelTime, Plan, PlanBuilder, Profile, Program};
pub use readback::{Readable, read_together, read_together_async};
pub use tensor::{Element, Tensor};
#[cfg(feature = "train")]
pub use train::{
    Clip, Evaluation, IGNORED, Input, LearningRate, Model, ModelConfig, ModelInput, Optimizer, Predictor, Progress,
    Tape, Targets, Trainer, TrainerOptions,
};
pub use weights::{LayerWeights, NormWeights, RnnWeights};
