//! Tensors of ONNX files.

use super::proto::{self, data_type};
use crate::error::{Error, Result};
use crate::weights::files::read_file;
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use prost::Message;
use std::path::Path;

/// A tensor: numbers as 32-bit floats, whatever kind of float they were, or integers.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// Of float32, or rounded to it from float64, or exactly from float16 and bfloat16.
    Numbers(ArrayD<f32>),
    /// Of int32 or int64.
    Integers(ArrayD<i64>),
}

impl Tensor {
    /// Out of a file that holds nothing else, such as the inputs and outputs of ONNX's backend tests.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Onnx`](Error::Onnx) where it is damaged or of a kind that this library has no use for.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = read_file(path)?;
        let fault = |reason: String| Error::Onnx(format!("{}: {reason}", path.display()));
        let tensor = proto::Tensor::decode(&*bytes).map_err(|error| fault(error.to_string()))?;
        Self::new(&tensor, &path.display().to_string())
    }

    /// From a message; `name` is for errors.
    pub(super) fn new(tensor: &proto::Tensor, name: &str) -> Result<Self> {
        let fault = |reason: String| Error::Onnx(format!("tensor '{name}': {reason}"));
        if tensor.data_location == proto::EXTERNAL {
            return Err(fault(
                "its data lie in another file, which is not read; save the model with its data inside".into(),
            ));
        }
        let sizes = tensor.dims.iter().map(|&size| usize::try_from(size).ok());
        let shape = sizes.collect::<Option<Vec<_>>>().ok_or_else(|| fault(format!("shape {:?}", tensor.dims)))?;
        let elements = shape.iter().try_fold(1_usize, |all, &size| all.checked_mul(size));
        let elements = elements.ok_or_else(|| fault(format!("shape {shape:?}")))?;
        let numbers = |values: Vec<f32>| shaped(&shape, values).map(Self::Numbers).map_err(fault);
        let integers = |values: Vec<i64>| shaped(&shape, values).map(Self::Integers).map_err(fault);
        let raw = &tensor.raw_data;
        // Either raw bytes, little-endian, or the field of its type.
        let is_raw = !raw.is_empty() || elements == 0;
        match tensor.data_type {
            data_type::FLOAT if is_raw => numbers(from_bytes(raw, f32::from_le_bytes).map_err(fault)?),
            data_type::FLOAT => numbers(tensor.float_data.clone()),
            data_type::DOUBLE if is_raw => numbers(from_bytes(raw, |b| f64::from_le_bytes(b) as f32).map_err(fault)?),
            data_type::DOUBLE => numbers(tensor.double_data.iter().map(|&value| value as f32).collect()),
            data_type::FLOAT16 if is_raw => {
                numbers(from_bytes(raw, |b| f16::from_bits(u16::from_le_bytes(b)).to_f32()).map_err(fault)?)
            }
            data_type::FLOAT16 => {
                numbers(tensor.int32_data.iter().map(|&bits| f16::from_bits(bits as u16).to_f32()).collect())
            }
            data_type::BFLOAT16 if is_raw => {
                numbers(from_bytes(raw, |b| bf16::from_bits(u16::from_le_bytes(b)).to_f32()).map_err(fault)?)
            }
            data_type::BFLOAT16 => {
                numbers(tensor.int32_data.iter().map(|&bits| bf16::from_bits(bits as u16).to_f32()).collect())
            }
            data_type::INT32 if is_raw => integers(from_bytes(raw, |b| i32::from_le_bytes(b).into()).map_err(fault)?),
            data_type::INT32 => integers(tensor.int32_data.iter().map(|&value| value.into()).collect()),
            data_type::INT64 if is_raw => integers(from_bytes(raw, i64::from_le_bytes).map_err(fault)?),
            data_type::INT64 => integers(tensor.int64_data.clone()),
            other => Err(fault(format!("{} is not supported: expected floats or integers", data_type::name(other)))),
        }
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Numbers(array) => array.shape(),
            Self::Integers(array) => array.shape(),
        }
    }
}

fn shaped<T>(shape: &[usize], values: Vec<T>) -> Result<ArrayD<T>, String> {
    let count = values.len();
    ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|_| format!("{count} elements for shape {shape:?}"))
}

fn from_bytes<T, const N: usize>(bytes: &[u8], of: impl Fn([u8; N]) -> T) -> Result<Vec<T>, String> {
    let (whole, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() {
        return Ok(whole.iter().map(|&bytes| of(bytes)).collect());
    }
    Err(format!("{} bytes, expected a multiple of {N}", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(data_type: i32, dims: &[i64]) -> proto::Tensor {
        proto::Tensor { data_type, dims: dims.to_vec(), ..Default::default() }
    }

    fn numbers(tensor: &proto::Tensor) -> Vec<f32> {
        match Tensor::new(tensor, "t").unwrap() {
            Tensor::Numbers(array) => array.into_iter().collect(),
            Tensor::Integers(_) => panic!("integers"),
        }
    }

    #[test]
    fn every_kind_of_float_is_read_raw_and_by_field() {
        let raw = |data_type, raw_data: Vec<u8>| proto::Tensor { raw_data, ..tensor(data_type, &[2]) };
        let bytes = [1.5_f32, -2.0].map(f32::to_le_bytes).concat();
        assert_eq!(numbers(&raw(data_type::FLOAT, bytes)), [1.5, -2.0]);
        assert_eq!(numbers(&raw(data_type::DOUBLE, [1.5_f64, -2.0].map(f64::to_le_bytes).concat())), [1.5, -2.0]);
        let halves = [1.5, -2.0].map(|x| f16::from_f32(x).to_bits());
        assert_eq!(numbers(&raw(data_type::FLOAT16, halves.map(u16::to_le_bytes).concat())), [1.5, -2.0]);
        let brains = [1.5, -2.0].map(|x| bf16::from_f32(x).to_bits());
        assert_eq!(numbers(&raw(data_type::BFLOAT16, brains.map(u16::to_le_bytes).concat())), [1.5, -2.0]);
        let fields = proto::Tensor { float_data: vec![1.5, -2.0], ..tensor(data_type::FLOAT, &[2]) };
        assert_eq!(numbers(&fields), [1.5, -2.0]);
        let fields = proto::Tensor { int32_data: halves.map(i32::from).to_vec(), ..tensor(data_type::FLOAT16, &[2]) };
        assert_eq!(numbers(&fields), [1.5, -2.0]);
        assert_eq!(numbers(&tensor(data_type::FLOAT, &[0, 3])), [0.0; 0]);
    }

    #[test]
    fn integers_are_read_raw_and_by_field() {
        let raw_data = [-1_i32, 7].map(i32::to_le_bytes).concat();
        let expected = Tensor::Integers(ndarray::arr1(&[-1, 7]).into_dyn());
        assert_eq!(Tensor::new(&proto::Tensor { raw_data, ..tensor(data_type::INT32, &[2]) }, "t").unwrap(), expected);
        let int64_data = vec![-1, 7];
        assert_eq!(
            Tensor::new(&proto::Tensor { int64_data, ..tensor(data_type::INT64, &[2]) }, "t").unwrap(),
            expected
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let fault = |tensor: &proto::Tensor, part: &str| {
            let error = Tensor::new(tensor, "W").unwrap_err().to_string();
            assert!(error.contains("'W'") && error.contains(part), "{error}");
        };
        fault(&tensor(3, &[1]), "int8");
        fault(&tensor(99, &[1]), "type 99");
        fault(&tensor(data_type::FLOAT, &[-1]), "[-1]");
        fault(&tensor(data_type::FLOAT, &[i64::MAX, 4]), "shape");
        fault(&tensor(data_type::FLOAT, &[3]), "0 elements for shape [3]");
        fault(&proto::Tensor { raw_data: vec![0; 7], ..tensor(data_type::FLOAT, &[2]) }, "7 bytes");
        fault(&proto::Tensor { data_location: proto::EXTERNAL, ..tensor(data_type::FLOAT, &[2]) }, "another file");
    }
}
