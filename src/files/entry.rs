//! One array of a file: where its numbers are, and how they become 32-bit floats.
// Formats of the cargo feature alone use some of it.
#![cfg_attr(not(feature = "files"), allow(dead_code))]

use crate::error::{Error, Result};
use crate::memory;
use half::{bf16, f16};
use ndarray::ArrayD;
use safetensors::Dtype;
use std::ops::Range;
use std::sync::Arc;

/// What the numbers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A type that safetensors has too.
    Known(Dtype),
    /// One that nothing is read from, in words.
    Other(&'static str),
}

/// Where bytes are.
#[derive(Clone, Debug)]
pub(super) enum Blob {
    /// In the file as it is.
    File(Range<usize>),
    /// Unpacked from it.
    Own(Arc<Vec<u8>>),
    /// An array of the caller.
    Array(Arc<ArrayD<f32>>),
}

/// An array.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub kind: Kind,
    pub shape: Vec<usize>,
    /// Elements from one index of an axis to the next; none for rows one after the other.
    pub strides: Option<Vec<usize>>,
    /// The first element.
    pub offset: usize,
    pub blob: Blob,
    /// Whether the highest byte of a number comes first.
    pub big_endian: bool,
    /// Whether it stands in a list, as an optimiser's and TorchScript's copies do: it is no entry of a state dict.
    pub listed: bool,
}

/// An array as it is written back, whatever its numbers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Kind {
    /// Its name, as safetensors writes it.
    pub fn name(&self) -> String {
        match self {
            Self::Known(dtype) => format!("{dtype:?}"),
            Self::Other(name) => (*name).to_owned(),
        }
    }

    pub const fn is_float(&self) -> bool {
        matches!(self, Self::Known(Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64))
    }

    /// Bytes of a number; none where numbers are not whole bytes.
    pub fn bytes(&self) -> Option<usize> {
        match self {
            Self::Known(dtype) => Some(dtype.bitsize()).filter(|bits| bits % 8 == 0).map(|bits| bits / 8),
            Self::Other(_) => None,
        }
    }
}

impl Entry {
    /// An array of the caller.
    pub fn of_array(array: ArrayD<f32>) -> Self {
        Self {
            kind: Kind::Known(Dtype::F32),
            shape: array.shape().to_vec(),
            strides: None,
            offset: 0,
            blob: Blob::Array(Arc::new(array)),
            big_endian: false,
            listed: false,
        }
    }

    /// The number of elements, if it can be counted.
    pub fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |all, &axis| all.checked_mul(axis))
    }

    /// What is wrong with it, if it reaches beyond `bytes` bytes, or can't be counted.
    pub fn fault(&self, bytes: usize) -> Option<String> {
        if self.shape.len() > 32 {
            return Some(format!("it has {} axes, more than the 32 that can be read", self.shape.len()));
        }
        let size = self.kind.bytes()?;
        let Some(count) = self.count().filter(|count| count.checked_mul(8).is_some()) else {
            return Some(format!("its shape {:?} has more elements than can be counted", self.shape));
        };
        if count == 0 {
            return None;
        }
        let last = match &self.strides {
            None => Some(count - 1),
            Some(strides) if strides.len() != self.shape.len() => {
                return Some(format!("it has {} axes and {} strides", self.shape.len(), strides.len()));
            }
            Some(strides) => {
                let axes = self.shape.iter().zip(strides);
                axes.map(|(&axis, &stride)| (axis - 1).checked_mul(stride))
                    .try_fold(0_usize, |all, reach| all.checked_add(reach?))
            }
        };
        let end = last.and_then(|last| last.checked_add(self.offset)?.checked_add(1)?.checked_mul(size));
        match end {
            Some(end) if end <= bytes => None,
            _ => {
                Some(format!("its last element, of shape {:?}, lies beyond the {bytes} bytes of its data", self.shape))
            }
        }
    }

    /// Whether its numbers follow one another.
    fn is_contiguous(&self) -> bool {
        let Some(strides) = &self.strides else { return true };
        let mut expected = 1;
        for (&axis, &stride) in self.shape.iter().zip(strides).rev() {
            if axis != 1 && stride != expected {
                return false;
            }
            expected *= axis;
        }
        true
    }

    fn bytes<'a>(&'a self, file: &'a [u8]) -> &'a [u8] {
        match &self.blob {
            Blob::File(range) => file.get(range.clone()).unwrap_or_default(),
            Blob::Own(bytes) => bytes,
            Blob::Array(_) => &[],
        }
    }

    /// As 32-bit floats; none where it holds none. `name` is for errors.
    pub fn floats(&self, name: &str, file: &[u8]) -> Result<Option<ArrayD<f32>>> {
        if let Blob::Array(array) = &self.blob {
            return Ok(Some(ArrayD::clone(array)));
        }
        let data = self.bytes(file);
        let values = match &self.kind {
            Kind::Known(Dtype::F32) => self.numbers(name, data, f32::from_le_bytes)?,
            Kind::Known(Dtype::F16) => self.numbers(name, data, |bytes| f16::from_le_bytes(bytes).to_f32())?,
            Kind::Known(Dtype::BF16) => self.numbers(name, data, |bytes| bf16::from_le_bytes(bytes).to_f32())?,
            Kind::Known(Dtype::F64) => {
                let mut wide = None;
                let values = self.numbers(name, data, |bytes| {
                    let number = f64::from_le_bytes(bytes);
                    let narrow = number as f32;
                    if number.is_finite() && narrow.is_infinite() {
                        wide = wide.or(Some(number));
                    }
                    narrow
                })?;
                match wide {
                    Some(wide) => return Err(Error::value(name, "numbers that 32-bit floats can hold", wide)),
                    None => values,
                }
            }
            _ => return Ok(None),
        };
        Ok(ArrayD::from_shape_vec(self.shape.as_slice(), values).ok())
    }

    /// As it is written back: its numbers one after the other, the lowest byte of each first.
    pub fn raw(&self, name: &str, file: &[u8]) -> Result<Option<Raw>> {
        let (Kind::Known(dtype), Some(size)) = (&self.kind, self.kind.bytes()) else { return Ok(None) };
        let data = self.bytes(file);
        let bytes = match size {
            1 => self.numbers(name, data, |bytes: [u8; 1]| bytes)?.concat(),
            2 => self.numbers(name, data, |bytes: [u8; 2]| bytes)?.concat(),
            4 => self.numbers(name, data, |bytes: [u8; 4]| bytes)?.concat(),
            8 => self.numbers(name, data, |bytes: [u8; 8]| bytes)?.concat(),
            _ => return Ok(None),
        };
        Ok(Some(Raw { dtype: *dtype, shape: self.shape.clone(), bytes }))
    }

    /// Its numbers, row-major.
    fn numbers<const N: usize, T>(&self, name: &str, data: &[u8], read: impl FnMut([u8; N]) -> T) -> Result<Vec<T>> {
        let mut read = read;
        let mut number = |bytes: [u8; N]| {
            let mut bytes = bytes;
            if self.big_endian {
                bytes.reverse();
            }
            read(bytes)
        };
        let (chunks, _) = data.as_chunks::<N>();
        let count = self.count().unwrap_or(usize::MAX);
        let mut values = memory::reserved(name, count)?;
        if count == 0 {
            return Ok(values);
        }
        if self.is_contiguous() {
            // What was looked at before does not reach beyond them.
            values.extend(chunks.iter().skip(self.offset).take(count).map(|bytes| number(*bytes)));
            return Ok(values);
        }
        let strides = self.strides.as_deref().unwrap_or_default();
        let (Some((&row, outer)), Some((&step, strides))) = (self.shape.split_last(), strides.split_last()) else {
            return Ok(values);
        };
        let mut index = vec![0_usize; outer.len()];
        let mut at = self.offset;
        loop {
            // The last axis, then the next index of the others.
            let rest = chunks.get(at..).unwrap_or_default();
            match step {
                0 => values.extend((0..row).filter_map(|_| rest.first().map(|bytes| number(*bytes)))),
                step => values.extend(rest.iter().step_by(step).take(row).map(|bytes| number(*bytes))),
            }
            let mut axes = index.iter_mut().zip(outer.iter().zip(strides)).rev();
            let advanced = axes.any(|(i, (&axis, &stride))| {
                *i += 1;
                if *i < axis {
                    at += stride;
                    return true;
                }
                at -= (axis - 1) * stride;
                *i = 0;
                false
            });
            if !advanced {
                return Ok(values);
            }
        }
    }
}
