//! What training keeps of a forward pass, row by row.

use super::call::{RnnCall, output_shape};
use super::columns::Columns;
use super::copies::copy_rows;
use super::dropout::drop_numbers;
use super::pass::Pass;
use super::places::{At, Draw};
use super::rnn::Rnn;
use super::rows::{Lengths, RowMap};
use super::session::SessionOptions;
use crate::config::RnnConfig;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::GatherParams;
use crate::plan::{BufferId, PlanBuilder};
use crate::storage::Storage;
use crate::tensor::{Tensor, elements};

/// Memory on the device in which a forward pass keeps what the backward pass needs, for one stack of layers, shape and
/// call.
pub struct Reserve {
    config: RnnConfig,
    steps: usize,
    batch: usize,
    lengths: Lengths,
    /// Rows of the caller's arrays.
    places: usize,
    /// The layer's sequences, which may be segments of the caller's.
    sequences: usize,
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
    /// [`Limit`](Error::Limit) where the adapter allows no buffer for the rows of one step, or for the output that one
    /// layer passes to the next.
    pub fn new(rnn: &Rnn, steps: usize, batch: usize, call: &RnnCall) -> Result<Self> {
        let config = rnn.config();
        let device = rnn.device();
        output_shape(config, &SessionOptions::new(steps, batch).call(call.clone()).input_shape(config)?, call)?;
        let map = RowMap::of_call(device, config, steps, batch, &call.lengths)?;
        if call.keep_every == Some(0) {
            return Err(Error::value("keep_every", "at least 1", 0));
        }
        let columns = Columns::new(&config.form(), config.hidden, config.state_size());
        let row = config.tracks() * columns.width;
        let keep_every = call.keep_every.or_else(|| needed_parts(device, &map, row));
        // Sequences end but none begins: the first steps have the most rows.
        let chunk = map.offset(keep_every.unwrap_or(map.steps).min(map.steps)).max(1);
        let zeros = |name: String, sizes: &[usize]| Storage::zeros(device, &name, elements(sizes)? as u64);
        let count = if keep_every.is_some() { 1 } else { config.layers };
        let rows = (0..count)
            .map(|layer| zeros(format!("reserve of layer {layer}"), &[config.tracks(), chunk, columns.width]));
        let outputs = (1..config.layers)
            .map(|layer| zeros(format!("output of layer {}", layer - 1), &[map.places, config.output_size()]));
        let states = config.tracks() * map.batch;
        let kept = (0..if keep_every.is_some() { config.layers } else { 0 }).map(|layer| {
            let count = map.steps.div_ceil(keep_every.unwrap_or(1)).max(1);
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
            places: map.places,
            sequences: map.batch,
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
    pub(super) fn masks(&self, plan: &mut PlanBuilder, layer: usize) -> Option<Draw> {
        let (seed, [_, first]) = self.seed.as_ref().filter(|_| self.config.form().draws())?;
        Some(Draw { seed: plan.external("seed", &seed.storage, 2), stream: first + layer as u32 })
    }

    /// Dropout on a layer's output, or on that output's gradient: the same numbers.
    pub(super) fn drop_numbers(&self, plan: &mut PlanBuilder, layer: usize, values: BufferId) {
        if let Some((seed, [first, _])) = self.seed.as_ref().filter(|_| self.config.dropout() > 0.0) {
            let seed = plan.external("seed", &seed.storage, 2);
            let count = self.places * self.config.output_size();
            let draw = Draw { seed, stream: first + layer as u32 };
            drop_numbers(plan, draw, At::start_of(values), count, self.config.dropout());
        }
    }

    /// How many bytes of device memory it takes.
    pub fn bytes(&self) -> u64 {
        let row = self.config.tracks() * self.chunk * self.columns.width;
        let output = self.places * self.config.output_size();
        let states = self.config.tracks() * self.sequences;
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
        let words = self.places * self.config.output_size();
        plan.reserve(&format!("output of layer {layer}"), &self.outputs[layer], words as u64)
    }

    /// Keeps a layer's state before step `part · every`.
    pub(super) fn save(
        &self,
        plan: &mut PlanBuilder,
        pass: &Pass<'_>,
        [layer, part]: [usize; 2],
        h: BufferId,
        c: BufferId,
    ) {
        for Copies { live, kept, width } in self.copies(plan, pass, layer, h, c) {
            copy_states(plan, pass.layer_states(), width, (live, layer), (kept, part));
        }
    }

    /// Puts it back.
    pub(super) fn restore(
        &self,
        plan: &mut PlanBuilder,
        pass: &Pass<'_>,
        [layer, part]: [usize; 2],
        h: BufferId,
        c: BufferId,
    ) {
        for Copies { live, kept, width } in self.copies(plan, pass, layer, h, c) {
            copy_states(plan, pass.layer_states(), width, (kept, part), (live, layer));
        }
    }

    /// The live states of h and c, and the kept ones.
    fn copies(&self, plan: &mut PlanBuilder, pass: &Pass<'_>, layer: usize, h: BufferId, c: BufferId) -> Vec<Copies> {
        let (kept_h, kept_c) = &self.kept[layer];
        let count = pass.rows.steps.div_ceil(self.every()) * pass.layer_states();
        let width = pass.h_width();
        let kept = plan.reserve(&format!("states of layer {layer}"), kept_h, (count * width) as u64);
        let mut copies = vec![Copies { live: h, kept, width }];
        if let Some(kept) = kept_c {
            let width = self.config.cell_state_size();
            let kept = plan.reserve(&format!("c of layer {layer}"), kept, (count * width) as u64);
            copies.push(Copies { live: c, kept, width });
        }
        copies
    }
}

/// A state that steps work on, those kept of it, and the width of their rows.
struct Copies {
    /// [L·D·S·N, width]
    live: BufferId,
    /// [T/k·D·S·N, width]
    kept: BufferId,
    width: usize,
}

/// Copies `states` rows from one buffer to another, each of which has many such blocks: from and to the block that is named.
fn copy_states(
    plan: &mut PlanBuilder,
    states: usize,
    width: usize,
    (from, from_block): (BufferId, usize),
    (to, to_block): (BufferId, usize),
) {
    let params = GatherParams {
        m: states,
        columns: width,
        table_rows: states,
        table_offset: from_block * states * width,
        table_row: width,
        out_offset: to_block * states * width,
        out_row: width,
        ..Default::default()
    };
    copy_rows(plan, from, to, params);
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

impl std::fmt::Debug for Reserve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reserve").field("steps", &self.steps).field("batch", &self.batch).finish_non_exhaustive()
    }
}
