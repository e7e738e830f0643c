//! Values whose last use is over give their memory to others, and results stay right.

use crate::common::devices;
use crate::tapes::options;
use ndarray::{Array1, ArrayD};
use wgrnn::plan::Value;
use wgrnn::{Activation, Parameters, PlanBuilder, Tape, Tensor, Trainer};

const COUNT: usize = 1000;
const CHAIN: usize = 12;

fn numbers() -> ArrayD<f32> {
    Array1::from_shape_fn(COUNT, |i| i as f32 / 500.0 - 1.0).into_dyn()
}

/// How many arrays of the chain's size a plan's own memory holds, however small its other buffers are.
fn arrays(bytes: u64) -> u64 {
    bytes / (4 * COUNT as u64)
}

#[test]
fn a_chain_of_values_needs_memory_for_two() {
    for (name, device) in devices() {
        let x = Tensor::from_array(&device, numbers().view()).unwrap();
        let y = Tensor::<f32>::zeros(&device, &[COUNT]).unwrap();
        let mut plan = PlanBuilder::new(&device);
        let (mut value, target) = (plan.tensor(&x).unwrap(), plan.tensor(&y).unwrap());
        for k in 0..CHAIN {
            // What depends on where an element lies is not computed where it is read.
            value = plan.map([&value], |[x]| x * 1.25 + x.coordinate(0) * 0.0 + k as f32).unwrap();
        }
        plan.copy(&value, &target).unwrap();
        let program = plan.build().unwrap();
        assert_eq!(arrays(program.plan().workspace_bytes()), 2, "{name}");
        let expected = numbers().mapv(|x| (0..CHAIN).fold(x, |x, k| x * 1.25 + k as f32));
        // Twice: a second run begins with what the first one left.
        for _ in 0..2 {
            program.run().unwrap();
            let near = y.read().unwrap().iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5 * b.abs());
            assert!(near, "{name}");
        }
    }
}

/// A value that is read again later keeps its memory.
#[test]
fn a_value_lies_alone_until_its_last_reader() {
    for (name, device) in devices() {
        let x = Tensor::from_array(&device, numbers().view()).unwrap();
        let y = Tensor::<f32>::zeros(&device, &[COUNT]).unwrap();
        let mut plan = PlanBuilder::new(&device);
        let (x, target) = (plan.tensor(&x).unwrap(), plan.tensor(&y).unwrap());
        let values: Vec<Value> = (0..4).map(|k| plan.map([&x], |[x]| x + (1 << k) as f32).unwrap()).collect();
        let [a, b, c, d] = &values[..] else { panic!("four values") };
        let first = plan.map([a, b], |[a, b]| a - b).unwrap();
        let second = plan.map([&first, c], |[first, c]| first * c).unwrap();
        let last = plan.map([&second, d, a], |[second, d, a]| second + d * a).unwrap();
        plan.copy(&last, &target).unwrap();
        plan.build().unwrap().run().unwrap();
        let expected = numbers().mapv(|x| (1.0 - 2.0) * (x + 4.0) + (x + 8.0) * (x + 1.0));
        let near = y.read().unwrap().iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(near, "{name}");
    }
}

#[test]
fn a_tape_keeps_values_for_its_backward_pass_and_gradients_for_two() {
    for (name, device) in devices() {
        let parameters = Parameters::new(&device, [("x".to_owned(), numbers().view())]).unwrap();
        let mut tape = Tape::training(&device).unwrap();
        let mut value = tape.parameter(&parameters, "x").unwrap();
        for _ in 0..CHAIN {
            value = tape.activate(&value, Activation::Tanh).unwrap();
        }
        tape.loss(&value).unwrap();
        let mut trainer = Trainer::new(tape, options()).unwrap();
        // x, each result, the loss's gradient, and two that take turns.
        let most = 1 + CHAIN as u64 + 3;
        let found = arrays(trainer.plan().workspace_bytes());
        assert!(found <= most, "{name}: {found} arrays, {most} are enough");
        (0..2).for_each(|_| trainer.step().unwrap());
        let (_, gradient) = parameters.gradients().unwrap().swap_remove(0);
        for (got, x) in gradient.iter().zip(numbers()) {
            let (mut y, mut slope) = (f64::from(x), 1.0 / COUNT as f64);
            for _ in 0..CHAIN {
                y = y.tanh();
                slope *= 1.0 - y * y;
            }
            assert!((f64::from(*got) - slope).abs() < 1e-8, "{name}: {got} is not {slope}");
        }
    }
}
