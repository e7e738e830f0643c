//! Data of tensors that lie in files of their own, as `torch.onnx.export` writes them beside a model.

use super::proto::{self, Entry};
use crate::error::{Error, Result};
use crate::weights::files::read_file;
use prost::bytes::Bytes;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

/// The files that a model's tensors name, by what they are named.
#[derive(Default)]
pub(super) struct DataFiles(HashMap<String, Bytes>);

/// Where files are read from.
pub(super) trait Source {
    /// The file of a name that a model gives.
    fn read(&mut self, location: &str) -> Result<Bytes>;
}

/// The folder of a model.
pub(super) struct Folder<'a>(pub &'a Path);

/// What a caller gives by name.
pub(super) struct Callback<F>(pub F);

/// A model that came without its files.
pub(super) struct Nothing;

impl Source for Folder<'_> {
    fn read(&mut self, location: &str) -> Result<Bytes> {
        Ok(read_file(&inside(self.0, location)?)?.into())
    }
}

impl<F: FnMut(&str) -> Result<Vec<u8>>> Source for Callback<F> {
    fn read(&mut self, location: &str) -> Result<Bytes> {
        Ok((self.0)(location)?.into())
    }
}

impl Source for Nothing {
    fn read(&mut self, location: &str) -> Result<Bytes> {
        let what = format!("the model's data file '{location}'");
        Err(Error::value(what, "to be given to `Model::from_bytes_with`", "the bytes of the model alone"))
    }
}

impl DataFiles {
    /// Reads the file that a tensor's data lie in, unless it was read before.
    pub fn read(&mut self, entries: &[Entry], name: &str, source: &mut dyn Source) -> Result<()> {
        let location = entry(entries, "location").ok_or_else(|| fault(name, "no location is said"))?;
        if !self.0.contains_key(location) {
            self.0.insert(location.to_owned(), source.read(location)?);
        }
        Ok(())
    }

    /// The data of a tensor, which are part of a file; of `size` bytes unless their length is said.
    pub fn part(&self, tensor: &proto::Tensor, name: &str, size: usize) -> Result<Bytes> {
        let entries = &tensor.external_data;
        let location = entry(entries, "location").ok_or_else(|| fault(name, "no location is said"))?;
        let Some(file) = self.0.get(location) else {
            return Err(fault(name, &format!("its file '{location}' was not read")));
        };
        let number = |key: &str| match entry(entries, key) {
            None => Ok(None),
            Some(text) => {
                let number = text.parse::<usize>();
                number.map(Some).map_err(|_| fault(name, &format!("{key} '{text}', expected a number of bytes")))
            }
        };
        let start = number("offset")?.unwrap_or(0);
        let length = number("length")?.unwrap_or(size);
        match start.checked_add(length).filter(|&end| end <= file.len()) {
            Some(end) => Ok(file.slice(start..end)),
            None => {
                let got = format!("{length} bytes from byte {start} on of '{location}', which has {}", file.len());
                Err(fault(name, &format!("{got}: was it copied whole?")))
            }
        }
    }
}

fn entry<'a>(entries: &'a [Entry], key: &str) -> Option<&'a str> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &*entry.value)
}

fn fault(name: &str, reason: &str) -> Error {
    Error::Onnx(format!("tensor '{name}', whose data lie in another file: {reason}"))
}

/// The path of a file in a model's folder, which a model that someone else made must not leave.
fn inside(model: &Path, location: &str) -> Result<PathBuf> {
    let refuse = |reason: &str| {
        let what = format!("data file '{location}' of {}", model.display());
        Error::value(what, "a file in the folder of the model", reason)
    };
    // Names that a writer on another system separates in its own way.
    let location = location.replace('\\', "/");
    let relative = Path::new(&location);
    let stays = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if location.is_empty() || !relative.components().all(stays) || location.contains(':') {
        return Err(refuse("a path that leaves it"));
    }
    let folder = model.parent().unwrap_or_else(|| Path::new(""));
    let path = folder.join(relative);
    // Links may lead elsewhere: to where the model itself lies, as in caches that link both, but no further.
    if let Ok(real) = path.canonicalize() {
        let beside = |folder: &Path| {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            folder.canonicalize().is_ok_and(|folder| real.starts_with(folder))
        };
        let real_model = model.canonicalize().ok();
        if !beside(folder) && !real_model.as_deref().and_then(Path::parent).is_some_and(beside) {
            return Err(refuse("a link that leaves it"));
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        let model = Path::new("folder/model.onnx");
        for location in ["", "..", "../a", "a/../../b", "/a", "..\\a", "C:\\a", "C:a", "\\\\host\\a", "a\\..\\..\\b"] {
            let error = inside(model, location).unwrap_err().to_string();
            assert!(error.contains("leaves it") && error.contains(location), "{error}");
        }
        for (location, path) in [("a.data", "folder/a.data"), ("./b/a", "folder/./b/a"), ("b\\a", "folder/b/a")] {
            assert_eq!(inside(model, location).unwrap(), Path::new(path));
        }
    }

    #[test]
    fn a_part_beyond_the_file_is_refused() {
        let files = DataFiles(HashMap::from([("f".to_owned(), Bytes::from_static(&[1, 2, 3, 4]))]));
        let part = |entries: &[(&str, &str)], size| {
            let entry = |&(key, value): &(&str, &str)| Entry { key: key.to_owned(), value: value.to_owned() };
            let tensor = proto::Tensor { external_data: entries.iter().map(entry).collect(), ..Default::default() };
            files.part(&tensor, "W", size).map_err(|error| error.to_string())
        };
        assert_eq!(part(&[("location", "f"), ("offset", "1"), ("length", "2")], 9).unwrap(), &[2, 3][..]);
        assert_eq!(part(&[("location", "f")], 4).unwrap(), &[1, 2, 3, 4][..]);
        for (entries, expected) in [
            (&[("location", "f"), ("offset", "1"), ("length", "4")][..], "4 bytes from byte 1"),
            (&[("location", "f"), ("offset", "18446744073709551615"), ("length", "1")], "1 bytes from byte"),
            (&[("location", "f"), ("offset", "-1")], "offset '-1'"),
            (&[("location", "g")], "'g' was not read"),
            (&[("offset", "1")], "no location"),
        ] {
            let error = part(entries, 4).unwrap_err();
            assert!(error.contains(expected) && error.contains("'W'"), "{error}");
        }
    }
}
