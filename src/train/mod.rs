//! Training: a tape that writes forward and backward pass into one plan, losses, optimisers, checkpoints, and models that
//! put them together.

mod average;
mod averages;
mod backward;
mod checkpoint;
mod early_stopping;
mod evaluation;
mod groups;
mod layers;
mod learning_rate;
mod model;
mod names;
mod optimizer;
mod options;
mod paths;
mod predictor;
mod run;
mod segments;
mod swap;
mod tape;
mod trained;
mod trainer;
mod update;

pub use average::MovingAverage;
pub use early_stopping::{EarlyStopping, Verdict};
pub use evaluation::Evaluation;
pub use groups::ParameterGroup;
pub use learning_rate::{LearningRate, ReduceOnPlateau};
pub use model::{Input, Model, ModelConfig, Targets};
pub use optimizer::{Clip, Optimizer};
pub use options::{Progress, TrainerOptions};
pub use predictor::{ModelInput, Predictor};
pub use tape::{IGNORED, Tape};
pub use trainer::Trainer;
