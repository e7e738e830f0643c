//! Decoders that look at a memory: how they are taught, how they write, and where they look.

use crate::adam::falling_adam;
use crate::course::{Course, Curves};
use crate::data::translate::Pairs;
use crate::layers;
use crate::options::Common;
use crate::order::batch;
use crate::reading::Reading;
use crate::sequences::{Lines, Sequences};
use anyhow::{Result, bail};
use ndarray::Array2;
use wgrnn::plan::Value;
use wgrnn::{BeamSearch, DeviceState, Linear, Memory, Rnn, Tape, Tensor, Trainer};

/// What a decoder sees at a step.
pub struct Seen<'a> {
    /// What it can look at.
    pub memory: &'a Memory,
    /// Its recurrent layer's state.
    pub state: &'a DeviceState,
    /// The step, from 0.
    pub step: usize,
}

/// A network that reads sequences and writes others, with a recurrent layer that writes step by step.
pub trait Decoder {
    /// The layer that reads, the one that writes, and the one that makes scores of symbols of its outputs.
    fn layers(&self) -> (&Rnn, &Rnn, &Linear);

    /// Reads sequences: what the decoder can look at.
    ///
    /// # Errors
    ///
    /// What the tape can't do.
    fn read(&self, tape: &mut Tape, sequences: &Sequences) -> Result<Memory>;

    /// From the last symbol \[N\] and the last output [N, H], at first zeros, to the next output, and where it looked, [N, S].
    ///
    /// # Errors
    ///
    /// What the tape can't do.
    fn step(&self, tape: &mut Tape, seen: &Seen<'_>, symbol: &Value, output: &Value) -> Result<[Value; 2]>;

    /// A tape with the loss of a batch of so many sequences and texts, which are up to `longest` and up to `most` symbols long: the
    /// decoder is told what it should have written so far.
    ///
    /// # Errors
    ///
    /// What the tape can't do.
    fn teach(&self, marks: [u32; 2], [longest, most]: [usize; 2], size: usize) -> Result<(Tape, Sequences, Lines)> {
        let (reader, writer, _) = self.layers();
        let sequences = Sequences::new(reader, [longest, size])?;
        let lines = Lines::new(writer.device(), [most, size], symbols(marks), marks)?;
        let mut tape = Tape::training(writer.device())?;
        let [scores, _] = self.told(&mut tape, &sequences, &lines.told)?;
        let wanted = tape.input(lines.wanted.tensor())?;
        tape.cross_entropy(&scores, &wanted)?;
        Ok((tape, sequences, lines))
    }

    /// Trains on pairs of a sequence and its text, in batches of up to `size`: [`teach`](Self::teach), with Adam at a rate that falls over
    /// `steps`. `name` gives layers but the decoder and its head their names in checkpoints.
    ///
    /// # Errors
    ///
    /// What the tape can't do; those of [`Course::train`].
    fn learn<const STEPS: u32>(
        &self,
        course: Course<'_>,
        common: &Common<STEPS>,
        pairs: &Pairs,
        (size, rate): (usize, f64),
        name: impl FnOnce(&mut Trainer) -> Result<()>,
    ) -> Result<Curves> {
        let size = size.min(pairs.learned.len());
        let (tape, sequences, lines) = self.teach(pairs.marks(), pairs.longest(), size)?;
        let mut trainer = falling_adam(tape, rate, STEPS, common.seed)?;
        let (_, decoder, head) = self.layers();
        layers::name(&mut trainer, &[("decoder", decoder.parameters()), ("head", head.parameters())])?;
        name(&mut trainer)?;
        course.train(common, &mut trainer, |step, seed| {
            let chosen = batch(pairs.learned.len(), size, seed, step).into_iter().map(|i| &pairs.learned[i]);
            sequences.write(&chosen.clone().map(|pair| &pair.source[..]).collect::<Vec<_>>())?;
            lines.write(&chosen.map(|pair| &pair.target[..]).collect::<Vec<_>>())
        })
    }

    /// Scores [T, N, symbols] of what comes after each of the symbols [T, N] that the decoder is told, and where it looked, [T, N, S].
    ///
    /// # Errors
    ///
    /// What the tape can't do.
    fn told(&self, tape: &mut Tape, sequences: &Sequences, told: &Tensor<u32>) -> Result<[Value; 2]> {
        let (memory, symbols) = (self.read(tape, sequences)?, tape.input(told)?);
        let &[steps, size] = symbols.shape() else { bail!("expected symbols [T, N], got {:?}", symbols.shape()) };
        let (state, mut output) = begin(self.layers().1, tape, size)?;
        let (mut outputs, mut looks) = (Vec::with_capacity(steps), Vec::with_capacity(steps));
        for step in 0..steps {
            let seen = Seen { memory: &memory, state: &state, step };
            let [next, looked] = self.step(tape, &seen, &symbols.at(step)?, &output)?;
            outputs.push(next.insert_axis(0)?);
            looks.push(looked.insert_axis(0)?);
            output = next;
        }
        let outputs = tape.concat(&outputs.iter().collect::<Vec<_>>(), 0)?;
        Ok([tape.linear(self.layers().2, &outputs)?, tape.concat(&looks.iter().collect::<Vec<_>>(), 0)?])
    }

    /// The best text for each sequence of up to `longest` symbols, of up to `most` symbols between the marks, by beam search with 4 beams. A program reads and writes up to 100 at once; nothing comes back
    /// from the device before their texts are complete.
    ///
    /// # Errors
    ///
    /// Sequences that are empty or too long; what the tape can't do.
    fn search(
        &self,
        [start, end]: [u32; 2],
        [longest, most]: [usize; 2],
        sequences: &[Vec<u32>],
    ) -> Result<Vec<Vec<u32>>> {
        let (reader, writer, head) = self.layers();
        let batch = Sequences::new(reader, [longest, sequences.len().clamp(1, 100)])?;
        let mut tape = Tape::evaluating(writer.device())?;
        let memory = self.read(&mut tape, &batch)?;
        let mut beams = tape.plan().beam_search(&BeamSearch::new(start, end, most + 1), batch.size())?;
        let (state, mut output) = begin(writer, &mut tape, beams.rows())?;
        for step in 0..=most {
            let seen = Seen { memory: &memory, state: &state, step };
            let [next, _] = self.step(&mut tape, &seen, &beams.tokens(), &output)?;
            let scores = tape.linear(head, &next)?;
            beams.advance(tape.plan(), &scores)?;
            beams.follow_state(tape.plan(), &state)?;
            output = beams.follow(tape.plan(), &next)?;
        }
        let sequences: Vec<_> = sequences.iter().map(Vec::as_slice).collect();
        batch.search(&tape.build()?, &beams, &sequences)
    }

    /// Where the decoder looks in a sequence while it writes a text and its end: [T + 1, S].
    ///
    /// # Errors
    ///
    /// What the tape can't do; a decoder that looks at something else than steps of the sequence.
    fn looks(&self, marks: [u32; 2], sequence: &[u32], text: &[u32]) -> Result<Array2<f32>> {
        let (reader, writer, _) = self.layers();
        let batch = Sequences::new(reader, [sequence.len(), 1])?;
        batch.write(&[sequence])?;
        let lines = Lines::new(writer.device(), [text.len(), 1], symbols(marks), marks)?;
        lines.write(&[text])?;
        let mut tape = Tape::evaluating(writer.device())?;
        let [_, looks] = self.told(&mut tape, &batch, &lines.told)?;
        Ok(Reading::new(tape, &looks)?.run()?.into_shape_with_order((text.len() + 1, sequence.len()))?)
    }
}

/// A state, and outputs of zeros.
fn begin(layer: &Rnn, tape: &mut Tape, size: usize) -> Result<(DeviceState, Value)> {
    let outputs = Tensor::<f32>::zeros(layer.device(), &[size, layer.config().hidden_size()])?;
    Ok((layer.device_state(size)?, tape.input(&outputs)?))
}

/// How many symbols there are: the marks are the last ones.
fn symbols([start, end]: [u32; 2]) -> usize {
    start.max(end) as usize + 1
}
