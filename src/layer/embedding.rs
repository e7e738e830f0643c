//! A trainable table of vectors, one for each symbol.

use crate::device::Device;
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use ndarray::ArrayView2;

/// A table E, [symbols, features], that gives a vector for each symbol. Clones are handles of the same table.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::{Array2, array};
/// use wgrnn::{Device, Embedding, Tape, Tensor};
/// let device = Device::auto();
/// let embedding = Embedding::trainable(&device, Array2::from_elem((5, 3), 0.1).view())?;
/// let symbols = Tensor::from_array(&device, array![[0_u32, 4], [1, 1]].view())?; // [T, N]
/// let mut tape = Tape::training(&device)?;
/// let indices = tape.input(&symbols)?;
/// let vectors = tape.embedding(&embedding, &indices)?;
/// assert_eq!(vectors.shape(), [2, 2, 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Embedding {
    parameters: Parameters,
    symbols: usize,
    features: usize,
}

impl Embedding {
    /// Copies a table [symbols, features] to the device. Its [`Parameters`] call it `weight`.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape), [`NotFinite`](Error::NotFinite), and the errors of allocating memory.
    pub fn trainable(device: &Device, table: ArrayView2<'_, f32>) -> Result<Self> {
        let (symbols, features) = table.dim();
        if symbols == 0 || features == 0 {
            return Err(Error::shape("embedding table", "[symbols, features], neither 0", table.shape()));
        }
        let parameters = Parameters::new(device, [("weight".to_owned(), table.into_dyn())])?;
        Ok(Self { parameters, symbols, features })
    }

    /// The number of symbols, which is the number of rows of the table.
    pub fn symbols(&self) -> usize {
        self.symbols
    }

    /// The length of a symbol's vector.
    pub fn features(&self) -> usize {
        self.features
    }

    /// The table.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}
