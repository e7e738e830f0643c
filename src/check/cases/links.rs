//! Cases of `links`.

use super::case::{Case, Words};
use super::numbers::Numbers;
use crate::device::Device;
use crate::kernels::{FLAT, Kernel, LinksParams, Variant};

pub(crate) fn links(_: &Device) -> Vec<Case> {
    [(1, 1), (70, 5), (300, 29), (65, 200)].into_iter().map(links_case).collect()
}

/// Rows from the second on, where there are several.
pub(crate) fn links_case((m, symbols): (usize, usize)) -> Case {
    let mut numbers = Numbers::new(m + symbols);
    let start = usize::from(m > 1);
    let params = LinksParams { start, end: m, index_offset: 2, row_lanes: FLAT.lanes as usize };
    Case {
        name: format!("links of {m} among {symbols}"),
        variant: Variant::plain(Kernel::Links, FLAT, 4),
        // Indices.
        tolerance: 0.0,
        params: params.words(),
        window: 0,
        buffers: vec![Words::Indices(numbers.below(2 + m, symbols)), Words::Indices(vec![u32::MAX; m])],
    }
}
