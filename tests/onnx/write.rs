//! ONNX files written field by field, also such as no exporter writes.

/// `TensorProto.DataType`.
pub const FLOAT: i64 = 1;
pub const INT32: i64 = 6;
pub const INT64: i64 = 7;
pub const FLOAT16: i64 = 10;
pub const DOUBLE: i64 = 11;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A field that is a number.
pub fn number(tag: u64, value: i64) -> Vec<u8> {
    [varint(tag << 3), varint(value as u64)].concat()
}

/// A field that is bytes, text or a message.
pub fn bytes(tag: u64, of: impl AsRef<[u8]>) -> Vec<u8> {
    let of = of.as_ref();
    [&varint(tag << 3 | 2), &varint(of.len() as u64), of].concat()
}

/// A tensor with raw data.
pub fn tensor(name: &str, kind: i64, shape: &[usize], raw: &[u8]) -> Vec<u8> {
    let dims = shape.iter().flat_map(|&size| number(1, size as i64));
    dims.chain(number(2, kind)).chain(bytes(8, name)).chain(bytes(9, raw)).collect()
}

pub fn floats(name: &str, shape: &[usize], values: &[f32]) -> Vec<u8> {
    tensor(name, FLOAT, shape, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

pub fn int32s(name: &str, values: &[i32]) -> Vec<u8> {
    tensor(name, INT32, &[values.len()], &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

pub fn int64s(name: &str, values: &[i64]) -> Vec<u8> {
    tensor(name, INT64, &[values.len()], &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

/// Floats that lie in another file.
pub fn external(name: &str, shape: &[usize], location: &str) -> Vec<u8> {
    let dims = shape.iter().flat_map(|&size| number(1, size as i64));
    let entry = [bytes(1, "location"), bytes(2, location)].concat();
    dims.chain(number(2, FLOAT)).chain(bytes(8, name)).chain(bytes(13, entry)).chain(number(14, 1)).collect()
}

/// An attribute: its name, its type and the fields of its value.
pub fn attribute(name: &str, kind: i64, value: &[u8]) -> Vec<u8> {
    [&bytes(1, name)[..], value, &number(20, kind)].concat()
}

pub fn integer(name: &str, value: i64) -> Vec<u8> {
    attribute(name, 2, &number(3, value))
}

pub fn text(name: &str, value: &str) -> Vec<u8> {
    attribute(name, 3, &bytes(4, value))
}

pub fn texts(name: &str, values: &[&str]) -> Vec<u8> {
    attribute(name, 8, &values.iter().flat_map(|value| bytes(9, value)).collect::<Vec<_>>())
}

/// The attribute `value` of a `Constant` node.
pub fn value(tensor: &[u8]) -> Vec<u8> {
    attribute("value", 4, &bytes(5, tensor))
}

pub fn node(operator: &str, name: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs = inputs.iter().flat_map(|name| bytes(1, name));
    let outputs = outputs.iter().flat_map(|name| bytes(2, name));
    let attributes = attributes.iter().flat_map(|attribute| bytes(5, attribute));
    inputs.chain(outputs).chain(bytes(3, name)).chain(bytes(4, operator)).chain(attributes).collect()
}

/// The fields of a graph, in any order.
#[derive(Clone, Default)]
pub struct Graph(pub Vec<u8>);

impl Graph {
    #[must_use]
    pub fn node(mut self, node: impl AsRef<[u8]>) -> Self {
        self.0.extend(bytes(1, node));
        self
    }

    #[must_use]
    pub fn holds(mut self, tensor: impl AsRef<[u8]>) -> Self {
        self.0.extend(bytes(5, tensor));
        self
    }

    #[must_use]
    pub fn input(mut self, name: &str) -> Self {
        self.0.extend(bytes(11, bytes(1, name)));
        self
    }

    /// An input of a type of elements.
    #[must_use]
    pub fn input_of(mut self, name: &str, kind: i64) -> Self {
        let kind = bytes(2, bytes(1, number(1, kind)));
        self.0.extend(bytes(11, [bytes(1, name), kind].concat()));
        self
    }

    #[must_use]
    pub fn output(mut self, name: &str) -> Self {
        self.0.extend(bytes(12, bytes(1, name)));
        self
    }

    /// As a file: version, graph, operator set.
    pub fn file(&self) -> Vec<u8> {
        [number(1, 8), bytes(7, &self.0), bytes(8, number(2, 17))].concat()
    }

    pub fn model(&self) -> wgrnn::onnx::Model {
        wgrnn::onnx::Model::from_bytes(&self.file()).unwrap()
    }
}
