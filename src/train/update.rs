//! What follows the backward pass in a step: the norm of the gradients, whether the step is taken, optimiser and averages.

use super::averages::emit_averages;
use super::losses::emit_sum;
use super::optimizer::{Clip, Segment, log_of_decay};
use super::options::TrainerOptions;
use super::segments::segments;
use super::tape::Tape;
use super::trained::Trained;
use crate::error::Result;
use crate::kernels::{ALONE, GuardParams, Kernel, Variant};
use crate::layer::At;
use crate::plan::{BufferId, PlanBuilder};

/// Words of the status: first bad step, bits of the last loss and norm, of Σ losses, steps, whether a number is large, steps
/// skipped, and in a row.
pub(super) const STATUS: usize = 8;

/// The words that all of it shares.
struct Shared {
    /// See `Tape::hyper`.
    hyper: BufferId,
    /// Scale, whether to step, whether to try it, bias corrections, the average's part.
    control: BufferId,
    status: BufferId,
}

/// A dispatch of the optimiser: bindings, and which of their numbers.
type Update = (Vec<BufferId>, Segment);

/// The norm of all gradients, whether the step is taken, the optimiser, averages, and steps that are skipped.
pub(super) fn emit(
    tape: &mut Tape,
    options: &TrainerOptions,
    trained: &[Trained],
    [status, added]: [BufferId; 2],
) -> Result<()> {
    let hyper = tape.plan.tensor(&tape.hyper)?.buffer;
    let loss = tape.plan.tensor(&tape.loss)?.buffer;
    let plan = &mut tape.plan;
    let trained: Vec<_> = trained.iter().filter(|block| !block.frozen).collect();
    let shared = Shared { hyper, control: plan.own("control", 6), status };
    let squares = emit_norm(plan, &trained);
    let mut updates = Vec::new();
    for block in &trained {
        emit_bindings(plan, options, block, &shared, &mut updates);
    }
    let guard = |after: bool, plan: &mut PlanBuilder| {
        let variant = Variant::plain(Kernel::Guard, ALONE, plan.device().panel());
        let params = guard_params(options, updates.iter().map(|(_, segment)| segment.decay), after);
        plan.draft.dispatch(variant, vec![hyper, loss, added, squares, status, shared.control], &params.words());
    };
    guard(false, plan);
    // All blocks are tried before the first one is changed.
    for trial in [true, false] {
        for (bindings, segment) in &updates {
            options.optimizer.emit_update(plan, bindings.clone(), segment, options.clip, trial);
        }
    }
    emit_averages(plan, &trained, [shared.control, status]);
    if options.skips > 0 {
        guard(true, plan);
    }
    Ok(())
}

/// The squared norm of all gradients.
fn emit_norm(plan: &mut PlanBuilder, trained: &[&Trained]) -> BufferId {
    let gradients: Vec<_> = trained.iter().map(|block| crate::layer::gradient_parts(plan, &block.parameters)).collect();
    let count = gradients.iter().map(|gradients| gradients.all().len()).sum();
    let parts = plan.own("squared norms", count as u64);
    let squares = plan.own("squared norm", 1);
    for (i, part) in gradients.iter().flat_map(|gradients| gradients.all()).enumerate() {
        emit_sum(plan, At::start_of(part.buffer), part.words, 1, None, At { buffer: parts, offset: i });
    }
    emit_sum(plan, At::start_of(parts), count, 0, None, At::start_of(squares));
    squares
}

fn guard_params(options: &TrainerOptions, mut decays: impl Iterator<Item = f32>, after: bool) -> GuardParams {
    let optimizer = options.optimizer;
    let [log_beta_1, log_beta_2] = optimizer.log_betas();
    let average = options.average;
    GuardParams {
        max_norm: if let Clip::Norm(most) = options.clip { most } else { 0.0 },
        wary: decays.any(|decay| optimizer.weight_decay(decay).is_wary()),
        after,
        skips: options.skips,
        log_beta_1,
        log_beta_2,
        log_decay: average.filter(|average| average.bias_corrected).map_or(0.0, |average| log_of_decay(average.decay)),
        decay: average.map_or(0.0, |average| average.decay),
        ..Default::default()
    }
}

/// The updates of a block: one for each part of its memory and each run of arrays with the same options.
fn emit_bindings(
    plan: &mut PlanBuilder,
    options: &TrainerOptions,
    block: &Trained,
    shared: &Shared,
    updates: &mut Vec<Update>,
) {
    let count = block.parameters.len();
    let gradients = crate::layer::gradient_parts(plan, &block.parameters);
    let weights = plan.parts("parameters", block.parameters.values(), count);
    let moments: Vec<_> =
        block.moments.iter().map(|(name, storage)| (name, plan.parts(name, storage, count))).collect();
    let segments = segments(options, &block.parameters);
    let mut first = 0;
    for (i, part) in gradients.all().iter().enumerate() {
        let mut bindings = vec![part.buffer, shared.hyper, shared.control, weights.all()[i].buffer];
        for name in options.optimizer.bindings() {
            bindings.push(match moments.iter().find(|(known, _)| *known == name) {
                Some((_, moment)) => moment.all()[i].buffer,
                None => plan.workspace(&format!("no {name}"), 1),
            });
        }
        bindings.push(shared.status);
        for segment in &segments {
            let start = segment.offset.max(first);
            let end = (segment.offset + segment.count).min(first + part.words);
            if start < end {
                updates.push((bindings.clone(), Segment { offset: start - first, count: end - start, ..*segment }));
            }
        }
        first += part.words;
    }
}
