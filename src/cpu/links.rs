//! out[m] = the next row with the same index, or the end; its highest bit tells that there was one before.

use super::call::Call;
use crate::kernels::LinksParams;
use std::collections::HashMap;

/// Set where a row with the same index came before.
pub(crate) const EARLIER: u32 = 1 << 31;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: LinksParams = call.params();
    let index = call.read_indices(0);
    let out = bytemuck::cast_slice_mut::<f32, u32>(call.write(1));
    let mut last: HashMap<u32, usize> = HashMap::new();
    for m in p.start..p.end {
        out[m] = p.end as u32;
        if let Some(before) = last.insert(index[p.index_offset + m], m) {
            out[before] = out[before] & EARLIER | m as u32;
            out[m] |= EARLIER;
        }
    }
}
