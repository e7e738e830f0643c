//! Products of matrices and convolutions on a tape, with their gradients, against loops over float64.

use crate::common::{Random, devices};
use ndarray::{ArrayD, Dimension, IxDyn};
use std::collections::BTreeMap;
use wgrnn::kernels::Kernel;
use wgrnn::plan::Value;
use wgrnn::{
    Conv1d, Device, Error, LearningRate, Optimizer, Parameters, Result, Tape, Tensor, Trainer, TrainerOptions,
};

fn random(seed: u32, shape: &[usize]) -> ArrayD<f32> {
    let mut random = Random::new(seed);
    ArrayD::from_shape_simple_fn(IxDyn(shape), || random.number())
}

/// Arrays under test, a weight for each element of the result, and what is computed.
struct Case<'a> {
    arrays: Vec<ArrayD<f32>>,
    weights: ArrayD<f32>,
    build: &'a dyn Fn(&mut Tape, &[Value]) -> Result<Value>,
}

/// The result and the gradients of its weighted sum.
type Results = (ArrayD<f32>, Vec<ArrayD<f32>>);

impl Case<'_> {
    fn run(&self, device: &Device) -> (Results, Vec<Kernel>) {
        let names: Vec<String> = (0..self.arrays.len()).map(|i| format!("x{i}")).collect();
        let named = names.iter().cloned().zip(self.arrays.iter().map(|array| array.view()));
        let parameters = Parameters::new(device, named).unwrap();
        let mut tape = Tape::training(device).unwrap();
        let values: Vec<_> = names.iter().map(|name| tape.parameter(&parameters, name).unwrap()).collect();
        let y = (self.build)(&mut tape, &values).unwrap();
        let kernels = tape.plan().plan().variants().iter().map(|variant| variant.kernel()).collect();
        assert_eq!(y.shape(), self.weights.shape());
        let result = Tensor::<f32>::zeros(device, y.shape()).unwrap();
        let target = tape.input(&result).unwrap();
        tape.plan().copy(&y, &target).unwrap();
        let weights = tape.input(&Tensor::from_array(device, self.weights.view()).unwrap()).unwrap();
        let weighted = tape.mul(&y, &weights).unwrap();
        tape.loss(&weighted).unwrap();
        let options = TrainerOptions::new(Optimizer::sgd(0.0)).learning_rate(LearningRate::Constant(0.0));
        let mut trainer = Trainer::new(tape, options).unwrap();
        // Twice: nothing may be left over from the first time.
        (0..2).for_each(|_| trainer.step().unwrap());
        // A loss is a mean.
        let count = self.weights.len() as f32;
        let gradients = parameters.gradients().unwrap().into_iter().map(|(_, gradient)| gradient * count).collect();
        ((result.read().unwrap(), gradients), kernels)
    }
}

/// Sums of `terms` products of numbers up to 1: each product and each sum is rounded once.
fn agree(name: &str, got: &ArrayD<f32>, expected: &ArrayD<f64>, terms: usize) {
    assert_eq!(got.shape(), expected.shape(), "{name}");
    let tolerance = 4.0 * f64::from(f32::EPSILON) * (1.0 + terms as f64);
    for (at, &value) in expected.indexed_iter() {
        let difference = (f64::from(got[&at]) - value).abs();
        assert!(difference <= tolerance, "{name} at {:?}: {} is not {value}", at.slice(), got[&at]);
    }
}

const SIZES: [(char, usize); 5] = [('b', 2), ('h', 3), ('m', 33), ('n', 22), ('k', 30)];

fn size(axis: char) -> usize {
    SIZES.iter().find(|(name, _)| *name == axis).unwrap().1
}

fn shape(axes: &str) -> Vec<usize> {
    axes.chars().map(size).collect()
}

/// Σ a·b over the axes that the result lacks.
fn einsum((a, a_axes): (&ArrayD<f32>, &str), (b, b_axes): (&ArrayD<f32>, &str), axes: &str) -> (ArrayD<f64>, usize) {
    let mut out = ArrayD::<f64>::zeros(shape(axes));
    let mut all: Vec<char> = axes.chars().collect();
    for axis in a_axes.chars().chain(b_axes.chars()) {
        if !all.contains(&axis) {
            all.push(axis);
        }
    }
    let sizes: Vec<usize> = all.iter().map(|&axis| size(axis)).collect();
    for at in ndarray::indices(IxDyn(&sizes)) {
        let index: BTreeMap<char, usize> = all.iter().copied().zip(at.slice().iter().copied()).collect();
        let place = |axes: &str| axes.chars().map(|axis| index[&axis]).collect::<Vec<_>>();
        out[&place(axes)[..]] += f64::from(a[&place(a_axes)[..]]) * f64::from(b[&place(b_axes)[..]]);
    }
    let terms = sizes[axes.len()..].iter().product();
    (out, terms)
}

/// A view with its axes in this order.
fn ordered(value: &Value, axes: &str, order: &str) -> Value {
    let mut axes: Vec<char> = axes.chars().collect();
    let mut view = value.clone();
    for (at, axis) in order.chars().enumerate() {
        let from = axes.iter().position(|&other| other == axis).unwrap();
        axes.swap(at, from);
        view = view.transpose(at, from).unwrap();
    }
    view
}

/// Each factor as it lies in memory, for [..., m, k] · [..., k, n].
const LAYOUTS: [(&str, &str, &str); 10] = [
    ("mk", "kn", ""),
    ("km", "kn", ""),
    ("mk", "nk", ""),
    ("km", "nk", ""),
    ("bmk", "bkn", "b"),
    ("bmk", "kn", "b"),
    ("mk", "bkn", "b"),
    ("kbm", "nbk", "b"),
    ("bhmk", "bhkn", "bh"),
    ("mbhk", "nbhk", "bh"),
];

#[test]
fn large_products_are_made_by_the_kernels_for_products_whatever_their_layout() {
    for (a_axes, b_axes, batch) in LAYOUTS {
        let (a, b) = (random(1, &shape(a_axes)), random(2, &shape(b_axes)));
        let out = format!("{batch}mn");
        let weights = random(3, &shape(&out));
        let (y, terms) = einsum((&a, a_axes), (&b, b_axes), &out);
        let (da, da_terms) = einsum((&weights, &out), (&b, b_axes), a_axes);
        let (db, db_terms) = einsum((&weights, &out), (&a, a_axes), b_axes);
        let batch_of = |axes: &str| batch.chars().filter(|&axis| axes.contains(axis)).collect::<String>();
        let build = |tape: &mut Tape, x: &[Value]| {
            let left = ordered(&x[0], a_axes, &format!("{}mk", batch_of(a_axes)));
            let right = ordered(&x[1], b_axes, &format!("{}kn", batch_of(b_axes)));
            tape.matmul(&left, &right)
        };
        let case = Case { arrays: vec![a, b], weights, build: &build };
        for (device_name, device) in devices() {
            let name = format!("{a_axes} by {b_axes}, {device_name}");
            let ((got, gradients), kernels) = case.run(&device);
            agree(&name, &got, &y, terms);
            agree(&format!("{name}, left"), &gradients[0], &da, da_terms);
            agree(&format!("{name}, right"), &gradients[1], &db, db_terms);
            let by_products = kernels.contains(&Kernel::Gemm) || kernels.contains(&Kernel::Outer);
            assert!(by_products && !kernels.contains(&Kernel::Fold), "{name}: {kernels:?}");
        }
    }
}

/// y[t, n, o] and the gradients by x and w, as the formula has them.
fn convolution(
    x: &ArrayD<f32>,
    w: &ArrayD<f32>,
    dy: Option<&ArrayD<f32>>,
    [stride, dilation, groups, before, steps]: [usize; 5],
) -> [ArrayD<f64>; 3] {
    let (outputs, channels) = (w.shape()[0], w.shape()[1]);
    let mut y = ArrayD::<f64>::zeros(vec![steps, x.shape()[1], outputs]);
    let [mut dx, mut dw] = [x, w].map(|array| ArrayD::<f64>::zeros(array.shape()));
    for at in ndarray::indices(IxDyn(&[steps, x.shape()[1], outputs, channels, w.shape()[2]])) {
        let &[t, n, o, c, k] = at.slice() else { unreachable!() };
        let Some(seen) = (t * stride + k * dilation).checked_sub(before).filter(|&seen| seen < x.shape()[0]) else {
            continue;
        };
        let channel = o / (outputs / groups) * channels + c;
        let (from, by) = (f64::from(x[[seen, n, channel]]), f64::from(w[[o, c, k]]));
        y[[t, n, o]] += from * by;
        if let Some(dy) = dy {
            let slope = f64::from(dy[[t, n, o]]);
            dx[[seen, n, channel]] += slope * by;
            dw[[o, c, k]] += slope * from;
        }
    }
    [y, dx, dw]
}

#[test]
fn convolutions_and_their_gradients_are_the_formulas() {
    // [T, N, C], [O, C / groups, K], stride, dilation, groups, zeros before and after: small ones, and some that become products of matrices.
    let cases = [
        ([7, 2, 3], [4, 3, 3], 1, 1, 1, [0, 0]),
        ([9, 1, 4], [6, 2, 2], 2, 3, 2, [2, 1]),
        ([6, 3, 4], [4, 1, 3], 1, 1, 4, [2, 0]),
        ([5, 2, 2], [3, 2, 1], 1, 1, 1, [0, 0]),
        ([4, 2, 3], [2, 3, 4], 3, 1, 1, [3, 3]),
        ([40, 3, 16], [24, 16, 5], 1, 2, 1, [4, 4]),
        ([50, 2, 12], [20, 12, 3], 2, 1, 1, [1, 1]),
        ([48, 2, 24], [32, 12, 3], 1, 1, 2, [0, 2]),
        ([90, 1, 1], [8, 1, 25], 10, 1, 1, [0, 0]),
    ];
    for (x_shape, w_shape, stride, dilation, groups, [before, after]) in cases {
        let options = Conv1d::default().stride(stride).dilation(dilation).groups(groups).padding(before, after);
        let steps = options.steps(x_shape[0], w_shape[2]).unwrap();
        let (x, w, b) = (random(4, &x_shape), random(5, &w_shape), random(6, &w_shape[..1]));
        let dy = random(7, &[steps, x_shape[1], w_shape[0]]);
        let numbers = [stride, dilation, groups, before, steps];
        let [y, dx, dw] = convolution(&x, &w, Some(&dy), numbers);
        let y = y + b.mapv(f64::from);
        let db = dy.mapv(f64::from).sum_axis(ndarray::Axis(0)).sum_axis(ndarray::Axis(0));
        let build = |tape: &mut Tape, x: &[Value]| tape.conv1d(&x[0], &x[1], Some(&x[2]), options);
        let case = Case { arrays: vec![x, w, b], weights: dy, build: &build };
        for (device_name, device) in devices() {
            let name = format!("{x_shape:?} with {w_shape:?} by {options:?}, {device_name}");
            let ((got, gradients), _) = case.run(&device);
            let positions = steps * x_shape[1];
            agree(&name, &got, &y, w_shape[1] * w_shape[2] + 1);
            agree(&format!("{name}, input"), &gradients[0], &dx, w_shape[0] / groups * w_shape[2]);
            agree(&format!("{name}, weight"), &gradients[1], &dw, positions);
            agree(&format!("{name}, bias"), &gradients[2], &db, positions);
        }
    }
}

/// The weights and the input are views: they lie in another order in memory.
#[test]
fn a_convolution_reads_views() {
    let (x, w) = (random(8, &[3, 3, 7]), random(9, &[3, 3, 4]));
    let turned = |array: &ArrayD<f32>, a, b| {
        let mut array = array.clone();
        array.swap_axes(a, b);
        array.as_standard_layout().into_owned()
    };
    let [y, dx, dw] = convolution(&turned(&x, 0, 2), &turned(&w, 0, 2), Some(&random(10, &[5, 3, 4])), [1, 1, 1, 0, 5]);
    let build = |tape: &mut Tape, x: &[Value]| {
        tape.conv1d(&x[0].transpose(0, 2)?, &x[1].transpose(0, 2)?, None, Conv1d::default())
    };
    let case = Case { arrays: vec![x, w], weights: random(10, &[5, 3, 4]), build: &build };
    for (name, device) in devices() {
        let ((got, gradients), _) = case.run(&device);
        agree(name, &got, &y, 9);
        for (gradient, expected) in gradients.iter().zip([&dx, &dw]) {
            agree(name, &turned(gradient, 0, 2), expected, 15);
        }
    }
}

#[test]
fn impossible_convolutions_are_refused_by_name() {
    let device = Device::cpu();
    let mut tape = Tape::evaluating(&device).unwrap();
    let mut input = |shape: &[usize]| tape.input(&Tensor::<f32>::zeros(&device, shape).unwrap()).unwrap();
    let (x, w, b) = (input(&[5, 2, 4]), input(&[6, 4, 3]), input(&[6]));
    let (flat, long, grouped) = (input(&[5, 4]), input(&[6, 4, 6]), input(&[6, 2, 3]));
    let mut refused = |x: &Value, w: &Value, b: Option<&Value>, options: Conv1d, part: &str| {
        let error = tape.conv1d(x, w, b, options).unwrap_err();
        assert!(error.to_string().contains(part), "{error} does not name {part}");
    };
    let plain = Conv1d::default();
    refused(&x, &w, None, plain.stride(0), "stride of a convolution");
    refused(&x, &w, None, plain.dilation(0), "dilation of a convolution");
    refused(&x, &w, None, plain.groups(0), "groups of a convolution");
    refused(&x, &w, None, plain.groups(3), "a number that divides 4 channels and 6 outputs");
    refused(&x, &w, None, plain.groups(2), "[6, 2, 3]");
    refused(&x, &grouped, None, plain, "[6, 4, 3]");
    refused(&flat, &w, None, plain, "expected shape [T, N, C], got [5, 4]");
    refused(&x, &flat, None, plain, "[O, C / groups, K]");
    refused(&x, &long, None, plain, "at least one window of 6 steps");
    refused(&x, &w, None, plain.dilation(3), "3 apart");
    refused(&x, &w, None, plain.dilation(usize::MAX), "window");
    refused(&x, &w, Some(&x), plain, "bias of a convolution");
    refused(&x, &w, Some(&flat), plain, "[6]");
    assert!(tape.conv1d(&x, &w, Some(&b), plain.padding(1, 1)).is_ok());
    // One window has no next one, and one step no neighbour.
    assert_eq!(tape.conv1d(&x, &w, None, plain.stride(usize::MAX)).unwrap().shape(), [1, 2, 6]);
    let indices = tape.input(&Tensor::<u32>::zeros(&device, &[5, 2, 4]).unwrap()).unwrap();
    assert!(matches!(tape.conv1d(&indices, &w, None, plain), Err(Error::Value { .. })));
    assert!(tape.pad(&x, 3, 1, 0).unwrap_err().to_string().contains("axis"));
    assert!(tape.pad(&x, 0, usize::MAX, 1).is_err());
}
