//! Readers of files that are no safetensors files, by the files' first bytes.

use super::entry::Entry;
use super::format::Format;
use crate::error::Result;
use std::collections::BTreeMap;

/// The format, arrays by name, and what stands before the names of the state dict.
type Content = (Format, BTreeMap<String, Entry>, String);

/// What a file holds; none where it is of no format of these.
#[cfg(feature = "files")]
pub(super) fn read(bytes: &[u8]) -> Result<Option<Content>> {
    use super::format::LEGACY;
    use super::{hdf5, npy, torch, unzip::Zip};
    if bytes.starts_with(LEGACY) {
        return torch::legacy(bytes).map(Some);
    }
    if bytes.starts_with(npy::MAGIC) {
        return npy::alone(bytes).map(|entries| Some((Format::NumPy, entries, String::new())));
    }
    if bytes.starts_with(hdf5::MAGIC) {
        return hdf5::read(bytes).map(|(entries, root)| Some((Format::Keras, entries, root)));
    }
    // An archive without a part has only the end of its directory.
    if !bytes.starts_with(b"PK\x03\x04") && !bytes.starts_with(b"PK\x05\x06") {
        return Ok(None);
    }
    let zip = Zip::open(bytes)?;
    if zip.names().any(|name| name == "model.weights.h5") {
        let (entries, root) = hdf5::zip(bytes, zip)?;
        return Ok(Some((Format::Keras, entries, root)));
    }
    let is_numpy = zip.names().all(|name| name.ends_with(".npy"));
    if is_numpy {
        return npy::zip(bytes, zip).map(|entries| Some((Format::NumPy, entries, String::new())));
    }
    torch::zip(bytes, zip).map(Some)
}

/// Without the cargo feature, files of other formats are known by name only.
#[cfg(not(feature = "files"))]
pub(super) fn read(_: &[u8]) -> Result<Option<Content>> {
    Ok(None)
}
