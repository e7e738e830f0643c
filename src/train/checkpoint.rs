//! Training that can go on later: weights, what the optimiser keeps, states, step and seed in one safetensors file.

use super::names::{AVERAGE, OPTIMIZER, OPTIMIZER_NOTE, PROGRESS, SEED, SKIPPED, STATE, STEP, own_notes};
use super::trained::Trained;
use super::trainer::{LAST_STEP, Trainer};
use super::update::STATUS;
use crate::device::block_on;
use crate::error::{Error, Result};
use crate::layer::State;
use crate::readback::{Row, read_together_async};
use crate::weights::files::{Archive, Extent, RESERVED, equations, of_file, read_file, replace, serialize};
use ndarray::{Array3, ArrayD};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// All of a checkpoint, after it was looked at: arrays in the order of the trainer's blocks, moments and states.
struct Checkpoint {
    step: u32,
    seed: u32,
    weights: Vec<Vec<(String, ArrayD<f32>)>>,
    moments: Vec<ArrayD<f32>>,
    /// Those of blocks that have some.
    averages: Vec<Vec<ArrayD<f32>>>,
    /// Steps skipped, and in a row.
    skipped: [u32; 2],
    states: Vec<State>,
    progress: [f32; 2],
    notes: HashMap<String, String>,
}

impl Trainer {
    /// Writes a checkpoint: weights under their names, what the optimiser keeps under `optimizer.`, carried states
    /// under `state.`, moving averages of the weights under `average.`, and step, seed, optimiser and `notes` as metadata. It is written beside the file first and then
    /// put in its place, so the old file survives any failure.
    ///
    /// The checkpoint is verified as [`Trainer::load`] would verify it, so a file that could not be loaded never
    /// replaces another one.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Diverged`](Error::Diverged) where training has failed: the weights of before are not
    /// worth losing an older file for, [`Value`](Error::Value) for a note whose name begins with `wgrnn.`, for two states of
    /// one name, and while micro-batches wait for [`Trainer::step`], [`NotFinite`](Error::NotFinite) for a state that is not finite, [`Gpu`](Error::Gpu).
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
        self.expect_no_batches("a checkpoint")?;
        // Read by one call: they are of one moment.
        let parts = self.trained.iter().map(|trained| {
            let words = trained.parameters.len();
            let row = |storage| Row { device: &self.device, storage, words };
            let moments = trained.moments.iter().map(|(_, storage)| row(storage));
            (&trained.parameters, moments.collect::<Vec<_>>(), trained.average.as_ref().map(row))
        });
        let parts: Vec<_> = parts.collect();
        let kept: Vec<_> = self.states.iter().map(|(_, state)| state).collect();
        let (status, values, kept) = read_together_async(&(&self.status, parts, kept)).await?;
        let mut arrays = Vec::new();
        for (trained, (mut weights, moments, average)) in self.trained.iter().zip(values) {
            if let Some(average) = average {
                let mut averages = arrays_of(trained, &average)?;
                if self.averages.as_ref().is_some_and(|averages| averages.are_in) {
                    std::mem::swap(&mut weights, &mut averages);
                }
                let named =
                    averages.into_iter().map(|(name, array)| (format!("{AVERAGE}{}{name}", trained.name), array));
                arrays.extend(named);
            }
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
        if (status[6], status[7]) != (0, 0) {
            metadata.insert(SKIPPED.to_owned(), format!("{} {}", status[6], status[7]));
        }
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
        let Checkpoint { step, seed, weights, moments, averages, skipped, states, progress, notes } =
            self.look(bytes)?;
        for (trained, arrays) in self.trained.iter().zip(weights) {
            trained.parameters.write(&arrays)?;
        }
        let storages = self.trained.iter().flat_map(|trained| &trained.moments);
        for ((_, storage), array) in storages.zip(moments) {
            let words: Vec<u32> = array.iter().map(|value| value.to_bits()).collect();
            storage.write(&self.device, &words)?;
        }
        for (storage, arrays) in self.trained.iter().filter_map(|trained| trained.average.as_ref()).zip(averages) {
            let words: Vec<u32> = arrays.iter().flatten().map(|value| value.to_bits()).collect();
            storage.write(&self.device, &words)?;
        }
        if let Some(averages) = &mut self.averages {
            averages.are_in = false;
        }
        for ((_, state), values) in self.states.iter().zip(states) {
            state.write(&values)?;
        }
        let [all, in_a_row] = skipped;
        let status: [u32; STATUS] = [0, 0, 0, progress[0].to_bits(), progress[1] as u32, 0, all, in_a_row];
        self.status.write(ndarray::ArrayView1::from(&status[..]))?;
        self.batches.clear()?;
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
        let skipped = skipped(&archive, step)?;
        let mut reader = Reader { archive: &archive, taken: HashSet::new() };

        let (mut weights, mut moments, mut averages) = (Vec::new(), Vec::new(), Vec::new());
        for trained in &self.trained {
            let arrays = reader.block(trained, "")?;
            weights.push(trained.parameters.names().map(|(name, _)| name.to_owned()).zip(arrays).collect::<Vec<_>>());
            if trained.average.is_some() {
                averages.push(reader.block(trained, AVERAGE)?);
            }
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
        let progress = reader.progress(step)?;
        let left = archive.names().filter(|name| !reader.taken.contains(*name));
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
        Ok(Checkpoint { step, seed, weights, moments, averages, skipped, states, progress, notes })
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

/// The numbers of a block as its arrays.
fn arrays_of(trained: &Trained, numbers: &ArrayD<f32>) -> Result<Vec<(String, ArrayD<f32>)>> {
    let mut numbers = numbers.iter().copied();
    let array = |(name, shape): (&str, &[usize])| {
        let count = shape.iter().product();
        let array = ArrayD::from_shape_vec(shape, numbers.by_ref().take(count).collect());
        array.map(|array| (name.to_owned(), array)).map_err(|_| Error::shape(name, shape, [count]))
    };
    trained.parameters.names().map(array).collect()
}

/// Steps skipped, and in a row, by the note of a file: none where it has no such note.
fn skipped(archive: &Archive<'_>, step: u32) -> Result<[u32; 2]> {
    let Some(text) = archive.notes.get(SKIPPED) else { return Ok([0; 2]) };
    let numbers: Vec<u32> = text.split(' ').filter_map(|number| number.parse().ok()).collect();
    match *numbers {
        [all, in_a_row] if all <= step && in_a_row <= all => Ok([all, in_a_row]),
        _ => Err(Error::value(SKIPPED, format!("steps skipped of {step}, and in a row"), text)),
    }
}

/// Takes arrays out of a file, and remembers which.
struct Reader<'a> {
    archive: &'a Archive<'a>,
    taken: HashSet<String>,
}

impl Reader<'_> {
    /// The arrays of a block, whose names have a prefix before the block's.
    fn block(&mut self, trained: &Trained, prefix: &str) -> Result<Vec<ArrayD<f32>>> {
        let names = trained.parameters.names();
        names.map(|(name, shape)| self.array(format!("{prefix}{}{name}", trained.name), shape)).collect()
    }

    /// The loss since it was last asked for, and of how many steps it is the sum.
    fn progress(&mut self, step: u32) -> Result<[f32; 2]> {
        let progress = self.array(PROGRESS.to_owned(), &[2])?;
        let [sum, count] = [progress[0], progress[1]];
        // Numbers of steps are rounded beyond 2²⁴.
        let can_be = count.fract() == 0.0 && (0.0..=step as f32).contains(&count) && (count > 0.0 || sum == 0.0);
        if can_be {
            return Ok([sum, count]);
        }
        let expected = format!("a loss, and of how many steps it is the sum, of the {step} taken");
        Err(Error::value(PROGRESS, expected, format!("{sum} of {count}")))
    }

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
