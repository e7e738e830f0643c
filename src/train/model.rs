//! Models put together: embedding, recurrent layers, head.

use super::tape::{IGNORED, Tape};
use super::trainer::Trainer;
use crate::cells::Probability;
use crate::config::RnnConfig;
use crate::device::{Device, block_on};
use crate::error::{Error, Result};
use crate::layer::{DeviceState, Embedding, Linear, Rnn, RnnCall};
use crate::parameters::Parameters;
use crate::plan::Value;
use crate::readback::read_together_async;
use crate::tensor::Tensor;
use crate::weights::RnnWeights;
use crate::weights::files::{Archive, Extent, equations, of_file, read_file, replace, serialize};
use ndarray::{Array1, Array2, ArrayView, Dimension};
use rand_mt::Mt;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What a [`Model`] reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input {
    /// Symbols, [T, N] or [N, T]. A trainable table has a vector for each.
    Tokens {
        /// The number of symbols.
        symbols: usize,
        /// The standard deviation of the table's initial numbers, which are uniformly distributed.
        deviation: f32,
    },
    /// Vectors of the recurrent layers' input size, [T, N, I] or [N, T, I].
    Features,
}

/// The parts of a [`Model`].
#[derive(Clone, Debug, PartialEq)]
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
        let input = Input::Tokens { symbols, deviation: 1.0 };
        Self { input, rnn, outputs: Some(symbols), tied: false, dropout: 0.0 }
    }

    /// A model that reads vectors and gives `outputs` numbers.
    pub const fn features(rnn: RnnConfig, outputs: usize) -> Self {
        Self { input: Input::Features, rnn, outputs: Some(outputs), tied: false, dropout: 0.0 }
    }
}

/// Embedding, recurrent layers and dense layer (the head), with weights that can be trained. It covers four shapes of
/// problems:
///
/// | shape | how |
/// | --- | --- |
/// | many-to-many: a score for each step | [`Model::forward`] with [`Output::All`](crate::Output::All) |
/// | many-to-one: a score for each sequence | [`Model::forward`] with [`Output::Last`](crate::Output::Last) |
/// | one-to-many: what it gave is what it reads next | [`Model::feed_back`] |
/// | encoder-decoder | [`Model::forward`] of one, then of another with the same state and `carry` |
#[derive(Debug)]
pub struct Model {
    config: ModelConfig,
    embedding: Option<Embedding>,
    rnn: Rnn,
    head: Option<Linear>,
}

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
        Ok(Self { config: config.clone(), embedding, rnn, head })
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The recurrent layers.
    pub fn rnn(&self) -> &Rnn {
        &self.rnn
    }

    /// The embedding, if symbols are read.
    pub fn embedding(&self) -> Option<&Embedding> {
        self.embedding.as_ref()
    }

    /// The head, if there is one.
    pub fn head(&self) -> Option<&Linear> {
        self.head.as_ref()
    }

    /// Makes a state of zeros for `batch` sequences.
    ///
    /// # Errors
    /// As [`Rnn::device_state`].
    pub fn device_state(&self, batch: usize) -> Result<DeviceState> {
        self.rnn.device_state(batch)
    }

    /// Writes the forward pass on a tape: scores [..., outputs] for symbols or vectors, from and to a state.
    ///
    /// # Errors
    /// As [`Tape::rnn`], and [`Value`](Error::Value) for tokens where vectors are read or the other way around.
    pub fn forward<'m>(&'m self, tape: &mut Tape<'m>, x: &Value, state: &DeviceState, call: &RnnCall) -> Result<Value> {
        let x = match &self.embedding {
            Some(embedding) => tape.embedding(embedding, x)?,
            None => x.clone(),
        };
        let x = tape.dropout(&x, self.config.dropout)?;
        let y = tape.rnn(&self.rnn, &x, state, call)?;
        let y = tape.dropout(&y, self.config.dropout)?;
        self.head.as_ref().map_or(Ok(y.clone()), |head| tape.linear(head, &y))
    }

    /// Writes `steps` steps on a tape in which each output is what the next step reads: one-to-many. The first step
    /// reads `x` [N, I]. Gives all outputs, [steps, N, outputs]. Gradients flow back through what was read.
    ///
    /// # Errors
    /// [`Value`](Error::Value) unless vectors are read and outputs are as long as inputs, and for no step; as [`Tape::rnn`].
    pub fn feed_back<'m>(&'m self, tape: &mut Tape<'m>, x: &Value, state: &DeviceState, steps: usize) -> Result<Value> {
        let features = self.config.rnn.input_size();
        let Some(head) = self.head.as_ref().filter(|head| self.embedding.is_none() && head.outputs == features) else {
            return Err(Error::value(
                "model that feeds back",
                "vectors in, as long ones out",
                format!("{:?}", self.config),
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
        let shape = self.config.rnn.sequence_shape(1, batch, features);
        for step in 0..steps {
            let call = RnnCall { carry: true, output: crate::layer::Output::Last, ..RnnCall::default() };
            let h = tape.rnn(&self.rnn, &read.reshape(&shape)?, state, &call)?;
            read = all.at(step)?;
            tape.linear_into(head, &h, &read)?;
        }
        Ok(all)
    }

    /// Its parameters with their names in files: `embedding.`, `rnn.`, `head.`.
    pub fn parameters(&self) -> Vec<(&'static str, &Parameters)> {
        let mut all = Vec::new();
        all.extend(self.embedding.as_ref().map(|embedding| ("embedding.", embedding.parameters())));
        all.extend(self.rnn.parameters().map(|parameters| ("rnn.", parameters)));
        if !self.config.tied {
            all.extend(self.head.as_ref().and_then(Linear::parameters).map(|parameters| ("head.", parameters)));
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
        let is_own = |name: &str| !super::checkpoint::is_for_training(&archive, name);
        let mut own = HashSet::new();
        for (part, parameters) in self.parameters() {
            own.extend(parameters.names().map(|(array, _)| format!("{prefix}{part}{array}")));
        }
        let mut missing: Vec<_> = own.iter().filter(|name| archive.shape(name).is_none()).cloned().collect();
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
        let names = archive.names().into_iter().filter(|name| name.starts_with(prefix) && !own.contains(*name));
        let left: Vec<String> = names.filter(|name| is_own(name)).map(str::to_owned).collect();
        if extent == Extent::Whole && !left.is_empty() {
            let parts = self.parameters().iter().map(|(part, _)| format!("'{prefix}{part}'")).collect::<Vec<_>>();
            return Err(Error::LeftOver { tensors: left, expected: format!("a model of {}", parts.join(", ")) });
        }
        equations::check(&archive.notes, self.rnn.config(), &format!("{prefix}rnn."), extent)?;
        for (parameters, arrays) in all {
            parameters.write(&arrays)?;
        }
        self.rnn.refresh()?;
        self.head.as_ref().map_or(Ok(()), Linear::refresh)?;
        Ok(left)
    }

    /// Writes its weights to a safetensors file, beside it first and then in its place. A note in the file says which
    /// cell they belong to.
    ///
    /// # Errors
    /// [`File`](Error::File), [`NotFinite`](Error::NotFinite) for weights that could not be loaded again,
    /// [`Gpu`](Error::Gpu).
    pub fn save(&self, path: impl AsRef<Path>, prefix: &str) -> Result<()> {
        replace(path.as_ref(), &block_on(self.to_safetensors_async(prefix))?)
    }

    /// The bytes that [`Model::save`] writes to a file.
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
        let note = (equations::key(&format!("{prefix}rnn.")), equations::note(self.rnn.config()));
        serialize(arrays.iter().map(|(name, array)| (name.clone(), array.view())), Some(HashMap::from([note])))
    }
}

/// Class targets on a device, which are checked before they are copied there.
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
