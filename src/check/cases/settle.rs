//! Cases of `settle`.

use super::case::{Case, Words};
use super::numbers::Numbers;
use crate::device::Device;
use crate::kernels::{FLAT, Kernel, SettleParams, Variant};

pub(crate) fn settle(_: &Device) -> Vec<Case> {
    [(0, false), (0, true), (1, true)].into_iter().map(|(stopped, wide)| settle_case(stopped, wide)).collect()
}

pub(crate) fn settle_case(stopped: u32, wide: bool) -> Case {
    let mut numbers = Numbers::new(stopped as usize);
    let (rows, state_row, h_width, aux_stride) = (6, 6, 8, 5);
    let width = if wide { 12 } else { h_width };
    let (h_at, aux_at) = (64 + rows * width, 64 + 2 * rows * width);
    let mut exchange = numbers.uniform(aux_at + rows * aux_stride, 1.0);
    exchange[0] = f32::from_bits(stopped);
    let map = numbers.below(300, 50);
    let states = rows + state_row;
    let params = SettleParams {
        rows,
        state_row,
        h_width,
        exchange_width: width,
        h_at,
        aux_stride,
        aux_at,
        map_words: map.len(),
        row_lanes: 2 * FLAT.lanes as usize,
    };
    Case {
        name: format!("settle of a grid, stopped {stopped}, wide {wide}"),
        variant: Variant::plain(Kernel::Settle, FLAT, 4),
        // Copies.
        tolerance: 0.0,
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(exchange),
            Words::Indices(map),
            Words::Indices(vec![u32::MAX; 300]),
            Words::Numbers(numbers.uniform(states * h_width, 1.0)),
            Words::Numbers(numbers.uniform(states * aux_stride, 1.0)),
        ],
    }
}
