//! A whole model out of a state dict: its parts by the caller's names.

use super::stack::Module;
use crate::config::RnnConfig;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::files::{Raw, write};
use crate::layer::{Embedding, Linear};
use crate::weights::RnnWeights;
use crate::weights::files::replace;
use ndarray::{Array1, Array2, ArrayD, Ix1, Ix2};
use safetensors::Dtype;
use std::path::Path;

/// The parts of a model, from [`Parts`](super::Parts), with their weights on the host.
#[derive(Clone, Debug)]
pub struct StateDict {
    pub(super) parts: Vec<Read>,
    /// Arrays of other numbers than floats, by the names of the file.
    pub(super) kept: Vec<(String, Raw)>,
    pub(super) left_over: Vec<String>,
}

/// A part that was read.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub name: String,
    /// What stands before its tensors' names in the state dict.
    pub prefix: String,
    pub content: Content,
}

/// Arrays by their names after a part's prefix.
pub(super) type Named = Vec<(String, ArrayD<f32>)>;

#[derive(Clone, Debug)]
pub(super) enum Content {
    Rnn { config: Box<RnnConfig>, weights: RnnWeights, module: Module },
    Embedding(Named),
    Linear(Named),
    Arrays(Named),
}

impl Content {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Rnn { .. } => "recurrent layers",
            Self::Embedding(_) => "an embedding",
            Self::Linear(_) => "a dense layer",
            Self::Arrays(_) => "arrays",
        }
    }
}

impl StateDict {
    /// The names of the parts, in the order of the map.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.name.as_str())
    }

    /// The names of tensors that belong to no part, where [`Parts::partial`](super::Parts::partial) lets them be.
    pub fn left_over(&self) -> &[String] {
        &self.left_over
    }

    /// The configuration and the weights of recurrent layers.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a name that no such part has.
    pub fn rnn(&self, name: &str) -> Result<(&RnnConfig, &RnnWeights)> {
        match &self.part(name)?.content {
            Content::Rnn { config, weights, .. } => Ok((config, weights)),
            other => Err(other_kind(name, "recurrent layers", other)),
        }
    }

    /// An embedding on a device, which can be trained.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a name that no such part has, and those of [`Embedding::trainable`].
    pub fn embedding(&self, device: &Device, name: &str) -> Result<Embedding> {
        match &self.part(name)?.content {
            Content::Embedding(arrays) => Embedding::trainable(device, matrix(name, arrays)?.view()),
            other => Err(other_kind(name, "an embedding", other)),
        }
    }

    /// A dense layer on a device, with fixed weights.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a name that no such part has, and those of [`Linear::new`].
    pub fn linear(&self, device: &Device, name: &str) -> Result<Linear> {
        let (weight, bias) = self.dense(name)?;
        Linear::new(device, weight.view(), bias.as_ref().map(|bias| bias.view()))
    }

    /// The same, which can be trained.
    ///
    /// # Errors
    /// As [`StateDict::linear`].
    pub fn linear_trainable(&self, device: &Device, name: &str) -> Result<Linear> {
        let (weight, bias) = self.dense(name)?;
        Linear::trainable(device, weight.view(), bias.as_ref().map(|bias| bias.view()))
    }

    /// The arrays of a part that is no recurrent layer, by their names after the prefix: `weight`, `bias` and so on.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a name that no such part has.
    pub fn arrays(&self, name: &str) -> Result<&[(String, ArrayD<f32>)]> {
        match &self.part(name)?.content {
            Content::Embedding(arrays) | Content::Linear(arrays) | Content::Arrays(arrays) => Ok(arrays),
            other => Err(other_kind(name, "arrays", other)),
        }
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a name that no such part has, [`MissingWeight`](Error::MissingWeight).
    pub fn array(&self, name: &str, tensor: &str) -> Result<&ArrayD<f32>> {
        let found = self.arrays(name)?.iter().find(|(own, _)| own == tensor);
        found.map(|(_, array)| array).ok_or_else(|| Error::MissingWeight(format!("'{tensor}' of part '{name}'")))
    }

    /// Puts other weights into a part, such as trained ones: `layer.parameters()` reads them by these names.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a name that no part has, and for other tensors than the part's,
    /// [`Shape`](Error::Shape), and those of [`RnnWeights::from_named`].
    pub fn set(&mut self, name: &str, arrays: &[(String, ArrayD<f32>)]) -> Result<()> {
        let place = self.place(name)?;
        match self.parts.get_mut(place).map(|part| &mut part.content) {
            Some(Content::Rnn { config, weights, .. }) => *weights = RnnWeights::from_named(config, arrays)?,
            Some(Content::Embedding(own) | Content::Linear(own) | Content::Arrays(own)) => {
                let names = |arrays: &[(String, ArrayD<f32>)]| {
                    let mut names: Vec<_> = arrays.iter().map(|(name, _)| name.clone()).collect();
                    names.sort_unstable();
                    names.join(", ")
                };
                if names(own) != names(arrays) {
                    return Err(Error::value(format!("tensors of part '{name}'"), names(own), names(arrays)));
                }
                let shape = |tensor: &str, list: &[(String, ArrayD<f32>)]| {
                    list.iter().find(|(own, _)| own == tensor).map(|(_, array)| array.shape().to_vec())
                };
                for (tensor, array) in arrays {
                    let expected = shape(tensor, own).unwrap_or_default();
                    if expected != array.shape() {
                        return Err(Error::shape(format!("{tensor} of part '{name}'"), expected, array.shape()));
                    }
                }
                *own = arrays.to_vec();
            }
            None => {}
        }
        Ok(())
    }

    /// The same of recurrent layers.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a name that no such part has, and those of [`Rnn::new`](crate::Rnn::new) for weights of
    /// another configuration.
    pub fn set_rnn(&mut self, name: &str, weights: &RnnWeights) -> Result<()> {
        let config = self.rnn(name)?.0;
        weights.check(config)?;
        let named: Vec<_> = weights.named().map(|(name, array)| (name, array.to_owned())).collect();
        self.set(name, &named)
    }

    /// The weights of all parts as a state dict in a safetensors file, with the names that the file had. PyTorch's
    /// `load_state_dict(safetensors.torch.load_file(path))` takes it, strictly where no tensor was left over. Floats are
    /// written as 32-bit floats, whole numbers (`num_batches_tracked`) as they were.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where two parts have other numbers for one tensor, as parts that share it may after training,
    /// [`Safetensors`](Error::Safetensors).
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let mut written: Vec<(String, Raw)> = self.kept.clone();
        let mut add = |name: String, array: ndarray::ArrayViewD<'_, f32>| {
            let bytes = array.iter().flat_map(|value| value.to_le_bytes()).collect();
            let raw = Raw { dtype: Dtype::F32, shape: array.shape().to_vec(), bytes };
            match written.iter().find(|(other, _)| *other == name) {
                None => written.push((name, raw)),
                Some((_, other)) if *other == raw => {}
                Some(_) => {
                    let expected = "the same numbers in all parts that share it";
                    return Err(Error::value(format!("tensor '{name}'"), expected, "others"));
                }
            }
            Ok(())
        };
        for Read { prefix, content, .. } in &self.parts {
            match content {
                Content::Rnn { weights, module, .. } => {
                    for (name, array) in weights.named() {
                        add(format!("{prefix}{}", module.name(&name)), array)?;
                    }
                }
                Content::Embedding(arrays) | Content::Linear(arrays) | Content::Arrays(arrays) => {
                    for (name, array) in arrays {
                        add(format!("{prefix}{name}"), array.view())?;
                    }
                }
            }
        }
        write(&written, None)
    }

    /// Writes them to a file, which replaces another of its name at once.
    ///
    /// # Errors
    /// [`File`](Error::File), and those of [`StateDict::to_safetensors`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        replace(path.as_ref(), &self.to_safetensors()?)
    }

    fn place(&self, name: &str) -> Result<usize> {
        let place = self.parts.iter().position(|part| part.name == name);
        place.ok_or_else(|| {
            let names: Vec<_> = self.names().collect();
            Error::value("name of a part", names.join(", "), name)
        })
    }

    fn part(&self, name: &str) -> Result<&Read> {
        let place = self.place(name)?;
        self.parts.get(place).ok_or_else(|| Error::MissingWeight(name.to_owned()))
    }

    fn dense(&self, name: &str) -> Result<(Array2<f32>, Option<Array1<f32>>)> {
        let arrays = match &self.part(name)?.content {
            Content::Linear(arrays) => arrays,
            other => return Err(other_kind(name, "a dense layer", other)),
        };
        let bias = arrays.iter().find(|(own, _)| own == "bias").map(|(_, bias)| {
            let shape = bias.shape().to_vec();
            bias.clone()
                .into_dimensionality::<Ix1>()
                .map_err(|_| Error::shape(format!("bias of '{name}'"), "[outputs]", shape))
        });
        Ok((matrix(name, arrays)?, bias.transpose()?))
    }
}

/// The matrix `weight`.
fn matrix(name: &str, arrays: &[(String, ArrayD<f32>)]) -> Result<Array2<f32>> {
    let weight = arrays.iter().find(|(own, _)| own == "weight").map(|(_, weight)| weight);
    let weight = weight.ok_or_else(|| Error::MissingWeight(format!("'weight' of part '{name}'")))?;
    let fault = |_| Error::shape(format!("weight of '{name}'"), "a matrix", weight.shape());
    weight.clone().into_dimensionality::<Ix2>().map_err(fault)
}

fn other_kind(name: &str, expected: &str, got: &Content) -> Error {
    Error::value(format!("part '{name}'"), expected, got.kind())
}
