//! A safetensors file: its tensors by name, and its notes.

use super::foreign::foreign;
use crate::error::{Error, Result, list};
use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Names of notes that begin so are this library's.
pub(crate) const RESERVED: &str = "wgrnn.";

/// A file that is read.
pub(crate) struct Archive<'a> {
    file: SafeTensors<'a>,
    /// Its metadata.
    pub notes: HashMap<String, String>,
}

impl<'a> Archive<'a> {
    /// Looks at the header; tensors are read when they are asked for.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let fault = |error: &SafeTensorError| Error::Safetensors(describe(bytes, error));
        let file = SafeTensors::deserialize(bytes).map_err(|error| fault(&error))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| fault(&error))?;
        Ok(Self { file, notes: header.metadata().clone().unwrap_or_default() })
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names = self.file.names();
        names.sort_unstable();
        names
    }

    /// A tensor's shape, if it is there.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.file.tensor(name).ok().map(|view| view.shape().to_vec())
    }

    /// A tensor as 32-bit floats, if it is there.
    ///
    /// # Errors
    /// [`Safetensors`](Error::Safetensors) for a type that is not of floats, [`Value`](Error::Value) for a 64-bit number
    /// that 32 bits can't hold.
    pub fn tensor(&self, name: &str) -> Result<Option<ArrayD<f32>>> {
        let Ok(view) = self.file.tensor(name) else { return Ok(None) };
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            Dtype::F16 => data.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            Dtype::BF16 => data.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            Dtype::F64 => doubles(name, data)?,
            other => {
                let expected = "expected F32, F64, F16 or BF16";
                let advice = "convert it to floats where the file is made";
                return Err(Error::Safetensors(format!("{name}: {expected}, got {other:?}: {advice}")));
            }
        };
        let array = ArrayD::from_shape_vec(view.shape(), values);
        array.map(Some).map_err(|_| Error::Safetensors(format!("{name}: its data is not {:?}", view.shape())))
    }

    /// The error that tensors are missing, the first of which is `prefix` and then `name`: with what the file has instead.
    /// `own` says which names after the prefix count, `more` which are missing too.
    pub fn missing(&self, prefix: &str, name: &str, more: &[String], own: impl Fn(&str) -> bool) -> Error {
        let names = self.names();
        let under: Vec<&str> = names.iter().copied().filter(|n| n.strip_prefix(prefix).is_some_and(&own)).collect();
        let other: Vec<String> = names
            .iter()
            .filter_map(|n| n.strip_suffix(name))
            .filter(|p| *p != prefix)
            .map(|p| format!("'{p}'"))
            .collect();
        let mut notes = Vec::new();
        if !more.is_empty() {
            notes.push(format!("missing too: {}", list(more)));
        }
        if !under.is_empty() {
            notes.push(format!("the file has {}", list(&under)));
        }
        if !other.is_empty() {
            notes.push(format!("prefixes with such a tensor: {}", list(&other)));
        }
        if under.is_empty() && other.is_empty() {
            notes.push(match &names[..] {
                [] => "the file has no tensors".to_owned(),
                _ => format!("no such name begins with '{prefix}'; the file has {}", list(&names)),
            });
        }
        Error::MissingWeight(format!("{prefix}{name} ({})", notes.join("; ")))
    }
}

/// What is wrong with a file that can't be read.
fn describe(bytes: &[u8], error: &SafeTensorError) -> String {
    if let Some(known) = foreign(bytes) {
        return known;
    }
    let count = bytes.len();
    match error {
        SafeTensorError::HeaderTooLarge => {
            format!("{error}: its first 8 bytes are no length of a header, so this is no safetensors file")
        }
        SafeTensorError::HeaderTooSmall | SafeTensorError::InvalidHeaderLength => {
            format!("{error}: the file has {count} bytes, so it was cut off, or is no safetensors file")
        }
        SafeTensorError::MetadataIncompleteBuffer => {
            format!("{error}: the file has {count} bytes, more or fewer than its header says")
        }
        other => other.to_string(),
    }
}

/// Numbers of 64 bits, rounded.
fn doubles(name: &str, data: &[u8]) -> Result<Vec<f32>> {
    let number = |b: &[u8]| {
        let wide = f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
        let narrow = wide as f32;
        if wide.is_finite() && narrow.is_infinite() {
            return Err(Error::value(name, "numbers that 32-bit floats can hold", wide));
        }
        Ok(narrow)
    };
    data.chunks_exact(8).map(number).collect()
}

/// Errors of a file's content say which file.
pub(crate) fn of_file(path: &Path) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Safetensors(text) => Error::Safetensors(format!("{}: {text}", path.display())),
        other => other,
    }
}

/// The content of a file.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let fault = |source| Error::File { path: path.to_owned(), source };
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = std::fs::metadata(path).map_err(fault)?.file_type();
        // Some have no end.
        if kind.is_char_device() || kind.is_block_device() {
            return Err(fault(std::io::Error::new(std::io::ErrorKind::InvalidInput, "this is a device, not a file")));
        }
    }
    std::fs::read(path).map_err(fault)
}

/// Arrays as a safetensors file.
///
/// # Errors
/// [`Value`](Error::Value) where two have one name.
pub(crate) fn serialize<'a>(
    arrays: impl Iterator<Item = (String, ArrayViewD<'a, f32>)>,
    notes: Option<HashMap<String, String>>,
) -> Result<Vec<u8>> {
    let tensors: Vec<_> = arrays
        .map(|(name, array)| {
            let bytes: Vec<u8> = array.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, array.shape().to_vec(), bytes)
        })
        .collect();
    let mut names = HashSet::new();
    if let Some((name, ..)) = tensors.iter().find(|(name, ..)| !names.insert(name)) {
        return Err(Error::value("tensors of a file", "a name of its own for each", format!("two of name '{name}'")));
    }
    let fault = |error: &SafeTensorError| Error::Safetensors(error.to_string());
    let views = tensors.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
    });
    let views = views.collect::<Result<Vec<_>, _>>().map_err(|error| fault(&error))?;
    safetensors::serialize(views, notes).map_err(|error| fault(&error))
}
