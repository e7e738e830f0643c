//! What can be different from a cell's usual form.

use super::activation::{Activation, Coefficient};
use crate::error::{Error, Result};

/// Bounds of an LSTM's c (cuDNN's cell clip).
///
/// ```
/// use wgrnn::{Cell, CellClip, RnnConfig};
/// let clip = CellClip { low: (-3.0).into(), high: 3.0.into(), propagates_nan: true };
/// let config = RnnConfig::new(Cell::Lstm, 16, 32).cell_clip(clip);
/// # let _ = config;
/// ```
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
    /// As it is: [`Form::check`](super::Form::check) and [`RnnConfig`](crate::RnnConfig) refuse one that is out of range.
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

/// The equations of a cell where they can differ from the textbook's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Equations {
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

impl Equations {
    /// The options of the usual form: sigmoid, tanh, tanh, and everything else off.
    pub const USUAL: Self = Self {
        activations: [Activation::Sigmoid, Activation::Tanh, Activation::Tanh],
        clip: None,
        cell_clip: None,
        coupled: false,
        peepholes: false,
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

    /// Refuses bounds that make no sense.
    pub(super) fn check(&self) -> Result<()> {
        match (self.clip, self.cell_clip) {
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
        }
    }
}

/// What training draws at random within a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Noise {
    /// Probabilities with which a unit of h, and one of c, keeps its old value at a step of training.
    pub zoneout: Option<[Probability; 2]>,
    /// Probability with which R does not see a unit of h in a sequence of training.
    pub recurrent_dropout: Option<Probability>,
}

impl Noise {
    /// Nothing.
    pub const NONE: Self = Self { zoneout: None, recurrent_dropout: None };
}

/// What makes a cell differ from its usual form. [`RnnConfig`](crate::RnnConfig) has a method for each field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Options {
    /// The equations.
    pub equations: Equations,
    /// Whether a layer norm acts on the sums of the gates and on an LSTM's c.
    pub layer_norm: bool,
    /// What training draws.
    pub noise: Noise,
}

impl Options {
    /// The options of the usual form: sigmoid, tanh, tanh, and everything else off.
    pub const USUAL: Self = Self { equations: Equations::USUAL, layer_norm: false, noise: Noise::NONE };

    /// Other equations, and nothing else.
    pub(super) const fn of(equations: Equations) -> Self {
        Self { equations, ..Self::USUAL }
    }

    /// Layer norms, and nothing else.
    pub(super) const NORMED: Self = Self { layer_norm: true, ..Self::USUAL };

    /// Zoneout of h and c with these probabilities, and nothing else.
    pub(super) const fn zoneout(h: f64, c: f64) -> Self {
        let zoneout = Some([Probability::new(h), Probability::new(c)]);
        Self { noise: Noise { zoneout, recurrent_dropout: None }, ..Self::USUAL }
    }

    /// Recurrent dropout with this probability, and nothing else.
    pub(super) const fn recurrent_dropout(probability: f64) -> Self {
        let recurrent_dropout = Some(Probability::new(probability));
        Self { noise: Noise { zoneout: None, recurrent_dropout }, ..Self::USUAL }
    }
}
