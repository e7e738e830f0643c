//! The independently recurrent network (Li, Li, Cook, Zhu and Gao 2018), whose R is diagonal:
//!
//! h' = f(W·x + b + u⊙h), with f max(·, 0) or tanh.
//!
//! With D the gradient of h' times f', which follows from h', that of the gate's sum is D, of u D⊙h, and u⊙D goes to h.

use super::activation::Activation;
use super::linear::Diagonal;
use super::math::{MulAdd, relu, tanh};
use super::scan::Scan;
use super::spec::{Recurrence, Spec};

/// f = max(·, 0).
pub(super) struct IndRnnRelu;
/// f = tanh.
pub(super) struct IndRnnTanh;

impl Diagonal for IndRnnRelu {
    #[inline(always)]
    fn step<M: MulAdd>(g: f32, s: f32, u: f32) -> f32 {
        relu(M::mul_add(u, s, g))
    }

    #[inline(always)]
    fn derivative(h: f32) -> f32 {
        if h > 0.0 { 1.0 } else { 0.0 }
    }
}

impl Diagonal for IndRnnTanh {
    #[inline(always)]
    fn step<M: MulAdd>(g: f32, s: f32, u: f32) -> f32 {
        tanh::<M>(M::mul_add(u, s, g))
    }

    #[inline(always)]
    fn derivative(h: f32) -> f32 {
        1.0 - h * h
    }
}

const fn of(name: &'static str, scan: Scan) -> Spec {
    Spec {
        name,
        gates: &["h"],
        recurrence: Recurrence::Scan(scan),
        own_activations: Some(&[Activation::Relu, Activation::Tanh]),
        ..Spec::PLAIN
    }
}

const fn relu_scan() -> Scan {
    Scan::diagonal::<IndRnnRelu>("ind_rnn_relu", include_str!("../../shaders/cells/ind_rnn_relu.wgsl"))
}

static RELU: Spec = Spec { bounded: false, ..of("ind_rnn_relu", relu_scan()) };
static TANH: Spec = of(
    "ind_rnn_tanh",
    Scan::diagonal::<IndRnnTanh>("ind_rnn_tanh", include_str!("../../shaders/cells/ind_rnn_tanh.wgsl")),
);
/// Refused when a layer is made.
static OTHER: Spec = of("ind_rnn", relu_scan());

/// With this f.
pub(super) const fn spec(f: Activation) -> &'static Spec {
    match f {
        Activation::Relu => &RELU,
        Activation::Tanh => &TANH,
        _ => &OTHER,
    }
}
