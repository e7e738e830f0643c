//! C[b, i, j] (+)= Σr A[b, r, i] · B[b, row(r), j], or of each part of the rows a C.

use super::call::Call;
use super::rows::SharedRows;
use super::threads;
use crate::kernels::OuterParams;
use gemm_common::Parallelism;
use gemm_f32::gemm::f32::get_gemm_fn;

/// Rows of C that a thread computes at once.
const ROWS: usize = 64;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: OuterParams = call.params();
    let (a, b, map) = (call.read(0), call.read(1), call.read_indices(2));
    let c = SharedRows::new(call.write(3));
    let (m, n, batches) = (p.m, p.n, p.batch);
    let (rows, place) = if p.first == p.end {
        (p.to, p.map_offset)
    } else {
        let start = map[p.first] as usize;
        (p.to.min(map[p.end] as usize - start), p.map_offset + start)
    };
    let parts = call.variant.of.parts() as usize;
    let each = p.to.saturating_sub(p.start).div_ceil(parts);
    let start = p.start.min(rows);
    // Rows of B brought together once, for all tiles.
    let mut gathered = std::mem::take(&mut call.scratch.gathered);
    gathered.clear();
    if p.mapped != 0 {
        for batch in 0..batches {
            for t in start..rows {
                let row = map[place + batch * p.map_batch + t] as usize;
                let at = p.b_offset + batch * p.b_batch + row * p.b_row;
                gathered.extend_from_slice(&b[at..][..n]);
            }
        }
    }
    let tiles = m.div_ceil(ROWS);
    let tasks = parts * batches * tiles;
    let threads = threads::count().min(tasks);
    if call.scratch.products.len() < threads {
        call.scratch.products.resize_with(threads, Vec::new);
    }
    let tile = |task: usize, products: &mut Vec<f32>| {
        let (matrix, first) = (task / tiles, task % tiles * ROWS);
        let (part, batch) = (matrix / batches, matrix % batches);
        let begin = (start + part * each).min(rows);
        let k = each.min(rows - begin);
        let count = ROWS.min(m - first);
        products.clear();
        products.resize(count * n, 0.0);
        if k > 0 {
            let a_at = p.a_offset + batch * p.a_batch + begin * p.a_row + first;
            let (b, b_row) = if p.mapped != 0 {
                (&gathered[(batch * (rows - start) + begin - start) * n..], n)
            } else {
                let at = p.b_offset + batch * p.b_batch + begin * p.b_row;
                (&b[at..], p.b_row)
            };
            multiply(count, n, k, (&a[a_at..], 1, p.a_row), (b, b_row), products);
        }
        for (i, products) in products.chunks_exact(n).enumerate() {
            let at = p.c_offset + matrix * p.c_batch + (first + i) * p.c_row;
            // SAFETY: a row of C belongs to one tile.
            let c = unsafe { c.row(at, n) };
            if p.accumulate {
                c.iter_mut().zip(products).for_each(|(c, product)| *c += *product);
            } else {
                c.copy_from_slice(products);
            }
        }
    };
    threads::for_each(&mut call.scratch.products[..threads], |thread, products| {
        (thread..tasks).step_by(threads).for_each(|task| tile(task, products));
    });
    call.scratch.gathered = gathered;
}

/// C += A·B with C [m, n] row-major and contiguous, rows of B [k, n] strided, A strided in both.
fn multiply(
    m: usize,
    n: usize,
    k: usize,
    (a, a_row, a_column): (&[f32], usize, usize),
    (b, b_row): (&[f32], usize),
    c: &mut [f32],
) {
    assert!(a.len() > (m - 1) * a_row + (k - 1) * a_column && b.len() >= (k - 1) * b_row + n && c.len() >= m * n);
    // Cᵀ += Bᵀ·Aᵀ: vectors are stored along the columns of what is written, and rows of C are contiguous.
    // SAFETY: the assertion keeps every element that these sizes and strides reach inside of its slice.
    unsafe {
        get_gemm_fn()(
            n,
            m,
            k,
            c.as_mut_ptr(),
            n as isize,
            1,
            true,
            b.as_ptr(),
            b_row as isize,
            1,
            a.as_ptr(),
            a_row as isize,
            a_column as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
