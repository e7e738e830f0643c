//! Training that can go on later: weights, what the optimiser keeps, states, step and seed in one safetensors file.

use super::trainer::Trainer;
use crate::device::block_on;
use crate::error::{Error, Result};
use crate::layer::State;
use crate::readback::{Row, read_together_async};
use crate::weights::files::{fault, read_file, replace, serialize, tensor};
use ndarray::Array3;
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::path::Path;

/// Stands before what belongs to the optimiser.
const OPTIMIZER: &str = "optimizer.";
/// Stands before carried states.
const STATE: &str = "state.";

/// What the caller noted, without what is kept for training.
fn own_notes(metadata: HashMap<String, String>) -> HashMap<String, String> {
    metadata.into_iter().filter(|(key, _)| !key.starts_with("wgrnn.")).collect()
}

impl Trainer {
    /// Writes a checkpoint: weights under their names, what the optimiser keeps under `optimizer.`, carried states under
    /// `state.`, and step, seed, optimiser and the notes given as metadata. It is written beside the file and then put in
    /// its place, so that whatever goes wrong the old file stays whole.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Diverged`](Error::Diverged) where training has failed: the weights of before are not
    /// worth losing an older file for, [`Gpu`](Error::Gpu).
    pub fn save(&self, path: impl AsRef<Path>, notes: &HashMap<String, String>) -> Result<()> {
        replace(path.as_ref(), &block_on(self.to_safetensors_async(notes))?)
    }

    /// What [`Trainer::save`] writes, as bytes.
    ///
    /// # Errors
    /// As [`Trainer::save`], but for files.
    pub async fn to_safetensors_async(&self, notes: &HashMap<String, String>) -> Result<Vec<u8>> {
        // Read by one call: they are of one moment.
        let parts = self.trained.iter().map(|trained| {
            let words = trained.parameters.len();
            let moments = trained.moments.iter().map(|(_, storage)| Row { device: &self.device, storage, words });
            (&trained.parameters, moments.collect::<Vec<_>>())
        });
        let parts: Vec<_> = parts.collect();
        let kept: Vec<_> = self.states.iter().map(|(_, state)| state).collect();
        let (status, values, kept) = read_together_async(&(&self.status, parts, kept)).await?;
        let mut arrays = Vec::new();
        for (trained, (weights, moments)) in self.trained.iter().zip(values) {
            arrays.extend(weights.into_iter().map(|(name, array)| (format!("{}{name}", trained.name), array)));
            let names = trained.moments.iter().map(|(moment, _)| format!("{OPTIMIZER}{}{moment}", trained.name));
            arrays.extend(names.zip(moments));
        }
        for ((name, _), State { h, c }) in self.states.iter().zip(kept) {
            arrays.push((format!("{STATE}{name}.h"), h.into_dyn()));
            arrays.extend(c.map(|c| (format!("{STATE}{name}.c"), c.into_dyn())));
        }
        if status[0] != 0 {
            return Err(Error::Diverged { step: status[0] });
        }
        // The loss since it was last asked for, so that the next report is the same too.
        let progress = ndarray::arr1(&[f32::from_bits(status[3]), status[4] as f32]);
        arrays.push(("progress".to_owned(), progress.into_dyn()));
        let mut metadata = notes.clone();
        metadata.insert("wgrnn.step".to_owned(), self.step.to_string());
        metadata.insert("wgrnn.seed".to_owned(), self.options.seed.to_string());
        metadata.insert("wgrnn.optimizer".to_owned(), format!("{:?}", self.options.optimizer));
        let views = arrays.iter().map(|(name, array)| (name.clone(), array.view()));
        serialize(views, Some(metadata))
    }

    /// Goes on from a checkpoint of a model with the same names and shapes and the same optimiser; gives its notes. The
    /// whole file is looked at first: after an error all is as it was.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Safetensors`](Error::Safetensors), [`MissingWeight`](Error::MissingWeight),
    /// [`Shape`](Error::Shape), [`NotFinite`](Error::NotFinite), [`Value`](Error::Value) for another optimiser.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<HashMap<String, String>> {
        self.load_safetensors(&read_file(path.as_ref())?)
    }

    /// The same from bytes.
    ///
    /// # Errors
    /// As [`Trainer::load`].
    pub fn load_safetensors(&mut self, bytes: &[u8]) -> Result<HashMap<String, String>> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| fault(&error))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| fault(&error))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let note = |key: &str| {
            metadata.get(key).ok_or_else(|| Error::Safetensors(format!("no checkpoint: its metadata lack '{key}'")))
        };
        let number = |key: &str| -> Result<u32> {
            let text = note(key)?;
            text.parse().map_err(|_| Error::value(key, "a number", text))
        };
        let (step, seed) = (number("wgrnn.step")?, number("wgrnn.seed")?);
        let expected = format!("{:?}", self.options.optimizer);
        if *note("wgrnn.optimizer")? != expected {
            return Err(Error::value("optimizer of the checkpoint", expected, note("wgrnn.optimizer")?));
        }
        let array = |name: &str, shape: &[usize]| {
            let array = tensor(&file, name)?.ok_or_else(|| Error::MissingWeight(name.to_owned()))?;
            if array.shape() != shape {
                return Err(Error::shape(name, shape, array.shape()));
            }
            crate::weights::check_finite(name, array.iter())?;
            Ok(array)
        };

        let mut weights = Vec::new();
        let mut moments = Vec::new();
        for trained in &self.trained {
            let arrays = trained
                .parameters
                .names()
                .map(|(name, shape)| Ok((name.to_owned(), array(&format!("{}{name}", trained.name), shape)?)));
            weights.push((&trained.parameters, arrays.collect::<Result<Vec<_>>>()?));
            for (moment, storage) in &trained.moments {
                let name = format!("{OPTIMIZER}{}{moment}", trained.name);
                moments.push((storage, array(&name, &[trained.parameters.len()])?));
            }
        }
        let mut states = Vec::new();
        for (name, state) in &self.states {
            let zeros = State::zeros(&state.config, state.batch);
            let three = |part: &str, like: &Array3<f32>| {
                let array = array(&format!("{STATE}{name}.{part}"), like.shape())?;
                let got = array.shape().to_vec();
                array.into_dimensionality().map_err(|_| Error::shape(part, like.shape(), got))
            };
            let c = zeros.c.as_ref().map(|c| three("c", c)).transpose()?;
            states.push((state, State { h: three("h", &zeros.h)?, c }));
        }
        let progress = array("progress", &[2])?;

        for (parameters, arrays) in weights {
            parameters.write(&arrays)?;
        }
        for (storage, array) in moments {
            let words: Vec<u32> = array.iter().map(|value| value.to_bits()).collect();
            storage.write(&self.device, &words)?;
        }
        for (state, values) in states {
            state.write(&values)?;
        }
        let status = [0, 0, 0, progress[0].to_bits(), progress[1] as u32];
        self.status.write(ndarray::ArrayView1::from(&status[..]))?;
        (self.step, self.options.seed) = (step, seed);
        self.refresh()?;
        Ok(own_notes(metadata))
    }

    /// The notes of a checkpoint, to be read before there is a model: they may say what it is made of.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Safetensors`](Error::Safetensors).
    pub fn notes(path: impl AsRef<Path>) -> Result<HashMap<String, String>> {
        Self::notes_of_safetensors(&read_file(path.as_ref())?)
    }

    /// The same from bytes.
    ///
    /// # Errors
    /// As [`Trainer::notes`].
    pub fn notes_of_safetensors(bytes: &[u8]) -> Result<HashMap<String, String>> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| fault(&error))?;
        Ok(own_notes(header.metadata().clone().unwrap_or_default()))
    }
}
