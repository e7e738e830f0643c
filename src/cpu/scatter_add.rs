//! table[index[m], j] += values[m, j], along lists of equal indices; an index beyond the table is left out.

use super::call::Call;
use super::links::EARLIER;
use crate::kernels::ScatterAddParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: ScatterAddParams = call.params();
    let (values, index, links) = (call.read(0), call.read_indices(1), call.read_indices(2));
    let table = call.write(3);
    let columns = p.columns;
    let mut sums = vec![0.0; columns];
    for m in p.start..p.end {
        let row = index[p.index_offset + m];
        if row as usize >= p.table_rows || links[m] & EARLIER != 0 {
            continue;
        }
        sums.fill(0.0);
        let mut i = m;
        while i < p.end {
            let values = &values[p.values_offset + i * p.values_row..][..columns];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            i = (links[i] & !EARLIER) as usize;
        }
        let table = &mut table[p.table_offset + row as usize * columns..][..columns];
        table.iter_mut().zip(&sums).for_each(|(total, sum)| *total += sum);
    }
}
