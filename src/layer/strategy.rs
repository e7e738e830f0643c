//! How the steps of a pass become dispatches: decided once, from the schedule that a call asks for, the cell, and the device.

use super::matrices::joins;
use super::schedule::{self, Grid, Schedule, Sequence};
use crate::config::RnnConfig;
use crate::device::Device;
use crate::error::{Error, Result};

/// How the steps of a layer become dispatches. Whoever emits steps matches all of them, so that a new one is a compile error
/// wherever it matters: see docs/adding-a-schedule.md.
#[derive(Clone, Copy)]
pub(super) enum Strategy {
    /// `step`: a dispatch for each step and phase.
    Step,
    /// `sequence`: many steps in a dispatch, a workgroup for some sequences.
    Sequence(Sequence),
    /// `grid`: many steps in a dispatch, whose workgroups exchange states.
    Grid(Grid),
    /// `wave`: the layers of a stack side by side, each a step behind the one below.
    Wavefront,
    /// `scan`: cells without R. There is one way to scan.
    Scan,
    /// `norm_step`: cells with layer norms, a product and the rest of the step in turns.
    Normed,
}

impl Strategy {
    /// Whether layer norms come between products and gates: then the input part keeps all of its bits, gate gradients lie in rows
    /// of their own, and those of the biases are computed with those of the norms.
    pub const fn norms(&self) -> bool {
        match self {
            Self::Normed => true,
            Self::Step | Self::Sequence(_) | Self::Grid(_) | Self::Wavefront | Self::Scan => false,
        }
    }
}

/// What a pass does forward and backward.
#[derive(Clone, Copy)]
pub(super) struct Strategies {
    /// Of steps that keep nothing.
    pub forward: Strategy,
    /// Of steps that keep what the backward pass needs.
    pub keeping: Strategy,
    /// Of steps in reverse.
    pub backward: Strategy,
}

impl Strategies {
    /// For at most `at_once` steps in a dispatch, of `batch` sequences.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for a schedule that does not fit into workgroup memory.
    pub fn new(device: &Device, config: &RnnConfig, asked: Schedule, [at_once, batch]: [usize; 2]) -> Result<Self> {
        let resolved = asked.resolve(device, config, at_once, batch);
        if config.cell.scan().is_some() {
            return Ok(Self::all(Strategy::Scan));
        }
        if config.options.layer_norm {
            return Ok(Self::all(Strategy::Normed));
        }
        let forward = match resolved {
            Schedule::Sequence => {
                let form = schedule::sequence(device, config, [at_once, batch]);
                let expected = "one whose state fits into workgroup memory";
                Strategy::Sequence(form.ok_or_else(|| Error::value("schedule", expected, "Sequence"))?)
            }
            // The CPU has no workgroups.
            Schedule::Grid if !device.is_cpu() => {
                let form = schedule::grid_tile(device, config, batch);
                let expected = "one whose rows fit into workgroup memory";
                Strategy::Grid(form.ok_or_else(|| Error::value("schedule", expected, "Grid"))?)
            }
            Schedule::Wavefront if joins(device, config) => Strategy::Wavefront,
            Schedule::Auto | Schedule::Step | Schedule::Grid | Schedule::Wavefront => Strategy::Step,
        };
        let keeping = match forward {
            Strategy::Step | Strategy::Sequence(_) | Strategy::Scan | Strategy::Normed => forward,
            // They keep nothing.
            Strategy::Grid(_) | Strategy::Wavefront => Strategy::Step,
        };
        let backward = match keeping {
            Strategy::Sequence(_) => {
                // Weights that stay in their lanes help forward only.
                let suits = asked == Schedule::Sequence || schedule::is_small(device, config, batch);
                let form = schedule::sequence_backward(device, config, batch).filter(|_| suits);
                form.map_or(Strategy::Step, Strategy::Sequence)
            }
            Strategy::Scan | Strategy::Normed | Strategy::Step => keeping,
            Strategy::Grid(_) | Strategy::Wavefront => Strategy::Step,
        };
        Ok(Self { forward, keeping, backward })
    }

    /// Cells that have one way for all.
    const fn all(one: Strategy) -> Self {
        Self { forward: one, keeping: one, backward: one }
    }
}
