//! What training changes: named arrays in one block of device memory, and their gradients in another.

use crate::device::{Device, block_on};
use crate::error::{Error, Result};
use crate::memory;
use crate::readback::{Readable, Request, Words, read_together_async};
use crate::storage::Storage;
use crate::tensor::check_finite;
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// One array of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub name: String,
    pub shape: Vec<usize>,
    /// First word in the block.
    pub offset: usize,
}

impl Entry {
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// How many words of arrays that follow one another go into each buffer: all into one where a binding may hold so many, else as
/// many whole arrays as it may. Vectors that follow one another stay together, since gains and biases are read as one matrix.
fn cut(device: &Device, arrays: &[(String, ArrayViewD<'_, f32>)]) -> Vec<usize> {
    let most = usize::try_from(device.plan_limits().binding_bytes / 4).unwrap_or(usize::MAX);
    let mut parts = vec![0];
    for together in arrays.chunk_by(|(_, a), (_, b)| a.ndim() < 2 && b.ndim() < 2) {
        let words: usize = together.iter().map(|(_, array)| array.len()).sum();
        match parts.last_mut() {
            Some(last) if *last == 0 || words.saturating_add(*last) <= most => *last += words,
            _ => parts.push(words),
        }
    }
    parts
}

/// Arrays one after the other into memory of a device.
pub(crate) fn upload(device: &Device, name: &str, arrays: &[(String, ArrayViewD<'_, f32>)]) -> Result<Storage> {
    let parts = cut(device, arrays);
    let storage = Storage::in_parts(device, name, &parts)?;
    let mut rest = arrays.iter();
    for (i, &count) in parts.iter().enumerate() {
        let mut words = memory::reserved(name, count)?;
        while words.len() < count
            && let Some((_, array)) = rest.next()
        {
            words.extend(array.iter().map(|value| value.to_bits()));
        }
        match storage.parts() {
            Some(parts) => Storage::Gpu(parts[i].0.clone()).write(device, &words)?,
            None => storage.write(device, &words)?,
        }
    }
    Ok(storage)
}

/// The trainable arrays of a layer with their gradients, on its device. Clones are handles of the same memory.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Device, Linear};
/// let linear = Linear::trainable(&Device::auto(), array![[1., 2.]].view(), None)?;
/// let parameters = linear.parameters().expect("it can be trained");
/// let (name, gradient) = parameters.gradients()?.swap_remove(0);
/// assert_eq!((name.as_str(), gradient.shape()), ("weight", &[1, 2][..]));
/// parameters.write(&[("weight".to_owned(), array![[3., 4.]].into_dyn())])?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Parameters(Arc<Block>);

struct Block {
    device: Device,
    entries: Vec<Entry>,
    words: usize,
    values: Storage,
    gradients: Storage,
    /// Another number after each change, beginning with 1.
    version: AtomicU32,
}

impl Parameters {
    /// Copies arrays to a device. Their gradients are zeros.
    ///
    /// # Errors
    /// [`NotFinite`](Error::NotFinite), [`Value`](Error::Value) where two have one name, [`Limit`](Error::Limit) where one of
    /// them is more than a buffer of the adapter may hold, and what allocating memory may give.
    pub fn new<'a>(device: &Device, arrays: impl IntoIterator<Item = (String, ArrayViewD<'a, f32>)>) -> Result<Self> {
        let arrays: Vec<_> = arrays.into_iter().collect();
        let mut entries: Vec<Entry> = Vec::new();
        let mut words: usize = 0;
        for (name, array) in &arrays {
            check_finite(name, array.iter())?;
            if entries.iter().any(|entry| entry.name == *name) {
                return Err(Error::value("parameters", "a name of its own for each", name));
            }
            entries.push(Entry { name: name.clone(), shape: array.shape().to_vec(), offset: words });
            words += array.len();
        }
        if words == 0 {
            crate::tensor::elements(&[0])?;
        }
        let values = upload(device, "parameters", &arrays)?;
        let gradients = Storage::in_parts(device, "gradients", &cut(device, &arrays))?;
        let (device, version) = (device.clone(), AtomicU32::new(1));
        Ok(Self(Arc::new(Block { device, entries, words, values, gradients, version })))
    }

    /// Memory of zeros beside them, a number for each of theirs, in as many buffers.
    pub(crate) fn beside(&self, name: &str) -> Result<Storage> {
        let parts = self.0.values.parts().map(|parts| parts.iter().map(|(_, words)| *words).collect());
        Storage::in_parts(&self.0.device, name, &parts.unwrap_or_else(|| vec![self.0.words]))
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// How many numbers all arrays have together.
    pub fn len(&self) -> usize {
        self.0.words
    }

    /// Whether there are no numbers, which is never the case.
    pub fn is_empty(&self) -> bool {
        self.0.words == 0
    }

    /// Names and shapes, in the order of the block.
    pub fn names(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.0.entries.iter().map(|entry| (&*entry.name, &*entry.shape))
    }

    /// Copies the arrays to the host.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where the device was lost.
    pub fn read(&self) -> Result<Vec<(String, ArrayD<f32>)>> {
        block_on(self.read_async())
    }

    /// The asynchronous form of [`Parameters::read`].
    ///
    /// # Errors
    /// As [`Parameters::read`].
    pub async fn read_async(&self) -> Result<Vec<(String, ArrayD<f32>)>> {
        read_together_async(self).await
    }

    /// Copies the gradients to the host.
    ///
    /// # Errors
    /// As [`Parameters::read`].
    pub fn gradients(&self) -> Result<Vec<(String, ArrayD<f32>)>> {
        block_on(self.gradients_async())
    }

    /// The asynchronous form of [`Parameters::gradients`].
    ///
    /// # Errors
    /// As [`Parameters::read`].
    pub async fn gradients_async(&self) -> Result<Vec<(String, ArrayD<f32>)>> {
        read_together_async(&Gradients(self)).await
    }

    /// Replaces all arrays, found by name. All of them are checked before the first is changed. Layers that were made
    /// with these parameters use the new values after [`Rnn::refresh`](crate::Rnn::refresh) or
    /// [`Linear::refresh`](crate::Linear::refresh).
    ///
    /// # Errors
    /// [`MissingWeight`](Error::MissingWeight), [`LeftOver`](Error::LeftOver) for arrays of other names, [`Shape`](Error::Shape),
    /// [`NotFinite`](Error::NotFinite), [`Value`](Error::Value) where two have one name.
    pub fn write(&self, arrays: &[(String, ArrayD<f32>)]) -> Result<()> {
        let mut words = memory::reserved("parameters", self.0.words)?;
        for entry in &self.0.entries {
            let array = arrays.iter().find(|array| array.0 == entry.name);
            let (_, array) = array.ok_or_else(|| Error::MissingWeight(entry.name.clone()))?;
            if array.shape() != entry.shape {
                return Err(Error::shape(&entry.name, &entry.shape, array.shape()));
            }
            check_finite(&entry.name, array.iter())?;
            words.extend(array.iter().map(|value| value.to_bits()));
        }
        let is_known = |name: &str| self.0.entries.iter().any(|entry| entry.name == name);
        let names = arrays.iter().map(|array| &array.0);
        let other: Vec<String> = names.filter(|name| !is_known(name)).cloned().collect();
        if !other.is_empty() {
            let own: Vec<&str> = self.names().map(|(name, _)| name).collect();
            return Err(Error::LeftOver { tensors: other, expected: own.join(", ") });
        }
        if arrays.len() > self.0.entries.len() {
            return Err(Error::value("arrays written", "one of each name", arrays.len()));
        }
        self.change();
        self.0.values.write(&self.0.device, &words)
    }

    /// The number of the last change.
    pub(crate) fn version(&self) -> u32 {
        self.0.version.load(Ordering::Relaxed)
    }

    /// Notes that the numbers change: gives the number of the change.
    pub(crate) fn change(&self) -> u32 {
        self.0.version.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Sets the gradients to zero.
    ///
    /// # Errors
    /// As [`Parameters::read`].
    pub fn clear_gradients(&self) -> Result<()> {
        self.0.gradients.write(&self.0.device, &memory::filled("gradients", self.0.words, 0)?)
    }

    fn arrays(&self, words: &[u32]) -> Result<Vec<(String, ArrayD<f32>)>> {
        let array = |entry: &Entry| {
            let words = words.get(entry.offset..).and_then(|words| words.get(..entry.len())).unwrap_or_default();
            ArrayD::from_shape_vec(IxDyn(&entry.shape), words.iter().copied().map(f32::from_bits).collect())
                .map(|array| (entry.name.clone(), array))
                .map_err(|_| Error::shape(&entry.name, &entry.shape, words.len()))
        };
        self.0.entries.iter().map(array).collect()
    }

    pub(crate) fn values(&self) -> &Storage {
        &self.0.values
    }

    pub(crate) fn gradient_storage(&self) -> &Storage {
        &self.0.gradients
    }

    /// Whether two handles are one block.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Readable for Parameters {
    type Host = Vec<(String, ArrayD<f32>)>;

    fn request<'a>(&'a self, request: &mut Request<'a>) -> Result<()> {
        request.add(&self.0.device, "parameters", &self.0.values, self.0.words)
    }

    fn receive(&self, words: &mut Words) -> Result<Self::Host> {
        self.arrays(&words.next())
    }
}

/// The gradients of parameters.
pub(crate) struct Gradients<'p>(pub &'p Parameters);

impl Readable for Gradients<'_> {
    type Host = Vec<(String, ArrayD<f32>)>;

    fn request<'a>(&'a self, request: &mut Request<'a>) -> Result<()> {
        let block = &self.0.0;
        request.add(&block.device, "gradients", &block.gradients, block.words)
    }

    fn receive(&self, words: &mut Words) -> Result<Self::Host> {
        self.0.arrays(&words.next())
    }
}

impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parameters").field("entries", &self.0.entries).field("device", &self.0.device).finish()
    }
}
