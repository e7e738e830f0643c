//! Looks of queries at a memory, each one dispatch.

use crate::device::Class;
use crate::error::Result;
use crate::kernels::{ATTEND_TILES, ATTENDED_STEPS, AttendParams, Of, Variant, trips};
use crate::memory;
use crate::plan::{PlanBuilder, Value};

/// What queries look at.
pub(crate) struct Look<'v> {
    /// [N·K, features], K queries of each sequence one after the other; without keys, scores [N·K, S].
    pub query: &'v Value,
    /// [N, S, features]
    pub keys: Option<&'v Value>,
    /// [N, S, M]
    pub values: &'v Value,
    /// `[N]`
    pub lengths: Option<&'v Value>,
}

/// Contexts [N·K, M] and weights [N·K, S]; none where a memory is too long for it, or its elements do not lie one after the other.
pub(crate) fn emit_attend(plan: &mut PlanBuilder, look: &Look<'_>) -> Result<Option<(Value, Value)>> {
    let &Look { query, keys, values, lengths } = look;
    let [batch, steps, width] = [0, 1, 2].map(|axis| values.shape[axis]);
    let memories = || keys.into_iter().chain([values]);
    let is_even = memories().all(|memory| memory.strides[2] == 1 || memory.shape[2] == 1);
    if !is_even || steps > ATTENDED_STEPS || lengths.is_some_and(|lengths| !lengths.is_dense()) {
        return Ok(None);
    }
    let query = plan.contiguous(query)?;
    let [rows, features] = [0, 1].map(|axis| query.shape[axis]);
    let of_keys = keys.unwrap_or(values);
    let params = AttendParams {
        rows,
        queries: rows / batch,
        steps,
        features,
        width,
        scored: keys.is_none(),
        query_offset: query.offset,
        keys_offset: of_keys.offset,
        keys_sequence: of_keys.strides[0],
        keys_step: of_keys.strides[1],
        values_offset: values.offset,
        values_sequence: values.strides[0],
        values_step: values.strides[1],
        lengths_offset: lengths.map_or(0, |lengths| lengths.offset),
        nan: f32::NAN,
    };
    let words = [
        [query.offset, features, width, params.values_offset],
        [params.keys_offset, params.keys_sequence, params.keys_step, params.values_sequence],
    ];
    let vector = words.iter().flatten().chain([&params.values_step]).all(|words| words % 4 == 0);
    let is_software = plan.device().report().is_some_and(|report| report.class == Class::Software);
    let tile = ATTEND_TILES[usize::from(!is_software)];
    let variant = Variant::new(Of::Attend { vector }, tile, plan.device().panel());
    if trips(&variant, &params.words()) > plan.device().plan_limits().trips {
        return Ok(None);
    }
    let valid = match lengths {
        Some(lengths) => lengths.buffer,
        None => plan.constant("all steps", &memory::filled("lengths", batch, steps as u32)?),
    };
    let (context, weights) = (plan.fresh("context", &[rows, width])?, plan.fresh("attention", &[rows, steps])?);
    let bindings = vec![query.buffer, of_keys.buffer, values.buffer, valid, context.buffer, weights.buffer];
    plan.draft.dispatch(variant, bindings, &params.words());
    let reads: Vec<&Value> = memories().chain([&query]).collect();
    plan.record("attend", &reads, &[&context, &weights]);
    Ok(Some((context, weights)))
}
