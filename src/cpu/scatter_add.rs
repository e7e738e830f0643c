//! table[index[m], j] += values[m, j]; an index beyond the table is left out.

use super::Call;
use crate::kernels::ScatterAddParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: ScatterAddParams = call.params();
    let (values, index) = (call.read(0), call.read_indices(1));
    let table = call.write(2);
    let columns = p.columns as usize;
    for m in p.start as usize..p.end as usize {
        let row = index[p.index_offset as usize + m];
        if row < p.table_rows {
            let values = &values[p.values_offset as usize + m * p.values_row as usize..][..columns];
            let table = &mut table[p.table_offset as usize + row as usize * columns..][..columns];
            table.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    }
}
