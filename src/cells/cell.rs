//! The list of cells.

use super::activation::Activation;
use super::phase::Phase;
use super::scan::Scan;
use super::spec::{Recurrence, Spec};
use super::{
    elman, gru_reset_after, gru_reset_before, ind_rnn, li_gru, lstm, mgu, min_gru, min_lstm, qrnn, slstm, sru,
};

/// Where a GRU applies its reset gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reset {
    /// To the product: r⊙(Rₙ·h + b), as PyTorch, cuDNN and Keras do.
    After,
    /// To the state: Rₙ·(r⊙h) + b, as in Cho et al. 2014, ONNX's default and older Keras.
    Before,
}

/// The enum, the list of its usual forms, and where each cell's [`Spec`] is: a cell is a line here. A cell with a parameter names it,
/// and which of its values are usual.
macro_rules! cells {
    (@each $cell:ident) => {
        &[Cell::$cell]
    };
    (@each $cell:ident ($type:ident = $($usual:ident)+)) => {
        &[$(Cell::$cell($type::$usual)),+]
    };
    (@activation) => {
        None
    };
    (@activation $value:ident: Activation) => {
        Some($value)
    };
    (@activation $value:ident: $type:ident) => {{
        let _ = $value;
        None
    }};
    (
        $(#[$doc:meta])*
        pub enum Cell {
            $($(#[$own:meta])+ $cell:ident $(($value:ident: $type:ident = $($usual:ident)|+))? => $spec:expr,)+
        }
    ) => {
        $(#[$doc])*
        pub enum Cell {
            $($(#[$own])+ $cell $(($type))?,)+
        }

        const USUAL: &[&[Cell]] = &[$(cells!(@each $cell $(($type = $($usual)+))?)),+];

        impl Cell {
            /// All that is known of it.
            pub const fn spec(self) -> &'static Spec {
                match self {
                    $(Self::$cell $(($value))? => $spec,)+
                }
            }

            /// The activation that is its parameter.
            pub const fn activation(self) -> Option<Activation> {
                match self {
                    $(Self::$cell $(($value))? => cells!(@activation $($value: $type)?),)+
                }
            }
        }
    };
}

cells! {
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
    /// | `Mgu` | f = σ(·); n = tanh(Wₙ·x + b + Rₙ·(f⊙h)); h' = (1−f)⊙h + f⊙n | Zhou et al. 2016 |
    /// | `LiGru` | z = σ(·); n = max(·, 0); h' = z⊙h + (1−z)⊙n, without the paper's batch norms | Ravanelli et al. 2018 |
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
    ///
    /// ```
    /// use wgrnn::{Activation, Cell, Reset, RnnConfig};
    /// let cells = [Cell::Lstm, Cell::Gru(Reset::After), Cell::Elman(Activation::Tanh)];
    /// let configs = cells.map(|cell| RnnConfig::new(cell, 16, 32));
    /// assert_eq!(configs.map(|config| config.cell().gates()), [4, 3, 1]);
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum Cell {
        /// Simple recurrent network: one gate with this activation.
        Elman(f: Activation = Tanh | Relu | Sigmoid) => elman::spec(f),
        /// Long short-term memory: gates i, f, g, o.
        Lstm => &lstm::SPEC,
        /// Gated recurrent unit: gates r, z, n.
        Gru(reset: Reset = After | Before) => match reset {
            Reset::After => &gru_reset_after::SPEC,
            Reset::Before => &gru_reset_before::SPEC,
        },
        /// Minimal GRU: gates z, candidate.
        MinGru => &min_gru::SPEC,
        /// Minimal LSTM: gates f, i, candidate.
        MinLstm => &min_lstm::SPEC,
        /// Simple recurrent unit: gates candidate, f, r, highway.
        Sru => &sru::SPEC,
        /// Quasi-recurrent network: gates z, f, o.
        Qrnn => &qrnn::SPEC,
        /// Independently recurrent network: one gate, its activation max(·, 0) or tanh; R is a diagonal.
        IndRnn(f: Activation = Relu | Tanh) => ind_rnn::spec(f),
        /// xLSTM's scalar LSTM with an exponential gate: gates i, f, z, o.
        Slstm => &slstm::SPEC,
        /// Minimal gated unit: gates f, n.
        Mgu => &mgu::SPEC,
        /// Light gated recurrent unit, without batch norms: gates z, n.
        LiGru => &li_gru::SPEC,
    }
}

/// How many there are.
const fn count(groups: &[&[Cell]]) -> usize {
    let (mut count, mut group) = (0, 0);
    while group < groups.len() {
        count += groups[group].len();
        group += 1;
    }
    count
}

/// All of them, each with a sound [`Spec`].
const fn list() -> [Cell; count(USUAL)] {
    let mut all = [USUAL[0][0]; count(USUAL)];
    let (mut at, mut group) = (0, 0);
    while group < USUAL.len() {
        let mut i = 0;
        while i < USUAL[group].len() {
            all[at] = USUAL[group][i];
            all[at].spec().assert_sound();
            at += 1;
            i += 1;
        }
        group += 1;
    }
    all
}

impl Cell {
    /// Every cell in its usual form: tests, benches and `doctor` go through this list.
    pub const ALL: [Self; count(USUAL)] = list();

    /// The name used in tables, messages and files.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// The cell of [`ALL`](Self::ALL) with this name, or `elman` with tanh, `ind_rnn` with relu, `gru` with its reset after the product.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "elman" => Some(Self::Elman(Activation::Tanh)),
            "ind_rnn" => Some(Self::IndRnn(Activation::Relu)),
            "gru" => Some(Self::Gru(Reset::After)),
            _ => Self::ALL.into_iter().find(|cell| cell.name() == name),
        }
    }

    /// G: the number of gates, which is how many rows W and R have for each hidden unit.
    pub const fn gates(self) -> usize {
        self.spec().gates.len()
    }

    /// Whether there is a cell state c beside h.
    pub const fn has_cell_state(self) -> bool {
        self.cell_numbers() > 0
    }

    /// Numbers of c a unit.
    pub(crate) const fn cell_numbers(self) -> usize {
        self.spec().cell_numbers()
    }

    /// Numbers a unit that pass from step to step or from phase to phase beside h, at most.
    pub(crate) const fn state_numbers(self) -> usize {
        self.spec().state_numbers()
    }

    /// The scan by which a cell without a matrix R runs; `None` for cells that run in phases.
    pub const fn scan(self) -> Option<&'static Scan> {
        self.spec().scan()
    }

    /// Whether R is a diagonal.
    pub(crate) const fn has_diagonal(self) -> bool {
        matches!(self.spec().recurrence, Recurrence::Scan(Scan { diagonal: true, .. }))
    }

    /// Whether the state is multiplied by a matrix R.
    pub const fn has_recurrent_weights(self) -> bool {
        matches!(self.spec().recurrence, Recurrence::Matrix { .. })
    }

    /// The phases of a step, none of a cell without R; `projected` matters only where h can be.
    pub const fn phases(self, projected: bool) -> &'static [Phase] {
        self.spec().phases(projected)
    }
}
