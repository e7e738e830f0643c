//! How far an array is from the one that was expected.

use crate::error::{Error, Result};
use crate::plan::distance;
use ndarray::ArrayViewD;
use std::fmt::{Display, Formatter};

/// How an array differs from the one expected.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::check::Comparison;
/// let (got, expected) = (array![1.0_f32, 2.5].into_dyn(), array![1.0_f64, 2.0].into_dyn());
/// let comparison = Comparison::new("y", got.view(), expected.view(), 1e-6)?;
/// assert_eq!((comparison.mismatches, comparison.at.as_slice(), comparison.max_abs), (1, &[1][..], 0.5));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// What was compared.
    pub name: String,
    /// How many elements were compared.
    pub count: usize,
    /// How many elements differ by more than the tolerance.
    pub mismatches: usize,
    /// Largest absolute difference. It is infinite where one of two elements is NaN or infinite and the other is not.
    pub max_abs: f64,
    /// Largest difference relative to the expected element, over elements that are larger than the tolerance.
    pub max_rel: f64,
    /// Index of the element with the largest absolute difference.
    pub at: Vec<usize>,
    /// The element at [`at`](Self::at).
    pub got: f64,
    /// The element expected at [`at`](Self::at).
    pub expected: f64,
    /// The largest absolute difference that is allowed.
    pub tolerance: f64,
    /// What is allowed beside it, as a part of the expected element: the last digits of numbers far above 1.
    pub relative: f64,
    /// The largest difference divided by what is allowed for its element; 0 if there is no difference.
    pub severity: f64,
}

impl Comparison {
    /// Compares two arrays: |got − expected| ≤ `tolerance`, NaN where NaN is expected.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes differ.
    pub fn new(
        name: impl Into<String>,
        got: ArrayViewD<'_, f32>,
        expected: ArrayViewD<'_, f64>,
        tolerance: f64,
    ) -> Result<Self> {
        Self::with_relative(name, got, expected, tolerance, 0.0)
    }

    /// Compares two arrays: |got − expected| ≤ `tolerance` + `relative` · |expected|, NaN where NaN is expected.
    ///
    /// # Errors
    /// As [`Comparison::new`].
    pub fn with_relative(
        name: impl Into<String>,
        got: ArrayViewD<'_, f32>,
        expected: ArrayViewD<'_, f64>,
        tolerance: f64,
        relative: f64,
    ) -> Result<Self> {
        let name = name.into();
        if got.shape() != expected.shape() {
            return Err(Error::shape(name, expected.shape(), got.shape()));
        }
        let mut this = Self {
            name,
            count: got.len(),
            mismatches: 0,
            max_abs: 0.0,
            max_rel: 0.0,
            at: vec![0; got.ndim()],
            got: got.first().map_or(0.0, |&got| f64::from(got)),
            expected: expected.first().copied().unwrap_or(0.0),
            tolerance,
            relative,
            severity: 0.0,
        };
        for ((at, &got), &expected) in got.indexed_iter().zip(expected.iter()) {
            let got = f64::from(got);
            let difference = distance(got, expected);
            // An infinite number has no last digits.
            let allowed = tolerance + if expected.is_finite() { relative * expected.abs() } else { 0.0 };
            if difference > allowed {
                this.mismatches += 1;
            }
            if difference > 0.0 {
                this.severity = this.severity.max(difference / allowed);
            }
            if expected.abs() > tolerance {
                this.max_rel = this.max_rel.max(difference / expected.abs());
            }
            if difference > this.max_abs {
                (this.max_abs, this.got, this.expected) = (difference, got, expected);
                this.at = ndarray::Dimension::as_array_view(&at).to_vec();
            }
        }
        Ok(this)
    }

    /// Whether every element is within the tolerance.
    pub fn passed(&self) -> bool {
        self.mismatches == 0
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { name, count, mismatches, max_abs, max_rel, at, got, expected, tolerance, relative, .. } = self;
        let verdict = if self.passed() { "ok" } else { "FAILED" };
        write!(f, "{name}: {verdict}, max error {max_abs:.3e} ({max_rel:.1e} relative), tolerance {tolerance:.3e}")?;
        if *relative > 0.0 {
            write!(f, " + {relative:.1e} of each element")?;
        }
        if self.passed() {
            return Ok(());
        }
        write!(f, "; {mismatches} of {count} beyond it, worst at {at:?}: {got:e}, expected {expected:e}")
    }
}
