//! Where a layer's weights lie in one block.

use super::arrays::tensor_shapes;
use crate::config::RnnConfig;

/// Where the tensors of one direction of a layer begin in the block of all weights, and how long they are together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offsets {
    pub w: usize,
    pub r: usize,
    pub b_w: Option<usize>,
    pub b_r: Option<usize>,
    pub w_hr: Option<usize>,
    pub peepholes: Option<usize>,
    /// γ of W's products, of R's, and of c', and β of c'.
    pub norm: [Option<usize>; 4],
    pub words: usize,
}

/// Words of a direction's tensors, or a head's.
pub(super) fn track_words(config: &RnnConfig, layer: usize) -> u64 {
    let words = |shape: &Vec<usize>| shape.iter().fold(1, |words: u64, &axis| words.saturating_mul(axis as u64));
    let shapes = tensor_shapes(config, layer);
    shapes.iter().filter_map(|(_, shape)| shape.as_ref()).fold(0, |sum, shape| sum.saturating_add(words(shape)))
}

/// Words of all weights.
pub(crate) fn weight_words(config: &RnnConfig) -> u64 {
    let above = (config.layers as u64 - 1).saturating_mul(track_words(config, 1));
    track_words(config, 0).saturating_add(above).saturating_mul(config.tracks() as u64)
}

/// The offsets of a layer's first direction; the next one's are `words` further.
pub(crate) fn offsets(config: &RnnConfig, layer: usize) -> Offsets {
    let words = |layer| track_words(config, layer) as usize;
    // Layers above the lowest are alike.
    let mut at = if layer == 0 { 0 } else { config.tracks() * (words(0) + (layer - 1) * words(1)) };
    let [w, r, b_w, b_r, w_hr, peepholes, norm @ ..] = tensor_shapes(config, layer).map(|(_, shape)| {
        shape.map(|shape| {
            at += shape.iter().product::<usize>();
            at - shape.iter().product::<usize>()
        })
    });
    Offsets { w: w.unwrap_or(0), r: r.unwrap_or(0), b_w, b_r, w_hr, peepholes, norm, words: words(layer) }
}
