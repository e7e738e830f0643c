//! A cell's derivative over a row of units: what every cell with a matrix R that trains implements, in vector code.

use super::forward::{LANES, MAX_FIELDS, MAX_SLOTS, load, store};
use super::math::{MulAdd, Vectorised, vectorise};
use super::options::Equations;
use std::marker::PhantomData;

/// Gradients of a unit's state that pass from step to step beside the products.
#[derive(Clone, Copy)]
pub(crate) struct Gradient<const C: usize = 0> {
    pub h: f32,
    pub c: [f32; C],
}

/// A cell's derivative for one unit: F fields of the reserve, of which it makes gradients, the old h, the gradient d of the
/// phase's value, C gradients of c; gives the gradients of G gates' recurrent parts.
pub(crate) trait Derivative<const G: usize, const F: usize, const C: usize = 0> {
    fn backward<M: MulAdd>(
        k: &mut [f32; F],
        h: f32,
        d: f32,
        carry: &mut Gradient<C>,
        equations: &Equations,
    ) -> [f32; G];
}

/// Some units of one sequence in a phase's backward half.
pub(crate) struct BackwardRow<'a> {
    pub fields: [&'a mut [f32]; MAX_FIELDS],
    /// Empty where the derivative does not need it.
    pub h: &'a [f32],
    pub d: &'a [f32],
    /// Those of the cell, unless they are the usual ones.
    pub equations: Option<&'a Equations>,
    /// Empty where there is none to carry.
    pub dh: &'a mut [f32],
    pub dc: [&'a mut [f32]; MAX_SLOTS],
    /// Gates' gradients, and how far one gate's are from the next one's.
    pub out: (&'a mut [f32], usize),
}

/// A phase's derivative over a row.
pub(crate) type BackwardTwin = fn(BackwardRow<'_>);

/// Applies a derivative to each unit of a row, in vector code for the best instruction set that this CPU has.
pub(crate) fn derivative<const G: usize, const F: usize, const C: usize, T: Derivative<G, F, C>>(row: BackwardRow<'_>) {
    vectorise(Pointwise::<G, F, C, T>(row, PhantomData));
}

struct Pointwise<'a, const G: usize, const F: usize, const C: usize, T>(BackwardRow<'a>, PhantomData<T>);

impl<const G: usize, const F: usize, const C: usize, T: Derivative<G, F, C>> Vectorised for Pointwise<'_, G, F, C, T> {
    #[inline(always)]
    fn run<M: MulAdd>(self) {
        match self.0.equations {
            None => units::<G, F, C, T, M>(self.0, &Equations::USUAL),
            Some(equations) => units::<G, F, C, T, M>(self.0, equations),
        }
    }
}

#[inline(always)]
fn units<const G: usize, const F: usize, const C: usize, T: Derivative<G, F, C>, M: MulAdd>(
    mut row: BackwardRow<'_>,
    equations: &Equations,
) {
    let units = row.d.len();
    let whole = units / LANES * LANES;
    for first in (0..whole).step_by(LANES) {
        lanes::<G, F, C, true, T, M>(&mut row, equations, first, LANES);
    }
    if whole < units {
        lanes::<G, F, C, false, T, M>(&mut row, equations, whole, units - whole);
    }
}

#[inline(always)]
fn lanes<const G: usize, const F: usize, const C: usize, const WHOLE: bool, T: Derivative<G, F, C>, M: MulAdd>(
    row: &mut BackwardRow<'_>,
    equations: &Equations,
    first: usize,
    count: usize,
) {
    let some = |from: &[f32]| if from.is_empty() { [0.0; LANES] } else { load::<WHOLE>(from, first, count) };
    let mut fields: [_; F] = std::array::from_fn(|f| load::<WHOLE>(row.fields[f], first, count));
    let (h, d) = (some(row.h), load::<WHOLE>(row.d, first, count));
    let mut dh = some(row.dh);
    let mut dc: [_; C] = std::array::from_fn(|c| load::<WHOLE>(row.dc[c], first, count));
    let mut out = [[0.0; LANES]; G];
    for j in 0..LANES {
        let mut k = [0.0; F];
        for f in 0..F {
            k[f] = fields[f][j];
        }
        let mut carry = Gradient { h: dh[j], c: [0.0; C] };
        carry.c.iter_mut().zip(&dc).for_each(|(carried, lanes)| *carried = lanes[j]);
        let gates = T::backward::<M>(&mut k, h[j], d[j], &mut carry, equations);
        for f in 0..F {
            fields[f][j] = k[f];
        }
        for g in 0..G {
            out[g][j] = gates[g];
        }
        dh[j] = carry.h;
        dc.iter_mut().zip(carry.c).for_each(|(lanes, carried)| lanes[j] = carried);
    }
    for (field, lanes) in row.fields.iter_mut().zip(&fields) {
        store::<WHOLE>(field, first, count, lanes);
    }
    if !row.dh.is_empty() {
        store::<WHOLE>(row.dh, first, count, &dh);
    }
    for (to, lanes) in row.dc.iter_mut().zip(&dc) {
        store::<WHOLE>(to, first, count, lanes);
    }
    for (g, lanes) in out.iter().enumerate() {
        store::<WHOLE>(row.out.0, g * row.out.1 + first, count, lanes);
    }
}
