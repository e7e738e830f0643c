//! Whether an input can be one of a layer, and the sizes that its shape tells.

use crate::config::RnnConfig;
use crate::error::{Error, Result};
use crate::tensor::elements;

/// Steps and sequences of an input's shape.
pub(crate) fn sequence_sizes(config: &RnnConfig, x: &[usize]) -> Result<(usize, usize)> {
    match *x {
        [a, b, features] if a > 0 && b > 0 && features == config.input => {
            // Before anything of that size is asked for.
            elements(x)?;
            let (steps, batch) = if config.batch_first { (b, a) } else { (a, b) };
            check_indices(config, steps.saturating_mul(batch), [steps, batch])?;
            Ok((steps, batch))
        }
        _ => {
            let axes = if config.batch_first { "[N, T, " } else { "[T, N, " };
            Err(Error::shape("input", format!("{axes}{}], none of them 0", config.input), x))
        }
    }
}

/// Whether packed sequences, of which the longest has so many steps, can be an input.
pub(super) fn packed_sizes(config: &RnnConfig, rows: usize, [steps, batch]: [usize; 2]) -> Result<()> {
    elements(&[rows, config.input])?;
    if batch == 0 {
        return Err(Error::value("packed sequences", "at least one", 0));
    }
    check_indices(config, rows, [steps, batch])
}

/// Whether every array that a layer makes for such an input can be indexed by the 32-bit words of a shader: parameters are
/// made of these sizes.
fn check_indices(config: &RnnConfig, places: usize, [steps, batch]: [usize; 2]) -> Result<()> {
    let padded = |width: usize| width.next_multiple_of(4);
    let gates = config.cell.gates().saturating_mul(config.hidden);
    let widest =
        padded(config.state_size()).max(padded(config.hidden)).max(config.cell.state_numbers() * config.hidden);
    let rows = |tracks: usize, numbers: usize| tracks.saturating_mul(batch).saturating_mul(numbers);
    let wide = |numbers: usize| places.saturating_mul(numbers);
    let needs = [
        ("states of all layers", rows(config.tracks().saturating_mul(config.layers), widest)),
        ("input part of a step's gates", rows(config.tracks(), padded(gates))),
        ("output of a layer", if config.layers > 1 { wide(config.output_size()) } else { 0 }),
        ("map of rows", wide(config.tracks()).saturating_add(batch).saturating_add(steps).saturating_add(2)),
    ];
    // No allocation is larger than `isize::MAX` bytes, which matters where that has 32 bits.
    let allowed = (u32::MAX as usize).min(isize::MAX as usize / 4);
    match needs.into_iter().find(|(_, words)| *words > allowed) {
        Some((what, words)) => {
            let [needed, allowed] = [words, allowed].map(|words| (words as u64).saturating_mul(4));
            Err(Error::Limit { what: what.to_owned(), needed, limit: "32-bit indices", allowed })
        }
        None => Ok(()),
    }
}
