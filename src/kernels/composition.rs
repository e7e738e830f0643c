//! Formulas of formulas.

use super::formula::{Formula, Term, Terms};

/// What stands in the place of a value that a formula takes.
#[derive(Clone, Debug)]
pub(crate) enum Argument {
    /// The value of this number.
    Value(u8),
    /// Another formula, of the values of these numbers.
    Formula(Formula, Vec<u8>),
}

impl Formula {
    /// The same with other formulas in the place of its values, for a number of values; none where it would have too many terms.
    pub(crate) fn composed(self, parts: &[Argument], values: usize) -> Option<Self> {
        let mut terms = Terms::default();
        let mut inner: Vec<u16> = Vec::new();
        for part in parts {
            inner.push(match part {
                Argument::Value(number) => terms.push(Term::Input(*number)),
                Argument::Formula(formula, numbers) => {
                    let mut places = Vec::new();
                    for &term in formula.terms() {
                        let term = match term {
                            Term::Input(k) => Term::Input(*numbers.get(usize::from(k))?),
                            other => other.moved(|at| places[usize::from(at)]),
                        };
                        places.push(terms.push(term));
                    }
                    *places.last()?
                }
            });
        }
        let mut places: Vec<u16> = Vec::new();
        for &term in self.terms() {
            places.push(match term {
                Term::Input(k) => *inner.get(usize::from(k))?,
                other => terms.push(other.moved(|at| places[usize::from(at)])),
            });
        }
        let result = *places.last()?;
        terms.fault.is_none().then(|| Self::of_terms(values, &terms.list, result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::Activation;
    use crate::kernels::{Binary, Unary};

    #[test]
    fn a_formula_of_formulas_has_the_terms_of_both() {
        let product = Formula::new(|[a, b]| a * b).unwrap();
        let tanh = Formula::new(|[x]| x.tanh()).unwrap();
        let arguments = [Argument::Formula(tanh, vec![1]), Argument::Value(0)];
        let expected = [
            Term::Input(1),
            Term::Unary(Unary::Activation(Activation::Tanh), 0),
            Term::Input(0),
            Term::Binary(Binary::Multiply, 1, 2),
        ];
        assert_eq!(product.composed(&arguments, 2).unwrap().terms(), expected);
        // A value that both read is one.
        let sum = Formula::new(|[a, b]| a + b).unwrap();
        let twice = sum.composed(&[Argument::Formula(product, vec![0, 0]), Argument::Value(0)], 1).unwrap();
        assert_eq!((twice.inputs(), twice.terms().len()), (1, 3));
        // Some 200 terms, half of which are constants that both have.
        let long = Formula::new(|[x]| (0..100).fold(x, |sum, i| sum + i as f32)).unwrap();
        assert_eq!(long.composed(&[Argument::Formula(long, vec![0])], 1), None);
    }
}
