//! Cases of `attend`.

use super::case::{Case, Words, dot_tolerance};
use super::numbers::{Numbers, poison};
use crate::device::Device;
use crate::kernels::{ATTEND_TILES, AttendParams, Of, Tile, Variant};

/// Sequences and queries of each; steps of the memory; features of keys and values.
type Sizes = ([usize; 2], usize, [usize; 2]);

pub(crate) fn attend(_: &Device) -> Vec<Case> {
    let sizes: [Sizes; 5] = [
        ([1, 1], 1, [1, 1]),
        ([5, 1], 7, [3, 5]),
        ([5, 3], 70, [65, 33]),
        ([4, 2], 68, [36, 264]),
        ([2, 2], 300, [9, 300]),
    ];
    let forms = ATTEND_TILES.map(|tile| [false, true].map(|scored| (tile, scored)));
    let case = |sizes| forms.as_flattened().iter().map(move |&(tile, scored)| attend_case(sizes, tile, scored));
    sizes.into_iter().flat_map(case).collect()
}

/// One sequence without steps, one with fewer than others and one with more than there are, where there are many.
pub(crate) fn attend_case(([batch, queries], steps, [features, width]): Sizes, tile: Tile, scored: bool) -> Case {
    let mut numbers = Numbers::new(batch + steps + features);
    let rows = batch * queries;
    let mut lengths = vec![steps as u32; 1 + batch];
    if batch > 3 {
        (lengths[1 + 1], lengths[1 + 2], lengths[1 + 3]) = (0, (steps as u32).div_ceil(2), steps as u32 + 5);
    }
    // The memory is time-major, with numbers that are not its own between rows.
    let vector = [steps, features, width].iter().all(|size| size % 4 == 0);
    let unit = if vector { 4 } else { 1 };
    let strides = |width: usize| [width + unit, batch * (width + unit)];
    let [[keys_sequence, keys_step], [values_sequence, values_step]] = [features, width].map(strides);
    let per_query = if scored { steps } else { features };
    let mut query = numbers.uniform(2 * unit + rows * per_query, 1.0);
    if batch > 3 && scored {
        query[2 * unit] = f32::NEG_INFINITY;
        query[2 * unit + 4.min(batch - 1) * queries * steps] = f32::NAN;
    }
    let params = AttendParams {
        rows,
        queries,
        steps,
        features,
        width,
        scored,
        query_offset: 2 * unit,
        keys_offset: 3 * unit,
        keys_sequence,
        keys_step,
        values_offset: unit,
        values_sequence,
        values_step,
        lengths_offset: 1,
        nan: f32::NAN,
    };
    Case {
        name: format!(
            "attend of {batch}x{queries}x{steps}, features {features} and {width}, scored {scored}, by {}",
            tile.lanes
        ),
        variant: Variant::new(Of::Attend { vector }, tile, 4),
        // A score is a dot, and exp of it may be off by that and by some ulp; weights sum to 1.
        tolerance: dot_tolerance(steps + features),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(query),
            Words::Numbers(numbers.uniform(3 * unit + steps * keys_step, 1.0)),
            Words::Numbers(numbers.uniform(unit + steps * values_step, 1.0)),
            Words::Indices(lengths),
            poison(rows * width),
            poison(rows * steps),
        ],
    }
}
