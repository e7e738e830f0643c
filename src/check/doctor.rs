//! What a doctor examines: a layer of every cell and form, small, by every schedule.

use super::layer::LayerReport;
use crate::cells::{Cell, Reset};
use crate::config::{Direction, RnnConfig};
use crate::device::{Device, block_on, elsewhere, may_wait};
use crate::error::Result;
use crate::layer::{Lengths, Rnn, RnnCall, Schedule};
use crate::weights::RnnWeights;
use ndarray::Array3;

/// Input features and hidden units: neither a multiple of what kernels like.
const FEATURES: usize = 20;
const HIDDEN: usize = 33;
/// Steps of each sequence.
const LENGTHS: [usize; 3] = [6, 2, 5];
const STEPS: usize = 6;

/// A small layer of every cell, and of every form that has kernels or tensors of its own, with a name. Meant for
/// [`layer`] and [`gradients`].
pub fn layers() -> Vec<(&'static str, RnnConfig)> {
    let new = |cell| RnnConfig::new(cell, FEATURES, HIDDEN);
    let gru = Cell::Gru(Reset::After);
    let others = [
        ("lstm with projection", new(Cell::Lstm).projection(12)),
        ("lstm with norms", new(Cell::Lstm).layer_norm(true)),
        ("gru with norms", new(gru).layer_norm(true)),
        ("slstm of three heads", new(Cell::Slstm).heads(3)),
        ("lstm with zoneout", new(Cell::Lstm).zoneout(0.2, 0.1)),
        ("gru with recurrent dropout", new(gru).recurrent_dropout(0.25)),
    ];
    let all = Cell::ALL.into_iter().map(|cell| (cell.name(), new(cell))).chain(others);
    all.map(|(name, config)| (name, config.layers(2).direction(Direction::Bidirectional))).collect()
}

/// Compares a layer of this configuration with the textbook equations: three sequences of different lengths, by every
/// schedule but `Grid`.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{Cell, Device, RnnConfig, check};
/// let report = check::layer(&Device::auto(), &RnnConfig::new(Cell::MinGru, 4, 8))?;
/// assert!(report.passed(), "{report}");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Rnn::check`]; a difference is no error but a report that has not passed.
pub fn layer(device: &Device, config: &RnnConfig) -> Result<LayerReport> {
    block_on(layer_async(device, config))
}

/// The asynchronous form of [`layer`].
///
/// # Errors
/// As [`layer`].
pub async fn layer_async(device: &Device, config: &RnnConfig) -> Result<LayerReport> {
    if !may_wait() {
        let (device, config) = (device.clone(), config.clone());
        return elsewhere(move || async move { layer_async(&device, &config).await }).await;
    }
    let rnn = Rnn::new(device, config, RnnWeights::init(config, 0)?)?;
    let x = input(config);
    let mut all = LayerReport::default();
    for call in calls() {
        all.add(rnn.check_async(x.view(), None, &call).await?);
    }
    Ok(all)
}

/// Compares the gradients of a layer of this configuration with those of the CPU twins: three sequences of different
/// lengths, by every schedule but `Grid`.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{Cell, Device, RnnConfig, check};
/// let report = check::gradients(&Device::auto(), &RnnConfig::new(Cell::MinGru, 4, 8))?;
/// assert!(report.passed(), "{report}");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Rnn::check_gradients`]; a difference is no error but a report that has not passed.
pub fn gradients(device: &Device, config: &RnnConfig) -> Result<LayerReport> {
    block_on(gradients_async(device, config))
}

/// The asynchronous form of [`gradients`].
///
/// # Errors
/// As [`gradients`].
pub async fn gradients_async(device: &Device, config: &RnnConfig) -> Result<LayerReport> {
    if !may_wait() {
        let (device, config) = (device.clone(), config.clone());
        return elsewhere(move || async move { gradients_async(&device, &config).await }).await;
    }
    let rnn = Rnn::trainable(device, config, &RnnWeights::init(config, 0)?)?;
    let x = input(config);
    let mut all = LayerReport::default();
    for call in calls() {
        all.add(rnn.check_gradients_async(x.view(), &call).await?);
    }
    Ok(all)
}

fn input(config: &RnnConfig) -> Array3<f32> {
    let shape = config.sequence_shape(STEPS, LENGTHS.len(), config.input_size());
    Array3::from_shape_fn(shape, |(t, n, i)| ((t * 31 + n * 17 + i * 7) % 23) as f32 / 11.5 - 1.0)
}

/// By every schedule, whose comparisons are in one report. `Grid` is left out: few adapters can.
fn calls() -> impl Iterator<Item = RnnCall> {
    let call = |schedule| RnnCall { lengths: Lengths::Fixed(LENGTHS.to_vec()), schedule, ..RnnCall::default() };
    Schedule::ALL.into_iter().filter(|schedule| !matches!(schedule, Schedule::Auto | Schedule::Grid)).map(call)
}
