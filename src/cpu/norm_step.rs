//! A time step of a cell with layer norms, after the product with R.

use super::call::Call;
use super::rows::SharedRows;
use super::threads;
use crate::cells::forward::PhaseRow;
use crate::cells::math::{MulAdd, Vectorised, vectorise};
use crate::cells::{EPSILON, Norm, Phase};
use crate::kernels::{NormParams, Packed};

/// What normed numbers are multiplied with, γ, or what is added then, β.
#[derive(Clone, Copy)]
pub(crate) enum Gain {
    W,
    BiasW,
    R,
    BiasR,
    C,
    BiasC,
}

/// Those of each track, unpacked.
pub(crate) struct Gains(Vec<[Vec<f32>; 6]>);

impl Gains {
    pub fn new(p: &NormParams, norm: &Norm, words: &[f32], panel: u32) -> Self {
        let panel = panel as usize;
        let [gates, of_c] = [p.gates_gain, p.units_gain].map(|vectors| vectors * panel);
        let [units, biases] = [p.units, p.biases];
        let rows = |at: usize, rows: usize, columns: usize, row: Option<usize>| {
            let layout = Packed { rows, columns, panel };
            let number = |column| row.map_or(0.0, |row| words[at + layout.index(row, column)]);
            (0..columns).map(number).collect()
        };
        let track = |track: usize| {
            let at = track * (gates + of_c);
            // Biases come first, but for c.
            let gate = |row| rows(at, 2 + biases, norm.groups.len() * units, row);
            let c = |row| rows(at + gates, 1 + biases.min(1), if norm.has_c { units } else { 0 }, row);
            let [bias_w, bias_r] = [0, 1].map(|bias| (bias < biases).then_some(bias));
            [
                gate(Some(biases)),
                gate(bias_w),
                gate(Some(biases + 1)),
                gate(bias_r),
                c(Some(0)),
                c((biases > 0).then_some(1)),
            ]
        };
        Self((0..p.tracks).map(track).collect())
    }

    pub fn of(&self, track: usize, kind: Gain) -> &[f32] {
        &self.0[track][kind as usize]
    }
}

/// Sums over numbers and over their products with others.
struct Sums<'a>(&'a [f32], &'a [f32], f32, &'a mut [f32; 2]);

impl Vectorised for Sums<'_> {
    #[inline(always)]
    fn run<M: MulAdd>(self) {
        const LANES: usize = 16;
        let Self(a, b, shift, out) = self;
        let (mut sum, mut product) = ([0.0; LANES], [0.0; LANES]);
        let mut add = |j: usize, a: f32, b: f32| {
            sum[j] += a - shift;
            product[j] = M::mul_add(a - shift, b - shift, product[j]);
        };
        let (whole_a, rest_a) = a.as_chunks::<LANES>();
        let (whole_b, rest_b) = b.as_chunks::<LANES>();
        for (a, b) in whole_a.iter().zip(whole_b) {
            for j in 0..LANES {
                add(j, a[j], b[j]);
            }
        }
        for (j, (&a, &b)) in rest_a.iter().zip(rest_b).enumerate() {
            add(j, a, b);
        }
        *out = [sum.iter().sum(), product.iter().sum()];
    }
}

/// Σ (a − shift) and Σ (a − shift)·(b − shift).
pub(crate) fn sums(a: &[f32], b: &[f32], shift: f32) -> [f32; 2] {
    let mut out = [0.0; 2];
    vectorise(Sums(a, b, shift, &mut out));
    out
}

/// Norms numbers in place; gives what their deviations from the mean were multiplied with.
fn norm(a: &mut [f32]) -> f32 {
    let count = a.len() as f32;
    let mean = sums(a, a, 0.0)[0] / count;
    let scale = 1.0 / (sums(a, a, mean)[1] / count + EPSILON).sqrt();
    a.iter_mut().for_each(|a| *a = (*a - mean) * scale);
    scale
}

/// The gates of a group lie together.
pub(crate) fn group(norm: &Norm, group: usize, units: usize) -> std::ops::Range<usize> {
    let first = norm.groups.iter().position(|&own| own == group).unwrap_or(norm.groups.len());
    let count = norm.groups.iter().filter(|&&own| own == group).count();
    first * units..(first + count) * units
}

/// A row of a step, as a workgroup has it.
pub(crate) struct Row {
    pub track: usize,
    /// Its row among products, by rank.
    pub product: usize,
    /// Its row among the layer's states, and among all.
    pub own: usize,
    pub state: usize,
    /// Where its gates begin.
    pub x: usize,
    /// Where its y begins.
    pub y: usize,
    /// Whether its sequence ends.
    pub ends: bool,
}

/// Works on all rows of a step, shared out to threads.
pub(crate) fn for_each_row(p: &NormParams, map: &[u32], work: impl Fn(Row) + Sync + Send) {
    let at = |at: usize| map[at] as usize;
    let [first, next, after] = [0, 1, 2].map(|i| at(p.offsets + i));
    let [units, batch] = [p.units, p.batch];
    let ranks = p.rank..(p.rank + p.running).min(next - first);
    let row = |track: usize, rank: usize| {
        let own = track * batch + at(p.order + rank);
        let x_row = first - at(p.chunk) + rank;
        let y_row = if p.y_stride == 0 { 0 } else { at(first + track * p.map_track + rank) };
        Row {
            track,
            product: track * batch + rank,
            own,
            state: p.state_row + own,
            x: track * p.x_track + x_row * p.x_stride,
            y: p.y_offset + y_row * p.y_stride + track * units,
            ends: rank >= after - next,
        }
    };
    let mut rows: Vec<_> = (0..p.tracks)
        .flat_map(|track| ranks.clone().map(move |rank| (track, rank)))
        .map(|(track, rank)| row(track, rank))
        .collect();
    threads::for_each(&mut rows, |_, row| work(Row { ..*row }));
}

struct Forward<'a> {
    p: NormParams,
    norm: &'static Norm,
    phase: &'static Phase,
    keep: bool,
    gains: Gains,
    x: SharedRows<'a>,
    products: &'a [f32],
    h: SharedRows<'a>,
    c: SharedRows<'a>,
    y: SharedRows<'a>,
    h_final: SharedRows<'a>,
}

pub(crate) fn run(call: &mut Call<'_>) {
    let p: NormParams = call.params();
    let (Some(norm), [phase]) = (call.variant.norm(), call.variant.phases()) else { return };
    let map = call.read_indices(2);
    let forward = Forward {
        p,
        norm,
        phase,
        keep: call.variant.of.keep(),
        gains: Gains::new(&p, norm, call.read(1), call.variant.reads.panel),
        x: SharedRows::new(call.write(0)),
        products: call.read(3),
        h: SharedRows::new(call.write(4)),
        c: SharedRows::new(call.write(5)),
        y: SharedRows::new(call.write(6)),
        h_final: SharedRows::new(call.write(7)),
    };
    for_each_row(&p, map, |row| forward.row(&row));
}

impl<'a> Forward<'a> {
    fn row(&self, row: &Row) {
        let p = &self.p;
        let units = p.units;
        let columns = self.phase.gates * units;
        // SAFETY: rows of different sequences and tracks are different, and each is one thread's; no part is kept.
        let part = |rows: &SharedRows<'a>, at: usize, len: usize| -> &'a mut [f32] { unsafe { rows.row(at, len) } };
        let mut g = part(&self.x, row.x, columns).to_vec();
        let mut r = self.products[row.product * columns..][..columns].to_vec();
        let mut scales = [1.0 / EPSILON.sqrt(); 5];
        for i in 0..2 {
            let group = group(self.norm, i, units);
            if !group.is_empty() {
                scales[i] = norm(&mut g[group.clone()]);
                scales[2 + i] = norm(&mut r[group]);
            }
        }
        if self.keep {
            part(&self.x, row.x + p.normed, columns).copy_from_slice(&g);
            part(&self.x, row.x + p.normed + columns, columns).copy_from_slice(&r);
        }
        for (kinds, normed) in [([Gain::W, Gain::BiasW], &mut g), ([Gain::R, Gain::BiasR], &mut r)] {
            let [gain, bias] = kinds.map(|kind| self.gains.of(row.track, kind));
            for ((a, gain), bias) in normed.iter_mut().zip(gain).zip(bias) {
                *a = gain * *a + *bias;
            }
        }
        let old = part(&self.h, row.state * p.h_stride, units);
        let mut fields: Vec<Vec<f32>> = g.chunks_exact(units).map(<[f32]>::to_vec).collect();
        fields.resize(self.phase.kept, vec![0.0; units]);
        let mut value = vec![0.0; units];
        let c: &mut [f32] = if self.norm.has_c { part(&self.c, row.state * p.c_stride, units) } else { &mut [] };
        let mut slices = fields.iter_mut();
        let mut slots: [&mut [f32]; crate::cells::forward::MAX_SLOTS] = Default::default();
        slots[0] = &mut *c;
        (self.phase.twin)(PhaseRow {
            x: std::array::from_fn(|_| slices.next().map_or(Default::default(), |field| &mut field[..])),
            keep: true,
            r: (&r, units),
            h: old,
            peepholes: &[],
            equations: None,
            slots,
            out: &mut value,
        });
        if self.keep {
            for (i, field) in fields.iter().enumerate() {
                part(&self.x, row.x + i * units, units).copy_from_slice(field);
            }
            part(&self.x, row.x + p.source, units).copy_from_slice(old);
        }
        if self.norm.has_c {
            let mut normed = c.to_vec();
            scales[4] = norm(&mut normed);
            if self.keep {
                part(&self.x, row.x + p.normed + 2 * columns, units).copy_from_slice(&normed);
            }
            let [gain, bias] = [Gain::C, Gain::BiasC].map(|kind| self.gains.of(row.track, kind));
            for (unit, value) in value.iter_mut().enumerate() {
                *value = gain[unit] * normed[unit] + bias[unit];
            }
            tanh_all(&mut value);
            value.iter_mut().zip(&fields[3]).for_each(|(value, o)| *value *= o);
            // Where the shader hands it on.
            part(&self.x, row.x + 3 * units, units).copy_from_slice(&fields[3]);
        }
        if self.keep {
            let count = if self.norm.has_c { 5 } else { 4 };
            part(&self.x, row.x + p.scales, count).copy_from_slice(&scales[..count]);
        }
        old.copy_from_slice(&value);
        if p.y_stride != 0 {
            part(&self.y, row.y, units).copy_from_slice(&value);
        }
        if row.ends {
            part(&self.h_final, row.state * p.h_stride, units).copy_from_slice(&value);
        }
    }
}

struct Tanh<'a>(&'a mut [f32]);

impl Vectorised for Tanh<'_> {
    #[inline(always)]
    fn run<M: MulAdd>(self) {
        self.0.iter_mut().for_each(|a| *a = crate::cells::math::tanh::<M>(*a));
    }
}

/// tanh of each, in place.
pub(crate) fn tanh_all(values: &mut [f32]) {
    vectorise(Tanh(values));
}
