//! Tensors of ONNX files.

use super::external::{DataFiles, Folder};
use super::formats::recognize;
use super::memory::collect;
use super::proto::{self, data_type};
use crate::error::{Error, Result};
use crate::weights::files::read_file;
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use prost::Message;
use prost::bytes::Bytes;
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
    /// Integers of any type, of 4 to 64 bits, and truth values as 0 and 1.
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
        let mut files = DataFiles::default();
        if tensor.data_location == proto::EXTERNAL {
            files.read(&tensor.external_data, &name, &mut Folder(path))?;
        }
        Self::new(&tensor, &name, &files)
    }

    /// From a message; `name` is for errors. How much data there is is checked before memory is asked for.
    pub(super) fn new(tensor: &proto::Tensor, name: &str, files: &DataFiles) -> Result<Self> {
        let data = Data::new(tensor, name, files)?;
        let raw = &data.raw;
        let narrow = &tensor.int32_data;
        match (tensor.data_type, data.is_raw) {
            (data_type::FLOAT, true) => data.numbers_of_bytes(raw, f32::from_le_bytes),
            (data_type::FLOAT, false) => data.numbers(&tensor.float_data, |&value| Some(value)),
            (data_type::DOUBLE, true) => data.numbers(raw.as_chunks().0, |&bytes| rounded(f64::from_le_bytes(bytes))),
            (data_type::DOUBLE, false) => data.numbers(&tensor.double_data, |&value| rounded(value)),
            (data_type::FLOAT16, true) => data.numbers_of_bytes(raw, |bytes| f16::from_le_bytes(bytes).to_f32()),
            (data_type::FLOAT16, false) => {
                data.numbers(narrow, |&bits| Some(f16::from_bits(bits.try_into().ok()?).to_f32()))
            }
            (data_type::BFLOAT16, true) => data.numbers_of_bytes(raw, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            (data_type::BFLOAT16, false) => {
                data.numbers(narrow, |&bits| Some(bf16::from_bits(bits.try_into().ok()?).to_f32()))
            }
            (data_type::INT64, true) => data.integers_of_bytes(raw, i64::from_le_bytes),
            (data_type::INT64, false) => data.integers(&tensor.int64_data, |&value| Some(value)),
            (data_type::INT32, true) => data.integers_of_bytes(raw, |bytes| i32::from_le_bytes(bytes).into()),
            (data_type::INT32, false) => data.integers(narrow, |&value| Some(value.into())),
            (data_type::INT16, true) => data.integers_of_bytes(raw, |bytes| i16::from_le_bytes(bytes).into()),
            (data_type::INT16, false) => data.integers(narrow, |&value| Some(i16::try_from(value).ok()?.into())),
            (data_type::INT8, true) => data.integers_of_bytes(raw, |bytes| i8::from_le_bytes(bytes).into()),
            (data_type::INT8, false) => data.integers(narrow, |&value| Some(i8::try_from(value).ok()?.into())),
            (data_type::UINT16, true) => data.integers_of_bytes(raw, |bytes| u16::from_le_bytes(bytes).into()),
            (data_type::UINT16, false) => data.integers(narrow, |&value| Some(u16::try_from(value).ok()?.into())),
            (data_type::UINT8, true) => data.integers_of_bytes(raw, |[byte]| byte.into()),
            (data_type::UINT8, false) => data.integers(narrow, |&value| Some(u8::try_from(value).ok()?.into())),
            (data_type::BOOL, true) => data.integers_of_bytes(raw, |[byte]| (byte != 0).into()),
            (data_type::BOOL, false) => data.integers(narrow, |&value| Some((value != 0).into())),
            (data_type::UINT32, true) => data.integers_of_bytes(raw, |bytes| u32::from_le_bytes(bytes).into()),
            (data_type::UINT32, false) => {
                data.integers(&tensor.uint64_data, |&value| Some(u32::try_from(value).ok()?.into()))
            }
            (data_type::UINT64, true) => {
                data.integers(raw.as_chunks().0, |&bytes| i64::try_from(u64::from_le_bytes(bytes)).ok())
            }
            (data_type::UINT64, false) => data.integers(&tensor.uint64_data, |&value| i64::try_from(value).ok()),
            // Two to a byte, the first in the lower half.
            (data_type::UINT4, true) => data.halves(raw.iter().map(|&byte| byte.into()), |half| half.into()),
            (data_type::UINT4, false) => data.halves(narrow.iter().copied(), |half| half.into()),
            (data_type::INT4, true) => data.halves(raw.iter().map(|&byte| byte.into()), signed_half),
            (data_type::INT4, false) => data.halves(narrow.iter().copied(), signed_half),
            (other, _) => Err(Error::Plan(format!("elements of {}", data_type::name(other)))),
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

impl Tensor {
    /// Its floats; none where it holds integers.
    pub fn numbers(&self) -> Option<&ArrayD<f32>> {
        match self {
            Self::Numbers(array) => Some(array),
            Self::Integers(_) => None,
        }
    }

    /// Its integers; none where it holds floats.
    pub fn integers(&self) -> Option<&ArrayD<i64>> {
        match self {
            Self::Integers(array) => Some(array),
            Self::Numbers(_) => None,
        }
    }

    /// How many elements it has.
    pub(super) fn len(&self) -> usize {
        self.shape().iter().product()
    }
}

/// A float64 as a float32; none where it is a number that float32 does not reach.
fn rounded(value: f64) -> Option<f32> {
    let single = value as f32;
    (single.is_finite() || !value.is_finite()).then_some(single)
}

/// Four bits as a number from -8 to 7.
fn signed_half(half: u8) -> i64 {
    let half = i64::from(half);
    if half < 8 { half } else { half - 16 }
}

/// What a tensor's message says of its data, checked against the data that are there.
struct Data<'a> {
    name: &'a str,
    shape: Vec<usize>,
    elements: usize,
    /// Whether they are bytes, little-endian, or else in the field of their type.
    is_raw: bool,
    raw: Bytes,
}

/// The field that elements of a type stand in where they are not raw, and how many bits they have there.
fn field_of(data_type: i32) -> Option<(&'static str, usize)> {
    Some(match data_type {
        data_type::FLOAT => ("float_data", 32),
        data_type::DOUBLE => ("double_data", 64),
        data_type::FLOAT16 | data_type::BFLOAT16 | data_type::INT16 | data_type::UINT16 => ("int32_data", 16),
        data_type::INT8 | data_type::UINT8 | data_type::BOOL => ("int32_data", 8),
        data_type::INT4 | data_type::UINT4 => ("int32_data", 4),
        data_type::INT32 => ("int32_data", 32),
        data_type::INT64 => ("int64_data", 64),
        data_type::UINT32 => ("uint64_data", 32),
        data_type::UINT64 => ("uint64_data", 64),
        _ => return None,
    })
}

impl<'a> Data<'a> {
    fn new(tensor: &proto::Tensor, name: &'a str, files: &DataFiles) -> Result<Self> {
        let fault = |reason: String| Error::Onnx(format!("tensor '{name}': {reason}"));
        let type_name = data_type::name(tensor.data_type);
        let Some((field, bits)) = field_of(tensor.data_type) else {
            if tensor.data_type == data_type::UNDEFINED {
                return Err(fault("its elements have no type".to_owned()));
            }
            return Err(Error::unsupported(format!("tensor '{name}' of {type_name}"), "floats and integers are read"));
        };
        if tensor.dims.len() > DIMENSIONS {
            return Err(fault(format!("{} dimensions, at most {DIMENSIONS} are read", tensor.dims.len())));
        }
        let sizes = tensor.dims.iter().map(|&size| usize::try_from(size).ok());
        let shape = sizes.collect::<Option<Vec<_>>>().ok_or_else(|| fault(format!("shape {:?}", tensor.dims)))?;
        let elements = shape.iter().try_fold(1_usize, |all, &size| all.checked_mul(size));
        let elements = elements.ok_or_else(|| fault(format!("shape {shape:?} is too large")))?;
        let bytes = elements.checked_mul(bits).map(|bits| bits.div_ceil(8));

        let fields = [
            ("raw_data", tensor.raw_data.len()),
            ("float_data", tensor.float_data.len()),
            ("int32_data", tensor.int32_data.len()),
            ("int64_data", tensor.int64_data.len()),
            ("double_data", tensor.double_data.len()),
            ("uint64_data", tensor.uint64_data.len()),
        ];
        let mut filled = fields.into_iter().filter(|(_, count)| *count > 0);
        let is_external = tensor.data_location == proto::EXTERNAL;
        if is_external && let Some((found, _)) = filled.next() {
            return Err(fault(format!("data in {found} and in another file, expected one of them")));
        }
        let (found, count) = filled.next().unwrap_or((field, 0));
        if let Some(other) =
            filled.next().map(|(other, _)| other).or((found != "raw_data" && found != field).then_some(found))
        {
            return Err(fault(format!("data of {type_name} in {other}, expected in raw_data or {field} alone")));
        }
        let raw = if is_external {
            files.part(tensor, name, bytes.ok_or_else(|| fault(format!("shape {shape:?} is too large")))?)?
        } else {
            tensor.raw_data.clone()
        };
        let is_raw = is_external || found == "raw_data";
        let (fits, count) = match is_raw {
            true => (bytes == Some(raw.len()), raw.len()),
            false if bits == 4 => (elements.div_ceil(2) == count, count),
            false => (elements == count, count),
        };
        if !fits {
            let unit = if is_raw { format!("bytes of {type_name}") } else { "elements".to_owned() };
            return Err(fault(format!("{count} {unit} for shape {shape:?}")));
        }
        Ok(Self { name, shape, elements, is_raw, raw })
    }

    /// Floats, one of each item; none where a float32 can't hold it.
    fn numbers<T>(&self, items: &[T], of: impl Fn(&T) -> Option<f32>) -> Result<Tensor> {
        if let Some(index) = items.iter().position(|item| of(item).is_none()) {
            return Err(self.fault(&format!("element {index} is outside of what a float of its type can hold")));
        }
        self.shaped(items.iter().filter_map(of)).map(Tensor::Numbers)
    }

    fn numbers_of_bytes<const N: usize>(&self, raw: &[u8], of: impl Fn([u8; N]) -> f32) -> Result<Tensor> {
        self.shaped(raw.as_chunks().0.iter().map(|&bytes| of(bytes))).map(Tensor::Numbers)
    }

    /// Integers, one of each item; none where its type, or 64 bits with a sign, can't hold it.
    fn integers<T>(&self, items: &[T], of: impl Fn(&T) -> Option<i64>) -> Result<Tensor> {
        if let Some(index) = items.iter().position(|item| of(item).is_none()) {
            return Err(self.fault(&format!("element {index} is outside of what an integer of its type can hold")));
        }
        self.shaped(items.iter().filter_map(of)).map(Tensor::Integers)
    }

    fn integers_of_bytes<const N: usize>(&self, raw: &[u8], of: impl Fn([u8; N]) -> i64) -> Result<Tensor> {
        self.integers(raw.as_chunks().0, |&bytes| Some(of(bytes)))
    }

    /// Integers of four bits, two of each item.
    fn halves(&self, bytes: impl Iterator<Item = i32>, of: impl Fn(u8) -> i64) -> Result<Tensor> {
        let halves = bytes.flat_map(|byte| [byte & 15, byte >> 4 & 15]).map(|half| of(half as u8));
        self.shaped(halves).map(Tensor::Integers)
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

    /// Its number, where it has one element.
    pub fn one_number(&self) -> Option<f32> {
        match &self.tensor {
            Tensor::Numbers(array) if array.len() == 1 => array.iter().copied().next(),
            Tensor::Integers(array) if array.len() == 1 => array.iter().next().map(|&value| value as f32),
            _ => None,
        }
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
        match Tensor::new(tensor, "t", &DataFiles::default()).unwrap() {
            Tensor::Numbers(array) => array.into_iter().collect(),
            Tensor::Integers(_) => panic!("integers"),
        }
    }

    fn integers(tensor: &proto::Tensor) -> Vec<i64> {
        match Tensor::new(tensor, "t", &DataFiles::default()).unwrap() {
            Tensor::Integers(array) => array.into_iter().collect(),
            Tensor::Numbers(_) => panic!("numbers"),
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
        let expected = [-1, 7];
        assert_eq!(integers(&proto::Tensor { raw_data, ..tensor(data_type::INT32, &[2]) }), expected);
        let int64_data = vec![-1, 7];
        assert_eq!(integers(&proto::Tensor { int64_data, ..tensor(data_type::INT64, &[2]) }), expected);
    }

    #[test]
    fn small_integers_are_read_raw_and_by_field() {
        let two = |data_type, raw: &[u8], field: &[i32]| {
            let raw_data = raw.to_vec().into();
            let of_bytes = integers(&proto::Tensor { raw_data, ..tensor(data_type, &[2]) });
            let int32_data = field.to_vec();
            assert_eq!(of_bytes, integers(&proto::Tensor { int32_data, ..tensor(data_type, &[2]) }));
            of_bytes
        };
        assert_eq!(two(data_type::INT8, &[0xff, 0x7f], &[-1, 127]), [-1, 127]);
        assert_eq!(two(data_type::UINT8, &[0xff, 0x7f], &[255, 127]), [255, 127]);
        assert_eq!(two(data_type::BOOL, &[0, 1], &[0, 1]), [0, 1]);
        assert_eq!(two(data_type::INT16, &[0xff, 0xff, 0, 1], &[-1, 256]), [-1, 256]);
        assert_eq!(two(data_type::UINT16, &[0xff, 0xff, 0, 1], &[65535, 256]), [65535, 256]);
        assert_eq!(two(data_type::INT4, &[0x7f], &[0x7f]), [-1, 7]);
        assert_eq!(two(data_type::UINT4, &[0x7f], &[0x7f]), [15, 7]);
        let uint64_data = vec![5, 1 << 31];
        assert_eq!(integers(&proto::Tensor { uint64_data, ..tensor(data_type::UINT32, &[2]) }), [5, 1 << 31]);
        let odd = proto::Tensor { raw_data: vec![0x21, 0x03].into(), ..tensor(data_type::UINT4, &[3]) };
        assert_eq!(integers(&odd), [1, 2, 3]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let fault = |tensor: &proto::Tensor, part: &str| {
            let error = Tensor::new(tensor, "W", &DataFiles::default()).unwrap_err().to_string();
            assert!(error.contains("'W'") && error.contains(part), "{error}");
        };
        fault(&tensor(8, &[1]), "string");
        fault(&tensor(17, &[1]), "float8e4m3fn");
        fault(&proto::Tensor { int32_data: vec![300], ..tensor(data_type::UINT8, &[1]) }, "element 0");
        fault(&proto::Tensor { uint64_data: vec![1 << 63], ..tensor(data_type::UINT64, &[1]) }, "element 0");
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
            let error = Tensor::new(tensor, "W", &DataFiles::default()).unwrap_err();
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
            let tensor = proto::Tensor { raw_data, ..tensor(kind, &dims) };
            let error = Tensor::new(&tensor, "W", &DataFiles::default()).unwrap_err();
            assert!(error.to_string().contains("64 bytes"), "{error}");
        }
    }
}
