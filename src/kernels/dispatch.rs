//! What a dispatch asks for, from its variant and parameters: workgroups, loop trips, work, and how far into each of its buffers
//! it reaches.

use super::limits::MAX_BINDINGS;
use super::table::Maxima;
use super::tile::Wraps;
use super::variant::Variant;
use std::borrow::Cow;

/// Words that a dispatch reaches in each of its bindings.
pub(crate) fn reach(variant: &Variant, params: &[u32], maxima: Maxima<'_>) -> [u64; MAX_BINDINGS] {
    (variant.row().reach)(variant, params, maxima)
}

/// Loop trips of one invocation, over all loops of the shader.
pub(crate) fn trips(variant: &Variant, params: &[u32]) -> u64 {
    (variant.row().trips)(variant, params)
}

/// Floating-point operations of the products: two for each multiplication with its addition.
pub(crate) fn flop(variant: &Variant, params: &[u32], maxima: Maxima<'_>) -> u64 {
    (variant.row().flop)(variant, params, maxima)
}

/// Words that a row of the state in workgroup memory has to hold.
pub(crate) fn state_width(variant: &Variant, params: &[u32]) -> u64 {
    (variant.row().state_width)(variant, params)
}

/// Workgroups in x, y and z.
pub(crate) fn workgroups(variant: &Variant, params: &[u32]) -> [u64; 3] {
    let [x, y, z] = (variant.row().grid)(variant, params);
    match (u64::from(variant.wrapped), variant.row().wraps) {
        (1.., Some(Wraps::Rows)) => {
            let along = u64::from(variant.wrapped);
            [x, along, y.saturating_mul(z).div_ceil(along)]
        }
        (1.., Some(Wraps::Columns)) => {
            let along = u64::from(variant.wrapped);
            [along, x.div_ceil(along), 1]
        }
        _ => [x, y, z],
    }
}

/// The variant whose workgroups fit on the axes of a grid, each of which may have so many.
pub(crate) fn wrapped(variant: Variant, params: &[u32], most: u64) -> Variant {
    /// Few values, few kernels.
    const ALONG: u64 = 1 << 15;
    let [x, y, z] = (variant.row().grid)(&variant, params);
    let too_many = match variant.row().wraps {
        Some(Wraps::Rows) => y.max(z) > most,
        Some(Wraps::Columns) => x > most,
        None => false,
    };
    let along = most.clamp(1, ALONG) as u32;
    if too_many { Variant { wrapped: along, ..variant } } else { variant }
}

/// The parameters of a kernel whose workgroups wrap into y by themselves, with no more of them along x than an axis may have.
pub(crate) fn wrapped_params<'a>(variant: &Variant, params: &'a [u32], most: u64) -> Cow<'a, [u32]> {
    let place = |name: &str| variant.row().params.iter().position(|&param| param == name);
    let most = u32::try_from(most).unwrap_or(u32::MAX).max(1);
    let (place, most) = match (place("row_lanes"), place("row_groups")) {
        (Some(at), _) => (at, most.saturating_mul(variant.tile.lanes)),
        (None, Some(at)) => (at, most),
        (None, None) => return Cow::Borrowed(params),
    };
    if params.get(place).is_none_or(|&along| along <= most) {
        return Cow::Borrowed(params);
    }
    let mut params = params.to_vec();
    params[place] = most;
    Cow::Owned(params)
}
