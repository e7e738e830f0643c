//! Copies to the host, of one thing or of several at once.

use crate::device::{Device, block_on};
use crate::error::{Error, Result};
use crate::storage::Storage;
use ndarray::{ArrayD, IxDyn};

/// Things that can be copied from a device to the host: a [`Tensor`](crate::Tensor), a
/// [`DeviceState`](crate::DeviceState), [`Parameters`](crate::Parameters), what a search has found ([`Beams`](crate::Beams),
/// [`CtcDecoded`](crate::CtcDecoded)), and references, options, slices, vectors and
/// tuples (of two to four) of these.
pub trait Readable {
    /// What it is on the host.
    type Host;

    /// Says what is to be copied.
    #[doc(hidden)]
    fn request<'a>(&'a self, request: &mut Request<'a>) -> Result<()>;

    /// Takes its own words, as many memories of them as it asked for.
    #[doc(hidden)]
    fn receive(&self, words: &mut Words) -> Result<Self::Host>;
}

/// The memories to be read, all of one device.
#[derive(Default)]
pub struct Request<'a> {
    device: Option<&'a Device>,
    parts: Vec<(&'a Storage, usize)>,
}

impl<'a> Request<'a> {
    /// Asks for the first `words` words of a memory.
    pub(crate) fn add(&mut self, device: &'a Device, name: &str, storage: &'a Storage, words: usize) -> Result<()> {
        if !self.device.get_or_insert(device).is(device) {
            return Err(Error::OtherDevice { tensor: name.to_owned() });
        }
        self.parts.push((storage, words));
        Ok(())
    }
}

/// The words that were read: a vector for each memory that was asked for.
pub struct Words(std::vec::IntoIter<Vec<u32>>);

impl Words {
    pub(crate) fn next(&mut self) -> Vec<u32> {
        self.0.next().unwrap_or_default()
    }

    /// The next memory's words as an array.
    pub(crate) fn array<T: bytemuck::Pod>(&mut self, name: &str, shape: &[usize]) -> Result<ArrayD<T>> {
        let words = self.next();
        let got = words.len();
        let elements = bytemuck::allocation::try_cast_vec(words)
            .unwrap_or_else(|(_, words)| bytemuck::cast_slice(&words).to_vec());
        ArrayD::from_shape_vec(IxDyn(shape), elements).map_err(|_| Error::shape(name, shape, got))
    }
}

/// Copies several things to the host, once the work submitted before is done. All of them are from the same moment. On
/// a GPU one submission and one wait copy all of them, which is faster than reading one after the other.
///
/// # Errors
/// [`OtherDevice`](Error::OtherDevice) where they are not all on one device; as [`Tensor::read`](crate::Tensor::read).
///
/// # Examples
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// # use wgrnn::{Cell, Device, Rnn, RnnConfig, RnnWeights, SessionOptions};
/// # let (device, config) = (Device::cpu(), RnnConfig::new(Cell::Lstm, 3, 4));
/// # let rnn = Rnn::new(&device, &config, RnnWeights::init(&config, 0)?)?;
/// let session = rnn.session(SessionOptions::new(5, 1))?;
/// session.run()?;
/// let (y, state) = wgrnn::read_together(&(session.output(), session.state()))?;
/// assert_eq!(y.shape(), [5, 1, 4]);
/// assert_eq!(state.h.shape(), [1, 1, 4]);
/// # Ok(())
/// # }
/// ```
pub fn read_together<R: Readable + ?Sized>(what: &R) -> Result<R::Host> {
    block_on(read_together_async(what))
}

/// The asynchronous form of [`read_together`].
///
/// # Errors
/// As [`read_together`].
pub async fn read_together_async<R: Readable + ?Sized>(what: &R) -> Result<R::Host> {
    let mut request = Request::default();
    what.request(&mut request)?;
    let words = match request.device {
        Some(device) => Storage::read_all(device, &request.parts).await?,
        None => Vec::new(),
    };
    what.receive(&mut Words(words.into_iter()))
}

/// Memory without a shape: its words as numbers in one row.
pub(crate) struct Row<'m> {
    pub device: &'m Device,
    pub storage: &'m Storage,
    pub words: usize,
}

impl Readable for Row<'_> {
    type Host = ArrayD<f32>;

    fn request<'a>(&'a self, request: &mut Request<'a>) -> Result<()> {
        request.add(self.device, "memory read", self.storage, self.words)
    }

    fn receive(&self, words: &mut Words) -> Result<ArrayD<f32>> {
        words.array("memory read", &[self.words])
    }
}

impl<R: Readable + ?Sized> Readable for &R {
    type Host = R::Host;

    fn request<'a>(&'a self, request: &mut Request<'a>) -> Result<()> {
        (**self).request(request)
    }

    fn receive(&self, words: &mut Words) -> Result<R::Host> {
        (**self).receive(words)
    }
}

impl<R: Readable> Readable for Option<R> {
    type Host = Option<R::Host>;

    fn request<'a>(&'a self, request: &mut Request<'a>) -> Result<()> {
        self.iter().try_for_each(|one| one.request(request))
    }

    fn receive(&self, words: &mut Words) -> Result<Self::Host> {
        self.as_ref().map(|one| one.receive(words)).transpose()
    }
}

impl<R: Readable> Readable for [R] {
    type Host = Vec<R::Host>;

    fn request<'a>(&'a self, request: &mut Request<'a>) -> Result<()> {
        self.iter().try_for_each(|one| one.request(request))
    }

    fn receive(&self, words: &mut Words) -> Result<Self::Host> {
        self.iter().map(|one| one.receive(words)).collect()
    }
}

impl<R: Readable> Readable for Vec<R> {
    type Host = Vec<R::Host>;

    fn request<'a>(&'a self, request: &mut Request<'a>) -> Result<()> {
        self.as_slice().request(request)
    }

    fn receive(&self, words: &mut Words) -> Result<Self::Host> {
        self.as_slice().receive(words)
    }
}

macro_rules! tuples {
    ($(($($part:ident $place:tt),*))*) => {$(
        impl<$($part: Readable),*> Readable for ($($part),*) {
            type Host = ($($part::Host),*);

            fn request<'a>(&'a self, request: &mut Request<'a>) -> Result<()> {
                $(self.$place.request(request)?;)*
                Ok(())
            }

            fn receive(&self, words: &mut Words) -> Result<Self::Host> {
                Ok(($(self.$place.receive(words)?),*))
            }
        }
    )*};
}

tuples! { (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) }
