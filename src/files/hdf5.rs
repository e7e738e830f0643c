//! HDF5 files of Keras: `.weights.h5`, those in `.keras` archives, and whole models of old (`.h5`).

use super::entry::{Blob, Entry, Kind};
use super::format::Format;
use super::unzip::Zip;
use crate::error::{Error, Result};
use hdf5_reader::group::Group;
use hdf5_reader::{ByteOrder, Dataset, Datatype, Hdf5File, OpenOptions};
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a file begins.
pub(super) const MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Bytes of data for each byte of the file, at most, and what small files may have besides: chunks may be compressed.
const GROWTH: usize = 16;
const SMALL: usize = 1 << 16;

/// Groups in groups, at most.
const DEPTH: usize = 64;

/// Arrays by name, and what stands before the names of the layers.
type Content = (BTreeMap<String, Entry>, String);

fn fault(reason: impl Into<String>) -> Error {
    Error::WeightFile { format: Format::Keras.name(), reason: reason.into() }
}

fn damaged(error: impl std::fmt::Display) -> Error {
    fault(format!("it can't be read as an HDF5 file: {error}"))
}

/// The weights in a `.keras` archive.
pub(super) fn zip(bytes: &[u8], mut zip: Zip<'_>) -> Result<Content> {
    match zip.part("model.weights.h5")? {
        Some(blob) => read(Zip::bytes(&blob, bytes)),
        None => Err(fault("the archive has no model.weights.h5: was it saved in several files?")),
    }
}

/// All datasets, by their paths.
pub(super) fn read(bytes: &[u8]) -> Result<Content> {
    let most = bytes.len().saturating_mul(GROWTH).saturating_add(SMALL);
    let options = OpenOptions::default()
        .with_max_chunk_bytes(most)
        .with_max_read_bytes(most)
        .with_max_object_header_bytes(bytes.len())
        .with_chunk_cache_bytes(SMALL);
    let file = Hdf5File::from_shared_bytes_with_options(bytes.into(), options).map_err(damaged)?;
    let mut left = most;
    let mut entries = BTreeMap::new();
    let mut groups: Vec<(String, usize, Group)> = vec![(String::new(), 0, file.root_group().map_err(damaged)?)];
    // Each has a header of 16 bytes or more, unless links lead to one again and again.
    let mut visits = bytes.len() / 16 + 16;
    while let Some((path, depth, group)) = groups.pop() {
        visits = visits.checked_sub(1).ok_or_else(|| fault("its groups refer to one another over and over"))?;
        let (inner, datasets) = group.members().map_err(damaged)?;
        for group in inner {
            if depth == DEPTH {
                return Err(fault(format!("its groups are nested more than {DEPTH} deep")));
            }
            groups.push((format!("{path}{}/", group.name()), depth + 1, group));
        }
        for dataset in datasets {
            let name = format!("{path}{}", dataset.name().rsplit('/').next().unwrap_or_default());
            let entry = entry(&dataset, &mut left).map_err(|text| fault(format!("{name}: {text}")))?;
            if entries.insert(name.clone(), entry).is_some() {
                return Err(fault(format!("two arrays have the name '{name}'")));
            }
        }
    }
    let roots = ["layers/", "model_weights/", "_layer_checkpoint_dependencies/"];
    let root = roots.iter().find(|root| entries.keys().any(|name| name.starts_with(**root)));
    Ok((entries, root.copied().unwrap_or_default().to_owned()))
}

fn entry(dataset: &Dataset, left: &mut usize) -> std::result::Result<Entry, String> {
    let (kind, order) = match dataset.dtype() {
        Datatype::FloatingPoint { size: 2, byte_order } => (Kind::Known(Dtype::F16), *byte_order),
        Datatype::FloatingPoint { size: 4, byte_order } => (Kind::Known(Dtype::F32), *byte_order),
        Datatype::FloatingPoint { size: 8, byte_order } => (Kind::Known(Dtype::F64), *byte_order),
        Datatype::FixedPoint { size, signed, byte_order } => {
            let dtype = match (size, signed) {
                (1, true) => Some(Dtype::I8),
                (1, false) => Some(Dtype::U8),
                (2, true) => Some(Dtype::I16),
                (2, false) => Some(Dtype::U16),
                (4, true) => Some(Dtype::I32),
                (4, false) => Some(Dtype::U32),
                (8, true) => Some(Dtype::I64),
                (8, false) => Some(Dtype::U64),
                _ => None,
            };
            (dtype.map_or(Kind::Other("whole numbers of an odd size"), Kind::Known), *byte_order)
        }
        // h5py knows no such type: Keras writes the bytes and says what they are.
        Datatype::Opaque { size: 2, .. } if is_bfloat16(dataset) => (Kind::Known(Dtype::BF16), ByteOrder::LittleEndian),
        Datatype::String { .. } | Datatype::VarLen { .. } => (Kind::Other("text"), ByteOrder::LittleEndian),
        _ => (Kind::Other("a type that is no number"), ByteOrder::LittleEndian),
    };
    let shape = dataset.shape().iter().map(|&axis| usize::try_from(axis));
    let shape = shape.collect::<std::result::Result<Vec<_>, _>>().map_err(|_| "its shape is too large")?;
    let mut data = Vec::new();
    if kind.bytes().is_some() {
        let size = dataset.raw_byte_len().map_err(|error| error.to_string())?;
        *left = left.checked_sub(size).ok_or_else(|| {
            format!("with its {size} bytes, the arrays are more than {GROWTH} times as large as the file")
        })?;
        data = dataset.read_raw_bytes().map_err(|error| error.to_string())?;
    }
    let held = data.len();
    let entry = Entry {
        kind,
        shape,
        strides: None,
        offset: 0,
        blob: Blob::Own(Arc::new(data)),
        big_endian: matches!(order, ByteOrder::BigEndian),
        listed: false,
    };
    match entry.fault(held) {
        Some(text) => Err(text),
        None => Ok(entry),
    }
}

fn is_bfloat16(dataset: &Dataset) -> bool {
    let says = |name: &str| dataset.attribute(name).and_then(|attribute| attribute.read_string());
    says("dtype").is_ok_and(|dtype| dtype == "bfloat16")
}
