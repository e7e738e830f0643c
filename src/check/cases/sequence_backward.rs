//! Cases of `sequence_backward`.

use super::backward::backward_case;
use super::case::Case;
use super::forms::in_half_too;
use super::sequence::sequences;
use crate::device::Device;
use crate::kernels::Kernel;

pub(crate) fn sequence_backward(device: &Device) -> Vec<Case> {
    let cases = sequences(device, Kernel::SequenceBackward).into_iter();
    in_half_too(cases.map(|(variant, batch, units, steps)| backward_case(variant, batch, units, steps)).collect())
}
