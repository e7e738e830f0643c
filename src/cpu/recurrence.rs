//! What the twins of `step` and `sequence` share: a phase of a step for some of the sequences, as `recurrence.wgsl`.

use super::call::Call;
use super::product::Matrix;
use super::rows::SharedRows;
use super::scratch::ForwardWorkspace;
use super::zoneout;
use crate::cells::forward::{MAX_SLOTS, PhaseRow};
use crate::cells::{Equations, Noise, Phase, Probability};
use crate::kernels::{Packed, PhaseParams, RecurrenceParams};
use std::ops::Range;

/// Zoneout: old values instead of new ones where `which` was drawn, or the mean where nothing was.
fn keep_old(new: &mut [f32], old: &[f32], drawn: Option<&[f32]>, which: f32, probability: Probability) {
    let z = probability.get() as f32;
    for (i, (new, &old)) in new.iter_mut().zip(old).enumerate() {
        *new = match drawn {
            Some(drawn) if zoneout::is_kept(drawn[i], which) => old,
            Some(_) => *new,
            None => z * old + (1.0 - z) * *new,
        };
    }
}

/// A dispatch of `step` or `sequence`, unpacked from its call.
pub(crate) struct Recurrence<'a> {
    pub p: RecurrenceParams,
    pub phases: &'static [Phase],
    /// Those of the cell, unless they are the usual ones.
    equations: Option<Equations>,
    noise: Noise,
    /// Whether h is masked before R, and whether gates see it without its mask.
    masked: bool,
    unmasked: bool,
    /// Those of each track, if there are any.
    peepholes: Vec<Vec<f32>>,
    keep: bool,
    half: bool,
    /// Width of h.
    state_units: usize,
    sizes: [PhaseParams; 2],
    /// Length of the vectors that each phase multiplies, without padding.
    pub k: [usize; 2],
    x: SharedRows<'a>,
    weights: &'a [f32],
    pub map: &'a [u32],
    h_in: &'a [f32],
    pub h_out: SharedRows<'a>,
    aux: SharedRows<'a>,
    y: SharedRows<'a>,
    h_final: SharedRows<'a>,
    panel: usize,
}

/// A step's place among the rows, and how many sequences take part.
#[derive(Clone, Copy)]
pub(crate) struct StepRows {
    /// The first of them, in the map.
    pub row: usize,
    /// The first of them, in `x`.
    pub x_row: usize,
    pub running: usize,
    pub next_running: usize,
}

/// A part of a step: some ranks and units of one track.
pub(crate) struct Part {
    pub track: usize,
    pub ranks: Range<usize>,
    pub units: Range<usize>,
}

impl<'a> Recurrence<'a> {
    pub fn new(call: &mut Call<'a>) -> Self {
        let p: RecurrenceParams = call.params();
        let phases = call.variant.phases();
        let state = if phases.len() > 1 { p.units_1 } else { p.units_0 };
        let hidden = p.units_0;
        let k = |phase: Option<&Phase>| phase.map_or(0, |phase| phase.source.of(hidden, state));
        let mut this = Self {
            p,
            phases,
            equations: call.variant.equations(),
            noise: call.variant.noise(),
            masked: call.variant.noise().recurrent_dropout.is_some() && call.variant.of.keep(),
            unmasked: call.variant.of.form().is_some_and(|form| form.sees_unmasked()) && call.variant.of.keep(),
            peepholes: Vec::new(),
            keep: call.variant.of.keep(),
            half: call.variant.reads.half,
            state_units: state,
            sizes: p.phases(),
            k: [k(phases.first()), k(phases.get(1))],
            x: SharedRows::new(call.write(0)),
            weights: call.read(1),
            map: call.read_indices(2),
            h_in: call.read(3),
            h_out: SharedRows::new(call.write(4)),
            aux: SharedRows::new(call.write(5)),
            y: SharedRows::new(call.write(6)),
            h_final: SharedRows::new(call.write(7)),
            panel: call.variant.reads.panel as usize,
        };
        if this.has_peepholes() {
            let columns = phases[0].gates * hidden;
            this.peepholes = (0..p.tracks).map(|track| this.peepholes_of(track, columns)).collect();
        }
        this
    }

    fn has_peepholes(&self) -> bool {
        self.equations.is_some_and(|equations| equations.peepholes)
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
            next_running: offset(s + 2) - offset(s + 1),
        }
    }

    /// The row that a state has of those that are multiplied.
    pub fn multiplied(&self, state: usize, stride: usize) -> &'a [f32] {
        let row = state - self.p.state_row + self.p.h_in_row;
        &self.h_in[row * stride..][..stride]
    }

    /// Row of the states of the sequence with this rank.
    pub fn state(&self, track: usize, rank: usize) -> usize {
        let n = self.map[self.p.order + rank] as usize;
        self.p.state_row + track * self.p.batch + n
    }

    /// The weights of a track's peepholes: the biases of matrices without rows, which follow those of the first phase.
    fn peepholes_of(&self, track: usize, columns: usize) -> Vec<f32> {
        let layout = Packed { rows: 0, columns, panel: self.panel };
        let PhaseParams { weights, weights_track, .. } = self.sizes[0];
        let first = weights + self.p.tracks * weights_track + track * layout.vectors();
        let matrix = Matrix::new(&self.weights[first * self.panel..], layout, self.half);
        let mut peepholes = vec![0.0; columns];
        let rows = SharedRows::new(&mut peepholes);
        // SAFETY: one thread works on it, and keeps no part.
        matrix.multiply(1, |_| &[], 0..columns, false, |_, column, len| unsafe { rows.row(column, len) });
        peepholes
    }

    /// R·h + b and the gates, for some ranks and units. `source` gives the vector that a rank's row multiplies, and
    /// `out` takes the units' new values: (row in this part, state row, values).
    pub fn phase<'s>(
        &self,
        workspace: &mut ForwardWorkspace,
        phase: usize,
        part: &Part,
        at: StepRows,
        source: impl Fn(usize, usize) -> &'s [f32],
        mut out: impl FnMut(usize, usize, &[f32]),
    ) {
        let PhaseParams { units, column: gate, .. } = self.sizes[phase];
        let Part { track, ref ranks, units: ref some } = *part;
        let cell = &self.phases[phase];
        let width = some.len();
        let strides = self.multiply(&mut workspace.products, phase, part, &source);
        self.gather_peepholes(&mut workspace.peepholes, phase, part);
        workspace.value.resize(width, 0.0);
        for (i, rank) in ranks.clone().enumerate() {
            let state = self.state(track, rank);
            let r = (&workspace.products[i * strides.row..], strides.gate);
            let row = track * self.p.x_track + (at.x_row + rank) * self.p.x_stride;
            // SAFETY: state rows and map rows are different for different ranks and tracks, and a unit of a rank and
            // track is worked on by one thread at a time.
            let column = |at: usize, len| unsafe { self.x.row(row + at + some.start, len) };
            let columns = cell.gates.max(if self.keep { cell.kept } else { 0 });
            let x = std::array::from_fn(|i| {
                if cell.input && i < columns { column(gate + i * units, width) } else { Default::default() }
            });
            let slot = |s: usize| state * self.p.aux_stride + s * units + some.start;
            let slots: [&mut [f32]; MAX_SLOTS] = std::array::from_fn(|s| {
                let (at, len) = if s < cell.slots { (slot(s), width) } else { (0, 0) };
                // SAFETY: as above.
                unsafe { self.aux.row(at, len) }
            });
            let drawn = self.p.source + units;
            if self.unmasked {
                self.read_unmasked(&mut workspace.unmasked, state, some);
                column(drawn + units, width).copy_from_slice(&workspace.unmasked);
            }
            let h = match cell.hidden {
                true if self.unmasked => &workspace.unmasked,
                true => &source(i, state)[some.start..],
                false => r.0,
            };
            if self.keep && phase == 0 && some.start < self.state_units {
                let width = width.min(self.state_units - some.start);
                let h = &source(i, state)[some.start..][..width];
                column(self.p.source, width).copy_from_slice(h);
            }
            let (peepholes, equations) = (&*workspace.peepholes, self.equations.as_ref());
            let zoneout = self.noise.zoneout;
            let (c_at, c_len) = if cell.slots > 0 { (slot(0), width) } else { (0, 0) };
            if zoneout.is_some() {
                workspace.old.clear();
                workspace.old.extend_from_slice(slots[0]);
            }
            (cell.twin)(PhaseRow { x, keep: self.keep, r, h, peepholes, equations, slots, out: &mut workspace.value });
            if let Some(probabilities) = zoneout {
                let h = &source(i, state)[some.start..][..width];
                // SAFETY: as above.
                let c = unsafe { self.aux.row(c_at, c_len) };
                let drawn = self.keep.then(|| &*column(drawn, width));
                keep_old(&mut workspace.value, h, drawn, zoneout::H, probabilities[0]);
                keep_old(c, &workspace.old, drawn, zoneout::C, probabilities[1]);
            }
            if self.keep && phase + 1 < self.phases.len() {
                column(self.p.between, width).copy_from_slice(&workspace.value);
            }
            if self.masked {
                workspace.masked.clear();
                workspace.masked.extend(workspace.value.iter().zip(&*column(drawn, width)).map(|(h, mask)| h * mask));
                out(i, state, &workspace.masked);
            } else {
                out(i, state, &workspace.value);
            }
            if phase + 1 == self.phases.len() {
                self.hand_out(part, at, rank, &workspace.value);
            }
        }
    }

    /// h·Rᵀ of a part's rows and units, for all gates.
    fn multiply<'s>(
        &self,
        products: &mut Vec<f32>,
        phase: usize,
        part: &Part,
        source: &impl Fn(usize, usize) -> &'s [f32],
    ) -> Strides {
        let PhaseParams { units, weights, weights_track, .. } = self.sizes[phase];
        let k = self.k[phase];
        let Part { track, ref ranks, units: ref some } = *part;
        let gates = self.phases[phase].gates;
        let (count, width) = (ranks.len(), some.len());
        let layout = Packed { rows: k, columns: gates * units, panel: self.panel };
        let base = (weights + track * weights_track) * self.panel;
        let matrix = Matrix::new(&self.weights[base..], layout, self.half);
        let whole = width == units;
        let (parts, strides) = if whole {
            (1, Strides { gate: units, row: gates * units })
        } else {
            (gates, Strides { gate: count * width, row: width })
        };
        let row = |i: usize| source(i, self.state(track, ranks.start + i));
        products.resize(count * gates * width, 0.0);
        for product in 0..parts {
            let first = product * units + some.start;
            let columns = first..first + if whole { gates * units } else { width };
            let c = SharedRows::new(&mut products[product * strides.gate..]);
            matrix.multiply(count, row, columns, false, |i: usize, column: usize, len| {
                // SAFETY: one thread works on it, and keeps no part.
                unsafe { c.row(i * strides.row + column - first, len) }
            });
        }
        strides
    }

    /// The peepholes of a part's units, a gate's after the other's; none where the phase has none.
    fn gather_peepholes(&self, gathered: &mut Vec<f32>, phase: usize, part: &Part) {
        let (cell, units, width) = (&self.phases[phase], self.sizes[phase].units, part.units.len());
        let seen = self.has_peepholes() && cell.input;
        gathered.resize(if seen { cell.gates * width } else { 0 }, 0.0);
        if seen {
            let peepholes = &self.peepholes[part.track];
            for (gate, some) in gathered.chunks_exact_mut(width).enumerate() {
                some.copy_from_slice(&peepholes[gate * units + part.units.start..][..width]);
            }
        }
    }

    /// With recurrent dropout, the old h without its mask, which gates see.
    fn read_unmasked(&self, h: &mut Vec<f32>, state: usize, units: &Range<usize>) {
        let at = state * self.p.final_stride + units.start;
        h.clear();
        // SAFETY: states are different for different ranks and tracks, and a unit of one is worked on by one thread at a
        // time.
        h.extend_from_slice(unsafe { self.h_final.read(at, units.len()) });
    }

    /// Copies a sequence's new h to the output and, after its last step, to its final state.
    fn hand_out(&self, part: &Part, at: StepRows, rank: usize, h: &[f32]) {
        let Part { track, units: ref some, .. } = *part;
        if self.p.y_stride != 0 {
            let row = self.map[at.row + track * self.p.map_track + rank] as usize;
            let column = track * self.state_units + some.start;
            // SAFETY: rows are different for different ranks and tracks, and a unit of them is worked on by one thread
            // at a time.
            let y = unsafe { self.y.row(self.p.y_offset + row * self.p.y_stride + column, h.len()) };
            y.copy_from_slice(h);
        }
        if rank >= at.next_running || self.masked {
            let at = self.state(track, rank) * self.p.final_stride + some.start;
            // SAFETY: as above.
            unsafe { self.h_final.row(at, h.len()) }.copy_from_slice(h);
        }
    }
}

/// How far a gate's products are from the next gate's, and a row's from the next row's: [rows, gates, units] where all units are
/// wanted, so that gates lie side by side, else [gates, rows, units].
struct Strides {
    gate: usize,
    row: usize,
}
