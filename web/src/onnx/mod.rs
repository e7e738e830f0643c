//! ONNX models: their recurrent nodes as layers, and whole models as programs.

mod graph;
mod layer;
mod model;
mod node;
mod tensor;
