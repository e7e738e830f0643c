//! h' = f(W·x + b + R·h + b_R), with f tanh, relu, the logistic function or any other (Elman, "Finding structure in time", 1990).
//!
//! Derivatives are known of the first three and need h' only: f' is 1 − h'², 1 where h' > 0, and h'(1 − h'). Others run forward
//! only, and so does a clip of the sum.

use super::activation::Activation;
use super::derivative::{Derivative, Gradient};
use super::forward::{Gates, Unit};
use super::math::MulAdd;
use super::norm::Norm;
use super::options::{Equations, Options};
use super::phase::Phase;
use super::spec::{Recurrence, Spec};
use std::marker::PhantomData;

/// f where it is known when this is compiled.
trait Known {
    const F: Activation;
    /// f' by the value of f.
    fn slope(h: f32) -> f32;
}

struct Tanh;
struct Relu;
struct Sigmoid;

impl Known for Tanh {
    const F: Activation = Activation::Tanh;

    #[inline(always)]
    fn slope(h: f32) -> f32 {
        1.0 - h * h
    }
}

impl Known for Relu {
    const F: Activation = Activation::Relu;

    #[inline(always)]
    fn slope(h: f32) -> f32 {
        if h > 0.0 { 1.0 } else { 0.0 }
    }
}

impl Known for Sigmoid {
    const F: Activation = Activation::Sigmoid;

    #[inline(always)]
    fn slope(h: f32) -> f32 {
        h * (1.0 - h)
    }
}

/// The cell of a known f.
struct Elman<F>(PhantomData<F>);

impl<F: Known> Gates<1, 0, 1> for Elman<F> {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 1>, _slots: &mut [f32; 0], kept: &mut [f32; 1]) -> f32 {
        kept[0] = F::F.of::<M>(unit.equations.clipped(unit.x[0] + unit.r[0]));
        kept[0]
    }
}

impl<F: Known> Derivative<1, 1> for Elman<F> {
    #[inline(always)]
    fn backward<M: MulAdd>(k: &mut [f32; 1], _h: f32, d: f32, carry: &mut Gradient, _: &Equations) -> [f32; 1] {
        k[0] = d * F::slope(k[0]);
        carry.h = 0.0;
        *k
    }
}

/// The cell of any other f.
struct General;

impl Gates<1, 0, 1> for General {
    #[inline(always)]
    fn forward<M: MulAdd>(unit: Unit<'_, 1>, _slots: &mut [f32; 0], _kept: &mut [f32; 1]) -> f32 {
        unit.f::<M>(unit.x[0] + unit.r[0])
    }
}

const WGSL: &str = include_str!("../../shaders/cells/elman.wgsl");

const fn known<F: Known>(name: &'static str) -> Phase {
    Phase::new::<1, 0, 1, Elman<F>>(name, WGSL).trained::<1, 1, 0, Elman<F>>(&[(0, 1)])
}

const fn of(name: &'static str, phases: &'static [Phase], forms: &'static [(bool, Options)]) -> Spec {
    Spec {
        name,
        gates: &["h"],
        recurrence: Recurrence::Matrix { phases, projected: &[] },
        biases: 2,
        clip: true,
        norm: Some(Norm { groups: &[0], has_c: false }),
        noise: true,
        forms,
        ..Spec::PLAIN
    }
}

static TANH: Spec = of(
    "elman_tanh",
    &[known::<Tanh>("elman_tanh")],
    &[(false, Options::NORMED), (false, Options::zoneout(0.3, 0.0)), (false, Options::recurrent_dropout(0.4))],
);
static RELU: Spec = Spec { bounded: false, ..of("elman_relu", &[known::<Relu>("elman_relu")], &[]) };
static SIGMOID: Spec = of("elman_sigmoid", &[known::<Sigmoid>("elman_sigmoid")], &[]);
static OTHER: Spec = of("elman", &[Phase::new::<1, 0, 1, General>("elman", WGSL)], &[]);

/// With this f.
pub(super) const fn spec(f: Activation) -> &'static Spec {
    match f {
        Activation::Tanh => &TANH,
        Activation::Relu => &RELU,
        Activation::Sigmoid => &SIGMOID,
        _ => &OTHER,
    }
}
