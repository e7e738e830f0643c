//! `scan` backwards: the gradient of the state from the last step to the first, whole or in parts.

use super::call::Call;
use super::rows::SharedRows;
use super::scan::{Carry, Lane, diagonal_of, for_each_lane, offsets};
use crate::cells::Scan;
use crate::cells::linear::{Step, Work};
use crate::kernels::{Part, RowParams, ScanParams};

struct Backward<'a> {
    p: ScanParams,
    cell: &'static Scan,
    part: Part,
    panel: u32,
    reserve: SharedRows<'a>,
    map: &'a [u32],
    dh: SharedRows<'a>,
    dc: SharedRows<'a>,
    dy: &'a [f32],
    carry: Carry<'a>,
}

pub(crate) fn run(call: &mut Call<'_>) {
    let p: ScanParams = call.params();
    let Some(cell) = call.variant.scan() else { return };
    let backward = Backward {
        p,
        cell,
        part: call.variant.of.part(),
        panel: call.variant.reads.panel,
        reserve: SharedRows::new(call.write(0)),
        dh: SharedRows::new(call.write(1)),
        map: call.read_indices(2),
        dc: SharedRows::new(call.write(3)),
        dy: call.read(4),
        carry: Carry::new(&p, call.write(5)),
    };
    let rows = RowParams { tracks: p.tracks, ..RowParams::default() };
    let lanes = ScanParams { rows, parts: p.parts, running: p.running, rank: p.rank, ..ScanParams::default() };
    for_each_lane(&lanes, |lane| backward.lane(&lane));
}

impl<'a> Backward<'a> {
    fn lane(&self, lane: &Lane) {
        let p = &self.p;
        let &Lane { track, part, rank } = lane;
        let units = p.units;
        let row = lane.row(p, self.map);
        let state = p.state_row + row;
        // SAFETY: rows of different sequences, tracks and parts are different, and each is one thread's; the gradient of a
        // state is written by the first part alone, that of h by the one in which the sequence ends.
        let part_of = |rows: &SharedRows<'a>, at: usize| -> &'a mut [f32] { unsafe { rows.row(at, units) } };
        let dh_at = state * p.h_stride;
        let (of_state, at) = if self.cell.has_c { (&self.dc, state * p.c_stride) } else { (&self.dh, dh_at) };
        let mut d_s = if self.part == Part::Steps {
            self.carry.state(row).to_vec()
        } else {
            // SAFETY: totals write no gradient of a state, and where there is one part, it alone does, later.
            unsafe { of_state.read(at, units) }.to_vec()
        };
        match self.part {
            Part::Totals if part == 0 => self.carry.write_state(row, &d_s),
            Part::Steps => (part + 1..p.parts).rev().for_each(|after| self.carry.apply(after, row, &mut d_s)),
            _ => {}
        }
        let u = diagonal_of(self.cell, &self.dc, track * p.c_stride, units, self.panel);
        let fields = self.cell.gates + usize::from(self.cell.diagonal);
        let (mut a, mut b, mut d_y) = (vec![1.0; units], vec![0.0; units], vec![0.0; units]);
        for step in lane.steps(p).rev() {
            let [first, next, after] = offsets(self.map, p.offsets + step);
            if rank >= next - first {
                continue;
            }
            let x_at = lane.x_at(p, self.map, first);
            let g = std::array::from_fn(|gate| {
                if gate < fields { part_of(&self.reserve, x_at + gate * units) } else { Default::default() }
            });
            let old = &*part_of(&self.reserve, x_at + p.source);
            d_y.fill(0.0);
            if p.y_stride != 0 {
                d_y.copy_from_slice(&self.dy[lane.y_at(p, self.map, first)..][..units]);
            }
            if self.cell.has_c && rank >= after - next {
                // SAFETY: a sequence ends in one part.
                let dh = unsafe { self.dh.read(dh_at, units) };
                d_y.iter_mut().zip(dh).for_each(|(d_y, dh)| *d_y += dh);
                if self.part != Part::Totals {
                    part_of(&self.dh, dh_at).fill(0.0);
                }
            }
            let d_y = &*d_y;
            let work = if self.part == Part::Totals {
                Work::TotalBackward { old, d_y, a: &mut a, b: &mut b }
            } else {
                Work::Backward { old, d_y, d_s: &mut d_s }
            };
            (self.cell.twin)(Step { g, u: &u, work });
        }
        if self.part == Part::Totals {
            self.carry.write_total(part, row, &a, &b);
        } else if part == 0 {
            part_of(of_state, at).copy_from_slice(&d_s);
        }
    }
}
