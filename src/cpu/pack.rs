//! packed[(q · pitch + j) · panel + i] = source[k, j] with k = q · panel + i, then a panel with the bias; on the CPU in
//! blocks of columns.

use super::call::{Call, round_half};
use crate::kernels::{BLOCK, PackParams};

pub(crate) fn run(call: &mut Call<'_>) {
    let p: PackParams = call.params();
    let (source, bias) = (call.read(0), call.read(1));
    let (rows, columns, panel) = (p.rows, p.columns, p.panel);
    let pitch = p.pitch;
    let panels = rows.div_ceil(panel);
    let blocked = call.variant.reads.panel == 1;
    let half = call.variant.reads.half;
    // Where a word holds two halves, offsets count words.
    let offset = p.packed_offset * if call.variant.holds_halves(2) { 2 } else { 1 };
    let packed = &mut call.write(2)[offset..][..(panels + 1) * pitch * panel];
    for (at, value) in packed.iter_mut().enumerate() {
        let (q, j, i) = if blocked {
            let line = at / BLOCK;
            (line % (rows + 1), line / (rows + 1) * BLOCK + at % BLOCK, 0)
        } else {
            (at / panel / pitch, at / panel % pitch, at % panel)
        };
        let k = q * panel + i;
        *value = if k < rows && j < columns {
            let value = source[p.source_offset + k * p.source_row + j * p.source_column];
            if half { round_half(value).to_f32() } else { value }
        } else if q == panels && i == 0 && j < columns && p.biased {
            let whole = bias[p.bias_offset + j];
            if half && panel > 1 { round_half(whole).to_f32() } else { whole }
        } else if q == panels && i == 1 && j < columns && p.biased && half {
            let whole = bias[p.bias_offset + j];
            2048.0 * (whole - round_half(whole).to_f32())
        } else {
            0.0
        };
    }
}
