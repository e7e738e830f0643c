//! out[m, j] (+)= table[index[m], j], or row m where there is no index; NaN where the index is beyond the table.

use super::call::Call;
use crate::kernels::GatherParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: GatherParams = call.params();
    let (table, index) = (call.read(0), call.read_indices(1));
    let out = call.write(2);
    for m in 0..p.m {
        let row = if p.indexed { index[p.index_offset + m] as usize } else { m };
        let out = &mut out[p.out_offset + m * p.out_row..][..p.columns];
        if row < p.table_rows {
            let row = &table[p.table_offset + row * p.table_row..][..p.columns];
            if p.accumulate {
                out.iter_mut().zip(row).for_each(|(out, value)| *out += value);
            } else {
                out.copy_from_slice(row);
            }
        } else {
            out.fill(p.nan);
        }
    }
}
