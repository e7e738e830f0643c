//! Recurrent nodes inside of a model's plan.

use super::super::node::Node;
use super::super::node::Operator;
use super::super::tensor::Tensor;
use super::builder::{Builder, InputKind, Site};
use super::item::Item;
use super::moves::{mark_read, permuted};
use crate::error::{Error, Result};
use crate::layer::{DeviceState, Lengths, Rnn, RnnCall};
use crate::plan::Value;
use crate::tensor::Tensor as DeviceTensor;

/// The places of `sequence_lens`, `initial_h` and `initial_c` among the inputs.
const LENGTHS: usize = 4;
const STATES: [usize; 2] = [5, 6];

pub(super) fn recurrent(builder: &mut Builder<'_>, site: &Site<'_>) -> Result<Vec<Item>> {
    let node = Node::new(builder.values, site.index)?;
    let layer = node.layer_of(builder.device(), &builder.finder)?;
    let x = site.numbers(builder, 0)?;
    let input = layer.config().input_size();
    let (steps, batch) = match (&x.shape[..], node.batch_first) {
        (&[steps, batch, features], false) | (&[batch, steps, features], true) if features == input => (steps, batch),
        _ => {
            let expected = if node.batch_first { format!("[N, T, {input}]") } else { format!("[T, N, {input}]") };
            return Err(Error::shape(node.of(0), expected, &x.shape));
        }
    };
    let x = builder.tape.contiguous(&x.value)?;
    let initial = STATES.map(|place| site.call.has(place).then_some(place));
    let mut states = [None, None];
    for (state, place) in states.iter_mut().zip(initial) {
        if let Some(place) = place {
            *state = initial_state(builder, site, &node, place, batch)?;
        }
    }
    let mut outputs: [Vec<Value>; 3] = Default::default();
    let mut first = 0;
    for part in layer.parts() {
        let directions = part.config().directions();
        let state = part.device_state(batch)?;
        let carry = states.iter().any(Option::is_some);
        if carry {
            start(builder, part, &state, &states, first..first + directions)?;
        }
        let lengths = lengths(builder, site, &node, part, steps, batch)?;
        let call = RnnCall { lengths, carry, ..RnnCall::default() };
        let y = builder.tape.rnn(part, &x, &state, &call)?;
        let hidden = part.config().state_size();
        let shape = [y.shape()[0], y.shape()[1], directions, hidden];
        let y = y.reshape(&shape)?;
        outputs[0].push(if node.batch_first { y } else { permuted(&y, &[0, 2, 1, 3])? });
        let h = builder.tape.input(&state.h())?.slice(2, 0..hidden)?;
        outputs[1].push(without_empty(builder, site, h)?);
        if let Some(c) = state.c() {
            let c = builder.tape.input(&c)?;
            outputs[2].push(without_empty(builder, site, c)?);
        }
        first += directions;
    }
    let count = if node.operator == Operator::Lstm { 3 } else { 2 };
    let mut items = Vec::new();
    for (i, values) in outputs.into_iter().take(count).enumerate() {
        // The axis of directions.
        let axis = usize::from(i == 0) + usize::from(i == 0 && node.batch_first);
        let value = match &values[..] {
            [only] => only.clone(),
            several => builder.tape.concat(&several.iter().collect::<Vec<_>>(), axis)?,
        };
        items.push(Item::numbers(if i > 0 && node.batch_first { value.transpose(0, 1)? } else { value }));
    }
    items.truncate(site.node.output.len());
    Ok(items)
}

/// An initial state, [D, N, H]; none for zeros.
fn initial_state(
    builder: &mut Builder<'_>,
    site: &Site<'_>,
    node: &Node,
    place: usize,
    batch: usize,
) -> Result<Option<Value>> {
    if let Item::Known(constant) = site.item(place)?
        && constant.is_zero()
    {
        return Ok(None);
    }
    let state = site.numbers(builder, place)?;
    let directions = node.direction.count();
    let expected =
        if node.batch_first { [batch, directions, node.hidden_size] } else { [directions, batch, node.hidden_size] };
    if state.shape != expected {
        return Err(Error::shape(node.of(place), expected, &state.shape));
    }
    Ok(Some(if node.batch_first { state.value.transpose(0, 1)? } else { state.value }))
}

/// Copies the initial state of some directions to where a layer starts from.
fn start(
    builder: &mut Builder<'_>,
    part: &Rnn,
    to: &DeviceState,
    states: &[Option<Value>; 2],
    directions: std::ops::Range<usize>,
) -> Result<()> {
    let hidden = part.config().state_size();
    let tensors = [Some(to.h()), to.c()];
    for (tensor, state) in tensors.into_iter().zip(states) {
        let Some(tensor) = tensor else { continue };
        let value = match state {
            Some(state) => {
                let own = state.slice(0, directions.clone())?;
                // Rows of whole vectors.
                builder.tape.pad(&own, 2, 0, tensor.shape()[2] - hidden)?
            }
            // The other one is there.
            None => {
                let zeros = DeviceTensor::<f32>::zeros(builder.tape.device(), tensor.shape())?;
                builder.tape.input(&zeros)?
            }
        };
        let place = builder.tape.input(&tensor)?;
        builder.tape.plan().copy(&value, &place)?;
    }
    Ok(())
}

fn lengths(
    builder: &mut Builder<'_>,
    site: &Site<'_>,
    node: &Node,
    part: &Rnn,
    steps: usize,
    batch: usize,
) -> Result<Lengths> {
    if !site.call.has(LENGTHS) {
        return Ok(Lengths::Full);
    }
    match site.item(LENGTHS)? {
        Item::Known(constant) => {
            let Tensor::Integers(_) = &constant.tensor else {
                return Err(Error::value(node.of(LENGTHS), "integers", "floats"));
            };
            let lengths = super::super::inputs::lengths(&constant.tensor)?;
            if lengths.len() != batch {
                return Err(Error::shape(node.of(LENGTHS), [batch], constant.tensor.shape()));
            }
            Ok(if lengths.iter().all(|&length| length == steps) { Lengths::Full } else { Lengths::Fixed(lengths) })
        }
        Item::Integers(integers) if integers.shape == [batch] => {
            let InputKind::Integers { lengths, .. } = (match integers.input {
                Some(input) => &mut builder.inputs[input].kind,
                None => return Err(lengths_fault(site, node)),
            }) else {
                return Err(lengths_fault(site, node));
            };
            let own = part.batch_lengths(steps, batch)?;
            lengths.push(own.clone());
            Ok(Lengths::PerRun(own))
        }
        _ => Err(lengths_fault(site, node)),
    }
}

/// A final state, [D, N, H], that is 0 where a sequence has no step, as ONNX Runtime has it.
fn without_empty(builder: &mut Builder<'_>, site: &Site<'_>, state: Value) -> Result<Value> {
    let batch = state.shape()[1];
    let lengths = match site.inputs.get(LENGTHS).and_then(Option::as_ref) {
        Some(Item::Known(constant)) => {
            let lengths = super::super::inputs::lengths(&constant.tensor)?;
            if !lengths.contains(&0) {
                return Ok(state);
            }
            builder.indices(&lengths)?
        }
        Some(Item::Integers(integers)) => {
            mark_read(builder, integers, None);
            integers.value.clone()
        }
        _ => return Ok(state),
    };
    let lengths = lengths.reshape(&[1, batch, 1])?;
    builder.tape.map([&state, &lengths], |[h, length]| length.less(length.number(1.0)).choose(h.number(0.0), h))
}

fn lengths_fault(site: &Site<'_>, node: &Node) -> Error {
    site.call.attributes().unsupported(&node.of(LENGTHS), "lengths are constants or an input of the model")
}
