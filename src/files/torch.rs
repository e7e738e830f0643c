//! Files of `torch.save`, as zip archives and in the form from before version 1.6, and of `torch.jit.save`.

use super::entry::{Blob, Entry, Kind};
use super::format::{Format, LEGACY};
use super::globals::Global;
use super::pickle::{self, Pickle, Storage, Tensor, Value};
use super::state_dict;
use super::unzip::Zip;
use crate::error::{Error, Result};
use safetensors::Dtype;
use std::collections::{BTreeMap, HashMap};

/// The format, arrays by name, and what stands before the names of the state dict.
type Content = (Format, BTreeMap<String, Entry>, String);

/// Bytes of 32-bit floats for each byte of a file, at most, and what small files may have besides: tensors that share memory or
/// repeat it count as often as they are there.
const GROWTH: usize = 16;
const SMALL: usize = 1 << 16;

fn fault(reason: impl Into<String>) -> Error {
    Error::WeightFile { format: Format::PyTorch.name(), reason: reason.into() }
}

/// A file of today: `data.pkl` in a folder of a zip archive, and a part for each storage.
pub(super) fn zip(bytes: &[u8], mut zip: Zip<'_>) -> Result<Content> {
    let main =
        zip.names().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl") && name.matches('/').count() == 1);
    let main = main.map(str::to_owned);
    let Some(main) = main else {
        return Err(fault(
            "the zip archive has no data.pkl, which names its tensors: if torch.save did not write it, unpack it first",
        ));
    };
    let folder = main.trim_end_matches("data.pkl").to_owned();
    let order = zip.part(&format!("{folder}byteorder"))?;
    let big_endian = match order.as_ref().map(|order| Zip::bytes(order, bytes)) {
        None | Some(b"little") => false,
        Some(b"big") => true,
        Some(_) => return Err(fault("its byteorder is neither 'little' nor 'big'")),
    };
    let Some(blob) = zip.part(&main)? else { return Err(fault("data.pkl is missing")) };
    let text = Zip::bytes(&blob, bytes);
    let pickle = pickle::read(text).map_err(|text| fault(format!("data.pkl: {text}")))?;
    let mut blobs = HashMap::new();
    for value in &pickle.values {
        let Value::Storage(storage) = value else { continue };
        if blobs.contains_key(storage.key) {
            continue;
        }
        // A part that is missing is an error where a tensor lies in it.
        if let Some(blob) = zip.part(&format!("{folder}data/{}", storage.key))? {
            blobs.insert(storage.key, blob);
        }
    }
    content(&pickle, &blobs, bytes, big_endian)
}

/// A file of before: five pickles, then storages with their lengths.
pub(super) fn legacy(bytes: &[u8]) -> Result<Content> {
    let mut at = LEGACY.len();
    let mut next = |what: &str| {
        let rest = bytes.get(at..).unwrap_or_default();
        let pickle = pickle::read(rest).map_err(|text| fault(format!("{what}: {text}")))?;
        at += pickle.length;
        Ok(pickle)
    };
    let protocol = next("its version")?;
    if !matches!(protocol.value(protocol.top), Value::Int(1001)) {
        return Err(fault("its version is not 1001, the only one there was"));
    }
    let system = next("its system")?;
    let little = match system.value(system.top) {
        Value::Dict(items) => {
            let is = |key: &u32| matches!(system.value(*key), Value::Text("little_endian"));
            items.as_chunks::<2>().0.iter().find(|[key, _]| is(key)).map(|[_, value]| system.value(*value))
        }
        _ => None,
    };
    // Storages follow in the order of the system that wrote them.
    let big_endian = matches!(little, Some(Value::Bool(false)));
    let pickle = next("its tensors")?;
    let keys = next("its keys")?;
    let Value::List(keys_in_order) = keys.value(keys.top) else { return Err(fault("its keys are no list")) };
    let mut sizes = HashMap::new();
    for value in &pickle.values {
        let Value::Storage(storage) = value else { continue };
        let size = match storage.class {
            Global::Storage(dtype) => dtype.map_or(1, |dtype| dtype.bitsize() / 8),
            _ => {
                return Err(fault(format!(
                    "its storage '{}' is of {}: save floats",
                    storage.key,
                    unread(storage.class)
                )));
            }
        };
        sizes.insert(storage.key, size);
    }
    let mut blobs = HashMap::new();
    for key in keys_in_order {
        let Value::Text(key) = keys.value(*key) else { return Err(fault("one of its keys is no text")) };
        let Some(size) = sizes.get(key) else {
            return Err(fault(format!("no tensor lies in its storage '{key}', so its size is unknown")));
        };
        let count = bytes.get(at..at.saturating_add(8)).and_then(|bytes| bytes.first_chunk());
        let count = count.map(|count| if big_endian { u64::from_be_bytes(*count) } else { u64::from_le_bytes(*count) });
        let start = at.saturating_add(8);
        let length = count.and_then(|count| usize::try_from(count).ok()?.checked_mul(*size));
        let end = length.and_then(|length| start.checked_add(length)).filter(|end| *end <= bytes.len());
        let Some(end) = end else {
            return Err(fault(format!(
                "its storage '{key}' lies beyond the end of the file, which was cut off or damaged"
            )));
        };
        blobs.insert(*key, Blob::File(start..end));
        at = end;
    }
    if at != bytes.len() {
        return Err(fault(format!("{} bytes follow its last storage", bytes.len() - at)));
    }
    content(&pickle, &blobs, bytes, big_endian)
}

/// Arrays of the tensors that a pickle names.
fn content(pickle: &Pickle<'_>, blobs: &HashMap<&str, Blob>, bytes: &[u8], big_endian: bool) -> Result<Content> {
    let leaves = state_dict::leaves(pickle, bytes.len()).map_err(fault)?;
    let root = state_dict::root(pickle, &leaves);
    if leaves.is_empty() {
        return Err(fault("it holds no tensors: torch.save(model.state_dict(), \"model.pt\") writes those of a model"));
    }
    let mut left = bytes.len().saturating_mul(GROWTH).saturating_add(SMALL);
    let mut entries = BTreeMap::new();
    for (name, leaf) in leaves {
        let entry = match pickle.value(leaf.value) {
            Value::Tensor(tensor) => {
                let entry = entry(pickle, blobs, bytes, tensor).map_err(|text| fault(format!("{name}: {text}")))?;
                Entry { big_endian, listed: leaf.listed, ..entry }
            }
            Value::Strange(what) => Entry { listed: leaf.listed, ..nothing(what) },
            _ => continue,
        };
        if entry.kind.is_float() {
            let size = entry.count().and_then(|count| count.checked_mul(4));
            left = size.and_then(|size| left.checked_sub(size)).ok_or_else(|| {
                fault(format!(
                    "{name}: with its shape {:?}, the tensors are more than {GROWTH} times as large as the file, because \
                     they share memory or repeat it: save them after .contiguous() and .clone()",
                    entry.shape
                ))
            })?;
        }
        entries.insert(name, entry);
    }
    Ok((Format::PyTorch, entries, root))
}

/// A tensor that nothing is read from.
fn nothing(what: &'static str) -> Entry {
    Entry {
        kind: Kind::Other(what),
        shape: Vec::new(),
        strides: None,
        offset: 0,
        blob: Blob::File(0..0),
        big_endian: false,
        listed: false,
    }
}

fn entry(
    pickle: &Pickle<'_>,
    blobs: &HashMap<&str, Blob>,
    bytes: &[u8],
    tensor: &Tensor,
) -> std::result::Result<Entry, String> {
    let Value::Storage(storage) = pickle.value(tensor.storage) else { return Err("it has no storage".to_owned()) };
    let kind = kind(pickle, storage, tensor)?;
    let sizes = |id, what| pickle.sizes(id).ok_or_else(|| format!("its {what} are no list of whole numbers from 0 on"));
    let (shape, strides) = (sizes(tensor.size, "sizes")?, sizes(tensor.stride, "strides")?);
    let Some(size) = kind.bytes() else { return Ok(Entry { shape, kind, ..nothing("") }) };
    let blob = blobs.get(storage.key).ok_or_else(|| format!("its storage '{}' is not in the file", storage.key))?;
    let data = Zip::bytes(blob, bytes).len();
    let has_type = matches!(storage.class, Global::Storage(Some(_)));
    let said = storage.count.checked_mul(if has_type { size as u64 } else { 1 });
    if storage.view.is_none() && said != Some(data as u64) {
        return Err(format!("its storage '{}' has {data} bytes, not those of {} elements", storage.key, storage.count));
    }
    let offset = tensor.offset.checked_add(storage.view.unwrap_or(0)).and_then(|offset| usize::try_from(offset).ok());
    let offset = offset.ok_or("its offset lies beyond its storage")?;
    let (strides, blob) = (Some(strides), blob.clone());
    let entry = Entry { kind, shape, strides, offset, blob, big_endian: false, listed: false };
    match entry.fault(data) {
        Some(text) => Err(text),
        None => Ok(entry),
    }
}

/// The type of a tensor's numbers: its storage's, or its own.
fn kind(pickle: &Pickle<'_>, storage: &Storage<'_>, tensor: &Tensor) -> std::result::Result<Kind, String> {
    let of = |dtype: Option<Dtype>, name| dtype.map_or(Kind::Other(name), Kind::Known);
    match (tensor.dtype.map(|dtype| pickle.value(dtype)), storage.class) {
        (Some(Value::Global(Global::Dtype(dtype, name))), _) => Ok(of(*dtype, name)),
        (Some(_), _) => Err("its type is none of PyTorch's".to_owned()),
        (None, Global::Storage(Some(dtype))) => Ok(Kind::Known(dtype)),
        (None, class @ Global::Unread(_)) => Ok(Kind::Other(unread(class))),
        (None, _) => Err("neither it nor its storage says of which type it is".to_owned()),
    }
}

const fn unread(class: Global<'_>) -> &'static str {
    match class {
        Global::Unread(name) => name,
        _ => "another type",
    }
}
