//! Recurrent modules: `RNN`, `LSTM`, `GRU` and their cells.

use crate::cells::Cell;
use crate::config::{Bias, Direction, RnnConfig};
use crate::error::{Error, Result};
use crate::files::{Arrays, of_file, serialize};
use crate::weights::files::{Extent, equations};
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

/// Reads a state dict of either kind of module from a file: `.pt`, `.pth`, safetensors, or another that
/// [`Arrays::load`] reads. `prefix` stands before each name and may be empty; names within a state dict begin after the keys that
/// it lies under, after `module.` of `DataParallel` and after `_orig_mod.` of `torch.compile`. Gives the configuration that follows
/// from the tensors, and the weights.
///
/// # Errors
/// [`File`](Error::File), [`Safetensors`](Error::Safetensors) and [`WeightFile`](Error::WeightFile) for a damaged file, one of an
/// unknown format, or one that asks for code, [`MissingWeight`](Error::MissingWeight) with what the file has instead,
/// [`LeftOver`](Error::LeftOver) for layers and directions that the others don't lead to, [`Shape`](Error::Shape) for tensors that
/// are not of this cell, [`NotFinite`](Error::NotFinite), [`Value`](Error::Value) where a file of this library says that it is of
/// another cell.
pub fn load(path: impl AsRef<Path>, cell: Cell, prefix: &str) -> Result<(RnnConfig, RnnWeights)> {
    from_arrays(&Arrays::load(path.as_ref())?, cell, prefix).map_err(of_file(path.as_ref()))
}

/// As [`load`], from the bytes of a file of any of these formats.
///
/// # Errors
/// As [`load`].
pub fn from_bytes(bytes: &[u8], cell: Cell, prefix: &str) -> Result<(RnnConfig, RnnWeights)> {
    from_arrays(&Arrays::from_bytes(bytes)?, cell, prefix)
}

/// As [`load`], from the bytes of a safetensors file.
///
/// # Errors
/// As [`load`].
pub fn from_safetensors(bytes: &[u8], cell: Cell, prefix: &str) -> Result<(RnnConfig, RnnWeights)> {
    from_arrays(&Arrays::read(bytes)?, cell, prefix)
}

/// As [`load`], from arrays by name.
///
/// # Errors
/// As [`load`].
pub fn from_arrays(archive: &Arrays<'_>, cell: Cell, prefix: &str) -> Result<(RnnConfig, RnnWeights)> {
    let prefix = archive.resolve(prefix);
    let prefix = prefix.as_str();
    let shape = |name: &str| archive.shape_of(&format!("{prefix}{name}"));
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
    let left = archive.under(prefix).filter(|name| name.strip_prefix(prefix).is_some_and(weights::is_recurrent));
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
    pub(super) fn name(self, name: &str) -> &str {
        match self {
            Self::Stack => name,
            Self::Cell => name.strip_suffix("_l0").unwrap_or(name),
        }
    }
}

/// The configuration that shapes by name come from.
pub(super) fn config(cell: Cell, module: Module, shape: impl Fn(&str) -> Option<Vec<usize>>) -> Result<RnnConfig> {
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
