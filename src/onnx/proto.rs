//! The messages of an ONNX file, with the field numbers of `onnx.proto`. Fields that nothing here reads are skipped.
//!
//! A graph keeps its nodes and tensors as bytes, which are parts of the file and not copies of it. Each is decoded when it is
//! needed: of most of them only the names are.

use prost::Message;
use prost::bytes::Bytes;

#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    /// Functions that the model defines for its nodes.
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<Function>,
}

/// The name of a function.
#[derive(Clone, PartialEq, Message)]
pub struct Function {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "10")]
    pub domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    /// Each a [`Node`].
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub node: Vec<Bytes>,
    /// Each a [`Tensor`].
    #[prost(bytes = "bytes", repeated, tag = "5")]
    pub initializer: Vec<Bytes>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "15")]
    pub sparse_initializer: Vec<SparseTensor>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub kind: Option<ValueType>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ValueType {
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(int32, tag = "1")]
    pub element: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub dimensions: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    #[prost(oneof = "Size", tags = "1, 2")]
    pub size: Option<Size>,
}

/// The size of an axis: a number, or a name for what is known when the model runs.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum Size {
    #[prost(int64, tag = "1")]
    Value(i64),
    #[prost(string, tag = "2")]
    Name(String),
}

#[derive(Clone, PartialEq, Message)]
pub struct SparseTensor {
    #[prost(message, optional, tag = "1")]
    pub values: Option<TensorName>,
}

/// A [`Tensor`] without what it holds itself.
#[derive(Clone, PartialEq, Message)]
pub struct TensorName {
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<Entry>,
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// What is said of data in another file: `location`, `offset`, `length`, `checksum`.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A [`Node`] with the tensors of its attributes alone, without what they hold themselves.
#[derive(Clone, PartialEq, Message)]
pub struct NodeTensors {
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeTensors>,
}

#[derive(Clone, PartialEq, Message)]
pub struct AttributeTensors {
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorName>,
}

/// A [`Node`] without its attributes and inputs.
#[derive(Clone, PartialEq, Message)]
pub struct NodeHead {
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(string, tag = "7")]
    pub domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, tag = "2")]
    pub f: f32,
    #[prost(int64, tag = "3")]
    pub i: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub s: Vec<u8>,
    #[prost(message, optional, boxed, tag = "5")]
    pub t: Option<Box<Tensor>>,
    /// A body, which is a [`Graph`].
    #[prost(bytes = "bytes", optional, tag = "6")]
    pub g: Option<Bytes>,
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    /// Which of the fields holds the value: see [`attribute_type`].
    #[prost(int32, tag = "20")]
    pub kind: i32,
    /// Of a function's body: the attribute of the function that gives the value.
    #[prost(string, tag = "21")]
    pub ref_attr_name: String,
}

impl Attribute {
    /// Refuses a value of another type, or one that stands elsewhere; the error is what it is.
    pub fn check(&self, kind: i32) -> Result<(), String> {
        if !self.ref_attr_name.is_empty() {
            return Err(format!("a reference to '{}' of a function", self.ref_attr_name));
        }
        let filled = [
            (attribute_type::FLOAT, self.f != 0.0),
            (attribute_type::INT, self.i != 0),
            (attribute_type::STRING, !self.s.is_empty()),
            (attribute_type::TENSOR, self.t.is_some()),
            (attribute_type::GRAPH, self.g.is_some()),
            (attribute_type::FLOATS, !self.floats.is_empty()),
            (attribute_type::INTS, !self.ints.is_empty()),
            (attribute_type::STRINGS, !self.strings.is_empty()),
        ];
        let said = Some(self.kind).filter(|said| ![kind, attribute_type::UNDEFINED].contains(said));
        let other = filled.into_iter().find(|&(other, is_filled)| is_filled && other != kind).map(|(other, _)| other);
        said.or(other).map_or(Ok(()), |other| Err(attribute_type::name(other)))
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "bytes", tag = "9")]
    pub raw_data: Bytes,
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    #[prost(uint64, repeated, tag = "11")]
    pub uint64_data: Vec<u64>,
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<Entry>,
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// `AttributeProto.AttributeType`.
pub mod attribute_type {
    /// Files of the first versions of ONNX leave it out.
    pub const UNDEFINED: i32 = 0;
    pub const FLOAT: i32 = 1;
    pub const INT: i32 = 2;
    pub const STRING: i32 = 3;
    pub const TENSOR: i32 = 4;
    pub const GRAPH: i32 = 5;
    pub const FLOATS: i32 = 6;
    pub const INTS: i32 = 7;
    pub const STRINGS: i32 = 8;

    /// The name of one.
    pub fn name(of: i32) -> String {
        let names = [
            "an undefined type",
            "a float",
            "an integer",
            "a string",
            "a tensor",
            "a graph",
            "floats",
            "integers",
            "strings",
        ];
        let name = usize::try_from(of).ok().and_then(|of| names.get(of));
        name.map_or_else(|| format!("attribute type {of}"), |name| (*name).to_owned())
    }
}

/// `TensorProto.DataType`.
pub mod data_type {
    pub const UNDEFINED: i32 = 0;
    pub const FLOAT: i32 = 1;
    pub const UINT8: i32 = 2;
    pub const INT8: i32 = 3;
    pub const UINT16: i32 = 4;
    pub const INT16: i32 = 5;
    pub const INT32: i32 = 6;
    pub const INT64: i32 = 7;
    pub const BOOL: i32 = 9;
    pub const FLOAT16: i32 = 10;
    pub const DOUBLE: i32 = 11;
    pub const UINT32: i32 = 12;
    pub const UINT64: i32 = 13;
    pub const BFLOAT16: i32 = 16;
    pub const UINT4: i32 = 21;
    pub const INT4: i32 = 22;

    /// The name of one.
    pub fn name(of: i32) -> String {
        let names = [
            "undefined",
            "float32",
            "uint8",
            "int8",
            "uint16",
            "int16",
            "int32",
            "int64",
            "string",
            "bool",
            "float16",
            "float64",
            "uint32",
            "uint64",
            "complex64",
            "complex128",
            "bfloat16",
            "float8e4m3fn",
            "float8e4m3fnuz",
            "float8e5m2",
            "float8e5m2fnuz",
            "uint4",
            "int4",
            "float4e2m1",
        ];
        let name = usize::try_from(of).ok().and_then(|of| names.get(of));
        name.map_or_else(|| format!("type {of}"), |name| (*name).to_owned())
    }
}

/// `TensorProto.DataLocation`: in a file of its own.
pub const EXTERNAL: i32 = 1;
