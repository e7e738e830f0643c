//! Beam search: the best texts of a decoder, found on the device.

use super::hypothesis::{Hypothesis, ranked};
use super::pack::row_lanes;
use super::state::DeviceState;
use crate::device::{Device, block_on};
use crate::error::{Error, Result};
use crate::kernels::{BeamParams, FLAT, GatherParams, Kernel, LogSumExpParams, MAX_BEAMS, Variant, beam_tile};
use crate::memory;
use crate::plan::{BufferId, PlanBuilder, Value};
use crate::readback::{Readable, Request, Words, read_together_async};
use crate::tensor::Tensor;
use ndarray::{ArrayD, ArrayView2};

/// How [`PlanBuilder::beam_search`] searches.
///
/// A beam is a text that begins with the start token. At each step every beam is continued by every token v, which adds
/// log softmax(logits)\[v\] to its score, and the best `beams` of these continuations become the beams of the next step. A beam that
/// has written the end token keeps its score. When the search is over, texts Y of |Y| tokens, the end token included, are ranked by
///
/// log P(Y) / lp(Y), with lp(Y) = ((5 + |Y|) / 6)^α
///
/// which is the length normalisation of Wu et al. 2016 (equation 14). Without it, short texts win, since each token lowers log P.
///
/// ```
/// use wgrnn::BeamSearch;
/// // Token 0 begins a text, token 1 ends it, and no text is longer than 20 tokens.
/// let search = BeamSearch::new(0, 1, 20).beams(8).alpha(0.8);
/// # let _ = search;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BeamSearch {
    start: u32,
    end: u32,
    steps: usize,
    beams: usize,
    alpha: f32,
}

impl BeamSearch {
    /// Searches with 4 beams and α = 0.6 (the values of Vaswani et al. 2017) for texts that begin with one token, end with another
    /// one or after so many steps.
    #[must_use]
    pub const fn new(start: u32, end: u32, steps: usize) -> Self {
        Self { start, end, steps, beams: 4, alpha: 0.6 }
    }

    /// Sets how many texts of a sequence are followed at once: 1, which is greedy, to 256.
    #[must_use]
    pub const fn beams(self, beams: usize) -> Self {
        Self { beams, ..self }
    }

    /// Sets α: 0 ranks by log P(Y), larger numbers prefer longer texts.
    #[must_use]
    pub const fn alpha(self, alpha: f32) -> Self {
        Self { alpha, ..self }
    }

    fn check(&self) -> Result<()> {
        if !(1..=MAX_BEAMS).contains(&self.beams) {
            return Err(Error::value("beams of a beam search", format!("from 1 to {MAX_BEAMS}"), self.beams));
        }
        if self.steps == 0 {
            return Err(Error::value("steps of a beam search", "at least 1", self.steps));
        }
        if !self.alpha.is_finite() {
            return Err(Error::value("alpha of a beam search", "a finite number", self.alpha));
        }
        Ok(())
    }

    /// A text's score.
    fn normalised(&self, log_probability: f32, tokens: usize) -> f32 {
        (f64::from(log_probability) / ((5.0 + tokens as f64) / 6.0).powf(f64::from(self.alpha))) as f32
    }
}

/// The beams of a search, made by [`PlanBuilder::beam_search`]: a batch of N sequences has N·K rows, the K beams of a sequence one after
/// the other.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{BeamSearch, Device, PlanBuilder, Tensor};
/// let device = Device::auto();
/// // A decoder without a memory: the last token alone says which one is likely next. Token 2 ends a text.
/// let table = Tensor::from_array(&device, array![[0., 1., 0.], [1., 0., 3.], [0., 0., 0.]].view())?;
/// let mut plan = PlanBuilder::new(&device);
/// let table = plan.tensor(&table)?;
/// let mut beams = plan.beam_search(&BeamSearch::new(0, 2, 5).beams(3), 1)?;
/// for _ in 0..5 {
///     let logits = plan.embedding(&table, &beams.tokens())?; // [1·3, 3]
///     beams.advance(&mut plan, &logits)?;
///     // Recurrent layers: beams.follow_state(&mut plan, &state)?
/// }
/// plan.build()?.run()?;
/// let found = beams.read()?; // for each sequence its texts, the best one first
/// assert_eq!(found[0][0].tokens, [1]);
/// # Ok(())
/// # }
/// ```
pub struct Beams {
    search: BeamSearch,
    batch: usize,
    device: Device,
    /// [steps + 1, N·K].
    tokens: Tensor<u32>,
    /// [steps + 1, N·K].
    scores: Tensor,
    /// [steps, N·K]: the row that each one continues.
    parents: Tensor<u32>,
    values: [Value; 3],
    step: usize,
}

impl PlanBuilder {
    /// Starts a beam search for N sequences. [`Beams`] has the operations of its steps, and gives the texts when the plan has run. Nothing
    /// comes back to the host between steps.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where beams are not from 1 to 256, there are no steps, or α is not finite; the errors of allocating
    /// memory.
    pub fn beam_search(&mut self, search: &BeamSearch, batch: usize) -> Result<Beams> {
        search.check()?;
        let device = self.device().clone();
        let rows = batch.checked_mul(search.beams).filter(|&rows| rows > 0).ok_or_else(|| {
            Error::value("sequences of a beam search", "at least 1, and rows that can be counted", batch)
        })?;
        // More steps than can be counted are more than any array holds.
        let shape = [search.steps.saturating_add(1), rows];
        let tokens = Tensor::<u32>::zeros(&device, &shape)?;
        let scores = Tensor::<f32>::zeros(&device, &shape)?;
        let parents = Tensor::<u32>::zeros(&device, &[search.steps, rows])?;
        // At first there is one beam: others would be its copies.
        let (name, count) = ("first beams", shape[0] * rows);
        let first = |place: usize| if place.is_multiple_of(search.beams) { 0.0 } else { f32::NEG_INFINITY };
        scores.write(view(&memory::collected(name, count, (0..count).map(first))?, shape)?)?;
        tokens.write(view(&memory::filled(name, count, search.start)?, shape)?)?;
        let values = [self.tensor(&tokens)?, self.tensor(&scores)?, self.tensor(&parents)?];
        Ok(Beams { search: *search, batch, device, tokens, scores, parents, values, step: 0 })
    }
}

impl Beams {
    /// N·K: the rows of tokens, logits and states.
    pub fn rows(&self) -> usize {
        self.batch * self.search.beams
    }

    /// The last token of each beam, u32 `[N·K]`: at first the start token.
    pub fn tokens(&self) -> Value {
        let mut tokens = self.values[0].clone();
        tokens.offset += self.step * self.rows();
        tokens.shape = vec![self.rows()];
        tokens.strides = vec![1];
        tokens
    }

    /// Continues the beams by the logits [N·K, C] of the next token. Log-probabilities may come in their place.
    ///
    /// Of equal candidates the one of the first beam counts as larger, then the one of the first token: the same logits give the same
    /// beams on every device, but where two candidates are equal within rounding. The new beams are in the order of those that they
    /// continue. Logits of −∞ are never chosen. A beam with a logit that is NaN or +∞ is not continued; where all beams of a sequence
    /// have one, nothing is found for it.
    ///
    /// What the decoder remembers of the beams has to follow them: see [`follow`](Self::follow) and
    /// [`follow_state`](Self::follow_state).
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) for logits of another shape; [`Value`](Error::Value) where start or end are no tokens of the logits, or the
    /// search has made all of its steps; [`OtherPlan`](Error::OtherPlan).
    pub fn advance(&mut self, plan: &mut PlanBuilder, logits: &Value) -> Result<()> {
        let [tokens, scores, parents] = &self.values;
        plan.owns(tokens, "beams")?;
        plan.expect(logits, "logits of a beam search", false)?;
        let rows = self.rows();
        let &[got, columns] = logits.shape() else {
            return Err(Error::shape("logits of a beam search", format!("[{rows}, tokens]"), logits.shape()));
        };
        if got != rows {
            return Err(Error::shape("logits of a beam search", [rows, columns], logits.shape()));
        }
        for (name, token) in [("start", self.search.start), ("end", self.search.end)] {
            if token as usize >= columns {
                let name = format!("{name} token of a beam search");
                return Err(Error::value(name, format!("less than {columns}, the columns of the logits"), token));
            }
        }
        if self.step == self.search.steps {
            let steps = self.search.steps;
            return Err(Error::value(
                "step of a beam search",
                format!("one of {steps}, for which it was made"),
                steps + 1,
            ));
        }
        let norms = emit_log_sums(plan, logits, rows, columns);
        let candidates = plan.workspace("candidates of a beam search", rows * columns);
        let params = BeamParams {
            batch: self.batch,
            beams: self.search.beams,
            columns,
            end: self.search.end,
            begins: self.step == 0,
            now: self.step * rows,
            logits_offset: logits.offset,
            infinity: f32::INFINITY,
        };
        let limits = plan.device().plan_limits();
        let tile = beam_tile(self.search.beams, self.search.beams * columns, limits.trips);
        let variant = Variant::plain(Kernel::Beam, tile, plan.device().panel());
        let bindings = vec![logits.buffer, norms, candidates, scores.buffer, tokens.buffer, parents.buffer];
        plan.draft.dispatch(variant, bindings, &params.words());
        plan.record("beam search", &[logits, scores], &[scores, tokens, parents]);
        self.step += 1;
        Ok(())
    }

    /// The rows of the beams that the last step continued, in the order of the new beams: `value`, [N·K, ...], becomes another one of
    /// this shape.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the first axis is not N·K, [`Value`](Error::Value) for indices and before the first step,
    /// [`OtherPlan`](Error::OtherPlan).
    pub fn follow(&self, plan: &mut PlanBuilder, value: &Value) -> Result<Value> {
        let parents = self.parents(plan)?;
        plan.expect_view(value, "value that follows beams", false)?;
        if value.shape().first() != Some(&self.rows()) {
            return Err(Error::shape("value that follows beams", format!("[{}, ...]", self.rows()), value.shape()));
        }
        let table = plan.contiguous(value)?.reshape(&[self.rows(), value.len() / self.rows()])?;
        plan.embedding(&table, &parents)?.reshape(value.shape())
    }

    /// Makes the state of a recurrent layer that of the beams that the last step continued, in the order of the new beams.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a state of another batch than N·K and before the first step, [`OtherDevice`](Error::OtherDevice),
    /// [`OtherPlan`](Error::OtherPlan).
    pub fn follow_state(&self, plan: &mut PlanBuilder, state: &DeviceState) -> Result<()> {
        let parents = self.parents(plan)?;
        if state.batch() != self.rows() {
            return Err(Error::value("batch of a state that follows beams", self.rows(), state.batch()));
        }
        for part in [Some(state.h()), state.c()].into_iter().flatten() {
            let part = plan.tensor(&part)?;
            self.reorder(plan, &part, &parents);
        }
        Ok(())
    }

    /// Rows of each layer and direction of [L·D, N·K, features], in the order of their parents.
    fn reorder(&self, plan: &mut PlanBuilder, part: &Value, parents: &Value) {
        let (rows, layers, features) = (self.rows(), part.shape[0], part.shape[2]);
        let moved = plan.workspace("states that follow their beams", part.len());
        let copy = |plan: &mut PlanBuilder, [from, to]: [BufferId; 2], params: GatherParams| {
            let params = GatherParams {
                table_row: features,
                columns: features,
                out_row: features,
                nan: f32::NAN,
                row_lanes: row_lanes(params.m * features),
                ..params
            };
            let variant = Variant::plain(Kernel::Gather, FLAT, plan.device().panel());
            plan.draft.dispatch(variant, vec![from, parents.buffer, to], &params.words());
        };
        for layer in 0..layers {
            let params = GatherParams {
                m: rows,
                table_rows: rows,
                table_offset: part.offset + layer * rows * features,
                indexed: true,
                index_offset: parents.offset,
                out_offset: layer * rows * features,
                ..GatherParams::default()
            };
            copy(plan, [part.buffer, moved], params);
        }
        let all = layers * rows;
        let params = GatherParams { m: all, table_rows: all, out_offset: part.offset, ..GatherParams::default() };
        copy(plan, [moved, part.buffer], params);
        plan.record("states that follow their beams", &[part], &[part]);
    }

    /// Which row each beam continues, after the first step.
    fn parents(&self, plan: &PlanBuilder) -> Result<Value> {
        plan.owns(&self.values[2], "beams")?;
        let step = self.step.checked_sub(1);
        let step =
            step.ok_or_else(|| Error::value("beams to follow", "those after Beams::advance", "those at the start"))?;
        let mut parents = self.values[2].clone();
        parents.offset += step * self.rows();
        parents.shape = vec![self.rows()];
        parents.strides = vec![1];
        Ok(parents)
    }

    /// The texts of each sequence after a run of the plan, the best one first. There are K of them, or fewer where fewer are possible.
    /// A text that has not ended after all steps counts like others.
    ///
    /// # Errors
    /// [`Gpu`](Error::Gpu) where wgpu or the driver complain.
    pub fn read(&self) -> Result<Vec<Vec<Hypothesis>>> {
        block_on(self.read_async())
    }

    /// The asynchronous form of [`Beams::read`].
    ///
    /// # Errors
    /// As [`Beams::read`].
    pub async fn read_async(&self) -> Result<Vec<Vec<Hypothesis>>> {
        read_together_async(self).await
    }

    /// The text that ends in a row.
    fn text(&self, tokens: &ArrayD<u32>, parents: &ArrayD<u32>, row: usize) -> Vec<u32> {
        let mut row = row;
        let mut text = Vec::with_capacity(self.step);
        for step in (0..self.step).rev() {
            text.push(tokens[[step + 1, row]]);
            row = parents[[step, row]] as usize;
        }
        text.reverse();
        text
    }
}

impl Readable for Beams {
    type Host = Vec<Vec<Hypothesis>>;

    fn request<'a>(&'a self, request: &mut Request<'a>) -> Result<()> {
        self.tokens.request(request)?;
        self.scores.request(request)?;
        self.parents.request(request)
    }

    fn receive(&self, words: &mut Words) -> Result<Self::Host> {
        let tokens = self.tokens.receive(words)?;
        let scores = self.scores.receive(words)?;
        let parents = self.parents.receive(words)?;
        let hypothesis = |row: usize| {
            let log_probability = scores[[self.step, row]];
            let mut text = self.text(&tokens, &parents, row);
            let ended = text.iter().position(|&token| token == self.search.end);
            let length = ended.map_or(text.len(), |end| end + 1);
            text.truncate(ended.unwrap_or(length));
            let score = self.search.normalised(log_probability, length);
            Hypothesis { tokens: text, score, log_probability }
        };
        let rows = |n: usize| n * self.search.beams..(n + 1) * self.search.beams;
        let found = |row: &usize| scores[[self.step, *row]] > f32::NEG_INFINITY;
        Ok((0..self.batch).map(|n| ranked(rows(n).filter(found).map(hypothesis).collect())).collect())
    }
}

impl std::fmt::Debug for Beams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { search, batch, device, step, .. } = self;
        f.debug_struct("Beams")
            .field("search", search)
            .field("batch", batch)
            .field("device", device)
            .field("step", step)
            .finish_non_exhaustive()
    }
}

/// Numbers as rows.
fn view<T>(numbers: &[T], shape: [usize; 2]) -> Result<ArrayView2<'_, T>> {
    ArrayView2::from_shape(shape, numbers).map_err(|_| Error::shape("first beams", shape, [numbers.len()]))
}

/// log Σ exp of each row of logits.
pub(super) fn emit_log_sums(plan: &mut PlanBuilder, logits: &Value, rows: usize, columns: usize) -> BufferId {
    let norms = plan.workspace("norms of logits", rows);
    let params =
        LogSumExpParams { m: rows, columns, x_offset: logits.offset, nan: f32::NAN, row_groups: rows.min(1 << 15) };
    let variant = Variant::plain(Kernel::LogSumExp, FLAT, plan.device().panel());
    plan.draft.dispatch(variant, vec![logits.buffer, norms], &params.words());
    norms
}
