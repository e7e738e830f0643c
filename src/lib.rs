#![doc = include_str!("../README.md")]
//!
//! ## Cargo features
//!
//! All features are on by default. Turn them off with `default-features = false`, and name those that you need.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `vulkan`, `metal`, `dx12` | wgpu's drivers for Linux, Android and Windows; macOS and iOS; Windows. Each is compiled only for systems that have it. With none of them, only the CPU device works outside of browsers |
//! | `train` | `Tape`, `Trainer`, `Model` and their parts. `Rnn::gradients` and `Rnn::training` work without it |
//! | `files` | weights of PyTorch's `.pt`, NumPy's `.npz` and Keras's `.keras` and `.h5` files in [`files`]; safetensors files need no feature |
//! | `onnx` | the module `onnx` |
//!
//! How many crates a build has (`cargo tree --package wgrnn --edges normal`, on Linux), and the size of the example `first_layer`
//! (`cargo build --release --package wgrnn --example first_layer`, x86-64, stripped):
//!
//! | features | crates | program |
//! | --- | ---: | ---: |
//! | none | 110 | 9.4 MB |
//! | `train` | 110 | 9.4 MB |
//! | `onnx` | 115 | 9.4 MB |
//! | `vulkan` | 115 | 10.7 MB |
//! | all, which are the default | 120 | 10.7 MB |
//!
//! The linker leaves out what a program does not use, so this program is no smaller without `train` and `onnx`. The compiled library
//! is (`libwgrnn.rlib` of these builds): 60 MB in place of 69 MB, with debug information.
//!
//! ## Public dependencies
//!
//! Types of wgpu 30 and ndarray 0.17 are part of the interface. The crate re-exports the two in the right versions as
//! `wgrnn::wgpu` and `wgrnn::ndarray`. A new major version of either leads to a new major version of wgrnn.
//!
//! ## What may grow
//!
//! A minor version may add variants to enums, and fields to structs and to variants. Such types are `#[non_exhaustive]`: match
//! enums with a wildcard arm and fields with `..`, and make structs with their functions, such as `RnnCall::default().carry(true)`.
//! The types below are complete by definition, so you can match them without a wildcard and build them from their fields. They
//! change only with a new major version.
//!
//! | type | why it is complete |
//! | --- | --- |
//! | [`Bias`] | a gate has two products, and each may have a bias or not |
//! | [`CellClip`] | it has the parameters of cuDNN's `cudnnRNNSetClip` |
//! | [`Direction`] | a sequence can be read forward, backward, or both ways |
//! | [`Reset`] | the reset gate acts either on the state before its product with R, or on the product |
//! | [`State`] | it has h, and c for everything else that a cell carries from step to step |
//! | [`dialects::Biases`] | a gate has two products, and each may have a bias or not |
//! | [`dialects::cudnn::Weights`] | it has the arrays of cuDNN's weight space |
//! | [`dialects::keras::Reads`] | a sequence can be read forward, backward, or both ways |
//! | [`dialects::keras::Weights`] | it has the arrays of Keras's `get_weights` |
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
pub mod files;
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
    BatchLengths, BeamSearch, Beams, CtcDecoded, CtcDecoding, DeviceState, Embedding, Hypothesis, Lengths, Linear,
    Output, PackedOutput, PackedSequence, RaggedOutput, Reserve, ResetTo, Rnn, RnnCall, RnnGradients, RnnOutput,
    RnnTraining, Sampling, Schedule, SequenceMap, Session, SessionOptions, State, Stream,
};
pub use parameters::Parameters;
pub use plan::{Difference, KernelTime, Plan, PlanBuilder, Profile, Program};
pub use readback::{Readable, read_together, read_together_async};
pub use tensor::{Element, Tensor};
#[cfg(feature = "train")]
pub use train::{
    Attention, Clip, Conv1d, CrossEntropy, CtcOptions, CtcTargets, Differentiable, EarlyStopping, Evaluation, IGNORED,
    Input, LearningRate, LossSlopes, Memory, Model, ModelConfig, ModelInput, MovingAverage, Optimizer, ParameterGroup,
    Predictor, Progress, ReduceOnPlateau, Reduction, Tape, Targets, Trainer, TrainerOptions, Verdict,
};
pub use weights::{LayerWeights, NormWeights, RnnWeights};
