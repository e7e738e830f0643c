//! Cases of `map` and `fold`.

use super::case::{Case, Words, dot_tolerance};
use super::numbers::{Numbers, poison};
use crate::cells::{Activation, Form};
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    FLAT, FoldParams, Folding, Formula, MAX_INPUTS, MapParams, Of, Operand, Variant, dense_operands, layout_words,
};

/// Each function of numbers by itself, and some together.
fn formulas() -> Vec<Formula> {
    let mut found: Vec<Result<Formula>> = vec![
        Ok(Formula::identity()),
        Formula::new(|[a]| a.exp()),
        Formula::new(|[a]| a.abs().ln()),
        Formula::new(|[a]| a.abs().sqrt()),
        Formula::new(|[a]| -a.abs()),
        Formula::new(|[a, b]| a + b),
        Formula::new(|[a, b]| a - b),
        Formula::new(|[a, b]| a * b),
        Formula::new(|[a, b]| a / (2.5 + b.abs())),
        Formula::new(|[a, b]| a.max(b)),
        Formula::new(|[a, b]| a.min(b)),
        Formula::new(|[a, b]| a.less(b) + a.equal(a)),
        Formula::new(|[a, b, c]| a.less(b).choose(c, a * b)),
        Formula::new(|[a, b, c, d, e, f]| (a * b + c) * d.tanh() + e.sigmoid() * f),
        Formula::new(|[a, b]| a.coordinate(0).less(a.number(2.0)).choose(a * 0.5, b)),
    ];
    let mut activations: Vec<Activation> = Vec::new();
    for activation in Form::all().flat_map(|form| form.activations()) {
        if !activations.contains(&activation) {
            activations.push(activation);
        }
    }
    found.extend(activations.into_iter().map(|activation| Formula::new(|[a]| a.activation(activation))));
    let found: Vec<_> = found.into_iter().flatten().collect();
    let slopes = found.iter().filter_map(|formula| formula.derivative(0)).filter(|slope| slope.inputs() <= MAX_INPUTS);
    found.iter().copied().chain(slopes).collect()
}

/// The result's axes and each value's in another order or apart, and one that is repeated along the first axis.
fn operands(sizes: &[usize], count: usize, folded: usize) -> Vec<Operand> {
    all_operands(sizes, count, folded, |k| k % 3)
}

/// The same, each value of a kind: 0 has its elements in order, 1 its axes in the opposite order and a gap after each element, 2
/// repeats them along the first axis, 3 is as 1 without gaps.
fn all_operands(sizes: &[usize], count: usize, folded: usize, kind: impl Fn(usize) -> usize) -> Vec<Operand> {
    let dense = |sizes: &[usize]| {
        let mut strides = vec![1; sizes.len()];
        for axis in (1..sizes.len()).rev() {
            strides[axis - 1] = strides[axis] * sizes[axis];
        }
        strides
    };
    let kept = sizes.len() - folded;
    let mut result = dense(&sizes[..kept]);
    result.resize(sizes.len(), 0);
    let mut all = vec![Operand { offset: 3, strides: result }];
    for k in 0..count {
        let strides = match kind(k) {
            0 => dense(sizes),
            kind @ (1 | 3) => {
                let reversed: Vec<usize> = sizes.iter().rev().copied().collect();
                let apart = if kind == 1 { 2 } else { 1 };
                dense(&reversed).into_iter().rev().map(|stride| apart * stride).collect()
            }
            _ => {
                let mut strides = dense(sizes);
                strides[0] = 0;
                strides
            }
        };
        all.push(Operand { offset: k, strides });
    }
    all
}

fn words(sizes: &[usize], operand: &Operand) -> usize {
    operand.offset + 1 + sizes.iter().zip(&operand.strides).map(|(size, stride)| (size - 1) * stride).sum::<usize>()
}

/// The buffers of a dispatch: its layout, the values that it reads, and its result.
fn buffers(sizes: &[usize], operands: &[Operand], integers: u32, result: Words) -> Vec<Words> {
    let mut numbers = Numbers::new(sizes.iter().sum::<usize>());
    let mut all = vec![Words::Indices(layout_words(sizes, operands))];
    for k in 0..MAX_INPUTS {
        let count = operands.get(1 + k).map_or(1, |operand| words(sizes, operand));
        let integer = integers >> k & 1 == 1;
        all.push(if integer {
            Words::Indices(numbers.below(count, 100))
        } else {
            Words::Numbers(numbers.uniform(count, 2.0))
        });
    }
    all.push(result);
    all
}

pub(crate) fn map(_: &Device) -> Vec<Case> {
    let sizes: [&[usize]; 3] = [&[7], &[3, 65], &[2, 5, 33]];
    let cases = formulas().into_iter().enumerate().map(|(i, formula)| {
        let sizes = if formula.coordinates().is_some() { sizes[2] } else { sizes[i % 3] };
        map_case(formula, sizes, 0, i % 2 == 1)
    });
    let integers =
        Formula::new(|[a, b]| a.less(b * 20.0).choose(a, b)).map(|formula| map_case(formula, &[9, 4], 1, false));
    cases.chain(integers).collect()
}

pub(crate) fn map_case(formula: Formula, sizes: &[usize], integers: u32, accumulate: bool) -> Case {
    let operands = operands(sizes, formula.inputs(), 0);
    let count = sizes.iter().product();
    let params =
        MapParams { count, accumulate, nan: f32::NAN, infinity: f32::INFINITY, row_lanes: 2 * FLAT.lanes as usize };
    let result = words(sizes, &operands[0]);
    let result = if accumulate { Words::Numbers(Numbers::new(1).uniform(result, 1.0)) } else { poison(result) };
    let dense = dense_operands(sizes, &operands);
    let variant = Variant::new(Of::Map { formula, axes: sizes.len() as u32, integers, dense }, FLAT, 4);
    Case {
        name: format!("{variant} of {sizes:?}{}", if accumulate { ", added" } else { "" }),
        // Functions of WGSL for arguments up to 2, of a few terms.
        tolerance: 16.0 * f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: buffers(sizes, &operands, integers, result),
        variant,
    }
}

pub(crate) fn fold(_: &Device) -> Vec<Case> {
    let product = Formula::new(|[a, b]| a * b);
    let folds = [Formula::identity()].into_iter().chain(product).flat_map(|formula| {
        let sizes: [(&[usize], usize); 4] = [(&[5, 7], 1), (&[130, 3], 1), (&[2, 3, 200], 2), (&[4, 2, 3, 5], 2)];
        sizes.into_iter().flat_map(move |(sizes, folded)| {
            [Folding::Sum, Folding::Max].into_iter().flat_map(move |folding| {
                [false, true]
                    .map(|shared| fold_case((formula, folding), (sizes, folded), shared, folding == Folding::Max))
            })
        })
    });
    // Terms that are apart in memory, of results whose terms are side by side.
    let columns = [Formula::identity()].into_iter().chain(Formula::new(|[a, b]| a * b)).flat_map(|formula| {
        [Folding::Sum, Folding::Max].map(|folding| {
            let (sizes, folded) = (&[300, 9][..], 1);
            let operands = all_operands(sizes, formula.inputs(), folded, |_| 3);
            fold_case_of((formula, folding), (sizes, folded), &operands, [false, folding == Folding::Max])
        })
    });
    folds.chain(columns).collect()
}

pub(crate) fn fold_case(
    fold: (Formula, Folding),
    (sizes, folded): (&[usize], usize),
    shared: bool,
    accumulate: bool,
) -> Case {
    fold_case_of(fold, (sizes, folded), &operands(sizes, fold.0.inputs(), folded), [shared, accumulate])
}

fn fold_case_of(
    (formula, folding): (Formula, Folding),
    (sizes, folded): (&[usize], usize),
    operands: &[Operand],
    [shared, accumulate]: [bool; 2],
) -> Case {
    let (kept, inner) = sizes.split_at(sizes.len() - folded);
    let [count, terms] = [kept, inner].map(|sizes| sizes.iter().product::<usize>());
    let (start, row_lanes) = (usize::from(accumulate), 2 * FLAT.lanes as usize);
    let params = FoldParams { count, start, end: terms, accumulate, nan: f32::NAN, infinity: f32::INFINITY, row_lanes };
    let result = words(sizes, &operands[0]);
    let result = if accumulate { Words::Numbers(Numbers::new(1).uniform(result, 1.0)) } else { poison(result) };
    let [axes, folded] = [kept.len() as u32, folded as u32];
    let variant = Variant::new(Of::Fold { formula, folding, axes, folded, integers: 0, shared }, FLAT, 4);
    Case {
        name: format!("{variant} of {sizes:?}{}", if accumulate { ", added" } else { "" }),
        // The terms are up to 4.
        tolerance: 4.0 * dot_tolerance(terms),
        params: params.words(),
        window: 0,
        buffers: buffers(sizes, operands, 0, result),
        variant,
    }
}
