//! Weights on the host, as PyTorch has them.

use super::equations;
use super::names::{KINDS, check_peepholes, is_recurrent, tensor_name, wanted};
use crate::config::{Bias, Precision, RnnConfig};
use crate::error::{Error, Result};
use crate::tensor::check_finite;
use half::f16;
use ndarray::{Array1, Array2, ArrayD, Ix1, Ix2};
use std::collections::{HashMap, HashSet};

/// The weights of one direction of one layer. Rows hold the gates in PyTorch's order: i, f, g, o of an LSTM, r, z, n of
/// a GRU.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::{Array1, array};
/// use wgrnn::{Cell, Device, LayerWeights, Reset, Rnn, RnnConfig, RnnWeights};
/// // A GRU of 2 features and 1 unit: its three gates are the rows of W and R.
/// let (w, r) = (array![[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], array![[0.7], [0.8], [0.9]]);
/// let layer = LayerWeights::new(w, r).b_w(Array1::zeros(3)).b_r(Array1::zeros(3));
/// let config = RnnConfig::new(Cell::Gru(Reset::After), 2, 1);
/// let rnn = Rnn::new(&Device::cpu(), &config, RnnWeights::new(vec![vec![layer]]))?;
/// # let _ = rnn;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LayerWeights {
    /// W, [G·H, I], which PyTorch calls `weight_ih`.
    pub w: Array2<f32>,
    /// R, [G·H, H], or [G·H, P] with a projection, which PyTorch calls `weight_hh`. An IndRNN has a diagonal, [H, 1].
    /// Empty for cells without R.
    pub r: Array2<f32>,
    /// The bias beside W, [G·H], which PyTorch calls `bias_ih`.
    pub b_w: Option<Array1<f32>>,
    /// The bias beside R, [G·H], which PyTorch calls `bias_hh`.
    pub b_r: Option<Array1<f32>>,
    /// The projection, [P, H], which PyTorch calls `weight_hr`.
    pub w_hr: Option<Array2<f32>>,
    /// The weights with which the gates of an LSTM with peepholes see c, [G·H]: `peephole`. Those of the candidate g
    /// have to be 0.
    pub peepholes: Option<Array1<f32>>,
    /// The weights of the layer norms, if there are any.
    pub norm: Option<NormWeights>,
}

impl LayerWeights {
    /// W [G·H, I] and R [G·H, H], or [G·H, P] with a projection; [H, 1] of an IndRNN, empty for cells without R. Methods add what
    /// else a layer has.
    pub const fn new(w: Array2<f32>, r: Array2<f32>) -> Self {
        Self { w, r, b_w: None, b_r: None, w_hr: None, peepholes: None, norm: None }
    }

    /// Sets the bias beside W, [G·H].
    #[must_use]
    pub fn b_w(self, b_w: impl Into<Option<Array1<f32>>>) -> Self {
        Self { b_w: b_w.into(), ..self }
    }

    /// Sets the bias beside R, [G·H].
    #[must_use]
    pub fn b_r(self, b_r: impl Into<Option<Array1<f32>>>) -> Self {
        Self { b_r: b_r.into(), ..self }
    }

    /// Sets the projection, [P, H].
    #[must_use]
    pub fn w_hr(self, w_hr: impl Into<Option<Array2<f32>>>) -> Self {
        Self { w_hr: w_hr.into(), ..self }
    }

    /// Sets the weights of peepholes, [G·H].
    #[must_use]
    pub fn peepholes(self, peepholes: impl Into<Option<Array1<f32>>>) -> Self {
        Self { peepholes: peepholes.into(), ..self }
    }

    /// Sets the weights of the layer norms.
    #[must_use]
    pub fn norm(self, norm: impl Into<Option<NormWeights>>) -> Self {
        Self { norm: norm.into(), ..self }
    }
}

/// The weights of a direction's layer norms, γ and β; the β of W's and R's are the biases `b_w` and `b_r`.
///
/// ```
/// use ndarray::{Array1, Array2};
/// use wgrnn::{LayerWeights, NormWeights};
/// // An LSTM of 3 features and 2 units: 8 gates in all.
/// let norm = NormWeights::new(Array1::ones(8), Array1::ones(8)).c(Array1::ones(2)).b_c(Array1::zeros(2));
/// let layer = LayerWeights::new(Array2::zeros((8, 3)), Array2::zeros((8, 2))).norm(norm);
/// # let _ = layer;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NormWeights {
    /// γ of W·x, [G·H]: `norm_ih`.
    pub w: Array1<f32>,
    /// γ of R·h, [G·H]: `norm_hh`.
    pub r: Array1<f32>,
    /// γ of an LSTM's c', `[H]`: `norm_c`.
    pub c: Option<Array1<f32>>,
    /// β of it, `[H]`, unless there are no biases: `norm_bias_c`.
    pub b_c: Option<Array1<f32>>,
}

impl NormWeights {
    /// γ of W·x and of R·h, [G·H] each.
    pub const fn new(w: Array1<f32>, r: Array1<f32>) -> Self {
        Self { w, r, c: None, b_c: None }
    }

    /// Sets γ of an LSTM's c', `[H]`.
    #[must_use]
    pub fn c(self, c: impl Into<Option<Array1<f32>>>) -> Self {
        Self { c: c.into(), ..self }
    }

    /// Sets β of an LSTM's c', `[H]`.
    #[must_use]
    pub fn b_c(self, b_c: impl Into<Option<Array1<f32>>>) -> Self {
        Self { b_c: b_c.into(), ..self }
    }
}

/// The weights of a stack of layers.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{Cell, RnnConfig, RnnWeights};
/// let config = RnnConfig::new(Cell::Lstm, 3, 4).layers(2);
/// let weights = RnnWeights::init(&config, 0)?;
/// let (name, array) = weights.named().next().expect("weights");
/// assert_eq!((name.as_str(), array.shape()), ("weight_ih_l0", &[16, 3][..]));
/// let file = weights.to_safetensors("encoder.")?;
/// assert_eq!(RnnWeights::from_safetensors(&file, &config, "encoder.")?, weights);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RnnWeights {
    layers: Vec<Vec<LayerWeights>>,
    heads: usize,
    /// What files say of the cell, where it is known.
    pub(super) equations: Option<String>,
}

/// Whether the numbers are the same.
impl PartialEq for RnnWeights {
    fn eq(&self, other: &Self) -> bool {
        (&self.layers, self.heads) == (&other.layers, other.heads)
    }
}

impl RnnWeights {
    /// Takes arrays of layers without heads: for each layer its directions, forward before reverse.
    /// [`Rnn::new`](crate::Rnn::new) checks them.
    pub const fn new(layers: Vec<Vec<LayerWeights>>) -> Self {
        Self { layers, heads: 1, equations: None }
    }

    /// Says that the layers have this many heads: for each layer there are its directions, and for each direction its
    /// heads.
    #[must_use]
    pub const fn heads(mut self, heads: usize) -> Self {
        self.heads = heads;
        self
    }

    /// The same as those of a configuration, which files then say.
    #[must_use]
    pub(crate) fn of(mut self, config: &RnnConfig) -> Self {
        self.equations = Some(equations::note(config));
        self
    }

    /// The arrays: for each layer its directions, and for each direction its heads.
    pub fn layers(&self) -> &[Vec<LayerWeights>] {
        &self.layers
    }

    /// Whether every tensor has a name of its own: PyTorch's names know two directions.
    pub(crate) fn check_names(&self) -> Result<()> {
        if self.heads == 0 {
            return Err(Error::value("heads of weights", "at least 1", 0));
        }
        let has_names = |tracks: usize| tracks == self.heads || self.heads.checked_mul(2) == Some(tracks);
        match self.layers.iter().enumerate().find(|(_, directions)| !has_names(directions.len())) {
            Some((layer, directions)) => {
                let expected = format!("one direction or two, of {} heads each", self.heads);
                Err(Error::value(format!("weights of layer {layer}"), expected, directions.len()))
            }
            None => Ok(()),
        }
    }

    /// All tensors with PyTorch's names, in PyTorch's order, which is that of a trainable layer's block. Names repeat
    /// if there are more than two directions, which no layer has.
    pub fn named(&self) -> impl Iterator<Item = (String, ndarray::ArrayViewD<'_, f32>)> {
        let heads = self.heads;
        self.layers.iter().enumerate().flat_map(move |(layer, directions)| {
            directions.iter().enumerate().flat_map(move |(direction, weights)| {
                let tensors = weights.tensors().into_iter();
                tensors.filter_map(move |(kind, array)| {
                    array.map(|array| (tensor_name(heads, kind, layer, direction), array))
                })
            })
        })
    }

    /// Collects the weights of a configuration from tensors with PyTorch's names. Tensors of other modules are ignored;
    /// further layers, directions and heads are an error.
    ///
    /// # Errors
    /// [`MissingWeight`](Error::MissingWeight), [`LeftOver`](Error::LeftOver), [`Shape`](Error::Shape),
    /// [`NotFinite`](Error::NotFinite), [`Value`](Error::Value) where two have one name.
    pub fn from_named(config: &RnnConfig, tensors: &[(String, ArrayD<f32>)]) -> Result<Self> {
        let mut all = HashMap::new();
        for (name, array) in tensors {
            if all.insert(name.as_str(), array).is_some() {
                return Err(Error::value(
                    "tensors by name",
                    "a name of its own for each",
                    format!("two of name '{name}'"),
                ));
            }
        }
        let weights = Self::collect(config, |name| Ok(all.get(name).map(|&array| array.clone())))?;
        weights.check(config)?;
        let own: HashSet<String> = Self::names_of(config).collect();
        let names = tensors.iter().map(|tensor| &tensor.0);
        let left: Vec<String> = names.filter(|name| is_recurrent(name) && !own.contains(*name)).cloned().collect();
        if left.is_empty() { Ok(weights) } else { Err(Error::LeftOver { tensors: left, expected: wanted(config) }) }
    }

    /// The names of a configuration's tensors.
    pub(crate) fn names_of(config: &RnnConfig) -> impl Iterator<Item = String> {
        Self::shapes_of(config).map(|(name, _)| name)
    }

    /// The same with their shapes.
    pub(crate) fn shapes_of(config: &RnnConfig) -> impl Iterator<Item = (String, Vec<usize>)> {
        let tracks = (0..config.layers).flat_map(|layer| (0..config.tracks()).map(move |track| (layer, track)));
        tracks.flat_map(move |(layer, track)| {
            let shapes = tensor_shapes(config, layer).into_iter();
            shapes.filter_map(move |(kind, shape)| Some((tensor_name(config.heads, kind, layer, track), shape?)))
        })
    }

    /// Weights out of what `tensor` finds by name, with the shapes that it has them in.
    pub(crate) fn collect(config: &RnnConfig, tensor: impl Fn(&str) -> Result<Option<ArrayD<f32>>>) -> Result<Self> {
        config.validate()?;
        let direction = |layer, direction| {
            let [w, r, b_w, b_r, w_hr, peepholes, n_w, n_r, n_c, n_b] =
                tensor_shapes(config, layer).map(|(kind, shape)| {
                    let name = tensor_name(config.heads, kind, layer, direction);
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
                norm: match (vector(n_w?), vector(n_r?)) {
                    (Some(w), Some(r)) => Some(NormWeights { w, r, c: vector(n_c?), b_c: vector(n_b?) }),
                    _ => None,
                },
            })
        };
        let layer = |layer| (0..config.tracks()).map(|d| direction(layer, d)).collect::<Result<_>>();
        Ok(Self::new((0..config.layers).map(layer).collect::<Result<_>>()?).heads(config.heads).of(config))
    }

    /// Refuses what half precision can't hold, where it is asked for.
    pub(crate) fn check_precision(&self, config: &RnnConfig) -> Result<()> {
        let most = f16::MAX.to_f32();
        // What norms multiply with and add is in 32 bits.
        let halves =
            |name: &str| !(config.options.layer_norm && (name.starts_with("norm") || name.starts_with("bias")));
        let named = self.named().filter(|(name, _)| config.precision == Precision::Half && halves(name));
        for (name, array) in named {
            if let Some(value) = array.iter().find(|value| value.abs() > most) {
                return Err(Error::value(name, format!("numbers up to ±{most}, what half precision can hold"), value));
            }
        }
        Ok(())
    }

    /// Refuses weights that no configuration has, or that are not finite: a file of them could never be loaded.
    pub(super) fn check_loadable(&self) -> Result<()> {
        let first = self.layers.first().and_then(|directions| directions.first());
        let first = first.ok_or_else(|| Error::value("weights", "one layer at least", "none"))?;
        let (rows, state) = (first.w.nrows(), first.r.ncols());
        for (layer, directions) in self.layers.iter().enumerate() {
            let count = directions.len();
            if count != self.layers[0].len() || ![self.heads, self.heads.saturating_mul(2)].contains(&count) {
                let got = format!("{count} directions and heads in layer {layer}");
                let expected = format!("one or two of {} heads, and as many in every layer", self.heads);
                return Err(Error::value("directions", expected, got));
            }
            for (track, weights) in directions.iter().enumerate() {
                for ((kind, array), (_, like)) in weights.tensors().iter().zip(&first.tensors()) {
                    let name = tensor_name(self.heads, kind, layer, track);
                    let (array, like) = match (array, like) {
                        (Some(array), Some(like)) => (array, like),
                        (Some(array), None) => return Err(Error::shape(name, "none", array.shape())),
                        (None, Some(_)) => return Err(Error::MissingWeight(name)),
                        (None, None) => continue,
                    };
                    check_finite(&name, array.iter())?;
                    let mut expected = like.shape().to_vec();
                    match *kind {
                        // Layers above read what those below give, which R says where it is no diagonal.
                        "weight_ih" if layer > 0 && state > 1 => expected[1] = count * state,
                        "weight_ih" if layer > 0 => expected[1] = array.shape()[1],
                        "weight_ih" | "weight_hr" | "norm_c" | "norm_bias_c" => {}
                        _ => expected[0] = rows,
                    }
                    if array.shape() != expected {
                        return Err(Error::shape(name, expected, array.shape()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether they are a configuration's, and finite.
    pub(crate) fn check(&self, config: &RnnConfig) -> Result<()> {
        if self.layers.len() != config.layers {
            return Err(Error::value("weights", format!("{} layers", config.layers), self.layers.len()));
        }
        if self.heads != config.heads {
            return Err(Error::value("weights", format!("of {} heads", config.heads), self.heads));
        }
        for (layer, directions) in self.layers.iter().enumerate() {
            if directions.len() != config.tracks() {
                let got = format!("{} in layer {layer}", directions.len());
                return Err(Error::value("weights", format!("{} directions and heads", config.tracks()), got));
            }
            for (direction, weights) in directions.iter().enumerate() {
                let tensors = weights.tensors();
                for (kind, shape) in tensor_shapes(config, layer) {
                    let name = tensor_name(config.heads, kind, layer, direction);
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

impl LayerWeights {
    /// The tensors by PyTorch's names.
    fn tensors(&self) -> [(&'static str, Option<ndarray::ArrayViewD<'_, f32>>); 10] {
        let [w, r, b_w, b_r, hr, peephole, n_w, n_r, n_c, n_b] = KINDS;
        let norm = self.norm.as_ref();
        [
            (w, Some(self.w.view().into_dyn())),
            (r, Some(self.r.view().into_dyn()).filter(|r| !r.is_empty())),
            (b_w, self.b_w.as_ref().map(|b| b.view().into_dyn())),
            (b_r, self.b_r.as_ref().map(|b| b.view().into_dyn())),
            (hr, self.w_hr.as_ref().map(|w| w.view().into_dyn())),
            (peephole, self.peepholes.as_ref().map(|p| p.view().into_dyn())),
            (n_w, norm.map(|norm| norm.w.view().into_dyn())),
            (n_r, norm.map(|norm| norm.r.view().into_dyn())),
            (n_c, norm.and_then(|norm| norm.c.as_ref()).map(|c| c.view().into_dyn())),
            (n_b, norm.and_then(|norm| norm.b_c.as_ref()).map(|b| b.view().into_dyn())),
        ]
    }
}

/// The tensors that a layer's direction has, with their shapes; none for those that it lacks.
pub(super) fn tensor_shapes(config: &RnnConfig, layer: usize) -> [(&'static str, Option<Vec<usize>>); 10] {
    let gates = config.cell.gates() * config.hidden;
    let [w, r, b_w, b_r, hr, peephole, n_w, n_r, n_c, n_b] = KINDS;
    let norm = config.form().norm();
    let of_c = norm.filter(|norm| norm.has_c).map(|_| vec![config.hidden]);
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
        (peephole, config.options.equations.peepholes.then(|| vec![gates])),
        (n_w, norm.map(|_| vec![gates])),
        (n_r, norm.map(|_| vec![gates])),
        (n_c, of_c.clone()),
        (n_b, of_c.filter(|_| config.bias != Bias::None)),
    ]
}
