//! Forward and backward pass of whole layers, and a training step of a character model, on the adapter and on the CPU
//! device.
//!
//! ```sh
//! cargo bench --bench training
//! cargo bench --bench training -- charlm
//! ```

mod common;

use criterion::Throughput;
use ndarray::{Array2, Array3};
use std::time::SystemTime;
use wgrnn::check::Comparison;
use wgrnn::{
    Cell, Class, CtcOptions, CtcTargets, Device, Linear, Model, ModelConfig, Optimizer, Rnn, RnnCall, RnnConfig,
    RnnTraining, RnnWeights, SessionOptions, Tape, Targets, Tensor, Trainer, TrainerOptions,
};

/// A GPU in software would take many seconds for more than this.
const SOFTWARE_FLOP: u64 = 6_000_000_000;

fn main() {
    let start = SystemTime::now();
    let devices = common::devices();
    let software = devices[0].1.report().is_some_and(|report| report.class == Class::Software);
    let mut criterion = common::criterion();
    let mut lines = vec![ctc(&mut criterion, &devices)];
    for shape in common::layers() {
        let flop: u64 = training(&Device::cpu(), &shape).1.plans().iter().map(|plan| plan.flop()).sum();
        if software && flop > SOFTWARE_FLOP {
            println!("{}: left out, {:.1} GFLOP are too many for a GPU in software", shape.id(), flop as f64 / 1e9);
            continue;
        }
        let trainings = devices.each_ref().map(|(name, device)| (*name, device, training(device, &shape)));
        let kept = trainings[0].2.1.reserve_bytes() as f64 / f64::from(1 << 20);
        println!("{}: {kept:.1} MiB kept for the backward pass", shape.id());
        agree(&trainings[0].2, &trainings[1].2, &shape);

        let group_name = format!("{} forward and backward", shape.id());
        let mut group = criterion.benchmark_group(&group_name);
        group.throughput(Throughput::Elements(flop));
        for (name, device, (_, training)) in &trainings {
            group.bench_function(*name, |bencher| {
                bencher.iter(|| {
                    training.forward().expect("the layer runs");
                    training.backward().expect("the layer runs");
                    device.wait().expect("the device is there");
                });
            });
        }
        group.finish();
        lines.push((group_name, flop));
    }
    let optimizers = [("Adam", Optimizer::ADAM), ("RMSprop", Optimizer::rms_prop(0.99, 1e-8, 0.0))];
    lines.extend(optimizers.map(|optimizer| training_step(&mut criterion, &devices, optimizer)));
    criterion.final_summary();
    common::print_table("shape", start, &lines);
}

fn training(device: &Device, shape: &common::shapes::Shape) -> (Rnn, RnnTraining) {
    let weights = RnnWeights::init(&shape.config(), 0).expect("the configuration is right");
    let rnn = Rnn::trainable(device, &shape.config(), &weights).expect("the weights fit");
    let call = RnnCall::default();
    let options = SessionOptions::new(shape.steps, shape.batch).call(call);
    let training = rnn.training(options, false).expect("the shape fits");
    training.input().write(numbers(shape, shape.config().input_size()).view()).expect("the input fits");
    let gradient = numbers(shape, shape.config().output_size());
    training.output_gradient().write(gradient.view()).expect("the gradient fits");
    (rnn, training)
}

fn numbers(shape: &common::shapes::Shape, size: usize) -> Array3<f32> {
    Array3::from_shape_fn((shape.steps, shape.batch, size), |(t, n, i)| {
        ((t * 31 + n * 17 + i * 7) % 101) as f32 / 50.5 - 1.0
    })
}

/// A wrong gradient has no speed: the two devices agree before either is timed.
fn agree(gpu: &(Rnn, RnnTraining), cpu: &(Rnn, RnnTraining), shape: &common::shapes::Shape) {
    let gradients = |(rnn, training): &(Rnn, RnnTraining)| {
        training.forward().expect("the layer runs");
        training.backward().expect("the layer runs");
        rnn.parameters().map(|parameters| parameters.gradients().expect("they can be read")).unwrap_or_default()
    };
    let [got, expected] = [gpu, cpu].map(gradients);
    // A recurrence through layer norms is not contracting: a rounding grows with every step. How far one of the input moves the
    // gradients says by how much.
    let input = numbers(shape, shape.config().input_size());
    let mut sign = 1.0;
    let nudged = input.mapv(|x| {
        sign = -sign;
        x * (1.0 + sign * f32::EPSILON)
    });
    cpu.1.input().write(nudged.view()).expect("the input fits");
    let moved = gradients(cpu);
    cpu.1.input().write(input.view()).expect("the input fits");
    for (((name, got), (_, expected)), (_, moved)) in got.iter().zip(&expected).zip(&moved) {
        let largest = expected.iter().fold(1.0_f32, |largest, x| largest.max(x.abs()));
        let amplified = expected.iter().zip(moved).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
        // Sums over all rows; and the roundings of sums of hundreds of terms in each step, which are several of one.
        let tolerance = 1e-4 * f64::from(largest) + 16.0 * f64::from(amplified);
        let comparison = Comparison::new(name, got.view(), expected.mapv(f64::from).view(), tolerance);
        let comparison = comparison.expect("both have one shape");
        assert!(comparison.passed(), "{comparison}; a rounding of the input moves it by {amplified:e}");
    }
}

/// Embedding, LSTM, head, loss, gradients, the optimiser: 2,048 characters a step.
fn training_step(
    criterion: &mut criterion::Criterion,
    devices: &[(&'static str, Device); 2],
    (optimizer_name, optimizer): (&str, Optimizer),
) -> (String, u64) {
    let (symbols, steps, batch) = (65, 64, 32);
    let config = ModelConfig::language(symbols, RnnConfig::new(Cell::Lstm, 128, 256));
    let name = format!("charlm lstm training step, {optimizer_name}");
    let mut group = criterion.benchmark_group(&name);
    let mut flop = 0;
    for (device_name, device) in devices {
        let model = Model::new(device, &config, 0).expect("the configuration is right");
        let text = |shift: usize| {
            Array2::from_shape_fn((steps, batch), |(t, n)| ((t * 7 + n * 13 + shift * 7) % symbols) as u32)
        };
        let tokens = Tensor::from_array(device, text(0).view()).expect("the tokens fit");
        let targets = Targets::new(device, &[steps, batch], symbols).expect("the targets fit");
        targets.write(text(1).view()).expect("the targets fit");
        let state = model.device_state(batch).expect("the state fits");
        let mut tape = Tape::training(device).expect("the device is there");
        let x = tape.input(&tokens).expect("the tokens are here");
        let t = tape.input(targets.tensor()).expect("the targets are here");
        let call = RnnCall::default().carry(true);
        let logits = model.forward(&mut tape, &x, &state, &call).expect("the model fits");
        tape.cross_entropy(&logits, &t).expect("the loss fits");
        let mut trainer = Trainer::new(tape, TrainerOptions::new(optimizer)).expect("the tape is right");
        flop = trainer.plan().flop();
        group.throughput(Throughput::Elements(flop));
        group.bench_function(*device_name, |bencher| {
            bencher.iter(|| {
                trainer.step().expect("the step runs");
                device.wait().expect("the device is there");
            });
        });
    }
    group.finish();
    (name, flop)
}

/// The CTC loss of 32 utterances with its gradient by the logits: 500 steps, 80 classes, 60 labels. It multiplies no matrices.
fn ctc(criterion: &mut criterion::Criterion, devices: &[(&'static str, Device); 2]) -> (String, u64) {
    let shape @ [steps, batch, classes] = [500, 32, 80];
    let (most, options) = (60, CtcOptions::default());
    let name = "ctc loss forward and backward".to_owned();
    let mut group = criterion.benchmark_group(&name);
    for (device_name, device) in devices {
        let numbers = Array3::from_shape_fn(shape, |(t, n, c)| ((t * 31 + n * 17 + c * 7) % 101) as f32 / 25.0 - 2.0);
        let logits = Tensor::from_array(device, numbers.view()).expect("the logits fit");
        let targets = CtcTargets::new(device, shape, most, &options).expect("the targets fit");
        let labels = |n: usize| (0..most).map(|s| 1 + ((s * 13 + n * 7) % (classes - 1)) as u32).collect::<Vec<_>>();
        let labels: Vec<_> = (0..batch).map(labels).collect();
        targets.write(&labels, &vec![steps as u32; batch]).expect("the targets are right");
        // A trainer trains something: one weight beside the loss.
        let aside = Linear::trainable(device, Array2::zeros((1, 1)).view(), None).expect("the weight fits");
        let one = Tensor::<f32>::zeros(device, &[1, 1]).expect("the input fits");
        let mut tape = Tape::training(device).expect("the device is there");
        let one = tape.input(&one).expect("the input is here");
        let y = tape.linear(&aside, &one).expect("the layer fits");
        tape.mean_squared_error(&y, &one).expect("the loss fits");
        let x = tape.input(&logits).expect("the logits are here");
        let [labels, lengths, counts] = [targets.labels(), targets.input_lengths(), targets.label_lengths()]
            .map(|tensor| tape.input(tensor).expect("the targets are here"));
        tape.ctc(&x, &labels, &lengths, &counts, &options).expect("the loss fits");
        let mut trainer = Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM)).expect("the tape is right");
        group.throughput(Throughput::Elements((steps * batch) as u64));
        group.bench_function(*device_name, |bencher| {
            bencher.iter(|| {
                trainer.step().expect("the step runs");
                device.wait().expect("the device is there");
            });
        });
    }
    group.finish();
    (name, 0)
}
