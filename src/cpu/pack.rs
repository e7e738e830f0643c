//! packed[(q · pitch + j) · width + i] = source[k, j] with k = q · width + i, then a panel with the bias; on the CPU in
//! blocks of columns.

use super::Call;
use crate::kernels::{BLOCK, PackParams};

pub(crate) fn run(call: &mut Call<'_>) {
    let p: PackParams = call.params();
    let (source, bias) = (call.read(0), call.read(1));
    let (rows, columns, width) = (p.rows as usize, p.columns as usize, p.width as usize);
    let pitch = p.pitch as usize;
    let panels = rows.div_ceil(width);
    let blocked = call.variant.panel == 1;
    let packed = &mut call.write(2)[p.packed_offset as usize..][..(panels + 1) * pitch * width];
    for (at, value) in packed.iter_mut().enumerate() {
        let (q, j, i) = if blocked {
            let line = at / BLOCK;
            (line % (rows + 1), line / (rows + 1) * BLOCK + at % BLOCK, 0)
        } else {
            (at / width / pitch, at / width % pitch, at % width)
        };
        let k = q * width + i;
        *value = if k < rows && j < columns {
            source[p.source_offset as usize + k * p.source_row as usize + j * p.source_column as usize]
        } else if q == panels && i == 0 && j < columns && p.biased != 0 {
            bias[p.bias_offset as usize + j]
        } else {
            0.0
        };
    }
}
