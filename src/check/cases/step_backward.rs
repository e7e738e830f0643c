//! Cases of `step_backward`.

use super::backward::backward_case;
use super::case::Case;
use super::forms::{in_all_forms, steps};
use crate::device::Device;
use crate::kernels::Kernel;

pub(crate) fn step_backward(device: &Device) -> Vec<Case> {
    let sizes = [(1, 1), (3, 63), (33, 65)];
    let variants = steps(device, Kernel::StepBackward).into_iter();
    let cases = variants.flat_map(|v| sizes.map(|(batch, units)| backward_case(v.clone(), batch, units, 1)));
    in_all_forms(device, cases.collect())
}
