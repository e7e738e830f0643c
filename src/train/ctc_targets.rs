//! Labels and lengths of the CTC loss, checked on the host.

use super::ctc::CtcOptions;
use super::losses::IGNORED;
#[cfg(doc)]
use super::tape::Tape;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use ndarray::{Array1, Array2};

/// Labels and lengths for [`Tape::ctc`]. [`write`](Self::write) checks them before they reach the device, where nobody can say
/// which sequence is wrong.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{CtcOptions, CtcTargets, Device};
/// // Logits [50, 3, 29]: up to 50 steps of 3 sequences, 28 characters and the blank; up to 20 labels a sequence.
/// let targets = CtcTargets::new(&Device::auto(), [50, 3, 29], 20, &CtcOptions::default())?;
/// // The third sequence is left out.
/// targets.write(&[vec![8, 5, 12, 12, 15], vec![]], &[50, 31])?;
/// let error = targets.write(&[[8, 29]], &[50]).unwrap_err();
/// assert!(error.to_string().contains("label 1 of sequence 0"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CtcTargets {
    labels: Tensor<u32>,
    input_lengths: Tensor<u32>,
    label_lengths: Tensor<u32>,
    steps: usize,
    classes: usize,
    blank: u32,
}

impl CtcTargets {
    /// Makes memory for logits of the shape \[T, N, C\] and up to `labels` labels of each sequence. Every sequence has no steps and
    /// no labels at first.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where the blank of the options is no class; as [`Tensor::zeros`].
    pub fn new(
        device: &Device,
        [steps, batch, classes]: [usize; 3],
        labels: usize,
        options: &CtcOptions,
    ) -> Result<Self> {
        options.check_blank(classes)?;
        Ok(Self {
            labels: Tensor::zeros(device, &[batch, labels])?,
            input_lengths: Tensor::zeros(device, &[batch])?,
            label_lengths: Tensor::zeros(device, &[batch])?,
            steps,
            classes,
            blank: options.blank,
        })
    }

    /// The labels, \[N, S\].
    pub fn labels(&self) -> &Tensor<u32> {
        &self.labels
    }

    /// The steps of each sequence, \[N\].
    pub fn input_lengths(&self) -> &Tensor<u32> {
        &self.input_lengths
    }

    /// The number of labels of each sequence, \[N\].
    pub fn label_lengths(&self) -> &Tensor<u32> {
        &self.label_lengths
    }

    /// Checks the labels and the steps of each sequence, and copies them to the device. Where there are fewer sequences than N, the
    /// last ones are left out. Sequences whose steps are too few for their labels are no error: see
    /// [`CtcOptions::zero_infinity`].
    ///
    /// # Errors
    /// [`Value`](Error::Value) where there is no sequence, or more than N; where the numbers of sequences and of input lengths
    /// differ; for a label that is the blank or no class; for more labels than S, or more steps than T.
    pub fn write(&self, labels: &[impl AsRef<[u32]>], input_lengths: &[u32]) -> Result<()> {
        let &[batch, most] = self.labels.shape() else { return Ok(()) };
        if labels.is_empty() || labels.len() > batch {
            return Err(Error::value("sequences of labels", format!("from 1 to {batch}"), labels.len()));
        }
        if input_lengths.len() != labels.len() {
            let expected = format!("{}, one for each sequence of labels", labels.len());
            return Err(Error::value("input lengths", expected, input_lengths.len()));
        }
        let mut table = Array2::zeros([batch, most]);
        let mut steps = Array1::zeros(batch);
        let mut counts = Array1::from_elem(batch, IGNORED);
        for (n, (labels, &input_length)) in labels.iter().zip(input_lengths).enumerate() {
            let labels = labels.as_ref();
            if labels.len() > most {
                return Err(Error::value(format!("labels of sequence {n}"), format!("at most {most}"), labels.len()));
            }
            if input_length as usize > self.steps {
                let expected = format!("at most {}", self.steps);
                return Err(Error::value(format!("input length of sequence {n}"), expected, input_length));
            }
            let is_wrong = |label: u32| label as usize >= self.classes || label == self.blank;
            if let Some(s) = labels.iter().position(|&label| is_wrong(label)) {
                let expected = format!("less than {}, and not {}, the blank", self.classes, self.blank);
                return Err(Error::value(format!("label {s} of sequence {n}"), expected, labels[s]));
            }
            table.row_mut(n).iter_mut().zip(labels).for_each(|(to, &label)| *to = label);
            steps[n] = input_length;
            counts[n] = labels.len() as u32;
        }
        self.labels.write(table.view())?;
        self.input_lengths.write(steps.view())?;
        self.label_lengths.write(counts.view())
    }
}
