//! Where the values of `map` and `fold` lie: words of a constant buffer.

use super::table::Maxima;
use super::words::u;

/// The binding of the words.
const LAYOUT: usize = 0;

/// A value as these kernels read or write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    /// The first element.
    pub offset: usize,
    /// From one element to the next along each axis; 0 where the axis is not the value's own.
    pub strides: Vec<usize>,
}

/// The words of a layout: the sizes of the axes, then of each operand its offset and its strides, the result first.
pub(crate) fn layout_words(sizes: &[usize], operands: &[Operand]) -> Vec<u32> {
    let word = |&size: &usize| u32::try_from(size).unwrap_or(u32::MAX);
    let operand = |operand: &Operand| {
        let words = std::iter::once(&operand.offset).chain(&operand.strides).map(word);
        words.collect::<Vec<_>>()
    };
    sizes.iter().map(word).chain(operands.iter().flat_map(operand)).collect()
}

/// Whose elements lie one after the other over all axes: a bit for each operand, the result's first.
pub(crate) fn dense_operands(sizes: &[usize], operands: &[Operand]) -> u32 {
    let is_dense = |operand: &Operand| {
        let mut expected = 1;
        sizes.iter().zip(&operand.strides).rev().all(|(&size, &stride)| {
            let dense = size == 1 || stride == expected;
            expected *= size;
            dense
        })
    };
    operands.iter().enumerate().map(|(k, operand)| u32::from(is_dense(operand)) << k).sum()
}

/// Words of its buffer that an operand reaches.
pub(super) fn reached(axes: usize, operand: usize, maxima: Maxima<'_>) -> u64 {
    let word = |at: usize| maxima(LAYOUT, u(at), 1);
    let start = axes + operand * (axes + 1);
    let last = (0..axes).map(|axis| word(axis).saturating_sub(1).saturating_mul(word(start + 1 + axis)));
    last.fold(word(start), u64::saturating_add).saturating_add(1)
}

/// Words of a layout with so many operands.
pub(super) fn layout_len(axes: usize, operands: usize) -> u64 {
    u(axes + operands * (axes + 1))
}
