//! Training that can go on later: weights, what the optimiser keeps, states, step and seed in one safetensors file.

use super::trainer::{LAST_STEP, STATUS, Trainer};
use crate::device::block_on;
use crate::error::{Error, Result};
use crate::layer::State;
use crate::readback::{Row, read_together_async};
use crate::weights::files::{Archive, Extent, RESERVED, equations, of_file, read_file, replace, serialize};
use ndarray::{Array3, ArrayD};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Stands before what belongs to the optimiser.
const OPTIMIZER: &str = "optimizer.";
/// Stands before carried states.
const STATE: &str = "state.";

/// The loss since it was last asked for, and of how many steps it is.
const PROGRESS: &str = "progress";
/// Notes of the trainer's.
const STEP: &str = "wgrnn.step";
const SEED: &str = "wgrnn.seed";
const OPTIMIZER_NOTE: &str = "wgrnn.optimizer";

/// Whether a name of a block of parameters would be taken for something else in a checkpoint.
pub(super) fn is_reserved(name: &str) -> bool {
    name.starts_with(OPTIMIZER) || name.starts_with(STATE)
}

/// Whether a tensor of a file is what a checkpoint has besides weights.
pub(super) fn is_for_training(archive: &Archive<'_>, name: &str) -> bool {
    archive.notes.contains_key(STEP) && (is_reserved(name) || name == PROGRESS)
}

/// What the caller noted, without what is kept for training.
fn own_notes(mut notes: HashMap<String, String>) -> HashMap<String, String> {
    notes.retain(|key, _| ![STEP, SEED, OPTIMIZER_NOTE].contains(&&**key) && !equations::is_key(key));
    notes
}

/// All of a checkpoint, after it was looked at: arrays in the order of the trainer's blocks, moments and states.
struct Checkpoint {
    step: u32,
    seed: u32,
    weights: Vec<Vec<(String, ArrayD<f32>)>>,
    moments: Vec<ArrayD<f32>>,
    states: Vec<State>,
    progress: [f32; 2],
    notes: HashMap<String, String>,
}

impl Trainer {
    /// Writes a checkpoint: weights under their names, what the optimiser keeps under `optimizer.`, carried states
    /// under `state.`, and step, seed, optimiser and `notes` as metadata. It is written beside the file first and then
    /// put in its place, so the old file survives any failure.
    ///
    /// The checkpoint is verified as [`Trainer::load`] would verify it, so a file that could not be loaded never
    /// replaces another one.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Diverged`](Error::Diverged) where training has failed: the weights of before are not
    /// worth losing an older file for, [`Value`](Error::Value) for a note whose name begins with `wgrnn.` and for two states of
    /// one name, [`NotFinite`](Error::NotFinite) for a state that is not finite, [`Gpu`](Error::Gpu).
    pub fn save(&self, path: impl AsRef<Path>, notes: &HashMap<String, String>) -> Result<()> {
        replace(path.as_ref(), &self.to_safetensors(notes)?)
    }

    /// The bytes that [`Trainer::save`] writes to a file.
    ///
    /// # Errors
    /// As [`Trainer::save`], but for files.
    pub fn to_safetensors(&self, notes: &HashMap<String, String>) -> Result<Vec<u8>> {
        block_on(self.to_safetensors_async(notes))
    }

    /// The asynchronous form of [`Trainer::to_safetensors`].
    ///
    /// # Errors
    /// As [`Trainer::save`], but for files.
    pub async fn to_safetensors_async(&self, notes: &HashMap<String, String>) -> Result<Vec<u8>> {
        if let Some(name) = notes.keys().filter(|name| name.starts_with(RESERVED)).min() {
            return Err(Error::value("name of a note", format!("one that does not begin with '{RESERVED}'"), name));
        }
        self.check_names()?;
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
        let sum = f32::from_bits(status[3]).clamp(f32::MIN, f32::MAX);
        arrays.push((PROGRESS.to_owned(), ndarray::arr1(&[sum, status[4] as f32]).into_dyn()));
        let mut metadata = notes.clone();
        metadata.insert(STEP.to_owned(), self.step.to_string());
        metadata.insert(SEED.to_owned(), self.options.seed.to_string());
        metadata.insert(OPTIMIZER_NOTE.to_owned(), format!("{:?}", self.options.optimizer));
        let described = self.trained.iter().filter_map(|trained| Some((&trained.name, trained.config.as_ref()?)));
        metadata.extend(described.map(|(name, config)| (equations::key(name), equations::note(config))));
        let views = arrays.iter().map(|(name, array)| (name.clone(), array.view()));
        let bytes = serialize(views, Some(metadata))?;
        self.look(&bytes)?;
        Ok(bytes)
    }

    /// Continues from a checkpoint of a model with the same names, shapes and cells and the same optimiser, and gives
    /// its notes. The whole file is checked first: after an error everything is as it was.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Safetensors`](Error::Safetensors), [`MissingWeight`](Error::MissingWeight),
    /// [`LeftOver`](Error::LeftOver), [`Shape`](Error::Shape), [`NotFinite`](Error::NotFinite),
    /// [`Value`](Error::Value) for another optimiser or cell, and for numbers that no training gives: squares less than 0, a
    /// step or a progress that can't be.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<HashMap<String, String>> {
        self.load_safetensors(&read_file(path.as_ref())?).map_err(of_file(path.as_ref()))
    }

    /// As [`Trainer::load`], from the bytes of a file.
    ///
    /// # Errors
    /// As [`Trainer::load`].
    pub fn load_safetensors(&mut self, bytes: &[u8]) -> Result<HashMap<String, String>> {
        let Checkpoint { step, seed, weights, moments, states, progress, notes } = self.look(bytes)?;
        for (trained, arrays) in self.trained.iter().zip(weights) {
            trained.parameters.write(&arrays)?;
        }
        let storages = self.trained.iter().flat_map(|trained| &trained.moments);
        for ((_, storage), array) in storages.zip(moments) {
            let words: Vec<u32> = array.iter().map(|value| value.to_bits()).collect();
            storage.write(&self.device, &words)?;
        }
        for ((_, state), values) in self.states.iter().zip(states) {
            state.write(&values)?;
        }
        let status: [u32; STATUS] = [0, 0, 0, progress[0].to_bits(), progress[1] as u32, 0];
        self.status.write(ndarray::ArrayView1::from(&status[..]))?;
        (self.step, self.options.seed) = (step, seed);
        self.refresh()?;
        Ok(notes)
    }

    /// Refuses names that two things have.
    fn check_names(&self) -> Result<()> {
        let mut names = HashSet::new();
        if let Some((name, _)) = self.states.iter().find(|(name, _)| !names.insert(name)) {
            return Err(Error::value("kept states", "a name of its own for each", format!("two of name '{name}'")));
        }
        Ok(())
    }

    /// A checkpoint of this trainer's, as far as its numbers can be what they say.
    fn look(&self, bytes: &[u8]) -> Result<Checkpoint> {
        self.check_names()?;
        let archive = Archive::read(bytes)?;
        let note = |key: &str| {
            let missing = || Error::Safetensors(format!("no checkpoint: its metadata lack '{key}'"));
            archive.notes.get(key).ok_or_else(missing)
        };
        let number = |key: &str, most: u32| -> Result<u32> {
            let text = note(key)?;
            let number = text.parse().ok().filter(|&number| number <= most);
            number.ok_or_else(|| Error::value(key, format!("a whole number from 0 to {most}"), text))
        };
        let (step, seed) = (number(STEP, LAST_STEP)?, number(SEED, u32::MAX)?);
        let expected = format!("{:?}", self.options.optimizer);
        if *note(OPTIMIZER_NOTE)? != expected {
            return Err(Error::value("optimizer of the checkpoint", expected, note(OPTIMIZER_NOTE)?));
        }
        let mut reader = Reader { archive: &archive, taken: HashSet::new() };

        let (mut weights, mut moments) = (Vec::new(), Vec::new());
        for trained in &self.trained {
            let mut arrays = Vec::new();
            for (name, shape) in trained.parameters.names() {
                arrays.push((name.to_owned(), reader.array(format!("{}{name}", trained.name), shape)?));
            }
            weights.push(arrays);
            for (moment, _) in &trained.moments {
                let name = format!("{OPTIMIZER}{}{moment}", trained.name);
                let array = reader.array(name.clone(), &[trained.parameters.len()])?;
                if *moment == "square"
                    && let Some((i, square)) = array.iter().enumerate().find(|(_, square)| **square < 0.0)
                {
                    return Err(Error::value(name, "mean squares, which are at least 0", format!("{square} at {i}")));
                }
                moments.push(array);
            }
        }
        let mut states = Vec::new();
        for (name, state) in &self.states {
            let zeros = State::zeros(&state.config, state.batch)?;
            let mut three = |part: &str, like: &Array3<f32>| {
                let array = reader.array(format!("{STATE}{name}.{part}"), like.shape())?;
                let got = array.shape().to_vec();
                array.into_dimensionality().map_err(|_| Error::shape(part, like.shape(), got))
            };
            let h = three("h", &zeros.h)?;
            states.push(State { h, c: zeros.c.as_ref().map(|c| three("c", c)).transpose()? });
        }
        let progress = reader.array(PROGRESS.to_owned(), &[2])?;
        let progress = [progress[0], progress[1]];
        let [sum, count] = progress;
        // Numbers of steps are rounded beyond 2²⁴.
        let can_be = count.fract() == 0.0 && (0.0..=step as f32).contains(&count) && (count > 0.0 || sum == 0.0);
        if !can_be {
            let expected = format!("a loss, and of how many steps it is the sum, of the {step} taken");
            return Err(Error::value(PROGRESS, expected, format!("{sum} of {count}")));
        }
        let left = archive.names().into_iter().filter(|name| !reader.taken.contains(*name));
        let left: Vec<String> = left.map(str::to_owned).collect();
        if !left.is_empty() {
            let blocks: Vec<_> = self.trained.iter().map(|trained| format!("'{}'", trained.name)).collect();
            let states: Vec<_> = self.states.iter().map(|(name, _)| format!("'{name}'")).collect();
            let expected = format!("a training of {} with the states [{}]", blocks.join(", "), states.join(", "));
            return Err(Error::LeftOver { tensors: left, expected });
        }
        for trained in &self.trained {
            if let Some(config) = &trained.config {
                equations::check(&archive.notes, config, &trained.name, Extent::Whole)?;
            }
        }
        let notes = own_notes(archive.notes);
        Ok(Checkpoint { step, seed, weights, moments, states, progress, notes })
    }

    /// Reads the notes of a checkpoint, which may say what the model is made of, before there is a model.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Safetensors`](Error::Safetensors).
    pub fn notes(path: impl AsRef<Path>) -> Result<HashMap<String, String>> {
        Self::notes_of_safetensors(&read_file(path.as_ref())?).map_err(of_file(path.as_ref()))
    }

    /// As [`Trainer::notes`], from the bytes of a file.
    ///
    /// # Errors
    /// As [`Trainer::notes`].
    pub fn notes_of_safetensors(bytes: &[u8]) -> Result<HashMap<String, String>> {
        Ok(own_notes(Archive::read(bytes)?.notes))
    }
}

/// Takes arrays out of a file, and remembers which.
struct Reader<'a> {
    archive: &'a Archive<'a>,
    taken: HashSet<String>,
}

impl Reader<'_> {
    /// One of this name and shape, of finite numbers.
    fn array(&mut self, name: String, shape: &[usize]) -> Result<ArrayD<f32>> {
        let array = self.archive.tensor(&name)?;
        let array = array.ok_or_else(|| self.archive.missing("", &name, &[], |_| true))?;
        if array.shape() != shape {
            return Err(Error::shape(name, shape, array.shape()));
        }
        crate::tensor::check_finite(&name, array.iter())?;
        self.taken.insert(name);
        Ok(array)
    }
}
