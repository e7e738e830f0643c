//! Every operation on values against PyTorch: its result, and the gradients of its operands, for random shapes.

use crate::common::devices;
use crate::pytorch_training::Fixture;
use ndarray::{ArrayD, ArrayView1, ArrayViewD, Dimension};
use safetensors::SafeTensors;
use serde::Deserialize;
use std::collections::HashSet;
use wgrnn::plan::Value;
use wgrnn::{
    Activation, Conv1d, Device, LearningRate, Optimizer, Parameters, Result, Tape, Tensor, Trainer, TrainerOptions,
};

/// A case of `scripts/make_pytorch_operations.py`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    op: String,
    inputs: usize,
    #[serde(default)]
    axis: usize,
    #[serde(default)]
    axes: Vec<usize>,
    #[serde(default)]
    constants: Vec<f32>,
    #[serde(default)]
    range: Vec<usize>,
    #[serde(default)]
    shape: Vec<usize>,
    #[serde(default)]
    order: Vec<bool>,
    #[serde(default)]
    window: Vec<usize>,
}

impl Case {
    fn activation(&self) -> Option<Activation> {
        let constant = |k: usize| self.constants[k].into();
        Some(match &*self.op {
            "tanh" => Activation::Tanh,
            "relu" => Activation::Relu,
            "sigmoid" => Activation::Sigmoid,
            "affine" => Activation::Affine { alpha: constant(0), beta: constant(1) },
            "leaky_relu" => Activation::LeakyRelu { alpha: constant(0) },
            "thresholded_relu" => Activation::ThresholdedRelu { alpha: constant(0) },
            "scaled_tanh" => Activation::ScaledTanh { alpha: constant(0), beta: constant(1) },
            "hard_sigmoid" => Activation::HardSigmoid { alpha: constant(0), beta: constant(1) },
            "elu" => Activation::Elu { alpha: constant(0) },
            "softsign" => Activation::Softsign,
            "softplus" => Activation::Softplus,
            _ => return None,
        })
    }

    fn apply(&self, tape: &mut Tape, x: &[Value], lengths: Option<&Value>) -> Result<Value> {
        if let Some(activation) = self.activation() {
            return tape.activate(&x[0], activation);
        }
        let whether = |value: &Value, transposed: bool| {
            let axes = value.shape().len();
            if transposed { value.transpose(axes - 2, axes - 1) } else { Ok(value.clone()) }
        };
        match (&*self.op, lengths) {
            ("add", _) => tape.add(&x[0], &x[1]),
            ("sub", _) => tape.sub(&x[0], &x[1]),
            ("mul", _) => tape.mul(&x[0], &x[1]),
            ("div", _) => tape.div(&x[0], &x[1]),
            ("max", _) => tape.map([&x[0], &x[1]], |[a, b]| a.max(b)),
            ("min", _) => tape.map([&x[0], &x[1]], |[a, b]| a.min(b)),
            ("scale", _) => tape.scale(&x[0], self.constants[0]),
            ("exp", _) => tape.map([&x[0]], |[x]| x.exp()),
            ("ln", _) => tape.map([&x[0]], |[x]| x.ln()),
            ("sqrt", _) => tape.map([&x[0]], |[x]| x.sqrt()),
            ("abs", _) => tape.map([&x[0]], |[x]| x.abs()),
            ("neg", _) => tape.map([&x[0]], |[x]| -x),
            ("glu", _) => tape.glu(&x[0], self.axis),
            ("sum", _) => tape.sum(&x[0], &self.axes),
            ("mean", _) => tape.mean(&x[0], &self.axes),
            ("largest", _) => tape.max(&x[0], &self.axes),
            ("sum_valid", Some(lengths)) => tape.sum_valid(&x[0], self.axis, lengths),
            ("mean_valid", Some(lengths)) => tape.mean_valid(&x[0], self.axis, lengths),
            ("max_valid", Some(lengths)) => tape.max_valid(&x[0], self.axis, lengths),
            ("take", Some(indices)) => tape.take(&x[0], self.axis, indices),
            ("softmax", lengths) => tape.softmax(&x[0], self.axis, lengths),
            ("log_softmax", lengths) => tape.log_softmax(&x[0], self.axis, lengths),
            ("concat", _) => tape.concat(&x.iter().collect::<Vec<_>>(), self.axis),
            ("slice", _) => x[0].slice(self.axis, self.range[0]..self.range[1]),
            ("transpose", _) => x[0].transpose(self.axes[0], self.axes[1]),
            ("reshape", _) => x[0].reshape(&self.shape),
            ("reshape_transposed", _) => tape.contiguous(&x[0].transpose(0, 2)?)?.reshape(&self.shape),
            ("matmul", _) => tape.matmul(&whether(&x[0], self.order[0])?, &whether(&x[1], self.order[1])?),
            ("layer_norm", _) => {
                let gain = self.order[0].then(|| &x[1]);
                let bias = self.order[1].then(|| &x[x.len() - 1]);
                tape.layer_norm(&x[0], gain, bias, self.constants[0])
            }
            ("conv1d", _) => {
                let &[stride, dilation, groups, before, after] = &self.window[..] else { unreachable!() };
                let options = Conv1d::default().stride(stride).dilation(dilation).groups(groups);
                tape.conv1d(&x[0], &x[1], Some(&x[2]), options.padding(before, after))
            }
            ("pad", _) => tape.pad(&x[0], self.axis, self.range[0], self.range[1]),
            (other, _) => panic!("{other} is no operation that this test knows"),
        }
    }
}

/// Its lengths in the shape in which they broadcast, where it has some.
fn lengths(device: &Device, fixture: &Fixture, name: &str) -> Option<Tensor<u32>> {
    let name = format!("{name}/lengths");
    let file = SafeTensors::deserialize(&fixture.bytes).unwrap();
    let shape = file.tensor(&name).ok()?.shape().to_vec();
    let words: ArrayD<u32> = fixture.words(&name).into_dyn().into_shape_with_order(shape).unwrap();
    Some(Tensor::from_array(device, words.view()).unwrap())
}

/// What differs by more than this part of the largest number expected; infinities have to be equal.
fn compare(name: &str, got: ArrayViewD<'_, f32>, expected: ArrayViewD<'_, f32>, tolerance: f32) -> Option<String> {
    assert_eq!(got.shape(), expected.shape(), "{name}");
    let finite = expected.iter().filter(|x| x.is_finite());
    let allowed = tolerance * finite.fold(1.0_f32, |largest, x| largest.max(x.abs()));
    let near = |got: f32, expected: f32| got == expected || (got - expected).abs() <= allowed;
    let pairs = got.indexed_iter().zip(&expected);
    let wrong: Vec<_> = pairs.filter(|((_, got), expected)| !near(**got, **expected)).collect();
    let ((at, found), wanted) = wrong.first()?;
    let at = at.slice();
    Some(format!("{name}: {} of {}, the first at {at:?}: {found} is not {wanted}", wrong.len(), got.len()))
}

#[test]
fn operations_and_their_gradients_are_pytorchs_for_random_shapes() {
    let fixture = Fixture::read("pytorch_operations.safetensors");
    let cases: Vec<Case> = fixture.list("cases");
    assert_eq!(cases.len(), COUNT);
    assert_eq!(cases.iter().map(|case| &case.op).collect::<HashSet<_>>().len(), KINDS);
    for (device_name, device) in devices() {
        let mut operands = Vec::new();
        for case in &cases {
            operands.extend((0..case.inputs).map(|k| format!("{}/x{k}", case.name)));
        }
        let arrays: Vec<_> = operands.iter().map(|name| (name.clone(), fixture.array(name))).collect();
        let parameters =
            Parameters::new(&device, arrays.iter().map(|(name, array)| (name.clone(), array.view()))).unwrap();
        let mut tape = Tape::training(&device).unwrap();
        let mut results = Vec::new();
        for case in &cases {
            let name = &case.name;
            let x: Vec<_> =
                (0..case.inputs).map(|k| tape.parameter(&parameters, &format!("{name}/x{k}")).unwrap()).collect();
            let lengths = lengths(&device, &fixture, name).map(|lengths| tape.input(&lengths).unwrap());
            let y = case.apply(&mut tape, &x, lengths.as_ref()).and_then(|y| tape.contiguous(&y));
            let y = y.unwrap_or_else(|error| panic!("{name}: {error}"));
            let dy = Tensor::from_array(&device, fixture.array(&format!("{name}/dy")).view()).unwrap();
            let dy = tape.input(&dy).unwrap();
            tape.give_gradient(&y, &dy).unwrap();
            let result = Tensor::<f32>::zeros(&device, y.shape()).unwrap();
            let target = tape.input(&result).unwrap();
            tape.plan().copy(&y, &target).unwrap();
            results.push(result);
        }
        let options = TrainerOptions::new(Optimizer::sgd(0.0)).learning_rate(LearningRate::Constant(0.0));
        let mut trainer = Trainer::new(tape, options).unwrap();
        trainer.step().unwrap();
        trainer.progress().unwrap();

        let mut wrong = Vec::new();
        for (case, result) in cases.iter().zip(&results) {
            let name = format!("{}/y", case.name);
            // Sums of up to 700 terms, and functions of WGSL that are good to some ulp of their argument.
            wrong.extend(compare(&name, result.read().unwrap().view(), fixture.array(&name).view(), 2e-6));
        }
        for (name, gradient) in parameters.gradients().unwrap() {
            let expected = fixture.array(&name.replace("/x", "/dx"));
            // A product of two such results, summed along the axes that were broadcast.
            wrong.extend(compare(&format!("gradient of {name}"), gradient.view(), expected.view(), 4e-6));
        }
        assert!(wrong.is_empty(), "{device_name}: {}", wrong.join("\n"));
    }
}

/// What the cases compare has to be able to fail.
#[test]
fn a_comparison_of_operations_sees_a_wrong_number_and_a_missing_infinity() {
    let compared = |got: [f32; 2], expected: [f32; 2]| {
        let [got, expected] = [&got, &expected].map(|numbers| ArrayView1::from(numbers).into_dyn());
        compare("y", got, expected, 1e-6)
    };
    assert_eq!(compared([1.0, f32::NEG_INFINITY], [1.0, f32::NEG_INFINITY]), None);
    assert!(compared([1.0, -1e30], [1.0, f32::NEG_INFINITY]).unwrap().contains("1 of 2, the first at [1]"));
    assert!(compared([1.00001, f32::NAN], [1.0, 2.0]).unwrap().contains("2 of 2, the first at [0]"));
}

const COUNT: usize = 149;
/// Kinds of operations among them.
const KINDS: usize = 42;
