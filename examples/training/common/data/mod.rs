//! The lessons' data, each in a module of the lesson's name. The files are compiled in; `--data` reads others of the same form.

pub mod caption;
pub mod char_lm;
pub mod chorales;
pub mod digits;
pub mod forecast;
mod grey;
pub mod handwriting;
pub mod mel;
pub mod pronounce;
pub mod sentiment;
pub mod speech;
pub mod translate;
pub mod voice;

use anyhow::{Context, Result, ensure};
use std::borrow::Cow;
use std::path::Path;

/// A data file: that of a folder, or else the one that is compiled in.
///
/// # Errors
///
/// A file that is missing, can't be read, or is empty.
pub fn bytes(folder: Option<&Path>, name: &str, built_in: &'static [u8]) -> Result<Cow<'static, [u8]>> {
    let Some(folder) = folder else { return Ok(built_in.into()) };
    let path = folder.join(name);
    let hint =
        || format!("{}: --data is the folder that has {name}; leave it out for the lesson's own", path.display());
    let bytes = std::fs::read(&path).with_context(hint)?;
    ensure!(!bytes.is_empty(), "{}: the file is empty", path.display());
    Ok(bytes.into())
}

/// The same for a text.
///
/// # Errors
///
/// Those of [`bytes`], and a file that is no text.
pub fn text(folder: Option<&Path>, name: &str, built_in: &'static str) -> Result<String> {
    let bytes = bytes(folder, name, built_in.as_bytes())?.into_owned();
    String::from_utf8(bytes).with_context(|| format!("{name}: expected a text in UTF-8"))
}

/// Reads a file line by line; errors name file and line.
///
/// # Errors
///
/// That of the first line that `parse` refuses; a file without lines.
pub fn by_line<T>(name: &str, text: &str, parse: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    ensure!(!text.trim().is_empty(), "{name}: no lines");
    let line = |(i, line)| parse(line).with_context(|| format!("{name}, line {}", i + 1));
    text.lines().enumerate().map(line).collect()
}
