//! Weights in safetensors files, with PyTorch's names.

use super::arrays::RnnWeights;
pub(crate) use super::equations::{self, Extent, RESERVED};
use super::names::{is_recurrent, wanted};
pub(crate) use super::replace::replace;
use crate::config::RnnConfig;
use crate::error::{Error, Result};
use crate::files::Arrays;
pub(crate) use crate::files::{Arrays as Archive, of_file, read_file, serialize};
use std::collections::{HashMap, HashSet};
use std::path::Path;

impl RnnWeights {
    /// Reads `weight_ih_l0`, `weight_hh_l0_reverse` and so on from a file of floats of 16, 32 or 64 bits: a safetensors file,
    /// or one of another format that [`Arrays::load`](crate::files::Arrays::load) reads, such as PyTorch's `.pt`.
    /// `prefix` stands before each name (`"encoder."`) and may be empty. Tensors of other modules, such as
    /// `head.weight`, are ignored. Further layers, directions and heads under the prefix are an error, unless they are
    /// left out on purpose by [`RnnWeights::load_partial`].
    ///
    /// A file written by [`RnnWeights::save`], [`Model::save`](crate::Model::save) or
    /// [`Trainer::save`](crate::Trainer::save) says which cell it belongs to, with its activations and other options.
    /// Loading it for another cell is an error. PyTorch's files do not say it.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Safetensors`](Error::Safetensors) and [`WeightFile`](Error::WeightFile) for a damaged file, one
    /// of an unknown format, or a type that is not of floats, [`MissingWeight`](Error::MissingWeight) with what the file has instead, [`LeftOver`](Error::LeftOver),
    /// [`Shape`](Error::Shape), [`NotFinite`](Error::NotFinite), [`Value`](Error::Value) for layers of another cell.
    pub fn load(path: impl AsRef<Path>, config: &RnnConfig, prefix: &str) -> Result<Self> {
        config.validate()?;
        Self::from_arrays(&Arrays::load(path.as_ref())?, config, prefix).map_err(of_file(path.as_ref()))
    }

    /// As [`RnnWeights::load`], from the bytes of a file of any of these formats.
    ///
    /// # Errors
    /// As [`RnnWeights::load`].
    pub fn from_bytes(bytes: &[u8], config: &RnnConfig, prefix: &str) -> Result<Self> {
        config.validate()?;
        Self::from_arrays(&Arrays::from_bytes(bytes)?, config, prefix)
    }

    /// As [`RnnWeights::load`], from arrays by name.
    ///
    /// # Errors
    /// As [`RnnWeights::load`].
    pub fn from_arrays(arrays: &Arrays<'_>, config: &RnnConfig, prefix: &str) -> Result<Self> {
        Self::extract(arrays, config, prefix, Extent::Whole).map(|(weights, _)| weights)
    }

    /// As [`RnnWeights::load`], from the bytes of a safetensors file.
    ///
    /// # Errors
    /// As [`RnnWeights::load`].
    pub fn from_safetensors(bytes: &[u8], config: &RnnConfig, prefix: &str) -> Result<Self> {
        config.validate()?;
        Self::from_arrays(&Archive::read(bytes)?, config, prefix)
    }

    /// Reads part of what a file has: as many layers, directions and heads as the configuration. Gives the weights, and
    /// the names, without the prefix, of the recurrent tensors that were left out.
    ///
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// use wgrnn::{Cell, Direction, RnnConfig, RnnWeights};
    /// let config = RnnConfig::new(Cell::Gru(wgrnn::Reset::After), 3, 5).direction(Direction::Bidirectional);
    /// let bytes = RnnWeights::init(&config, 0)?.to_safetensors("")?;
    /// let forward = config.direction(Direction::Forward);
    /// assert!(RnnWeights::from_safetensors(&bytes, &forward, "").is_err());
    /// let (weights, left_out) = RnnWeights::from_safetensors_partial(&bytes, &forward, "")?;
    /// assert_eq!(weights.layers()[0].len(), 1);
    /// assert_eq!(left_out[0], "bias_hh_l0_reverse");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`RnnWeights::load`], but for tensors that are left over.
    pub fn load_partial(path: impl AsRef<Path>, config: &RnnConfig, prefix: &str) -> Result<(Self, Vec<String>)> {
        config.validate()?;
        let arrays = Arrays::load(path.as_ref())?;
        Self::extract(&arrays, config, prefix, Extent::Part).map_err(of_file(path.as_ref()))
    }

    /// As [`RnnWeights::load_partial`], from the bytes of a safetensors file.
    ///
    /// # Errors
    /// As [`RnnWeights::load_partial`].
    pub fn from_safetensors_partial(bytes: &[u8], config: &RnnConfig, prefix: &str) -> Result<(Self, Vec<String>)> {
        config.validate()?;
        Self::extract(&Archive::read(bytes)?, config, prefix, Extent::Part)
    }

    /// The weights, and the names of recurrent tensors under the prefix that are none of theirs.
    fn extract(archive: &Arrays<'_>, config: &RnnConfig, prefix: &str, extent: Extent) -> Result<(Self, Vec<String>)> {
        config.validate()?;
        let prefix = archive.resolve(prefix);
        let prefix = prefix.as_str();
        let (mut own, mut missing) = (HashSet::new(), Vec::new());
        for name in Self::names_of(config) {
            let is_there = archive.shape_of(&format!("{prefix}{name}")).is_some();
            if is_there {
                _ = own.insert(name)
            } else {
                missing.push(name)
            }
            // A file of a few bytes may be asked for millions of layers.
            if missing.len() == 20 {
                break;
            }
        }
        if let Some((first, more)) = missing.split_first() {
            return Err(archive.missing(prefix, first, more, is_recurrent));
        }
        // Errors name tensors as the file does.
        let rename = |error| match error {
            Error::Shape { tensor, expected, got } => {
                Error::Shape { tensor: format!("{prefix}{tensor}"), expected, got }
            }
            other => other,
        };
        let weights = Self::collect(config, |name| {
            // A bias that the configuration has not is an error, unless a part is asked for.
            let is_asked = extent == Extent::Whole || own.contains(name);
            if is_asked { archive.tensor(&format!("{prefix}{name}")) } else { Ok(None) }
        });
        let weights = weights.map_err(rename)?;
        weights.check(config)?;
        let names = archive.under(prefix).filter_map(|name| name.strip_prefix(prefix));
        let left: Vec<_> = names.filter(|name| is_recurrent(name) && !own.contains(*name)).map(str::to_owned).collect();
        if extent == Extent::Whole && !left.is_empty() {
            let tensors = left.into_iter().map(|name| format!("{prefix}{name}")).collect();
            return Err(Error::LeftOver { tensors, expected: wanted(config) });
        }
        equations::check(&archive.notes, config, prefix, extent)?;
        Ok((weights, left))
    }

    /// Writes the weights as a safetensors file with PyTorch's names, each after `prefix`. If the cell is known, a note
    /// in the file says which it is. It is known for weights from [`RnnWeights::init`], [`RnnWeights::load`],
    /// [`RnnWeights::from_named`] and [`Rnn::weights`](crate::Rnn::weights); [`RnnWeights::new`] knows only arrays.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where a layer has neither one direction nor two.
    pub fn to_safetensors(&self, prefix: &str) -> Result<Vec<u8>> {
        self.check_names()?;
        let named = self.named().map(|(name, array)| (format!("{prefix}{name}"), array));
        serialize(named, self.equations_note(prefix))
    }

    /// The note about their equations, where these are known.
    pub(crate) fn equations_note(&self, prefix: &str) -> Option<HashMap<String, String>> {
        self.equations.as_ref().map(|note| HashMap::from([(equations::key(prefix), note.clone())]))
    }

    /// Writes the weights to a file. They are written beside it first and then put in its place, so the old file
    /// survives any failure. A symbolic link is followed, and permissions are kept; other hard links of the file keep
    /// the old content.
    ///
    /// # Errors
    /// [`File`](Error::File); [`NotFinite`](Error::NotFinite), [`Shape`](Error::Shape) and [`Value`](Error::Value) for
    /// weights that no configuration could load.
    pub fn save(&self, path: impl AsRef<Path>, prefix: &str) -> Result<()> {
        self.check_loadable()?;
        replace(path.as_ref(), &self.to_safetensors(prefix)?)
    }
}
