//! Chains of element-wise operations as one kernel: what a `map` gives is computed where it is read, if that takes less memory traffic
//! than writing it and reading it again.

use crate::error::Result;
use crate::kernels::{Access, Argument, Formula, MAX_INPUTS};
use crate::plan::{BufferId, Command, Elements, Emit, PlanBuilder, Value};
use std::collections::HashMap;

/// What a command does with a buffer.
#[derive(Clone, Copy, Debug)]
struct Event {
    command: usize,
    reads: bool,
    writes: bool,
    /// So many words from the first one on are certainly written over.
    covers: usize,
}

/// The events of every buffer in the order of the commands.
struct Events(HashMap<BufferId, Vec<Event>>);

impl Events {
    fn new(plan: &PlanBuilder, all: &[Elements]) -> Self {
        let mut this = Self(HashMap::new());
        let of_command: HashMap<usize, &Elements> =
            all.iter().flat_map(|elements| elements.commands.clone().map(move |at| (at, elements))).collect();
        for (command, what) in plan.plan().commands().iter().enumerate() {
            let mut add = |buffer: BufferId, reads, writes, covers| {
                this.0.entry(buffer).or_default().push(Event { command, reads, writes, covers });
            };
            match what {
                Command::Copy { from, to, words } => {
                    add(*from, true, false, 0);
                    add(*to, false, true, *words as usize);
                }
                Command::Clear { buffer, offset, words } => {
                    add(*buffer, false, true, if *offset == 0 { *words as usize } else { 0 });
                }
                Command::Dispatch(dispatch) => {
                    let row = plan.plan().variants()[dispatch.variant].row();
                    for (binding, &buffer) in row.bindings.iter().zip(&plan.plan().bindings()[dispatch.bindings]) {
                        if binding.1 != Access::Write {
                            add(buffer, true, false, 0);
                            continue;
                        }
                        // Only of those that are known is it sure that they write without reading.
                        let elements = of_command.get(&command).filter(|elements| {
                            elements.out.buffer == buffer && !elements.accumulate && command == elements.commands.start
                        });
                        let covers = elements.map_or(0, |elements| whole(&elements.out));
                        add(buffer, elements.is_none(), true, covers);
                    }
                }
            }
        }
        for buffer in plan.copied_last() {
            let last = Event { command: usize::MAX, reads: true, writes: false, covers: 0 };
            this.0.entry(buffer).or_default().push(last);
        }
        this
    }

    fn of(&self, buffer: BufferId) -> &[Event] {
        self.0.get(&buffer).map_or(&[], Vec::as_slice)
    }

    /// The commands that read what a command wrote into the first words of a buffer; none where that cannot be told.
    fn readers(&self, buffer: BufferId, writer: usize, words: usize) -> Option<Vec<usize>> {
        let events = self.of(buffer);
        let after = events.iter().filter(|event| event.command > writer);
        let mut readers = Vec::new();
        for event in after {
            if event.writes {
                return (!event.reads && event.covers >= words).then_some(readers);
            }
            readers.push(event.command);
        }
        // The plan runs again: nothing may read what the last run left there.
        events.first().is_some_and(|first| first.writes && !first.reads).then_some(readers)
    }

    /// Whether a buffer is written by a command after one and up to another.
    fn is_written(&self, buffer: BufferId, after: usize, to: usize) -> bool {
        self.of(buffer).iter().any(|event| event.writes && event.command > after && event.command <= to)
    }

    fn remove(&mut self, buffer: BufferId, command: usize) {
        self.0.entry(buffer).or_default().retain(|event| event.command != command);
    }

    fn remove_reads(&mut self, buffer: BufferId, command: usize) {
        self.0.entry(buffer).or_default().retain(|event| event.command != command || event.writes);
    }

    fn read(&mut self, buffer: BufferId, command: usize) {
        let events = self.0.entry(buffer).or_default();
        if events.iter().any(|event| event.command == command && event.reads) {
            return;
        }
        let at = events.partition_point(|event| event.command <= command);
        events.insert(at, Event { command, reads: true, writes: false, covers: 0 });
    }
}

/// How many words of its buffer, from the first one on, a value is; 0 where it is no such part.
fn whole(value: &Value) -> usize {
    if value.offset == 0 && value.is_dense() { value.len() } else { 0 }
}

/// Makes chains of element-wise operations one, and drops those whose results nobody reads any more. `emit` appends an operation again;
/// `ends` are numbers of commands, which become those of the plan as it is then.
pub(super) fn fuse(plan: &mut PlanBuilder, emit: Emit, ends: &mut [usize]) -> Result<()> {
    let mut all = std::mem::take(&mut plan.draft.elements);
    let mut events = Events::new(plan, &all);
    let mut fate = vec![Fate::Kept; all.len()];
    let of_command: HashMap<usize, usize> =
        all.iter().enumerate().flat_map(|(i, elements)| elements.commands.clone().map(move |at| (at, i))).collect();
    for producer in 0..all.len() {
        if !plan.is_own(all[producer].out.buffer) {
            continue;
        }
        let Some(fused) = fused(&all, producer, &events, &of_command) else { continue };
        let (buffer, at) = (all[producer].out.buffer, all[producer].commands.start);
        for (consumer, formula, values) in fused {
            for command in all[consumer].commands.clone() {
                events.remove_reads(buffer, command);
                values.iter().for_each(|value| events.read(value.buffer, command));
            }
            (all[consumer].formula, all[consumer].values) = (formula, values);
            fate[consumer] = Fate::Changed;
        }
        events.remove(buffer, at);
        for value in &all[producer].values {
            events.remove_reads(value.buffer, at);
        }
        fate[producer] = Fate::Dropped;
    }
    if fate.iter().all(|fate| *fate == Fate::Kept) {
        return Ok(());
    }
    let commands = plan.draft.take_commands();
    // Where each command is now.
    let mut moved = Vec::with_capacity(commands.len() + 1);
    for (at, command) in commands.into_iter().enumerate() {
        moved.push(plan.plan().commands().len());
        match of_command.get(&at).map(|&i| (&all[i], fate[i])) {
            None | Some((_, Fate::Kept)) => plan.draft.push(command),
            Some((elements, Fate::Changed)) if at == elements.commands.start => emit(plan, elements)?,
            Some((_, Fate::Changed | Fate::Dropped)) => {}
        }
    }
    moved.push(plan.plan().commands().len());
    ends.iter_mut().for_each(|end| *end = moved[*end]);
    let dropped = all.iter().zip(&fate).filter(|(_, fate)| **fate == Fate::Dropped);
    for (elements, _) in dropped.filter(|(elements, _)| events.of(elements.out.buffer).is_empty()) {
        plan.draft.forget(elements.out.buffer);
    }
    plan.draft.prune();
    Ok(())
}

/// What becomes of an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    /// It computes what it read before.
    Changed,
    Dropped,
}

/// An operation that computes what it read before: its number, formula and values.
type Fused = (usize, Formula, Vec<Value>);

/// Those that read what a producer gives, where each of them can compute it and that takes less memory traffic.
fn fused(all: &[Elements], producer: usize, events: &Events, of_command: &HashMap<usize, usize>) -> Option<Vec<Fused>> {
    let from = &all[producer];
    let words = whole(&from.out);
    let is_map = from.fold.is_none() && from.formula.coordinates().is_none() && from.commands.len() == 1;
    if !is_map || from.accumulate || words == 0 {
        return None;
    }
    let at = from.commands.start;
    let readers = events.readers(from.out.buffer, at, words)?;
    let last = *readers.last()?;
    let mut consumers: Vec<usize> = Vec::new();
    for reader in readers {
        let consumer = *of_command.get(&reader)?;
        if !consumers.contains(&consumer) {
            consumers.push(consumer);
        }
    }
    // Values are read by each consumer; before they were read once, and the result was written once and read by each.
    let mut distinct: Vec<&Value> = Vec::new();
    for value in &from.values {
        if !distinct.iter().any(|other| is_same(other, value)) {
            distinct.push(value);
        }
    }
    if consumers.len() * distinct.len() > distinct.len() + 1 + consumers.len() {
        return None;
    }
    if from.values.iter().any(|value| events.is_written(value.buffer, at, last)) {
        return None;
    }
    let fused = consumers.into_iter().map(|consumer| {
        // What is repeated along an axis would be computed as often.
        let count = all[consumer].shape().iter().product::<usize>();
        let (formula, values) = (count <= 2 * words).then(|| substituted(&all[consumer], from, words)).flatten()?;
        Some((consumer, formula, values))
    });
    fused.collect()
}

/// The formula and the values of a consumer that computes what a producer gave.
fn substituted(consumer: &Elements, from: &Elements, words: usize) -> Option<(Formula, Vec<Value>)> {
    let mut values: Vec<Value> = Vec::new();
    let mut place = |value: Value| {
        let known = values.iter().position(|other| is_same(other, &value));
        let number = known.unwrap_or_else(|| {
            values.push(value);
            values.len() - 1
        });
        (number < MAX_INPUTS).then_some(number as u8)
    };
    let mut parts = Vec::new();
    for (k, value) in consumer.values.iter().enumerate() {
        parts.push(if !consumer.formula.reads(k) {
            Argument::Value(0)
        } else if value.buffer == from.out.buffer {
            if value.range().end > words {
                return None;
            }
            let seen = |(j, input): (usize, &Value)| {
                if from.formula.reads(j) { place(seen_through(input, &from.out.shape, value)?) } else { Some(0) }
            };
            Argument::Formula(from.formula, from.values.iter().enumerate().map(seen).collect::<Option<_>>()?)
        } else {
            Argument::Value(place(value.clone())?)
        });
    }
    let formula = consumer.formula.composed(&parts, values.len())?;
    Some((formula, values))
}

/// The elements of an input of a `map` that those of a view of its result were computed from.
fn seen_through(input: &Value, shape: &[usize], view: &Value) -> Option<Value> {
    if input.shape == shape && input.is_dense() {
        let (shape, strides) = (view.shape.clone(), view.strides.clone());
        return Some(Value { offset: input.offset + view.offset, shape, strides, ..input.clone() });
    }
    // The input is repeated along an axis, or a view: the view has to have the axes of the result.
    let strides = input.broadcast_strides(shape);
    let mut long = shape.iter().zip(strides).filter(|(size, _)| **size != 1);
    let mut strides = Vec::new();
    for &size in &view.shape {
        strides.push(if size == 1 { 1 } else { long.next().filter(|(own, _)| **own == size)?.1 });
    }
    (view.offset == 0 && view.is_dense() && long.next().is_none()).then(|| Value {
        shape: view.shape.clone(),
        strides,
        ..input.clone()
    })
}

fn is_same(one: &Value, other: &Value) -> bool {
    (one.buffer, one.offset, &one.shape, &one.strides) == (other.buffer, other.offset, &other.shape, &other.strides)
}
