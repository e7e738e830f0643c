//! Zip archives in memory: parts as they lie in the file, or unpacked within bounds.

use super::entry::Blob;
use crate::error::{Error, Result};
use flate2::{Crc, bufread::DeflateDecoder};
use rawzip::{CompressionMethod, ZipArchive, ZipArchiveEntryWayfinder, ZipSliceArchive};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

/// Unpacked bytes for each byte of the file, at most, and what small files may have besides: weights hardly shrink, while a bomb
/// unpacks to a thousand times its size.
const GROWTH: usize = 32;
const SMALL: usize = 1 << 20;

/// What errors call it: they come before it is known whose archive it is.
const ARCHIVE: &str = "zip archive of weights (.pt, .npz, .keras)";

/// An archive, with what may still be unpacked from it.
pub(super) struct Zip<'a> {
    archive: ZipSliceArchive<&'a [u8]>,
    parts: BTreeMap<String, Part>,
    left: usize,
    /// Whether there are checksums: PyTorch can be told to write none.
    checked: bool,
}

struct Part {
    place: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    crc: u32,
    size: u64,
}

impl<'a> Zip<'a> {
    /// Reads the directory at the end of the file.
    pub fn open(bytes: &'a [u8]) -> Result<Self> {
        let fault = |reason: String| Error::WeightFile { format: ARCHIVE, reason };
        let damaged = |error: rawzip::Error| {
            fault(format!("it has no sound directory at its end, so it was cut off or damaged: {error}"))
        };
        let archive = ZipArchive::from_slice(bytes).map_err(damaged)?;
        let mut parts = BTreeMap::new();
        let mut count = 0_u64;
        for part in archive.entries() {
            let part = part.map_err(damaged)?;
            count += 1;
            let raw = part.file_path();
            let Ok(name) = std::str::from_utf8(raw.as_bytes()) else {
                return Err(fault("it has a part whose name is no UTF-8".to_owned()));
            };
            let leads_out = name.starts_with(['/', '\\']) || name.split(['/', '\\']).any(|part| part == "..");
            if leads_out || name.contains('\0') {
                return Err(fault(format!("it has a part '{}', a path that leads out of it", name.escape_debug())));
            }
            if part.is_dir() {
                continue;
            }
            if part.flags().is_encrypted() {
                return Err(fault(format!("'{name}' is encrypted: unpack the archive and pack it without a password")));
            }
            let entry = Part {
                place: part.wayfinder(),
                method: part.compression_method(),
                crc: part.crc32(),
                size: part.uncompressed_size_hint(),
            };
            if parts.insert(name.to_owned(), entry).is_some() {
                return Err(fault(format!("it has two parts of the name '{name}'")));
            }
        }
        if count != archive.entries_hint() {
            let said = archive.entries_hint();
            return Err(fault(format!("it has {count} parts, and its directory says {said}")));
        }
        let left = bytes.len().saturating_mul(GROWTH).saturating_add(SMALL);
        let checked = parts.values().any(|part| part.crc != 0);
        Ok(Self { archive, parts, left, checked })
    }

    /// The names of all parts, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.keys().map(String::as_str)
    }

    /// A part's bytes, if it is there. What lies in the file as it is stays there.
    pub fn part(&mut self, name: &str) -> Result<Option<Blob>> {
        let Some(part) = self.parts.get(name) else { return Ok(None) };
        let fault = |reason: String| Err(Error::WeightFile { format: ARCHIVE, reason: format!("'{name}' {reason}") });
        let Ok(entry) = self.archive.get_entry(part.place) else {
            return fault("lies beyond the file's end: the file was cut off or damaged".to_owned());
        };
        let data = entry.data();
        let mut crc = Crc::new();
        let blob = match part.method {
            CompressionMethod::STORE => {
                if data.len() as u64 != part.size {
                    return fault(format!("has {} bytes, and the directory says {}", data.len(), part.size));
                }
                crc.update(data);
                let (start, end) = entry.compressed_data_range();
                // Both lie within the file, which is in memory.
                Blob::File(start as usize..end as usize)
            }
            CompressionMethod::DEFLATE => {
                let size = match usize::try_from(part.size) {
                    Ok(size) if size <= self.left => size,
                    _ => {
                        return fault(format!(
                            "unpacks to {} bytes, more than {GROWTH} times the size of the file, as no weights do",
                            part.size
                        ));
                    }
                };
                // Grows with what is there: the size is only a claim.
                let mut unpacked = Vec::new();
                let most = (size as u64).saturating_add(1);
                if let Err(error) = DeflateDecoder::new(data).take(most).read_to_end(&mut unpacked) {
                    return fault(format!("can't be unpacked: {error}"));
                }
                if unpacked.len() != size {
                    return fault(format!("does not unpack to the {size} bytes that the directory says"));
                }
                self.left -= size;
                crc.update(&unpacked);
                Blob::Own(Arc::new(unpacked))
            }
            other => {
                let name = other.name().unwrap_or("an unknown method");
                return fault(format!("is compressed by {name}: only stored and deflated parts are read"));
            }
        };
        if self.checked && crc.sum() != part.crc {
            return fault("is damaged: its checksum is another than the directory says".to_owned());
        }
        Ok(Some(blob))
    }

    /// A part's bytes, copied or not.
    pub fn bytes<'b>(blob: &'b Blob, file: &'b [u8]) -> &'b [u8] {
        match blob {
            Blob::File(range) => file.get(range.clone()).unwrap_or_default(),
            Blob::Own(bytes) => bytes,
            Blob::Array(_) => &[],
        }
    }
}
