//! What can be different from a cell's usual form, and a cell with all of that.

use super::activation::{Activation, Coefficient};
use super::cell::{Cell, Phase, Reset};
use crate::error::{Error, Result};

/// Bounds of an LSTM's c (cuDNN's cell clip).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CellClip {
    /// The smallest value that c may have.
    pub low: Coefficient,
    /// The largest value that c may have.
    pub high: Coefficient,
    /// Whether NaN stays NaN. Otherwise it becomes the smallest value.
    pub propagates_nan: bool,
}

/// A probability. Two are equal if their bits are equal, so that configurations can be compared and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probability(u64);

impl Probability {
    /// As it is: [`Form::check`] and [`RnnConfig`](crate::RnnConfig) refuse one that is out of range.
    pub const fn new(probability: f64) -> Self {
        Self(probability.to_bits())
    }

    /// The number as it was given.
    pub const fn get(self) -> f64 {
        f64::from_bits(self.0)
    }

    /// Refuses a number outside of [0, 1): what is dropped always leaves nothing to scale.
    pub(crate) fn check(self, what: &str) -> Result<()> {
        if (0.0..1.0).contains(&self.get()) {
            return Ok(());
        }
        Err(Error::value(what, "a probability from 0 to less than 1", self.get()))
    }
}

/// What makes a cell differ from its usual form. [`RnnConfig`](crate::RnnConfig) has a method for each field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// The activations of the gates, of the candidate, and of c. An Elman cell has an activation of its own instead.
    pub activations: [Activation; 3],
    /// Bound on the magnitude of the sums that the activations of gates are applied to.
    pub clip: Option<Coefficient>,
    /// Bounds of an LSTM's c.
    pub cell_clip: Option<CellClip>,
    /// Whether an LSTM's forget gate is 1 − i.
    pub coupled: bool,
    /// Whether an LSTM's gates also see c.
    pub peepholes: bool,
    /// Whether a layer norm acts on the sums of the gates and on an LSTM's c.
    pub layer_norm: bool,
    /// Probabilities with which a unit of h, and one of c, keeps its old value at a step of training.
    pub zoneout: Option<[Probability; 2]>,
    /// Probability with which R does not see a unit of h in a sequence of training.
    pub recurrent_dropout: Option<Probability>,
}

/// A number, or the bound that it is beyond; NaN stays NaN. Bounds that make no sense give one of them.
#[inline(always)]
fn within(number: f32, low: f32, high: f32) -> f32 {
    if number < low {
        low
    } else if number > high {
        high
    } else {
        number
    }
}

impl Options {
    /// The options of the usual form: sigmoid, tanh, tanh, and everything else off.
    pub const USUAL: Self = Self {
        activations: [Activation::Sigmoid, Activation::Tanh, Activation::Tanh],
        clip: None,
        cell_clip: None,
        coupled: false,
        peepholes: false,
        layer_norm: false,
        zoneout: None,
        recurrent_dropout: None,
    };

    /// A sum after [`clip`](Self::clip), as the activation of a gate sees it.
    #[inline(always)]
    pub fn clipped(&self, sum: f32) -> f32 {
        self.clip.map_or(sum, |clip| within(sum, -clip.get(), clip.get()))
    }

    /// c after [`cell_clip`](Self::cell_clip), as the next step sees it.
    #[inline(always)]
    pub fn clipped_cell(&self, c: f32) -> f32 {
        match self.cell_clip {
            Some(CellClip { low, propagates_nan: false, .. }) if c.is_nan() => low.get(),
            Some(CellClip { low, high, .. }) => within(c, low.get(), high.get()),
            None => c,
        }
    }
}

/// A cell with everything that determines its equations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// The cell.
    pub cell: Cell,
    /// Whether h is projected.
    pub projected: bool,
    /// Its options.
    pub options: Options,
}

impl Form {
    /// The usual form of a cell.
    pub const fn new(cell: Cell, projected: bool) -> Self {
        Self { cell, projected, options: Options::USUAL }
    }

    /// The usual form of every cell, and of an LSTM with projection.
    pub fn usual() -> impl Iterator<Item = Self> {
        Cell::ALL.into_iter().map(|cell| Self::new(cell, false)).chain([Self::new(Cell::Lstm, true)])
    }

    /// Forms in which every cell, option and activation occurs. Tests and benches go through them.
    pub fn all() -> impl Iterator<Item = Self> {
        use Activation as A;
        let number = Coefficient::new;
        let usual = Options::USUAL;
        let [alpha, beta] = [number(0.3), number(0.6)];
        let elman = |activation| Self::new(Cell::Elman(activation), false);
        let zoneout = |cell, z: [f64; 2]| Self {
            options: Options { zoneout: Some(z.map(Probability::new)), ..usual },
            ..Self::new(cell, false)
        };
        let recurrent_dropout = |cell| Self {
            options: Options { recurrent_dropout: Some(Probability::new(0.4)), ..usual },
            ..Self::new(cell, false)
        };
        Self::usual().chain([
            Self { options: Options { clip: Some(number(0.5)), ..usual }, ..elman(A::LeakyRelu { alpha }) },
            elman(A::Affine { alpha, beta }),
            Self {
                options: Options {
                    activations: [A::HardSigmoid { alpha, beta }, A::Softsign, A::Softplus],
                    clip: Some(number(0.75)),
                    coupled: true,
                    ..usual
                },
                ..Self::new(Cell::Lstm, false)
            },
            Self { options: Options { peepholes: true, ..usual }, ..Self::new(Cell::Lstm, true) },
            Self {
                options: Options {
                    cell_clip: Some(CellClip { low: number(-0.25), high: number(0.4), propagates_nan: false }),
                    ..usual
                },
                ..Self::new(Cell::Lstm, false)
            },
            Self {
                options: Options {
                    activations: [A::Sigmoid, A::Elu { alpha }, A::Tanh],
                    clip: Some(number(0.5)),
                    ..usual
                },
                ..Self::new(Cell::Gru(Reset::After), false)
            },
            Self {
                options: Options {
                    activations: [A::ScaledTanh { alpha, beta }, A::ThresholdedRelu { alpha }, A::Tanh],
                    ..usual
                },
                ..Self::new(Cell::Gru(Reset::Before), false)
            },
            Self { options: Options { layer_norm: true, ..usual }, ..elman(A::Tanh) },
            Self { options: Options { layer_norm: true, ..usual }, ..Self::new(Cell::Lstm, false) },
            Self { options: Options { layer_norm: true, ..usual }, ..Self::new(Cell::Gru(Reset::After), false) },
            zoneout(Cell::Lstm, [0.3, 0.1]),
            zoneout(Cell::Gru(Reset::After), [0.2, 0.0]),
            recurrent_dropout(Cell::Lstm),
            recurrent_dropout(Cell::Gru(Reset::After)),
        ])
    }

    /// G: the number of gates.
    pub const fn gates(&self) -> usize {
        self.cell.gates()
    }

    /// The phases of a time step.
    pub fn phases(&self) -> &'static [Phase] {
        // Norms come before a cell's gates, and leave these as they are.
        let plain = Self { options: Options { layer_norm: false, ..self.options }, ..*self };
        self.cell.phases_of(self.projected, plain.is_usual())
    }

    /// Whether the equations are those of the textbooks: all options that change them are off.
    pub fn is_usual(&self) -> bool {
        // What training draws changes no equation of the cell.
        let options = Options { zoneout: None, recurrent_dropout: None, ..self.options };
        let own = !matches!(
            self.cell,
            Cell::Elman(activation) if ![Activation::Tanh, Activation::Relu, Activation::Sigmoid].contains(&activation)
        );
        own && options == Options::USUAL
    }

    /// Whether training draws random masks for this form.
    pub const fn draws(&self) -> bool {
        self.options.zoneout.is_some() || self.options.recurrent_dropout.is_some()
    }

    /// The same as kernels run it: dropout is a matter of training alone.
    pub(crate) const fn running(mut self, training: bool) -> Self {
        if !training {
            self.options.recurrent_dropout = None;
        }
        self
    }

    /// Whether gates see an h that R does not: with recurrent dropout, the one without its mask.
    pub(crate) fn sees_unmasked(&self) -> bool {
        self.options.recurrent_dropout.is_some() && self.phases().iter().any(|phase| phase.hidden)
    }

    /// Columns of the reserve that follow the old h, each as wide as that: the masks, and h without its mask.
    pub(crate) fn drawn_columns(&self) -> usize {
        usize::from(self.draws()) + usize::from(self.sees_unmasked())
    }

    /// Whether a backward pass exists for this form: for usual forms, and for those with a clipped c or layer norms.
    pub fn trains(&self) -> bool {
        // Norms are those of usual cells.
        let cell_clip = self.options.cell_clip.filter(|_| self.options.layer_norm);
        Self { options: Options { cell_clip, layer_norm: false, ..self.options }, ..*self }.is_usual()
    }

    /// The activations of the gates, of the candidate, and of c. An Elman cell has one, which is given three times.
    pub const fn activations(&self) -> [Activation; 3] {
        match self.cell {
            Cell::Elman(activation) | Cell::IndRnn(activation) => [activation; 3],
            _ => self.options.activations,
        }
    }

    /// Returns an error if the cell does not have one of the options, or if an option is out of range.
    pub fn check(&self) -> Result<()> {
        let Options { activations, clip, cell_clip, coupled, peepholes, layer_norm, .. } = self.options;
        self.check_draws()?;
        self.activations().into_iter().try_for_each(Activation::check)?;
        let refuse = |what: &str| Err(Error::value(what, "an LSTM, no other cell has one", self.cell.name()));
        let is_lstm = self.cell == Cell::Lstm;
        match () {
            () if !matches!(self.cell, Cell::Lstm | Cell::Gru(_)) && activations != Options::USUAL.activations => {
                Err(Error::value(
                    "activations f, g and h",
                    "an LSTM or a GRU: other cells have their own",
                    self.cell.name(),
                ))
            }
            () if matches!(self.cell, Cell::IndRnn(f) if ![Activation::Relu, Activation::Tanh].contains(&f)) => {
                Err(Error::value("activation of an IndRNN", "relu or tanh", self.activations()[0]))
            }
            () if clip.is_some() && !matches!(self.cell, Cell::Elman(_) | Cell::Lstm | Cell::Gru(_)) => {
                Err(Error::value("clip", "an Elman cell, an LSTM or a GRU", self.cell.name()))
            }
            () if self.projected && !is_lstm => refuse("projection"),
            () if cell_clip.is_some() && !is_lstm => refuse("cell clip"),
            () if coupled && !is_lstm => refuse("coupled forget gate"),
            () if peepholes && !is_lstm => refuse("peepholes"),
            () if layer_norm && (self.projected || !self.trains() || self.norm().is_none()) => Err(Error::value(
                "layer norm",
                "an Elman cell, an LSTM or a GRU that resets after its product, without projection or other options",
                self,
            )),
            () => match (clip, cell_clip) {
                (Some(clip), _) if !(clip.get() > 0.0 && clip.get().is_finite()) => {
                    Err(Error::value("clip", "a positive number", clip.get()))
                }
                (_, Some(CellClip { low, high, .. }))
                    if !(low.get() <= high.get() && low.get().is_finite() && high.get().is_finite()) =>
                {
                    let got = format!("{} and {}", low.get(), high.get());
                    Err(Error::value("cell clip", "two finite numbers, the smaller one first", got))
                }
                _ => Ok(()),
            },
        }
    }

    /// Refuses what can't be drawn, and for what cells it is not.
    fn check_draws(&self) -> Result<()> {
        let Options { zoneout, recurrent_dropout, .. } = self.options;
        let named = zoneout.map(|[h, c]| [("zoneout of h", h), ("zoneout of c", c)]);
        let dropped = recurrent_dropout.map(|p| [("recurrent dropout", p)]);
        for (name, probability) in named.iter().flatten().chain(dropped.iter().flatten()) {
            probability.check(name)?;
        }
        let name = if zoneout.is_some() { "zoneout" } else { "recurrent dropout" };
        let suits = matches!(self.cell, Cell::Elman(_) | Cell::Lstm | Cell::Gru(Reset::After));
        match zoneout {
            Some(_) if recurrent_dropout.is_some() => {
                Err(Error::value("zoneout with recurrent dropout", "one of the two", self.cell.name()))
            }
            _ if self.draws() && !(suits && !self.projected && self.is_usual()) => {
                let expected = "an Elman cell, an LSTM without projection or a GRU with reset after, in its usual form";
                Err(Error::value(name, expected, self))
            }
            Some([_, c]) if c.get() > 0.0 && self.cell != Cell::Lstm => {
                Err(Error::value("zoneout of c", "an LSTM, no other cell has one", self.cell.name()))
            }
            _ => Ok(()),
        }
    }

    /// Returns an error if the form has no backward pass.
    pub fn check_training(&self) -> Result<()> {
        if self.trains() {
            return Ok(());
        }
        let expected =
            "PyTorch's activations and no clip of sums, coupled gates or peepholes: other cells run forward only";
        Err(Error::value("cell to train", expected, self))
    }
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Options { clip, cell_clip, coupled, peepholes, layer_norm, .. } = self.options;
        write!(f, "{}{}", self.cell.name(), if self.projected { " projected" } else { "" })?;
        if layer_norm {
            write!(f, " normed")?;
        }
        if let Some([h, c]) = self.options.zoneout {
            write!(f, " zoneout {}, {}", h.get(), c.get())?;
        }
        if let Some(p) = self.options.recurrent_dropout {
            write!(f, " recurrent dropout {}", p.get())?;
        }
        if (Self { options: Options { layer_norm: false, ..self.options }, ..*self }).is_usual() {
            return Ok(());
        }
        let [gate, candidate, output] = self.activations();
        write!(f, " of {gate}, {candidate}, {output}")?;
        if let Some(clip) = clip {
            write!(f, " clip {}", clip.get())?;
        }
        if let Some(CellClip { low, high, propagates_nan }) = cell_clip {
            write!(f, " cell clip {}..{}{}", low.get(), high.get(), if propagates_nan { " or NaN" } else { "" })?;
        }
        write!(f, "{}{}", if coupled { " coupled" } else { "" }, if peepholes { " peepholes" } else { "" })
    }
}
