//! Functions of single elements as a user writes them: operators on [`Expression`]s.

use super::formula::{Binary, Formula, MAX_INPUTS, Term, Terms, Unary};
use crate::cells::{Activation, Coefficient};
use crate::error::{Error, Result};
use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// One element of a value inside of a function that [`Tape::map`](crate::Tape::map) applies to every element, or what was computed from
/// such elements. The operators +, −, · and / take two expressions, or one and a number.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Device, PlanBuilder, Tensor};
/// let device = Device::cpu();
/// let x = Tensor::from_array(&device, array![-1.0_f32, 0.0, 2.0].view())?;
/// let y = Tensor::<f32>::zeros(&device, &[3])?;
/// let mut plan = PlanBuilder::new(&device);
/// let (input, output) = (plan.tensor(&x)?, plan.tensor(&y)?);
/// let squared = plan.map([&input], |[x]| 1.0 + x * x)?;
/// plan.copy(&squared, &output)?;
/// plan.build()?.run()?;
/// assert_eq!(y.read()?, array![2.0, 1.0, 5.0].into_dyn());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Expression<'t> {
    terms: &'t RefCell<Terms>,
    at: u16,
}

impl Formula {
    /// What a function of single elements computes.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where it takes more than six values, has too many terms, or mixes expressions of two functions.
    pub(crate) fn new<const N: usize>(
        function: impl for<'t> FnOnce([Expression<'t>; N]) -> Expression<'t>,
    ) -> Result<Self> {
        if N == 0 || N > MAX_INPUTS {
            return Err(Error::value("values that are mapped", format!("1 to {MAX_INPUTS}"), N));
        }
        let terms = RefCell::new(Terms::default());
        let inputs =
            std::array::from_fn(|i| Expression { terms: &terms, at: terms.borrow_mut().push(Term::Input(i as u8)) });
        let result = function(inputs);
        let at = if std::ptr::eq(result.terms, &terms) { result.at } else { 0 };
        let foreign = !std::ptr::eq(result.terms, &terms);
        let terms = terms.borrow();
        match terms.fault.or(foreign.then_some(FOREIGN)) {
            None => Ok(Self::of_terms(N, &terms.list, at)),
            Some(fault) => Err(Error::value("mapped function", "terms of its own elements, not too many", fault)),
        }
    }
}

impl Formula {
    /// A function of this one's result and of `N` − 1 further values, which follow its own.
    pub(crate) fn followed_by<const N: usize>(
        self,
        function: impl for<'t> FnOnce([Expression<'t>; N]) -> Expression<'t>,
    ) -> Result<Self> {
        let inputs = self.inputs() + N - 1;
        let terms = RefCell::new(Terms::default());
        let push = |term| terms.borrow_mut().push(term);
        let mut places: Vec<u16> = Vec::new();
        for &term in self.terms() {
            places.push(push(term.moved(|at| places[usize::from(at)])));
        }
        let own = places.last().copied().unwrap_or(0);
        let given = std::array::from_fn(|i| {
            let at = if i == 0 { own } else { push(Term::Input((self.inputs() + i - 1) as u8)) };
            Expression { terms: &terms, at }
        });
        let at = function(given).at;
        let terms = terms.borrow();
        match terms.fault {
            None => Ok(Self::of_terms(inputs, &terms.list, at)),
            Some(fault) => Err(Error::value("mapped function", "terms of its own elements, not too many", fault)),
        }
    }
}

const FOREIGN: &str = "an expression of another function";

impl Expression<'_> {
    fn push(self, term: Term) -> Self {
        Self { terms: self.terms, at: self.terms.borrow_mut().push(term) }
    }

    fn unary(self, function: Unary) -> Self {
        self.push(Term::Unary(function, self.at))
    }

    fn binary(self, function: Binary, other: Self) -> Self {
        if !std::ptr::eq(self.terms, other.terms) {
            self.terms.borrow_mut().fault = Some(FOREIGN);
            return self;
        }
        self.push(Term::Binary(function, self.at, other.at))
    }

    /// A number.
    #[must_use]
    pub fn number(self, value: f32) -> Self {
        self.push(Term::Constant(Coefficient::new(value)))
    }

    /// An activation of it.
    #[must_use]
    pub fn activation(self, activation: Activation) -> Self {
        self.unary(Unary::Activation(activation))
    }

    /// Its hyperbolic tangent.
    #[must_use]
    pub fn tanh(self) -> Self {
        self.activation(Activation::Tanh)
    }

    /// The logistic function σ of it.
    #[must_use]
    pub fn sigmoid(self) -> Self {
        self.activation(Activation::Sigmoid)
    }

    /// It, or 0 if it is negative.
    #[must_use]
    pub fn relu(self) -> Self {
        self.activation(Activation::Relu)
    }

    /// e to its power.
    #[must_use]
    pub fn exp(self) -> Self {
        self.unary(Unary::Exp)
    }

    /// Its natural logarithm; NaN for negative numbers.
    #[must_use]
    pub fn ln(self) -> Self {
        self.unary(Unary::Ln)
    }

    /// Its square root; NaN for negative numbers.
    #[must_use]
    pub fn sqrt(self) -> Self {
        self.unary(Unary::Sqrt)
    }

    /// Its absolute value, whose derivative at 0 is 0.
    #[must_use]
    pub fn abs(self) -> Self {
        self.unary(Unary::Abs)
    }

    /// The larger one of two; NaN if either is. Equal ones share the derivative.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.binary(Binary::Max, other)
    }

    /// The smaller one of two; NaN if either is. Equal ones share the derivative.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        self.binary(Binary::Min, other)
    }

    /// 1 if it is less than the other one, else 0, as for NaN. The derivative is 0.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        self.binary(Binary::Less, other)
    }

    /// 1 if the two are equal, else 0, as for NaN. The derivative is 0.
    #[must_use]
    pub fn equal(self, other: Self) -> Self {
        self.binary(Binary::Equal, other)
    }

    /// `one` where this is not 0, else `other`. What is not chosen may be NaN or infinite, and the derivative by it is 0; but behind a
    /// function whose slope is infinite there, 0 times that is NaN: choose the argument of such a function, not its result.
    #[must_use]
    pub fn choose(self, one: Self, other: Self) -> Self {
        if [one, other].iter().any(|other| !std::ptr::eq(self.terms, other.terms)) {
            self.terms.borrow_mut().fault = Some(FOREIGN);
            return self;
        }
        self.push(Term::Select(self.at, one.at, other.at))
    }

    /// The index along an axis of the result, as a number. Results up to 2²⁴ long have exact ones.
    #[must_use]
    pub fn coordinate(self, axis: usize) -> Self {
        self.push(Term::Coordinate(u8::try_from(axis).unwrap_or(u8::MAX)))
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $function:ident)*) => {$(
        impl $trait for Expression<'_> {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                self.binary(Binary::$function, other)
            }
        }

        impl $trait<f32> for Expression<'_> {
            type Output = Self;

            fn $method(self, other: f32) -> Self {
                self.binary(Binary::$function, self.number(other))
            }
        }

        impl<'t> $trait<Expression<'t>> for f32 {
            type Output = Expression<'t>;

            fn $method(self, other: Expression<'t>) -> Expression<'t> {
                other.number(self).binary(Binary::$function, other)
            }
        }
    )*};
}

operators! { Add add Add Sub sub Subtract Mul mul Multiply Div div Divide }

impl Neg for Expression<'_> {
    type Output = Self;

    fn neg(self) -> Self {
        self.unary(Unary::Negate)
    }
}

impl std::fmt::Debug for Expression<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expression").field("term", &self.terms.borrow().list.get(usize::from(self.at))).finish()
    }
}
