//! Which cases a kernel is compared with its twin on.

use super::case::Case;
use super::{
    adam, apply, argmax, attend, average, beam, cross_entropy, ctc, ctc_decoding, dropout, element_loss, gather, gemm,
    grid, guard, links, log_sum_exp, map, masks, norm, outer, own, pack, reduce, rms_prop, running_mean, sample, scan,
    scatter_add, sequence, sequence_backward, settle, sgd, step, step_backward, timed, wave,
};
use crate::device::Device;
use crate::kernels::Kernel;

impl Kernel {
    /// Inputs that parity tests run it on: tiles of all classes of adapter, those of this device with every cell.
    pub fn cases(self, device: &Device) -> Vec<Case> {
        match self {
            Self::Gemm => gemm::gemm(device),
            Self::Pack => pack::pack(device),
            Self::Gather => gather::gather(device),
            Self::Apply => apply::apply(device),
            Self::Map => map::map(device),
            Self::Fold => map::fold(device),
            Self::Argmax => argmax::argmax(device),
            Self::Sample => sample::sample(device),
            Self::Beam => beam::beam(device),
            Self::Attend => attend::attend(device),
            Self::Step => step::step(device),
            Self::Sequence => sequence::sequence(device),
            Self::Scan => scan::scan(device),
            Self::ScanBackward => scan::scan_backward(device),
            Self::NormStep => norm::norm_step(device),
            Self::NormStepBackward => norm::norm_step_backward(device),
            Self::Outer => outer::outer(device),
            Self::StepBackward => step_backward::step_backward(device),
            Self::SequenceBackward => sequence_backward::sequence_backward(device),
            Self::Dropout => dropout::dropout(device),
            Self::Masks => masks::masks(device),
            Self::Links => links::links(device),
            Self::ScatterAdd => scatter_add::scatter_add(device),
            Self::Reduce => reduce::reduce(device),
            Self::CrossEntropy => cross_entropy::cross_entropy(device),
            Self::ElementLoss => element_loss::element_loss(device),
            Self::Guard => guard::guard(device),
            Self::Sgd => sgd::sgd(device),
            Self::Adam => adam::adam(device),
            Self::RmsProp => rms_prop::rms_prop(device),
            Self::Average => average::average(device),
            Self::RunningMean => running_mean::running_mean(device),
            Self::Grid => grid::grid(device),
            Self::Settle => settle::settle(device),
            Self::Wave => wave::wave(device),
            Self::LogSumExp => log_sum_exp::log_sum_exp(device),
            Self::CtcLabels => ctc::ctc_labels(device),
            Self::CtcLattice => ctc::ctc_lattice(device),
            Self::CtcGradient => ctc::ctc_gradient(device),
            Self::Own => own::own(device),
            Self::CtcGreedy => ctc_decoding::ctc_greedy(device),
            Self::CtcBeam => ctc_decoding::ctc_beam(device),
        }
    }

    /// Cases large enough to time, tiled and packed as for this device.
    pub fn bench(self, device: &Device) -> Vec<Case> {
        timed::bench(self, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where twin and shader both wrote nothing, their NaNs would compare as equal.
    #[test]
    fn every_case_writes_numbers_into_every_output() {
        for case in Kernel::ALL.iter().flat_map(|kernel| kernel.cases(&Device::cpu())) {
            let variant = &case.variant;
            let unfinished = variant.kernel() == Kernel::Step && variant.of.phase() + 1 < variant.phases().len();
            for (binding, words) in crate::device::block_on(case.run(&Device::cpu())).unwrap() {
                // Only a step's last phase has an output.
                if variant.kernel() == Kernel::Step && unfinished && ["y", "h_final"].contains(&binding) {
                    continue;
                }
                // And the topmost layer of a stack.
                if variant.kernel() == Kernel::Wave && binding == "y" && case.name.contains("layers 0..1") {
                    continue;
                }
                assert!(words.iter().any(|word| !word.is_nan()), "{}: {binding} is NaN all over", case.name);
            }
        }
    }
}
