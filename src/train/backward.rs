//! The backward pass of a tape.

use super::differentiable::differentiate;
use super::gradient_sums::Gradients;
use super::paths::{Paths, Source};
use super::tape::{Operation, Recurrence, Tape, Wanted};
use crate::error::{Error, Result};
use crate::kernels::{GemmParams, OuterParams};
use crate::layer::{self, Flow, Linear};
use crate::plan::{BufferId, PlanBuilder, Trace, Value};
use std::collections::HashSet;

impl Tape {
    /// Appends the backward pass, which adds to the parameters' gradients.
    pub(super) fn backward(&mut self, paths: &Paths) -> Result<()> {
        let mut gradients = Gradients::default();
        let operations = std::mem::take(&mut self.operations);
        let first_writes = self.first_writes();
        for i in (0..self.plan.traces.len()).rev() {
            // All who read what it gave have added their parts by now.
            self.give_wanted(paths, &gradients, Some(i));
            if let Some(operation) = operations.get(&i).filter(|_| paths.is_active(i)) {
                self.one((i, operation), &mut gradients, paths)?;
            }
            paths.overwritten(i).iter().for_each(|region| gradients.clear(&mut self.plan, region));
            first_writes[i].iter().for_each(|&buffer| gradients.release(buffer));
        }
        self.give_wanted(paths, &gradients, None);
        self.operations = operations;
        Ok(())
    }

    /// For each operation the buffers that it writes and that no operation before it reads or writes.
    fn first_writes(&self) -> Vec<Vec<BufferId>> {
        let mut known = HashSet::new();
        let of = |trace: &Trace| {
            trace.reads.iter().chain(&trace.beside).for_each(|region| {
                known.insert(region.buffer);
            });
            trace.writes.iter().map(|region| region.buffer).filter(|&buffer| known.insert(buffer)).collect()
        };
        self.plan.traces.iter().map(of).collect()
    }

    /// Copies the gradients wanted of what an operation wrote, or of what was there before all of them.
    fn give_wanted(&mut self, paths: &Paths, gradients: &Gradients, writer: Option<usize>) {
        for (Wanted { of, target, .. }, sources) in self.wanted.iter().zip(&paths.wanted) {
            for Source { region, .. } in sources.iter().filter(|source| source.writer == writer) {
                let part = |value: &Value| {
                    let offset = value.offset + region.range.start - of.offset;
                    Value { offset, shape: vec![region.range.len()], strides: vec![1], ..value.clone() }
                };
                let (of, target) = (part(of), part(target));
                match gradients.of(&of) {
                    Some(gradient) => layer::copy_value(&mut self.plan, &gradient, &target, false),
                    // Nothing depends on it.
                    None => self.plan.draft.clear(target.buffer, target.offset as u64, target.len() as u64),
                }
            }
        }
    }

    fn one(&mut self, (i, operation): (usize, &Operation), gradients: &mut Gradients, paths: &Paths) -> Result<()> {
        let trains = operation.parameters().is_some_and(|parameters| !self.is_frozen(parameters));
        let needed = |value: &Value| paths.needs(i, value);
        let plan = &mut self.plan;
        let dy = operation.out().and_then(|out| gradients.of(out));
        match operation {
            Operation::Gradient { of, gradient, given } => add(plan, gradients, of, gradient, !given),
            Operation::Dropout { x, probability, stream, .. } => {
                if let Some(dy) = dy.filter(|_| needed(x)) {
                    let seed = plan.tensor(&self.hyper)?;
                    layer::emit_dropout(plan, seed.buffer, &dy, *probability, *stream);
                    add(plan, gradients, x, &dy, true);
                }
            }
            Operation::Embedding { embedding, indices, .. } => {
                if let Some(dy) = dy.filter(|_| trains) {
                    let (target, _) = layer::gradient_parts(plan, embedding.parameters()).at(0);
                    let (symbols, features) = (embedding.symbols(), embedding.features());
                    let places = [indices.offset, indices.len()];
                    let buffers = [dy.buffer, indices.buffer, target];
                    layer::add_rows(plan, buffers, places, symbols, [dy.offset, features, features]);
                }
            }
            Operation::Linear { linear, x, .. } => {
                if let Some(dy) = dy {
                    let dx = needed(x).then(|| gradients.target(plan, x));
                    linear_backward(plan, linear, x, &dy, dx.as_ref(), trains)?;
                }
            }
            Operation::Applied(applied) => {
                if let Some(dy) = dy {
                    let needed: Vec<bool> = applied.inputs.iter().map(needed).collect();
                    differentiate(plan, applied, &dy, &needed, gradients)?;
                }
            }
            Operation::Parameters { parameters, offset, out } => {
                if let Some(dy) = dy.filter(|_| trains) {
                    let (buffer, at) = layer::gradient_parts(plan, parameters).at(*offset);
                    let target = Value { buffer, offset: at, ..out.clone() };
                    layer::copy_value(plan, &dy, &target, true);
                }
            }
            Operation::Rnn(recurrence) => {
                let Recurrence { rnn, x, state, call, reserve, .. } = &**recurrence;
                let is_known = gradients.states.iter().any(|known| known.0.h.is(&state.h));
                if dy.is_none() && !is_known {
                    return Ok(());
                }
                let d_state = gradients.state(plan, state)?;
                let dx = needed(x).then(|| gradients.target(plan, x));
                let dx = dx.as_ref().map(|(dx, accumulate)| (dx, *accumulate));
                let flow = Flow { dy: dy.as_ref(), state: &d_state, dx, weights: trains };
                layer::emit_backward(plan, rnn, x, call, reserve, &flow)?;
            }
        }
        Ok(())
    }
}

impl Operation {
    /// What it gave; none where its input is the end.
    fn out(&self) -> Option<&Value> {
        match self {
            Self::Embedding { out, .. } | Self::Linear { out, .. } | Self::Dropout { out, .. } => Some(out),
            Self::Applied(applied) => Some(&applied.out),
            Self::Parameters { out, .. } => Some(out),
            Self::Rnn(recurrence) => Some(&recurrence.out),
            Self::Gradient { .. } => None,
        }
    }
}

/// Adds a gradient; as the first one it may stay where it lies, if it is `spare`: nobody else reads it.
fn add(plan: &mut PlanBuilder, gradients: &mut Gradients, of: &Value, gradient: &Value, spare: bool) {
    let words = |value: &Value| plan.plan().buffers()[value.buffer.0].words;
    let whole = |value: &Value| value.offset == 0 && value.len() as u64 == words(value);
    if spare && gradients.of(of).is_none() && whole(of) && whole(gradient) && plan.is_own(gradient.buffer) {
        gradients.values.push((of.buffer, gradient.buffer));
        return;
    }
    let (target, accumulate) = gradients.target(plan, of);
    layer::copy_value(plan, gradient, &target, accumulate);
}

/// dx (+)= dy·W; where the layer is trained, dW += dyᵀ·x, db += Σ dy.
fn linear_backward(
    plan: &mut PlanBuilder,
    linear: &Linear,
    x: &Value,
    dy: &Value,
    dx: Option<&(Value, bool)>,
    trains: bool,
) -> Result<()> {
    let training = linear.training.as_ref();
    let training = training
        .ok_or_else(|| Error::value("linear layer", "one made by Linear::trainable", "one made by Linear::new"))?;
    let (inputs, outputs) = (linear.inputs, linear.outputs);
    let rows = dy.len() / outputs;
    let none = plan.workspace("no map", 1);
    if let Some((dx, accumulate)) = dx {
        let b = &training.transposed;
        let params = GemmParams {
            m: rows,
            n: inputs,
            k: outputs,
            batch: 1,
            a_offset: dy.offset,
            a_row: outputs,
            a_column: 1,
            c_offset: dx.offset,
            c_row: inputs,
            accumulate: (*accumulate),
            ..Default::default()
        };
        layer::gemm(
            plan,
            layer::Operands { a: dy.buffer, b: layer::Right::Packed(b), map: none, c: dx.buffer, narrow: false },
            &params,
        );
    }
    if !trains {
        return Ok(());
    }
    let target = layer::gradient_parts(plan, &training.parameters);
    let params = OuterParams {
        m: outputs,
        n: inputs,
        batch: 1,
        a_offset: dy.offset,
        a_row: outputs,
        b_offset: x.offset,
        b_row: inputs,
        c_row: inputs,
        to: rows,
        accumulate: true,
        ..Default::default()
    };
    layer::outer(plan, [dy.buffer, x.buffer, none], (&target, 0), &params);
    if training.biased {
        layer::sum_rows(plan, [dy.buffer, none], (&target, inputs * outputs), (dy.offset, outputs), &params);
    }
    Ok(())
}
