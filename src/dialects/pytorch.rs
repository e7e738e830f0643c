//! State dicts of `torch.nn.RNN`, `LSTM` and `GRU`, and of `RNNCell`, `LSTMCell` and `GRUCell`, in safetensors files.
//!
//! Sizes, layers, directions, biases and projection follow from the names and shapes of the tensors. Only the cell does not,
//! so it has to be given.
//!
//! ```no_run
//! # fn main() -> wgrnn::Result<()> {
//! use wgrnn::{Cell, Device, Rnn, dialects::pytorch};
//! let (config, weights) = pytorch::load("model.safetensors", Cell::Lstm, "encoder.")?;
//! let rnn = Rnn::new(&Device::auto(), &config.batch_first(true), weights)?;
//! # Ok(())
//! # }
//! ```

use crate::cells::Cell;
use crate::config::{Bias, Direction, RnnConfig};
use crate::error::{Error, Result};
use crate::weights::files::{Archive, Extent, equations, of_file, read_file, serialize};
use crate::weights::{self, RnnWeights, wanted};
use std::path::Path;

/// The kind of PyTorch module that a state dict belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Module {
    /// `RNN`, `LSTM` or `GRU`: `weight_ih_l0`, `weight_hh_l1_reverse`.
    Stack,
    /// `RNNCell`, `LSTMCell` or `GRUCell`: `weight_ih`, one layer and direction.
    Cell,
}

/// Reads a state dict of either kind of module from a safetensors file. `prefix` stands before each name and may be
/// empty. Gives the configuration that follows from the tensors, and the weights.
///
/// # Errors
/// [`File`](Error::File), [`Safetensors`](Error::Safetensors) for a damaged file or one of another format,
/// [`MissingWeight`](Error::MissingWeight) with what the file has instead, [`LeftOver`](Error::LeftOver) for layers and directions
/// that the others don't lead to, [`Shape`](Error::Shape) for tensors that are not of this cell,
/// [`NotFinite`](Error::NotFinite), [`Value`](Error::Value) where a file of this library says that it is of another cell.
pub fn load(path: impl AsRef<Path>, cell: Cell, prefix: &str) -> Result<(RnnConfig, RnnWeights)> {
    from_safetensors(&read_file(path.as_ref())?, cell, prefix).map_err(of_file(path.as_ref()))
}

/// As [`load`], from the bytes of a file.
///
/// # Errors
/// As [`load`].
pub fn from_safetensors(bytes: &[u8], cell: Cell, prefix: &str) -> Result<(RnnConfig, RnnWeights)> {
    let archive = Archive::read(bytes)?;
    let shape = |name: &str| archive.shape(&format!("{prefix}{name}"));
    let module = if shape("weight_ih").is_some() { Module::Cell } else { Module::Stack };
    let named = |error| match error {
        Error::MissingWeight(name) => archive.missing(prefix, &name, &[], weights::is_recurrent),
        // Errors name tensors as the file does.
        Error::Shape { tensor, expected, got } => Error::Shape { tensor: format!("{prefix}{tensor}"), expected, got },
        other => other,
    };
    let config = config(cell, module, shape).map_err(named)?;
    let name = |name: &str| format!("{prefix}{}", module.name(name));
    let weights = RnnWeights::collect(&config, |own| archive.tensor(&name(own))).map_err(named)?;
    weights.check(&config)?;
    // A layer or a direction that the others do not lead to would be left out silently.
    let taken: Vec<String> = RnnWeights::names_of(&config).map(|own| name(&own)).collect();
    let names = archive.names().into_iter();
    let left = names.filter(|name| name.strip_prefix(prefix).is_some_and(weights::is_recurrent));
    let left: Vec<String> = left.filter(|name| !taken.iter().any(|taken| taken == name)).map(str::to_owned).collect();
    if !left.is_empty() {
        return Err(Error::LeftOver { tensors: left, expected: wanted(&config) });
    }
    equations::check(&archive.notes, &config, prefix, Extent::Whole)?;
    Ok((config, weights))
}

/// Writes weights as a safetensors file with the names of a PyTorch module, each after `prefix`.
///
/// # Errors
/// [`Unsupported`](Error::Unsupported) for a cell where there are more layers or directions than one, for heads, norms and peepholes, which
/// PyTorch has not, [`Safetensors`](Error::Safetensors).
pub fn to_safetensors(weights: &RnnWeights, module: Module, prefix: &str) -> Result<Vec<u8>> {
    let count: usize = weights.layers().iter().map(Vec::len).sum();
    if module == Module::Cell && count != 1 {
        let reason = "PyTorch's cells have one layer of one direction; choose Module::Stack";
        return Err(Error::unsupported(format!("a cell of {count} layers and directions"), reason));
    }
    if let Some((name, _)) = weights.named().find(|(name, _)| !is_recurrent(name) || name.contains("_head")) {
        return Err(Error::unsupported(format!("tensor '{name}'"), "PyTorch's modules have no such tensor"));
    }
    let named = weights.named().map(|(name, array)| (format!("{prefix}{}", module.name(&name)), array));
    serialize(named, weights.equations_note(prefix))
}

impl Module {
    /// The name of a tensor of a stack in this module.
    fn name(self, name: &str) -> &str {
        match self {
            Self::Stack => name,
            Self::Cell => name.strip_suffix("_l0").unwrap_or(name),
        }
    }
}

/// The configuration that shapes by name come from.
fn config(cell: Cell, module: Module, shape: impl Fn(&str) -> Option<Vec<usize>>) -> Result<RnnConfig> {
    let matrix = |name: &str| {
        let own = module.name(name);
        match shape(own).ok_or_else(|| Error::MissingWeight(own.to_owned()))?[..] {
            [rows, columns] => Ok([rows, columns]),
            ref other => Err(Error::shape(own, "[G·H, ·]", other)),
        }
    };
    let has = |name: &str| shape(module.name(name)).is_some();
    let [rows, input] = matrix("weight_ih_l0")?;
    let state = if cell.has_recurrent_weights() { matrix("weight_hh_l0")?[1] } else { 0 };
    if rows == 0 || !rows.is_multiple_of(cell.gates()) {
        let expected = format!("[{} · H, ·] of an {}", cell.gates(), cell.name());
        return Err(Error::shape(module.name("weight_ih_l0"), expected, [rows, input]));
    }
    let mut config = RnnConfig::new(cell, input, rows / cell.gates());
    if has("weight_hr_l0") {
        config = config.projection(state);
    }
    if has("weight_ih_l0_reverse") {
        config = config.direction(Direction::Bidirectional);
    }
    config = config.bias(match (has("bias_ih_l0"), has("bias_hh_l0")) {
        (false, false) => Bias::None,
        (_, false) => Bias::One,
        (_, true) => Bias::Two,
    });
    let layers = match module {
        Module::Stack => (0..).take_while(|layer| has(&format!("weight_ih_l{layer}"))).count(),
        Module::Cell => 1,
    };
    Ok(config.layers(layers))
}

/// Whether a name is one that recurrent modules have.
fn is_recurrent(name: &str) -> bool {
    let kinds = ["weight_ih", "weight_hh", "weight_hr", "bias_ih", "bias_hh"];
    let Some(rest) = kinds.iter().find_map(|kind| name.strip_prefix(kind)) else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Heads are this library's.
    let rest = rest.rsplit_once("_head").filter(|(_, head)| is_number(head)).map_or(rest, |(rest, _)| rest);
    let layer = rest.strip_suffix("_reverse").unwrap_or(rest).strip_prefix("_l");
    rest.is_empty() || layer.is_some_and(is_number)
}
