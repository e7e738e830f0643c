//! Batches of sequences of different lengths on the device, and what a decoder is taught.

use anyhow::{Result, ensure};
use ndarray::{Array1, Array2};
use wgrnn::plan::Program;
use wgrnn::{BatchLengths, Beams, Device, IGNORED, Rnn, Targets, Tensor};

/// Sequences of symbols, padded to one length.
pub struct Sequences {
    /// [T, N].
    pub symbols: Tensor<u32>,
    /// Their lengths for a recurrent layer.
    pub lengths: BatchLengths,
    /// The same lengths as numbers, \[N\].
    pub counts: Tensor<u32>,
}

impl Sequences {
    /// For up to N sequences of up to T symbols that a layer reads.
    ///
    /// # Errors
    ///
    /// Memory that there is not.
    pub fn new(layer: &Rnn, [longest, size]: [usize; 2]) -> Result<Self> {
        let device = layer.device();
        Ok(Self {
            symbols: Tensor::zeros(device, &[longest, size])?,
            lengths: layer.batch_lengths(longest, size)?,
            counts: Tensor::zeros(device, &[size])?,
        })
    }

    /// Writes a batch. If it has fewer sequences than there is room for, the rest are one symbol long.
    ///
    /// # Errors
    ///
    /// More sequences than there is room for, one that is longer, one without a symbol.
    pub fn write(&self, sequences: &[&[u32]]) -> Result<()> {
        let &[longest, size] = self.symbols.shape() else { return Ok(()) };
        ensure!(sequences.len() <= size, "{} sequences; the batch has room for {size}", sequences.len());
        for sequence in sequences {
            let length = sequence.len();
            ensure!((1..=longest).contains(&length), "a sequence of {length} symbols: expected 1 to {longest}");
        }
        let symbol = |n: usize, t: usize| sequences.get(n).and_then(|sequence| sequence.get(t)).copied();
        self.symbols.write(Array2::from_shape_fn((longest, size), |(t, n)| symbol(n, t).unwrap_or(0)).view())?;
        let lengths: Vec<usize> = (0..size).map(|n| sequences.get(n).map_or(1, |sequence| sequence.len())).collect();
        self.counts.write(lengths.iter().map(|&length| length as u32).collect::<Array1<_>>().view())?;
        Ok(self.lengths.write(&lengths)?)
    }

    /// The most sequences.
    pub fn size(&self) -> usize {
        self.symbols.shape()[1]
    }

    /// The best text that a beam search finds for each of any number of sequences, of which its program reads a batch at once.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write), a device that is lost.
    pub fn search(&self, program: &Program, beams: &Beams, sequences: &[&[u32]]) -> Result<Vec<Vec<u32>>> {
        let mut best = Vec::with_capacity(sequences.len());
        for sequences in sequences.chunks(self.size()) {
            self.write(sequences)?;
            program.run()?;
            let found = beams.read()?.into_iter().take(sequences.len());
            best.extend(found.map(|texts| texts.into_iter().next().map_or_else(Vec::new, |text| text.tokens)));
        }
        Ok(best)
    }
}

/// What a decoder is taught: it is told the start mark and what it should have written so far, and should write the next symbol; after
/// the last one the end mark (teacher forcing).
pub struct Lines {
    /// What the decoder is told, [T + 1, N].
    pub told: Tensor<u32>,
    /// What it should write, [T + 1, N].
    pub wanted: Targets,
    marks: [u32; 2],
}

impl Lines {
    /// For N texts of up to T symbols out of so many, which include a start and an end mark.
    ///
    /// # Errors
    ///
    /// Memory that there is not.
    pub fn new(device: &Device, [longest, size]: [usize; 2], symbols: usize, marks: [u32; 2]) -> Result<Self> {
        let shape = [longest + 1, size];
        Ok(Self { told: Tensor::zeros(device, &shape)?, wanted: Targets::new(device, &shape, symbols)?, marks })
    }

    /// Writes a batch of texts.
    ///
    /// # Errors
    ///
    /// Another number of texts than the batch has, a text that is longer than there is room for.
    pub fn write(&self, texts: &[&[u32]]) -> Result<()> {
        let &[steps, size] = self.told.shape() else { return Ok(()) };
        ensure!(texts.len() == size, "{} texts: expected {size}", texts.len());
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        ensure!(longest < steps, "a text of {longest} symbols: expected {} at most", steps - 1);
        let [start, end] = self.marks;
        let mut told = Array2::from_elem((steps, size), start);
        let mut wanted = Array2::from_elem((steps, size), IGNORED);
        for (n, text) in texts.iter().enumerate() {
            for (t, &symbol) in text.iter().enumerate() {
                told[[t + 1, n]] = symbol;
                wanted[[t, n]] = symbol;
            }
            wanted[[text.len(), n]] = end;
        }
        self.told.write(told.view())?;
        Ok(self.wanted.write(wanted.view())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use wgrnn::{Cell, Reset, RnnConfig, RnnWeights};

    #[test]
    fn sequences_are_padded_and_those_that_do_not_fit_refused() {
        let config = RnnConfig::new(Cell::Gru(Reset::After), 1, 1);
        let layer = Rnn::new(&Device::cpu(), &config, RnnWeights::init(&config, 0).unwrap()).unwrap();
        let sequences = Sequences::new(&layer, [3, 2]).unwrap();
        sequences.write(&[&[5, 6]]).unwrap();
        assert_eq!(sequences.symbols.read().unwrap(), array![[5, 0], [6, 0], [0, 0]].into_dyn());
        assert_eq!(sequences.counts.read().unwrap(), array![2, 1].into_dyn());
        for (batch, expected) in [
            (vec![&[1][..]; 3], "3 sequences; the batch has room for 2"),
            (vec![&[1, 2, 3, 4][..]], "a sequence of 4 symbols: expected 1 to 3"),
            (vec![&[][..]], "a sequence of 0 symbols"),
        ] {
            let error = sequences.write(&batch).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_decoder_is_told_what_it_should_have_written() {
        let lines = Lines::new(&Device::cpu(), [2, 2], 9, [7, 8]).unwrap();
        lines.write(&[&[1, 2], &[3]]).unwrap();
        assert_eq!(lines.told.read().unwrap(), array![[7, 7], [1, 3], [2, 7]].into_dyn());
        let wanted = array![[1, 3], [2, 8], [8, IGNORED]].into_dyn();
        assert_eq!(lines.wanted.tensor().read().unwrap(), wanted);
        assert!(lines.write(&[&[1, 2, 3], &[1]]).is_err() && lines.write(&[&[1]]).is_err());
    }
}
