//! The packed weights of a layer on a device.

use super::pack::{Matrix, PackedMatrices, packed};
use crate::cells::Width;
use crate::config::RnnConfig;
use crate::device::Device;
use crate::error::Result;
use crate::weights::offsets;
use std::sync::Arc;

/// Whether layers can run side by side, a step apart: there are several, of one direction, with one product a step, so that the
/// matrices from the lowest layer's R on are of one size, and the device has memory for these in one piece.
pub(crate) fn joins(device: &Device, config: &RnnConfig) -> bool {
    let one_product = config.phases().len() == 1;
    let block = packed(device, config.hidden, config.cell.gates() * config.hidden).vectors();
    let words = (2 * config.layers as u64 - 1) * block as u64 * u64::from(config.precision.vector_words(device));
    let fits = 4 * words <= device.plan_limits().binding_bytes;
    // What gates see of c lies between R and the next layer's W. Norms come between a product and its gates.
    config.layers > 1
        && config.tracks() == 1
        && one_product
        && !config.options.equations.peepholes
        && !config.options.layer_norm
        && fits
}

/// The packed weights of a layer, both directions together.
pub(super) struct DeviceLayer {
    /// W with the first bias: [D, panels + 1, G·H].
    pub(super) input: PackedPart,
    /// R with the second bias, a phase after the other: [D, panels + 1, gates · units] each.
    pub(super) recurrent: PackedPart,
    /// What layer norms multiply with and add, of each track: γ and β of W's products, of R's, and of c'.
    pub(super) gains: Option<PackedMatrices>,
    /// Where training needs them, W and R as gradients multiply them: [D, panels + 1, I] and, for each phase,
    /// [D, panels + 1, units] with the R of the phase that follows it.
    pub(super) backward: Option<[PackedMatrices; 2]>,
}

/// Matrices among packed ones, which layers may share.
pub(crate) struct PackedPart {
    pub matrices: Arc<PackedMatrices>,
    /// The first vector of those meant.
    pub first: usize,
}

/// The matrices of a layer out of the block of all weights.
pub(super) struct LayerMatrices {
    input: Vec<Matrix>,
    recurrent: Vec<Matrix>,
    gains: Vec<Matrix>,
    /// As gradients multiply them.
    backward: [Vec<Matrix>; 2],
}

impl LayerMatrices {
    fn new(config: &RnnConfig, layer: usize) -> Self {
        let offsets = offsets(config, layer);
        let gates = config.cell.gates() * config.hidden;
        let inputs = config.input_of(layer);
        let size = |width: Width| width.of(config.hidden, config.state_size());
        let phases = config.phases();
        let tracks = || (0..config.tracks()).map(|direction| direction * offsets.words);

        // Norms add the biases.
        let norm = config.form().norm();
        let [b_w, b_r] = [offsets.b_w, offsets.b_r].map(|bias| bias.filter(|_| norm.is_none()));
        // Biases and γ of all gates lie one after the other, and so do γ and β of c.
        let [n_w, _, n_c, _] = offsets.norm;
        let biases = config.biases();
        let gains = |at: usize| {
            let first = at + offsets.b_w.or(n_w).unwrap_or(0);
            let of_c = n_c.map(|n_c| Matrix::transposed(at + n_c, 1 + biases.min(1), config.hidden));
            [Some(Matrix::transposed(first, 2 + biases, gates)), of_c].into_iter().flatten()
        };
        let gains = if norm.is_some() { tracks().flat_map(gains).collect() } else { Vec::new() };

        let input = tracks().map(|at| Matrix::of_weight(at + offsets.w, gates, inputs, b_w.map(|b| at + b)));
        let mut gate = 0;
        let mut recurrent = Vec::new();
        // Where each phase's weight begins, without its direction's part: [gates · units, source].
        let mut starts = Vec::new();
        for phase in phases {
            let projects = phase.source == Width::Hidden;
            let start = if projects { offsets.w_hr.unwrap_or(0) } else { offsets.r + gate * size(phase.source) };
            let bias = b_r.filter(|_| !projects).map(|b| b + gate);
            let columns = phase.gates * size(phase.units);
            recurrent.extend(
                tracks().map(|at| Matrix::of_weight(at + start, columns, size(phase.source), bias.map(|b| at + b))),
            );
            if let Some(peepholes) = offsets.peepholes.filter(|_| !projects) {
                recurrent.extend(tracks().map(|at| Matrix::of_weight(0, columns, 0, Some(at + peepholes))));
            }
            starts.push(start);
            gate += columns;
        }
        if config.cell.has_diagonal() {
            recurrent.extend(tracks().map(|at| Matrix::of_weight(0, gates, 0, Some(at + offsets.r))));
        }
        let input_backward = tracks().map(|at| Matrix::transposed(at + offsets.w, gates, inputs));
        let mut recurrent_backward = Vec::new();
        for i in 0..phases.len() {
            let next = (i + 1) % phases.len();
            let rows = phases[next].gates * size(phases[next].units);
            let columns = size(phases[next].source);
            recurrent_backward.extend(tracks().map(|at| Matrix::transposed(at + starts[next], rows, columns)));
        }
        Self { input: input.collect(), recurrent, gains, backward: [input_backward.collect(), recurrent_backward] }
    }
}

impl DeviceLayer {
    /// Memory for the packed weights of all layers. Those of a stack whose layers can run side by side lie in one piece, from
    /// the lowest one's R on, where the adapter allows one of that size.
    pub(super) fn stack(device: &Device, config: &RnnConfig, trainable: bool) -> Result<Vec<Self>> {
        let precision = config.precision;
        let layers: Vec<_> = (0..config.layers).map(|layer| LayerMatrices::new(config, layer)).collect();
        let joined = if joins(device, config) {
            // All but the lowest one's W.
            let all = layers.iter().flat_map(|layer| layer.input.iter().chain(&layer.recurrent));
            let matrices = all.copied().skip(1).collect();
            Some(Arc::new(PackedMatrices::new(device, "W and R of the stack".to_owned(), matrices, precision)?))
        } else {
            None
        };
        let place_of = |layer: usize, name: &str, matrices: Vec<Matrix>| -> Result<PackedPart> {
            if let Some(joined) = joined.as_ref().filter(|_| (layer, name) != (0, "W")) {
                let before = 2 * layer - usize::from(name == "W");
                let first = before * packed(device, config.hidden, config.cell.gates() * config.hidden).vectors();
                return Ok(PackedPart { matrices: joined.clone(), first });
            }
            let full = format!("{name} of layer {layer}");
            // Steps multiply all directions' R at once.
            let matrices = if name == "W" {
                PackedMatrices::apart(device, full, matrices, precision)?
            } else {
                PackedMatrices::new(device, full, matrices, precision)?
            };
            Ok(PackedPart { matrices: Arc::new(matrices), first: 0 })
        };
        let backward_of = |layer: usize, [input, recurrent]: [Vec<Matrix>; 2]| -> Result<_> {
            let name = |name| format!("{name} transposed of layer {layer}");
            Ok([
                PackedMatrices::apart(device, name("W"), input, precision)?,
                PackedMatrices::new(device, name("R"), recurrent, precision)?,
            ])
        };
        layers
            .into_iter()
            .enumerate()
            .map(|(layer, LayerMatrices { input, recurrent, gains, backward })| {
                let input = place_of(layer, "W", input)?;
                // Without R it is never read.
                let recurrent = if config.cell.has_diagonal() {
                    let matrices = PackedMatrices::in_buffer(device, format!("R of layer {layer}"), recurrent)?;
                    PackedPart { matrices: Arc::new(matrices), first: 0 }
                } else if recurrent.is_empty() {
                    PackedPart { matrices: input.matrices.clone(), first: 0 }
                } else {
                    place_of(layer, "R", recurrent)?
                };
                let gains = Some(gains).filter(|gains| !gains.is_empty());
                let name = format!("gains of layer {layer}");
                Ok(Self {
                    input,
                    recurrent,
                    gains: gains.map(|gains| PackedMatrices::in_buffer(device, name, gains)).transpose()?,
                    backward: if trainable { Some(backward_of(layer, backward)?) } else { None },
                })
            })
            .collect()
    }
}
