//! Decoders that look at a memory: how they are taught, how they write, and where they look.

use crate::reading::Reading;
use crate::sequences::{Lines, Sequences};
use anyhow::{Result, bail};
use ndarray::Array2;
use wgrnn::plan::Value;
use wgrnn::{BeamSearch, DeviceState, Memory, Rnn, Tape, Tensor};

/// What a search has to know.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// The mark that a text begins with.
    pub start: u32,
    /// The mark that it ends with.
    pub end: u32,
    /// The most symbols that are read.
    pub longest: usize,
    /// The most symbols that are written.
    pub most: usize,
}

/// A network that reads sequences and writes others, with a recurrent layer that writes step by step.
pub trait Decoder {
    /// The layer that writes.
    fn layer(&self) -> &Rnn;

    /// The layer that reads.
    fn reader(&self) -> &Rnn;

    /// Reads sequences: what the decoder can look at.
    ///
    /// # Errors
    ///
    /// What the tape can't do.
    fn read(&self, tape: &mut Tape, sequences: &Sequences) -> Result<Memory>;

    /// Step `t`: from the last symbol \\[N\\] and the last output [N, H], at first zeros, to the next output, and where it looked, [N, S].
    ///
    /// # Errors
    ///
    /// What the tape can't do.
    fn step(
        &self,
        tape: &mut Tape,
        from: (&Memory, &DeviceState),
        t: usize,
        symbol: &Value,
        output: &Value,
    ) -> Result<[Value; 2]>;

    /// Scores [..., symbols] of outputs [..., H].
    ///
    /// # Errors
    ///
    /// What the tape can't do.
    fn scores(&self, tape: &mut Tape, outputs: &Value) -> Result<Value>;

    /// Scores [T, N, symbols] of what comes after each of the symbols [T, N] that the decoder is told, and where it looked, [T, N, S].
    ///
    /// # Errors
    ///
    /// What the tape can't do.
    fn told(&self, tape: &mut Tape, sequences: &Sequences, told: &Tensor<u32>) -> Result<[Value; 2]> {
        let (memory, symbols) = (self.read(tape, sequences)?, tape.input(told)?);
        let &[steps, size] = symbols.shape() else { bail!("expected symbols [T, N], got {:?}", symbols.shape()) };
        let (state, mut output) = begin(self.layer(), tape, size)?;
        let (mut outputs, mut looks) = (Vec::with_capacity(steps), Vec::with_capacity(steps));
        for t in 0..steps {
            let [next, looked] = self.step(tape, (&memory, &state), t, &symbols.at(t)?, &output)?;
            outputs.push(next.insert_axis(0)?);
            looks.push(looked.insert_axis(0)?);
            output = next;
        }
        let outputs = tape.concat(&outputs.iter().collect::<Vec<_>>(), 0)?;
        Ok([self.scores(tape, &outputs)?, tape.concat(&looks.iter().collect::<Vec<_>>(), 0)?])
    }

    /// The best text for each sequence, by beam search with 4 beams. A program reads and writes up to 100 at once; nothing comes back
    /// from the device before their texts are complete.
    ///
    /// # Errors
    ///
    /// Sequences that are empty or too long; what the tape can't do.
    fn search(&self, search: Search, sequences: &[&[u32]]) -> Result<Vec<Vec<u32>>> {
        let batch = Sequences::new(self.reader(), [search.longest, sequences.len().clamp(1, 100)])?;
        let mut tape = Tape::evaluating(self.layer().device())?;
        let memory = self.read(&mut tape, &batch)?;
        let options = BeamSearch::new(search.start, search.end, search.most + 1);
        let mut beams = tape.plan().beam_search(&options, batch.size())?;
        let (state, mut output) = begin(self.layer(), &mut tape, beams.rows())?;
        for t in 0..=search.most {
            let [next, _] = self.step(&mut tape, (&memory, &state), t, &beams.tokens(), &output)?;
            let scores = self.scores(&mut tape, &next)?;
            beams.advance(tape.plan(), &scores)?;
            beams.follow_state(tape.plan(), &state)?;
            output = beams.follow(tape.plan(), &next)?;
        }
        batch.search(&tape.build()?, &beams, sequences)
    }

    /// Where the decoder looks in a sequence while it writes a text and its end: [T + 1, S].
    ///
    /// # Errors
    ///
    /// What the tape can't do; a decoder that looks at something else than steps of the sequence.
    fn looks(&self, search: Search, sequence: &[u32], text: &[u32]) -> Result<Array2<f32>> {
        let batch = Sequences::new(self.reader(), [sequence.len(), 1])?;
        batch.write(&[sequence])?;
        let symbols = search.start.max(search.end) as usize + 1;
        let lines = Lines::new(self.layer().device(), [text.len(), 1], symbols, [search.start, search.end])?;
        lines.write(&[text])?;
        let mut tape = Tape::evaluating(self.layer().device())?;
        let [_, looks] = self.told(&mut tape, &batch, &lines.told)?;
        Ok(Reading::new(tape, &looks)?.run()?.into_shape_with_order((text.len() + 1, sequence.len()))?)
    }
}

/// A state, and outputs of zeros.
fn begin(layer: &Rnn, tape: &mut Tape, size: usize) -> Result<(DeviceState, Value)> {
    let outputs = Tensor::<f32>::zeros(layer.device(), &[size, layer.config().hidden_size()])?;
    Ok((layer.device_state(size)?, tape.input(&outputs)?))
}
