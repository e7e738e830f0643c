//! Cases of `step`.

use super::case::Case;
use super::cooperative::cooperative_steps;
use super::forms::{forms, in_all_forms, keeps, steps};
use super::recurrence::recurrence_case;
use crate::device::Device;
use crate::kernels::Kernel;

pub(crate) fn step(device: &Device) -> Vec<Case> {
    let sizes = [(1, 1), (3, 63), (33, 65)];
    let variants = steps(device, Kernel::Step).into_iter().flat_map(|variant| keeps(device, variant));
    let cases = variants.flat_map(|v| sizes.map(|(batch, units)| recurrence_case(v.clone(), batch, units, 1)));
    let all = in_all_forms(device, cases.collect());
    // By units nothing is kept.
    let forms = forms(Kernel::Step).filter(|form| form.options.noise.recurrent_dropout.is_none());
    all.into_iter().chain(forms.flat_map(|form| cooperative_steps(device, form))).collect()
}
