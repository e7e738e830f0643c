//! C[b, m, n] (+)= Σk A[b, row(m), k] · B[b, k, n] + bias[b, n]

use super::Call;
use super::rows::SharedRows;
use super::threads;
use crate::kernels::{GemmParams, Packed};
use gemm::Parallelism;

/// Rows that a thread multiplies at once: enough to pay for packing B, few enough to share out.
const ROWS: usize = 128;

/// A thread's memory: rows of A that a map brought together, and their products.
#[derive(Default)]
pub(crate) struct Products {
    gathered: Vec<f32>,
    pub products: Vec<f32>,
}

pub(crate) fn run(call: &mut Call<'_>) {
    let p: GemmParams = call.params();
    let width = call.variant.panel as usize;
    let (a, b, map) = (call.read(0), call.read(1), call.read_indices(2));
    let c = SharedRows::new(call.write(3));
    let (n, k, batches) = (p.n as usize, p.k as usize, p.batch as usize);
    let (m, place) = if p.first == p.end {
        (p.m as usize, p.map_offset as usize)
    } else {
        let first = map[p.first as usize] as usize;
        ((p.m as usize).min(map[p.end as usize] as usize - first), p.map_offset as usize + first)
    };
    let mapped = |batch: usize, i: usize| map[place + batch * p.map_batch as usize + i] as usize;
    let layout = Packed { rows: k, columns: n, panel: width };
    let tiles = m.div_ceil(ROWS);
    let tasks = batches * tiles;
    let threads = threads::count().min(tasks);
    if call.scratch.products.len() < threads {
        call.scratch.products.resize_with(threads, Products::default);
    }
    let unpacked = unpack(&mut call.scratch.unpacked, b, &p, width, batches);
    let tile = |task: usize, Products { gathered, products }: &mut Products| {
        let (batch, first) = (task / tiles, task % tiles * ROWS);
        let rows = ROWS.min(m - first);
        let b_at = (p.b_offset as usize + batch * p.b_batch as usize) * width;
        let bias = &b[b_at + layout.panels() * layout.pitch() * width..][..n * width];
        let b = match unpacked {
            Some(plain) => &plain[batch * k * n..][..k * n],
            None => &b[b_at..],
        };
        let row_of = |i: usize| {
            let row = if p.mapped == 1 { mapped(batch, first + i) } else { first + i };
            p.a_offset as usize + batch * p.a_batch as usize + row * p.a_row as usize
        };
        let (a, row_stride, column_stride) = if p.mapped == 1 {
            gathered.clear();
            for i in 0..rows {
                let at = row_of(i);
                gathered.extend((0..k).map(|j| a[at + j * p.a_column as usize]));
            }
            (&gathered[..], k, 1)
        } else {
            let last = row_of(rows - 1) + (k - 1) * p.a_column as usize;
            (&a[row_of(0)..=last], p.a_row as usize, p.a_column as usize)
        };
        products.clear();
        for _ in 0..rows {
            products.extend(bias.iter().step_by(width));
        }
        multiply(rows, n, k, (a, row_stride, column_stride), (b, layout.pitch()), products);
        for (i, products) in products.chunks_exact(n).enumerate() {
            let row = if p.mapped == 2 { mapped(batch, first + i) } else { first + i };
            let at = p.c_offset as usize + batch * p.c_batch as usize + row * p.c_row as usize;
            // SAFETY: a row of C belongs to one tile: where a map gives rows of C, they are different ones.
            let c = unsafe { c.row(at, n) };
            if p.accumulate != 0 {
                c.iter_mut().zip(products).for_each(|(c, product)| *c += product);
            } else {
                c.copy_from_slice(products);
            }
        }
    };
    threads::for_each(&mut call.scratch.products[..threads], |thread, products| {
        (thread..tasks).step_by(threads).for_each(|task| tile(task, products));
    });
}

/// C += A·B with C [m, n] row-major and contiguous, rows of B [k, n] strided, A strided in both.
pub(crate) fn multiply(
    m: usize,
    n: usize,
    k: usize,
    (a, a_row, a_column): (&[f32], usize, usize),
    (b, b_row): (&[f32], usize),
    c: &mut [f32],
) {
    assert!(a.len() > (m - 1) * a_row + (k - 1) * a_column && b.len() >= (k - 1) * b_row + n && c.len() >= m * n);
    // SAFETY: the assertion keeps every element that these sizes and strides reach inside of its slice.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            true,
            a.as_ptr(),
            a_column as isize,
            a_row as isize,
            b.as_ptr(),
            1,
            b_row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// B of a plan made for a GPU, in panels of 4 rows, as plain rows [batch, k, n]: only parity checks come here.
fn unpack<'a>(scratch: &'a mut Vec<f32>, b: &[f32], p: &GemmParams, width: usize, batches: usize) -> Option<&'a [f32]> {
    if width == 1 {
        return None;
    }
    scratch.clear();
    for batch in 0..batches {
        let at = (p.b_offset as usize + batch * p.b_batch as usize) * width;
        unpack_panels(scratch, &b[at..], p.k as usize, p.n as usize, width);
    }
    Some(scratch)
}

/// Appends one packed matrix to `plain` as [k, n].
pub(crate) fn unpack_panels(plain: &mut Vec<f32>, packed: &[f32], k: usize, n: usize, width: usize) {
    plain.extend((0..k * n).map(|at| packed[(at / n / width * n + at % n) * width + at / n % width]));
}
