//! packed[(q · pitch + j) · width + i] = source[k, j] with k = q · width + i, then a panel with the bias; on the CPU in
//! blocks of columns.

use super::call::{Call, round_half};
use crate::kernels::{BLOCK, PackParams};

pub(crate) fn run(call: &mut Call<'_>) {
    let p: PackParams = call.params();
    let (source, bias) = (call.read(0), call.read(1));
    let (rows, columns, width) = (p.rows as usize, p.columns as usize, p.width as usize);
    let pitch = p.pitch as usize;
    let panels = rows.div_ceil(width);
    let blocked = call.variant.reads.panel == 1;
    let half = call.variant.reads.half;
    // Where a word holds two halves, offsets count words.
    let offset = p.packed_offset as usize * if call.variant.holds_halves(2) { 2 } else { 1 };
    let packed = &mut call.write(2)[offset..][..(panels + 1) * pitch * width];
    for (at, value) in packed.iter_mut().enumerate() {
        let (q, j, i) = if blocked {
            let line = at / BLOCK;
            (line % (rows + 1), line / (rows + 1) * BLOCK + at % BLOCK, 0)
        } else {
            (at / width / pitch, at / width % pitch, at % width)
        };
        let k = q * width + i;
        *value = if k < rows && j < columns {
            let value = source[p.source_offset as usize + k * p.source_row as usize + j * p.source_column as usize];
            if half { round_half(value).to_f32() } else { value }
        } else if q == panels && i == 0 && j < columns && p.biased != 0 {
            let whole = bias[p.bias_offset as usize + j];
            if half && width > 1 { round_half(whole).to_f32() } else { whole }
        } else if q == panels && i == 1 && j < columns && p.biased != 0 && half {
            let whole = bias[p.bias_offset as usize + j];
            2048.0 * (whole - round_half(whole).to_f32())
        } else {
            0.0
        };
    }
}
