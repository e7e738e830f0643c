//! Twins of kernels from outside of the library.

use super::call::Call;
use crate::kernels::{OWN_INPUTS, OwnCall, OwnParams};

pub(crate) fn run(call: &mut Call<'_>) {
    let Some(own) = call.variant.own() else { return };
    let p: OwnParams = call.params();
    let indices = own.inputs.len()..own.inputs.len() + own.indices.len();
    let params = [p.p0, p.p1, p.p2, p.p3, p.p4, p.p5, p.p6, p.p7];
    let groups = [p.groups_x, p.groups_y, p.groups_z].map(|groups| groups as u32);
    // A value may lie at the beginning of a longer buffer.
    let words = p.words_of();
    let mut seen = OwnCall {
        params: &params[..own.params.len()],
        groups,
        inputs: (0..own.inputs.len()).map(|i| &call.read(i)[..words[i]]).collect(),
        indices: indices.map(|i| &call.read_indices(i)[..words[i]]).collect(),
        outputs: (OWN_INPUTS..).take(own.outputs.len()).map(|i| &mut call.write(i)[..words[i]]).collect(),
    };
    (own.twin)(&mut seen);
}
