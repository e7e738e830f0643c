//! Host calls on inputs without a step, for which no program can be made: arrays on a device have elements.

use super::call::{Output, RnnCall};
use super::rows::{Lengths, check_each_length};
use super::state::State;
use crate::config::RnnConfig;
use crate::error::{Error, Result};
use crate::memory;
use ndarray::{ArrayD, IxDyn, s};

/// How many sequences an input without a step has; none where it has steps, or where the call can't be one of such an input.
pub(super) fn no_steps(config: &RnnConfig, x: &[usize], lengths: &Lengths) -> Result<Option<usize>> {
    let of_grid = match *x {
        [0, batch, features] if !config.batch_first && features == config.input => Some(batch),
        [batch, 0, features] if config.batch_first && features == config.input => Some(batch),
        _ => None,
    };
    let batch = match lengths {
        Lengths::Full => of_grid,
        Lengths::Fixed(lengths) => {
            if let Some(batch) = of_grid {
                check_each_length(0, batch, lengths)?;
            }
            of_grid
        }
        Lengths::Map(map) => {
            let batch = match map.packed_rows()? {
                None => of_grid,
                Some(0) if *x == [0, config.input] => Some(map.packed_sizes().1),
                Some(_) => None,
            };
            if let Some(batch) = batch {
                map.resolve(config, [0, batch])?;
            }
            batch
        }
        Lengths::PerRun(_) => None,
    };
    Ok(batch.filter(|&batch| batch > 0))
}

/// The output of such a call, and its final state, which is the initial one.
pub(super) fn without_steps(
    config: &RnnConfig,
    x: &[usize],
    batch: usize,
    state: Option<&State>,
    call: &RnnCall,
) -> Result<(ArrayD<f32>, State)> {
    let state = match state {
        Some(state) => {
            state.check(config, batch)?;
            state.clone()
        }
        None => State::zeros(config, batch)?,
    };
    let (tracks, width) = (config.tracks(), config.state_size());
    let shape: Vec<usize> = match call.output {
        Output::All => x.iter().take(x.len().saturating_sub(1)).copied().chain([config.output_size()]).collect(),
        Output::Last => vec![batch, config.output_size()],
    };
    let numbers = memory::filled("output without steps", shape.iter().product(), 0.0)?;
    let y = ArrayD::from_shape_vec(IxDyn(&shape), numbers);
    let mut y = y.map_err(|error| Error::Plan(format!("output without steps: {error}")))?;
    if call.output == Output::Last {
        for track in 0..tracks {
            let last = state.h.slice(s![(config.layers - 1) * tracks + track, .., ..]);
            y.slice_mut(s![.., track * width..(track + 1) * width]).assign(&last);
        }
    }
    Ok((y, state))
}
