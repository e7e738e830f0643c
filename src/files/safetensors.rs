//! Safetensors files: their arrays, read and written.

use super::entry::{Blob, Entry, Kind, Raw};
use super::foreign::foreign;
use crate::error::{Error, Result};
use ndarray::ArrayViewD;
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Arrays by name, and notes.
type Content = (BTreeMap<String, Entry>, HashMap<String, String>);

/// What the header says; numbers are read when they are asked for.
pub(super) fn read(bytes: &[u8]) -> Result<Content> {
    let fault = |error: &SafeTensorError| Error::Safetensors(describe(bytes, error));
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(|error| fault(&error))?;
    let start = length + 8;
    let entry = |info: &safetensors::tensor::TensorInfo| Entry {
        kind: Kind::Known(info.dtype),
        shape: info.shape.clone(),
        strides: None,
        offset: 0,
        blob: Blob::File(start + info.data_offsets.0..start + info.data_offsets.1),
        big_endian: false,
        listed: false,
    };
    let entries = header.tensors().into_iter().map(|(name, info)| (name, entry(info))).collect();
    Ok((entries, header.metadata().clone().unwrap_or_default()))
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

/// Arrays as a safetensors file.
///
/// # Errors
/// [`Value`](Error::Value) where two have one name.
pub(crate) fn serialize<'a>(
    arrays: impl Iterator<Item = (String, ArrayViewD<'a, f32>)>,
    notes: Option<HashMap<String, String>>,
) -> Result<Vec<u8>> {
    let raw = |array: &ArrayViewD<'_, f32>| Raw {
        dtype: Dtype::F32,
        shape: array.shape().to_vec(),
        bytes: array.iter().flat_map(|value| value.to_le_bytes()).collect(),
    };
    write(&arrays.map(|(name, array)| (name, raw(&array))).collect::<Vec<_>>(), notes)
}

/// Arrays of any numbers as a safetensors file.
///
/// # Errors
/// As [`serialize`].
pub(crate) fn write(arrays: &[(String, Raw)], notes: Option<HashMap<String, String>>) -> Result<Vec<u8>> {
    let mut names = HashSet::new();
    if let Some((name, _)) = arrays.iter().find(|(name, _)| !names.insert(name)) {
        return Err(Error::value("tensors of a file", "a name of its own for each", format!("two of name '{name}'")));
    }
    let fault = |error: &SafeTensorError| Error::Safetensors(error.to_string());
    let views = arrays
        .iter()
        .map(|(name, raw)| TensorView::new(raw.dtype, raw.shape.clone(), &raw.bytes).map(|view| (name.as_str(), view)));
    let views = views.collect::<Result<Vec<_>, _>>().map_err(|error| fault(&error))?;
    safetensors::serialize(views, notes).map_err(|error| fault(&error))
}
