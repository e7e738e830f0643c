//! Arrays by name, from a file of any format that is read, or from the caller.

use super::disk::{of_file, read_file};
use super::entry::{Entry, Raw};
use super::format::Format;
use super::{reader, safetensors};
use crate::error::{Error, Result, list};
use ndarray::ArrayD;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Arrays by name, from a file or from the caller. Numbers become 32-bit floats when they are asked for.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::files::Arrays;
/// use wgrnn::ndarray::array;
/// let arrays = Arrays::from_named([("fc.weight".to_owned(), array![[1., 2.]].into_dyn())])?;
/// assert_eq!(arrays.names().collect::<Vec<_>>(), ["fc.weight"]);
/// assert_eq!(arrays.shape("fc.weight"), Some(&[1, 2][..]));
/// assert_eq!(arrays.get("fc.weight")?, array![[1., 2.]].into_dyn());
/// # Ok(())
/// # }
/// ```
///
/// The names of a file of `torch.save` are those of its state dict, after the keys of the dicts that it lies in:
/// `state_dict.fc.weight`. [`Arrays::find`] and all that takes a prefix find it as `fc.weight` too, also where
/// `DataParallel` (`module.`) or `torch.compile` (`_orig_mod.`) have put a prefix before all names.
#[derive(Clone, Debug)]
pub struct Arrays<'a> {
    format: Format,
    bytes: Cow<'a, [u8]>,
    entries: BTreeMap<String, Entry>,
    /// A safetensors file's metadata.
    pub(crate) notes: HashMap<String, String>,
    /// What stands before the names of the state dict: keys of the dicts around it.
    root: String,
    /// What stands before all names within it.
    wrapper: String,
}

impl Arrays<'static> {
    /// Reads a file. Its format is recognised by its first bytes: safetensors, and with the cargo feature `files` PyTorch
    /// (`.pt`, `.pth`), NumPy (`.npz`, `.npy`) and Keras (`.keras`, `.weights.h5`).
    ///
    /// # Errors
    /// [`File`](Error::File), [`Safetensors`](Error::Safetensors) for a damaged file and for one of no format that is
    /// known, [`WeightFile`](Error::WeightFile) for a damaged file of another format, and for what is not read from it:
    /// code, above all. [`Unsupported`](Error::Unsupported) without the cargo feature.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::of(Cow::Owned(read_file(path)?)).map_err(of_file(path))
    }

    /// As [`Arrays::load`], from the bytes of a file, which it keeps.
    ///
    /// # Errors
    /// As [`Arrays::load`], but for [`File`](Error::File).
    pub fn from_vec(bytes: Vec<u8>) -> Result<Self> {
        Self::of(Cow::Owned(bytes))
    }

    /// Takes arrays by name.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where two have one name.
    pub fn from_named(arrays: impl IntoIterator<Item = (String, ArrayD<f32>)>) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for (name, array) in arrays {
            if entries.contains_key(&name) {
                let got = format!("two of name '{name}'");
                return Err(Error::value("arrays by name", "a name of its own for each", got));
            }
            entries.insert(name, Entry::of_array(array));
        }
        Ok(Self::new(Format::Memory, Cow::Borrowed(&[]), entries))
    }
}

impl<'a> Arrays<'a> {
    /// As [`Arrays::load`], from the bytes of a file.
    ///
    /// # Errors
    /// As [`Arrays::load`], but for [`File`](Error::File).
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self> {
        Self::of(Cow::Borrowed(bytes))
    }

    fn of(bytes: Cow<'a, [u8]>) -> Result<Self> {
        match reader::read(&bytes)? {
            Some((format, entries, root)) => {
                let mut arrays = Self::new(format, bytes, entries);
                arrays.wrapper = wrapper(&arrays.entries, &root);
                arrays.root = root;
                Ok(arrays)
            }
            None => Self::of_safetensors(bytes),
        }
    }

    fn of_safetensors(bytes: Cow<'a, [u8]>) -> Result<Self> {
        let (entries, notes) = safetensors::read(&bytes)?;
        Ok(Self { notes, ..Self::new(Format::Safetensors, bytes, entries) })
    }

    /// Those of a safetensors file, and of no other.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self> {
        Self::of_safetensors(Cow::Borrowed(bytes))
    }

    fn new(format: Format, bytes: Cow<'a, [u8]>, entries: BTreeMap<String, Entry>) -> Self {
        let wrapper = wrapper(&entries, "");
        Self { format, bytes, entries, notes: HashMap::new(), root: String::new(), wrapper }
    }

    /// The format that they come from.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The names of all arrays, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// What stands before the names of the state dict, of a file that has more than that: `state_dict.`, `model.`.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The name of an array in the file, where it is there: as given, or within the state dict.
    pub fn find(&self, name: &str) -> Option<&str> {
        let names = [format!("{}{}{name}", self.root, self.wrapper), format!("{}{name}", self.root), name.to_owned()];
        names.iter().find_map(|name| self.entries.get_key_value(name)).map(|(name, _)| name.as_str())
    }

    /// The shape of an array, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entry(name).map(|(_, entry)| &entry.shape[..])
    }

    /// What the numbers of an array are in the file, if it is there: `"F32"`, `"BF16"`, `"I64"` and so on.
    pub fn kind(&self, name: &str) -> Option<String> {
        self.entry(name).map(|(_, entry)| entry.kind.name())
    }

    /// An array as 32-bit floats.
    ///
    /// # Errors
    /// [`MissingWeight`](Error::MissingWeight), [`Safetensors`](Error::Safetensors) and [`WeightFile`](Error::WeightFile)
    /// for numbers that are no floats, [`Value`](Error::Value) for a 64-bit number that 32 bits can't hold,
    /// [`OutOfMemory`](Error::OutOfMemory).
    pub fn get(&self, name: &str) -> Result<ArrayD<f32>> {
        match self.find(name) {
            Some(name) => self.tensor(name)?.ok_or_else(|| Error::MissingWeight(name.to_owned())),
            None => Err(self.missing("", name, &[], |_| true)),
        }
    }

    fn entry(&self, name: &str) -> Option<(&str, &Entry)> {
        let name = self.find(name)?;
        self.entries.get_key_value(name).map(|(name, entry)| (name.as_str(), entry))
    }

    /// A prefix as the file has it: within the state dict, where names begin so.
    pub(crate) fn resolve(&self, prefix: &str) -> String {
        let inner = format!("{}{}{prefix}", self.root, self.wrapper);
        let others = [format!("{}{prefix}", self.root), prefix.to_owned()];
        let has = |prefix: &String| self.under(prefix).next().is_some();
        if has(&inner) { inner } else { others.into_iter().find(has).unwrap_or(inner) }
    }

    /// The names that begin with a prefix.
    pub(crate) fn under<'p>(&'p self, prefix: &'p str) -> impl Iterator<Item = &'p str> {
        let from = self.entries.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from.map(|(name, _)| name.as_str()).take_while(move |name| name.starts_with(prefix))
    }

    /// The names of the state dict; others are in lists or beside it.
    pub(crate) fn of_state_dict(&self) -> impl Iterator<Item = &str> {
        self.under(&self.root).filter(|name| self.entries.get(*name).is_some_and(|entry| !entry.listed))
    }

    /// Names, shapes and numbers by the exact names of the file.
    pub(crate) fn shape_of(&self, name: &str) -> Option<Vec<usize>> {
        self.entries.get(name).map(|entry| entry.shape.clone())
    }

    /// Whether the numbers are floats.
    pub(crate) fn is_float(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.kind.is_float())
    }

    /// An array as it is written back.
    pub(crate) fn raw(&self, name: &str) -> Result<Option<Raw>> {
        self.entries.get(name).map_or(Ok(None), |entry| entry.raw(name, &self.bytes))
    }

    /// An array as 32-bit floats, if it is there by this very name.
    ///
    /// # Errors
    /// As [`Arrays::get`].
    pub(crate) fn tensor(&self, name: &str) -> Result<Option<ArrayD<f32>>> {
        let Some(entry) = self.entries.get(name) else { return Ok(None) };
        if let Some(array) = entry.floats(name, &self.bytes)? {
            return Ok(Some(array));
        }
        let expected = "expected F32, F64, F16 or BF16";
        let advice = "convert it to floats where the file is made";
        let text = format!("{name}: {expected}, got {}: {advice}", entry.kind.name());
        Err(match self.format {
            Format::Safetensors => Error::Safetensors(text),
            format => Error::WeightFile { format: format.name(), reason: text },
        })
    }

    /// The error that tensors are missing, the first of which is `prefix` and then `name`: with what the file has instead.
    /// `own` says which names after the prefix count, `more` which are missing too.
    pub fn missing(&self, prefix: &str, name: &str, more: &[String], own: impl Fn(&str) -> bool) -> Error {
        let names: Vec<&str> = self.names().collect();
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

/// What wrappers of PyTorch have put before all names of a state dict.
fn wrapper(entries: &BTreeMap<String, Entry>, root: &str) -> String {
    let names = || entries.iter().filter(|(_, entry)| !entry.listed).filter_map(|(name, _)| name.strip_prefix(root));
    let mut found = String::new();
    if names().next().is_none() {
        return found;
    }
    while let Some(more) = ["module.", "_orig_mod."]
        .iter()
        .find(|more| names().all(|name| name.strip_prefix(found.as_str()).is_some_and(|name| name.starts_with(**more))))
    {
        found.push_str(more);
    }
    found
}
