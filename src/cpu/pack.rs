//! packed[(q · pitch + j) · width + i] = source[k, j] with k = q · width + i, then a panel with the bias.

use super::Call;
use crate::kernels::PackParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: PackParams = call.params();
    let (source, bias) = (call.read(0), call.read(1));
    let (rows, columns, width) = (p.rows as usize, p.columns as usize, p.width as usize);
    let pitch = p.pitch as usize;
    let panels = rows.div_ceil(width);
    let packed = &mut call.write(2)[p.packed_offset as usize..][..(panels + 1) * pitch * width];
    for (at, value) in packed.iter_mut().enumerate() {
        let (q, j, i) = (at / width / pitch, at / width % pitch, at % width);
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
