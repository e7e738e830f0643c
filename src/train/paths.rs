//! Where gradients go: from losses back to trainable parameters, through the operations of a tape. What would get no gradient,
//! or a wrong one, is an error.

use super::tape::{Operation, Tape};
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::plan::{BufferId, Region, Trace, Value};
use std::collections::HashMap;
use std::ops::Range;

/// What a value depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Depends {
    /// Inputs only.
    Inputs,
    /// Frozen parameters, at most.
    Frozen,
    /// Parameters that are trained, or a value whose gradient is wanted.
    Trained,
}

/// Part of what an operation reads, and the operation that wrote it; none where it was there before.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub region: Region,
    pub writer: Option<usize>,
}

/// Who wrote the parts of each buffer last: disjoint ranges.
#[derive(Default)]
struct Memory(HashMap<BufferId, Vec<(Range<usize>, usize)>>);

impl Memory {
    fn read(&self, region: &Region) -> Vec<Source> {
        let (buffer, Range { start, end }) = (region.buffer, region.range.clone());
        let clip = |(range, writer): &(Range<usize>, usize)| (range.start.max(start)..range.end.min(end), *writer);
        let mut written: Vec<_> = self.0.get(&buffer).into_iter().flatten().map(clip).collect();
        written.retain(|(range, _)| !range.is_empty());
        written.sort_by_key(|(range, _)| range.start);
        let mut sources = Vec::new();
        let mut at = start;
        let mut push = |range: Range<usize>, writer| {
            if !range.is_empty() {
                sources.push(Source { region: Region { buffer, range }, writer });
            }
        };
        for (range, writer) in written {
            push(at..range.start, None);
            at = range.end;
            push(range, Some(writer));
        }
        push(at..end, None);
        sources
    }

    fn write(&mut self, region: &Region, writer: usize) {
        let written = self.0.entry(region.buffer).or_default();
        let Range { start, end } = region.range;
        let mut rest: Vec<_> = Vec::with_capacity(written.len() + 1);
        for (range, writer) in written.drain(..) {
            rest.push((range.start..range.end.min(start), writer));
            rest.push((range.start.max(end)..range.end, writer));
        }
        rest.push((start..end, writer));
        rest.retain(|(range, _)| !range.is_empty());
        *written = rest;
    }
}

/// What the backward pass of a tape has to do for each operation.
pub(super) struct Paths {
    /// What each operation reads.
    sources: Vec<Vec<Source>>,
    /// What its targets are, or the gradient given.
    beside: Vec<Vec<Source>>,
    depends: Vec<Depends>,
    /// Whether a gradient reaches it that someone needs.
    active: Vec<bool>,
    /// What it wrote over things that had been used before.
    overwritten: Vec<Vec<Region>>,
    /// The parts of each value whose gradient is wanted.
    pub wanted: Vec<Vec<Source>>,
}

impl Paths {
    /// # Errors
    /// [`Unsupported`](Error::Unsupported) where an operation without a backward pass, or a loss's targets, lie between
    /// trained parameters and a loss; [`Value`](Error::Value) where a trained block gets no gradient, or something that the
    /// backward pass reads is overwritten.
    pub fn new(tape: &Tape) -> Result<Self> {
        let mut paths = Self::trace(&tape.plan.traces);
        paths.want(tape)?;
        paths.depend(tape);
        paths.reach(tape)?;
        paths.check_kept(tape)?;
        paths.check_blocks(tape)?;
        Ok(paths)
    }

    /// Who wrote what each operation reads.
    fn trace(traces: &[Trace]) -> Self {
        let mut memory = Memory::default();
        let mut used: HashMap<BufferId, Vec<Range<usize>>> = HashMap::new();
        let (mut sources, mut beside, mut overwritten) = (Vec::new(), Vec::new(), Vec::new());
        for (i, trace) in traces.iter().enumerate() {
            let read = |regions: &[Region]| regions.iter().flat_map(|region| memory.read(region)).collect::<Vec<_>>();
            sources.push(read(&trace.reads));
            beside.push(read(&trace.beside));
            let was_used = |region: &&Region| {
                let ranges = used.get(&region.buffer).into_iter().flatten();
                let mut ranges = ranges.map(|range| Region { buffer: region.buffer, range: range.clone() });
                ranges.any(|range| range.overlaps(region)) && !trace.reads.iter().any(|read| read.overlaps(region))
            };
            overwritten.push(trace.writes.iter().filter(was_used).cloned().collect::<Vec<_>>());
            trace.writes.iter().for_each(|region| memory.write(region, i));
            for region in trace.reads.iter().chain(&trace.writes) {
                used.entry(region.buffer).or_default().push(region.range.clone());
            }
        }
        let (depends, active) = (vec![Depends::Inputs; traces.len()], vec![false; traces.len()]);
        Self { sources, beside, depends, active, overwritten, wanted: Vec::new() }
    }

    /// The parts of the values whose gradients are wanted. None of them is overwritten after it was asked for.
    fn want(&mut self, tape: &Tape) -> Result<()> {
        let traces = &tape.plan.traces;
        for wanted in &tape.wanted {
            let target = Region::from(&wanted.target);
            let all = |trace: &Trace| [&trace.reads[..], &trace.beside, &trace.writes].concat();
            let other = traces.iter().position(|trace| all(trace).iter().any(|region| region.buffer == target.buffer));
            if other.is_some() || wanted.of.buffer == target.buffer {
                let by =
                    other.map_or_else(|| "the value itself".to_owned(), |i| format!("one that {} uses", name(tape, i)));
                return Err(Error::value("tensor for a gradient", "one of its own", by));
            }
            let of = Region::from(&wanted.of);
            let mut later = wanted.at..traces.len();
            if let Some(i) = later.find(|&i| traces[i].writes.iter().any(|region| region.overlaps(&of))) {
                let expected = "a value that is not overwritten after its gradient was asked for";
                return Err(Error::value("gradient wanted", expected, format!("one that {} writes", name(tape, i))));
            }
            let mut memory = Memory::default();
            for (i, trace) in traces[..wanted.at].iter().enumerate() {
                trace.writes.iter().for_each(|region| memory.write(region, i));
            }
            self.wanted.push(memory.read(&of));
        }
        Ok(())
    }

    /// On what each operation's results depend.
    fn depend(&mut self, tape: &Tape) {
        for (i, trace) in tape.plan.traces.iter().enumerate() {
            let own = trace.parameters.as_ref().map_or(Depends::Inputs, |parameters| {
                if tape.is_frozen(parameters) { Depends::Frozen } else { Depends::Trained }
            });
            if !trace.discrete {
                self.depends[i] = self.sources[i].iter().map(|source| self.of(source)).fold(own, Depends::max);
            }
        }
    }

    fn of(&self, source: &Source) -> Depends {
        let same = |wanted: &Source| wanted.writer == source.writer && wanted.region.overlaps(&source.region);
        if self.wanted.iter().flatten().any(same) {
            return Depends::Trained;
        }
        source.writer.map_or(Depends::Inputs, |writer| self.depends[writer])
    }

    /// The operations that gradients reach, from the losses on.
    fn reach(&mut self, tape: &Tape) -> Result<()> {
        let mut reached = vec![false; self.sources.len()];
        for i in (0..reached.len()).rev() {
            let operation = tape.operations.get(&i);
            if let Some(Operation::Gradient { given, .. }) = operation {
                if !given {
                    self.check_targets(tape, i)?;
                } else if self.depends[i] == Depends::Inputs {
                    let expected = "that of a value which depends on trainable layers, or whose gradient is wanted";
                    let got = format!("one of a value that depends on neither, in {}", name(tape, i));
                    return Err(Error::value("gradient given", expected, got));
                }
                reached[i] = true;
            }
            if !reached[i] || self.depends[i] != Depends::Trained {
                continue;
            }
            if operation.is_none() {
                return Err(self.cut(tape, i));
            }
            self.active[i] = true;
            self.sources[i].iter().filter_map(|source| source.writer).for_each(|writer| reached[writer] = true);
        }
        Ok(())
    }

    fn cut(&self, tape: &Tape, i: usize) -> Error {
        let what = format!("{} between {} and a loss", name(tape, i), self.origins(tape, i, &self.sources[i]));
        let reason = "it has no backward pass, so that their gradients would be wrong or missing: use an operation of the \
                      tape itself, or freeze the parameters by Tape::freeze";
        Error::unsupported(what, reason)
    }

    fn check_targets(&self, tape: &Tape, i: usize) -> Result<()> {
        if self.beside[i].iter().all(|source| self.of(source) != Depends::Trained) {
            return Ok(());
        }
        let origins = self.origins(tape, i, &self.beside[i]);
        let what = format!("a gradient of the targets of {}, which depend on {origins},", name(tape, i));
        let reason = "losses have gradients of their first argument only: exchange the two, freeze the parameters by \
                      Tape::freeze, or compute the targets on a tape of their own";
        Err(Error::unsupported(what, reason))
    }

    /// Names the trained parameters and wanted gradients that some values depend on, which operation `i` reads.
    fn origins(&self, tape: &Tape, i: usize, sources: &[Source]) -> String {
        let traces = &tape.plan.traces;
        let mut names = Vec::new();
        let mut seen = vec![false; traces.len()];
        let mut next: Vec<&Source> = sources.iter().collect();
        let add = |at: usize, names: &mut Vec<String>| {
            if let Some(parameters) = traces[at].parameters.as_ref().filter(|block| !tape.is_frozen(block)) {
                names.push(block_name(tape, at, parameters));
            }
        };
        add(i, &mut names);
        while let Some(source) = next.pop() {
            let same = |wanted: &Source| wanted.writer == source.writer && wanted.region.overlaps(&source.region);
            if self.wanted.iter().flatten().any(same) {
                names.push("a value whose gradient is wanted".to_owned());
            }
            if let Some(writer) = source.writer.filter(|&writer| !traces[writer].discrete && !seen[writer]) {
                seen[writer] = true;
                add(writer, &mut names);
                next.extend(&self.sources[writer]);
            }
        }
        names.sort();
        names.dedup();
        names.join(" and ")
    }

    /// What the backward pass reads is as the forward pass read it.
    fn check_kept(&self, tape: &Tape) -> Result<()> {
        let traces = &tape.plan.traces;
        let mut writes: HashMap<BufferId, Vec<(usize, &Region)>> = HashMap::new();
        for (i, trace) in traces.iter().enumerate() {
            trace.writes.iter().for_each(|region| writes.entry(region.buffer).or_default().push((i, region)));
        }
        for (&i, operation) in tape.operations.iter().filter(|(i, _)| self.active[**i]) {
            for (what, value) in kept(tape, operation) {
                let region = Region::from(value);
                let mut others = writes.get(&region.buffer).into_iter().flatten();
                if let Some((by, _)) = others.find(|(by, other)| *by > i && other.overlaps(&region)) {
                    let expected = "to stay as it is, for the backward pass reads it again";
                    let got = format!("{} over it: let that write to other memory", name(tape, *by));
                    return Err(Error::value(format!("{what} of {}", name(tape, i)), expected, got));
                }
            }
        }
        Ok(())
    }

    /// Each block that is not frozen gets a gradient.
    fn check_blocks(&self, tape: &Tape) -> Result<()> {
        let traces = &tape.plan.traces;
        for (i, trace) in traces.iter().enumerate() {
            let Some(block) = trace.parameters.as_ref().filter(|block| !tape.is_frozen(block)) else { continue };
            let uses =
                (i..traces.len()).filter(|&at| traces[at].parameters.as_ref().is_some_and(|other| other.is(block)));
            let uses: Vec<usize> = uses.collect();
            if let Some(&by) = uses.iter().find(|&&at| traces[at].name == "rnn_backward") {
                let reason = "the backward pass of the tape clears its gradients: train the layer on the tape, or freeze it \
                              by Tape::freeze";
                return Err(Error::unsupported(format!("{} of a layer that is trained", name(tape, by)), reason));
            }
            if !uses.iter().any(|&at| self.active[at]) {
                let expected = "a gradient from some loss, or Tape::freeze to leave them as they are";
                return Err(Error::value(
                    block_name(tape, i, block),
                    expected,
                    format!("none: {}", self.why(tape, &uses)),
                ));
            }
        }
        Ok(())
    }

    /// Why the operations that use a block pass no gradient to it.
    fn why(&self, tape: &Tape, uses: &[usize]) -> String {
        let traces = &tape.plan.traces;
        if let Some(&opaque) = uses.iter().find(|at| !tape.operations.contains_key(at)) {
            return format!("{} was called by Tape::plan and has no backward pass", name(tape, opaque));
        }
        // Whoever reads what they gave, the nearest first.
        let mut reached = vec![false; traces.len()];
        uses.iter().for_each(|&at| reached[at] = true);
        let mut cut = None;
        for i in uses[0]..traces.len() {
            let mut sources = self.sources[i].iter().chain(&self.beside[i]);
            if sources.any(|source| source.writer.is_some_and(|writer| reached[writer])) {
                reached[i] = true;
                cut = cut.or(Some(i).filter(|i| !tape.operations.contains_key(i)));
            }
        }
        let read = reached.iter().enumerate().any(|(i, &reached)| reached && !uses.contains(&i));
        let lost = |&at: &usize| {
            let mut later = at + 1..traces.len();
            let writes = &traces[at].writes;
            later.find(|&i| self.overwritten[i].iter().any(|region| writes.iter().any(|other| other.overlaps(region))))
        };
        match (cut, uses.iter().find_map(lost)) {
            (Some(cut), _) => format!("{} takes what they give on, and has no backward pass", name(tape, cut)),
            (None, Some(by)) if !read => format!("{} writes over what they give", name(tape, by)),
            _ => "no loss depends on what they give".to_owned(),
        }
    }

    /// Whether the backward pass of an operation has something to do.
    pub fn is_active(&self, i: usize) -> bool {
        self.active[i]
    }

    /// Whether someone needs the gradient of a value that operation `i` reads.
    pub fn needs(&self, i: usize, value: &Value) -> bool {
        let region = Region::from(value);
        let mut sources = self.sources[i].iter().filter(|source| source.region.overlaps(&region));
        sources.any(|source| self.of(source) == Depends::Trained)
    }

    /// What operation `i` wrote over things that had been used before, whose gradients end there.
    pub fn overwritten(&self, i: usize) -> &[Region] {
        &self.overwritten[i]
    }
}

/// What the backward pass of an operation reads of its inputs.
fn kept<'v>(tape: &Tape, operation: &'v Operation) -> Vec<(&'static str, &'v Value)> {
    let frozen = operation.parameters().is_none_or(|parameters| tape.is_frozen(parameters));
    match operation {
        Operation::Embedding { indices, .. } if !frozen => vec![("the indices", indices)],
        Operation::Linear { x, .. } if !frozen => vec![("the input", x)],
        // Steps that are computed again read it too.
        Operation::Rnn(recurrence) if !frozen || recurrence.call.keep_every.is_some() => {
            vec![("the input", &recurrence.x)]
        }
        Operation::Gradient { gradient, given: true, .. } => vec![("the gradient", gradient)],
        Operation::Applied(applied) => {
            let inputs = applied.inputs.iter().filter(|_| applied.operation.reads_inputs());
            inputs.map(|input| ("an input", input)).chain([("the result", &applied.out)]).collect()
        }
        _ => Vec::new(),
    }
}

/// An operation with its place.
fn name(tape: &Tape, i: usize) -> String {
    format!("{} (operation {} of the tape)", tape.plan.traces[i].name, i + 1)
}

/// Arrays of a block that a message names.
const NAMED: usize = 4;

/// A block by its arrays and its first use.
fn block_name(tape: &Tape, i: usize, parameters: &Parameters) -> String {
    let mut arrays: Vec<_> =
        parameters.names().take(NAMED).map(|(array, shape)| format!("'{array}' {shape:?}")).collect();
    if parameters.names().count() > NAMED {
        arrays.push("...".to_owned());
    }
    format!("the parameters {} of {}", arrays.join(", "), name(tape, i))
}
