//! A map of a model's parts to the prefixes of a state dict, and what it reads.

use super::stack::{self, Module};
use super::state_dict::{Content, Named, Read, StateDict};
use crate::cells::Cell;
use crate::config::RnnConfig;
use crate::error::{Error, Result};
use crate::files::{Arrays, of_file};
use crate::weights::RnnWeights;
use std::collections::BTreeSet;
use std::path::Path;

/// A map of names: which prefix of a state dict belongs to which part of a model. All parts are read at once, and what is
/// missing, left over or of another shape is one error that lists all of it, as of PyTorch's `load_state_dict`.
///
/// ```no_run
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::dialects::pytorch::Parts;
/// use wgrnn::{Cell, Device, Rnn};
/// let device = Device::auto();
/// let model = Parts::new()
///     .embedding("embedding", "emb")
///     .rnn("rnn", "lstm", Cell::Lstm)
///     .linear("head", "fc")
///     .load("model.pt")?;
/// let (config, weights) = model.rnn("rnn")?;
/// let rnn = Rnn::new(&device, config, weights.clone())?;
/// let head = model.linear(&device, "head")?;
/// # let _ = (rnn, head);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Parts {
    parts: Vec<(String, String, Part)>,
    shapes: Vec<(String, String, Vec<usize>)>,
    partial: bool,
}

/// What a part is.
#[derive(Clone, Debug)]
enum Part {
    Rnn(Cell),
    Configured(Box<RnnConfig>),
    Embedding,
    Linear,
    Arrays,
}

/// What does not fit.
#[derive(Default)]
struct Misfits {
    missing: Vec<String>,
    shapes: Vec<String>,
}

impl Parts {
    /// A map without parts. In all methods, `name` is the caller's name of the part, and `prefix` what stands before its
    /// tensors' names in the state dict, with or without the dot at its end: `"encoder.lstm"`; empty for a model that is
    /// nothing but this part. Parts may share a prefix, such as an embedding and a dense layer that is tied to it.
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, name: &str, prefix: &str, part: Part) -> Self {
        let dot = if prefix.is_empty() || prefix.ends_with('.') { "" } else { "." };
        self.parts.push((name.to_owned(), format!("{prefix}{dot}"), part));
        self
    }

    /// Recurrent layers, `RNN`, `LSTM`, `GRU` or a `Cell` class, of whatever sizes the state dict has.
    #[must_use]
    pub fn rnn(self, name: &str, prefix: &str, cell: Cell) -> Self {
        self.with(name, prefix, Part::Rnn(cell))
    }

    /// Recurrent layers of this configuration.
    #[must_use]
    pub fn rnn_of(self, name: &str, prefix: &str, config: &RnnConfig) -> Self {
        self.with(name, prefix, Part::Configured(Box::new(config.clone())))
    }

    /// An `Embedding`: `weight` [symbols, features].
    #[must_use]
    pub fn embedding(self, name: &str, prefix: &str) -> Self {
        self.with(name, prefix, Part::Embedding)
    }

    /// A `Linear`: `weight`, `[outputs, inputs]`, and `bias`, `[outputs]`, if it is there.
    #[must_use]
    pub fn linear(self, name: &str, prefix: &str) -> Self {
        self.with(name, prefix, Part::Linear)
    }

    /// All tensors under the prefix as arrays, such as those of a `LayerNorm`, a `Conv1d` or a `BatchNorm1d`. Whole numbers are
    /// kept for [`StateDict::to_safetensors`].
    #[must_use]
    pub fn arrays(self, name: &str, prefix: &str) -> Self {
        self.with(name, prefix, Part::Arrays)
    }

    /// Says which shape a tensor of a part has to have: `shape("head", "weight", &[2, 4])`.
    #[must_use]
    pub fn shape(mut self, name: &str, tensor: &str, shape: &[usize]) -> Self {
        self.shapes.push((name.to_owned(), tensor.to_owned(), shape.to_vec()));
        self
    }

    /// Whether the state dict may have tensors that belong to no part: [`StateDict::left_over`] names them. They are an error
    /// otherwise.
    #[must_use]
    pub fn partial(mut self, partial: bool) -> Self {
        self.partial = partial;
        self
    }

    /// Reads the parts from a file of any format that [`Arrays::load`] reads.
    ///
    /// # Errors
    /// [`StateDict`](Error::StateDict) with all that is missing, left over or of other shapes, [`Value`](Error::Value) for two
    /// parts of one name and for a shape of no part, [`NotFinite`](Error::NotFinite) in recurrent layers, and those of
    /// [`Arrays::load`] and [`Arrays::get`].
    pub fn load(&self, path: impl AsRef<Path>) -> Result<StateDict> {
        self.from_arrays(&Arrays::load(path.as_ref())?).map_err(of_file(path.as_ref()))
    }

    /// The same from the bytes of a file.
    ///
    /// # Errors
    /// As [`Parts::load`].
    #[allow(clippy::wrong_self_convention, reason = "the map reads from bytes, and is not made of them")]
    pub fn from_bytes(&self, bytes: &[u8]) -> Result<StateDict> {
        self.from_arrays(&Arrays::from_bytes(bytes)?)
    }

    /// The same from arrays by name.
    ///
    /// # Errors
    /// As [`Parts::load`].
    #[allow(clippy::wrong_self_convention, reason = "the map reads from arrays, and is not made of them")]
    pub fn from_arrays(&self, arrays: &Arrays<'_>) -> Result<StateDict> {
        for (i, (name, ..)) in self.parts.iter().enumerate() {
            if self.parts.iter().take(i).any(|(other, ..)| other == name) {
                return Err(Error::value(
                    "names of parts",
                    "a name of its own for each",
                    format!("two of name '{name}'"),
                ));
            }
        }
        if let Some((name, ..)) = self.shapes.iter().find(|(name, ..)| !self.parts.iter().any(|part| part.0 == *name)) {
            return Err(Error::value("shape of a part", "the name of a part", name));
        }
        let mut misfits = Misfits::default();
        let mut taken = BTreeSet::new();
        let mut parts = Vec::new();
        for (name, prefix, part) in &self.parts {
            let prefix = arrays.resolve(prefix);
            let content = misfits.content(arrays, &prefix, part, &mut taken)?;
            let outer = prefix.strip_prefix(arrays.root()).unwrap_or(&prefix).to_owned();
            for (_, tensor, shape) in self.shapes.iter().filter(|(of, ..)| of == name) {
                let full = format!("{prefix}{tensor}");
                match arrays.shape_of(&full) {
                    Some(got) => misfits.compare(&full, shape, &got),
                    None => misfits.miss(full),
                }
            }
            parts.extend(content.map(|content| Read { name: name.clone(), prefix: outer, content }));
        }
        let left = arrays.of_state_dict().filter(|name| !taken.contains(*name)).map(str::to_owned);
        let left_over: Vec<String> = left.collect();
        let Misfits { missing, shapes } = misfits;
        if !missing.is_empty() || !shapes.is_empty() || !self.partial && !left_over.is_empty() {
            return Err(Error::StateDict { missing, shapes, left_over });
        }
        let mut kept = Vec::new();
        for name in taken.iter().filter(|name| !arrays.is_float(name)) {
            let outer = name.strip_prefix(arrays.root()).unwrap_or(name).to_owned();
            kept.extend(arrays.raw(name)?.map(|raw| (outer, raw)));
        }
        Ok(StateDict { parts, kept, left_over })
    }
}

impl Misfits {
    fn miss(&mut self, name: String) {
        if !self.missing.contains(&name) {
            self.missing.push(name);
        }
    }

    fn compare(&mut self, name: &str, expected: &[usize], got: &[usize]) {
        let text = format!("{name} (expected {expected:?}, got {got:?})");
        if expected != got && !self.shapes.contains(&text) {
            self.shapes.push(text);
        }
    }

    /// The tensors of a part, if all of them fit; `taken` gets the names of those that are there.
    fn content(
        &mut self,
        arrays: &Arrays<'_>,
        prefix: &str,
        part: &Part,
        taken: &mut BTreeSet<String>,
    ) -> Result<Option<Content>> {
        match part {
            Part::Rnn(cell) => {
                let shape = |name: &str| arrays.shape_of(&format!("{prefix}{name}"));
                let module = if shape("weight_ih").is_some() { Module::Cell } else { Module::Stack };
                match stack::config(*cell, module, shape) {
                    Ok(config) => self.stack(arrays, prefix, &config, module, taken),
                    Err(Error::MissingWeight(name)) => {
                        self.miss(format!("{prefix}{name}"));
                        Ok(None)
                    }
                    Err(Error::Shape { tensor, expected, got }) => {
                        self.shapes.push(format!("{prefix}{tensor} (expected {expected}, got {got})"));
                        Ok(None)
                    }
                    Err(other) => Err(other),
                }
            }
            Part::Configured(config) => {
                config.validate()?;
                let is_cell = arrays.shape_of(&format!("{prefix}weight_ih")).is_some();
                let is_single = config.layers == 1 && config.tracks() == 1;
                let module = if is_cell && is_single { Module::Cell } else { Module::Stack };
                self.stack(arrays, prefix, config, module, taken)
            }
            Part::Embedding => {
                let weight = self.dense(arrays, prefix, ["weight"], taken)?;
                Ok(weight.map(Content::Embedding))
            }
            Part::Linear => {
                let names = ["weight", "bias"];
                let has_bias = arrays.shape_of(&format!("{prefix}bias")).is_some();
                let arrays = self.dense(arrays, prefix, names.into_iter().take(1 + usize::from(has_bias)), taken)?;
                Ok(arrays.map(Content::Linear))
            }
            Part::Arrays => {
                let names: Vec<&str> = arrays.under(prefix).collect();
                if names.is_empty() {
                    self.miss(format!("{prefix}…"));
                    return Ok(None);
                }
                let mut found = Vec::new();
                for name in names {
                    taken.insert(name.to_owned());
                    let own = name.strip_prefix(prefix).unwrap_or(name).to_owned();
                    if arrays.is_float(name) {
                        found.extend(arrays.tensor(name)?.map(|array| (own, array)));
                    }
                }
                Ok(Some(Content::Arrays(found)))
            }
        }
    }

    fn stack(
        &mut self,
        arrays: &Arrays<'_>,
        prefix: &str,
        config: &RnnConfig,
        module: Module,
        taken: &mut BTreeSet<String>,
    ) -> Result<Option<Content>> {
        let before = (self.missing.len(), self.shapes.len());
        for (own, shape) in RnnWeights::shapes_of(config) {
            let name = format!("{prefix}{}", module.name(&own));
            match arrays.shape_of(&name) {
                Some(got) => {
                    self.compare(&name, &shape, &got);
                    taken.insert(name);
                }
                // A file of a few bytes may be asked for millions of layers.
                None if self.missing.len() > before.0 + 1000 => break,
                None => self.miss(name),
            }
        }
        if (self.missing.len(), self.shapes.len()) != before {
            return Ok(None);
        }
        let own: BTreeSet<String> = RnnWeights::names_of(config).collect();
        let weights = RnnWeights::collect(config, |name| {
            // Others than the configuration's are left over.
            if own.contains(name) { arrays.tensor(&format!("{prefix}{}", module.name(name))) } else { Ok(None) }
        })?;
        weights.check(config)?;
        Ok(Some(Content::Rnn { config: Box::new(config.clone()), weights, module }))
    }

    /// A matrix `weight`, and a vector `bias` beside its rows if it is asked for.
    fn dense(
        &mut self,
        arrays: &Arrays<'_>,
        prefix: &str,
        names: impl IntoIterator<Item = &'static str>,
        taken: &mut BTreeSet<String>,
    ) -> Result<Option<Named>> {
        let before = (self.missing.len(), self.shapes.len());
        let mut found = Vec::new();
        let mut rows = None;
        for own in names {
            let name = format!("{prefix}{own}");
            let Some(shape) = arrays.shape_of(&name) else {
                self.miss(name);
                continue;
            };
            match (own, &shape[..]) {
                ("weight", [outputs, _]) => rows = Some(*outputs),
                ("weight", other) => self.shapes.push(format!("{name} (expected [·, ·], got {other:?})")),
                (_, other) => rows.iter().for_each(|&rows| self.compare(&name, &[rows], other)),
            }
            taken.insert(name.clone());
            found.extend(arrays.tensor(&name)?.map(|array| (own.to_owned(), array)));
        }
        Ok(((self.missing.len(), self.shapes.len()) == before).then_some(found))
    }
}
