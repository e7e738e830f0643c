//! Every kernel's twin.

use super::call::Call;
use super::{
    adam, apply, argmax, cross_entropy, dropout, element_loss, gather, gemm, grid, guard, links, masks, norm_step,
    norm_step_backward, outer, pack, reduce, scan, scan_backward, scatter_add, sequence, sequence_backward, settle,
    sgd, step, step_backward, wave,
};
use crate::kernels::Kernel;

/// A kernel's twin.
pub(crate) fn twin(kernel: Kernel) -> fn(&mut Call<'_>) {
    match kernel {
        Kernel::Gemm => gemm::run,
        Kernel::Pack => pack::run,
        Kernel::Gather => gather::run,
        Kernel::Apply => apply::run,
        Kernel::Argmax => argmax::run,
        Kernel::Step => step::run,
        Kernel::Sequence => sequence::run,
        Kernel::Scan => scan::run,
        Kernel::ScanBackward => scan_backward::run,
        Kernel::NormStep => norm_step::run,
        Kernel::NormStepBackward => norm_step_backward::run,
        Kernel::Outer => outer::run,
        Kernel::StepBackward => step_backward::run,
        Kernel::SequenceBackward => sequence_backward::run,
        Kernel::Dropout => dropout::run,
        Kernel::Masks => masks::run,
        Kernel::Links => links::run,
        Kernel::ScatterAdd => scatter_add::run,
        Kernel::Reduce => reduce::run,
        Kernel::CrossEntropy => cross_entropy::run,
        Kernel::ElementLoss => element_loss::run,
        Kernel::Guard => guard::run,
        Kernel::Sgd => sgd::run,
        Kernel::Adam => adam::run,
        Kernel::Grid => grid::run,
        Kernel::Settle => settle::run,
        Kernel::Wave => wave::run,
    }
}
