//! Training: a tape that writes forward and backward pass into one plan, losses, optimisers, checkpoints, and models that
//! put them together.

mod backward;
mod checkpoint;
mod ctc;
mod ctc_targets;
mod differentiable;
mod gradient_sums;
mod losses;
mod model;
mod names;
mod operations;
mod optimizer;
mod paths;
mod predictor;
mod softmax;
mod tape;
mod trainer;

pub use ctc::{CtcOptions, Reduction};
pub use ctc_targets::CtcTargets;
pub use differentiable::{Differentiable, LossSlopes};
pub use losses::{CrossEntropy, IGNORED};
pub use model::{Input, Model, ModelConfig, Targets};
pub use optimizer::{Clip, LearningRate, Optimizer};
pub use predictor::{ModelInput, Predictor};
pub use tape::{Evaluation, Tape};
pub use trainer::{Progress, Trainer, TrainerOptions};
