//! What measuring an adapter is asked for, and what it found.

use serde::{Deserialize, Serialize};
use std::fmt::{Display, Formatter};
use std::path::PathBuf;

/// How to measure which tiles suit an adapter. It takes seconds on a GPU, and a minute or two on one in software, whose
/// compiler is slow. The result is kept on disk and read from there the next time, for the same adapter, driver and
/// version of this crate.
///
/// Every candidate is first compared with its CPU twin. One that is not within its tolerance is never taken, however
/// fast it is.
///
/// ```no_run
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{Autotune, Device, GpuOptions};
/// let device = Device::gpu_with(&GpuOptions::default().autotune(Autotune::default()))?;
/// println!("{}", device.tuning().expect("it was tuned"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Autotune {
    /// The folder that results are kept in. `None`: that in the environment variable `WGRNN_CACHE`, else `wgrnn` in the
    /// user's folder for caches.
    pub folder: Option<PathBuf>,
    /// Whether to measure again even if there is a result.
    pub anew: bool,
}

impl Autotune {
    /// Sets the folder of the cache.
    pub fn folder(self, folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()), ..self }
    }

    /// Sets whether to measure again even if the cache has a result.
    pub fn anew(self, anew: bool) -> Self {
        Self { anew, ..self }
    }
}

/// The result of [`Autotune`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TuningReport {
    /// The file that the result was read from; `None` if it was measured.
    pub read_from: Option<PathBuf>,
    /// Why the result could not be read or kept, if so.
    pub note: Option<String>,
    /// The candidates that were tried.
    pub trials: Vec<Trial>,
}

/// A candidate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trial {
    /// The kernel, its tile, and how it reads its operands.
    pub variant: String,
    /// Seconds of one run; `None` if the result was not within its tolerance.
    pub seconds: Option<f64>,
    /// Why the candidate was not timed, if so.
    pub failure: Option<String>,
    /// Whether this candidate is used from now on.
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
