//! Cases of `rms_prop`.

use super::case::Case;
use super::update::{UPDATES, Update, update_case};
use crate::device::Device;
use crate::kernels::{FLAT, Kernel, RmsPropParams, Variant};
use crate::layer;

pub(crate) fn rms_prop(_: &Device) -> Vec<Case> {
    let forms = [
        ("plain", 0.0, 0.0, false, 0.0),
        ("momentum", 0.9, 0.01, false, 0.0),
        ("centered", 0.0, 0.0, true, 0.3),
        ("centered, with momentum", 0.9, 0.0, true, 0.0),
    ];
    forms.into_iter().flat_map(|form| UPDATES.map(|update| rms_prop_case(form, update))).collect()
}

/// Name, momentum, decay, whether it is centered, largest gradient.
pub(crate) fn rms_prop_case(
    (name, momentum, decay, centered, most): (&str, f32, f32, bool, f32),
    update: Update,
) -> Case {
    let params = RmsPropParams {
        count: update.0,
        offset: if decay == 0.0 { 0 } else { 5 },
        factor: if decay == 0.0 { 1.0 } else { 0.5 },
        alpha: 0.75,
        // Not small beside √(v − m²), which may be 0.
        epsilon: 0.5,
        momentum,
        decay,
        centered,
        max_value: most,
        trial: false,
        row_lanes: (2 * FLAT.lanes as usize).max(layer::row_lanes(update.0) / 2),
    };
    update_case(Variant::plain(Kernel::RmsProp, FLAT, 4), &format!("rms_prop {name}"), 4, params.words(), update)
}
