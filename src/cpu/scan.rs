//! A linear recurrence s' = a⊙s + b over many steps, whole or in parts: in parts, first what each makes of any state, then
//! its steps.

use super::call::Call;
use super::rows::SharedRows;
use super::threads;
use crate::cells::Scan;
use crate::cells::linear::{Step, Work};
use crate::kernels::{Part, ScanParams};

/// The diagonal of R of a track, out of a buffer with a number in so many words.
pub(crate) fn diagonal_of(cell: &Scan, from: &SharedRows<'_>, at: usize, units: usize, panel: u32) -> Vec<f32> {
    if !cell.diagonal {
        return Vec::new();
    }
    // SAFETY: nobody writes it while steps are taken.
    let words = unsafe { from.read(at, units * panel as usize) };
    words.iter().step_by(panel as usize).copied().collect()
}

/// A lane's numbers of a part's total, and of the states, in the carry.
pub(crate) struct Carry<'a> {
    rows: SharedRows<'a>,
    /// Parts, rows of states, units.
    sizes: [usize; 3],
}

impl<'a> Carry<'a> {
    pub fn new(p: &ScanParams, words: &'a mut [f32]) -> Self {
        let sizes = [p.parts, p.tracks * p.batch, p.units];
        Self { rows: SharedRows::new(words), sizes }
    }

    /// Where a part's total of a row begins: a and b of each unit in turn.
    fn total(&self, part: usize, row: usize) -> usize {
        2 * (part * self.sizes[1] + row) * self.sizes[2]
    }

    pub fn write_total(&self, part: usize, row: usize, a: &[f32], b: &[f32]) {
        // SAFETY: a part of a row is worked on by one thread.
        let to = unsafe { self.rows.row(self.total(part, row), 2 * a.len()) };
        for (to, (&a, &b)) in to.chunks_exact_mut(2).zip(a.iter().zip(b)) {
            to.copy_from_slice(&[a, b]);
        }
    }

    /// A part's total of a state.
    pub fn apply(&self, part: usize, row: usize, s: &mut [f32]) {
        // SAFETY: totals are written by a dispatch of their own.
        let total = unsafe { self.rows.read(self.total(part, row), 2 * s.len()) };
        for (s, total) in s.iter_mut().zip(total.chunks_exact(2)) {
            *s = total[0] * *s + total[1];
        }
    }

    /// Keeps the state that the first part begins with, or the gradient that the last one does.
    pub fn write_state(&self, row: usize, state: &[f32]) {
        // SAFETY: one part of a row writes it, in a dispatch in which nobody reads it.
        unsafe { self.rows.row(self.state_at(row), state.len()) }.copy_from_slice(state);
    }

    pub fn state(&self, row: usize) -> &'a [f32] {
        // SAFETY: it is written by a dispatch of its own.
        unsafe { self.rows.read(self.state_at(row), self.sizes[2]) }
    }

    fn state_at(&self, row: usize) -> usize {
        let [parts, rows, units] = self.sizes;
        (2 * parts * rows + row) * units
    }
}

struct Forward<'a> {
    p: ScanParams,
    cell: &'static Scan,
    part: Part,
    keep: bool,
    panel: u32,
    x: SharedRows<'a>,
    map: &'a [u32],
    h_in: &'a [f32],
    h_out: SharedRows<'a>,
    c: SharedRows<'a>,
    y: SharedRows<'a>,
    h_final: SharedRows<'a>,
    carry: Carry<'a>,
}

pub(crate) fn run(call: &mut Call<'_>) {
    let p: ScanParams = call.params();
    let Some(cell) = call.variant.scan() else { return };
    let forward = Forward {
        p,
        cell,
        part: call.variant.of.part(),
        keep: call.variant.of.keep(),
        panel: call.variant.reads.panel,
        x: SharedRows::new(call.write(0)),
        h_in: call.read(1),
        map: call.read_indices(2),
        h_out: SharedRows::new(call.write(3)),
        c: SharedRows::new(call.write(4)),
        y: SharedRows::new(call.write(5)),
        h_final: SharedRows::new(call.write(6)),
        carry: Carry::new(&p, call.write(7)),
    };
    for_each_lane(&p, |lane| forward.lane(&lane));
}

/// All units of a sequence in a part of the steps.
pub(crate) struct Lane {
    pub track: usize,
    pub part: usize,
    pub rank: usize,
}

impl Lane {
    /// The row of its sequence among the states of a layer.
    pub fn row(&self, p: &ScanParams, map: &[u32]) -> usize {
        self.track * p.batch + map[p.order + self.rank] as usize
    }

    /// The steps of its part.
    pub fn steps(&self, p: &ScanParams) -> std::ops::Range<usize> {
        let begin = self.part * p.part;
        begin..(begin + p.part).min(p.steps)
    }

    /// Where the gates' sums of the step with this first row begin.
    pub fn x_at(&self, p: &ScanParams, map: &[u32], first: usize) -> usize {
        let row = first - map[p.chunk] as usize + self.rank;
        self.track * p.x_track + row * p.x_stride
    }

    /// Where its y of that step begins.
    pub fn y_at(&self, p: &ScanParams, map: &[u32], first: usize) -> usize {
        let row = map[first + self.track * p.map_track + self.rank] as usize;
        p.y_offset + row * p.y_stride + self.track * p.units
    }
}

/// Works on sequences, tracks and parts, shared out to threads.
pub(crate) fn for_each_lane(p: &ScanParams, work: impl Fn(Lane) + Sync + Send) {
    let [tracks, running, first] = [p.tracks, p.running, p.rank];
    let mut lanes: Vec<_> = (0..p.parts)
        .flat_map(|part| (0..tracks).map(move |track| (part, track)))
        .flat_map(|(part, track)| (0..running).map(move |i| Lane { track, part, rank: first + i }))
        .collect();
    threads::for_each(&mut lanes, |_, lane| work(Lane { ..*lane }));
}

/// A step of the map: its first row, that of the next step, and that of the one after.
pub(crate) fn offsets(map: &[u32], at: usize) -> [usize; 3] {
    [0, 1, 2].map(|i| map.get(at + i).map_or(0, |&offset| offset as usize))
}

impl<'a> Forward<'a> {
    fn lane(&self, lane: &Lane) {
        let p = &self.p;
        let &Lane { track, part, rank } = lane;
        let units = p.units;
        let row = lane.row(p, self.map);
        let state = p.state_row + row;
        // SAFETY: rows of different sequences, tracks and parts are different, and each is one thread's; of those that parts
        // share, h, c and the final h, only the part writes in which the sequence or the dispatch ends, and none reads: see below.
        let part_of = |rows: &SharedRows<'a>, at: usize| -> &'a mut [f32] { unsafe { rows.row(at, units) } };
        let mut s: Vec<f32> = if self.part == Part::Steps {
            self.carry.state(row).to_vec()
        } else if self.cell.has_c {
            // SAFETY: totals write no c, and where there is one part, it alone does, later.
            unsafe { self.c.read(state * p.c_stride, units) }.to_vec()
        } else {
            self.h_in[state * p.h_stride..][..units].to_vec()
        };
        match self.part {
            Part::Totals if part == 0 => self.carry.write_state(row, &s),
            Part::Steps => (0..part).for_each(|before| self.carry.apply(before, row, &mut s)),
            _ => {}
        }
        let u = diagonal_of(self.cell, &self.c, track * p.c_stride, units, self.panel);
        let (mut a, mut b, mut h) = (vec![1.0; units], vec![0.0; units], vec![0.0; units]);
        for step in lane.steps(p) {
            let [first, next, after] = offsets(self.map, p.offsets + step);
            if rank >= next - first {
                break;
            }
            let at = lane.x_at(p, self.map, first);
            let g = std::array::from_fn(|gate| {
                if gate < self.cell.gates { part_of(&self.x, at + gate * units) } else { Default::default() }
            });
            if self.part == Part::Totals {
                (self.cell.twin)(Step { g, u: &u, work: Work::Total { a: &mut a, b: &mut b } });
                continue;
            }
            if self.keep {
                part_of(&self.x, at + p.source).copy_from_slice(&s);
            }
            (self.cell.twin)(Step { g, u: &u, work: Work::Forward { s: &mut s, h: &mut h } });
            if p.y_stride != 0 {
                part_of(&self.y, lane.y_at(p, self.map, first)).copy_from_slice(&h);
            }
            let ends = rank >= after - next;
            if ends {
                part_of(&self.h_final, state * p.h_stride).copy_from_slice(&h);
            }
            if ends || step + 1 == p.steps {
                part_of(&self.h_out, state * p.h_stride).copy_from_slice(&h);
                if self.cell.has_c {
                    part_of(&self.c, state * p.c_stride).copy_from_slice(&s);
                }
            }
        }
        if self.part == Part::Totals {
            self.carry.write_total(part, row, &a, &b);
        }
    }
}
