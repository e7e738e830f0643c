//! out[m] = the column of the largest element of row m; the first of equals; the first NaN if there is one.

use super::call::Call;
use crate::kernels::ArgmaxParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: ArgmaxParams = call.params();
    let values = call.read(0);
    let out = bytemuck::cast_slice_mut::<f32, u32>(call.write(1));
    for m in 0..p.m {
        let row = &values[p.values_offset + m * p.values_row..][..p.columns];
        let mut best = 0;
        for (j, &value) in row.iter().enumerate() {
            if value > row[best] || value.is_nan() && !row[best].is_nan() {
                best = j;
            }
        }
        out[p.out_offset + m] = best as u32;
    }
}
