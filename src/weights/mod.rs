//! Weights on the host: from arrays, from a seed, from and to safetensors.

pub(crate) mod files;
mod init;

use crate::error::{Error, Result};
use crate::layer::{Bias, Precision, RnnConfig};
use half::f16;
use ndarray::{Array1, Array2, ArrayD, Ix1, Ix2};

/// The weights of one direction of one layer. Rows hold the gates in PyTorch's order: i, f, g, o of an LSTM, r, z, n of
/// a GRU.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerWeights {
    /// W, [G·H, I]: PyTorch's `weight_ih`.
    pub w: Array2<f32>,
    /// R, [G·H, H], or [G·H, P] with a projection: `weight_hh`. The diagonal of an IndRNN's is [H, 1]. Empty where the cell
    /// has none.
    pub r: Array2<f32>,
    /// The bias beside W, [G·H]: `bias_ih`.
    pub b_w: Option<Array1<f32>>,
    /// The bias beside R, [G·H]: `bias_hh`.
    pub b_r: Option<Array1<f32>>,
    /// The projection, [P, H]: `weight_hr`.
    pub w_hr: Option<Array2<f32>>,
    /// What the gates of an LSTM with peepholes see of c, [G·H]: `peephole`. The candidate g sees nothing, and what is given for
    /// it has to be 0.
    pub peepholes: Option<Array1<f32>>,
}

/// The weights of a stack of layers.
#[derive(Clone, Debug, PartialEq)]
pub struct RnnWeights {
    layers: Vec<Vec<LayerWeights>>,
}

impl RnnWeights {
    /// From arrays: for each layer its directions, forward before reverse. [`Rnn::new`](crate::Rnn::new) checks them.
    pub const fn new(layers: Vec<Vec<LayerWeights>>) -> Self {
        Self { layers }
    }

    /// For each layer its directions.
    pub fn layers(&self) -> &[Vec<LayerWeights>] {
        &self.layers
    }

    /// All tensors by PyTorch's names, in its order: the block of a trainable layer.
    pub fn named(&self) -> impl Iterator<Item = (String, ndarray::ArrayViewD<'_, f32>)> {
        self.layers.iter().enumerate().flat_map(|(layer, directions)| {
            directions.iter().enumerate().flat_map(move |(direction, weights)| {
                let tensors = weights.tensors().into_iter();
                tensors.filter_map(move |(kind, array)| array.map(|array| (tensor_name(kind, layer, direction), array)))
            })
        })
    }

    /// The weights of a configuration out of tensors with PyTorch's names; others are left alone.
    ///
    /// # Errors
    /// [`MissingWeight`](Error::MissingWeight), [`Shape`](Error::Shape), [`NotFinite`](Error::NotFinite).
    pub fn from_named(config: &RnnConfig, tensors: &[(String, ArrayD<f32>)]) -> Result<Self> {
        let weights = Self::collect(config, |name| {
            Ok(tensors.iter().find(|tensor| tensor.0 == name).map(|tensor| tensor.1.clone()))
        })?;
        weights.check(config)?;
        Ok(weights)
    }

    /// Weights out of what `tensor` finds by name, with the shapes that it has them in.
    pub(crate) fn collect(config: &RnnConfig, tensor: impl Fn(&str) -> Result<Option<ArrayD<f32>>>) -> Result<Self> {
        config.validate()?;
        let direction = |layer, direction| {
            let [w, r, b_w, b_r, w_hr, peepholes] = tensor_shapes(config, layer).map(|(kind, shape)| {
                let name = tensor_name(kind, layer, direction);
                match (tensor(&name)?, shape) {
                    (Some(array), Some(shape)) if array.shape() == shape => Ok(Some(array)),
                    (Some(array), Some(shape)) => Err(Error::shape(name, shape, array.shape())),
                    // A bias that the configuration says is not there would be left out silently.
                    (Some(array), None) => Err(Error::shape(name, "none", array.shape())),
                    (None, Some(_)) => Err(Error::MissingWeight(name)),
                    (None, None) => Ok(None),
                }
            });
            let matrix = |array: Option<ArrayD<f32>>| array.and_then(|array| array.into_dimensionality::<Ix2>().ok());
            let vector = |array: Option<ArrayD<f32>>| array.and_then(|array| array.into_dimensionality::<Ix1>().ok());
            Ok(LayerWeights {
                w: matrix(w?).unwrap_or_default(),
                r: matrix(r?).unwrap_or_default(),
                b_w: vector(b_w?),
                b_r: vector(b_r?),
                w_hr: matrix(w_hr?),
                peepholes: vector(peepholes?),
            })
        };
        let layer = |layer| (0..config.directions()).map(|d| direction(layer, d)).collect::<Result<_>>();
        Ok(Self::new((0..config.layers).map(layer).collect::<Result<_>>()?))
    }

    /// Refuses what half precision can't hold, where it is asked for.
    pub(crate) fn check_precision(&self, config: &RnnConfig) -> Result<()> {
        let most = f16::MAX.to_f32();
        for (name, array) in self.named().filter(|_| config.precision == Precision::Half) {
            if let Some(value) = array.iter().find(|value| value.abs() > most) {
                return Err(Error::value(name, format!("numbers up to ±{most}, what half precision can hold"), value));
            }
        }
        Ok(())
    }

    /// Whether they are a configuration's, and finite.
    pub(crate) fn check(&self, config: &RnnConfig) -> Result<()> {
        if self.layers.len() != config.layers {
            return Err(Error::value("weights", format!("{} layers", config.layers), self.layers.len()));
        }
        for (layer, directions) in self.layers.iter().enumerate() {
            if directions.len() != config.directions() {
                let got = format!("{} in layer {layer}", directions.len());
                return Err(Error::value("weights", format!("{} directions", config.directions()), got));
            }
            for (direction, weights) in directions.iter().enumerate() {
                let tensors = weights.tensors();
                for (kind, shape) in tensor_shapes(config, layer) {
                    let name = tensor_name(kind, layer, direction);
                    match (tensors.iter().find(|tensor| tensor.0 == kind).and_then(|tensor| tensor.1.as_ref()), shape) {
                        (Some(array), Some(shape)) if array.shape() == shape => {
                            check_finite(&name, array.iter())?;
                            check_peepholes(config, kind, &name, array)?;
                        }
                        (Some(array), Some(shape)) => return Err(Error::shape(name, shape, array.shape())),
                        (Some(array), None) => return Err(Error::shape(name, "none", array.shape())),
                        (None, Some(_)) => return Err(Error::MissingWeight(name)),
                        (None, None) => {}
                    }
                }
            }
        }
        Ok(())
    }
}

/// Where the tensors of one direction of a layer begin in the block of all weights, and how long they are together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offsets {
    pub w: usize,
    pub r: usize,
    pub b_w: Option<usize>,
    pub b_r: Option<usize>,
    pub w_hr: Option<usize>,
    pub peepholes: Option<usize>,
    pub words: usize,
}

/// The offsets of a layer's first direction; the next one's are `words` further.
pub(crate) fn offsets(config: &RnnConfig, layer: usize) -> Offsets {
    let words = |layer| -> usize {
        tensor_shapes(config, layer)
            .iter()
            .filter_map(|(_, shape)| shape.as_ref())
            .map(|s| s.iter().product::<usize>())
            .sum()
    };
    let mut at: usize = (0..layer).map(|layer| config.directions() * words(layer)).sum();
    let [w, r, b_w, b_r, w_hr, peepholes] = tensor_shapes(config, layer).map(|(_, shape)| {
        shape.map(|shape| {
            at += shape.iter().product::<usize>();
            at - shape.iter().product::<usize>()
        })
    });
    Offsets { w: w.unwrap_or(0), r: r.unwrap_or(0), b_w, b_r, w_hr, peepholes, words: words(layer) }
}

/// PyTorch's names of a direction's tensors, in its order.
const KINDS: [&str; 6] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr", "peephole"];

impl LayerWeights {
    /// The tensors by PyTorch's names.
    fn tensors(&self) -> [(&'static str, Option<ndarray::ArrayViewD<'_, f32>>); 6] {
        let [w, r, b_w, b_r, hr, peephole] = KINDS;
        [
            (w, Some(self.w.view().into_dyn())),
            (r, Some(self.r.view().into_dyn()).filter(|r| !r.is_empty())),
            (b_w, self.b_w.as_ref().map(|b| b.view().into_dyn())),
            (b_r, self.b_r.as_ref().map(|b| b.view().into_dyn())),
            (hr, self.w_hr.as_ref().map(|w| w.view().into_dyn())),
            (peephole, self.peepholes.as_ref().map(|p| p.view().into_dyn())),
        ]
    }
}

/// The tensors that a layer's direction has, with their shapes; none for those that it lacks.
fn tensor_shapes(config: &RnnConfig, layer: usize) -> [(&'static str, Option<Vec<usize>>); 6] {
    let gates = config.cell.gates() * config.hidden;
    let [w, r, b_w, b_r, hr, peephole] = KINDS;
    let recurrent = match config.cell {
        cell if cell.has_recurrent_weights() => Some(vec![gates, config.state_size()]),
        cell if cell.has_diagonal() => Some(vec![gates, 1]),
        _ => None,
    };
    [
        (w, Some(vec![gates, config.input_of(layer)])),
        (r, recurrent),
        (b_w, (config.bias != Bias::None).then(|| vec![gates])),
        (b_r, (config.bias == Bias::Two).then(|| vec![gates])),
        (hr, config.projection.map(|units| vec![units, config.hidden])),
        (peephole, config.options.peepholes.then(|| vec![gates])),
    ]
}

/// PyTorch's name: `weight_ih_l0`, `weight_ih_l0_reverse`.
fn tensor_name(kind: &str, layer: usize, direction: usize) -> String {
    format!("{kind}_l{layer}{}", if direction == 1 { "_reverse" } else { "" })
}

/// Refuses a peephole of the candidate, which no LSTM has.
fn check_peepholes(config: &RnnConfig, kind: &str, name: &str, array: &ndarray::ArrayViewD<'_, f32>) -> Result<()> {
    let candidate = 2 * config.hidden..3 * config.hidden;
    let of_candidate = array.iter().enumerate().find(|(i, value)| candidate.contains(i) && **value != 0.0);
    match of_candidate.filter(|_| kind == KINDS[5]) {
        Some((i, value)) => Err(Error::value(name, "0 for the candidate", format!("{value} at {i}"))),
        None => Ok(()),
    }
}

/// Refuses NaN and infinities, which would spread through every later state.
pub(crate) fn check_finite<'a>(tensor: &str, values: impl Iterator<Item = &'a f32>) -> Result<()> {
    match values.enumerate().find(|(_, value)| !value.is_finite()) {
        Some((index, &value)) => Err(Error::NotFinite { tensor: tensor.to_owned(), index, value }),
        None => Ok(()),
    }
}
