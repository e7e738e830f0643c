//! Rows times a packed matrix: c = b + a·B, in registers, for the best instruction set that this CPU has.
//!
//! B lies in blocks of [`BLOCK`] columns, each [rows + 1, BLOCK] with the bias behind the rows, so that a tile of C stays
//! in registers while one row of a block after the other is multiplied with a number of each row of A.

use crate::kernels::{BLOCK, Packed};
use std::borrow::Cow;
use std::ops::Range;

/// A packed matrix of the CPU's layout.
pub(crate) struct Matrix<'a> {
    words: Cow<'a, [f32]>,
    layout: Packed,
    biased: bool,
}

impl<'a> Matrix<'a> {
    /// The matrix that these words begin with. Those of a plan made for a GPU are laid out anew, for parity checks; where they
    /// were halves, a bias is two numbers.
    pub fn new(words: &'a [f32], layout: Packed, half: bool) -> Self {
        if layout.panel == 1 {
            return Self { words: Cow::Borrowed(&words[..layout.words()]), layout, biased: true };
        }
        let own = Packed { panel: 1, ..layout };
        let mut blocked = vec![0.0; own.words()];
        for j in 0..layout.columns {
            for k in 0..layout.rows {
                blocked[own.index(k, j)] = words[layout.index(k, j)];
            }
            let bias = &words[layout.bias(j)..];
            blocked[own.bias(j)] = if half { bias[0] + bias[1] / 2048.0 } else { bias[0] };
        }
        Self { words: Cow::Owned(blocked), layout: own, biased: true }
    }

    /// The same whose sums begin with nothing.
    pub fn without_bias(self) -> Self {
        Self { biased: false, ..self }
    }

    /// The products of some columns with `m` rows that `a` gives, stored or added to what `c` gives: for a row, a first
    /// column and a number of columns, a block's at most.
    pub fn multiply<'r, 'c>(
        &self,
        m: usize,
        a: impl Fn(usize) -> &'r [f32],
        columns: Range<usize>,
        accumulate: bool,
        c: impl Fn(usize, usize, usize) -> &'c mut [f32],
    ) {
        let columns = columns.start..columns.end.min(self.layout.columns);
        if m > 0 && !columns.is_empty() {
            crate::cells::math::dispatch(Product { matrix: self, m, a, columns, accumulate, c });
        }
    }
}

struct Product<'p, 'a, A, C> {
    matrix: &'p Matrix<'a>,
    m: usize,
    a: A,
    columns: Range<usize>,
    accumulate: bool,
    c: C,
}

impl<'r, 'c, A, C> pulp::WithSimd for Product<'_, '_, A, C>
where
    A: Fn(usize) -> &'r [f32],
    C: Fn(usize, usize, usize) -> &'c mut [f32],
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        let blocks = self.columns.start / BLOCK..self.columns.end.div_ceil(BLOCK);
        // Few rows are few sums, which wait for each other: some blocks side by side make them more.
        let many = match self.m {
            1 => 4,
            2 | 3 => 2,
            _ => 1,
        };
        let mut block = blocks.start;
        while block < blocks.end {
            let together = if blocks.end - block >= many { many } else { 1 };
            // As many rows as leave registers for a row of a block and a number of A.
            match S::F32_LANES {
                16 => self.block::<S, 1, 8>(simd, block, together),
                8 => self.block::<S, 2, 6>(simd, block, together),
                4 => self.block::<S, 4, 3>(simd, block, together),
                _ => self.block::<S, BLOCK, 1>(simd, block, together),
            }
            block += together;
        }
    }
}

impl<'r, 'c, A, C> Product<'_, '_, A, C>
where
    A: Fn(usize) -> &'r [f32],
    C: Fn(usize, usize, usize) -> &'c mut [f32],
{
    /// Some blocks of `VECTORS` vectors, with at most `MOST` rows at a time. Whatever the tile, an element's terms are
    /// added in one order.
    #[inline(always)]
    fn block<S: pulp::Simd, const VECTORS: usize, const MOST: usize>(&self, simd: S, block: usize, together: usize) {
        let mut row = 0;
        while row < self.m {
            // Tiles of about one size: small ones are slower.
            let left = self.m - row;
            let rows = left.div_ceil(left.div_ceil(MOST));
            match (rows, together) {
                (1, 4) => self.tile::<S, VECTORS, 1, 4>(simd, block, row),
                (2, 2) => self.tile::<S, VECTORS, 2, 2>(simd, block, row),
                (3, 2) => self.tile::<S, VECTORS, 3, 2>(simd, block, row),
                _ => {
                    for block in block..block + together {
                        match rows {
                            8 => self.tile::<S, VECTORS, 8, 1>(simd, block, row),
                            7 => self.tile::<S, VECTORS, 7, 1>(simd, block, row),
                            6 => self.tile::<S, VECTORS, 6, 1>(simd, block, row),
                            5 => self.tile::<S, VECTORS, 5, 1>(simd, block, row),
                            4 => self.tile::<S, VECTORS, 4, 1>(simd, block, row),
                            3 => self.tile::<S, VECTORS, 3, 1>(simd, block, row),
                            2 => self.tile::<S, VECTORS, 2, 1>(simd, block, row),
                            _ => self.tile::<S, VECTORS, 1, 1>(simd, block, row),
                        }
                    }
                }
            }
            row += rows;
        }
    }

    /// `ROWS` rows from `row` on of `BLOCKS` blocks.
    #[allow(clippy::needless_range_loop, reason = "sums, rows and blocks are counted alike, and all unrolled")]
    #[inline(always)]
    fn tile<S: pulp::Simd, const VECTORS: usize, const ROWS: usize, const BLOCKS: usize>(
        &self,
        simd: S,
        block: usize,
        row: usize,
    ) {
        let k = self.matrix.layout.rows;
        let mut a: [&[f32]; ROWS] = [&[]; ROWS];
        for (r, a) in a.iter_mut().enumerate() {
            *a = &(self.a)(row + r)[..k];
        }
        let words = (k + 1) * BLOCK;
        let (b, _) = S::as_simd_f32s(&self.matrix.words[block * words..][..BLOCKS * words]);
        let stride = (k + 1) * VECTORS;
        let mut sums = [[[simd.splat_f32s(0.0); VECTORS]; BLOCKS]; ROWS];
        if self.matrix.biased {
            for sums in &mut sums {
                for (q, sums) in sums.iter_mut().enumerate() {
                    sums.copy_from_slice(&b[q * stride + k * VECTORS..][..VECTORS]);
                }
            }
        }
        for i in 0..k {
            for r in 0..ROWS {
                // SAFETY: i is below k, the length of every row of A.
                let a = simd.splat_f32s(unsafe { *a[r].get_unchecked(i) });
                for q in 0..BLOCKS {
                    for v in 0..VECTORS {
                        // SAFETY: and of each block of B, `stride` vectors long.
                        let b = unsafe { *b.get_unchecked(q * stride + i * VECTORS + v) };
                        // Fused where that is one instruction.
                        sums[r][q][v] = simd.mul_add_e_f32s(a, b, sums[r][q][v]);
                    }
                }
            }
        }
        for r in 0..ROWS {
            for q in 0..BLOCKS {
                let column = (block + q) * BLOCK;
                if column >= self.columns.start && column + BLOCK <= self.columns.end {
                    let c = &mut (self.c)(row + r, column, BLOCK)[..BLOCK];
                    let (c, _) = S::as_mut_simd_f32s(c);
                    for v in 0..VECTORS {
                        c[v] = if self.accumulate { simd.add_f32s(c[v], sums[r][q][v]) } else { sums[r][q][v] };
                    }
                } else {
                    let mut values = [0.0; BLOCK];
                    S::as_mut_simd_f32s(&mut values).0.copy_from_slice(&sums[r][q]);
                    let [from, to] = [self.columns.start, self.columns.end].map(|at| at.clamp(column, column + BLOCK));
                    let c = (self.c)(row + r, from, to - from);
                    for (c, value) in c.iter_mut().zip(&values[from - column..to - column]) {
                        *c = if self.accumulate { *c + value } else { *value };
                    }
                }
            }
        }
    }
}
