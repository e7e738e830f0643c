//! The cells, and how each is cut into phases.

use super::activation::Activation;
use super::derivative::{BackwardTwin, derivative};
use super::forward::{PhaseTwin, pointwise};
use super::linear::{ScanTwin, diagonal, linear};
use super::options::Form;
use super::{
    elman, elman_general, gru_general, gru_reset_after, gru_reset_before, ind_rnn, lstm, lstm_general, min_gru,
    min_lstm, projection, qrnn, slstm, sru,
};

/// Where a GRU applies its reset gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reset {
    /// To the product: r⊙(Rₙ·h + b), as PyTorch, cuDNN and Keras do.
    After,
    /// To the state: Rₙ·(r⊙h) + b, as in Cho et al. 2014, ONNX's default and older Keras.
    Before,
}

/// A recurrent cell.
///
/// | cell | h' | source |
/// | --- | --- | --- |
/// | `Elman(f)` | f(W·x + b + R·h + b_R) | Elman 1990 |
/// | `Lstm` | i, f, o = σ(·), g = tanh(·); c' = f⊙c + i⊙g; h' = o⊙tanh(c') | Hochreiter and Schmidhuber 1997, Gers et al. 2000 |
/// | `Lstm` with projection | the same, then h' = W_hr·(o⊙tanh(c')) | Sak et al. 2014 |
/// | `Gru(After)` | r, z = σ(·); n = tanh(Wₙ·x + b + r⊙(Rₙ·h + b_R)); h' = (1−z)⊙n + z⊙h | Cho et al. 2014, cuDNN's form |
/// | `Gru(Before)` | the same with n = tanh(Wₙ·x + b + Rₙ·(r⊙h) + b_R) | Cho et al. 2014 |
/// | `MinGru` | z = σ(W·x + b); h' = (1−z)⊙h + z⊙(W·x + b) | Feng et al. 2024 |
/// | `MinLstm` | f, i = σ(W·x + b); h' = (f⊙h + i⊙(W·x + b)) / (f + i) | Feng et al. 2024 |
/// | `Sru` | f, r = σ(W·x + b); c' = f⊙c + (1−f)⊙(W·x + b); h' = r⊙tanh(c') + (1−r)⊙(W·x + b) | Lei et al. 2017 |
/// | `Qrnn` | z = tanh(W·x + b); f, o = σ(W·x + b); c' = f⊙c + (1−f)⊙z; h' = o⊙c' | Bradbury et al. 2016 |
/// | `IndRnn(f)` | f(W·x + b + u⊙h), f relu or tanh | Li et al. 2018 |
/// | `Slstm` | i = exp(·), f = σ(·), z = tanh(·), o = σ(·); c' = f⊙c + i⊙z; n' = f⊙n + i; h' = o⊙c'/n' | Beck et al. 2024 |
///
/// `MinGru`, `MinLstm`, `Sru` and `Qrnn` have no R: their gates see only the input. The steps of their state are
/// therefore a scan, s' = a⊙s + b, which needs no product in its loop, and which can be cut into parts that run side by
/// side.
///
/// The c of an `Slstm` is [c, n, m] side by side, 3·H numbers. m is the logarithm of a scale that c and n have in
/// common. It keeps the exponential gate from overflowing and leaves h as it is.
///
/// Rows of W, R and b hold the gates in PyTorch's order: i, f, g, o and r, z, n. [`RnnConfig`](crate::RnnConfig) has
/// options that change a cell: activations, clips, coupled gates, peepholes and others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// Simple recurrent network: one gate with this activation.
    Elman(Activation),
    /// Long short-term memory: gates i, f, g, o.
    Lstm,
    /// Gated recurrent unit: gates r, z, n.
    Gru(Reset),
    /// Minimal GRU: gates z, candidate.
    MinGru,
    /// Minimal LSTM: gates f, i, candidate.
    MinLstm,
    /// Simple recurrent unit: gates candidate, f, r, highway.
    Sru,
    /// Quasi-recurrent network: gates z, f, o.
    Qrnn,
    /// Independently recurrent network: one gate, its activation max(·, 0) or tanh; R is a diagonal.
    IndRnn(Activation),
    /// xLSTM's scalar LSTM with an exponential gate: gates i, f, z, o.
    Slstm,
}

/// How wide the vectors of a phase are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// H, hidden units.
    Hidden,
    /// The width of h: P with a projection, else H.
    State,
}

impl Width {
    /// This one of two widths.
    pub(crate) fn of<T>(self, hidden: T, state: T) -> T {
        match self {
            Self::Hidden => hidden,
            Self::State => state,
        }
    }
}

/// The part of a time step that one dispatch can do: one recurrent product and the gates that follow it.
#[derive(Debug)]
pub struct Phase {
    /// Name of the WGSL function, and of its file in `shaders/cells`.
    pub name: &'static str,
    /// The WGSL source text of that file.
    pub wgsl: &'static str,
    /// Number of gates, which is how many sums the product gives for each unit.
    pub gates: usize,
    /// How many numbers for each unit pass from phase to phase, or from step to step.
    pub slots: usize,
    /// Whether x·Wᵀ is added (a projection has none).
    pub input: bool,
    /// Whether the gates need the unit's h from before the step.
    pub hidden: bool,
    /// Which width is the number of units that this phase computes.
    pub units: Width,
    /// Which width is the length of the vector that this phase multiplies.
    pub source: Width,
    /// How many numbers for each unit training keeps in the reserve, the gates first.
    pub kept: usize,
    /// How many columns of the reserve its derivative reads and leaves gradients in: its own, or those of all gates of
    /// the cell.
    pub fields: usize,
    /// Where the derivative leaves the gradients of the recurrent parts of the gates: pairs of first column and number
    /// of columns.
    pub recurrent: &'static [(usize, usize)],
    /// Whether the derivative needs the unit's h from before the step.
    pub hidden_backward: bool,
    /// Whether the derivative takes the part of the gradient of h that does not come through the product with R, and
    /// leaves such a part for the step before.
    pub carries_h: bool,
    /// How many numbers of c for each unit have a gradient that is carried from step to step.
    pub carried: usize,
    pub(crate) twin: PhaseTwin,
    pub(crate) backward: BackwardTwin,
}

/// A cell without a matrix R. Its state follows the linear recurrence s' = a⊙s + b, or its R is a diagonal.
#[derive(Debug)]
pub struct Scan {
    /// Name of the WGSL functions, and of their file in `shaders/cells`.
    pub name: &'static str,
    /// The WGSL source text of that file.
    pub wgsl: &'static str,
    /// Number of gates.
    pub gates: usize,
    /// Whether the state s is c, from which h is computed. Otherwise s is h itself.
    pub has_c: bool,
    /// Whether R is a diagonal. Then the steps cannot be cut into parts that run side by side. Otherwise there is no R.
    pub diagonal: bool,
    pub(crate) twin: ScanTwin,
}

macro_rules! scan {
    ($name:ident = $type:ty, gates $gates:literal, has_c $has_c:literal) => {
        Scan {
            name: stringify!($name),
            wgsl: include_str!(concat!("../../shaders/cells/", stringify!($name), ".wgsl")),
            gates: $gates,
            has_c: $has_c,
            diagonal: false,
            twin: linear::<$gates, $type>,
        }
    };
    (diagonal $name:ident = $type:ty) => {
        Scan {
            name: stringify!($name),
            wgsl: include_str!(concat!("../../shaders/cells/", stringify!($name), ".wgsl")),
            gates: 1,
            has_c: false,
            diagonal: true,
            twin: diagonal::<$type>,
        }
    };
}

pub(super) static MIN_GRU: Scan = scan!(min_gru = min_gru::MinGru, gates 2, has_c false);

pub(super) static MIN_LSTM: Scan = scan!(min_lstm = min_lstm::MinLstm, gates 3, has_c false);

pub(super) static SRU: Scan = scan!(sru = sru::Sru, gates 4, has_c true);

pub(super) static QRNN: Scan = scan!(qrnn = qrnn::Qrnn, gates 3, has_c true);

pub(super) static IND_RNN_RELU: Scan = scan!(diagonal ind_rnn_relu = ind_rnn::IndRnnRelu);

pub(super) static IND_RNN_TANH: Scan = scan!(diagonal ind_rnn_tanh = ind_rnn::IndRnnTanh);

impl Scan {
    /// The scans of all cells that have one.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        Cell::ALL.into_iter().filter_map(Cell::scan)
    }
}

impl Phase {
    /// The phases of all forms of all cells. A phase that several forms share occurs more than once.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        Form::all().flat_map(|form| form.phases())
    }
}

macro_rules! phase {
    (
        $name:ident = $type:ty, gates $gates:literal, slots $slots:literal, kept $kept:literal, fields $fields:literal
        $(carried $carried:literal)? $(, $field:ident: $value:expr)* $(,)?
    ) => {
        Phase {
            name: stringify!($name),
            wgsl: include_str!(concat!("../../shaders/cells/", stringify!($name), ".wgsl")),
            gates: $gates,
            slots: $slots,
            kept: $kept,
            fields: $fields,
            carried: 0 $(+ $carried)?,
            twin: pointwise::<$gates, $slots, $kept, $type>,
            backward: derivative::<$gates, $fields, { 0 $(+ $carried)? }, $type>,
            $($field: $value,)*
            ..PLAIN
        }
    };
    // What is not trained with.
    (
        forward $name:ident = $type:ty, gates $gates:literal, slots $slots:literal, kept $kept:literal
        $(, $field:ident: $value:expr)* $(,)?
    ) => {
        Phase {
            name: stringify!($name),
            wgsl: include_str!(concat!("../../shaders/cells/", stringify!($name), ".wgsl")),
            gates: $gates,
            slots: $slots,
            kept: $kept,
            twin: pointwise::<$gates, $slots, $kept, $type>,
            $($field: $value,)*
            ..PLAIN
        }
    };
}

/// What most phases have in common.
pub(super) const PLAIN: Phase = Phase {
    name: "",
    wgsl: "",
    gates: 0,
    slots: 0,
    input: true,
    hidden: false,
    units: Width::Hidden,
    source: Width::State,
    kept: 0,
    fields: 0,
    recurrent: &[],
    hidden_backward: false,
    carries_h: true,
    carried: 0,
    twin: |_| {},
    backward: |_| {},
};

pub(super) static ELMAN_TANH: [Phase; 1] =
    [phase!(elman_tanh = elman::ElmanTanh, gates 1, slots 0, kept 1, fields 1, recurrent: &[(0, 1)])];

pub(super) static ELMAN_RELU: [Phase; 1] =
    [phase!(elman_relu = elman::ElmanRelu, gates 1, slots 0, kept 1, fields 1, recurrent: &[(0, 1)])];

pub(super) static ELMAN_SIGMOID: [Phase; 1] =
    [phase!(elman_sigmoid = elman::ElmanSigmoid, gates 1, slots 0, kept 1, fields 1, recurrent: &[(0, 1)])];

pub(super) static LSTM: [Phase; 1] =
    [phase!(lstm = lstm::Lstm, gates 4, slots 1, kept 5, fields 5 carried 1, recurrent: &[(0, 4)])];

pub(super) const PROJECTION: Phase = phase!(
    projection = projection::Projection, gates 1, slots 0, kept 0, fields 1,
    recurrent: &[(0, 1)], input: false, units: Width::State, source: Width::Hidden,
);

pub(super) static LSTM_PROJECTED: [Phase; 2] = [
    phase!(lstm = lstm::Lstm, gates 4, slots 1, kept 5, fields 5 carried 1, recurrent: &[(0, 4)], carries_h: false),
    PROJECTION,
];

pub(super) static GRU_RESET_AFTER: [Phase; 1] = [phase!(
    gru_reset_after = gru_reset_after::GruResetAfter, gates 3, slots 0, kept 4, fields 4,
    recurrent: &[(0, 2), (3, 1)], hidden: true, hidden_backward: true,
)];

pub(super) static GRU_RESET_BEFORE: [Phase; 2] = [
    phase!(
        gru_reset_before_gates = gru_reset_before::ResetGates, gates 2, slots 2, kept 2, fields 3,
        recurrent: &[(0, 2)], hidden: true, hidden_backward: true,
    ),
    phase!(
        gru_reset_before_state = gru_reset_before::NewState, gates 1, slots 2, kept 1, fields 3,
        recurrent: &[(2, 1)], hidden_backward: true,
    ),
];

pub(super) static SLSTM: [Phase; 1] =
    [phase!(slstm = slstm::Slstm, gates 4, slots 3, kept 7, fields 7 carried 3, recurrent: &[(0, 4)])];

pub(super) static ELMAN_GENERAL: [Phase; 1] =
    [phase!(forward elman_general = elman_general::ElmanGeneral, gates 1, slots 0, kept 1)];

pub(super) static LSTM_GENERAL: [Phase; 1] = [
    phase!(lstm_general = lstm_general::LstmGeneral, gates 4, slots 1, kept 5, fields 5 carried 1, recurrent: &[(0, 4)]),
];

pub(super) static LSTM_GENERAL_PROJECTED: [Phase; 2] = [
    phase!(
        lstm_general = lstm_general::LstmGeneral, gates 4, slots 1, kept 5, fields 5 carried 1,
        recurrent: &[(0, 4)], carries_h: false,
    ),
    PROJECTION,
];

pub(super) static GRU_GENERAL_AFTER: [Phase; 1] =
    [phase!(forward gru_general_after = gru_general::After, gates 3, slots 0, kept 3, hidden: true)];

pub(super) static GRU_GENERAL_BEFORE: [Phase; 2] = [
    phase!(forward gru_general_gates = gru_general::ResetGates, gates 2, slots 2, kept 2, hidden: true),
    phase!(forward gru_general_state = gru_general::NewState, gates 1, slots 2, kept 1),
];

impl Cell {
    /// Every cell in its usual form: tests, benches and `doctor` go through this list.
    pub const ALL: [Self; 13] = [
        Self::Elman(Activation::Tanh),
        Self::Elman(Activation::Relu),
        Self::Elman(Activation::Sigmoid),
        Self::Lstm,
        Self::Gru(Reset::After),
        Self::Gru(Reset::Before),
        Self::MinGru,
        Self::MinLstm,
        Self::Sru,
        Self::Qrnn,
        Self::IndRnn(Activation::Relu),
        Self::IndRnn(Activation::Tanh),
        Self::Slstm,
    ];

    /// The name used in tables and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Elman(Activation::Tanh) => "elman_tanh",
            Self::Elman(Activation::Relu) => "elman_relu",
            Self::Elman(Activation::Sigmoid) => "elman_sigmoid",
            Self::Elman(_) => "elman",
            Self::Lstm => "lstm",
            Self::Gru(Reset::After) => "gru_reset_after",
            Self::Gru(Reset::Before) => "gru_reset_before",
            Self::MinGru => "min_gru",
            Self::MinLstm => "min_lstm",
            Self::Sru => "sru",
            Self::Qrnn => "qrnn",
            Self::IndRnn(Activation::Relu) => "ind_rnn_relu",
            Self::IndRnn(Activation::Tanh) => "ind_rnn_tanh",
            Self::IndRnn(_) => "ind_rnn",
            Self::Slstm => "slstm",
        }
    }

    /// G: the number of gates, which is how many rows W and R have for each hidden unit.
    pub const fn gates(self) -> usize {
        match self {
            Self::Elman(_) | Self::IndRnn(_) => 1,
            Self::MinGru => 2,
            Self::Gru(_) | Self::MinLstm | Self::Qrnn => 3,
            Self::Lstm | Self::Sru | Self::Slstm => 4,
        }
    }

    /// Whether there is a cell state c beside h.
    pub const fn has_cell_state(self) -> bool {
        self.cell_numbers() > 0
    }

    /// Numbers of c a unit.
    pub(crate) const fn cell_numbers(self) -> usize {
        match self {
            Self::Lstm | Self::Sru | Self::Qrnn => 1,
            Self::Slstm => 3,
            _ => 0,
        }
    }

    /// Numbers a unit that pass from step to step or from phase to phase beside h, at most.
    pub(crate) const fn state_numbers(self) -> usize {
        match self {
            Self::Gru(Reset::Before) => 2,
            _ => self.cell_numbers(),
        }
    }

    /// The scan by which a cell without a matrix R runs; `None` for cells that run in phases.
    pub fn scan(self) -> Option<&'static Scan> {
        match self {
            Self::MinGru => Some(&MIN_GRU),
            Self::MinLstm => Some(&MIN_LSTM),
            Self::Sru => Some(&SRU),
            Self::Qrnn => Some(&QRNN),
            Self::IndRnn(Activation::Tanh) => Some(&IND_RNN_TANH),
            // Others are refused when a layer is made.
            Self::IndRnn(_) => Some(&IND_RNN_RELU),
            Self::Elman(_) | Self::Lstm | Self::Gru(_) | Self::Slstm => None,
        }
    }

    /// Whether R is a diagonal.
    pub(crate) const fn has_diagonal(self) -> bool {
        matches!(self, Self::IndRnn(_))
    }

    /// Whether the state is multiplied by a matrix R.
    pub const fn has_recurrent_weights(self) -> bool {
        matches!(self, Self::Elman(_) | Self::Lstm | Self::Gru(_) | Self::Slstm)
    }

    /// The phases of a time step in the usual form. Cells without a matrix R have none. `projected` matters only to an
    /// LSTM.
    pub fn phases(self, projected: bool) -> &'static [Phase] {
        self.phases_of(projected, true)
    }

    pub(super) fn phases_of(self, projected: bool, usual: bool) -> &'static [Phase] {
        match self {
            Self::Elman(_) if !usual => &ELMAN_GENERAL,
            Self::Lstm if !usual && projected => &LSTM_GENERAL_PROJECTED,
            Self::Lstm if !usual => &LSTM_GENERAL,
            Self::Gru(Reset::After) if !usual => &GRU_GENERAL_AFTER,
            Self::Gru(Reset::Before) if !usual => &GRU_GENERAL_BEFORE,
            Self::Elman(Activation::Tanh) => &ELMAN_TANH,
            Self::Elman(Activation::Relu) => &ELMAN_RELU,
            Self::Elman(Activation::Sigmoid) => &ELMAN_SIGMOID,
            Self::Elman(_) => &ELMAN_GENERAL,
            Self::Lstm if projected => &LSTM_PROJECTED,
            Self::Lstm => &LSTM,
            Self::Gru(Reset::After) => &GRU_RESET_AFTER,
            Self::Gru(Reset::Before) => &GRU_RESET_BEFORE,
            Self::Slstm => &SLSTM,
            Self::MinGru | Self::MinLstm | Self::Sru | Self::Qrnn | Self::IndRnn(_) => &[],
        }
    }
}
