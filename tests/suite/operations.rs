//! Operations on values: functions of elements, sums along axes, views, products; with their gradients.

use crate::common::{Random, devices, gpu};
use ndarray::{Array, ArrayD, Axis, IxDyn, array};
use wgrnn::check;
use wgrnn::kernels::{Kernel, OwnKernel};
use wgrnn::plan::Value;
use wgrnn::{
    Activation, Attention, Device, Differentiable, Error, LearningRate, Linear, LossSlopes, Optimizer, Parameters,
    PlanBuilder, Tape, Tensor, Trainer, TrainerOptions,
};

#[test]
fn functions_and_sums_of_elements_equal_their_twins() {
    for kernel in [Kernel::Map, Kernel::Fold] {
        let report = check::kernel(&gpu(), kernel).unwrap();
        let failures: Vec<_> = report.failures.iter().map(ToString::to_string).collect();
        assert!(report.passed(), "{}", failures.join("\n"));
    }
}

fn counting(shape: &[usize]) -> ArrayD<f32> {
    let count = shape.iter().product::<usize>();
    Array::from_iter((0..count).map(|i| i as f32 / 8.0 - 1.0)).into_shape_with_order(IxDyn(shape)).unwrap()
}

/// What a plan of operations gives.
fn compute(
    device: &Device,
    inputs: &[&ArrayD<f32>],
    plan: impl Fn(&mut PlanBuilder, &[Value]) -> Value,
) -> ArrayD<f32> {
    let mut builder = PlanBuilder::new(device);
    let tensors: Vec<_> = inputs.iter().map(|x| Tensor::from_array(device, x.view()).unwrap()).collect();
    let values: Vec<_> = tensors.iter().map(|tensor| builder.tensor(tensor).unwrap()).collect();
    let out = plan(&mut builder, &values);
    let result = Tensor::<f32>::zeros(device, out.shape()).unwrap();
    let target = builder.tensor(&result).unwrap();
    builder.copy(&out, &target).unwrap();
    builder.build().unwrap().run().unwrap();
    result.read().unwrap()
}

#[test]
fn shapes_broadcast_as_those_of_ndarray() {
    for (name, device) in devices() {
        for (a, b) in [([4, 3, 5].as_slice(), [3, 1].as_slice()), (&[1, 5], &[4, 1]), (&[6], &[1]), (&[2, 3], &[2, 3])]
        {
            let (a, b) = (counting(a), counting(b));
            let got = compute(&device, &[&a, &b], |plan, x| plan.map([&x[0], &x[1]], |[a, b]| a * b + 0.5).unwrap());
            assert_eq!(got, &a * &b + 0.5, "{name} {:?} {:?}", a.shape(), b.shape());
        }
    }
}

#[test]
fn views_are_read_where_they_lie() {
    for (name, device) in devices() {
        let x = counting(&[4, 3, 5]);
        let got = compute(&device, &[&x], |plan, x| {
            let view = x[0].slice(2, 1..4).unwrap().transpose(0, 2).unwrap().insert_axis(1).unwrap();
            plan.map([&view], |[x]| x * 2.0).unwrap()
        });
        let mut expected = x.slice_axis(Axis(2), (1..4).into()).to_owned();
        expected.swap_axes(0, 2);
        assert_eq!(got, (expected * 2.0).insert_axis(Axis(1)), "{name}");
        let got = compute(&device, &[&x], |plan, x| {
            let turned = x[0].transpose(0, 1).unwrap();
            let rows = plan.contiguous(&turned).unwrap().reshape(&[12, 5]).unwrap();
            rows.at(4).unwrap()
        });
        assert_eq!(got, x.index_axis(Axis(1), 1).index_axis(Axis(0), 0).to_owned().into_dyn(), "{name}");
    }
}

#[test]
fn axes_are_summed_averaged_and_searched() {
    for (name, device) in devices() {
        let x = counting(&[4, 3, 50]);
        let rows = compute(&device, &[&x], |plan, x| plan.sum(&x[0], &[0, 2]).unwrap());
        assert_eq!(rows, x.sum_axis(Axis(2)).sum_axis(Axis(0)), "{name}");
        let mean = compute(&device, &[&x], |plan, x| plan.mean(&x[0].transpose(0, 1).unwrap(), &[1]).unwrap());
        assert_eq!(mean, x.mean_axis(Axis(0)).unwrap(), "{name}");
        let largest = compute(&device, &[&x], |plan, x| plan.max(&x[0], &[1, 2]).unwrap());
        assert_eq!(largest, array![x[[0, 2, 49]], x[[1, 2, 49]], x[[2, 2, 49]], x[[3, 2, 49]]].into_dyn(), "{name}");
        let all = compute(&device, &[&x], |plan, x| plan.sum(&x[0], &[0, 1, 2]).unwrap().reshape(&[1]).unwrap());
        assert_eq!(all, array![x.sum()].into_dyn(), "{name}");
    }
}

/// An operation under test, on parameters and lengths.
type Build<'a> = &'a dyn Fn(&mut Tape, &[Value], &Value) -> Value;

struct Graph<'a> {
    device: &'a Device,
    shapes: &'a [&'a [usize]],
    build: Build<'a>,
}

const NAMES: [&str; 3] = ["a", "b", "c"];
/// For operations that take them.
const LENGTHS: [u32; 3] = [2, 0, 4];

impl Graph<'_> {
    fn arrays(&self) -> Vec<(String, ArrayD<f32>)> {
        let mut random = Random::new(5);
        let array = |shape: &&[usize]| ArrayD::from_shape_simple_fn(IxDyn(shape), || random.number());
        NAMES.iter().map(ToString::to_string).zip(self.shapes.iter().map(array)).collect()
    }

    fn parameters(&self) -> Parameters {
        let arrays = self.arrays();
        Parameters::new(self.device, arrays.iter().map(|(name, array)| (name.clone(), array.view()))).unwrap()
    }

    /// A loss in which each element of the result counts differently.
    fn loss(&self, tape: &mut Tape, parameters: &Parameters) {
        let values: Vec<_> =
            NAMES[..self.shapes.len()].iter().map(|name| tape.parameter(parameters, name).unwrap()).collect();
        let lengths = Tensor::from_array(self.device, ndarray::arr1(&LENGTHS).view()).unwrap();
        let lengths = tape.input(&lengths).unwrap();
        let y = (self.build)(tape, &values, &lengths);
        let mut random = Random::new(9);
        let weights = ArrayD::from_shape_simple_fn(IxDyn(y.shape()), || 1.0 + 0.5 * random.number());
        let weights = Tensor::from_array(self.device, weights.view()).unwrap();
        let weights = tape.input(&weights).unwrap();
        let weighted = tape.mul(&y, &weights).unwrap();
        tape.loss(&weighted).unwrap();
    }

    fn value(&self, parameters: &Parameters) -> f64 {
        let mut tape = Tape::evaluating(self.device).unwrap();
        self.loss(&mut tape, parameters);
        f64::from(tape.evaluation().unwrap().run().unwrap())
    }

    /// The slope along the gradient by each parameter, and by a finite step.
    fn check(&self, name: &str) {
        let parameters = self.parameters();
        let mut tape = Tape::training(self.device).unwrap();
        self.loss(&mut tape, &parameters);
        let options = TrainerOptions::new(Optimizer::sgd(0.0)).learning_rate(LearningRate::Constant(0.0));
        let mut trainer = Trainer::new(tape, options).unwrap();
        // Twice: nothing may be left over from the first time.
        (0..2).for_each(|_| trainer.step().unwrap());
        trainer.progress().unwrap();
        let arrays = self.arrays();
        for (i, (array, gradient)) in parameters.gradients().unwrap().into_iter().enumerate() {
            let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            assert!(norm > 1e-4, "{name}: no gradient of {array}");
            let moved = |sign: f64| {
                let mut arrays = arrays.clone();
                let step = |g: &f32| (f64::from(*g) / norm * sign * 0.01) as f32;
                arrays[i].1.zip_mut_with(&gradient, |x, g| *x += step(g));
                let moved = self.parameters();
                moved.write(&arrays).unwrap();
                self.value(&moved)
            };
            let (slope, difference) = (norm * 0.02, moved(1.0) - moved(-1.0));
            // Losses of some units in f32: 2⁻²² twice; and the third order of a step of 0.01.
            assert!((slope - difference).abs() < 5e-3 * slope + 2e-6, "{name}, {array}: {slope} is not {difference}");
        }
    }
}

fn check_gradients(name: &str, shapes: &[&[usize]], build: impl Fn(&mut Tape, &[Value], &Value) -> Value) {
    for (device_name, device) in devices() {
        Graph { device: &device, shapes, build: &build }.check(&format!("{name}, {device_name}"));
    }
}

#[test]
fn gradients_of_element_wise_operations_are_slopes() {
    check_gradients("add", &[&[2, 3], &[3]], |tape, x, _| tape.add(&x[0], &x[1]).unwrap());
    check_gradients("sub", &[&[3], &[2, 1]], |tape, x, _| tape.sub(&x[0], &x[1]).unwrap());
    check_gradients("mul", &[&[2, 3, 4], &[3, 1]], |tape, x, _| tape.mul(&x[0], &x[1]).unwrap());
    check_gradients("square", &[&[4]], |tape, x, _| tape.mul(&x[0], &x[0]).unwrap());
    check_gradients("div", &[&[2, 3], &[2, 3]], |tape, x, _| {
        let below = tape.map([&x[1]], |[x]| 2.0 + x).unwrap();
        tape.div(&x[0], &below).unwrap()
    });
    check_gradients("scale", &[&[5]], |tape, x, _| tape.scale(&x[0], -2.5).unwrap());
    check_gradients("glu", &[&[2, 6]], |tape, x, _| tape.glu(&x[0], 1).unwrap());
    check_gradients("chain", &[&[2, 3], &[3], &[1]], |tape, x, _| {
        tape.map([&x[0], &x[1], &x[2]], |[a, b, c]| (a * b + c).tanh() - (a.abs() + 1.0).ln() / (b.exp() + 0.5).sqrt())
            .unwrap()
    });
    check_gradients("max and min", &[&[2, 3], &[3], &[2, 3]], |tape, x, _| {
        tape.map([&x[0], &x[1], &x[2]], |[a, b, c]| a.max(b) + a.less(b).choose(c, -c) * b.min(c)).unwrap()
    });
}

#[test]
fn gradients_of_activations_are_slopes() {
    let (alpha, beta) = (0.7.into(), 0.2.into());
    let all = [
        Activation::Tanh,
        Activation::Relu,
        Activation::Sigmoid,
        Activation::Affine { alpha, beta },
        Activation::LeakyRelu { alpha },
        Activation::ThresholdedRelu { alpha: beta },
        Activation::ScaledTanh { alpha, beta },
        Activation::HardSigmoid { alpha, beta },
        Activation::Elu { alpha },
        Activation::Softsign,
        Activation::Softplus,
    ];
    for activation in all {
        // None of the numbers is within a step of a bend.
        check_gradients(&activation.to_string(), &[&[6]], |tape, x, _| {
            let apart = tape.map([&x[0]], |[x]| x + (x.less(x.number(0.0)) * -2.0 + 1.0) * 0.3).unwrap();
            tape.activate(&apart, activation).unwrap()
        });
    }
}

#[test]
fn gradients_of_sums_along_axes_are_slopes() {
    check_gradients("sum", &[&[2, 3, 4]], |tape, x, _| tape.sum(&x[0], &[0, 2]).unwrap());
    check_gradients("mean", &[&[2, 3, 4]], |tape, x, _| tape.mean(&x[0], &[1]).unwrap());
    check_gradients("max", &[&[3, 4]], |tape, x, _| tape.max(&x[0], &[1]).unwrap());
    check_gradients("sum_valid", &[&[5, 3, 2]], |tape, x, lengths| {
        tape.sum_valid(&x[0], 0, &lengths.reshape(&[3, 1]).unwrap()).unwrap()
    });
    check_gradients("mean_valid", &[&[3, 5]], |tape, x, lengths| {
        tape.mean_valid(&x[0], 1, &lengths.reshape(&[3, 1]).unwrap()).unwrap()
    });
    check_gradients("max_valid", &[&[5, 3, 2]], |tape, x, lengths| {
        let largest = tape.max_valid(&x[0], 0, &lengths.reshape(&[3, 1]).unwrap()).unwrap();
        // One has no elements.
        tape.map([&largest], |[x]| x.less(x.number(-9.0)).choose(x.number(0.0), x)).unwrap()
    });
    check_gradients("take", &[&[5, 3, 2]], |tape, x, lengths| {
        tape.take(&x[0], 0, &lengths.reshape(&[3, 1]).unwrap()).unwrap()
    });
}

#[test]
fn gradients_of_softmax_norms_and_products_are_slopes() {
    check_gradients("softmax", &[&[2, 3, 4]], |tape, x, _| tape.softmax(&x[0], 1, None).unwrap());
    check_gradients("softmax of lengths", &[&[3, 5]], |tape, x, lengths| {
        tape.softmax(&x[0], 1, Some(&lengths.reshape(&[3, 1]).unwrap())).unwrap()
    });
    check_gradients("log_softmax", &[&[3, 5]], |tape, x, _| tape.log_softmax(&x[0], 1, None).unwrap());
    check_gradients("log_softmax of lengths", &[&[3, 5]], |tape, x, lengths| {
        let y = tape.log_softmax(&x[0], 1, Some(&lengths.reshape(&[3, 1]).unwrap())).unwrap();
        tape.map([&y], |[y]| y.equal(y.number(f32::NEG_INFINITY)).choose(y.number(0.0), y)).unwrap()
    });
    check_gradients("layer_norm", &[&[3, 6], &[6], &[6]], |tape, x, _| {
        tape.layer_norm(&x[0], Some(&x[1]), Some(&x[2]), 1e-2).unwrap()
    });
    check_gradients("matmul", &[&[2, 3, 4], &[4, 5]], |tape, x, _| tape.matmul(&x[0], &x[1]).unwrap());
    check_gradients("matmul of transposes", &[&[4, 3], &[2, 5, 4]], |tape, x, _| {
        tape.matmul(&x[0].transpose(0, 1).unwrap(), &x[1].transpose(1, 2).unwrap()).unwrap()
    });
    check_gradients("concat", &[&[2, 3], &[2, 1]], |tape, x, _| tape.concat(&[&x[0], &x[1], &x[0]], 1).unwrap());
    check_gradients("views", &[&[4, 3]], |tape, x, _| {
        let turned = tape.contiguous(&x[0].transpose(0, 1).unwrap()).unwrap();
        tape.mul(
            &turned.reshape(&[6, 2]).unwrap().slice(1, 1..2).unwrap(),
            &x[0].at(2).unwrap().reshape(&[1, 3]).unwrap(),
        )
        .unwrap()
    });
}

/// Of lengths 2, 0 and 4: the rest is 0, whatever it is, and so is a row that is masked whole.
#[test]
fn a_masked_softmax_sees_nothing_beyond_its_lengths() {
    for (name, device) in devices() {
        let mut x = counting(&[3, 5]);
        x[[0, 4]] = f32::NAN;
        x[[1, 0]] = f32::INFINITY;
        let x = Tensor::from_array(&device, x.view()).unwrap();
        let lengths = Tensor::from_array(&device, array![[2_u32], [0], [4]].view()).unwrap();
        let y = Tensor::<f32>::zeros(&device, &[3, 5]).unwrap();
        let mut tape = Tape::evaluating(&device).unwrap();
        let [x, target] = [&x, &y].map(|tensor| tape.input(tensor).unwrap());
        let lengths = tape.input(&lengths).unwrap();
        let out = tape.softmax(&x, 1, Some(&lengths)).unwrap();
        tape.plan().copy(&out, &target).unwrap();
        tape.evaluation().unwrap().run().unwrap();
        let y = y.read().unwrap();
        let row = |n: usize, count: i32| {
            let whole: f64 = (0..count).map(|i| (f64::from(i) / 8.0).exp()).sum();
            (0..5).for_each(|i| {
                let expected = if i < count { (f64::from(i) / 8.0).exp() / whole } else { 0.0 };
                let got = f64::from(y[[n, i as usize]]);
                assert!((got - expected).abs() < 1e-6, "{name} [{n}, {i}]: {got} is not {expected}");
            });
        };
        row(0, 2);
        row(1, 0);
        row(2, 4);
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let device = Device::cpu();
    let tensor = |shape: &[usize]| Tensor::<f32>::zeros(&device, shape).unwrap();
    let (a, b) = (tensor(&[2, 3]), tensor(&[4]));
    let index = Tensor::<u32>::zeros(&device, &[2]).unwrap();
    let mut tape = Tape::training(&device).unwrap();
    let [a, b] = [&a, &b].map(|tensor| tape.input(tensor).unwrap());
    let index = tape.input(&index).unwrap();
    let refused = |result: wgrnn::Result<Value>, part: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Shape { .. } | Error::Value { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    refused(tape.add(&a, &b), "broadcasts to [2, 3]");
    refused(tape.matmul(&a, &a), "[..., 3, N]");
    refused(tape.matmul(&a, &b), "right matrix");
    refused(tape.sum(&a, &[2]), "axes of [2, 3]");
    refused(tape.sum(&a, &[1, 1]), "none of them twice");
    refused(tape.mean(&a, &[5]), "axes of [2, 3]");
    refused(tape.softmax(&a, 2, None), "axes of [2, 3]");
    refused(tape.softmax(&a, 1, Some(&index)), "1 long along axis 1");
    refused(tape.softmax(&a, 1, Some(&b)), "indices");
    refused(tape.take(&a, 3, &index), "axes of [2, 3]");
    refused(tape.concat(&[&a, &b], 0), "but for axis 0");
    refused(tape.concat(&[], 0), "at least one");
    refused(tape.concat(&[&a], 2), "axes of [2, 3]");
    refused(tape.glu(&a, 1), "even");
    refused(tape.glu(&a, 7), "even");
    refused(tape.layer_norm(&a, Some(&b), None, 1e-5), "gain");
    refused(tape.layer_norm(&a, None, None, 0.0), "positive");
    refused(tape.activate(&a, Activation::Elu { alpha: f32::NAN.into() }), "finite");
    refused(tape.map([&a; 6], |[a, b, c, d, e, f]| a + b + c + d + e + f), "at most 5");
    refused(tape.map([&a], |[a]| a.coordinate(2)), "coordinate");
    refused(tape.map([&a], |[a]| (0..300).fold(a, |sum, i| sum + i as f32)), "too many");
    refused(a.slice(1, 2..5), "slice");
    refused(a.slice(4, 0..1), "axis");
    refused(a.transpose(0, 2), "axis");
    refused(a.insert_axis(4), "axis");
    refused(a.transpose(0, 1).unwrap().reshape(&[6]), "Tape::contiguous");
    let turned = a.transpose(0, 1).unwrap();
    refused(tape.plan().activate(&turned, Activation::Tanh), "contiguous");
}

/// Scores, weights and contexts by loops over numbers in float64.
#[test]
fn attention_is_what_the_papers_compute() {
    let (steps, batch, features, query_features, units) = (4, 3, 2, 5, 3);
    let mut random = Random::new(21);
    let mut array = |shape: &[usize]| ArrayD::from_shape_simple_fn(IxDyn(shape), || random.number());
    let (encoded, query) = (array(&[steps, batch, features]), array(&[batch, query_features]));
    let matrices = [[query_features, features], [units, query_features], [units, features], [1, units]];
    let [general, w, u, v] = matrices.map(|shape| array(&shape).into_dimensionality::<ndarray::Ix2>().unwrap());
    let product = |matrix: &ndarray::Array2<f32>, x: &[f64]| -> Vec<f64> {
        matrix.outer_iter().map(|row| row.iter().zip(x).map(|(a, b)| f64::from(*a) * b).sum()).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for (name, device) in devices() {
        let layer = |matrix: &ndarray::Array2<f32>| Linear::trainable(&device, matrix.view(), None).unwrap();
        let kinds = [
            Attention::General(layer(&general)),
            Attention::Additive { query: layer(&w), memory: layer(&u), score: layer(&v) },
        ];
        for (kind, attention) in kinds.iter().enumerate() {
            let [input, asked] = [&encoded, &query].map(|x| Tensor::from_array(&device, x.view()).unwrap());
            let lengths = Tensor::from_array(&device, ndarray::arr1(&LENGTHS).view()).unwrap();
            let context = Tensor::<f32>::zeros(&device, &[batch, features]).unwrap();
            let mut tape = Tape::evaluating(&device).unwrap();
            let [input, asked, target] = [&input, &asked, &context].map(|tensor| tape.input(tensor).unwrap());
            let lengths = tape.input(&lengths).unwrap();
            let memory = tape.memory(attention, &input, Some(&lengths)).unwrap();
            let (found, _) = memory.attend(&mut tape, &asked).unwrap();
            tape.plan().copy(&found, &target).unwrap();
            tape.evaluation().unwrap().run().unwrap();
            let got = context.read().unwrap();
            for n in 0..batch {
                let q: Vec<f64> = (0..query_features).map(|i| f64::from(query[[n, i]])).collect();
                let memory: Vec<Vec<f64>> = (0..LENGTHS[n] as usize)
                    .map(|s| (0..features).map(|i| f64::from(encoded[[s, n, i]])).collect())
                    .collect();
                let score = |m: &Vec<f64>| match kind {
                    0 => dot(&q, &product(&general, m)),
                    _ => {
                        let (q, m) = (product(&w, &q), product(&u, m));
                        let tanh: Vec<f64> = q.iter().zip(&m).map(|(q, m)| (q + m).tanh()).collect();
                        product(&v, &tanh)[0]
                    }
                };
                let weights: Vec<f64> = memory.iter().map(|m| score(m).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for i in 0..features {
                    let parts = weights.iter().zip(&memory).map(|(weight, m)| weight / sum * m[i]);
                    let (expected, got) = (parts.sum::<f64>(), f64::from(got[[n, i]]));
                    // Functions of WGSL of sums of a few numbers below 1.
                    assert!((got - expected).abs() < 2e-6, "{name} {kind} [{n}, {i}]: {got} is not {expected}");
                }
            }
        }
    }
}

#[test]
fn gradients_pass_through_attention() {
    check_gradients("attention", &[&[4, 3, 2], &[3, 2]], |tape, x, lengths| {
        let memory = tape.memory(&Attention::Dot, &x[0], Some(lengths)).unwrap();
        memory.attend(tape, &x[1]).unwrap().0
    });
    check_gradients("additive attention", &[&[4, 3, 2], &[3, 2]], |tape, x, lengths| {
        let mut random = Random::new(4);
        let mut layer = |shape| {
            let weight = ndarray::Array2::from_shape_simple_fn(shape, || random.number());
            Linear::trainable(tape.device(), weight.view(), None).unwrap()
        };
        let attention = Attention::Additive { query: layer((5, 2)), memory: layer((5, 2)), score: layer((1, 5)) };
        let memory = tape.memory(&attention, &x[0], Some(lengths)).unwrap();
        memory.attend(tape, &x[1]).unwrap().0
    });
}

/// Σ over the first axis, and x·|x|: written outside of the library.
struct Sum;

impl Differentiable for Sum {
    fn name(&self) -> &'static str {
        "own_sum"
    }

    fn forward(&self, plan: &mut PlanBuilder, inputs: &[Value]) -> wgrnn::Result<Value> {
        let squares = plan.map([&inputs[0]], |[x]| x * x.abs())?;
        plan.sum(&squares, &[0])
    }

    fn backward(&self, plan: &mut PlanBuilder, slopes: &mut LossSlopes<'_>) -> wgrnn::Result<()> {
        let (x, dy) = (slopes.inputs()[0].clone(), slopes.output_gradient().clone());
        // In two parts, the second of which lacks the axis that was summed.
        slopes.add(plan, 0, [&x, &dy], |[x, dy]| (2.0 * x.abs() - 1.0) * dy)?;
        slopes.add(plan, 0, [&dy], |[dy]| dy)
    }
}

#[test]
fn an_operation_of_ones_own_is_differentiated_as_it_says() {
    check_gradients("own", &[&[3, 4]], |tape, x, _| tape.apply(Sum, &[&x[0]]).unwrap());
}

/// y = x³ by kernels of one's own, forwards and backwards.
struct Cube;

static CUBE: OwnKernel = OwnKernel::new("cube", CUBE_SHADER, |call| {
    let (x, y) = (call.inputs[0], &mut call.outputs[0]);
    y.iter_mut().zip(x).for_each(|(y, x)| *y = x * x * x);
})
.reads(&["x"])
.writes(&["y"])
.params(&["count"])
.lanes(32);
const CUBE_SHADER: &str = "
@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < p.count) {
        y[id.x] = x[id.x] * x[id.x] * x[id.x];
    }
}";

static CUBE_SLOPE: OwnKernel = OwnKernel::new("slope of a cube", CUBE_SLOPE_SHADER, |call| {
    let (x, dy) = (call.inputs[0], call.inputs[1]);
    call.outputs[0].iter_mut().zip(x.iter().zip(dy)).for_each(|(dx, (x, dy))| *dx = 3.0 * x * x * dy);
})
.reads(&["x", "dy"])
.writes(&["dx"])
.params(&["count"]);
const CUBE_SLOPE_SHADER: &str = "
@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < p.count) {
        dx[id.x] = 3.0 * x[id.x] * x[id.x] * dy[id.x];
    }
}";

impl Differentiable for Cube {
    fn name(&self) -> &'static str {
        "cube"
    }

    fn forward(&self, plan: &mut PlanBuilder, inputs: &[Value]) -> wgrnn::Result<Value> {
        let count = inputs[0].shape().iter().product::<usize>();
        let shape = inputs[0].shape().to_vec();
        Ok(plan.own_kernel(&CUBE, &[&inputs[0]], &[&shape], &[count as u32], CUBE.groups_of(count))?.remove(0))
    }

    fn backward(&self, plan: &mut PlanBuilder, slopes: &mut LossSlopes<'_>) -> wgrnn::Result<()> {
        let (x, dy) = (slopes.inputs()[0].clone(), slopes.output_gradient().clone());
        let count = x.shape().iter().product::<usize>();
        let shape = x.shape().to_vec();
        let groups = CUBE_SLOPE.groups_of(count);
        let dx = plan.own_kernel(&CUBE_SLOPE, &[&x, &dy], &[&shape], &[count as u32], groups)?;
        slopes.add(plan, 0, [&dx[0]], |[dx]| dx)
    }
}

#[test]
fn a_kernel_of_ones_own_has_gradients_too() {
    check_gradients("cube", &[&[5, 9]], |tape, x, _| tape.apply(Cube, &[&x[0]]).unwrap());
    // A view is copied first.
    // Its memory was that of a longer value before.
    check_gradients("cube of a short value", &[&[40], &[7]], |tape, x, _| {
        let long = tape.map([&x[0]], |[x]| x + x.coordinate(0)).unwrap();
        let sum = tape.sum(&long, &[0]).unwrap().reshape(&[1]).unwrap();
        let short = tape.map([&x[1]], |[x]| x * 2.0 + x.coordinate(0) * 0.0).unwrap();
        let cubed = tape.apply(Cube, &[&short]).unwrap();
        let rest = tape.mul(&x[0].slice(0, 0..7).unwrap(), &cubed).unwrap();
        tape.map([&rest, &sum], |[rest, sum]| rest + sum * 0.0).unwrap()
    });
    check_gradients("cube of a view", &[&[5, 9]], |tape, x, _| {
        tape.apply(Cube, &[&x[0].slice(1, 2..7).unwrap().transpose(0, 1).unwrap()]).unwrap()
    });
}

#[test]
fn kernels_of_ones_own_are_refused_by_name() {
    static NAMELESS: OwnKernel = OwnKernel::new("nameless", CUBE_SHADER, |_| {}).reads(&["2x"]).writes(&["y"]);
    static TWICE: OwnKernel = OwnKernel::new("twice", CUBE_SHADER, |_| {}).reads(&["y"]).writes(&["y"]);
    static TAKEN: OwnKernel = OwnKernel::new("taken", CUBE_SHADER, |_| {}).reads(&["p"]).writes(&["y"]);
    static MANY: OwnKernel = OwnKernel::new("many", CUBE_SHADER, |_| {}).reads(&["a"; 7]).writes(&["y"]);
    static COUNTED: OwnKernel =
        OwnKernel::new("counted", CUBE_SHADER, |_| {}).reads(&["x"]).reads_indices(&["at"]).writes(&["y"]);
    static RESERVED: OwnKernel =
        OwnKernel::new("reserved", CUBE_SHADER, |_| {}).reads(&["x"]).writes(&["y"]).params(&["words_0"]);
    static NOTHING: OwnKernel = OwnKernel::new("nothing", CUBE_SHADER, |_| {}).reads(&["x"]);
    static WRONG: OwnKernel = OwnKernel::new("wrong", "fn main( {", |_| {}).reads(&["x"]).writes(&["y"]);
    for (name, device) in devices() {
        let x = Tensor::<f32>::zeros(&device, &[4]).unwrap();
        let index = Tensor::<u32>::zeros(&device, &[4]).unwrap();
        let mut plan = PlanBuilder::new(&device);
        let (x, index) = (plan.tensor(&x).unwrap(), plan.tensor(&index).unwrap());
        let mut refused =
            |kernel: &'static OwnKernel, x: &[&Value], shapes: &[&[usize]], params: &[u32], groups, part: &str| {
                let error = plan.own_kernel(kernel, x, shapes, params, groups).unwrap_err().to_string();
                assert!(error.contains(part), "{name}: {error} does not name {part}");
            };
        let (shape, one): (&[&[usize]], _) = (&[&[4]], [1, 1, 1]);
        refused(&NAMELESS, &[&x], shape, &[], one, "'2x'");
        refused(&TWICE, &[&x], shape, &[], one, "'y'");
        refused(&TAKEN, &[&x], shape, &[], one, "'p'");
        refused(&MANY, &[&x; 7], shape, &[], one, "values read of the kernel 'many'");
        refused(&NOTHING, &[&x], &[], &[], one, "values written of the kernel 'nothing'");
        refused(&CUBE, &[], shape, &[4], one, "inputs of the kernel 'cube'");
        refused(&CUBE, &[&x], &[], &[4], one, "shapes of the kernel 'cube'");
        refused(&CUBE, &[&x], shape, &[], one, "parameters of the kernel 'cube'");
        refused(&CUBE, &[&x], shape, &[4], [1, 0, 1], "workgroups of the kernel 'cube'");
        refused(&CUBE, &[&index], shape, &[4], one, "numbers (f32)");
        refused(&CUBE, &[&x], &[&[0]], &[4], one, "y");
        refused(&COUNTED, &[&x, &index.slice(0, 1..3).unwrap()], shape, &[], one, "a tensor of their own");
        refused(&RESERVED, &[&x], shape, &[4], one, "'words_0'");
        if device.is_cpu() {
            continue;
        }
        plan.own_kernel(&WRONG, &[&x], shape, &[], one).unwrap();
        assert!(matches!(plan.build(), Err(Error::Gpu { .. })), "{name}");
    }
}
