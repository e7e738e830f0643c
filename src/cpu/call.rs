//! A dispatch as its twin sees it.

use super::scratch::Scratch;
use crate::kernels::{MAX_BINDINGS, Params, Variant, read};
use half::f16;

/// One dispatch as its twin sees it.
pub(crate) struct Call<'a> {
    pub variant: &'a Variant,
    pub params: &'a [u32],
    pub views: [View<'a>; MAX_BINDINGS],
    pub scratch: &'a mut Scratch,
}

/// A bound buffer. Numbers and indices share one type: an index is kept as the bits of an f32.
#[derive(Default)]
pub(crate) enum View<'a> {
    #[default]
    None,
    Read(&'a [f32]),
    Write(&'a mut [f32]),
}

/// Numbers from halves, two a word, the first one in its lower bits.
pub(crate) fn halves(words: &[f32]) -> Vec<f32> {
    let pair = |word: &f32| [word.to_bits() as u16, (word.to_bits() >> 16) as u16];
    words.iter().flat_map(pair).map(|bits| f16::from_bits(bits).to_f32()).collect()
}

/// Numbers to halves; those too large for one become the largest.
pub(crate) fn write_halves(numbers: &[f32], words: &mut [f32]) {
    let half = |number: f32| u32::from(round_half(number).to_bits());
    for (pair, word) in numbers.chunks(2).zip(words) {
        *word = f32::from_bits(half(pair[0]) | half(pair.get(1).copied().unwrap_or(0.0)) << 16);
    }
}

/// The nearest half; of what is too large the largest.
pub(crate) fn round_half(number: f32) -> f16 {
    f16::from_f32(if number.is_nan() { number } else { number.clamp(f16::MIN.to_f32(), f16::MAX.to_f32()) })
}

impl<'a> Call<'a> {
    /// The parameters as their struct.
    pub fn params<P: Params>(&self) -> P {
        read(self.params)
    }

    pub fn read(&self, binding: usize) -> &'a [f32] {
        match self.views[binding] {
            View::Read(slice) => slice,
            _ => &[],
        }
    }

    pub fn read_indices(&self, binding: usize) -> &'a [u32] {
        bytemuck::cast_slice(self.read(binding))
    }

    /// Takes a written buffer out of the call.
    pub fn write(&mut self, binding: usize) -> &'a mut [f32] {
        match std::mem::take(&mut self.views[binding]) {
            View::Write(slice) => slice,
            _ => &mut [],
        }
    }
}
