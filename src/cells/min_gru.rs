//! minGRU (Feng et al., "Were RNNs All We Needed?", 2024), in its linear form:
//!
//! z = σ(W_z·x + b_z), h' = (1 − z)⊙h + z⊙(W_h·x + b_h).
//!
//! Gates lie in the order z, candidate. With D the gradient of h' the gates' gradients are D⊙(candidate − h)⊙z⊙(1 − z) and
//! D⊙z, and (1 − z)⊙D goes to h.

use super::linear::Linear;
use super::math::{MulAdd, sigmoid};
use super::scan::Scan;
use super::spec::{Recurrence, Spec};

/// The cell.
pub(super) struct MinGru;

impl Linear<2> for MinGru {
    #[inline(always)]
    fn coefficients<M: MulAdd>(g: [f32; 2]) -> [f32; 2] {
        let z = sigmoid::<M>(g[0]);
        [1.0 - z, z * g[1]]
    }

    #[inline(always)]
    fn output<M: MulAdd>(_: [f32; 2], s: f32) -> f32 {
        s
    }

    #[inline(always)]
    fn slope<M: MulAdd>(_: [f32; 2], _: f32) -> f32 {
        1.0
    }

    #[inline(always)]
    fn backward<M: MulAdd>(g: &mut [f32; 2], old: f32, d_y: f32, d_s: f32) -> f32 {
        let z = sigmoid::<M>(g[0]);
        let d = d_s + d_y;
        *g = [d * (g[1] - old) * z * (1.0 - z), d * z];
        d * (1.0 - z)
    }
}

pub(super) static SPEC: Spec = Spec {
    name: "min_gru",
    gates: &["z", "candidate"],
    recurrence: Recurrence::Scan(Scan::linear::<2, MinGru>(
        "min_gru",
        include_str!("../../shaders/cells/min_gru.wgsl"),
        false,
    )),
    bounded: false,
    ..Spec::PLAIN
};
