//! Names of what a checkpoint has besides weights.

use crate::weights::files::{Archive, equations};
use std::collections::HashMap;

/// Stands before what belongs to the optimiser.
pub(super) const OPTIMIZER: &str = "optimizer.";
/// Stands before carried states.
pub(super) const STATE: &str = "state.";

/// The loss since it was last asked for, and of how many steps it is.
pub(super) const PROGRESS: &str = "progress";
/// Notes of the trainer's.
pub(super) const STEP: &str = "wgrnn.step";
pub(super) const SEED: &str = "wgrnn.seed";
pub(super) const OPTIMIZER_NOTE: &str = "wgrnn.optimizer";

/// Whether a name of a block of parameters would be taken for something else in a checkpoint.
pub(super) fn is_reserved(name: &str) -> bool {
    name.starts_with(OPTIMIZER) || name.starts_with(STATE)
}

/// Whether a tensor of a file is what a checkpoint has besides weights.
pub(super) fn is_for_training(archive: &Archive<'_>, name: &str) -> bool {
    archive.notes.contains_key(STEP) && (is_reserved(name) || name == PROGRESS)
}

/// What the caller noted, without what is kept for training.
pub(super) fn own_notes(mut notes: HashMap<String, String>) -> HashMap<String, String> {
    notes.retain(|key, _| ![STEP, SEED, OPTIMIZER_NOTE].contains(&&**key) && !equations::is_key(key));
    notes
}
