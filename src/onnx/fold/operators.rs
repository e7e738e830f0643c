//! The operators that are evaluated when a model is read: those that compute weights, states, lengths and shapes from constants.

use super::super::attributes::label;
use super::super::external::DataFiles;
use super::super::proto;
use super::super::rules::Call;
use super::super::scopes::is_standard;
use super::super::tensor::Tensor;
use super::arithmetic::{arithmetic, choose, clip, compare, gemm, matmul, modulo, power, range, reduce, unary};
use super::constants::{cast, constant, constant_of_shape, dequantized};
use super::moves::{concat, expand, gather, largest, one, reshape, scatter, shape, slice, split, tile, transpose};
use crate::error::{Error, Result};
use ndarray::arr0;

/// Computes the outputs of a node whose inputs are all known.
type Evaluate = fn(&Call<'_>, &DataFiles) -> Result<Vec<Tensor>>;

/// The operators that are evaluated, with the attributes that each may have.
const OPERATORS: &[(&str, &[&str], Evaluate)] = &[
    ("Abs", &[], |call, _| unary(call, f32::abs, |x| Ok(x.wrapping_abs()))),
    ("Add", &[], |call, _| arithmetic(call, |a, b| a + b, |a, b| a.checked_add(b))),
    ("And", &[], |call, _| compare(call, |a, b| a != 0.0 && b != 0.0, |a, b| a != 0 && b != 0)),
    ("Cast", &["to", "saturate", "round_mode"], |call, _| cast(call)),
    ("Ceil", &[], |call, _| unary(call, f32::ceil, Ok)),
    ("Clip", &["min", "max"], |call, _| clip(call)),
    ("Concat", &["axis"], |call, _| concat(call)),
    ("Constant", &["*"], |call, files| Ok(vec![constant(call.node, files)?])),
    ("ConstantOfShape", &["value"], constant_of_shape),
    ("DequantizeLinear", &["axis", "block_size", "output_dtype"], |call, _| Ok(vec![dequantized(call)?])),
    ("Div", &[], |call, _| arithmetic(call, |a, b| a / b, i64::checked_div)),
    ("Dropout", &["ratio", "seed"], |call, _| Ok(vec![call.tensor(0)?.clone(); call.node.output.len().min(1)])),
    ("Equal", &[], |call, _| compare(call, |a, b| a == b, |a, b| a == b)),
    ("Exp", &[], |call, _| unary(call, f32::exp, |_| Err(call.fault("integers, expected floats")))),
    ("Expand", &[], |call, _| expand(call)),
    ("Flatten", &["axis"], |call, _| one(call, |x| reshape(call, x, &call.flattened(x.shape())?))),
    ("Floor", &[], |call, _| unary(call, f32::floor, Ok)),
    ("Gather", &["axis"], |call, _| gather(call)),
    ("Gemm", &["alpha", "beta", "transA", "transB"], |call, _| gemm(call)),
    ("Greater", &[], |call, _| compare(call, |a, b| a > b, |a, b| a > b)),
    ("GreaterOrEqual", &[], |call, _| compare(call, |a, b| a >= b, |a, b| a >= b)),
    ("Identity", &[], |call, _| Ok(vec![call.tensor(0)?.clone()])),
    ("Less", &[], |call, _| compare(call, |a, b| a < b, |a, b| a < b)),
    ("LessOrEqual", &[], |call, _| compare(call, |a, b| a <= b, |a, b| a <= b)),
    ("Log", &[], |call, _| unary(call, f32::ln, |_| Err(call.fault("integers, expected floats")))),
    ("MatMul", &[], |call, _| matmul(call)),
    ("Max", &[], |call, _| arithmetic(call, f32::max, |a, b| Some(a.max(b)))),
    ("Min", &[], |call, _| arithmetic(call, f32::min, |a, b| Some(a.min(b)))),
    ("Mod", &["fmod"], |call, _| modulo(call)),
    ("Mul", &[], |call, _| arithmetic(call, |a, b| a * b, |a, b| a.checked_mul(b))),
    ("Neg", &[], |call, _| unary(call, |x| -x, |x| Ok(x.wrapping_neg()))),
    ("Not", &[], |call, _| unary(call, |x| f32::from(x == 0.0), |x| Ok(i64::from(x == 0)))),
    ("Or", &[], |call, _| compare(call, |a, b| a != 0.0 || b != 0.0, |a, b| a != 0 || b != 0)),
    ("Pow", &[], |call, _| power(call)),
    ("Range", &[], |call, _| range(call)),
    ("Reciprocal", &[], |call, _| unary(call, f32::recip, |_| Err(call.fault("integers, expected floats")))),
    ("ReduceMax", REDUCED, |call, _| reduce(call, f32::NEG_INFINITY, f32::max, i64::MIN, |a, b| Some(a.max(b)))),
    ("ReduceMin", REDUCED, |call, _| reduce(call, f32::INFINITY, f32::min, i64::MAX, |a, b| Some(a.min(b)))),
    ("ReduceProd", REDUCED, |call, _| reduce(call, 1.0, |a, b| a * b, 1, |a, b| a.checked_mul(b))),
    ("ReduceSum", REDUCED, |call, _| reduce(call, 0.0, |a, b| a + b, 0, |a, b| a.checked_add(b))),
    ("Relu", &[], |call, _| unary(call, |x| x.max(0.0), |x| Ok(x.max(0)))),
    ("Reshape", &["allowzero", "shape"], |call, _| one(call, |x| reshape(call, x, &call.reshaped(x.shape())?))),
    ("ScatterElements", &["axis", "reduction"], |call, _| scatter(call)),
    ("Shape", &["start", "end"], |call, _| Ok(vec![shape(call, call.tensor(0)?.shape())?])),
    ("Sigmoid", &[], |call, _| {
        unary(call, |x| 1.0 / (1.0 + (-x).exp()), |_| Err(call.fault("integers, expected floats")))
    }),
    ("Size", &[], |call, _| Ok(vec![Tensor::Integers(arr0(call.tensor(0)?.len() as i64).into_dyn())])),
    ("Slice", &["starts", "ends", "axes"], |call, _| one(call, |x| slice(x, &call.slices(x.shape())?))),
    ("Split", &["axis", "split", "num_outputs"], |call, _| split(call)),
    ("Sqrt", &[], |call, _| unary(call, f32::sqrt, |_| Err(call.fault("integers, expected floats")))),
    ("Squeeze", &["axes"], |call, _| one(call, |x| reshape(call, x, &call.squeezed(x.shape())?))),
    ("Sub", &[], |call, _| arithmetic(call, |a, b| a - b, |a, b| a.checked_sub(b))),
    ("Sum", &[], |call, _| arithmetic(call, |a, b| a + b, |a, b| a.checked_add(b))),
    ("Tanh", &[], |call, _| unary(call, f32::tanh, |_| Err(call.fault("integers, expected floats")))),
    ("Tile", &[], |call, _| tile(call)),
    ("TopK", &["axis", "largest", "sorted", "k"], |call, _| largest(call)),
    ("Transpose", &["perm"], |call, _| transpose(call)),
    ("Unsqueeze", &["axes"], |call, _| one(call, |x| reshape(call, x, &call.unsqueezed(x.shape())?))),
    ("Where", &[], |call, _| choose(call)),
];

const REDUCED: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];

/// Whether nodes of this operator are evaluated.
pub(in super::super) fn is_known(node: &proto::Node) -> bool {
    find(node).is_some()
}

pub(super) fn find(node: &proto::Node) -> Option<(&'static [&'static str], Evaluate)> {
    // ONNX Runtime's own domain repeats some standard operators.
    let is_known = is_standard(&node.domain) || (node.domain == "com.microsoft" && node.op_type == "DequantizeLinear");
    let found = OPERATORS.iter().find(|(name, ..)| *name == node.op_type && is_known);
    found.map(|(_, attributes, evaluate)| (*attributes, *evaluate))
}

/// The outputs of a node whose inputs are all known.
pub(in super::super) fn evaluate(call: &Call<'_>, files: &DataFiles) -> Result<Vec<Tensor>> {
    let Some((attributes, evaluate)) = find(call.node) else {
        return Err(Error::Plan(format!("{} is evaluated", label(call.node))));
    };
    // What other attributes ask for would be missing. A `Constant` checks its own.
    call.attributes().check_names(|name| attributes == ["*"] || attributes.contains(&name))?;
    let outputs = evaluate(call, files)?;
    match call.node.output.iter().skip(outputs.len()).find(|name| !name.is_empty()) {
        Some(name) => Err(call.fault(format!("an output '{name}' beyond the {} that are computed", outputs.len()))),
        None => Ok(outputs),
    }
}
