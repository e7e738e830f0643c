//! Arrays of NumPy: `.npy` alone, and as parts of `.npz`.
//!
//! Crates for it parse the header, a dict as Python writes it, by recursion, which deep nesting overflows; its three keys have plain
//! values, so the few lines here do.

use super::entry::{Blob, Entry, Kind};
use super::format::Format;
use super::unzip::Zip;
use crate::error::{Error, Result};
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a file begins.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Bytes of 32-bit floats for each byte of a file, at most, and what small files may have besides, as unpacked.
const GROWTH: usize = 64;
const SMALL: usize = 4 << 20;

/// Arrays by name.
type Content = BTreeMap<String, Entry>;

fn fault(reason: impl Into<String>) -> Error {
    Error::WeightFile { format: Format::NumPy.name(), reason: reason.into() }
}

/// One array, which has no name of its own.
pub(super) fn alone(bytes: &[u8]) -> Result<Content> {
    let entry = entry(bytes, &Blob::File(0..bytes.len())).map_err(fault)?;
    Ok([("array".to_owned(), entry)].into())
}

/// The arrays of an archive, each `NAME.npy`.
pub(super) fn zip(bytes: &[u8], mut zip: Zip<'_>) -> Result<Content> {
    let names: Vec<String> = zip.names().map(str::to_owned).collect();
    let mut entries = BTreeMap::new();
    let mut left = bytes.len().saturating_mul(GROWTH).saturating_add(SMALL);
    for part in names {
        let Some(name) = part.strip_suffix(".npy") else {
            return Err(fault(format!("'{part}' of the archive is no array (.npy)")));
        };
        let Some(blob) = zip.part(&part)? else { continue };
        let entry = entry(Zip::bytes(&blob, bytes), &blob).map_err(|text| fault(format!("{name}: {text}")))?;
        if entry.kind.is_float() {
            let size = entry.count().and_then(|count| count.checked_mul(4));
            left = size
                .and_then(|size| left.checked_sub(size))
                .ok_or_else(|| fault(format!("{name}: it is too large")))?;
        }
        entries.insert(name.to_owned(), entry);
    }
    Ok(entries)
}

/// What a header says. `bytes` are those of `blob`.
fn entry(bytes: &[u8], blob: &Blob) -> std::result::Result<Entry, String> {
    let cut = "the array was cut off";
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin as NumPy's arrays do")?;
    let ([major, _], rest) = rest.split_first_chunk().ok_or(cut)?;
    let (length, rest) = match major {
        1 => rest.split_first_chunk().map(|(length, rest)| (u16::from_le_bytes(*length) as usize, rest)),
        2 | 3 => rest.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest)),
        other => return Err(format!("version {other} of NumPy's format is unknown")),
    }
    .ok_or(cut)?;
    // Headers of plain types have some hundred bytes.
    let header = rest.get(..length).ok_or(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is no text")?;
    let start = bytes.len() - rest.len() + length;
    let value = |key: &str| {
        let at = header.find(&format!("'{key}'")).ok_or_else(|| format!("its header has no '{key}'"))?;
        let rest = header.get(at + key.len() + 2..).unwrap_or_default().trim_start();
        rest.strip_prefix(':').map(str::trim_start).ok_or_else(|| format!("'{key}' of its header has no value"))
    };
    let descr = value("descr")?;
    let descr = descr.strip_prefix('\'').and_then(|text| text.split_once('\'')).map(|(text, _)| text);
    let (kind, big_endian) = descr.map_or((Kind::Other("a structured type"), false), kind);
    let fortran = match value("fortran_order")? {
        text if text.starts_with("False") => false,
        text if text.starts_with("True") => true,
        _ => return Err("'fortran_order' of its header is neither True nor False".to_owned()),
    };
    let shape = value("shape")?.strip_prefix('(').and_then(|text| text.split_once(')')).map(|(text, _)| text);
    let axes = shape.ok_or("'shape' of its header is no tuple")?.split(',').map(str::trim);
    let axes = axes.filter(|axis| !axis.is_empty()).take(64).map(|axis| axis.parse::<usize>());
    let shape = axes.collect::<std::result::Result<Vec<_>, _>>().map_err(|_| "'shape' has what is no size")?;
    let offset = kind.bytes().filter(|size| start.is_multiple_of(*size)).map(|size| start / size);
    let (blob, offset) = match (blob, offset) {
        (Blob::File(range), _) => (Blob::File(range.start + start..range.end), 0),
        (other, Some(offset)) => (other.clone(), offset),
        // Headers are padded to whole numbers of elements: where one is not, the data is copied.
        (_, None) => (Blob::Own(Arc::new(bytes.get(start..).unwrap_or_default().to_vec())), 0),
    };
    let strides = (fortran || offset > 0).then(|| strides(&shape, fortran));
    let held = if offset == 0 { bytes.len() - start } else { bytes.len() };
    let entry = Entry { kind, shape, strides, offset, blob, big_endian, listed: false };
    let count = entry.count().and_then(|count| count.checked_mul(entry.kind.bytes()?));
    if entry.kind.bytes().is_some() && count != Some(bytes.len() - start) {
        let shape = &entry.shape;
        return Err(format!("its data has {} bytes, which are not those of its shape {shape:?}", bytes.len() - start));
    }
    match entry.fault(held) {
        Some(text) => Err(text),
        None => Ok(entry),
    }
}

/// Elements from one index of each axis to the next: the first axis is the innermost of Fortran's order, the last of C's.
fn strides(shape: &[usize], fortran: bool) -> Vec<usize> {
    let mut strides = vec![0; shape.len()];
    let mut stride = 1_usize;
    for place in 0..shape.len() {
        let axis = if fortran { place } else { shape.len() - 1 - place };
        strides[axis] = stride;
        stride = stride.saturating_mul(shape[axis]);
    }
    strides
}

/// The type that `descr` says, and whether the highest byte comes first.
fn kind(descr: &str) -> (Kind, bool) {
    let big_endian = descr.starts_with('>');
    let known = match descr.trim_start_matches(['<', '>', '|', '=']) {
        "f2" => Dtype::F16,
        "f4" => Dtype::F32,
        "f8" => Dtype::F64,
        "i1" => Dtype::I8,
        "i2" => Dtype::I16,
        "i4" => Dtype::I32,
        "i8" => Dtype::I64,
        "u1" => Dtype::U8,
        "u2" => Dtype::U16,
        "u4" => Dtype::U32,
        "u8" => Dtype::U64,
        "b1" => Dtype::BOOL,
        "O" => return (Kind::Other("Python objects"), false),
        text if text.starts_with('c') => return (Kind::Other("complex numbers"), false),
        text if text.starts_with(['U', 'S']) => return (Kind::Other("text"), false),
        _ => return (Kind::Other("a type that is none of NumPy's numbers"), false),
    };
    (Kind::Known(known), big_endian)
}
