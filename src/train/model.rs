//! Models put together: embedding, recurrent layers, head.

use super::losses::IGNORED;
use super::names::is_for_training;
use super::predictor::{InputTensor, ModelInput, Predictor};
use super::tape::Tape;
use super::trainer::Trainer;
use crate::cells::Probability;
use crate::config::RnnConfig;
use crate::device::{Device, block_on, elsewhere, locked, may_wait};
use crate::error::{Error, Result};
use crate::layer::{DeviceState, Embedding, Linear, Output, Rnn, RnnCall, SessionOptions, sequence_sizes};
use crate::parameters::Parameters;
use crate::plan::Value;
use crate::readback::read_together_async;
use crate::tensor::Tensor;
use crate::weights::RnnWeights;
use crate::weights::files::{Archive, Extent, equations, of_file, read_file, replace, serialize};
use ndarray::{Array1, Array2, ArrayD, ArrayView, Dimension};
use rand_mt::Mt;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What a [`Model`] reads.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Input {
    /// Symbols, [T, N] or [N, T]. A trainable table has a vector for each.
    #[non_exhaustive]
    Tokens {
        /// The number of symbols.
        symbols: usize,
        /// The standard deviation of the table's initial numbers, which are uniformly distributed.
        deviation: f32,
    },
    /// Vectors of the recurrent layers' input size, [T, N, I] or [N, T, I].
    Features,
}

impl Input {
    /// Symbols, with a trainable table whose initial numbers have this standard deviation; PyTorch's `Embedding` has 1.
    pub const fn tokens(symbols: usize, deviation: f32) -> Self {
        Self::Tokens { symbols, deviation }
    }
}

/// The parts of a [`Model`].
///
/// ```
/// use wgrnn::{Cell, Input, ModelConfig, RnnConfig};
/// // A classifier of texts: an embedding of 1000 symbols, a minGRU, 2 scores.
/// let config = ModelConfig::features(RnnConfig::new(Cell::MinGru, 32, 64), 2)
///     .input(Input::tokens(1000, 0.1))
///     .dropout(0.3);
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModelConfig {
    /// What the model reads.
    pub input: Input,
    /// The recurrent layers. Their input size is also the length of the embedding's vectors.
    pub rnn: RnnConfig,
    /// The number of scores that a dense layer with a bias makes of each output. `None`: no dense layer, so that the
    /// recurrent output itself is given.
    pub outputs: Option<usize>,
    /// Whether the dense layer's weight is the embedding's table, without a bias. Then there are as many outputs as
    /// symbols, and as many recurrent outputs as features.
    pub tied: bool,
    /// Probability of dropout on what the recurrent layers read and on what they give.
    pub dropout: f64,
}

impl ModelConfig {
    /// A model that reads symbols and gives a score for each symbol.
    pub const fn language(symbols: usize, rnn: RnnConfig) -> Self {
        let input = Input::tokens(symbols, 1.0);
        Self { input, rnn, outputs: Some(symbols), tied: false, dropout: 0.0 }
    }

    /// A model that reads vectors and gives `outputs` numbers.
    pub const fn features(rnn: RnnConfig, outputs: usize) -> Self {
        Self { input: Input::Features, rnn, outputs: Some(outputs), tied: false, dropout: 0.0 }
    }

    /// Sets the recurrent layers.
    pub fn rnn(self, rnn: RnnConfig) -> Self {
        Self { rnn, ..self }
    }

    /// Sets what the model reads.
    pub fn input(self, input: Input) -> Self {
        Self { input, ..self }
    }

    /// Sets the number of scores; `None` for no dense layer.
    pub fn outputs(self, outputs: impl Into<Option<usize>>) -> Self {
        Self { outputs: outputs.into(), ..self }
    }

    /// Sets whether the dense layer's weight is the embedding's table.
    pub fn tied(self, tied: bool) -> Self {
        Self { tied, ..self }
    }

    /// Sets the probability of dropout on what the recurrent layers read and on what they give.
    pub fn dropout(self, probability: f64) -> Self {
        Self { dropout: probability, ..self }
    }
}

/// Embedding, recurrent layers and dense layer (the head), with weights that can be trained. It covers four shapes of
/// problems:
///
/// | shape | how |
/// | --- | --- |
/// | many-to-many: a score for each step | [`Model::forward`] with [`Output::All`] |
/// | many-to-one: a score for each sequence | [`Model::forward`] with [`Output::Last`] |
/// | one-to-many: what it gave is what it reads next | [`Model::feed_back`] |
/// | encoder-decoder | [`Model::forward`] of one, then of another with the same state and `carry` |
///
/// Clones are handles of the same model.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Cell, Device, Model, ModelConfig, RnnConfig};
/// let config = ModelConfig::language(5, RnnConfig::new(Cell::Lstm, 3, 4));
/// let model = Model::new(&Device::auto(), &config, 0)?;
/// // Two sequences of three tokens: a score of each of the 5 symbols at each step.
/// let scores = model.predict(array![[0, 4], [1, 1], [2, 3]].view())?;
/// assert_eq!(scores.shape(), [3, 2, 5]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Model(Arc<Shared>);

/// What clones share.
struct Shared {
    config: ModelConfig,
    embedding: Option<Embedding>,
    rnn: Rnn,
    head: Option<Linear>,
    /// Predictors of the last calls' shapes, the latest at the end.
    predictors: Mutex<Vec<Predictor>>,
}

/// Shapes that a model keeps predictors for.
const PREDICTORS: usize = 8;

/// Seeds of the parts, so that none depends on another.
const EMBEDDING_SEED: u32 = 0x656d_6265;
const HEAD_SEED: u32 = 0x6865_6164;

impl Model {
    /// Makes a model with initial weights: the recurrent layers as in PyTorch, the head uniform over ±1/√inputs.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a configuration that can't be, and what allocating memory may give.
    pub fn new(device: &Device, config: &ModelConfig, seed: u32) -> Result<Self> {
        let features = config.rnn.input_size();
        let matrix = |rows: usize, columns: usize, bound: f32, seed: u32| {
            let mut generator = Mt::new(seed);
            let uniform = || ((generator.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0) * bound;
            let count = crate::tensor::elements(&[rows, columns])?;
            let numbers = crate::memory::collected("weights", count, std::iter::repeat_with(uniform).take(count))?;
            Array2::from_shape_vec((rows, columns), numbers)
                .map_err(|_| Error::shape("weights", [rows, columns], [count]))
        };
        let rnn = Rnn::trainable(device, &config.rnn, &RnnWeights::init(&config.rnn, seed)?)?;
        let embedding = match config.input {
            Input::Tokens { symbols, deviation } => {
                let table = matrix(symbols, features, deviation * 3.0_f32.sqrt(), seed ^ EMBEDDING_SEED)?;
                Some(Embedding::trainable(device, table.view())?)
            }
            Input::Features => None,
        };
        let inputs = config.rnn.output_size();
        let head = match (config.outputs, config.tied, &embedding) {
            (None, ..) => None,
            (Some(outputs), false, _) => {
                let bound = 1.0 / (inputs as f32).sqrt();
                let weight = matrix(outputs, inputs, bound, seed ^ HEAD_SEED)?;
                let bias: Array1<f32> = matrix(1, outputs, bound, seed ^ HEAD_SEED ^ 1)?.into_iter().collect();
                Some(Linear::trainable(device, weight.view(), Some(bias.view()))?)
            }
            (Some(outputs), true, Some(embedding)) if (embedding.symbols(), features) == (outputs, inputs) => {
                Some(Linear::tied(embedding)?)
            }
            (Some(outputs), true, _) => {
                let what = "outputs and recurrent output of a tied head";
                return Err(Error::value(what, "the embedding's symbols and features", format!("{outputs}, {inputs}")));
            }
        };
        Probability::new(config.dropout).check("dropout probability")?;
        let predictors = Mutex::default();
        Ok(Self(Arc::new(Shared { config: config.clone(), embedding, rnn, head, predictors })))
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.0.config
    }

    /// The recurrent layers.
    pub fn rnn(&self) -> &Rnn {
        &self.0.rnn
    }

    /// The embedding, if symbols are read.
    pub fn embedding(&self) -> Option<&Embedding> {
        self.0.embedding.as_ref()
    }

    /// The head, if there is one.
    pub fn head(&self) -> Option<&Linear> {
        self.0.head.as_ref()
    }

    /// Makes a state of zeros for `batch` sequences.
    ///
    /// # Errors
    /// As [`Rnn::device_state`].
    pub fn device_state(&self, batch: usize) -> Result<DeviceState> {
        self.0.rnn.device_state(batch)
    }

    /// Writes the forward pass on a tape: scores [..., outputs] for symbols or vectors, from and to a state.
    ///
    /// # Errors
    /// As [`Tape::rnn`], and [`Value`](Error::Value) for tokens where vectors are read or the other way around.
    pub fn forward(&self, tape: &mut Tape, x: &Value, state: &DeviceState, call: &RnnCall) -> Result<Value> {
        let x = match &self.0.embedding {
            Some(embedding) => tape.embedding(embedding, x)?,
            None => x.clone(),
        };
        let x = tape.dropout(&x, self.0.config.dropout)?;
        let y = tape.rnn(&self.0.rnn, &x, state, call)?;
        let y = tape.dropout(&y, self.0.config.dropout)?;
        self.0.head.as_ref().map_or(Ok(y.clone()), |head| tape.linear(head, &y))
    }

    /// Writes `steps` steps on a tape in which each output is what the next step reads: one-to-many. The first step
    /// reads `x` [N, I]. Gives all outputs, [steps, N, outputs]. Gradients flow back through what was read.
    ///
    /// # Errors
    /// [`Value`](Error::Value) unless vectors are read and outputs are as long as inputs, and for no step; as [`Tape::rnn`].
    pub fn feed_back(&self, tape: &mut Tape, x: &Value, state: &DeviceState, steps: usize) -> Result<Value> {
        let features = self.0.config.rnn.input_size();
        let Some(head) = self.0.head.as_ref().filter(|head| self.0.embedding.is_none() && head.outputs == features)
        else {
            return Err(Error::value(
                "model that feeds back",
                "vectors in, as long ones out",
                format!("{:?}", self.0.config),
            ));
        };
        let &[batch, _] = x.shape() else {
            return Err(Error::shape("first input", format!("[N, {features}]"), x.shape()));
        };
        if steps == 0 {
            return Err(Error::value("steps of a model that feeds back", "at least 1", steps));
        }
        let all = tape.plan().fresh("outputs fed back", &[steps, batch, features])?;
        let mut read = x.clone();
        let shape = self.0.config.rnn.sequence_shape(1, batch, features);
        for step in 0..steps {
            let call = RnnCall { carry: true, output: Output::Last, ..RnnCall::default() };
            let h = tape.rnn(&self.0.rnn, &read.reshape(&shape)?, state, &call)?;
            read = all.at(step)?;
            tape.linear_into(head, &h, &read)?;
        }
        Ok(all)
    }

    /// What the model gives for tokens or features of the host's, all sequences at full length, from a state of zeros:
    /// [T, N, outputs], or [N, T, outputs] where the recurrent layers are batch-first. Programs for the last few shapes are kept.
    ///
    /// # Errors
    /// As [`Predictor::predict`] and [`Model::predictor`].
    pub fn predict<'a>(&self, x: impl Into<ModelInput<'a>>) -> Result<ArrayD<f32>> {
        block_on(self.predict_async(x))
    }

    /// The asynchronous form of [`Model::predict`].
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub async fn predict_async<'a>(&self, x: impl Into<ModelInput<'a>>) -> Result<ArrayD<f32>> {
        let x = x.into();
        if may_wait() {
            return self.predict_here(x).await;
        }
        let model = self.clone();
        match x {
            ModelInput::Tokens(tokens) => {
                let tokens = tokens.to_owned();
                elsewhere(move || async move { model.predict_here(tokens.view().into()).await }).await
            }
            ModelInput::Features(features) => {
                let features = features.to_owned();
                elsewhere(move || async move { model.predict_here(features.view().into()).await }).await
            }
        }
    }

    async fn predict_here(&self, x: ModelInput<'_>) -> Result<ArrayD<f32>> {
        let (axes, is_fit) = match (&self.0.config.input, x.shape()) {
            (Input::Tokens { .. }, shape) => ("[T, N]", shape.len() == 2),
            (Input::Features, shape) => ("[T, N, I]", shape.len() == 3),
        };
        let (&[a, b, ..], true) = (x.shape(), is_fit) else {
            return Err(Error::shape("input of the model", format!("{axes}, or N first"), x.shape()));
        };
        let (steps, batch) = if self.0.config.rnn.is_batch_first() { (b, a) } else { (a, b) };
        let options = SessionOptions { steps, batch, call: RnnCall::default() };
        // Taken out while it is used: another thread that calls with this shape meanwhile makes one of its own.
        let kept = {
            let mut predictors = locked(&self.0.predictors);
            let place = predictors.iter().position(|predictor| *predictor.options() == options);
            place.map(|place| predictors.remove(place))
        };
        let predictor = kept.map_or_else(|| self.predictor(options), Ok)?;
        let y = predictor.predict_async(x).await?;
        let mut predictors = locked(&self.0.predictors);
        if predictors.len() == PREDICTORS {
            predictors.remove(0);
        }
        predictors.push(predictor);
        Ok(y)
    }

    /// A program for one shape, to be run on one input after another: with lengths, for the last step only, or with a state that is
    /// carried from call to call, as `options` say.
    ///
    /// # Errors
    /// As [`Model::forward`] and [`PlanBuilder::build`](crate::PlanBuilder::build).
    pub fn predictor(&self, options: SessionOptions) -> Result<Predictor> {
        let SessionOptions { steps, batch, call } = &options;
        let (device, rnn) = (self.0.rnn.device(), &self.0.config.rnn);
        let shape = rnn.sequence_shape(*steps, *batch, rnn.input_size());
        // Whether the shape can be, before memory is asked for.
        sequence_sizes(rnn, &shape)?;
        let mut tape = Tape::evaluating(device)?;
        let (input, x) = match self.0.config.input {
            Input::Tokens { symbols, .. } => {
                let tensor = Tensor::zeros(device, &shape[..2])?;
                let x = tape.input(&tensor)?;
                (InputTensor::Tokens { tensor, symbols }, x)
            }
            Input::Features => {
                let tensor = Tensor::zeros(device, &shape)?;
                let x = tape.input(&tensor)?;
                (InputTensor::Features(tensor), x)
            }
        };
        let state = self.device_state(*batch)?;
        let y = self.forward(&mut tape, &x, &state, call)?;
        let output = Tensor::zeros(device, y.shape())?;
        let out = tape.input(&output)?;
        tape.plan().copy(&y, &out)?;
        Ok(Predictor { input, output, state, evaluation: tape.evaluation()?, options })
    }

    /// Its parameters with their names in files: `embedding.`, `rnn.`, `head.`.
    pub fn parameters(&self) -> Vec<(&'static str, &Parameters)> {
        let mut all = Vec::new();
        all.extend(self.0.embedding.as_ref().map(|embedding| ("embedding.", embedding.parameters())));
        all.extend(self.0.rnn.parameters().map(|parameters| ("rnn.", parameters)));
        if !self.0.config.tied {
            all.extend(self.0.head.as_ref().and_then(Linear::parameters).map(|parameters| ("head.", parameters)));
        }
        all
    }

    /// Gives its parameters names in a trainer's checkpoints, each after `prefix`.
    ///
    /// # Errors
    /// As [`Trainer::name`].
    pub fn name(&self, trainer: &mut Trainer, prefix: &str) -> Result<()> {
        self.parameters()
            .into_iter()
            .try_for_each(|(name, parameters)| trainer.name(&format!("{prefix}{name}"), parameters))
    }

    /// Reads its weights from a safetensors file, such as a checkpoint, in which names begin with `prefix`. Other
    /// tensors under the prefix are an error, except for what a checkpoint holds for training; [`Model::load_partial`]
    /// leaves them out. A file whose recurrent layers are of another cell is an error too. Everything is checked before
    /// the first weight is changed.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Safetensors`](Error::Safetensors) for a damaged file or one of another format,
    /// [`MissingWeight`](Error::MissingWeight) with what the file has instead, [`LeftOver`](Error::LeftOver),
    /// [`Shape`](Error::Shape), [`NotFinite`](Error::NotFinite), [`Value`](Error::Value) for layers of another cell.
    pub fn load(&self, path: impl AsRef<Path>, prefix: &str) -> Result<()> {
        self.load_safetensors(&read_file(path.as_ref())?, prefix).map_err(of_file(path.as_ref()))
    }

    /// As [`Model::load`], from the bytes of a file.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_safetensors(&self, bytes: &[u8], prefix: &str) -> Result<()> {
        self.extract(bytes, prefix, Extent::Whole).map(|_| ())
    }

    /// Reads its weights from a file that has more tensors under the prefix, and gives the names of those that were
    /// left out.
    ///
    /// # Errors
    /// As [`Model::load`], but for tensors that are left over.
    pub fn load_partial(&self, path: impl AsRef<Path>, prefix: &str) -> Result<Vec<String>> {
        self.load_safetensors_partial(&read_file(path.as_ref())?, prefix).map_err(of_file(path.as_ref()))
    }

    /// As [`Model::load_partial`], from the bytes of a file.
    ///
    /// # Errors
    /// As [`Model::load_partial`].
    pub fn load_safetensors_partial(&self, bytes: &[u8], prefix: &str) -> Result<Vec<String>> {
        self.extract(bytes, prefix, Extent::Part)
    }

    /// Takes the weights, and gives the names that are left over.
    fn extract(&self, bytes: &[u8], prefix: &str, extent: Extent) -> Result<Vec<String>> {
        let archive = Archive::read(bytes)?;
        let is_own = |name: &str| !is_for_training(&archive, name);
        let mut own = HashSet::new();
        for (part, parameters) in self.parameters() {
            own.extend(parameters.names().map(|(array, _)| format!("{prefix}{part}{array}")));
        }
        let mut missing: Vec<_> = own.iter().filter(|name| archive.shape_of(name).is_none()).cloned().collect();
        missing.sort();
        if let Some((first, more)) = missing.split_first() {
            return Err(
                archive.missing(prefix, &first[prefix.len()..], more, |name| is_own(&format!("{prefix}{name}")))
            );
        }
        let mut all = Vec::new();
        for (part, parameters) in self.parameters() {
            let mut arrays = Vec::new();
            for (array, shape) in parameters.names() {
                let full = format!("{prefix}{part}{array}");
                let values = archive.tensor(&full)?.ok_or_else(|| Error::MissingWeight(full.clone()))?;
                if values.shape() != shape {
                    return Err(Error::shape(full, shape, values.shape()));
                }
                crate::tensor::check_finite(&full, values.iter())?;
                arrays.push((array.to_owned(), values));
            }
            all.push((parameters, arrays));
        }
        let names = archive.names().filter(|name| name.starts_with(prefix) && !own.contains(*name));
        let left: Vec<String> = names.filter(|name| is_own(name)).map(str::to_owned).collect();
        if extent == Extent::Whole && !left.is_empty() {
            let parts = self.parameters().iter().map(|(part, _)| format!("'{prefix}{part}'")).collect::<Vec<_>>();
            return Err(Error::LeftOver { tensors: left, expected: format!("a model of {}", parts.join(", ")) });
        }
        equations::check(&archive.notes, self.0.rnn.config(), &format!("{prefix}rnn."), extent)?;
        for (parameters, arrays) in all {
            parameters.write(&arrays)?;
        }
        self.0.rnn.refresh()?;
        self.0.head.as_ref().map_or(Ok(()), Linear::refresh)?;
        Ok(left)
    }

    /// Writes its weights to a safetensors file, beside it first and then in its place. A note in the file says which
    /// cell they belong to.
    ///
    /// # Errors
    /// [`File`](Error::File), [`NotFinite`](Error::NotFinite) for weights that could not be loaded again,
    /// [`Gpu`](Error::Gpu).
    pub fn save(&self, path: impl AsRef<Path>, prefix: &str) -> Result<()> {
        replace(path.as_ref(), &self.to_safetensors(prefix)?)
    }

    /// The bytes that [`Model::save`] writes to a file.
    ///
    /// # Errors
    /// As [`Model::save`], but for files.
    pub fn to_safetensors(&self, prefix: &str) -> Result<Vec<u8>> {
        block_on(self.to_safetensors_async(prefix))
    }

    /// The asynchronous form of [`Model::to_safetensors`].
    ///
    /// # Errors
    /// As [`Model::save`], but for files.
    pub async fn to_safetensors_async(&self, prefix: &str) -> Result<Vec<u8>> {
        let (names, parameters): (Vec<_>, Vec<_>) = self.parameters().into_iter().unzip();
        let read = read_together_async(&parameters).await?;
        let named = |(name, arrays): (_, Vec<_>)| {
            arrays.into_iter().map(move |(array, values)| (format!("{prefix}{name}{array}"), values))
        };
        let arrays: Vec<_> = names.into_iter().zip(read).flat_map(named).collect();
        for (name, array) in &arrays {
            crate::tensor::check_finite(name, array.iter())?;
        }
        let note = (equations::key(&format!("{prefix}rnn.")), equations::note(self.0.rnn.config()));
        serialize(arrays.iter().map(|(name, array)| (name.clone(), array.view())), Some(HashMap::from([note])))
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("config", &self.0.config).finish_non_exhaustive()
    }
}

/// Class targets on a device, which are checked before they are copied there.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Device, IGNORED, Targets};
/// let targets = Targets::new(&Device::auto(), &[2, 2], 5)?; // [T, N], 5 classes
/// targets.write(array![[0, 4], [1, IGNORED]].view())?;
/// assert!(targets.write(array![[0, 4], [1, 5]].view()).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Targets {
    tensor: Tensor<u32>,
    classes: usize,
}

impl Targets {
    /// Makes memory for targets of this shape, each less than `classes` or [`IGNORED`]. They are zeros at first.
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn new(device: &Device, shape: &[usize], classes: usize) -> Result<Self> {
        Ok(Self { tensor: Tensor::zeros(device, shape)?, classes })
    }

    /// The tensor, for [`Tape::cross_entropy`].
    pub fn tensor(&self) -> &Tensor<u32> {
        &self.tensor
    }

    /// Checks targets and copies them to the device.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where one is no class, or all are ignored, [`Shape`](Error::Shape).
    pub fn write<D: Dimension>(&self, targets: ArrayView<'_, u32, D>) -> Result<()> {
        let classes = u32::try_from(self.classes).unwrap_or(u32::MAX);
        if let Some((i, target)) =
            targets.iter().enumerate().find(|(_, target)| **target >= classes && **target != IGNORED)
        {
            return Err(Error::value(format!("target {i}"), format!("less than {classes}, or IGNORED"), target));
        }
        if targets.iter().all(|&target| target == IGNORED) {
            return Err(Error::value("targets", "one at least that is not ignored", "none"));
        }
        self.tensor.write(targets)
    }
}
