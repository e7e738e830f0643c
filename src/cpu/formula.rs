//! Formulas of elements, a block of elements at a time: each term's loop is vector code.

use crate::cells::Activation;
use crate::cells::math::{MulAdd, Vectorised, exp, vectorise};
use crate::kernels::{Binary, Formula, Term, Unary};

/// Elements that are computed together: their terms stay in a core's cache.
pub(super) const BLOCK: usize = 256;

/// Where the elements of a dispatch's values lie, out of the words of its layout.
pub(super) struct Layout<'a> {
    pub sizes: &'a [u32],
    operands: &'a [u32],
}

impl<'a> Layout<'a> {
    pub fn new(words: &'a [u32], axes: usize) -> Self {
        let (sizes, operands) = words.split_at(axes);
        Self { sizes, operands }
    }

    /// First element and strides of a value, 0 being the result.
    pub fn operand(&self, number: usize) -> (usize, &'a [u32]) {
        let axes = self.sizes.len();
        let words = &self.operands[number * (axes + 1)..][..axes + 1];
        (words[0] as usize, &words[1..])
    }

    /// Where a value's element lies, by its coordinates along the first axes.
    pub fn place(&self, number: usize, coordinates: &[usize]) -> usize {
        let (offset, strides) = self.operand(number);
        coordinates.iter().zip(strides).map(|(&at, &stride)| at * stride as usize).sum::<usize>() + offset
    }
}

/// The coordinates of element `i` of an array of these sizes.
pub(super) fn coordinates(mut i: usize, sizes: &[u32], out: &mut Vec<usize>) {
    out.clear();
    out.resize(sizes.len(), 0);
    for (at, &size) in out.iter_mut().zip(sizes).rev() {
        *at = i % size as usize;
        i /= size as usize;
    }
}

/// A formula with memory for its terms.
pub(super) struct Evaluator<'a> {
    formula: Formula,
    integers: u32,
    values: Vec<&'a [f32]>,
    terms: Vec<f32>,
    /// Elements that are read where they lie, in place of a term's memory.
    lying: Vec<Option<&'a [f32]>>,
}

impl<'a> Evaluator<'a> {
    pub fn new(formula: Formula, integers: u32, values: Vec<&'a [f32]>) -> Self {
        let count = formula.terms().len();
        Self { formula, integers, values, terms: vec![0.0; count * BLOCK], lying: vec![None; count] }
    }

    /// The results of `count` elements along an axis, from these coordinates on.
    pub fn run(&mut self, layout: &Layout<'_>, coordinates: &[usize], along: usize, count: usize) -> &[f32] {
        for (i, &term) in self.formula.terms().iter().enumerate() {
            let (before, rest) = self.terms.split_at_mut(i * BLOCK);
            let out = &mut rest[..count];
            let (lying_before, lying) = self.lying.split_at_mut(i);
            let of = |at: u16| {
                let at = usize::from(at);
                lying_before[at].unwrap_or(&before[at * BLOCK..][..count])
            };
            match term {
                Term::Input(k) => {
                    let k = usize::from(k);
                    let is_index = self.integers >> k & 1 == 1;
                    let stride = layout.operand(1 + k).1[along] as usize;
                    let from = &self.values[k][layout.place(1 + k, coordinates)..];
                    lying[0] = (stride == 1 && !is_index).then(|| &from[..count]);
                    match stride {
                        0 => out.fill(from[0]),
                        1 if !is_index => {}
                        1 => out.copy_from_slice(&from[..count]),
                        _ => out.iter_mut().zip(from.iter().step_by(stride)).for_each(|(out, &x)| *out = x),
                    }
                    if is_index {
                        out.iter_mut().for_each(|x| *x = x.to_bits() as f32);
                    }
                }
                Term::Coordinate(axis) => {
                    let axis = usize::from(axis);
                    let moves = usize::from(axis == along);
                    out.iter_mut().enumerate().for_each(|(i, x)| *x = (coordinates[axis] + moves * i) as f32);
                }
                Term::Constant(number) => out.fill(number.get()),
                Term::Unary(function, a) => vectorise(One { function, a: of(a), out }),
                Term::Binary(function, a, b) => vectorise(Two { function, a: of(a), b: of(b), out }),
                Term::Select(a, b, c) => {
                    for (((out, a), b), c) in out.iter_mut().zip(of(a)).zip(of(b)).zip(of(c)) {
                        *out = if *a == 0.0 { *c } else { *b };
                    }
                }
            }
        }
        let result = self.formula.terms().len() - 1;
        self.lying[result].unwrap_or(&self.terms[result * BLOCK..][..count])
    }
}

struct One<'a> {
    function: Unary,
    a: &'a [f32],
    out: &'a mut [f32],
}

impl Vectorised for One<'_> {
    #[inline(always)]
    fn run<M: MulAdd>(self) {
        #[inline(always)]
        fn each(a: &[f32], out: &mut [f32], function: impl Fn(f32) -> f32) {
            // A loop: what `for_each` calls may be compiled on its own, without the vectors of this function.
            let count = out.len().min(a.len());
            let (a, out) = (&a[..count], &mut out[..count]);
            for i in 0..count {
                out[i] = function(a[i]);
            }
        }
        let Self { function, a, out } = self;
        match function {
            // Those that are frequent in loops of their own.
            Unary::Activation(Activation::Sigmoid) => each(a, out, |a| Activation::Sigmoid.of::<M>(a)),
            Unary::Activation(Activation::Tanh) => each(a, out, |a| Activation::Tanh.of::<M>(a)),
            Unary::Activation(Activation::Relu) => each(a, out, |a| Activation::Relu.of::<M>(a)),
            Unary::Activation(activation) => each(a, out, |a| activation.of::<M>(a)),
            Unary::Exp => each(a, out, power::<M>),
            Unary::Ln => each(a, out, f32::ln),
            Unary::Sqrt => each(a, out, f32::sqrt),
            Unary::Abs => each(a, out, f32::abs),
            Unary::Negate => each(a, out, |a| -a),
        }
    }
}

/// e^x over all numbers: the function of activations is good for |x| ≤ 87, so that it takes half of x, and its result is squared.
#[inline(always)]
fn power<M: MulAdd>(x: f32) -> f32 {
    let root = exp::<M>(0.5 * x.clamp(-174.0, 174.0));
    if x.is_nan() { x } else { root * root }
}

struct Two<'a> {
    function: Binary,
    a: &'a [f32],
    b: &'a [f32],
    out: &'a mut [f32],
}

impl Vectorised for Two<'_> {
    #[inline(always)]
    fn run<M: MulAdd>(self) {
        #[inline(always)]
        fn each(a: &[f32], b: &[f32], out: &mut [f32], function: impl Fn(f32, f32) -> f32) {
            let count = out.len().min(a.len()).min(b.len());
            let (a, b, out) = (&a[..count], &b[..count], &mut out[..count]);
            for i in 0..count {
                out[i] = function(a[i], b[i]);
            }
        }
        let Self { function, a, b, out } = self;
        match function {
            Binary::Add => each(a, b, out, |a, b| a + b),
            Binary::Subtract => each(a, b, out, |a, b| a - b),
            Binary::Multiply => each(a, b, out, |a, b| a * b),
            Binary::Divide => each(a, b, out, |a, b| a / b),
            Binary::Max => each(a, b, out, larger),
            Binary::Min => each(a, b, out, |a, b| -larger(-a, -b)),
            Binary::Less => each(a, b, out, |a, b| f32::from(a < b)),
            Binary::Equal => each(a, b, out, |a, b| f32::from(a == b)),
        }
    }
}

/// NaN if either is.
#[inline(always)]
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}
