//! C[b, m, n] (+)= Σk A[b, row(m), k] · B[b, k, n] + bias[b, n]

use super::call::Call;
use super::product::Matrix;
use super::rows::SharedRows;
use super::threads;
use crate::kernels::{BLOCK, GemmParams, Packed};

/// Rows that a thread multiplies at once: few enough to stay near it while it goes through B.
const ROWS: usize = 96;

/// Fewer multiplications than this are done before a second thread has woken.
const PARALLEL: usize = 1 << 18;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: GemmParams = call.params();
    let panel = call.variant.reads.panel as usize;
    let (a, b, map) = (call.read(0), call.read(1), call.read_indices(2));
    let c = SharedRows::new(call.write(3));
    let (n, k, batches) = (p.n, p.k, p.batch);
    let (m, place) = if p.first == p.end {
        (p.m, p.map_offset)
    } else {
        let first = map[p.first] as usize;
        (p.m.min(map[p.end] as usize - first), p.map_offset + first)
    };
    let layout = Packed { rows: k, columns: n, panel };
    let matrices: Vec<_> = (0..batches)
        .map(|batch| {
            let at = (p.b_offset + batch * p.b_batch) * panel;
            let matrix = Matrix::new(&b[at..], layout, call.variant.reads.half);
            if call.variant.of.unbiased() { matrix.without_bias() } else { matrix }
        })
        .collect();
    let mapped = |batch: usize, i: usize| map[place + batch * p.map_batch + i] as usize;
    let row_of = |batch: usize, i: usize| {
        let row = if p.mapped == 1 { mapped(batch, i) } else { i };
        p.a_offset + batch * p.a_batch + row * p.a_row
    };
    // Rows whose elements do not lie side by side are brought together first.
    let mut gathered = std::mem::take(&mut call.scratch.gathered);
    gathered.clear();
    if p.a_column != 1 {
        let rows = (0..batches).flat_map(|batch| (0..m).map(move |i| (batch, i)));
        rows.for_each(|(batch, i)| gathered.extend((0..k).map(|j| a[row_of(batch, i) + j * p.a_column])));
    }
    let row = |batch: usize, i: usize| {
        if p.a_column == 1 { &a[row_of(batch, i)..][..k] } else { &gathered[(batch * m + i) * k..][..k] }
    };

    let threads =
        if [n, k, batches].into_iter().fold(m, usize::saturating_mul) < PARALLEL { 1 } else { threads::count() };
    let tiles = m.div_ceil(ROWS);
    // Where there are too few tiles of rows for all threads, columns are shared out too.
    let parts = threads.div_ceil((batches * tiles).max(1)).min(n.div_ceil(BLOCK)).max(1);
    let part = n.div_ceil(parts).next_multiple_of(BLOCK);
    let task = |task: usize| {
        let (batch, first) = (task / parts / tiles, task / parts % tiles * ROWS);
        let columns = task % parts * part..n.min((task % parts + 1) * part);
        let rows = ROWS.min(m - first);
        let a = |i: usize| row(batch, first + i);
        matrices[batch].multiply(rows, a, columns, p.accumulate, |i: usize, column, len| {
            let row = if p.mapped == 2 { mapped(batch, first + i) } else { first + i };
            let at = p.c_offset + batch * p.c_batch + row * p.c_row + column;
            // SAFETY: these columns of a row of C are one task's: where a map gives rows of C, they are different ones.
            unsafe { c.row(at, len) }
        });
    };
    let tasks = batches * tiles * parts;
    threads::for_each(&mut vec![(); tasks], |i, ()| task(i));
    call.scratch.gathered = gathered;
}
