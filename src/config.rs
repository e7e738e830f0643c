//! What a recurrent layer is: cell, sizes, directions, biases.

use crate::cells::{Activation, Cell, CellClip, Coefficient, Equations, Form, Options, Phase, Probability};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::Reads;

/// The direction in which a layer reads its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the first step to the last.
    Forward,
    /// From the last valid step of each sequence to the first.
    Reverse,
    /// Both, their outputs side by side: forward, then reverse.
    Bidirectional,
}

impl Direction {
    /// D.
    pub(crate) const fn count(self) -> usize {
        match self {
            Self::Bidirectional => 2,
            _ => 1,
        }
    }
}

/// How many biases a gate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bias {
    /// No bias.
    None,
    /// One, beside the product of W with the input.
    One,
    /// Two, one beside each product, as in PyTorch. They differ from one in training, and in the candidate of a GRU
    /// that resets after its product.
    Two,
}

/// How weights, and the input part of the gates between two kernels, are stored on the device. Sums, biases, states,
/// inputs, outputs and gradients are 32-bit floats in either case.
///
/// ```
/// use wgrnn::{Cell, Precision, RnnConfig};
/// let config = RnnConfig::new(Cell::Lstm, 256, 512).precision(Precision::Half);
/// # let _ = config;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Single,
    /// 16-bit floats: half the memory, and half the traffic where that bounds the speed. Every adapter can, since halves are
    /// unpacked by WGSL's own functions. The CPU device computes with weights rounded alike, without saving memory.
    ///
    /// A weight is off by at most 2⁻¹¹ of its size, and so is the input part x·Wᵀ + b of a gate, which layer norms and passes that keep
    /// what training needs don't round. A gate's sum is therefore off by at most
    /// 2⁻¹¹·(2·Σ|x·w| + Σ|h·r| + |b|), about 5·10⁻⁴ of its terms. Halves end at ±65,504 and are 6·10⁻⁸ apart below 6·10⁻⁵:
    /// larger weights are refused, larger ones that training makes and larger input parts (on GPUs) count as that, and small
    /// ones are off by at most 3·10⁻⁸. With [`cooperative_matrices`](crate::GpuOptions::cooperative_matrices), inputs and
    /// states beyond ±65,504 count as that too.
    Half,
}

impl Precision {
    /// Words of a vector of a packed matrix on a device.
    pub(crate) fn vector_words(self, device: &Device) -> u32 {
        let half = self == Self::Half;
        Reads { half, ..Reads::plain(device.panel()) }.vector_words()
    }
}

/// Configuration of a stack of recurrent layers; the defaults are PyTorch's.
///
/// ```
/// use wgrnn::{Cell, Direction, RnnConfig};
/// let config = RnnConfig::new(Cell::Lstm, 40, 256).layers(3).direction(Direction::Bidirectional);
/// assert_eq!(config.output_size(), 512);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RnnConfig {
    pub(crate) cell: Cell,
    pub(crate) options: Options,
    pub(crate) input: usize,
    pub(crate) hidden: usize,
    pub(crate) projection: Option<usize>,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) direction: Direction,
    pub(crate) bias: Bias,
    pub(crate) batch_first: bool,
    pub(crate) precision: Precision,
    dropout: Probability,
}

impl RnnConfig {
    /// One forward layer with two biases as in PyTorch, or one where PyTorch has no such cell, over time-major input of `input`
    /// features, with `hidden` units.
    pub const fn new(cell: Cell, input: usize, hidden: usize) -> Self {
        Self {
            cell,
            options: Options::USUAL,
            input,
            hidden,
            projection: None,
            layers: 1,
            heads: 1,
            direction: Direction::Forward,
            bias: if cell.spec().biases == 2 { Bias::Two } else { Bias::One },
            batch_first: false,
            precision: Precision::Single,
            dropout: Probability::new(0.0),
        }
    }

    /// L: the number of layers. Each reads the output of the one below.
    #[must_use]
    pub const fn layers(mut self, layers: usize) -> Self {
        self.layers = layers;
        self
    }

    /// S: the number of heads. They are recurrences of `hidden` units each that see all of a layer's input and nothing
    /// of each other's state, so that R is a block-diagonal matrix (xLSTM, FlashRNN). Their outputs lie side by side:
    /// [T, N, D·S·H]. States are [L·D·S, N, ·], and [`RnnWeights`](crate::RnnWeights) have a layer's directions and,
    /// for each of them, its heads.
    #[must_use]
    pub const fn heads(mut self, heads: usize) -> Self {
        self.heads = heads;
        self
    }

    /// The direction in which every layer reads.
    #[must_use]
    pub const fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// P: projects h to this many units. Only an LSTM has a projection.
    #[must_use]
    pub const fn projection(mut self, units: usize) -> Self {
        self.projection = Some(units);
        self
    }

    /// The activations of an LSTM or a GRU: of the gates (by default the logistic function), of the candidate (tanh),
    /// and of an LSTM's c (tanh). With others, a layer runs forward only.
    #[must_use]
    pub const fn activations(mut self, gates: Activation, candidate: Activation, cell: Activation) -> Self {
        self.options.equations.activations = [gates, candidate, cell];
        self
    }

    /// Bounds every sum that an activation of a gate or a candidate is applied to by ±`limit`, as ONNX's `clip` does.
    /// Such a layer runs forward only.
    #[must_use]
    pub const fn clip(mut self, limit: f32) -> Self {
        self.options.equations.clip = Some(Coefficient::new(limit));
        self
    }

    /// Bounds an LSTM's c at every step, as cuDNN's cell clip does. Gradients of a clipped c are 0.
    #[must_use]
    pub const fn cell_clip(mut self, clip: CellClip) -> Self {
        self.options.equations.cell_clip = Some(clip);
        self
    }

    /// Whether an LSTM's forget gate is 1 − i, as with ONNX's `input_forget`. The weights of the forget gate are then
    /// ignored. Such a layer runs forward only.
    #[must_use]
    pub const fn coupled(mut self, coupled: bool) -> Self {
        self.options.equations.coupled = coupled;
        self
    }

    /// Whether an LSTM has peepholes: the gates i and f see the old c and o the new one, each through one weight for
    /// each unit (Gers and Schmidhuber 2000). Such a layer runs forward only.
    #[must_use]
    pub const fn peepholes(mut self, peepholes: bool) -> Self {
        self.options.equations.peepholes = peepholes;
        self
    }

    /// Whether layer norms act within the cell (Ba et al. 2016): LN(W·x) + LN(R·h) in place of W·x + b + R·h + b_R, where the biases
    /// are those of the norms, and an LSTM's h' is o⊙tanh(LN(c')). LN(a) = γ⊙(a − mean(a)) / √(var(a) + 10⁻⁵) + β, over all gates of
    /// a sequence, of a GRU over r and z together and n apart. Weights have γ too: see
    /// [`LayerWeights::norm`](crate::LayerWeights::norm). Of Elman cells, LSTMs, and GRUs that reset after their product. There is
    /// one way to compute them, whatever schedule is asked for.
    #[must_use]
    pub const fn layer_norm(mut self, layer_norm: bool) -> Self {
        self.options.layer_norm = layer_norm;
        self
    }

    /// The number of biases of a gate.
    #[must_use]
    pub const fn bias(mut self, bias: Bias) -> Self {
        self.bias = bias;
        self
    }

    /// Whether input and output are [N, T, ·] instead of [T, N, ·]. States are [L·D, N, ·] in either case.
    #[must_use]
    pub const fn batch_first(mut self, batch_first: bool) -> Self {
        self.batch_first = batch_first;
        self
    }

    /// The precision in which weights, and the input part of the gates, are stored.
    #[must_use]
    pub const fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Dropout between layers: in training, numbers of every layer's output but the last one's are set to 0 with this
    /// probability, from 0 to less than 1, and the others are divided by 1 − p.
    #[must_use]
    pub const fn with_dropout(mut self, probability: f64) -> Self {
        self.dropout = Probability::new(probability);
        self
    }

    /// Zoneout (Krueger et al. 2016): in training a unit of h keeps its old value at a step with probability `h`, and one of
    /// an LSTM's c with probability `c`, each from 0 to less than 1 and drawn anew for each step, sequence and unit. Other
    /// passes take the mean: h' = z⊙h + (1−z)⊙h̃, c' = z⊙c + (1−z)⊙c̃, with h̃ = o⊙tanh(c̃) of the c̃ before zoneout.
    ///
    /// For Elman cells, LSTMs without a projection, and GRUs with reset after, in their usual form.
    #[must_use]
    pub const fn zoneout(mut self, h: f64, c: f64) -> Self {
        self.options.noise.zoneout =
            if h == 0.0 && c == 0.0 { None } else { Some([Probability::new(h), Probability::new(c)]) };
        self
    }

    /// Recurrent dropout in its variational form (Gal and Ghahramani 2016; Keras's `recurrent_dropout`). In training, R
    /// multiplies h⊙m / (1 − p), where m is 0 with this probability, from 0 to less than 1, and 1 otherwise. m is drawn
    /// once for each sequence, layer, direction and unit, and is the same at all steps of a call. The layer's output,
    /// and the h that gates use directly, as in a GRU's z⊙h, are not masked. Passes other than training have no mask.
    ///
    /// For the same cells as [`zoneout`](Self::zoneout), and not together with it.
    #[must_use]
    pub const fn recurrent_dropout(mut self, probability: f64) -> Self {
        self.options.noise.recurrent_dropout =
            if probability == 0.0 { None } else { Some(Probability::new(probability)) };
        self
    }

    /// The probability of dropout between layers, which acts in training.
    pub const fn dropout(&self) -> f64 {
        self.dropout.get()
    }

    /// The cell.
    pub const fn cell(&self) -> Cell {
        self.cell
    }

    /// The cell with its options.
    pub(crate) const fn form(&self) -> Form {
        let mut options = self.options;
        if self.cell.spec().activations == 2 {
            // A GRU has no c.
            options.equations.activations[2] = Equations::USUAL.activations[2];
        }
        Form { cell: self.cell, projected: self.projection.is_some(), options }
    }

    /// The phases of a step.
    pub(crate) fn phases(&self) -> &'static [Phase] {
        self.form().phases()
    }

    /// I: the number of input features.
    pub const fn input_size(&self) -> usize {
        self.input
    }

    /// H: the number of hidden units.
    pub const fn hidden_size(&self) -> usize {
        self.hidden
    }

    /// The width of h: P with a projection, else H.
    pub const fn state_size(&self) -> usize {
        match self.projection {
            Some(units) => units,
            None => self.hidden,
        }
    }

    /// S: the number of heads.
    pub const fn head_count(&self) -> usize {
        self.heads
    }

    /// Recurrences of a layer that do not see each other: D·S, the heads of each direction.
    pub(crate) const fn tracks(&self) -> usize {
        self.directions().saturating_mul(self.heads)
    }

    /// The width of c: H, 3·H of an sLSTM, 0 of cells without c.
    pub const fn cell_state_size(&self) -> usize {
        self.cell.cell_numbers().saturating_mul(self.hidden)
    }

    /// The width of the output: D·S times the width of h.
    pub const fn output_size(&self) -> usize {
        self.tracks().saturating_mul(self.state_size())
    }

    /// L: the number of layers.
    pub const fn layer_count(&self) -> usize {
        self.layers
    }

    /// D: the number of directions, 1 or 2.
    pub const fn directions(&self) -> usize {
        self.direction.count()
    }

    /// Biases of a gate.
    pub(crate) const fn biases(&self) -> usize {
        match self.bias {
            Bias::None => 0,
            Bias::One => 1,
            Bias::Two => 2,
        }
    }

    /// Whether input and output are [N, T, ·].
    pub const fn is_batch_first(&self) -> bool {
        self.batch_first
    }

    /// The number of features that layer `layer` reads.
    pub const fn input_of(&self, layer: usize) -> usize {
        if layer == 0 { self.input } else { self.output_size() }
    }

    /// Whether a track of a layer runs backwards in time.
    pub(crate) const fn is_reverse(&self, track: usize) -> bool {
        match self.direction {
            Direction::Forward => false,
            Direction::Reverse => true,
            Direction::Bidirectional => track >= self.heads,
        }
    }

    /// The shape [T, N, features], in the order that this configuration has it.
    pub(crate) const fn sequence_shape(&self, steps: usize, batch: usize, features: usize) -> [usize; 3] {
        if self.batch_first { [batch, steps, features] } else { [steps, batch, features] }
    }

    /// Whether it can be: what takes a configuration of a caller's asks this first, since sizes are multiplied everywhere.
    pub(crate) fn validate(&self) -> Result<()> {
        let sizes = [
            ("input size", self.input),
            ("hidden size", self.hidden),
            ("projection size", self.state_size()),
            ("layers", self.layers),
            ("heads", self.heads),
        ];
        for (what, size) in sizes {
            // Larger ones could not be indexed by the 32-bit words of a shader.
            if !(1..=1 << 24).contains(&size) {
                return Err(Error::value(what, "from 1 to 2²⁴", size));
            }
        }
        self.dropout.check("dropout probability")?;
        // Rows of W and R, and the longer of their columns: 32-bit words index them too.
        crate::tensor::elements(&[self.tracks(), self.state_size()])?;
        crate::tensor::elements(&[self.cell.gates() * self.hidden, self.input.max(self.output_size())])?;
        self.form().check()?;
        if self.bias == Bias::Two && !self.cell.has_recurrent_weights() {
            return Err(Error::value("bias", "none or one: there is no R for a second one", self.cell.name()));
        }
        match self.projection {
            Some(units) if units >= self.hidden => {
                Err(Error::value("projection size", format!("less than the hidden size {}", self.hidden), units))
            }
            _ => Ok(()),
        }
    }
}
