//! Stacks of recurrent layers: weights on a device, and the ways to call them.

use super::matrices::{DeviceLayer, PackedPart};
use super::pack::{PackedMatrices, pack};
use super::rows::BatchLengths;
use super::session::Session;
use super::state::DeviceState;
use crate::config::RnnConfig;
use crate::device::{Device, block_on};
use crate::error::{Error, Result};
use crate::parameters::{Parameters, upload};
use crate::plan::PlanBuilder;
use crate::weights::RnnWeights;
use std::sync::{Arc, Mutex};

/// A stack of recurrent layers on a device. Clones are cheap handles of the same layers.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::Array3;
/// use wgrnn::{Cell, Device, Rnn, RnnConfig, RnnWeights};
/// let config = RnnConfig::new(Cell::Lstm, 4, 8);
/// let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
/// let output = rnn.forward(Array3::ones((5, 2, 4)).view())?;
/// assert_eq!(output.y.shape(), [5, 2, 8]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Rnn(Arc<Shared>);

/// What clones share.
pub(super) struct Shared {
    config: RnnConfig,
    device: Device,
    weights: Weights,
    layers: Vec<DeviceLayer>,
    /// Sessions of the last calls' shapes, the latest at the end.
    sessions: Mutex<Vec<Session>>,
    /// Held by whoever computes gradients, which all go to the same memory.
    alone: Mutex<()>,
}

/// Weights on the host, or where training changes them.
pub(super) enum Weights {
    Fixed(Arc<RnnWeights>),
    Trainable(Parameters),
}

/// Shapes that a layer keeps programs for.
pub(super) const SESSIONS: usize = 8;

impl Rnn {
    /// Makes layers with fixed weights, which are copied to the device. They are kept on the host too, for
    /// [`check`](crate::check) and for saving.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for an impossible configuration, [`Shape`](Error::Shape),
    /// [`NotFinite`](Error::NotFinite) and [`MissingWeight`](Error::MissingWeight) for weights that don't fit it,
    /// [`Limit`](Error::Limit) where the adapter allows less memory than they need.
    pub fn new(device: &Device, config: &RnnConfig, weights: RnnWeights) -> Result<Self> {
        config.validate()?;
        weights.check(config)?;
        weights.check_precision(config)?;
        let arrays: Vec<_> = weights.named().collect();
        let words = arrays.iter().map(|(_, array)| array.len()).sum();
        let block = upload(device, "weights", &arrays)?;
        drop(arrays);
        let layers = DeviceLayer::stack(device, config, false)?;
        let weights = Weights::Fixed(Arc::new(weights.of(config)));
        let shared = Shared {
            config: config.clone(),
            device: device.clone(),
            layers,
            weights,
            sessions: Mutex::default(),
            alone: Mutex::default(),
        };
        let rnn = Self(Arc::new(shared));
        pack(device, &block, words, rnn.matrices())?;
        Ok(rnn)
    }

    /// Makes layers that can be trained. Their [`Parameters`] have PyTorch's names.
    ///
    /// # Errors
    /// As [`Rnn::new`].
    pub fn trainable(device: &Device, config: &RnnConfig, weights: &RnnWeights) -> Result<Self> {
        config.validate()?;
        config.form().check_training()?;
        weights.check(config)?;
        weights.check_precision(config)?;
        let parameters = Parameters::new(device, weights.named())?;
        let rnn = Self(Arc::new(Shared {
            config: config.clone(),
            device: device.clone(),
            layers: DeviceLayer::stack(device, config, true)?,
            weights: Weights::Trainable(parameters),
            sessions: Mutex::default(),
            alone: Mutex::default(),
        }));
        rnn.refresh()?;
        Ok(rnn)
    }

    /// Its trainable weights; `None` for a layer with fixed weights.
    pub fn parameters(&self) -> Option<&Parameters> {
        match &self.0.weights {
            Weights::Fixed(_) => None,
            Weights::Trainable(parameters) => Some(parameters),
        }
    }

    /// Makes the layers use the weights that were written into their [`Parameters`]. Does nothing for layers with fixed
    /// weights.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where the driver fails.
    pub fn refresh(&self) -> Result<()> {
        if self.parameters().is_none() {
            return Ok(());
        }
        let mut plan = PlanBuilder::new(&self.0.device);
        self.emit_refresh(&mut plan);
        plan.build()?.run()
    }

    /// The same as commands of a plan.
    pub(crate) fn emit_refresh(&self, plan: &mut PlanBuilder) {
        if let Some(parameters) = self.parameters() {
            let weights = plan.parts("parameters", parameters.values(), parameters.len());
            self.matrices().for_each(|matrices| matrices.emit_pack(plan, &weights));
        }
    }

    /// The configuration.
    pub fn config(&self) -> &RnnConfig {
        &self.0.config
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The weights: those that were given, or, for trainable layers, those on the device now.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where the device was lost, [`NotFinite`](Error::NotFinite) where training has made them so.
    pub fn weights(&self) -> Result<Arc<RnnWeights>> {
        block_on(self.weights_async())
    }

    /// The asynchronous form of [`Rnn::weights`].
    ///
    /// # Errors
    /// As [`Rnn::weights`].
    pub async fn weights_async(&self) -> Result<Arc<RnnWeights>> {
        match &self.0.weights {
            Weights::Fixed(weights) => Ok(weights.clone()),
            Weights::Trainable(parameters) => {
                RnnWeights::from_named(&self.0.config, &parameters.read_async().await?).map(Arc::new)
            }
        }
    }

    /// Makes a state of zeros on the device, for `batch` sequences.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for `batch` 0.
    pub fn device_state(&self, batch: usize) -> Result<DeviceState> {
        DeviceState::new(&self.0.device, &self.0.config, batch)
    }

    /// Makes lengths on the device that may change from run to run of one plan, for [`Lengths::PerRun`](crate::Lengths::PerRun): of `batch`
    /// sequences of at most `steps` steps.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where an axis is 0.
    pub fn batch_lengths(&self, steps: usize, batch: usize) -> Result<BatchLengths> {
        BatchLengths::new(&self.0.device, &self.0.config, steps, batch)
    }

    pub(crate) fn input_weights(&self, layer: usize) -> &PackedPart {
        &self.0.layers[layer].input
    }

    pub(crate) fn recurrent_weights(&self, layer: usize) -> &PackedPart {
        &self.0.layers[layer].recurrent
    }

    /// All packed matrices, shared ones once.
    fn matrices(&self) -> impl Iterator<Item = &PackedMatrices> {
        let mut seen = Vec::new();
        let places =
            self.0.layers.iter().flat_map(|layer| [&layer.input, &layer.recurrent]).map(|place| &place.matrices);
        let own = places.filter(move |matrices| {
            let is_new = !seen.contains(&Arc::as_ptr(matrices));
            seen.push(Arc::as_ptr(matrices));
            is_new
        });
        let others = self.0.layers.iter().flat_map(|layer| layer.backward.iter().flatten().chain(&layer.gains));
        own.map(|matrices| &**matrices).chain(others)
    }

    /// Sessions of the last calls' shapes, the latest at the end.
    pub(super) fn sessions(&self) -> &Mutex<Vec<Session>> {
        &self.0.sessions
    }

    /// What is held while gradients are computed.
    pub(super) fn alone(&self) -> &Mutex<()> {
        &self.0.alone
    }

    /// Whether two handles are the same layers.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What a layer's norms multiply with and add.
    pub(crate) fn gains(&self, layer: usize) -> Option<&PackedMatrices> {
        self.0.layers[layer].gains.as_ref()
    }

    /// W and R as gradients multiply them; an error where the layer can't be trained.
    pub(crate) fn backward_weights(&self, layer: usize) -> Result<&[PackedMatrices; 2]> {
        let weights = self.0.layers[layer].backward.as_ref();
        weights.ok_or_else(|| Error::value("layer", "one made by Rnn::trainable", "one made by Rnn::new"))
    }
}

impl std::fmt::Debug for Rnn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rnn").field("config", &self.0.config).field("device", &self.0.device).finish_non_exhaustive()
    }
}
