//! Names of what a checkpoint has besides weights.

use crate::error::{Error, Result};
use crate::weights::files::{Archive, equations};
use std::collections::HashMap;

/// Stands before what belongs to the optimiser.
pub(super) const OPTIMIZER: &str = "optimizer.";
/// Stands before carried states.
pub(super) const STATE: &str = "state.";

/// Stands before moving averages of weights.
pub(super) const AVERAGE: &str = "average.";

/// The loss since it was last asked for, and of how many steps it is.
pub(super) const PROGRESS: &str = "progress";
/// Notes of the trainer's.
pub(super) const STEP: &str = "wgrnn.step";
pub(super) const SEED: &str = "wgrnn.seed";
pub(super) const OPTIMIZER_NOTE: &str = "wgrnn.optimizer";

/// How many steps were skipped, and how many in a row just now; left out where none were.
pub(super) const SKIPPED: &str = "wgrnn.skipped";

/// Numbers in a note, which [`numbers_of_note`] reads to the last bit.
pub(super) fn numbers_note(numbers: &[f64]) -> String {
    numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
}

/// The numbers of a note: rates and losses, which may be infinite, and counts.
pub(super) fn numbers_of_note<const COUNT: usize>(what: &str, note: &str) -> Result<[f64; COUNT]> {
    let numbers: Option<Vec<f64>> = note.split(' ').map(|number| number.parse().ok()).collect();
    let numbers = numbers.and_then(|numbers| numbers.try_into().ok());
    numbers.ok_or_else(|| Error::value(what, format!("{COUNT} numbers"), note))
}

/// Whether a name of a block of parameters would be taken for something else in a checkpoint.
pub(super) fn is_reserved(name: &str) -> bool {
    [OPTIMIZER, STATE, AVERAGE].iter().any(|reserved| name.starts_with(reserved))
}

/// Whether a tensor of a file is what a checkpoint has besides weights.
pub(super) fn is_for_training(archive: &Archive<'_>, name: &str) -> bool {
    archive.notes.contains_key(STEP) && (is_reserved(name) || name == PROGRESS)
}

/// What the caller noted, without what is kept for training.
pub(super) fn own_notes(mut notes: HashMap<String, String>) -> HashMap<String, String> {
    notes.retain(|key, _| ![STEP, SEED, OPTIMIZER_NOTE, SKIPPED].contains(&&**key) && !equations::is_key(key));
    notes
}
