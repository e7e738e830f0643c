//! Cells without a matrix R over a row of units: those whose state is a linear recurrence s' = a⊙s + b, and those whose R is a
//! diagonal, in vector code.

use super::math::{MulAdd, Vectorised, vectorise};
use std::marker::PhantomData;

/// A cell's mathematics for one unit, of G gates' sums g and a state s.
pub(crate) trait Linear<const G: usize> {
    /// a and b of s' = a·s + b.
    fn coefficients<M: MulAdd>(g: [f32; G]) -> [f32; 2];
    /// h' of the new state.
    fn output<M: MulAdd>(g: [f32; G], s: f32) -> f32;
    /// The derivative of h' by the new state.
    fn slope<M: MulAdd>(g: [f32; G], s: f32) -> f32;
    /// From the old state and the gradients of h' and of the new state: leaves those of the gates' sums, gives that of the old
    /// state.
    fn backward<M: MulAdd>(g: &mut [f32; G], old: f32, d_y: f32, d_s: f32) -> f32;
}

/// A cell whose R is a diagonal u: a unit's new state of its gate's sum g, its state s and u.
pub(crate) trait Diagonal {
    fn step<M: MulAdd>(g: f32, s: f32, u: f32) -> f32;
    /// The derivative of the new state by what its activation is applied to, by its value.
    fn derivative(h: f32) -> f32;
}

/// No cell has more gates, or a gate and what the gradient of u is the sum of.
pub(crate) const MAX_GATES: usize = 4;

/// A step of some units of a sequence.
pub(crate) enum Work<'a> {
    /// The new state, and h'.
    Forward { s: &'a mut [f32], h: &'a mut [f32] },
    /// What the steps so far make of a state, with this one: A·s + B.
    Total { a: &'a mut [f32], b: &'a mut [f32] },
    /// The same backwards, of the gradient of the state.
    TotalBackward { old: &'a [f32], d_y: &'a [f32], a: &'a mut [f32], b: &'a mut [f32] },
    /// The gradient of the old state in the place of the new one's.
    Backward { old: &'a [f32], d_y: &'a [f32], d_s: &'a mut [f32] },
}

/// The gates' sums of a step, or their gradients in the end.
pub(crate) struct Step<'a> {
    pub g: [&'a mut [f32]; MAX_GATES],
    /// The diagonal of R, if there is one.
    pub u: &'a [f32],
    pub work: Work<'a>,
}

/// A cell over a row of units.
pub(crate) type ScanTwin = fn(Step<'_>);

/// Applies a cell to each unit of a row, in vector code.
pub(crate) fn linear<const G: usize, C: Linear<G>>(step: Step<'_>) {
    vectorise(Units::<G, C>(step, PhantomData));
}

struct Units<'a, const G: usize, C>(Step<'a>, PhantomData<C>);

impl<const G: usize, C: Linear<G>> Vectorised for Units<'_, G, C> {
    #[inline(always)]
    fn run<M: MulAdd>(self) {
        let Step { g, work, .. } = self.0;
        let at = |unit: usize, g: &[&mut [f32]; MAX_GATES]| -> [f32; G] { std::array::from_fn(|gate| g[gate][unit]) };
        match work {
            Work::Forward { s, h } => {
                for unit in 0..s.len() {
                    let g = at(unit, &g);
                    let [a, b] = C::coefficients::<M>(g);
                    s[unit] = M::mul_add(a, s[unit], b);
                    h[unit] = C::output::<M>(g, s[unit]);
                }
            }
            Work::Total { a, b } => {
                for unit in 0..a.len() {
                    let [own_a, own_b] = C::coefficients::<M>(at(unit, &g));
                    a[unit] *= own_a;
                    b[unit] = M::mul_add(own_a, b[unit], own_b);
                }
            }
            Work::TotalBackward { old, d_y, a, b } => {
                for unit in 0..a.len() {
                    let g = at(unit, &g);
                    let [own_a, own_b] = C::coefficients::<M>(g);
                    let slope = C::slope::<M>(g, M::mul_add(own_a, old[unit], own_b));
                    a[unit] *= own_a;
                    b[unit] = own_a * M::mul_add(d_y[unit], slope, b[unit]);
                }
            }
            Work::Backward { old, d_y, d_s } => {
                for unit in 0..d_s.len() {
                    let mut own = at(unit, &g);
                    d_s[unit] = C::backward::<M>(&mut own, old[unit], d_y[unit], d_s[unit]);
                    for gate in 0..G {
                        g[gate][unit] = own[gate];
                    }
                }
            }
        }
    }
}

/// The same of a cell whose R is a diagonal.
pub(crate) fn diagonal<C: Diagonal>(step: Step<'_>) {
    vectorise(DiagonalUnits::<C>(step, PhantomData));
}

struct DiagonalUnits<'a, C>(Step<'a>, PhantomData<C>);

impl<C: Diagonal> Vectorised for DiagonalUnits<'_, C> {
    #[inline(always)]
    fn run<M: MulAdd>(self) {
        let Step { g: [g, products, ..], u, work } = self.0;
        match work {
            Work::Forward { s, h } => {
                for unit in 0..s.len() {
                    s[unit] = C::step::<M>(g[unit], s[unit], u[unit]);
                }
                h.copy_from_slice(s);
            }
            Work::Backward { old, d_y, d_s } => {
                for unit in 0..d_s.len() {
                    let h = C::step::<M>(g[unit], old[unit], u[unit]);
                    let d = (d_s[unit] + d_y[unit]) * C::derivative(h);
                    g[unit] = d;
                    products[unit] = d * old[unit];
                    d_s[unit] = u[unit] * d;
                }
            }
            // Its steps are not cut into parts.
            Work::Total { .. } | Work::TotalBackward { .. } => {}
        }
    }
}
