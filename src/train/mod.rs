//! Training: a tape that writes forward and backward pass into one plan, losses, optimisers, checkpoints, and models that
//! put them together.

mod average;
mod averages;
mod backward;
mod checkpoint;
mod ctc;
mod ctc_targets;
mod differentiable;
mod early_stopping;
mod evaluation;
mod gradient_sums;
mod groups;
mod layers;
mod learning_rate;
mod losses;
mod model;
mod names;
mod operations;
mod optimizer;
mod options;
mod paths;
mod predictor;
mod run;
mod segments;
mod softmax;
mod swap;
mod tape;
mod trained;
mod trainer;
mod update;

pub use average::MovingAverage;
pub use ctc::{CtcOptions, Reduction};
pub use ctc_targets::CtcTargets;
pub use differentiable::{Differentiable, LossSlopes};
pub use early_stopping::{EarlyStopping, Verdict};
pub use evaluation::Evaluation;
pub use groups::ParameterGroup;
pub use learning_rate::{LearningRate, ReduceOnPlateau};
pub use losses::{CrossEntropy, IGNORED};
pub use model::{Input, Model, ModelConfig, Targets};
pub use optimizer::{Clip, Optimizer};
pub use options::{Progress, TrainerOptions};
pub use predictor::{ModelInput, Predictor};
pub use tape::Tape;
pub use trainer::Trainer;
