//! A cell's gates over a row of units, forward: what every cell with a matrix R implements, in vector code.

use super::math::{MulAdd, Vectorised, vectorise};
use super::options::Equations;
use std::marker::PhantomData;

/// What a cell's mathematics sees of a unit.
pub(crate) struct Unit<'a, const G: usize> {
    /// Input and recurrent parts of the gates.
    pub x: [f32; G],
    pub r: [f32; G],
    /// The old h.
    pub h: f32,
    /// Weights of the gates' peepholes, where the cell has them; else 0.
    pub peepholes: [f32; G],
    pub equations: &'a Equations,
}

impl<const G: usize> Unit<'_, G> {
    /// A gate: the cell's f of a sum.
    #[inline(always)]
    pub fn f<M: MulAdd>(&self, sum: f32) -> f32 {
        self.equations.activations[0].of::<M>(self.equations.clipped(sum))
    }

    /// A candidate: the cell's g of a sum.
    #[inline(always)]
    pub fn g<M: MulAdd>(&self, sum: f32) -> f32 {
        self.equations.activations[1].of::<M>(self.equations.clipped(sum))
    }

    /// A gate's sum with the peephole that sees c, where there are peepholes.
    #[inline(always)]
    pub fn sum(&self, gate: usize, c: f32) -> f32 {
        let sum = self.x[gate] + self.r[gate];
        if self.equations.peepholes { sum + self.peepholes[gate] * c } else { sum }
    }
}

/// A cell's mathematics for one unit: from its G gates and S slots to the new value, and K numbers that the derivative needs.
pub(crate) trait Gates<const G: usize, const S: usize, const K: usize> {
    fn forward<M: MulAdd>(unit: Unit<'_, G>, slots: &mut [f32; S], kept: &mut [f32; K]) -> f32;
}

/// Some units of one sequence in a phase: `out.len()` of them.
pub(crate) struct PhaseRow<'a> {
    /// Input parts of the gates, none where the phase has no input; what is kept takes their place.
    pub x: [&'a mut [f32]; MAX_FIELDS],
    pub keep: bool,
    /// Recurrent parts, and how far one gate's are from the next one's.
    pub r: (&'a [f32], usize),
    pub h: &'a [f32],
    /// Weights of the gates' peepholes, one gate's after the other's; none where there are no peepholes.
    pub peepholes: &'a [f32],
    /// Those of the cell, unless they are the usual ones.
    pub equations: Option<&'a Equations>,
    pub slots: [&'a mut [f32]; MAX_SLOTS],
    pub out: &'a mut [f32],
}

/// No cell has more.
pub(crate) const MAX_SLOTS: usize = 3;
/// Nor more columns in the reserve.
pub(crate) const MAX_FIELDS: usize = 7;

/// A phase's gates over a row.
pub(crate) type PhaseTwin = fn(PhaseRow<'_>);

/// Applies a cell to each unit of a row, in vector code for the best instruction set that this CPU has.
pub(crate) fn pointwise<const G: usize, const S: usize, const K: usize, C: Gates<G, S, K>>(row: PhaseRow<'_>) {
    vectorise(Pointwise::<G, S, K, C>(row, PhantomData));
}

struct Pointwise<'a, const G: usize, const S: usize, const K: usize, C>(PhaseRow<'a>, PhantomData<C>);

impl<const G: usize, const S: usize, const K: usize, C: Gates<G, S, K>> Vectorised for Pointwise<'_, G, S, K, C> {
    #[inline(always)]
    fn run<M: MulAdd>(self) {
        match (self.0.keep, self.0.equations) {
            (true, None) => units::<G, S, K, true, C, M>(self.0, &Equations::USUAL),
            (false, None) => units::<G, S, K, false, C, M>(self.0, &Equations::USUAL),
            (true, Some(equations)) => units::<G, S, K, true, C, M>(self.0, equations),
            (false, Some(equations)) => units::<G, S, K, false, C, M>(self.0, equations),
        }
    }
}

/// Units at a time. They are copied to local arrays first, which can't overlap: so the loop over them becomes vector
/// code however the rows lie in memory.
pub(crate) const LANES: usize = 16;

/// Numbers from `first` on: as many as there are lanes where they are `WHOLE`, else `count`, the rest 0.
#[inline(always)]
pub(crate) fn load<const WHOLE: bool>(from: &[f32], first: usize, count: usize) -> [f32; LANES] {
    let count = if WHOLE { LANES } else { count };
    let mut lanes = [0.0; LANES];
    lanes[..count].copy_from_slice(&from[first..][..count]);
    lanes
}

/// What [`load`] gives, back.
#[inline(always)]
pub(crate) fn store<const WHOLE: bool>(to: &mut [f32], first: usize, count: usize, lanes: &[f32; LANES]) {
    let count = if WHOLE { LANES } else { count };
    to[first..][..count].copy_from_slice(&lanes[..count]);
}

#[inline(always)]
fn units<const G: usize, const S: usize, const K: usize, const KEEP: bool, C: Gates<G, S, K>, M: MulAdd>(
    mut row: PhaseRow<'_>,
    equations: &Equations,
) {
    let units = row.out.len();
    let whole = units / LANES * LANES;
    // Two loops: what both kinds of lanes shared would pass through memory.
    for first in (0..whole).step_by(LANES) {
        lanes::<G, S, K, KEEP, true, C, M>(&mut row, equations, first, LANES);
    }
    if whole < units {
        lanes::<G, S, K, KEEP, false, C, M>(&mut row, equations, whole, units - whole);
    }
}

#[inline(always)]
fn lanes<
    const G: usize,
    const S: usize,
    const K: usize,
    const KEEP: bool,
    const WHOLE: bool,
    C: Gates<G, S, K>,
    M: MulAdd,
>(
    row: &mut PhaseRow<'_>,
    equations: &Equations,
    first: usize,
    count: usize,
) {
    let some = |from: &[f32]| if from.is_empty() { [0.0; LANES] } else { load::<WHOLE>(from, first, count) };
    let x: [_; G] = std::array::from_fn(|g| some(row.x[g]));
    let r: [_; G] = std::array::from_fn(|g| load::<WHOLE>(&row.r.0[g * row.r.1..], first, count));
    let h = load::<WHOLE>(row.h, first, count);
    let peepholes: [_; G] = std::array::from_fn(|g| {
        let seen = equations.peepholes && !row.peepholes.is_empty();
        if seen { load::<WHOLE>(&row.peepholes[g * row.out.len()..], first, count) } else { [0.0; LANES] }
    });
    let mut slots: [_; S] = std::array::from_fn(|s| load::<WHOLE>(row.slots[s], first, count));
    let mut out = [0.0; LANES];
    let mut kept = [[0.0; LANES]; K];
    for j in 0..LANES {
        let mut unit = Unit { x: [0.0; G], r: [0.0; G], h: h[j], peepholes: [0.0; G], equations };
        let (mut ss, mut ks) = ([0.0; S], [0.0; K]);
        for g in 0..G {
            unit.x[g] = x[g][j];
            unit.r[g] = r[g][j];
            unit.peepholes[g] = peepholes[g][j];
        }
        for s in 0..S {
            ss[s] = slots[s][j];
        }
        out[j] = C::forward::<M>(unit, &mut ss, &mut ks);
        for s in 0..S {
            slots[s][j] = ss[s];
        }
        if KEEP {
            for k in 0..K {
                kept[k][j] = ks[k];
            }
        }
    }
    store::<WHOLE>(row.out, first, count, &out);
    for (to, slot) in row.slots.iter_mut().zip(&slots) {
        store::<WHOLE>(to, first, count, slot);
    }
    if KEEP {
        for (x, kept) in row.x.iter_mut().zip(&kept) {
            store::<WHOLE>(x, first, count, kept);
        }
    }
}
