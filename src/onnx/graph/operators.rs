//! The operators that a plan of a whole model is made of.

use super::super::proto;
use super::super::scopes::is_standard;
use super::builder::{Build, Site};
use super::{elements, moves, products, recurrent, sums};
use crate::error::Result;

/// Operators, the attributes that each may have, and what builds them.
const OPERATORS: &[(&str, &[&str], Build)] = &[
    ("ArgMax", &["axis", "keepdims", "select_last_index"], sums::argmax),
    ("BatchNormalization", &["epsilon", "momentum", "spatial", "training_mode"], sums::batch_norm),
    ("Cast", &["to", "saturate"], moves::cast),
    ("Celu", &["alpha"], elements::with_parameters),
    ("Clip", &["min", "max"], elements::with_parameters),
    ("Concat", &["axis"], moves::concat),
    ("Conv", &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"], products::conv),
    ("Dropout", &["ratio", "seed"], moves::dropout),
    ("Elu", &["alpha"], elements::with_parameters),
    ("Expand", &[], moves::repeat),
    ("Flatten", &["axis"], moves::reshape),
    ("GRU", RECURRENT, recurrent::recurrent),
    ("Gather", &["axis"], moves::gather),
    ("Gelu", &["approximate"], elements::with_parameters),
    ("Gemm", &["alpha", "beta", "transA", "transB"], products::gemm),
    ("GlobalAveragePool", &[], sums::pool),
    ("GlobalMaxPool", &[], sums::pool),
    ("HardSigmoid", &["alpha", "beta"], elements::with_parameters),
    ("Identity", &[], moves::identity),
    ("LSTM", RECURRENT, recurrent::recurrent),
    ("LayerNormalization", &["axis", "epsilon", "stash_type"], sums::layer_norm),
    ("LeakyRelu", &["alpha"], elements::with_parameters),
    ("LogSoftmax", &["axis"], sums::softmax),
    ("MatMul", &[], products::matmul),
    ("Pad", &["mode", "pads", "value"], moves::pad),
    ("Pow", &[], elements::power),
    ("RNN", RECURRENT, recurrent::recurrent),
    ("ReduceL1", REDUCED, sums::reduce),
    ("ReduceL2", REDUCED, sums::reduce),
    ("ReduceMax", REDUCED, sums::reduce),
    ("ReduceMean", REDUCED, sums::reduce),
    ("ReduceMin", REDUCED, sums::reduce),
    ("ReduceSum", REDUCED, sums::reduce),
    ("ReduceSumSquare", REDUCED, sums::reduce),
    ("Reshape", &["allowzero", "shape"], moves::reshape),
    ("Selu", &["alpha", "gamma"], elements::with_parameters),
    ("Shape", &["start", "end"], moves::shape),
    ("Size", &[], moves::shape),
    ("Slice", &["starts", "ends", "axes"], moves::slice),
    ("Softmax", &["axis"], sums::softmax),
    ("Split", &["axis", "split", "num_outputs"], moves::split),
    ("Squeeze", &["axes"], moves::reshape),
    ("ThresholdedRelu", &["alpha"], elements::with_parameters),
    ("Tile", &[], moves::repeat),
    ("Transpose", &["perm"], moves::transpose),
    ("Unsqueeze", &["axes"], moves::reshape),
    ("Where", &[], elements::choose),
];

const REDUCED: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];

/// The recurrent operators check their attributes themselves.
const RECURRENT: &[&str] = &["*"];

/// What builds a node of this operator.
pub(super) fn find(node: &proto::Node) -> Option<Build> {
    if node.domain == "com.microsoft" && node.op_type == "DynamicQuantizeLSTM" {
        return Some(recurrent::recurrent);
    }
    if !is_standard(&node.domain) {
        return None;
    }
    let name = &*node.op_type;
    if elements::UNARY.iter().any(|(own, _)| *own == name) {
        return Some(|builder, site| {
            checked(site, &[])?;
            let function = elements::UNARY.iter().find(|(name, _)| *name == site.node.op_type);
            elements::unary(builder, site, function.map_or(|x| x, |(_, function)| *function))
        });
    }
    if elements::BINARY.iter().any(|(own, _)| *own == name) {
        return Some(|builder, site| {
            checked(site, &[])?;
            let function = elements::BINARY.iter().find(|(name, _)| *name == site.node.op_type);
            elements::binary(builder, site, function.map_or(|a, _| a, |(_, function)| *function))
        });
    }
    OPERATORS.iter().any(|(own, ..)| *own == name).then_some(|builder, site| {
        let Some((_, attributes, build)) = OPERATORS.iter().find(|(name, ..)| *name == site.node.op_type) else {
            return Ok(Vec::new());
        };
        checked(site, attributes)?;
        build(builder, site)
    })
}

/// Refuses attributes that an operator does not have: what they ask for would be missing.
fn checked(site: &Site<'_>, allowed: &[&str]) -> Result<()> {
    site.call.attributes().check_names(|name| allowed == RECURRENT || allowed.contains(&name))
}

/// The names of all operators.
pub(super) fn names() -> Vec<&'static str> {
    let simple = elements::UNARY.iter().map(|(name, _)| *name).chain(elements::BINARY.iter().map(|(name, _)| *name));
    let mut names: Vec<_> = simple.chain(OPERATORS.iter().map(|(name, ..)| *name)).collect();
    names.push("If");
    names.sort_unstable();
    names
}
