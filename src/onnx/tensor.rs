//! Tensors of ONNX files.

use super::formats::recognize;
use super::memory::collect;
use super::proto::{self, data_type};
use crate::error::{Error, Result};
use crate::weights::files::read_file;
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use prost::Message;
use std::path::Path;
use std::sync::OnceLock;

/// Dimensions of a tensor: what is used here has up to three, and no operator makes more than some ten.
const DIMENSIONS: usize = 64;

/// A tensor of a model: 32-bit floats, whatever kind of float the file has, or integers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Tensor {
    /// Floats: float32 as they are, float64 rounded, float16 and bfloat16 exactly.
    Numbers(ArrayD<f32>),
    /// Integers of the types int32 or int64.
    Integers(ArrayD<i64>),
}

impl Tensor {
    /// Reads a file that holds one tensor, such as the inputs and outputs of ONNX's backend tests.
    ///
    /// # Errors
    /// [`File`](Error::File), [`Onnx`](Error::Onnx) where it is damaged, which says what it is where it is a file of another
    /// known format, [`Unsupported`](Error::Unsupported) for a type of elements that this library has no use for,
    /// [`OutOfMemory`](Error::OutOfMemory).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = read_file(path)?;
        let name = path.display().to_string();
        // What a file of another format is says more than where it is no protobuf.
        let fault = |reason: &str| Error::Onnx(format!("{name}: {}", recognize(&bytes).unwrap_or(reason)));
        let tensor = proto::Tensor::decode(&*bytes).map_err(|error| {
            fault(&format!("{error}; expected a tensor alone, as in ONNX's backend tests (`Model::load` reads models)"))
        })?;
        if tensor.data_type == data_type::UNDEFINED {
            return Err(fault("there is no tensor in it"));
        }
        Self::new(&tensor, &name)
    }

    /// From a message; `name` is for errors. How much data there is is checked before memory is asked for.
    pub(super) fn new(tensor: &proto::Tensor, name: &str) -> Result<Self> {
        let data = Data::new(tensor, name)?;
        let raw = &tensor.raw_data;
        match (tensor.data_type, data.is_raw) {
            (data_type::FLOAT, true) => data.numbers_of_bytes(raw, f32::from_le_bytes),
            (data_type::FLOAT, false) => data.numbers(&tensor.float_data, |&value| Some(value)),
            (data_type::DOUBLE, true) => data.numbers(raw.as_chunks().0, |&bytes| rounded(f64::from_le_bytes(bytes))),
            (data_type::DOUBLE, false) => data.numbers(&tensor.double_data, |&value| rounded(value)),
            (data_type::FLOAT16, true) => data.numbers_of_bytes(raw, |bytes| f16::from_le_bytes(bytes).to_f32()),
            (data_type::FLOAT16, false) => {
                data.numbers(&tensor.int32_data, |&bits| Some(f16::from_bits(bits.try_into().ok()?).to_f32()))
            }
            (data_type::BFLOAT16, true) => data.numbers_of_bytes(raw, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            (data_type::BFLOAT16, false) => {
                data.numbers(&tensor.int32_data, |&bits| Some(bf16::from_bits(bits.try_into().ok()?).to_f32()))
            }
            (data_type::INT32, true) => data.integers(raw.as_chunks().0, |&bytes| i32::from_le_bytes(bytes).into()),
            (data_type::INT32, false) => data.integers(&tensor.int32_data, |&value| value.into()),
            (_, true) => data.integers(raw.as_chunks().0, |&bytes| i64::from_le_bytes(bytes)),
            (_, false) => data.integers(&tensor.int64_data, |&value| value),
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

/// A float64 as a float32; none where it is a number that float32 does not reach.
fn rounded(value: f64) -> Option<f32> {
    let single = value as f32;
    (single.is_finite() || !value.is_finite()).then_some(single)
}

/// What a tensor's message says of its data, checked against the data that are there.
struct Data<'a> {
    name: &'a str,
    shape: Vec<usize>,
    elements: usize,
    /// Whether they are bytes, little-endian, or else in the field of their type.
    is_raw: bool,
}

impl<'a> Data<'a> {
    fn new(tensor: &proto::Tensor, name: &'a str) -> Result<Self> {
        let fault = |reason: String| Error::Onnx(format!("tensor '{name}': {reason}"));
        if tensor.data_location == proto::EXTERNAL {
            return Err(Error::unsupported(
                format!("tensor '{name}', whose data lie in another file,"),
                "save the model with its data inside, with `onnx.save(onnx.load(path), path)`, or give the tensor's \
                 value by its name",
            ));
        }
        let (field, size) = match tensor.data_type {
            data_type::FLOAT => ("float_data", 4),
            data_type::DOUBLE => ("double_data", 8),
            data_type::FLOAT16 | data_type::BFLOAT16 => ("int32_data", 2),
            data_type::INT32 => ("int32_data", 4),
            data_type::INT64 => ("int64_data", 8),
            data_type::UNDEFINED => return Err(fault("its elements have no type".to_owned())),
            other => {
                let what = format!("tensor '{name}' of {}", data_type::name(other));
                return Err(Error::unsupported(what, "weights and states are floats, lengths are int32 or int64"));
            }
        };
        if tensor.dims.len() > DIMENSIONS {
            return Err(fault(format!("{} dimensions, at most {DIMENSIONS} are read", tensor.dims.len())));
        }
        let sizes = tensor.dims.iter().map(|&size| usize::try_from(size).ok());
        let shape = sizes.collect::<Option<Vec<_>>>().ok_or_else(|| fault(format!("shape {:?}", tensor.dims)))?;
        let elements = shape.iter().try_fold(1_usize, |all, &size| all.checked_mul(size));
        let elements = elements.ok_or_else(|| fault(format!("shape {shape:?} is too large")))?;

        let fields = [
            ("raw_data", tensor.raw_data.len()),
            ("float_data", tensor.float_data.len()),
            ("int32_data", tensor.int32_data.len()),
            ("int64_data", tensor.int64_data.len()),
            ("double_data", tensor.double_data.len()),
        ];
        let mut filled = fields.into_iter().filter(|(_, count)| *count > 0);
        let (found, count) = filled.next().unwrap_or((field, 0));
        let type_name = data_type::name(tensor.data_type);
        if let Some(other) =
            filled.next().map(|(other, _)| other).or((found != "raw_data" && found != field).then_some(found))
        {
            return Err(fault(format!("data of {type_name} in {other}, expected in raw_data or {field} alone")));
        }
        let is_raw = found == "raw_data";
        let fits = if is_raw { elements.checked_mul(size) == Some(count) } else { elements == count };
        if !fits {
            let unit = if is_raw { format!("bytes of {type_name}") } else { "elements".to_owned() };
            return Err(fault(format!("{count} {unit} for shape {shape:?}")));
        }
        Ok(Self { name, shape, elements, is_raw })
    }

    /// Floats, one of each item; none where a float32 can't hold it.
    fn numbers<T: std::fmt::Debug>(&self, items: &[T], of: impl Fn(&T) -> Option<f32>) -> Result<Tensor> {
        if let Some(index) = items.iter().position(|item| of(item).is_none()) {
            return Err(self.fault(&format!("element {index} is outside of what a float of its type can hold")));
        }
        self.shaped(items.iter().filter_map(of)).map(Tensor::Numbers)
    }

    fn numbers_of_bytes<const N: usize>(&self, raw: &[u8], of: impl Fn([u8; N]) -> f32) -> Result<Tensor> {
        self.numbers(raw.as_chunks().0, |&bytes| Some(of(bytes)))
    }

    fn integers<T>(&self, items: &[T], of: impl Fn(&T) -> i64) -> Result<Tensor> {
        self.shaped(items.iter().map(of)).map(Tensor::Integers)
    }

    fn shaped<T>(&self, values: impl Iterator<Item = T>) -> Result<ArrayD<T>> {
        let values = collect(&format!("tensor '{}'", self.name), self.elements, values)?;
        let array = ArrayD::from_shape_vec(IxDyn(&self.shape), values);
        array.map_err(|_| self.fault(&format!("shape {:?} is too large", self.shape)))
    }

    fn fault(&self, reason: &str) -> Error {
        Error::Onnx(format!("tensor '{}': {reason}", self.name))
    }
}

/// A tensor that a model holds: nodes share it.
#[derive(Debug)]
pub(super) struct Constant {
    pub tensor: Tensor,
    is_zero: OnceLock<bool>,
}

impl Constant {
    pub fn new(tensor: Tensor) -> Self {
        Self { tensor, is_zero: OnceLock::new() }
    }

    /// Whether it has elements and all of them are 0.
    pub fn is_zero(&self) -> bool {
        *self.is_zero.get_or_init(|| match &self.tensor {
            Tensor::Numbers(array) => !array.is_empty() && array.iter().all(|&value| value == 0.0),
            Tensor::Integers(array) => !array.is_empty() && array.iter().all(|&value| value == 0),
        })
    }
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
        let raw = |data_type, raw: Vec<u8>| proto::Tensor { raw_data: raw.into(), ..tensor(data_type, &[2]) };
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
        let raw_data = [-1_i32, 7].map(i32::to_le_bytes).concat().into();
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
        fault(&proto::Tensor { raw_data: vec![0; 7].into(), ..tensor(data_type::FLOAT, &[2]) }, "7 bytes");
        fault(&proto::Tensor { data_location: proto::EXTERNAL, ..tensor(data_type::FLOAT, &[2]) }, "another file");
    }
    /// A file that says one thing twice, or too much, is damaged: which of the two is meant is not known.
    #[test]
    fn data_that_contradict_themselves_are_refused() {
        let fault = |tensor: &proto::Tensor, part: &str| {
            let error = Tensor::new(tensor, "W").unwrap_err();
            assert!(matches!(error, Error::Onnx(_)) && error.to_string().contains(part), "{error}");
        };
        let float_data = vec![1.0, 2.0];
        let floats = proto::Tensor { float_data, ..tensor(data_type::FLOAT, &[2]) };
        fault(&proto::Tensor { raw_data: vec![0; 8].into(), ..floats.clone() }, "float_data");
        fault(&proto::Tensor { int64_data: vec![1, 2], ..tensor(data_type::FLOAT, &[2]) }, "int64_data");
        fault(&proto::Tensor { dims: vec![0], ..floats }, "2 elements for shape [0]");
        fault(&proto::Tensor { int32_data: vec![1 << 16], ..tensor(data_type::FLOAT16, &[1]) }, "element 0");
        fault(&proto::Tensor { double_data: vec![0.0, 1e300], ..tensor(data_type::DOUBLE, &[2]) }, "element 1");
        fault(&tensor(data_type::FLOAT, &[1; 100]), "100 dimensions");
        fault(&tensor(data_type::FLOAT, &[0, i64::MAX, 4]), "too large");
    }

    /// No memory is asked for on the word of a few bytes.
    #[test]
    fn a_shape_of_more_elements_than_there_are_data_is_refused_before_memory_is_asked_for() {
        for (kind, dims) in [(data_type::FLOAT, [1 << 40, 1 << 20]), (data_type::INT64, [1 << 31, 1 << 31])] {
            let raw_data = vec![0; 64].into();
            let error = Tensor::new(&proto::Tensor { raw_data, ..tensor(kind, &dims) }, "W").unwrap_err();
            assert!(error.to_string().contains("64 bytes"), "{error}");
        }
    }
}
