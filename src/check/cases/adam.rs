//! Cases of `adam`.

use super::case::Case;
use super::update::{UPDATES, Update, update_case};
use crate::device::Device;
use crate::kernels::{AdamParams, FLAT, Kernel, Variant};
use crate::layer;

pub(crate) fn adam(_: &Device) -> Vec<Case> {
    let forms = [("plain", 0.0, false, 0.0), ("decay", 0.02, false, 0.3), ("decoupled", 0.05, true, 0.0)];
    forms.into_iter().flat_map(|form| UPDATES.map(|update| adam_case(form, update))).collect()
}

/// Name, decay, whether it is decoupled, largest gradient.
pub(crate) fn adam_case((name, decay, decoupled, most): (&str, f32, bool, f32), update: Update) -> Case {
    let params = AdamParams {
        count: update.0,
        offset: if decoupled { 5 } else { 0 },
        factor: if decoupled { 0.5 } else { 1.0 },
        beta_1: 0.9_f32,
        beta_2: 0.999_f32,
        epsilon: 1e-3_f32,
        decay,
        decoupled,
        max_value: most,
        trial: false,
        row_lanes: (2 * FLAT.lanes as usize).max(layer::row_lanes(update.0) / 2),
    };
    update_case(Variant::plain(Kernel::Adam, FLAT, 4), &format!("adam {name}"), 3, params.words(), update)
}
