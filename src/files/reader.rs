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
    use super::{torch, unzip::Zip};
    if bytes.starts_with(LEGACY) {
        return torch::legacy(bytes).map(Some);
    }
    if bytes.starts_with(b"PK\x03\x04") {
        let zip = Zip::open(bytes, Format::PyTorch)?;
        return torch::zip(bytes, zip).map(Some);
    }
    Ok(None)
}

/// Without the cargo feature, files of other formats are known by name only.
#[cfg(not(feature = "files"))]
pub(super) fn read(_: &[u8]) -> Result<Option<Content>> {
    Ok(None)
}
