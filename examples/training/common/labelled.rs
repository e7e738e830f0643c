//! Sequences with labels that nobody has aligned, for connectionist temporal classification: class 0 is the blank, and label k is
//! class k + 1.

use crate::plots::Aligned;
use crate::reading::Reading;
use anyhow::{Context, Result};
use ndarray::{Array2, Array3, ArrayView2, Axis, Ix3, s};
use wgrnn::plan::Value;
use wgrnn::{BatchLengths, CtcDecoded, CtcDecoding, CtcOptions, CtcTargets, Rnn, Tape, Tensor};

/// A batch of them on the device.
#[derive(Debug)]
pub struct Labelled {
    /// [steps, N, features]; what is beyond a sequence's end is 0.
    pub inputs: Tensor,
    /// For the recurrent layer.
    pub lengths: BatchLengths,
    targets: CtcTargets,
    stride: usize,
}

/// A sequence [steps, features] and its labels.
pub type Example<'a> = (ArrayView2<'a, f32>, &'a [usize]);

impl Labelled {
    /// Memory for N sequences of up to so many `steps` and so many labels; the recurrent layer has a step for each `stride` of theirs.
    ///
    /// # Errors
    ///
    /// Those of the device.
    pub fn new(
        rnn: &Rnn,
        [steps, size, features]: [usize; 3],
        stride: usize,
        [labels, longest]: [usize; 2],
    ) -> Result<Self> {
        let shape = [steps.div_ceil(stride), size, labels + 1];
        Ok(Self {
            inputs: Tensor::zeros(rnn.device(), &[steps, size, features])?,
            lengths: rnn.batch_lengths(shape[0], size)?,
            targets: CtcTargets::new(rnn.device(), shape, longest, &CtcOptions::default())?,
            stride,
        })
    }

    /// The most sequences.
    pub fn size(&self) -> usize {
        self.inputs.shape()[1]
    }

    /// Copies sequences to the device. Where they are fewer than N, the others count for nothing.
    ///
    /// # Errors
    ///
    /// More or longer sequences than there is memory for, labels that are no classes.
    pub fn write(&self, examples: &[Example<'_>]) -> Result<()> {
        let &[most, size, features] = self.inputs.shape() else { return Ok(()) };
        let mut inputs = Array3::zeros((most, size, features));
        let mut steps = vec![0; size];
        for (n, (input, _)) in examples.iter().enumerate() {
            let place = input.nrows() <= most && n < size && input.ncols() == features;
            anyhow::ensure!(place, "sequence {n} of {:?} does not fit in {:?}", input.dim(), self.inputs.shape());
            inputs.slice_mut(s![..input.nrows(), n, ..]).assign(input);
            steps[n] = input.nrows().div_ceil(self.stride);
        }
        self.inputs.write(inputs.view())?;
        self.lengths.write(&steps)?;
        let classes = |labels: &[usize]| labels.iter().map(|&label| label as u32 + 1).collect::<Vec<_>>();
        let labels: Vec<_> = examples.iter().map(|(_, labels)| classes(labels)).collect();
        let steps: Vec<u32> = steps.iter().take(labels.len()).map(|&steps| steps as u32).collect();
        Ok(self.targets.write(&labels, &steps)?)
    }

    /// Labels [N, S], steps \[N\] and numbers of labels \[N\], as [`Tape::ctc`] takes them.
    ///
    /// # Errors
    ///
    /// A tape of another device.
    pub fn targets(&self, tape: &mut Tape) -> wgrnn::Result<[Value; 3]> {
        let targets = &self.targets;
        Ok([tape.input(targets.labels())?, tape.input(targets.input_lengths())?, tape.input(targets.label_lengths())?])
    }
}

/// What a network makes of a sequence.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The labels found.
    pub labels: Vec<usize>,
    /// How probable each class is at each step: [classes, steps].
    pub probabilities: Array2<f32>,
}

impl Heard {
    /// A picture of the sequence, its first feature at the bottom, above the probabilities of the blank and the labels that some step finds
    /// likely. `name` writes labels.
    pub fn panel(&self, (input, wanted): Example<'_>, name: fn(&[usize]) -> String) -> Aligned {
        let is_likely = |class: &usize| *class == 0 || self.probabilities.row(*class).iter().any(|&p| p > 0.1);
        let likely: Vec<usize> = (0..self.probabilities.nrows()).filter(is_likely).collect();
        let label = |&class: &usize| class.checked_sub(1).map_or("blank".to_owned(), |label| name(&[label]));
        let is_wrong = self.labels != wanted;
        Aligned {
            input: input.t().slice(s![..;-1, ..]).to_owned(),
            probabilities: self.probabilities.select(Axis(0), &likely),
            labels: likely.iter().map(label).collect(),
            text: if is_wrong { format!("{}, is {}", name(&self.labels), name(wanted)) } else { name(wanted) },
            is_wrong,
        }
    }
}

/// A network that finds labels.
pub struct Recogniser {
    batch: Labelled,
    reading: Reading,
    decoded: CtcDecoded,
}

impl Recogniser {
    /// Of a batch, and of the tape for evaluation that reads it, with the network's scores [T, N, classes].
    ///
    /// # Errors
    ///
    /// What the tape can't do.
    pub fn new(batch: Labelled, mut tape: Tape, scores: &Value, decoding: CtcDecoding) -> Result<Self> {
        let [_, steps, _] = batch.targets(&mut tape)?;
        let decoded = tape.plan().ctc_decode(scores, Some(&steps), &decoding)?;
        let probabilities = tape.softmax(scores, 2, None)?;
        Ok(Self { batch, reading: Reading::new(tape, &probabilities)?, decoded })
    }

    /// The labels of sequences, as many at once as there is room for.
    ///
    /// # Errors
    ///
    /// Sequences that do not fit; a device that is lost.
    pub fn recognise(&self, examples: &[Example<'_>]) -> Result<Vec<Heard>> {
        let mut all = Vec::new();
        for some in examples.chunks(self.batch.size()) {
            self.batch.write(some)?;
            let probabilities = self.reading.run()?.into_dimensionality::<Ix3>().context("probabilities")?;
            for (n, (found, (input, _))) in self.decoded.read()?.iter().zip(some).enumerate() {
                let steps = input.nrows().div_ceil(self.batch.stride);
                let best = found.first().map(|best| best.tokens.as_slice()).unwrap_or_default();
                let labels = best.iter().map(|&class| (class as usize).saturating_sub(1)).collect();
                let probabilities = probabilities.index_axis(Axis(1), n).slice(s![..steps, ..]).t().to_owned();
                all.push(Heard { labels, probabilities });
            }
        }
        Ok(all)
    }

    /// The mean loss of sequences.
    ///
    /// # Errors
    ///
    /// Those of [`recognise`](Self::recognise).
    pub fn loss(&self, examples: &[Example<'_>]) -> Result<f64> {
        let mut sum = 0.0;
        for some in examples.chunks(self.batch.size()) {
            self.batch.write(some)?;
            sum += self.reading.loss()? * some.len() as f64;
        }
        Ok(sum / examples.len().max(1) as f64)
    }
}
