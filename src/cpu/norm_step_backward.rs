//! `norm_step` backwards, after the product of the next step's gradients of R·h with R.

use super::call::Call;
use super::norm_step::{Gain, Gains, Row, for_each_row, group, sums, tanh_all};
use super::rows::SharedRows;
use crate::cells::derivative::BackwardRow;
use crate::cells::{Norm, Phase};
use crate::kernels::NormParams;

struct Backward<'a> {
    p: NormParams,
    norm: &'static Norm,
    phase: &'static Phase,
    gains: Gains,
    reserve: SharedRows<'a>,
    products: &'a [f32],
    d: SharedRows<'a>,
    dh: SharedRows<'a>,
    dc: SharedRows<'a>,
    dy: &'a [f32],
}

pub(crate) fn run(call: &mut Call<'_>) {
    let p: NormParams = call.params();
    let (Some(norm), [phase]) = (call.variant.norm(), call.variant.phases()) else { return };
    let map = call.read_indices(2);
    let backward = Backward {
        p,
        norm,
        phase,
        gains: Gains::new(&p, norm, call.read(1), call.variant.reads.panel),
        reserve: SharedRows::new(call.write(0)),
        products: call.read(3),
        d: SharedRows::new(call.write(4)),
        dh: SharedRows::new(call.write(5)),
        dc: SharedRows::new(call.write(6)),
        dy: call.read(7),
    };
    for_each_row(&p, map, |row| backward.row(&row));
}

/// a + b⊙c.
fn add_products(a: &mut [f32], b: &[f32], c: &[f32]) {
    a.iter_mut().zip(b.iter().zip(c)).for_each(|(a, (b, c))| *a += b * c);
}

/// a + b.
fn add(a: &mut [f32], b: &[f32]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
}

/// The gradient of what was normed, in place of that of the normed numbers.
fn norm_backward(d: &mut [f32], normed: &[f32], scale: f32) {
    let count = d.len() as f32;
    let [sum, weighted] = sums(d, normed, 0.0);
    let (mean, slope) = (sum / count, weighted / count);
    d.iter_mut().zip(normed).for_each(|(d, normed)| *d = scale * (*d - mean - normed * slope));
}

/// a⊙b.
fn product(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

impl<'a> Backward<'a> {
    fn row(&self, row: &Row) {
        let p = &self.p;
        let units = p.units;
        let columns = self.phase.gates * units;
        // SAFETY: rows of different sequences and tracks are different, and each is one thread's; no part is kept.
        let part = |rows: &SharedRows<'a>, at: usize, len: usize| -> &'a mut [f32] { unsafe { rows.row(at, len) } };
        let field = |i: usize| part(&self.reserve, row.x + i * units, units);
        let scales = part(&self.reserve, row.x + p.scales, if self.norm.has_c { 5 } else { 4 });
        let (d_r, gradients) =
            part(&self.d, row.own * p.d_stride, 5 * columns + if self.norm.has_c { 2 * units } else { 0 })
                .split_at_mut(columns);
        let (w_gains, rest) = gradients.split_at_mut(2 * columns);
        let (r_gains, c_gains) = rest.split_at_mut(2 * columns);

        let mut d_y = self.products[row.product * units..][..units].to_vec();
        let dh = part(&self.dh, row.state * p.h_stride, units);
        add(&mut d_y, dh);
        if p.y_stride != 0 {
            add(&mut d_y, &self.dy[row.y..][..units]);
        }
        // Of an LSTM, h's gradient goes to o and to c.
        let mut d_o = Vec::new();
        let dc: &mut [f32] = if self.norm.has_c { part(&self.dc, row.state * p.c_stride, units) } else { &mut [] };
        if self.norm.has_c {
            let normed = part(&self.reserve, row.x + p.normed + 2 * columns, units);
            let [gain, bias] = [Gain::C, Gain::BiasC].map(|kind| self.gains.of(row.track, kind));
            let mut t: Vec<f32> = (0..units).map(|unit| gain[unit] * normed[unit] + bias[unit]).collect();
            tanh_all(&mut t);
            let o = field(3);
            let d_t: Vec<f32> = (0..units).map(|unit| d_y[unit] * o[unit] * (1.0 - t[unit] * t[unit])).collect();
            d_o = (0..units).map(|unit| d_y[unit] * t[unit] * o[unit] * (1.0 - o[unit])).collect();
            add_products(&mut c_gains[..units], &d_t, normed);
            add(&mut c_gains[units..], &d_t);
            let mut d_c = product(gain, &d_t);
            norm_backward(&mut d_c, normed, scales[4]);
            add(dc, &d_c);
            d_y.fill(0.0);
        }
        let mut slots: [&mut [f32]; crate::cells::forward::MAX_SLOTS] = Default::default();
        slots[0] = &mut *dc;
        (self.phase.backward)(BackwardRow {
            fields: std::array::from_fn(|i| if i < self.phase.fields { field(i) } else { Default::default() }),
            h: if self.phase.hidden_backward { part(&self.reserve, row.x + p.source, units) } else { &[] },
            d: &d_y,
            equations: None,
            dh,
            dc: slots,
            out: (&mut *d_r, units),
        });
        if self.norm.has_c {
            field(3).copy_from_slice(&d_o);
            d_r[3 * units..].copy_from_slice(&d_o);
        }
        let d_w = part(&self.reserve, row.x, columns);
        let w = part(&self.reserve, row.x + p.normed, columns);
        let r = part(&self.reserve, row.x + p.normed + columns, columns);
        let both = [(Gain::W, 0, &mut *d_w, &*w, w_gains), (Gain::R, 2, &mut *d_r, &*r, r_gains)];
        for (kind, first, d, normed, gains) in both {
            add_products(&mut gains[..columns], d, normed);
            add(&mut gains[columns..], d);
            let gain = self.gains.of(row.track, kind);
            d.iter_mut().zip(gain).for_each(|(d, gain)| *d *= gain);
            for i in 0..2 {
                let group = group(self.norm, i, units);
                if !group.is_empty() {
                    norm_backward(&mut d[group.clone()], &normed[group], scales[first + i]);
                }
            }
        }
        // What R's gradient is the sum of.
        r.copy_from_slice(d_r);
    }
}
