//! The labels that a network trained with a CTC loss has read.

use super::beam_search::emit_log_sums;
use super::hypothesis::{Hypothesis, ranked};
use crate::device::block_on;
use crate::error::{Error, Result};
use crate::kernels::{
    CtcBeamParams, CtcGreedyParams, Kernel, MAX_BEAMS, Variant, beam_entries, beam_numbers, ctc_beam_tile,
    ctc_beam_trips, greedy_tile,
};
use crate::memory;
use crate::plan::{BufferId, PlanBuilder, Value};
use crate::readback::{Readable, Request, Words, read_together_async};
use crate::tensor::{Tensor, elements};

/// How [`PlanBuilder::ctc_decode`] finds labels.
///
/// ```
/// use wgrnn::CtcDecoding;
/// let decoding = CtcDecoding::beam_search(32).blank(28);
/// # let _ = decoding;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CtcDecoding {
    /// None where it is greedy.
    beams: Option<usize>,
    blank: u32,
}

impl CtcDecoding {
    /// Takes the most probable class of each step, the first of equal ones, and drops repetitions and then blanks: best path decoding
    /// (Graves et al. 2006). Class 0 is the blank.
    #[must_use]
    pub const fn greedy() -> Self {
        Self { beams: None, blank: 0 }
    }

    /// Follows this many sequences of labels at once, 1 to 256, each with the sum of the probabilities of all alignments that give it:
    /// prefix beam search (Graves 2012, section 7.5.3; Hannun et al. 2014). The sums lack those alignments whose beginnings were not
    /// among the best. Class 0 is the blank.
    #[must_use]
    pub const fn beam_search(beams: usize) -> Self {
        Self { beams: Some(beams), blank: 0 }
    }

    /// Sets the class that stands for no label.
    #[must_use]
    pub const fn blank(self, blank: u32) -> Self {
        Self { blank, ..self }
    }

    fn check(&self, classes: usize) -> Result<()> {
        if let Some(beams) = self.beams.filter(|beams| !(1..=MAX_BEAMS).contains(beams)) {
            return Err(Error::value("beams of CTC decoding", format!("from 1 to {MAX_BEAMS}"), beams));
        }
        if self.blank as usize >= classes {
            return Err(Error::value("blank of CTC decoding", format!("a class, less than {classes}"), self.blank));
        }
        Ok(())
    }
}

/// Labels on the device, made by [`PlanBuilder::ctc_decode`].
#[derive(Clone, Debug)]
pub struct CtcDecoded {
    steps: usize,
    batch: usize,
    found: Found,
}

#[derive(Clone, Debug)]
enum Found {
    /// Labels [N, T], counts and faults [N, 2], scores `[N]`.
    Path { labels: Tensor<u32>, heads: Tensor<u32>, scores: Tensor },
    /// See the kernel.
    Prefixes { beams: usize, numbers: Tensor, entries: Tensor<u32>, tree: Tensor<u32> },
}

/// What both ways of decoding read.
struct Source<'v> {
    logits: &'v Value,
    lengths: BufferId,
    lengths_offset: usize,
    norms: BufferId,
    /// T, N, C.
    shape: [usize; 3],
}

impl PlanBuilder {
    /// Finds the labels of sequences from `logits`, [T, N, C], of C classes, one of which is the blank; log-probabilities may come in their
    /// place. It is the way back from [`Tape::ctc`](crate::Tape): an alignment has a class for each step, and becomes the labels when
    /// repetitions are merged and then blanks dropped. `lengths`, u32 `[N]`, are the steps of each sequence, from 0 to T; without them all
    /// have T. Nothing comes back to the host between steps; [`CtcDecoded::read`] gives the labels when the plan has run.
    ///
    /// Of equal scores the first one counts as larger, in the order of prefixes and classes: the same logits give the same labels on
    /// every device, but where two scores are equal within rounding. Without steps the labels are empty and have probability 1. A
    /// sequence with a logit that is NaN or +∞, or a step where all are −∞, among its steps has no labels, and NaN for its score.
    ///
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// use ndarray::array;
    /// use wgrnn::{CtcDecoding, Device, PlanBuilder, Tensor};
    /// let device = Device::auto();
    /// // Two steps, each blank with probability 0.6 and label 1 with 0.4: "1" has 1 − 0.6² = 0.64.
    /// let steps = array![[[0.6_f32, 0.4]], [[0.6, 0.4]]].mapv(f32::ln);
    /// let logits = Tensor::from_array(&device, steps.view())?;
    /// let mut plan = PlanBuilder::new(&device);
    /// let logits = plan.tensor(&logits)?;
    /// let greedy = plan.ctc_decode(&logits, None, &CtcDecoding::greedy())?;
    /// let beams = plan.ctc_decode(&logits, None, &CtcDecoding::beam_search(4))?;
    /// plan.build()?.run()?;
    /// assert!(greedy.read()?[0][0].tokens.is_empty());
    /// let best = &beams.read()?[0][0];
    /// assert_eq!(best.tokens, [1]);
    /// assert!((best.log_probability.exp() - 0.64).abs() < 1e-5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where logits are not [T, N, C] or lengths not `[N]`; [`Value`](Error::Value) where beams are not from 1 to
    /// 256 or the blank is beyond C; the errors of allocating memory.
    pub fn ctc_decode(
        &mut self,
        logits: &Value,
        lengths: Option<&Value>,
        decoding: &CtcDecoding,
    ) -> Result<CtcDecoded> {
        self.expect(logits, "logits of CTC decoding", false)?;
        let &[steps, batch, classes] = logits.shape() else {
            return Err(Error::shape("logits of CTC decoding", "[T, N, C]", logits.shape()));
        };
        decoding.check(classes)?;
        let (lengths, lengths_offset) = match lengths {
            Some(lengths) => {
                self.expect(lengths, "lengths of CTC decoding", true)?;
                if lengths.shape() != [batch] {
                    return Err(Error::shape("lengths of CTC decoding", [batch], lengths.shape()));
                }
                (lengths.buffer, lengths.offset)
            }
            None => (self.constant("all steps", &memory::filled("lengths", batch, steps as u32)?), 0),
        };
        let norms = emit_log_sums(self, logits, steps * batch, classes);
        let source = Source { logits, lengths, lengths_offset, norms, shape: [steps, batch, classes] };
        let found = match decoding.beams {
            None => self.best_path(&source, decoding.blank)?,
            Some(beams) => self.prefixes(&source, decoding.blank, beams)?,
        };
        Ok(CtcDecoded { steps, batch, found })
    }

    fn best_path(&mut self, source: &Source<'_>, blank: u32) -> Result<Found> {
        let [steps, batch, classes] = source.shape;
        let device = self.device().clone();
        let labels = Tensor::<u32>::zeros(&device, &[batch, steps])?;
        let heads = Tensor::<u32>::zeros(&device, &[batch, 2])?;
        let scores = Tensor::zeros(&device, &[batch])?;
        let best = Value { is_index: true, ..self.fresh("best classes", &[steps * batch])? };
        self.argmax(&source.logits.reshape(&[steps * batch, classes])?, &best)?;
        let [to_labels, to_heads, to_scores] = [self.tensor(&labels)?, self.tensor(&heads)?, self.tensor(&scores)?];
        let params = CtcGreedyParams {
            batch,
            steps,
            classes,
            blank: blank as usize,
            logits_offset: source.logits.offset,
            lengths_offset: source.lengths_offset,
            nan: f32::NAN,
        };
        let tile = greedy_tile(steps, self.device().plan_limits().trips);
        let variant = Variant::plain(Kernel::CtcGreedy, tile, self.device().panel());
        let [labels_to, heads_to, scores_to] = [&to_labels, &to_heads, &to_scores].map(|value| value.buffer);
        let bindings =
            vec![source.logits.buffer, source.norms, best.buffer, source.lengths, labels_to, heads_to, scores_to];
        self.draft.dispatch(variant, bindings, &params.words());
        self.record("ctc decoding", &[source.logits], &[&to_labels, &to_heads, &to_scores]);
        Ok(Found::Path { labels, heads, scores })
    }

    fn prefixes(&mut self, source: &Source<'_>, blank: u32, beams: usize) -> Result<Found> {
        let [steps, batch, classes] = source.shape;
        let device = self.device().clone();
        let numbers = Tensor::<f32>::zeros(&device, &[batch, beam_numbers(beams)])?;
        let entries = Tensor::<u32>::zeros(&device, &[batch, beam_entries(beams)])?;
        let tree = Tensor::<u32>::zeros(&device, &[batch, steps, beams, 2])?;
        let to = [self.tensor(&numbers)?, self.tensor(&entries)?, self.tensor(&tree)?];
        let candidates = self.workspace("candidates of CTC decoding", elements(&[batch, beams, classes])?);
        let limit = self.device().plan_limits().trips;
        let tile = ctc_beam_tile(beams, classes, limit);
        let variant = Variant::plain(Kernel::CtcBeam, tile, self.device().panel());
        let at_once = usize::try_from(limit / ctc_beam_trips(tile, beams, classes)).unwrap_or(usize::MAX).max(1);
        for start in (0..steps).step_by(at_once) {
            let params = CtcBeamParams {
                batch,
                steps,
                classes,
                beams,
                blank: blank as usize,
                start,
                end: steps.min(start.saturating_add(at_once)),
                logits_offset: source.logits.offset,
                lengths_offset: source.lengths_offset,
                infinity: f32::INFINITY,
                nan: f32::NAN,
            };
            let [numbers, entries, tree] = [&to[0], &to[1], &to[2]].map(|value| value.buffer);
            let bindings = vec![source.logits.buffer, source.norms, source.lengths, candidates, numbers, entries, tree];
            self.draft.dispatch(variant.clone(), bindings, &params.words());
        }
        self.record("ctc decoding", &[source.logits], &[&to[0], &to[1], &to[2]]);
        Ok(Found::Prefixes { beams, numbers, entries, tree })
    }
}

impl CtcDecoded {
    /// The labels of each sequence after a run of the plan, the best ones first: one hypothesis for greedy decoding, else as many as there
    /// are beams, or fewer where fewer are possible. Their scores are the logarithms of their probabilities: of the one alignment for
    /// greedy decoding.
    ///
    /// # Errors
    /// [`Value`](Error::Value) with the first sequence whose length is beyond T; [`Gpu`](Error::Gpu) where wgpu or the driver complain.
    pub fn read(&self) -> Result<Vec<Vec<Hypothesis>>> {
        block_on(self.read_async())
    }

    /// The asynchronous form of [`CtcDecoded::read`].
    ///
    /// # Errors
    /// As [`CtcDecoded::read`].
    pub async fn read_async(&self) -> Result<Vec<Vec<Hypothesis>>> {
        read_together_async(self).await
    }

    /// An error where a fault is set for a sequence.
    fn check_lengths(&self, mut faults: impl Iterator<Item = u32>) -> Result<()> {
        match faults.position(|fault| fault != 0) {
            Some(n) => {
                let expected = format!("at most {}, the steps of the logits", self.steps);
                Err(Error::value(format!("length of sequence {n} of CTC decoding"), expected, "more"))
            }
            None => Ok(()),
        }
    }
}

/// A text whose score is the logarithm of its probability; no text for NaN.
fn hypothesis(tokens: Vec<u32>, log_probability: f32) -> Hypothesis {
    let tokens = if log_probability.is_nan() { Vec::new() } else { tokens };
    Hypothesis { tokens, score: log_probability, log_probability }
}

impl Readable for CtcDecoded {
    type Host = Vec<Vec<Hypothesis>>;

    fn request<'a>(&'a self, request: &mut Request<'a>) -> Result<()> {
        match &self.found {
            Found::Path { labels, heads, scores } => {
                labels.request(request)?;
                heads.request(request)?;
                scores.request(request)
            }
            Found::Prefixes { numbers, entries, tree, .. } => {
                numbers.request(request)?;
                entries.request(request)?;
                tree.request(request)
            }
        }
    }

    fn receive(&self, words: &mut Words) -> Result<Self::Host> {
        match &self.found {
            Found::Path { labels, heads, scores } => {
                let (labels, heads, scores) = (labels.receive(words)?, heads.receive(words)?, scores.receive(words)?);
                self.check_lengths(heads.rows().into_iter().map(|head| head[1]))?;
                let text = |n: usize| (0..heads[[n, 0]] as usize).map(|s| labels[[n, s]]).collect();
                Ok((0..self.batch).map(|n| vec![hypothesis(text(n), scores[n])]).collect())
            }
            &Found::Prefixes { beams, ref numbers, ref entries, ref tree } => {
                let (numbers, entries, tree) = (numbers.receive(words)?, entries.receive(words)?, tree.receive(words)?);
                self.check_lengths(entries.rows().into_iter().map(|row| row[7 * beams]))?;
                let text = |n: usize, beam: usize| {
                    let (mut node, mut labels) = (entries[[n, beam]] as usize, Vec::new());
                    while let Some(at) = node.checked_sub(1) {
                        let place = [n, at / beams, at % beams];
                        labels.push(tree[[place[0], place[1], place[2], 1]]);
                        node = tree[[place[0], place[1], place[2], 0]] as usize;
                    }
                    labels.reverse();
                    labels
                };
                let of_sequence = |n: usize| {
                    if numbers[[n, 3 * beams]].is_nan() {
                        return vec![hypothesis(Vec::new(), f32::NAN)];
                    }
                    let scores = (0..beams).map(|beam| (beam, numbers[[n, 2 * beams + beam]]));
                    let found = scores.filter(|(_, score)| *score > f32::NEG_INFINITY);
                    ranked(found.map(|(beam, score)| hypothesis(text(n, beam), score)).collect())
                };
                Ok((0..self.batch).map(of_sequence).collect())
            }
        }
    }
}
