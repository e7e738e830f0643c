//! Chains of element-wise operations become one kernel, and compute what each of them would.

use crate::common::{Random, devices};
use ndarray::{ArrayD, Axis, IxDyn, array};
use wgrnn::kernels::Kernel;
use wgrnn::plan::Value;
use wgrnn::{Device, LearningRate, Optimizer, Parameters, PlanBuilder, Program, Tape, Tensor, Trainer, TrainerOptions};

fn kernels(program: &Program) -> Vec<Kernel> {
    let plan = program.plan();
    plan.dispatches().map(|dispatch| plan.variants()[dispatch.variant].kernel()).collect()
}

fn input(device: &Device, plan: &mut PlanBuilder, values: &ArrayD<f32>) -> (Tensor, Value) {
    let tensor = Tensor::from_array(device, values.view()).unwrap();
    let value = plan.tensor(&tensor).unwrap();
    (tensor, value)
}

#[test]
fn a_chain_is_one_kernel() {
    for (name, device) in devices() {
        let mut plan = PlanBuilder::new(&device);
        let (x, bias) = (array![[1.0_f32, -2.0], [0.5, 3.0]].into_dyn(), array![0.25_f32, -0.5].into_dyn());
        let (_, a) = input(&device, &mut plan, &x);
        let (_, b) = input(&device, &mut plan, &bias);
        let (out, target) = input(&device, &mut plan, &ArrayD::zeros(IxDyn(&[2])));
        let sum = plan.map([&a, &b], |[a, b]| a + b).unwrap();
        let bent = plan.map([&sum], |[x]| x.tanh()).unwrap();
        let doubled = plan.map([&bent], |[x]| x * 2.0).unwrap();
        let rows = plan.sum(&doubled, &[1]).unwrap();
        plan.copy(&rows, &target).unwrap();
        let program = plan.build().unwrap();
        assert_eq!(kernels(&program), [Kernel::Fold, Kernel::Gather], "{name}");
        // Its own memory is the sums, and words here and there.
        assert!(program.plan().workspace_bytes() < 200, "{name}: {}", program.plan().workspace_bytes());
        program.run().unwrap();
        let expected = (&x + &bias).mapv(|x| 2.0 * x.tanh()).sum_axis(Axis(1));
        let difference = (out.read().unwrap() - expected).mapv(f32::abs).sum();
        assert!(difference < 1e-5, "{name}: {difference}");
    }
}

/// What is read by something else, or by many, is written.
#[test]
fn what_others_read_is_kept() {
    for (name, device) in devices() {
        let mut plan = PlanBuilder::new(&device);
        let x = array![1.0_f32, -2.0, 0.5].into_dyn();
        let (_, a) = input(&device, &mut plan, &x);
        let (first, to_first) = input(&device, &mut plan, &ArrayD::zeros(IxDyn(&[3])));
        let (second, to_second) = input(&device, &mut plan, &ArrayD::zeros(IxDyn(&[3])));
        let doubled = plan.map([&a], |[x]| x * 2.0).unwrap();
        let more = plan.map([&doubled], |[x]| x + 1.0).unwrap();
        plan.copy(&doubled, &to_first).unwrap();
        plan.copy(&more, &to_second).unwrap();
        let program = plan.build().unwrap();
        program.run().unwrap();
        assert_eq!(first.read().unwrap(), &x * 2.0, "{name}");
        assert_eq!(second.read().unwrap(), &x * 2.0 + 1.0, "{name}");
    }
}

/// The input has other numbers when the result is read: it is computed before.
#[test]
fn what_is_written_over_in_between_was_read_before() {
    for (name, device) in devices() {
        let mut plan = PlanBuilder::new(&device);
        let x = array![1.0_f32, -2.0].into_dyn();
        let (tensor, a) = input(&device, &mut plan, &x);
        let (_, other) = input(&device, &mut plan, &array![10.0_f32, 20.0].into_dyn());
        let (out, target) = input(&device, &mut plan, &ArrayD::zeros(IxDyn(&[2])));
        let doubled = plan.map([&a], |[x]| x * 2.0).unwrap();
        plan.copy(&other, &a).unwrap();
        let sum = plan.map([&doubled, &a], |[doubled, a]| doubled + a).unwrap();
        plan.copy(&sum, &target).unwrap();
        let program = plan.build().unwrap();
        program.run().unwrap();
        assert_eq!(out.read().unwrap(), array![12.0, 16.0].into_dyn(), "{name}");
        program.run().unwrap();
        assert_eq!(out.read().unwrap(), array![30.0, 60.0].into_dyn(), "{name}, again");
        tensor.write(x.view()).unwrap();
        program.run().unwrap();
        assert_eq!(out.read().unwrap(), array![12.0, 16.0].into_dyn(), "{name}, written anew");
    }
}

/// Values of a random graph, as the plan and as ndarray have them.
struct Graph<'a> {
    plan: &'a mut PlanBuilder,
    nodes: Vec<(Value, ArrayD<f32>)>,
    random: Random,
}

impl Graph<'_> {
    fn below(&mut self, end: usize) -> usize {
        ((self.random.number() + 1.0) / 2.0 * end as f32).min(end as f32 - 1.0) as usize
    }

    /// A node, rather a late one.
    fn node(&mut self) -> (Value, ArrayD<f32>) {
        let recent = self.nodes.len().min(4);
        let any =
            if self.below(2) == 0 { self.below(self.nodes.len()) } else { self.nodes.len() - 1 - self.below(recent) };
        self.nodes[any].clone()
    }

    fn grow(&mut self) {
        let (x, array) = self.node();
        let axes = array.ndim();
        let new = match self.below(8) {
            0 | 1 => (self.plan.map([&x], |[x]| x.tanh() * 1.5).unwrap(), array.mapv(|x| x.tanh() * 1.5)),
            2 => (self.plan.map([&x], |[x]| (x * x + 1.0).sqrt()).unwrap(), array.mapv(|x| (x * x + 1.0).sqrt())),
            3 | 4 => {
                let (y, other) = self.node();
                let Ok(sum) = self.plan.map([&x, &y], |[x, y]| x - y * 0.5) else { return };
                let shape = sum.shape().to_vec();
                let [left, right] = [&array, &other].map(|array| array.broadcast(IxDyn(&shape)).unwrap().to_owned());
                (sum, left - right * 0.5)
            }
            5 if axes > 1 => {
                let mut turned = array.clone();
                turned.swap_axes(0, axes - 1);
                (x.transpose(0, axes - 1).unwrap(), turned)
            }
            6 if axes > 0 && array.shape()[0] > 2 => {
                (x.slice(0, 1..3).unwrap(), array.slice_axis(Axis(0), (1..3).into()).to_owned())
            }
            7 if axes > 1 => {
                let axis = self.below(axes);
                let sum = self.plan.mean(&x, &[axis]).unwrap().insert_axis(axis).unwrap();
                (sum, array.mean_axis(Axis(axis)).unwrap().insert_axis(Axis(axis)))
            }
            _ => return,
        };
        self.nodes.push(new);
    }
}

#[test]
fn random_graphs_compute_what_each_operation_would() {
    let mut fewer = 0;
    for (name, device) in devices() {
        for seed in 0..if device.is_cpu() { 60 } else { 12 } {
            let mut plan = PlanBuilder::new(&device);
            let mut random = Random::new(seed);
            let mut nodes = Vec::new();
            let mut tensors = Vec::new();
            for shape in [&[4, 6][..], &[6], &[4, 1], &[6, 4]] {
                let array = ArrayD::from_shape_simple_fn(IxDyn(shape), || random.number());
                let (tensor, value) = input(&device, &mut plan, &array);
                tensors.push(tensor);
                nodes.push((value, array));
            }
            let mut graph = Graph { plan: &mut plan, nodes, random };
            (0..25).for_each(|_| graph.grow());
            let mut outputs = Vec::new();
            for at in 4..graph.nodes.len() {
                if graph.below(4) == 0 || at + 1 == graph.nodes.len() {
                    let (value, array) = graph.nodes[at].clone();
                    let (tensor, target) = input(&device, graph.plan, &ArrayD::zeros(array.shape()));
                    graph.plan.copy(&value, &target).unwrap();
                    outputs.push((tensor, array));
                }
            }
            let before = plan.plan().dispatches().count();
            let program = plan.build().unwrap();
            fewer += before - program.plan().dispatches().count();
            (0..2).for_each(|_| program.run().unwrap());
            for (tensor, expected) in outputs {
                let difference = (tensor.read().unwrap() - expected).mapv(f32::abs);
                // Some twenty roundings of numbers of a few units, whose errors the functions do not enlarge.
                assert!(difference.iter().all(|&d| d < 1e-4), "{name}, seed {seed}: {difference}");
            }
        }
    }
    assert!(fewer > 100, "only {fewer} kernels were saved");
}

/// Forward, the gradients of inner values and those of the parameters: fewer kernels than operations, and the same slopes.
#[test]
fn a_tape_for_training_is_fused_too() {
    for (name, device) in devices() {
        let x = array![[0.5_f32, -1.0, 2.0], [0.1, 0.2, -0.3]].into_dyn();
        let parameters = Parameters::new(&device, [("x".to_owned(), x.view())]).unwrap();
        let mut tape = Tape::training(&device).unwrap();
        let value = tape.parameter(&parameters, "x").unwrap();
        let mut y = value;
        for _ in 0..4 {
            let scaled = tape.scale(&y, 0.5).unwrap();
            y = tape.activate(&scaled, wgrnn::Activation::Tanh).unwrap();
        }
        tape.loss(&y).unwrap();
        let before = tape.plan().plan().dispatches().count();
        let options = TrainerOptions::new(Optimizer::sgd(0.0)).learning_rate(LearningRate::Constant(0.0));
        let mut trainer = Trainer::new(tape, options).unwrap();
        trainer.step().unwrap();
        let gradient = parameters.gradients().unwrap().remove(0).1;
        let expected = x.mapv(|x| {
            let (mut y, mut slope) = (f64::from(x), 1.0 / 6.0);
            for _ in 0..4 {
                y = (0.5 * y).tanh();
                slope *= 0.5 * (1.0 - y * y);
            }
            slope
        });
        for (at, &expected) in expected.indexed_iter() {
            let got = f64::from(gradient[&at]);
            assert!((got - expected).abs() < 1e-6 * expected.abs() + 1e-7, "{name}: {got} is not {expected}");
        }
        assert!(before >= 8, "{name}: {before}");
        let plan = trainer.plan();
        let maps = plan.dispatches().filter(|dispatch| plan.variants()[dispatch.variant].kernel() == Kernel::Map);
        // Eight operations forwards and eight backwards.
        assert!(maps.count() <= 10, "{name}");
    }
}
