//! Moving averages of weights on the device.

use super::layers::Layer;
use super::trained::Trained;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{AverageParams, FLAT, Kernel, Variant};
use crate::layer::row_lanes;
use crate::plan::{BufferId, PlanBuilder, Program};

/// After the optimiser: takes the new weights into the averages.
pub(super) fn emit_averages(plan: &mut PlanBuilder, trained: &[&Trained], [control, status]: [BufferId; 2]) {
    for block in trained {
        let Some(average) = &block.average else { continue };
        let count = block.parameters.len();
        let weights = plan.parts("parameters", block.parameters.values(), count);
        let averages = plan.parts("averages", average, count);
        for (weights, average) in weights.all().iter().zip(averages.all()) {
            let variant = Variant::plain(Kernel::Average, FLAT, plan.device().panel());
            let params = AverageParams { count: weights.words, row_lanes: row_lanes(weights.words) };
            let bindings = vec![weights.buffer, control, status, average.buffer];
            plan.draft.dispatch(variant, bindings, &params.words());
        }
    }
}

/// Programs for averages that are evaluated.
pub(super) struct Averages {
    /// Makes the averages what the weights are.
    pub start: Program,
    /// Exchanges the two, and packs the weights anew.
    pub swap: Program,
    /// Whether the layers have the averages.
    pub are_in: bool,
}

impl Averages {
    /// None where no averages are kept.
    pub fn new(device: &Device, trained: &[Trained], layers: &[Layer]) -> Result<Option<Self>> {
        let (mut start, mut swap) = (PlanBuilder::new(device), PlanBuilder::new(device));
        let mut has_any = false;
        for block in trained {
            let Some(average) = &block.average else { continue };
            has_any = true;
            for (plan, exchanges) in [(&mut start, false), (&mut swap, true)] {
                let count = block.parameters.len();
                let weights = plan.parts("parameters", block.parameters.values(), count);
                let averages = plan.parts("averages", average, count);
                for (weights, average) in weights.all().iter().zip(averages.all()) {
                    let words = weights.words as u64;
                    if exchanges {
                        let aside = plan.workspace("weights set aside", weights.words);
                        plan.draft.copy(average.buffer, aside, words);
                        plan.draft.copy(weights.buffer, average.buffer, words);
                        plan.draft.copy(aside, weights.buffer, words);
                    } else {
                        plan.draft.copy(weights.buffer, average.buffer, words);
                    }
                }
            }
        }
        if !has_any {
            return Ok(None);
        }
        layers.iter().for_each(|layer| layer.emit_refresh(&mut swap));
        Ok(Some(Self { start: start.build()?, swap: swap.build()?, are_in: false }))
    }
}
