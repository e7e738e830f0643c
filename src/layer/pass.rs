//! What the passes of a layer for one call share.

use super::call::RnnCall;
use super::columns::Columns;
use super::rnn::Rnn;
use super::rows::RowMap;
use super::state::DeviceState;
use super::strategy::Strategies;
use crate::config::RnnConfig;
use crate::error::{Error, Result};
use crate::kernels::RowParams;
use crate::plan::{BufferId, PlanBuilder};

/// A layer called with a shape: what all of its passes share.
pub(super) struct Pass<'a> {
    pub rnn: &'a Rnn,
    /// T of the caller's arrays.
    pub steps: usize,
    /// N of the layer: the sequences of the call, or their segments.
    pub batch: usize,
    /// N of the caller's states and of the last output.
    pub sequences: usize,
    pub rows: RowMap,
    /// [D·S, rows] rows of the caller's arrays, [N] ranks, [T + 2] first rows of steps: see [`RowMap`].
    pub map: BufferId,
    pub strategies: Strategies,
    pub columns: Columns,
}

impl<'a> Pass<'a> {
    /// Which rows a dispatch of a layer works on, of `rows` rows of `stride` numbers a direction. The step's rows in the map
    /// are added by [`RowParams::at`].
    pub fn row_params(&self, layer: usize, rows: usize, stride: usize) -> RowParams {
        RowParams {
            batch: self.batch,
            // D·S: directions and heads are alike.
            tracks: self.rnn.config().tracks(),
            state_row: layer * self.layer_states(),
            x_track: rows * stride,
            x_stride: stride,
            map_track: self.rows.rows,
            order: self.rows.order,
            ..RowParams::default()
        }
    }

    /// `every`: how many steps one dispatch may take at most, where states are kept only every so many.
    pub fn new(
        plan: &mut PlanBuilder,
        rnn: &'a Rnn,
        [steps, batch]: [usize; 2],
        call: &RnnCall,
        every: Option<usize>,
    ) -> Result<Self> {
        let config = rnn.config();
        if call.keep_every == Some(0) {
            return Err(Error::value("keep_every", "at least 1", 0));
        }
        let sequences = batch;
        let rows = RowMap::of_call(plan.device(), config, steps, sequences, &call.lengths)?;
        let batch = rows.batch;
        if !rows.is_grid && config.options.noise.recurrent_dropout.is_some() {
            let reason = "its masks belong to whole sequences: cut the batch into sequences of their own, or use dropout between layers";
            return Err(Error::unsupported("recurrent dropout with resets within sequences or packed ones", reason));
        }
        let at_once = rows.steps.min(every.unwrap_or(usize::MAX));
        let strategies = Strategies::new(plan.device(), config, call.schedule, [at_once, batch])?;
        let map = rows.buffer(plan)?;
        let columns = Columns::new(&config.form(), config.hidden, config.state_size());
        Ok(Self { rnn, steps, batch, sequences, rows, map, strategies, columns })
    }

    pub fn config(&self) -> &RnnConfig {
        self.rnn.config()
    }

    /// G·H: width of a row of the gates' input part.
    pub fn gates(&self) -> usize {
        self.config().cell.gates() * self.config().hidden
    }

    /// Gates of a phase, all units: gates · units.
    pub fn phase_gates(&self, phase: usize) -> usize {
        let config = self.config();
        config.phases().get(phase).map_or(0, |phase| phase.gates * phase.units.of(config.hidden, config.state_size()))
    }

    /// H, or P with a projection, as whole vectors.
    pub fn h_width(&self) -> usize {
        self.config().state_size().next_multiple_of(4)
    }

    /// L·D·S·N: rows of the states of all layers.
    pub fn states(&self) -> usize {
        self.config().layers * self.layer_states()
    }

    /// L·D·S·N: rows of the states of the caller's sequences.
    pub fn sequence_states(&self) -> usize {
        self.config().layers * self.config().tracks() * self.sequences
    }

    /// D·S·N: rows of the states of one layer.
    pub fn layer_states(&self) -> usize {
        self.config().tracks() * self.batch
    }
}

/// Whether a state, or its gradient, is one of a layer and a batch, and on the plan's device.
pub(super) fn check_state(plan: &PlanBuilder, name: &str, rnn: &Rnn, batch: usize, state: &DeviceState) -> Result<()> {
    let [expected, got] = [(rnn.config(), batch), (&state.config, state.batch)].map(|(config, batch)| {
        let rows = config.layers * config.tracks();
        let c = config.cell.has_cell_state().then_some([rows, batch, config.cell_state_size()]);
        ([rows, batch, config.state_size()], c)
    });
    if expected != got {
        return Err(Error::shape(format!("{name} (h, c)"), expected, got));
    }
    for (name, device) in [("layer", rnn.device()), (name, state.device())] {
        if !device.is(plan.device()) {
            return Err(Error::OtherDevice { tensor: name.to_owned() });
        }
    }
    Ok(())
}

/// Where the last layer's final h of each direction begins in rows of states, and in a row of the output.
pub(super) fn last_states(config: &RnnConfig, batch: usize) -> impl Iterator<Item = (usize, usize)> {
    let (first, width) = ((config.layers - 1) * config.tracks(), config.state_size());
    (0..config.tracks()).map(move |direction| ((first + direction) * batch, direction * width))
}
