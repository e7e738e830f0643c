//! Cases of `own`: a kernel as one from outside would be.

use super::case::{Case, Words};
use super::numbers::Numbers;
use crate::device::Device;
use crate::kernels::{FLAT, Of, Own, OwnCall, OwnKernel, OwnParams, Tile, Variant};

/// out0 = x0 + x1 · p1 of so many elements, and out1 those of x0 that the indices say.
static TAKEN: OwnKernel = OwnKernel::new("taken", SHADER, twin)
    .reads(&["x0", "x1", "x2", "x3", "x4"])
    .reads_indices(&["x5"])
    .writes(&["out0", "out1"])
    .params(&["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"])
    .lanes(32);

const SHADER: &str = "
@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < p.p0) {
        out0[id.x] = x0[id.x] + x1[id.x] * bitcast<f32>(p.p1);
        out1[id.x] = x0[x5[id.x]];
    }
}";

fn twin(call: &mut OwnCall<'_>) {
    let factor = f32::from_bits(call.params[1]);
    for i in 0..call.params[0] as usize {
        call.outputs[0][i] = call.inputs[0][i] + call.inputs[1][i] * factor;
        call.outputs[1][i] = call.inputs[0][call.indices[0][i] as usize];
    }
}

pub(crate) fn own(_: &Device) -> Vec<Case> {
    [1, 31, 500].map(own_case).into()
}

/// Of so many elements.
pub(crate) fn own_case(count: usize) -> Case {
    let mut numbers = Numbers::new(count);
    let groups = TAKEN.groups_of(count).map(|groups| groups as usize);
    let [groups_x, groups_y, groups_z] = groups;
    let (p0, p1) = (count as u32, 0.75_f32.to_bits());
    let (words_0, words_1, words_5, words_6, words_7) = (count, count, count, count, count);
    let all = OwnParams {
        words_0,
        words_1,
        words_2: 1,
        words_3: 1,
        words_4: 1,
        words_5,
        words_6,
        words_7,
        ..Default::default()
    };
    Case {
        name: format!("a kernel from outside of {count}"),
        variant: Variant::new(Of::Own(Own(&TAKEN)), Tile { lanes: TAKEN.lanes, ..FLAT }, 4),
        // A product and a sum of numbers near 1.
        tolerance: 2.0 * f64::from(f32::EPSILON),
        params: OwnParams { groups_x, groups_y, groups_z, p0, p1, ..all }.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(count, 1.0)),
            Words::Numbers(numbers.uniform(count, 1.0)),
            Words::Numbers(vec![0.0]),
            Words::Numbers(vec![0.0]),
            Words::Numbers(vec![0.0]),
            Words::Indices((0..count as u32).rev().collect()),
            Words::Numbers(vec![f32::NAN; count]),
            Words::Numbers(vec![f32::NAN; count]),
        ],
    }
}
