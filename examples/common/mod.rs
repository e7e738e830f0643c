//! What all examples share: the choice of a device, files that are named in errors, numbers as text.

#![allow(dead_code, reason = "each example uses a part of it")]

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::path::Path;
use wgrnn::Device;

/// Which device to use.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Choice {
    /// The best GPU, be it in software; an error where there is none.
    Gpu,
    /// This computer's cores.
    Cpu,
    /// A GPU if there is one, else this computer's cores, which are faster than a GPU in software.
    Auto,
}

impl Choice {
    /// The device; its name goes to standard error, with a note where it is not what one might expect.
    pub fn device(self) -> Result<Device> {
        let device = match self {
            Self::Gpu => Device::gpu()?,
            Self::Cpu => Device::cpu(),
            Self::Auto => Device::auto(),
        };
        if let Some(note) = device.note() {
            eprintln!("note: {note}");
        }
        eprintln!("device: {}", device.name());
        Ok(device)
    }
}

/// Makes the folder of `--plot`, before the work whose pictures it is for. It is a folder in every example.
pub fn make_folder(folder: Option<&Path>) -> Result<()> {
    let Some(folder) = folder else { return Ok(()) };
    let is_picture = folder.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"));
    ensure!(!is_picture, "--plot {}: expected a folder, in which pictures get names of their own", folder.display());
    std::fs::create_dir_all(folder).with_context(|| format!("--plot {}", folder.display()))
}

/// Whether a file can be written at a place, as far as can be seen before the work that it is for.
pub fn check_place(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(folder.is_dir(), "{}: there is no folder {}", path.display(), folder.display());
    ensure!(!path.is_dir(), "{}: expected a file's name, got that of a folder", path.display());
    Ok(())
}

/// A number with what is counted.
pub fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Adds a file's name to errors that do not have it.
pub fn of_file<T>(path: &Path, result: wgrnn::Result<T>) -> Result<T> {
    let name = path.display().to_string();
    match result {
        Err(error) if error.to_string().starts_with(&name) => Err(error.into()),
        other => other.with_context(|| name),
    }
}

/// A number that is no smaller than 0, to two digits that count.
pub fn two_digits(number: f64) -> String {
    let after_point = if number > 0.0 { (1.0 - number.log10().floor()).clamp(0.0, 12.0) as usize } else { 0 };
    format!("{number:.after_point$}")
}
