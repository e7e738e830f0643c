//! What the twins of `step_backward` and `sequence_backward` share: a phase's backward half, as `backward.wgsl`.

use super::call::Call;
use super::product::Matrix;
use super::recurrence::Part;
use super::rows::SharedRows;
use super::scratch::BackwardWorkspace;
use super::zoneout;
use crate::cells::derivative::BackwardRow;
use crate::cells::forward::MAX_SLOTS;
use crate::cells::{Equations, Noise, Phase, Width};
use crate::kernels::{BackwardParams, Packed, PhaseParams};

/// Takes the gradients of what zoneout kept, of h for 1 or of c for 2, out of all.
fn pass_by(past: &mut Vec<f32>, gradients: &mut [f32], drawn: &[f32], which: f32) {
    past.clear();
    past.resize(gradients.len(), 0.0);
    for ((past, gradient), &drawn) in past.iter_mut().zip(gradients).zip(drawn) {
        if zoneout::is_kept(drawn, which) {
            *past = std::mem::take(gradient);
        }
    }
}

/// A dispatch of `step_backward` or `sequence_backward`, unpacked from its call.
pub(crate) struct Backward<'a> {
    pub p: BackwardParams,
    pub phases: &'static [Phase],
    /// Those of the cell, unless they are the usual ones.
    equations: Option<Equations>,
    noise: Noise,
    /// Whether gates see an h that R does not.
    unmasked: bool,
    sizes: [PhaseParams; 2],
    /// Length of the vectors that each phase multiplies, without padding.
    pub k: [usize; 2],
    reserve: SharedRows<'a>,
    weights: &'a [f32],
    map: &'a [u32],
    d_in: &'a [f32],
    pub d_out: SharedRows<'a>,
    dh: SharedRows<'a>,
    dc: SharedRows<'a>,
    dy: &'a [f32],
    panel: usize,
    half: bool,
}

/// A step's rows: the first in the map, the first in the reserve, and how many sequences take part.
#[derive(Clone, Copy)]
pub(crate) struct StepRows {
    row: usize,
    x_row: usize,
    pub running: usize,
}

impl<'a> Backward<'a> {
    pub fn new(call: &mut Call<'a>) -> Self {
        let p: BackwardParams = call.params();
        let phases = call.variant.phases();
        let state = if phases.len() > 1 { p.units_1 } else { p.units_0 };
        let wide = |width: Width| width.of(p.units_0, state);
        // A phase multiplies the gate gradients of the one that follows it.
        let k = |phase: usize| {
            let next = &phases[(phase + 1) % phases.len()];
            next.gates * wide(next.units)
        };
        Self {
            p,
            phases,
            equations: call.variant.equations(),
            noise: call.variant.noise(),
            unmasked: call.variant.of.form().is_some_and(|form| form.sees_unmasked()),
            sizes: p.phases(),
            k: [k(0), k(1)],
            reserve: SharedRows::new(call.write(0)),
            weights: call.read(1),
            map: call.read_indices(2),
            d_in: call.read(3),
            d_out: SharedRows::new(call.write(4)),
            dh: SharedRows::new(call.write(5)),
            dc: SharedRows::new(call.write(6)),
            dy: call.read(7),
            panel: call.variant.reads.panel as usize,
            half: call.variant.reads.half,
        }
    }

    pub fn sizes(&self, phase: usize) -> PhaseParams {
        self.sizes[phase]
    }

    /// The rows of step `s` of this dispatch.
    pub fn step(&self, s: usize) -> StepRows {
        let offset = |s: usize| self.map[self.p.offsets + s] as usize;
        StepRows {
            row: offset(s),
            x_row: offset(s) - self.map[self.p.chunk] as usize,
            running: offset(s + 1) - offset(s),
        }
    }

    /// The row that a state has of those that are multiplied.
    pub fn multiplied(&self, state: usize, stride: usize) -> &'a [f32] {
        let row = state - self.p.state_row + self.p.d_in_row;
        &self.d_in[row * stride..][..stride]
    }

    /// Row of the states of the sequence with this rank.
    pub fn state(&self, track: usize, rank: usize) -> usize {
        let n = self.map[self.p.order + rank] as usize;
        self.p.state_row + track * self.p.batch + n
    }

    /// The product and the derivative, for some ranks and units. `source` gives the gate gradients that a rank's row
    /// multiplies, `out` takes the units' own: (row in this part, state row, gate, values).
    pub fn phase<'s>(
        &self,
        workspace: &mut BackwardWorkspace,
        phase: usize,
        part: &Part,
        at: StepRows,
        source: impl Fn(usize, usize) -> &'s [f32],
        mut out: impl FnMut(usize, usize, usize, &[f32]),
    ) {
        let PhaseParams { units, column: fields, .. } = self.sizes[phase];
        let Part { track, ref ranks, units: ref some } = *part;
        let cell = &self.phases[phase];
        let width = some.len();
        self.multiply(&mut workspace.products, phase, part, &source);
        workspace.gates.resize(cell.gates * width, 0.0);
        for (i, rank) in ranks.clone().enumerate() {
            let state = self.state(track, rank);
            let row = track * self.p.x_track + (at.x_row + rank) * self.p.x_stride;
            // SAFETY: state rows and map rows are different for different ranks and tracks, and a unit of a rank and
            // track is worked on by one thread at a time.
            let column = |at: usize, len| unsafe { self.reserve.row(row + at + some.start, len) };
            let carried = |of: &SharedRows<'a>, at: usize, carries: bool| {
                let at = if carries { at + some.start } else { 0 };
                // SAFETY: as above.
                unsafe { of.row(at, if carries { width } else { 0 }) }
            };
            let dh = carried(&self.dh, state * self.p.dh_stride, cell.carries_h);
            let mut dc: [&mut [f32]; MAX_SLOTS] =
                std::array::from_fn(|c| carried(&self.dc, state * self.p.dc_stride + c * units, c < cell.carried));
            let d = &mut workspace.products[i * width..][..width];
            let drawn = self.p.source + units;
            if self.noise.recurrent_dropout.is_some() {
                d.iter_mut().zip(&*column(drawn, width)).for_each(|(d, mask)| *d *= mask);
            }
            if phase + 1 == self.phases.len() {
                d.iter_mut().zip(&*dh).for_each(|(d, dh)| *d += dh);
                if self.p.dy_stride != 0 {
                    let row = self.map[at.row + track * self.p.map_track + rank] as usize;
                    let at = self.p.dy_offset + row * self.p.dy_stride + track * units + some.start;
                    d.iter_mut().zip(&self.dy[at..]).for_each(|(d, dy)| *d += dy);
                }
            }
            let h = match cell.hidden_backward {
                true if self.unmasked => &*column(drawn + units, width),
                true => &*column(self.p.source, width),
                false => &[],
            };
            let zoned = self.noise.zoneout.is_some().then(|| &*column(drawn, width));
            if let Some(drawn) = zoned {
                // The gradient of a kept value is the old one's, past the cell.
                pass_by(&mut workspace.past[0], d, drawn, zoneout::H);
                pass_by(&mut workspace.past[1], dc[0], drawn, zoneout::C);
            }
            (cell.backward)(BackwardRow {
                fields: std::array::from_fn(|f| {
                    if f < cell.fields { column(fields + f * units, width) } else { Default::default() }
                }),
                h,
                d,
                equations: self.equations.as_ref(),
                dh: &mut *dh,
                dc: dc.each_mut().map(|dc| &mut **dc),
                out: (&mut workspace.gates, width),
            });
            if zoned.is_some() {
                let [dc, ..] = dc;
                for (to, past) in [dh, dc].into_iter().zip(&workspace.past) {
                    to.iter_mut().zip(past).for_each(|(d, past)| *d += past);
                }
            }
            for (gate, gradients) in workspace.gates.chunks_exact(width).enumerate() {
                out(i, state, gate, gradients);
            }
        }
    }

    /// The gradients of the gates of the phase or step after, times R, for a part's rows and units.
    fn multiply<'s>(
        &self,
        products: &mut Vec<f32>,
        phase: usize,
        part: &Part,
        source: &impl Fn(usize, usize) -> &'s [f32],
    ) {
        let PhaseParams { units, weights, weights_track, .. } = self.sizes[phase];
        let k = self.k[phase];
        let Part { track, ref ranks, units: ref some } = *part;
        let (count, width) = (ranks.len(), some.len());
        let layout = Packed { rows: k, columns: units, panel: self.panel };
        let base = (weights + track * weights_track) * self.panel;
        let matrix = Matrix::new(&self.weights[base..], layout, self.half).without_bias();
        let row = |i: usize| source(i, self.state(track, ranks.start + i));
        products.resize(count * width, 0.0);
        let c = SharedRows::new(products);
        matrix.multiply(count, row, some.clone(), false, |i: usize, column: usize, len| {
            // SAFETY: one thread works on it, and keeps no part.
            unsafe { c.row(i * width + column - some.start, len) }
        });
    }
}
