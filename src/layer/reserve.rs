//! What training keeps of a forward pass, row by row.

use super::dropout::drop_numbers;
use super::emit::{Pass, RnnCall, copy_rows};
use super::rnn::Rnn;
use super::rows::{Lengths, RowMap};
use crate::cells::{Form, Width};
use crate::config::RnnConfig;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::GatherParams;
use crate::plan::{BufferId, PlanBuilder};
use crate::storage::Storage;
use crate::tensor::{Tensor, elements};

/// The columns of a row of the reserve: each phase's gates with what else its derivative needs, as its cell lists them;
/// then what the first phase gave to the second, if there is one; then what was normed, if something was; then the old h, and
/// behind it what training draws and the h without its mask. A forward pass without training has the gates' columns only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    /// First column of each phase.
    pub gates: [usize; 2],
    /// First column that each phase's derivative sees.
    pub fields: [usize; 2],
    pub between: usize,
    /// The old h.
    pub source: usize,
    /// Where there are layer norms: W's normed products, R's, and c'; and what they were multiplied with to be so.
    pub normed: usize,
    pub scales: usize,
    /// All, as whole vectors.
    pub width: usize,
}

impl Columns {
    pub fn new(form: &Form, hidden: usize, state: usize) -> Self {
        let phases = form.phases();
        let mut columns = Self { gates: [0; 2], fields: [0; 2], between: 0, source: 0, normed: 0, scales: 0, width: 0 };
        let mut at = 0;
        for (i, phase) in phases.iter().enumerate() {
            columns.gates[i] = at;
            // A projection has a column of its own; other derivatives see all gates of their cell.
            columns.fields[i] = if phase.units == Width::State { at } else { 0 };
            // The projection keeps nothing forwards, but leaves its gradient.
            let kept = if phase.input { phase.kept } else { phase.fields };
            at += kept * phase.units.of(hidden, state);
        }
        // A cell without R keeps its gates' sums, and has a column more for what the gradient of a diagonal is the sum of.
        at += form.cell.scan().map_or(0, |scan| (scan.gates + usize::from(scan.diagonal)) * hidden);
        columns.between = at;
        at += if phases.len() > 1 { hidden } else { 0 };
        if let Some(norm) = form.norm() {
            columns.normed = at;
            at += (2 * norm.groups.len() + usize::from(norm.has_c)) * hidden;
        }
        columns.source = at;
        // Last, since they are no whole number of vectors.
        columns.scales = at + state;
        let scales = if form.norm().is_some() { 5 } else { 0 };
        columns.width = (at + (1 + form.drawn_columns()) * state + scales).next_multiple_of(4);
        columns
    }
}

/// Memory on the device for what a forward pass keeps for the backward pass: of one stack of layers, shape and call.
pub struct Reserve {
    config: RnnConfig,
    steps: usize,
    batch: usize,
    lengths: Lengths,
    /// What the call asks for,
    asked: Option<usize>,
    /// and what is done: where a buffer can't hold all rows, those of as many steps as it can.
    keep_every: Option<usize>,
    device: Device,
    columns: Columns,
    /// Rows of a direction that `rows` holds: all, or those of the steps that are computed again together.
    chunk: usize,
    /// [D, chunk, columns] for each layer, or for all of them in turn.
    rows: Vec<Storage>,
    /// [T·N, D·H] for each layer but the last: what the next one read.
    outputs: Vec<Storage>,
    /// For each layer, h and c before every k-th step: [T/k, D·N, ·].
    kept: Vec<(Storage, Option<Storage>)>,
    /// Where dropout between layers and masks find their seed, and their first streams.
    seed: Option<(Tensor<u32>, [u32; 2])>,
}

impl Reserve {
    /// Allocates memory for a call of `rnn` on `steps` steps of `batch` sequences. It has no seed. Nothing is therefore
    /// dropped between layers, and layers with zoneout or recurrent dropout refuse it: [`Rnn::training`] and
    /// [`Tape::rnn`](crate::Tape::rnn) make reserves of their own.
    ///
    /// If the adapter allows no buffer that is large enough for a layer's rows, steps are computed again in parts, as
    /// with [`RnnCall::keep_every`], in as few parts as possible.
    ///
    /// # Errors
    /// [`Limit`](Error::Limit) where it allows none for the rows of one step, or for what one layer gives to the next.
    pub fn new(rnn: &Rnn, steps: usize, batch: usize, call: &RnnCall) -> Result<Self> {
        let config = rnn.config();
        let device = rnn.device();
        super::emit::sequence_sizes(config, &config.sequence_shape(steps, batch, config.input))?;
        let map = RowMap::of_call(device, config, steps, batch, &call.lengths)?;
        if call.keep_every == Some(0) {
            return Err(Error::value("keep_every", "at least 1", 0));
        }
        let columns = Columns::new(&config.form(), config.hidden, config.state_size());
        let row = config.tracks() * columns.width;
        let keep_every = call.keep_every.or_else(|| needed_parts(device, &map, row));
        // Sequences end but none begins: the first steps have the most rows.
        let chunk = map.offset(keep_every.unwrap_or(map.steps).min(map.steps));
        let zeros = |name: String, sizes: &[usize]| Storage::zeros(device, &name, elements(sizes)? as u64);
        let count = if keep_every.is_some() { 1 } else { config.layers };
        let rows = (0..count)
            .map(|layer| zeros(format!("reserve of layer {layer}"), &[config.tracks(), chunk, columns.width]));
        let outputs = (1..config.layers)
            .map(|layer| zeros(format!("output of layer {}", layer - 1), &[steps, batch, config.output_size()]));
        let states = config.tracks() * batch;
        let kept = (0..if keep_every.is_some() { config.layers } else { 0 }).map(|layer| {
            let count = map.steps.div_ceil(keep_every.unwrap_or(1));
            let h =
                zeros(format!("states of layer {layer}"), &[count, states, config.state_size().next_multiple_of(4)])?;
            let c = config.cell.has_cell_state();
            let c = c
                .then(|| zeros(format!("c of layer {layer}"), &[count, states, config.cell_state_size()]))
                .transpose()?;
            Ok((h, c))
        });
        Ok(Self {
            config: config.clone(),
            steps,
            batch,
            lengths: call.lengths.clone(),
            asked: call.keep_every,
            keep_every,
            device: device.clone(),
            columns,
            chunk,
            rows: rows.collect::<Result<_>>()?,
            outputs: outputs.collect::<Result<_>>()?,
            kept: kept.collect::<Result<_>>()?,
            seed: None,
        })
    }

    /// Lets dropout between layers, zoneout and recurrent dropout draw with a seed and a step, the first two words of a tensor;
    /// streams are counted on for each layer that they act on. Without a seed there is no dropout between layers, and layers
    /// with masks refuse to run.
    pub(crate) fn set_seed(&mut self, seed: &Tensor<u32>, streams: &mut u32) {
        let first = *streams;
        *streams += if self.config.dropout() > 0.0 { self.outputs.len() as u32 } else { 0 };
        let masks = *streams;
        *streams += if self.config.form().draws() { self.config.layers as u32 } else { 0 };
        self.seed = (*streams > first).then(|| (seed.clone(), [first, masks]));
    }

    /// Where a layer's masks find their seed, and their stream; none where it has no masks.
    pub(super) fn masks(&self, plan: &mut PlanBuilder, layer: usize) -> Option<(BufferId, u32)> {
        let (seed, [_, first]) = self.seed.as_ref().filter(|_| self.config.form().draws())?;
        Some((plan.external("seed", &seed.storage, 2), first + layer as u32))
    }

    /// Dropout on a layer's output, or on that output's gradient: the same numbers.
    pub(super) fn drop_numbers(&self, plan: &mut PlanBuilder, layer: usize, values: BufferId) {
        if let Some((seed, [first, _])) = self.seed.as_ref().filter(|_| self.config.dropout() > 0.0) {
            let seed = plan.external("seed", &seed.storage, 2);
            let count = self.steps * self.batch * self.config.output_size();
            drop_numbers(plan, seed, (values, 0), count, self.config.dropout(), first + layer as u32);
        }
    }

    /// How many bytes of device memory it takes.
    pub fn bytes(&self) -> u64 {
        let row = self.config.tracks() * self.chunk * self.columns.width;
        let output = self.steps * self.batch * self.config.output_size();
        let states = self.config.tracks() * self.batch;
        let count = self.keep_every.map_or(0, |every| self.steps.div_ceil(every));
        let state = self.config.state_size().next_multiple_of(4) + self.config.cell_state_size();
        let words = self.rows.len() * row + self.outputs.len() * output + self.kept.len() * count * states * state;
        4 * words as u64
    }

    /// Whether it is one of this layer and call.
    pub(super) fn check(&self, rnn: &Rnn, steps: usize, batch: usize, call: &RnnCall) -> Result<()> {
        if !self.device.is(rnn.device()) {
            return Err(Error::OtherDevice { tensor: "reserve".to_owned() });
        }
        if self.config.form().draws() && self.seed.is_none() {
            let expected = "one with a seed, as Rnn::training and Tape::rnn make it";
            return Err(Error::value("reserve of a layer with zoneout or recurrent dropout", expected, "none"));
        }
        let expected = (rnn.config(), steps, batch, &call.lengths, call.keep_every);
        let got = (&self.config, self.steps, self.batch, &self.lengths, self.asked);
        if expected == got { Ok(()) } else { Err(Error::shape("reserve (layer, T, N, lengths, kept)", expected, got)) }
    }

    /// Steps of a part, where what is computed again is computed in parts.
    pub(super) fn keep_every(&self) -> Option<usize> {
        self.keep_every
    }

    /// Whether nothing has to be computed again.
    pub(super) fn is_whole(&self) -> bool {
        self.keep_every.is_none()
    }

    /// Steps that are computed again together; all of them where none is.
    pub(super) fn every(&self) -> usize {
        self.keep_every.unwrap_or(self.steps)
    }

    /// Rows of a direction that a layer's rows hold.
    pub(super) fn chunk(&self) -> usize {
        self.chunk
    }

    pub(super) fn rows(&self, plan: &mut PlanBuilder, layer: usize) -> BufferId {
        let words = self.config.tracks() * self.chunk * self.columns.width;
        match self.rows.get(layer) {
            Some(rows) => plan.reserve(&format!("reserve of layer {layer}"), rows, words as u64),
            None => plan.reserve("reserve of all layers", &self.rows[0], words as u64),
        }
    }

    pub(super) fn output(&self, plan: &mut PlanBuilder, layer: usize) -> BufferId {
        let words = self.steps * self.batch * self.config.output_size();
        plan.reserve(&format!("output of layer {layer}"), &self.outputs[layer], words as u64)
    }

    /// Keeps the state before step `at · every`.
    pub(super) fn save(
        &self,
        plan: &mut PlanBuilder,
        pass: &Pass<'_>,
        layer: usize,
        at: usize,
        h: BufferId,
        c: BufferId,
    ) {
        for (from, to, width) in self.states(plan, pass, layer, h, c) {
            let states = pass.layer_states();
            let params = GatherParams {
                table_offset: (layer * states * width) as u32,
                out_offset: (at * states * width) as u32,
                ..state_rows(states, width)
            };
            copy_rows(plan, from, to, params);
        }
    }

    /// Puts it back.
    pub(super) fn restore(
        &self,
        plan: &mut PlanBuilder,
        pass: &Pass<'_>,
        layer: usize,
        at: usize,
        h: BufferId,
        c: BufferId,
    ) {
        for (to, from, width) in self.states(plan, pass, layer, h, c) {
            let states = pass.layer_states();
            let params = GatherParams {
                table_offset: (at * states * width) as u32,
                out_offset: (layer * states * width) as u32,
                ..state_rows(states, width)
            };
            copy_rows(plan, from, to, params);
        }
    }

    /// The live state, the kept ones, and their width.
    fn states(
        &self,
        plan: &mut PlanBuilder,
        pass: &Pass<'_>,
        layer: usize,
        h: BufferId,
        c: BufferId,
    ) -> Vec<(BufferId, BufferId, usize)> {
        let (kept_h, kept_c) = &self.kept[layer];
        let count = pass.rows.steps.div_ceil(self.every()) * pass.layer_states();
        let width = pass.h_width();
        let mut states =
            vec![(h, plan.reserve(&format!("states of layer {layer}"), kept_h, (count * width) as u64), width)];
        if let Some(kept) = kept_c {
            let width = self.config.cell_state_size();
            states.push((c, plan.reserve(&format!("c of layer {layer}"), kept, (count * width) as u64), width));
        }
        states
    }
}

/// How many steps' rows of so many words one buffer of a device holds, in parts of about one length; none where it holds all
/// steps', or not even one step's.
fn needed_parts(device: &Device, map: &RowMap, row: usize) -> Option<usize> {
    let most = device.plan_limits().binding_bytes / 4;
    let fits = |steps: usize| (map.offset(steps) as u64).saturating_mul(row as u64) <= most;
    let (mut least, mut beyond) = (0, map.steps);
    if fits(beyond) || !fits(1) {
        return None;
    }
    while beyond - least > 1 {
        let middle = least + (beyond - least) / 2;
        if fits(middle) { least = middle } else { beyond = middle }
    }
    Some(map.steps.div_ceil(map.steps.div_ceil(least)))
}

fn state_rows(states: usize, width: usize) -> GatherParams {
    GatherParams {
        m: states as u32,
        columns: width as u32,
        table_rows: states as u32,
        table_row: width as u32,
        out_row: width as u32,
        ..Default::default()
    }
}

impl std::fmt::Debug for Reserve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reserve").field("steps", &self.steps).field("batch", &self.batch).finish_non_exhaustive()
    }
}

/// Of 2³², how likely a number is kept that dropout drops with this probability.
pub(crate) fn threshold(probability: f64) -> u32 {
    // Saturates: at 0 one in 2³² is lost all the same.
    ((1.0 - probability) * 4_294_967_296.0) as u32
}
