//! The blocks of parameters of a training.

use crate::config::RnnConfig;
use crate::parameters::Parameters;
use crate::storage::Storage;

/// A block of parameters with its name and what the optimiser keeps for it.
pub(super) struct Trained {
    /// Stands before the names of its arrays.
    pub name: String,
    pub parameters: Parameters,
    /// Whether they stay as they are; then there are no moments.
    pub frozen: bool,
    pub moments: Vec<(&'static str, Storage)>,
    /// The moving average, if one is kept.
    pub average: Option<Storage>,
    /// Of a recurrent layer's.
    pub config: Option<RnnConfig>,
    /// The version of the parameters that the last step left.
    pub seen: u32,
}
