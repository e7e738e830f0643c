//! Cases of `sgd`.

use super::case::Case;
use super::update::{UPDATES, Update, update_case};
use crate::device::Device;
use crate::kernels::{FLAT, Kernel, SgdParams, Variant};
use crate::layer;

pub(crate) fn sgd(_: &Device) -> Vec<Case> {
    let forms =
        [("plain", 0.0, 0.0, false, 0.0), ("momentum", 0.9, 0.01, false, 0.0), ("nesterov", 0.9, 0.0, true, 0.3)];
    forms.into_iter().flat_map(|form| UPDATES.map(|update| sgd_case(form, update))).collect()
}

/// Name, momentum, decay, Nesterov's momentum, largest gradient.
pub(crate) fn sgd_case((name, momentum, decay, nesterov, most): (&str, f32, f32, bool, f32), update: Update) -> Case {
    let params = SgdParams {
        count: update.0,
        offset: if decay == 0.0 { 0 } else { 5 },
        factor: if decay == 0.0 { 1.0 } else { 0.5 },
        momentum,
        decay,
        nesterov,
        max_value: most,
        trial: false,
        row_lanes: (2 * FLAT.lanes as usize).max(layer::row_lanes(update.0) / 2),
    };
    update_case(Variant::plain(Kernel::Sgd, FLAT, 4), &format!("sgd {name}"), 2, params.words(), update)
}
