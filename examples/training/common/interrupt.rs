//! Ctrl-C in a training: it ends after the step at hand, is saved and says where. A second one ends the process at once.

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, Once, PoisonError};
use std::time::Duration;
use wgrnn::Trainer;

/// Whether the next signal ends the process.
static ENDS: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
/// The signal that came; 0: none.
static SIGNAL: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);
/// The bar that lines are printed above.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// A training that can be interrupted, until this is dropped: after that, signals end the process as they always do.
pub struct Listening(());

impl Drop for Listening {
    fn drop(&mut self) {
        ENDS.store(true, Ordering::SeqCst);
        *BAR.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Listens for Ctrl-C, and for SIGTERM.
pub fn listen(bar: &ProgressBar) -> Result<Listening> {
    static REGISTERED: Once = Once::new();
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
    ENDS.store(false, Ordering::SeqCst);
    let mut registered = Ok(());
    REGISTERED.call_once(|| registered = register());
    registered.context("listening for Ctrl-C")?;
    Ok(Listening(()))
}

fn register() -> std::io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal passes by.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&ENDS))?;
        flag::register(signal, Arc::clone(&ENDS))?;
        flag::register_usize(signal, Arc::clone(&SIGNAL), signal as usize)?;
    }
    // A step may take seconds: without an answer one would press again, and lose it all.
    std::thread::spawn(|| {
        while !is_asked() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let say = || eprintln!("interrupted: ending after this step; once more to end at once, without saving");
        if let Some(bar) = &*BAR.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.suspend(say);
        }
    });
    Ok(())
}

/// Whether Ctrl-C was pressed, so that training should end.
pub fn is_asked() -> bool {
    SIGNAL.load(Ordering::SeqCst) != 0
}

/// How a training that was interrupted ends: no error of its own, but nothing after it is done.
#[derive(Debug)]
struct Interrupted(String);

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Interrupted {}

/// Where a training is saved.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub path: &'a Path,
    /// Whether the file there is this training's: if not, it stays as it is.
    pub is_own: bool,
    /// Whether this very step is saved there.
    pub is_saved: bool,
}

/// Saves a training that was interrupted, and tells where.
pub fn stop(trainer: &Trainer, place: Place<'_>, notes: &HashMap<String, String>) -> anyhow::Error {
    let step = trainer.steps();
    let path = if place.is_own || place.is_saved { place.path.to_owned() } else { free(place.path) };
    if !place.is_saved
        && let Err(error) = trainer.save(&path, notes)
    {
        return anyhow::Error::new(error).context(format!("interrupted after step {step}, and not saved"));
    }
    let path = path.display();
    let text = format!("interrupted after step {step}: saved to {path}; go on with --save {path} --resume");
    Interrupted(text).into()
}

/// The path, or one like it that no file has.
fn free(path: &Path) -> PathBuf {
    let numbered = |n: u32| {
        let extension = path.extension().map(|extension| extension.to_string_lossy()).unwrap_or_default();
        path.with_extension(format!("{n}.{extension}"))
    };
    let paths = std::iter::once(path.to_owned()).chain((1..).map(numbered));
    paths.into_iter().find(|path| path.symlink_metadata().is_err()).unwrap_or_else(|| path.to_owned())
}

/// Ends the process if training was interrupted, with the status that shells give to such processes: 130 after Ctrl-C.
///
/// # Errors
///
/// All others.
pub fn or_exit<T>(result: Result<T>) -> Result<T> {
    if let Err(error) = &result
        && let Some(interrupted) = error.downcast_ref::<Interrupted>()
    {
        eprintln!("{interrupted}");
        std::process::exit(128 + SIGNAL.load(Ordering::SeqCst) as i32);
    }
    result
}
