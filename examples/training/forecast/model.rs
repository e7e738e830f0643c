//! Networks that forecast, their training, and how to ask them.

use crate::weather::{AHEAD, Batch, FEATURES, PAST};
use anyhow::Result;
use ndarray::{Array2, Axis, s};
use wgrnn::plan::Value;
use wgrnn::{
    Cell, Clip, Device, Evaluation, LearningRate, Model, ModelConfig, Optimizer, Output, RnnCall, RnnConfig, Tape,
    Tensor, Trainer, TrainerOptions,
};

/// A network over windows. Many-to-one: an LSTM reads the window, and a dense layer makes all hours of its last state.
/// One-to-many: the same LSTM without that layer, then another one that begins with its state and reads its own forecast,
/// hour by hour.
pub struct Network {
    reader: Model,
    /// The other one, where there is one.
    writer: Option<Model>,
}

impl Network {
    pub fn direct(device: &Device, hidden: usize, seed: u32) -> Result<Self> {
        let config = ModelConfig::features(RnnConfig::new(Cell::Lstm, FEATURES, hidden), AHEAD);
        Ok(Self { reader: Model::new(device, &config, seed)?, writer: None })
    }

    pub fn feed_back(device: &Device, hidden: usize, seed: u32) -> Result<Self> {
        let reader = ModelConfig::features(RnnConfig::new(Cell::Lstm, FEATURES, hidden), 1);
        let reader = reader.outputs(None);
        let writer = ModelConfig::features(RnnConfig::new(Cell::Lstm, 1, hidden), 1);
        let writer = Model::new(device, &writer, seed.wrapping_add(1))?;
        Ok(Self { reader: Model::new(device, &reader, seed)?, writer: Some(writer) })
    }

    /// Forecasts for windows: [N, AHEAD], or [AHEAD, N] where they feed back.
    fn forward(&self, tape: &mut Tape, windows: &Windows) -> Result<Value> {
        let past = tape.input(&windows.past)?;
        let batch = past.shape()[1];
        let read = RnnCall::default().output(Output::Last);
        let state = self.reader.device_state(batch)?;
        let y = self.reader.forward(tape, &past, &state, &read)?;
        let Some(writer) = &self.writer else { return Ok(y) };
        let now = tape.input(&windows.now)?;
        Ok(writer.feed_back(tape, &now, &state, AHEAD)?.reshape(&[AHEAD, batch])?)
    }

    fn hours_first(&self) -> bool {
        self.writer.is_some()
    }
}

/// A batch on a device.
pub struct Windows {
    past: Tensor,
    /// The last temperature known, [N, 1].
    now: Tensor,
    /// As [`Network::forward`] gives it.
    future: Tensor,
    hours_first: bool,
}

impl Windows {
    fn new(device: &Device, batch: usize, hours_first: bool) -> Result<Self> {
        let future = if hours_first { [AHEAD, batch] } else { [batch, AHEAD] };
        Ok(Self {
            past: Tensor::zeros(device, &[PAST, batch, FEATURES])?,
            now: Tensor::zeros(device, &[batch, 1])?,
            future: Tensor::zeros(device, &future)?,
            hours_first,
        })
    }

    pub fn write(&self, batch: &Batch) -> Result<()> {
        self.past.write(batch.past.view())?;
        self.now.write(batch.past.slice(s![PAST - 1, .., 0]).insert_axis(Axis(1)))?;
        let future = if self.hours_first { batch.future.t() } else { batch.future.view() };
        Ok(self.future.write(future)?)
    }
}

/// A network's training on batches of a size.
pub struct Training {
    pub trainer: Trainer,
    /// What a step learns from.
    pub windows: Windows,
}

impl Training {
    pub fn new(device: &Device, network: &Network, batch: usize, seed: u32) -> Result<Self> {
        let windows = Windows::new(device, batch, network.hours_first())?;
        let mut tape = Tape::training(device)?;
        let forecast = network.forward(&mut tape, &windows)?;
        let future = tape.input(&windows.future)?;
        tape.mean_squared_error(&forecast, &future)?;
        let options = TrainerOptions::new(Optimizer::ADAM)
            .learning_rate(LearningRate::Constant(3e-3))
            .clip(Clip::Norm(1.0))
            .seed(seed);
        Ok(Self { trainer: Trainer::new(tape, options)?, windows })
    }
}

/// A network's forecasts for so many windows at once.
pub struct Forecaster {
    evaluation: Evaluation,
    windows: Windows,
    forecasts: Tensor,
    batch: usize,
}

impl Forecaster {
    pub fn new(device: &Device, network: &Network, batch: usize) -> Result<Self> {
        let windows = Windows::new(device, batch, network.hours_first())?;
        let mut tape = Tape::evaluating(device)?;
        let forecast = network.forward(&mut tape, &windows)?;
        let forecasts = Tensor::zeros(device, forecast.shape())?;
        let out = tape.input(&forecasts)?;
        tape.plan().copy(&forecast, &out)?;
        Ok(Self { evaluation: tape.evaluation()?, windows, forecasts, batch })
    }

    /// Forecasts [windows, AHEAD], of the scale of the windows, which `batch` makes for some of them.
    pub fn forecast(&self, firsts: &[usize], batch: impl Fn(&[usize]) -> Batch) -> Result<Array2<f32>> {
        let mut all = Array2::zeros((firsts.len(), AHEAD));
        for (chunk, mut out) in firsts.chunks(self.batch).zip(all.axis_chunks_iter_mut(Axis(0), self.batch)) {
            // The last batch is filled up with its first window.
            let mut full = chunk.to_vec();
            full.resize(self.batch, chunk[0]);
            self.windows.write(&batch(&full))?;
            self.evaluation.run()?;
            let forecasts: Array2<f32> = self.forecasts.read()?.into_dimensionality()?;
            let forecasts = if self.windows.hours_first { forecasts.reversed_axes() } else { forecasts };
            out.assign(&forecasts.slice(s![..chunk.len(), ..]));
        }
        Ok(all)
    }
}
