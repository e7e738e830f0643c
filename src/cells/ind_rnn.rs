//! The independently recurrent network (Li, Li, Cook, Zhu and Gao 2018), whose R is diagonal:
//!
//! h' = f(W·x + b + u⊙h), with f max(·, 0) or tanh.
//!
//! With D the gradient of h' times f', which follows from h', that of the gate's sum is D, of u D⊙h, and u⊙D goes to h.

use super::linear::Diagonal;
use super::math::{MulAdd, relu, tanh};

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
