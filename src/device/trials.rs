//! What measuring an adapter is asked for, and what it found.

use serde::{Deserialize, Serialize};
use std::fmt::{Display, Formatter};
use std::path::PathBuf;

/// Measuring which tiles suit an adapter. It takes seconds on a GPU, a minute or two on one in software, whose compiler is
/// slow; what was found is kept on disk and read from there the next time, for the same adapter, driver and version.
///
/// Every candidate is first compared with its CPU twin: one that is not within its tolerance is never taken, however fast.
///
/// ```no_run
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{Autotune, Device, GpuOptions};
/// let device = Device::gpu_with(&GpuOptions { autotune: Some(Autotune::default()), ..GpuOptions::default() })?;
/// println!("{}", device.tuning().expect("it was tuned"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Autotune {
    /// Folder of what was found before; else `WGRNN_CACHE`, or `wgrnn` in the user's folder for caches.
    pub folder: Option<PathBuf>,
    /// Whether to measure though there is something.
    pub anew: bool,
}

/// What [`Autotune`] found.
#[derive(Clone, Debug)]
pub struct TuningReport {
    /// Where it was read from; none where it was measured.
    pub read_from: Option<PathBuf>,
    /// Why it could not be read or kept, if it could not.
    pub note: Option<String>,
    /// What was measured.
    pub trials: Vec<Trial>,
}

/// One candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The kernel, its tile, and how it reads its operands.
    pub variant: String,
    /// Seconds of one run; none where it was not within its tolerance.
    pub seconds: Option<f64>,
    /// Why it was not timed.
    pub failure: Option<String>,
    /// Whether it was taken.
    pub taken: bool,
}

impl Display for TuningReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match &self.read_from {
            Some(path) => write!(f, "tuned before, read from {}", path.display())?,
            None => write!(f, "tuned now")?,
        }
        if let Some(note) = &self.note {
            write!(f, "; {note}")?;
        }
        for Trial { variant, seconds, failure, taken } in &self.trials {
            let mark = if *taken { '*' } else { ' ' };
            match (seconds, failure) {
                (Some(seconds), _) => write!(f, "\n{mark} {:>10.3} ms  {variant}", 1e3 * seconds)?,
                (None, reason) => {
                    write!(f, "\n{mark} {:>13}  {variant}: {}", "no", reason.as_deref().unwrap_or_default())?;
                }
            }
        }
        Ok(())
    }
}
