//! `first_difference`: programs of every kind have none on a driver that is right. That faults are found is tested beside the
//! function, in `src/plan/difference.rs`.

use crate::common::{Random, dispatches, gpu, portable, rnn, weights};
use ndarray::{Array2, Array3, ArrayD};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wgrnn::kernels::Kernel;
use wgrnn::{
    Cell, Class, Clip, Device, GpuOptions, LearningRate, Lengths, Model, ModelConfig, Optimizer, Precision, Reset, Rnn,
    RnnCall, RnnConfig, Schedule, Session, SessionOptions, Tape, Targets, Tensor, Trainer, TrainerOptions, check,
};

const LENGTHS: [usize; 3] = [2, 6, 4];

fn call(schedule: Schedule) -> RnnCall {
    RnnCall::default().lengths(Lengths::Fixed(LENGTHS.to_vec())).schedule(schedule)
}

/// A session of six steps whose input is written.
fn session(device: &Device, config: &RnnConfig, schedule: Schedule) -> Session {
    let rnn = rnn(device, config);
    let session = rnn.session(SessionOptions::new(6, 3).call(call(schedule))).unwrap();
    session.input().write(Random::new(3).array([6, 3, config.input_size()]).view()).unwrap();
    session
}

fn equals_its_twins(device: &Device, config: &RnnConfig, schedule: Schedule) {
    let session = session(device, config, schedule);
    // The second run starts from what the first one left.
    for _ in 0..2 {
        let difference = session.first_difference().unwrap();
        assert!(difference.is_none(), "{config:?}, {schedule:?}: {}\n{}", difference.unwrap(), session.plan());
    }
}

#[test]
fn layers_of_every_cell_and_form_equal_their_twins() {
    for (name, config) in check::layers() {
        for schedule in [Schedule::Step, Schedule::Sequence] {
            equals_its_twins(&gpu(), &config, schedule);
        }
        if ["lstm", "gru with norms", "mingru"].contains(&name) {
            equals_its_twins(&portable(), &config, Schedule::Auto);
        }
    }
}

#[test]
fn gradients_of_every_cell_and_form_equal_their_twins() {
    for (i, (name, config)) in check::layers().into_iter().enumerate() {
        let rnn = Rnn::trainable(&gpu(), &config, &weights(&config, 5)).unwrap();
        let schedule = [Schedule::Step, Schedule::Sequence][i % 2];
        let training = rnn.training(SessionOptions::new(6, 3).call(call(schedule)), false).unwrap();
        let mut random = Random::new(4);
        training.input().write(random.array([6, 3, config.input_size()]).view()).unwrap();
        let shape = training.output_gradient().shape().to_vec();
        // Small, as the gradients of a mean are.
        let dy = ArrayD::from_shape_simple_fn(shape, || 1e-4 * random.number());
        training.output_gradient().write(dy.view()).unwrap();
        for _ in 0..2 {
            assert_eq!(training.first_difference().unwrap(), [None, None], "{name}, {schedule:?}");
        }
    }
}

#[test]
fn wavefronts_and_grids_equal_their_twins() {
    let config = RnnConfig::new(Cell::Lstm, 6, 21).layers(3);
    equals_its_twins(&gpu(), &config, Schedule::Wavefront);
    // One workgroup; and many, which an adapter in software does not run side by side.
    for hidden in [12, 70] {
        let config = RnnConfig::new(Cell::Gru(Reset::After), 5, hidden);
        assert!(dispatches(session(&gpu(), &config, Schedule::Grid).plan(), Kernel::Settle) > 0);
        equals_its_twins(&gpu(), &config, Schedule::Grid);
    }
}

/// Matrices in textures, rows in windows of uniform buffers, and tiles of other adapters.
#[test]
fn programs_for_every_class_of_adapter_equal_their_twins_in_both_precisions() {
    for class in [Class::Integrated, Class::Discrete, Class::Software] {
        let device = Device::gpu_with(&GpuOptions::default().class(class)).unwrap();
        for precision in [Precision::Single, Precision::Half] {
            let config = RnnConfig::new(Cell::Lstm, 33, 75).layers(2).precision(precision);
            equals_its_twins(&device, &config, Schedule::Step);
        }
    }
    equals_its_twins(&portable(), &RnnConfig::new(Cell::Lstm, 9, 17).precision(Precision::Half), Schedule::Step);
}

/// A small character model.
struct Training {
    model: Model,
    trainer: Trainer,
}

impl Training {
    fn new(device: &Device, optimizer: Optimizer) -> Self {
        let config = ModelConfig::language(11, RnnConfig::new(Cell::Gru(Reset::After), 9, 14).layers(2)).dropout(0.2);
        let model = Model::new(device, &config, 1).unwrap();
        let tokens = Array2::from_shape_fn((6, 3), |(t, n)| ((t * 5 + n * 3) % 11) as u32);
        let targets = Targets::new(device, &[6, 3], 11).unwrap();
        targets.write(tokens.mapv(|token| (token + 1) % 11).view()).unwrap();
        let tokens = Tensor::from_array(device, tokens.view()).unwrap();
        let mut tape = Tape::training(device).unwrap();
        let [x, t] = [&tokens, targets.tensor()].map(|tensor| tape.input(tensor).unwrap());
        let logits = model.forward(&mut tape, &x, &model.device_state(3).unwrap(), &RnnCall::default()).unwrap();
        tape.cross_entropy(&logits, &t).unwrap();
        let options = TrainerOptions::new(optimizer).learning_rate(LearningRate::Constant(0.1)).clip(Clip::Norm(1.0));
        Self { model, trainer: Trainer::new(tape, options).unwrap() }
    }
}

#[test]
fn steps_of_training_equal_their_twins_and_leave_what_a_step_leaves() {
    let momentum = Optimizer::nesterov(0.9).weight_decay(0.01);
    for optimizer in [Optimizer::ADAM, momentum] {
        let [mut compared, mut plain] = [(); 2].map(|()| Training::new(&gpu(), optimizer));
        for step in 1..=12 {
            let difference = compared.trainer.first_difference().unwrap();
            assert!(difference.is_none(), "step {step}: {}", difference.unwrap());
            plain.trainer.step().unwrap();
        }
        assert_eq!(compared.trainer.steps(), 12);
        assert_eq!(compared.trainer.progress().unwrap(), plain.trainer.progress().unwrap());
        let [compared, plain] = [&compared, &plain].map(|training| training.model.to_safetensors("").unwrap());
        assert!(compared == plain, "the weights are the same");
    }
}

#[test]
fn a_compared_run_leaves_the_output_and_the_state_of_a_run() {
    let config = RnnConfig::new(Cell::Slstm, 5, 12);
    let [compared, plain] = [(); 2].map(|()| session(&gpu(), &config, Schedule::Sequence));
    for _ in 0..2 {
        assert_eq!(compared.first_difference().unwrap(), None);
        plain.run().unwrap();
        assert_eq!(compared.output().read().unwrap(), plain.output().read().unwrap());
        assert_eq!(compared.state().read().unwrap(), plain.state().read().unwrap());
    }
}

/// NaN in the input is NaN in both.
#[test]
fn nan_equals_nan() {
    let session = session(&gpu(), &RnnConfig::new(Cell::Lstm, 5, 12), Schedule::Step);
    let mut x: Array3<f32> = Random::new(3).array([6, 3, 5]);
    x[[1, 2, 3]] = f32::NAN;
    session.input().write(x.view()).unwrap();
    assert_eq!(session.first_difference().unwrap(), None);
    assert!(session.output().read().unwrap().iter().any(|y| y.is_nan()));
}

/// Polled by an executor of its own, the twins run on another thread.
#[test]
fn a_comparison_can_be_awaited() {
    let session = session(&gpu(), &RnnConfig::new(Cell::Lstm, 5, 12), Schedule::Step);
    let mut future = pin!(session.first_difference_async());
    let mut context = Context::from_waker(Waker::noop());
    let mut polls = 0;
    let difference = loop {
        polls += 1;
        match future.as_mut().poll(&mut context) {
            Poll::Ready(difference) => break difference.unwrap(),
            Poll::Pending => std::thread::sleep(std::time::Duration::from_millis(1)),
        }
    };
    assert!(difference.is_none() && polls > 1, "{difference:?} after {polls} polls");
}
