//! What the twins of `step` and `sequence` share: a phase of a step for some of the sequences, as `recurrence.wgsl`.

use super::Call;
use super::gemm::{multiply, unpack_panels};
use super::rows::SharedRows;
use crate::cells::{Phase, Width};
use crate::kernels::{Packed, RecurrenceParams};
use gemm::Parallelism;

/// A cell's mathematics for one unit: G gates' input and recurrent parts, the old h, S slots; gives the new value.
pub(crate) trait Gates<const G: usize, const S: usize> {
    fn forward(x: [f32; G], r: [f32; G], h: f32, slots: &mut [f32; S]) -> f32;
}

/// One sequence's row of a phase, gate by gate, each `out.len()` units long.
pub(crate) struct PhaseRow<'a> {
    pub x: &'a [f32],
    pub r: &'a [f32],
    pub h: &'a [f32],
    pub slots: &'a mut [f32],
    pub out: &'a mut [f32],
}

/// A phase's gates over a row.
pub(crate) type PhaseTwin = fn(PhaseRow<'_>);

/// Applies a cell to each unit of a row, in vector code for the best instruction set that this CPU has.
pub(crate) fn pointwise<const G: usize, const S: usize, C: Gates<G, S>>(row: PhaseRow<'_>) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || units::<G, S, C>(row),
    );
}

#[inline(always)]
fn units<const G: usize, const S: usize, C: Gates<G, S>>(row: PhaseRow<'_>) {
    let units = row.out.len();
    let mut x = [&row.x[..units]; G];
    let mut r = [&row.r[..units]; G];
    for g in 0..G {
        x[g] = &row.x[g * units..][..units];
        r[g] = &row.r[g * units..][..units];
    }
    let h = &row.h[..units];
    let mut rest = row.slots;
    let slots: [&mut [f32]; S] = std::array::from_fn(|_| {
        let (slot, others) = std::mem::take(&mut rest).split_at_mut(units);
        rest = others;
        slot
    });
    for j in 0..units {
        let (mut xs, mut rs, mut ss) = ([0.0; G], [0.0; G], [0.0; S]);
        for g in 0..G {
            xs[g] = x[g][j];
            rs[g] = r[g][j];
        }
        for s in 0..S {
            ss[s] = slots[s][j];
        }
        row.out[j] = C::forward(xs, rs, h[j], &mut ss);
        for s in 0..S {
            slots[s][j] = ss[s];
        }
    }
}

/// A thread's memory: gathered states, products, and the state of the sequences it works on.
#[derive(Default)]
pub(crate) struct Workspace {
    source: Vec<f32>,
    products: Vec<f32>,
    value: Vec<f32>,
    /// Two copies of the tile's state, which take turns.
    pub state: [Vec<f32>; 2],
}

/// Sizes of one phase.
#[derive(Clone, Copy)]
pub(crate) struct PhaseSizes {
    pub units: usize,
    weights: usize,
    weights_direction: usize,
    gate: usize,
    /// Rows of the weights: length of the vector multiplied, without padding.
    pub k: usize,
}

/// A dispatch of `step` or `sequence`, unpacked from its call.
pub(crate) struct Recurrence<'a> {
    pub p: RecurrenceParams,
    pub phases: &'static [Phase],
    sizes: [PhaseSizes; 2],
    x: &'a [f32],
    weights: &'a [f32],
    pub map: &'a [u32],
    pub h_in: &'a [f32],
    pub h_out: SharedRows<'a>,
    aux: SharedRows<'a>,
    y: SharedRows<'a>,
    h_final: SharedRows<'a>,
    width: usize,
}

/// A step's place among the rows, and how many sequences take part.
#[derive(Clone, Copy)]
pub(crate) struct StepRows {
    pub x_row: usize,
    pub map_row: usize,
    pub running: usize,
    pub next_running: usize,
}

impl<'a> Recurrence<'a> {
    pub fn new(call: &mut Call<'a>) -> Self {
        let p: RecurrenceParams = call.params();
        let phases = call.variant.phases();
        let state = phases.last().map_or(0, |_| if phases.len() > 1 { p.units_1 } else { p.units_0 }) as usize;
        let hidden = p.units_0 as usize;
        let k = |phase: Option<&Phase>| match phase.map(|phase| phase.source) {
            Some(Width::Hidden) => hidden,
            _ => state,
        };
        let sizes = [
            PhaseSizes {
                units: p.units_0 as usize,
                weights: p.weights_0 as usize,
                weights_direction: p.weights_direction_0 as usize,
                gate: p.gate_0 as usize,
                k: k(phases.first()),
            },
            PhaseSizes {
                units: p.units_1 as usize,
                weights: p.weights_1 as usize,
                weights_direction: p.weights_direction_1 as usize,
                gate: p.gate_1 as usize,
                k: k(phases.get(1)),
            },
        ];
        Self {
            p,
            phases,
            sizes,
            x: call.read(0),
            weights: call.read(1),
            map: call.read_indices(2),
            h_in: call.read(3),
            h_out: SharedRows::new(call.write(4)),
            aux: SharedRows::new(call.write(5)),
            y: SharedRows::new(call.write(6)),
            h_final: SharedRows::new(call.write(7)),
            width: call.variant.panel as usize,
        }
    }

    pub fn sizes(&self, phase: usize) -> PhaseSizes {
        self.sizes[phase]
    }

    /// Row of the states of the sequence with this rank.
    pub fn state(&self, direction: usize, rank: usize) -> usize {
        let n = self.map[self.p.order as usize + rank] as usize;
        self.p.state_row as usize + direction * self.p.batch as usize + n
    }

    /// R·h + b and the gates, for ranks `first..first + count`. `source` gives the vector that a rank's row multiplies
    /// and `out` takes its new value: (row in this tile, state row, the row).
    #[expect(clippy::too_many_arguments, reason = "the coordinates of a tile")]
    pub fn phase<'s>(
        &self,
        workspace: &mut Workspace,
        phase: usize,
        direction: usize,
        (first, count): (usize, usize),
        at: StepRows,
        parallelism: Parallelism,
        source: impl Fn(usize, usize) -> &'s [f32],
        mut out: impl FnMut(usize, usize, &[f32]),
    ) {
        let PhaseSizes { units, weights, weights_direction, gate, k } = self.sizes[phase];
        let cell = &self.phases[phase];
        let columns = cell.gates * units;
        let base = (weights + direction * weights_direction) * self.width;
        let layout = Packed { rows: k, columns, panel: self.width };
        let packed = &self.weights[base..][..layout.words()];
        let plain;
        let (matrix, bias) = if self.width == 1 {
            packed.split_at(k * layout.pitch())
        } else {
            let mut rows = Vec::new();
            unpack_panels(&mut rows, packed, k, columns, self.width);
            rows.extend(packed[layout.panels() * columns * self.width..].iter().step_by(self.width));
            plain = rows;
            plain.split_at(k * columns)
        };
        workspace.source.clear();
        workspace.products.clear();
        for i in 0..count {
            workspace.source.extend_from_slice(&source(i, self.state(direction, first + i))[..k]);
            workspace.products.extend_from_slice(&bias[..columns]);
        }
        multiply(
            count,
            columns,
            k,
            (&workspace.source, k, 1),
            (matrix, layout.pitch()),
            &mut workspace.products,
            parallelism,
        );
        workspace.value.resize(units, 0.0);
        for i in 0..count {
            let rank = first + i;
            let state = self.state(direction, rank);
            let r = &workspace.products[i * columns..][..columns];
            let x = if cell.input {
                let row = direction * self.p.x_direction as usize + (at.x_row + rank) * self.p.x_stride as usize;
                &self.x[row + gate..][..columns]
            } else {
                r
            };
            // SAFETY: state rows and map rows are different for different ranks and directions, and a rank of a
            // direction is worked on by one thread at a time.
            let slots = unsafe { self.aux.row(state * self.p.aux_stride as usize, cell.slots * units) };
            let h = if cell.hidden { source(i, state) } else { r };
            (cell.twin)(PhaseRow { x, r, h, slots, out: &mut workspace.value });
            out(i, state, &workspace.value);
            if phase + 1 < self.phases.len() {
                continue;
            }
            if self.p.y_stride != 0 {
                let row = self.map[at.map_row + direction * self.p.map_direction as usize + rank] as usize;
                // SAFETY: as above.
                let y = unsafe { self.y.row(row * self.p.y_stride as usize + direction * units, units) };
                y.copy_from_slice(&workspace.value);
            }
            if rank >= at.next_running {
                // SAFETY: as above.
                let last = unsafe { self.h_final.row(state * self.p.final_stride as usize, units) };
                last.copy_from_slice(&workspace.value);
            }
        }
    }
}
