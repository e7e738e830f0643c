//! Keras's `SimpleRNN`, `LSTM` and `GRU`, forward, backward (`go_backwards`) and `Bidirectional`, with its weights.
//!
//! In Keras, activations are arguments of layers. Here they belong to the configuration: give them to
//! [`RnnConfig::activations`](crate::RnnConfig::activations) (for the gates `recurrent_activation`, for the candidate and the
//! cell `activation`), or to [`Cell::Elman`]. [`activation`] finds them by name. A `GRU` with `reset_after=True`, the default,
//! is [`Reset::After`]; with `False` it is [`Reset::Before`].
//!
//! [`load`] reads the weights of a layer from a file of Keras.

use super::system::{Biases, System};
use crate::cells::{Activation, Cell, Reset};
use crate::config::{Bias, Direction, RnnConfig};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::files::{Arrays, of_file};
use crate::layer::{Rnn, RnnCall, SequenceMap, State};
use crate::weights::{LayerWeights, RnnWeights};
use ndarray::{Array1, Array2, Array3, ArrayD, ArrayView2, ArrayView3, Axis, Ix1, Ix2, Ix3, s};

/// Reads the weights of a layer from a `.keras` archive, a `.weights.h5` or an old `.h5` file, for [`Layer::new`]: those of one
/// direction, or of two of a `Bidirectional`, forward before backward. `layer` is the layer's name in the file. Keras 3 numbers
/// layers by their classes there, whatever the model calls them: `lstm`, `gru`, `gru_1`, `bidirectional`, and old files have the
/// model's names. [`Arrays::names`] lists what a file has. Files without Python need the cargo feature `files`.
///
/// ```no_run
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::dialects::keras::{self, Layer, Reads};
/// use wgrnn::{Cell, Device, RnnConfig};
/// let weights = keras::load("model.keras", "lstm")?;
/// let layer = Layer::new(&Device::auto(), &RnnConfig::new(Cell::Lstm, 1, 1), &weights, Reads::Forward)?;
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`Arrays::load`], [`MissingWeight`](Error::MissingWeight) with what the file has, [`LeftOver`](Error::LeftOver) for
/// arrays that no such layer has, [`Shape`](Error::Shape) for kernels that are no matrices.
pub fn load(path: impl AsRef<std::path::Path>, layer: &str) -> Result<Vec<Weights>> {
    from_arrays(&Arrays::load(path.as_ref())?, layer).map_err(of_file(path.as_ref()))
}

/// As [`load`], from the bytes of a file.
///
/// # Errors
/// As [`load`].
pub fn from_bytes(bytes: &[u8], layer: &str) -> Result<Vec<Weights>> {
    from_arrays(&Arrays::from_bytes(bytes)?, layer)
}

/// As [`load`], from arrays by name: `lstm/kernel`, `lstm/recurrent_kernel`, `lstm/bias`, or as Keras's files name them.
///
/// # Errors
/// As [`load`].
pub fn from_arrays(arrays: &Arrays<'_>, layer: &str) -> Result<Vec<Weights>> {
    let prefix = arrays.resolve(&format!("{layer}/"));
    // Dropout keeps whole numbers for its seeds.
    let names: Vec<&str> = arrays.under(&prefix).filter(|name| arrays.is_float(name)).collect();
    let is_of = |name: &str, way: &str| {
        let inner = name.strip_prefix(prefix.as_str()).unwrap_or(name);
        inner.split('/').any(|part| part == format!("{way}_layer") || part.starts_with(&format!("{way}_")))
    };
    let ways = ["forward", "backward"];
    let directions: Vec<Vec<&str>> = if names.iter().any(|name| ways.iter().any(|way| is_of(name, way))) {
        ways.iter().map(|way| names.iter().copied().filter(|name| is_of(name, way)).collect()).collect()
    } else {
        vec![names.clone()]
    };
    let mut taken = Vec::new();
    let mut weights = Vec::new();
    for own in directions {
        // By number in files of Keras 3, by name in older ones.
        let mut find = |number: &str, word: &str| {
            let found = own.iter().copied().find(|name| {
                let mut parts = name.rsplit('/');
                let (last, above) = (parts.next().unwrap_or_default(), parts.next());
                last == word || last == number && above == Some("vars")
            });
            taken.extend(found);
            found
        };
        let names = [find("0", "kernel"), find("1", "recurrent_kernel"), find("2", "bias")];
        let array = |name: Option<&str>, word: &str| match name {
            Some(name) => arrays.tensor(name)?.ok_or_else(|| Error::MissingWeight(name.to_owned())),
            None => Err(arrays.missing(&prefix, word, &[], |_| true)),
        };
        let matrix = |name: Option<&str>, word: &str| {
            let array = array(name, word)?;
            let shape = array.shape().to_vec();
            array.into_dimensionality::<Ix2>().map_err(|_| Error::shape(name.unwrap_or(word), "a matrix", shape))
        };
        weights.push(Weights {
            kernel: matrix(names[0], "kernel")?,
            recurrent_kernel: matrix(names[1], "recurrent_kernel")?,
            bias: names[2].map(|name| array(Some(name), "bias")).transpose()?,
        });
    }
    let left: Vec<String> = names.iter().filter(|name| !taken.contains(name)).map(|name| (*name).to_owned()).collect();
    if !left.is_empty() {
        return Err(Error::LeftOver { tensors: left, expected: format!("one recurrent layer '{layer}'") });
    }
    Ok(weights)
}

/// The weights of one direction of a layer, as Keras's `get_weights` returns them.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// `kernel`: [I, G·H].
    pub kernel: Array2<f32>,
    /// `recurrent_kernel`: [H, G·H].
    pub recurrent_kernel: Array2<f32>,
    /// `bias`: [G·H], or [2, 3·H] of a `GRU` with `reset_after`; none with `use_bias=False`.
    pub bias: Option<ArrayD<f32>>,
}

impl Weights {
    /// Converts them to this library's layout. Also gives the number of biases, for
    /// [`RnnConfig::bias`](crate::RnnConfig::bias).
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) for arrays that are not this cell's.
    pub fn to_own(&self, cell: Cell) -> Result<(Bias, LayerWeights)> {
        let units = self.recurrent_kernel.nrows();
        // An array without elements may have any number of rows.
        let columns = if self.recurrent_kernel.is_empty() { 0 } else { cell.gates() * units };
        for (name, array) in [("kernel", &self.kernel), ("recurrent_kernel", &self.recurrent_kernel)] {
            if array.ncols() != columns || array.is_empty() {
                let expected = format!("[·, {columns}] of {} with {units} units", cell.name());
                return Err(Error::shape(format!("Keras's {name}"), expected, array.shape()));
            }
        }
        let own = |rows: Array1<f32>| System::Keras.to_own(cell, rows.view());
        let biases = match &self.bias {
            None => Biases::default(),
            Some(bias) => {
                let expected = bias_shape(cell, columns);
                let fault = || Error::shape("Keras's bias", &expected, bias.shape());
                if bias.shape() != expected {
                    return Err(fault());
                }
                if expected.len() == 2 {
                    let both = bias.view().into_dimensionality::<Ix2>().map_err(|_| fault())?;
                    Biases { input: Some(own(both.row(0).to_owned())?), recurrent: Some(own(both.row(1).to_owned())?) }
                } else {
                    let one = bias.view().into_dimensionality::<Ix1>().map_err(|_| fault())?;
                    Biases { input: Some(own(one.to_owned())?), recurrent: None }
                }
            }
        };
        let (bias, b_w, b_r) = biases.own();
        let w = System::Keras.to_own(cell, self.kernel.t())?;
        let r = System::Keras.to_own(cell, self.recurrent_kernel.t())?;
        Ok((bias, LayerWeights { w, r, b_w, b_r, w_hr: None, peepholes: None, norm: None }))
    }

    /// Converts this library's weights to Keras's layout. Two biases are added into one, except for a GRU with
    /// `reset_after`, which keeps two and gets zeros in place of a missing one.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) for rows that are not those of the cell's gates, [`Unsupported`](Error::Unsupported) for a projection or
    /// peepholes.
    pub fn of_own(cell: Cell, weights: &LayerWeights) -> Result<Self> {
        let others = [
            ("projection", weights.w_hr.is_some()),
            ("peepholes", weights.peepholes.is_some()),
            ("layer norms", weights.norm.is_some()),
        ];
        for (name, has) in others {
            if has {
                return Err(Error::unsupported(name, "Keras has none"));
            }
        }
        for (name, matrix) in [("W", &weights.w), ("R", &weights.r)] {
            if matrix.is_empty() {
                return Err(Error::shape(name, "at least one row and one column", matrix.shape()));
            }
        }
        let rows = weights.w.nrows();
        for (name, bias) in [("b_w", &weights.b_w), ("b_r", &weights.b_r)] {
            if let Some(bias) = bias.as_ref().filter(|bias| bias.len() != rows) {
                return Err(Error::shape(name, [rows], bias.shape()));
            }
        }
        let theirs = |rows: &Array1<f32>| System::Keras.of_own(cell, rows.view());
        let zeros = || Array1::zeros(weights.w.nrows());
        let bias = match (&weights.b_w, &weights.b_r) {
            (None, None) => None,
            (first, second) => {
                let [first, second] = [first, second].map(|bias| bias.clone().unwrap_or_else(zeros));
                Some(if cell == Cell::Gru(Reset::After) {
                    let rows = [theirs(&first)?, theirs(&second)?];
                    ndarray::stack![Axis(0), rows[0], rows[1]].into_dyn()
                } else {
                    theirs(&(first + second))?.into_dyn()
                })
            }
        };
        let columns = |rows: &Array2<f32>| {
            Ok(System::Keras.of_own(cell, rows.view())?.reversed_axes().as_standard_layout().into_owned())
        };
        Ok(Self { kernel: columns(&weights.w)?, recurrent_kernel: columns(&weights.r)?, bias })
    }
}

fn bias_shape(cell: Cell, columns: usize) -> Vec<usize> {
    if cell == Cell::Gru(Reset::After) { vec![2, columns] } else { vec![columns] }
}

/// The activation that Keras 3 has under this name. Keras 2 differs only in `hard_sigmoid`, which there is
/// [`Activation::HardSigmoid`] with α 0.2 and β 0.5.
///
/// # Errors
/// [`Value`](Error::Value) for a name that is none of these.
pub fn activation(name: &str) -> Result<Activation> {
    Ok(match name {
        "tanh" => Activation::Tanh,
        "sigmoid" => Activation::Sigmoid,
        "relu" => Activation::Relu,
        "linear" => Activation::LINEAR,
        "hard_sigmoid" => Activation::HardSigmoid { alpha: (1.0 / 6.0).into(), beta: 0.5.into() },
        "elu" => Activation::Elu { alpha: 1.0.into() },
        "leaky_relu" => Activation::LeakyRelu { alpha: 0.2.into() },
        "softsign" => Activation::Softsign,
        "softplus" => Activation::Softplus,
        _ => {
            let expected = "tanh, sigmoid, relu, linear, hard_sigmoid, elu, leaky_relu, softsign or softplus";
            return Err(Error::value("Keras's activation", expected, name));
        }
    })
}

/// How `Bidirectional` combines the outputs of its two directions (`merge_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Merge {
    /// Side by side: [N, T, 2·H].
    Concat,
    /// Their sum: [N, T, H].
    Sum,
    /// Their element-wise product: [N, T, H].
    Mul,
    /// Their mean: [N, T, H].
    Ave,
}

/// The direction in which a layer reads its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reads {
    /// From the first step to the last.
    Forward,
    /// From the last step to the first (`go_backwards`). Outputs come in the order in which they are computed.
    Backward,
    /// In both directions (`Bidirectional`). Outputs of both come in the order of the input.
    Both(Merge),
}

/// The outputs of a layer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outputs {
    /// What Keras returns with `return_sequences`: [N, T, H], or [N, T, 2·H] for [`Merge::Concat`].
    pub sequences: Array3<f32>,
    /// What Keras returns without `return_sequences`: the output after each direction's last step, [N, H] or [N, 2·H]; 0 of a
    /// sequence without a valid step.
    pub last: Array2<f32>,
    /// The final state: [D, N, H].
    pub state: State,
}

/// A Keras layer on a device.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::{Array2, Array3};
/// use wgrnn::dialects::keras::{Layer, Reads, Weights};
/// use wgrnn::{Cell, Device, RnnConfig};
/// // An LSTM of 3 features and 4 units, as `layer.get_weights()` gives it. The sizes come from the weights.
/// let kernel = Array2::from_elem((3, 16), 0.1);
/// let weights = Weights { kernel, recurrent_kernel: Array2::from_elem((4, 16), 0.1), bias: None };
/// let layer = Layer::new(&Device::auto(), &RnnConfig::new(Cell::Lstm, 3, 4), &[weights], Reads::Forward)?;
/// let outputs = layer.run(Array3::ones((2, 5, 3)).view(), None, None)?;
/// assert_eq!((outputs.sequences.dim(), outputs.last.dim()), ((2, 5, 4), (2, 4)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Layer {
    rnn: Rnn,
    reads: Reads,
    zero_output_for_mask: bool,
}

impl Layer {
    /// Makes a layer with the cell and the activations of `config`. Sizes, direction and biases come from the weights,
    /// which are those of one direction, or of two for [`Reads::Both`], forward before backward.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for another number of weights, as [`Weights::to_own`], and as [`Rnn::new`].
    pub fn new(device: &Device, config: &RnnConfig, weights: &[Weights], reads: Reads) -> Result<Self> {
        let direction = match reads {
            Reads::Forward => Direction::Forward,
            Reads::Backward => Direction::Reverse,
            Reads::Both(_) => Direction::Bidirectional,
        };
        if weights.len() != direction.count() {
            return Err(Error::value(
                "Keras's weights",
                format!("those of {} directions", direction.count()),
                weights.len(),
            ));
        }
        let own = weights.iter().map(|weights| weights.to_own(config.cell())).collect::<Result<Vec<_>>>()?;
        let (biases, own): (Vec<_>, Vec<_>) = own.into_iter().unzip();
        let mut config = config.clone().layers(1).direction(direction).bias(biases[0]).batch_first(true);
        (config.input, config.hidden) = (weights[0].kernel.nrows(), weights[0].recurrent_kernel.nrows());
        Ok(Self { rnn: Rnn::new(device, &config, RnnWeights::new(vec![own]))?, reads, zero_output_for_mask: false })
    }

    /// The layer that computes it, with batches first.
    pub fn rnn(&self) -> &Rnn {
        &self.rnn
    }

    /// Sets `zero_output_for_mask`: whether outputs of masked steps are 0, or repeat those before them, which is the default.
    /// `Bidirectional` sets it where it returns sequences, and so does a layer that [`Reads::Both`], whatever is set here.
    pub fn zero_output_for_mask(self, zero_output_for_mask: bool) -> Self {
        Self { zero_output_for_mask, ..self }
    }

    /// Runs the layer on `x` [N, T, I]. Outputs beyond a sequence's length are 0, as in Keras with
    /// `zero_output_for_mask`.
    ///
    /// # Errors
    /// As [`Rnn::forward_with`].
    pub fn run(&self, x: ArrayView3<'_, f32>, lengths: Option<Vec<usize>>, state: Option<&State>) -> Result<Outputs> {
        let empty = |lengths: &Vec<usize>| lengths.iter().map(|&length| length == 0).collect();
        let empty: Vec<bool> = lengths.as_ref().map_or_else(Vec::new, empty);
        self.run_call(x, &RnnCall { lengths: lengths.into(), ..RnnCall::default() }, &empty, state)
    }

    /// Runs the layer on `x` [N, T, I] with a mask [N, T], which may have padding at either end and holes. A step where it is
    /// `false` keeps the state; its output is that of the step before it, as the direction reads, and 0 before the first valid step,
    /// or it is 0: see [`zero_output_for_mask`](Self::zero_output_for_mask). The output of `go_backwards` has its steps turned round, the
    /// mask for the next layer has not: turn it as well where that is meant.
    ///
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// # use ndarray::{Array2, Array3, array};
    /// # use wgrnn::dialects::keras::{Layer, Reads, Weights};
    /// # use wgrnn::{Cell, Device, RnnConfig};
    /// # let kernel = Array2::from_elem((3, 16), 0.1);
    /// # let weights = Weights { kernel, recurrent_kernel: Array2::from_elem((4, 16), 0.1), bias: None };
    /// # let layer = Layer::new(&Device::auto(), &RnnConfig::new(Cell::Lstm, 3, 4), &[weights], Reads::Forward)?;
    /// let mask = array![[false, true, true], [true, false, true]]; // [N, T]
    /// let outputs = layer.run_masked(Array3::ones((2, 3, 3)).view(), mask.view(), None)?;
    /// assert_eq!(outputs.sequences.dim(), (2, 3, 4));
    /// // The masked step of the second sequence repeats the one before it.
    /// use ndarray::s;
    /// assert_eq!(outputs.sequences.slice(s![1, 1, ..]), outputs.sequences.slice(s![1, 0, ..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Rnn::forward_with`], and [`Shape`](Error::Shape) for a mask that is not [N, T].
    pub fn run_masked(
        &self,
        x: ArrayView3<'_, f32>,
        mask: ArrayView2<'_, bool>,
        state: Option<&State>,
    ) -> Result<Outputs> {
        let map = SequenceMap::mask(mask);
        let repeats = !self.zero_output_for_mask && !matches!(self.reads, Reads::Both(_));
        let map = if repeats { map.repeat_output() } else { map };
        let empty: Vec<bool> = mask.rows().into_iter().map(|steps| !steps.iter().any(|&step| step)).collect();
        self.run_call(x, &RnnCall::default().map(map), &empty, state)
    }

    /// Runs a call; sequences that are `empty` have no valid step.
    fn run_call(
        &self,
        x: ArrayView3<'_, f32>,
        call: &RnnCall,
        empty: &[bool],
        state: Option<&State>,
    ) -> Result<Outputs> {
        let output = self.rnn.forward_with(x, state, call)?;
        let shape = output.y.shape().to_vec();
        let y = output.y.into_dimensionality::<Ix3>();
        let y = y.map_err(|_| Error::Plan(format!("an output of shape {shape:?}")))?;
        // An output, not a state: where there is none, it is 0.
        let mut h = output.state.h.clone();
        for (n, _) in empty.iter().enumerate().filter(|(_, empty)| **empty) {
            h.slice_mut(s![.., n, ..]).fill(0.0);
        }
        let (sequences, last) = match self.reads {
            Reads::Forward => (y, h.index_axis(Axis(0), 0).to_owned()),
            Reads::Backward => (y.slice(s![.., ..;-1, ..]).to_owned(), h.index_axis(Axis(0), 0).to_owned()),
            Reads::Both(merge) => {
                let units = h.len_of(Axis(2));
                let [first, second] = [0, 1].map(|d| h.index_axis(Axis(0), d));
                let [forward, backward] = [y.slice(s![.., .., ..units]), y.slice(s![.., .., units..])];
                match merge {
                    Merge::Concat => {
                        let last = ndarray::concatenate![Axis(1), first, second];
                        (y, last)
                    }
                    Merge::Sum => (&forward + &backward, &first + &second),
                    Merge::Mul => (&forward * &backward, &first * &second),
                    Merge::Ave => ((&forward + &backward) / 2.0, (&first + &second) / 2.0),
                }
            }
        };
        Ok(Outputs { sequences, last, state: output.state })
    }
}
