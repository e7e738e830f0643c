//! Gradients of models by finite differences: through states, fed-back outputs, shared values and weights.

use crate::common::{Random, devices};
use crate::training::options;
use ndarray::Array3;
use wgrnn::{
    Cell, Device, LearningRate, Lengths, Model, ModelConfig, Optimizer, Output, Reset, RnnCall, RnnConfig, Tape,
    Tensor, Trainer, TrainerOptions,
};

/// One loss of a tape, and the gradient of its input, for a check by finite differences.
struct Graph<'a> {
    device: &'a Device,
    x: Array3<f32>,
    build: &'a dyn Fn(&mut Tape, &wgrnn::plan::Value, &[Model]),
    models: &'a [Model],
}

impl Graph<'_> {
    fn loss(&self, x: &Array3<f32>) -> f64 {
        let input = Tensor::from_array(self.device, x.view()).unwrap();
        let mut tape = Tape::evaluating(self.device).unwrap();
        let value = tape.input(&input).unwrap();
        (self.build)(&mut tape, &value, self.models);
        f64::from(tape.evaluation().unwrap().run().unwrap())
    }

    /// The slope along a random direction, by the gradient and by a finite step.
    fn slopes(&self) -> (f64, f64) {
        let input = Tensor::from_array(self.device, self.x.view()).unwrap();
        let gradient = Tensor::<f32>::zeros(self.device, input.shape()).unwrap();
        let mut tape = Tape::training(self.device).unwrap();
        let value = tape.input(&input).unwrap();
        tape.want_gradient(&value, &gradient).unwrap();
        (self.build)(&mut tape, &value, self.models);
        let options = TrainerOptions::new(Optimizer::ADAM).learning_rate(LearningRate::Constant(0.0));
        let mut trainer = Trainer::new(tape, options).unwrap();
        // Twice: nothing may be left over from the first time.
        for _ in 0..2 {
            trainer.step().unwrap();
        }
        trainer.progress().unwrap();
        let gradient = gradient.read().unwrap();
        // Along the gradient itself, so that the slope is large beside the rounding of the loss in f32.
        let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let step =
            gradient.mapv(|g| (f64::from(g) / norm * 0.02) as f32).into_dimensionality::<ndarray::Ix3>().unwrap();
        (norm * 0.04, self.loss(&(&self.x + &step)) - self.loss(&(&self.x - &step)))
    }

    fn check(&self, name: &str) {
        let (product, difference) = self.slopes();
        // Losses near 1 in f32: 2⁻²³ twice, and the third order of a step of 0.02.
        assert!((product - difference).abs() < 2e-3 * product + 1e-6, "{name}: {product} is not {difference}");
    }
}

fn model(device: &Device, rnn: RnnConfig, outputs: Option<usize>) -> Model {
    let config = ModelConfig::features(rnn, 1).outputs(outputs);
    Model::new(device, &config, 11).unwrap()
}

#[test]
fn gradients_pass_from_decoder_to_encoder_through_the_state() {
    for (name, device) in devices() {
        let models = [
            model(&device, RnnConfig::new(Cell::Lstm, 3, 6), None),
            model(&device, RnnConfig::new(Cell::Lstm, 3, 6), Some(2)),
        ];
        let target = Tensor::from_array(&device, Random::new(4).array([5, 2, 2]).view()).unwrap();
        let state = models[0].device_state(2).unwrap();
        let build = graph(move |tape, x, models| {
            // The decoder reads zeros: all that it knows of x is the encoder's state.
            models[0].forward(tape, x, &state, &RnnCall::default()).unwrap();
            let zeros = Tensor::<f32>::zeros(tape.device(), &[5, 2, 3]).unwrap();
            let zeros = tape.input(&zeros).unwrap();
            let call = RnnCall::default().carry(true);
            let y = models[1].forward(tape, &zeros, &state, &call).unwrap();
            let target = tape.input(&target).unwrap();
            tape.mean_squared_error(&y, &target).unwrap();
        });
        Graph { device: &device, x: Random::new(5).array([4, 2, 3]), build: &build, models: &models }.check(name);
    }
}

/// A closure that is good for any lifetime of the models.
fn graph(
    build: impl Fn(&mut Tape, &wgrnn::plan::Value, &[Model]),
) -> impl Fn(&mut Tape, &wgrnn::plan::Value, &[Model]) {
    build
}

#[test]
fn gradients_flow_back_through_what_was_fed_back() {
    for (name, device) in devices() {
        let models = [model(&device, RnnConfig::new(Cell::Gru(Reset::After), 3, 7), Some(3))];
        let target = Tensor::from_array(&device, Random::new(4).array([4, 2, 3]).view()).unwrap();
        let state = models[0].device_state(2).unwrap();
        let build = graph(move |tape, x, models| {
            // From zeros each time: the state that the last run left is not to be carried.
            let zeros = Tensor::<f32>::zeros(tape.device(), &[1, 2, 3]).unwrap();
            let zeros = tape.input(&zeros).unwrap();
            models[0].forward(tape, &zeros, &state, &RnnCall::default()).unwrap();
            let first = x.at(0).unwrap();
            let y = models[0].feed_back(tape, &first, &state, 4).unwrap();
            let target = tape.input(&target).unwrap();
            tape.mean_squared_error(&y, &target).unwrap();
        });
        Graph { device: &device, x: Random::new(5).array([1, 2, 3]), build: &build, models: &models }.check(name);
    }
}

/// It gave memory that nothing had written.
#[test]
fn no_step_of_feeding_back_is_refused() {
    for (name, device) in devices() {
        let model = model(&device, RnnConfig::new(Cell::Gru(Reset::After), 3, 7), Some(3));
        let x = Tensor::<f32>::zeros(&device, &[2, 3]).unwrap();
        let mut tape = Tape::training(&device).unwrap();
        let x = tape.input(&x).unwrap();
        let error = model.feed_back(&mut tape, &x, &model.device_state(2).unwrap(), 0).unwrap_err().to_string();
        assert!(error.contains("at least 1") && error.contains("got 0"), "{name}: {error}");
    }
}

/// A call that begins with zeros owes nothing to whoever used its state before.
#[test]
fn no_gradient_passes_to_a_call_whose_state_was_not_carried_on() {
    for (name, device) in devices() {
        let model = model(&device, RnnConfig::new(Cell::Lstm, 3, 5), None);
        let x = Tensor::from_array(&device, Random::new(5).array([4, 2, 3]).view()).unwrap();
        let gradient = |carry: bool| {
            let gradient = Tensor::<f32>::zeros(&device, &[4, 2, 3]).unwrap();
            let state = model.device_state(2).unwrap();
            let mut tape = Tape::training(&device).unwrap();
            let value = tape.input(&x).unwrap();
            tape.want_gradient(&value, &gradient).unwrap();
            model.forward(&mut tape, &value, &state, &RnnCall::default()).unwrap();
            let zeros = Tensor::<f32>::zeros(&device, &[2, 2, 3]).unwrap();
            let zeros = tape.input(&zeros).unwrap();
            let call = RnnCall::default().carry(carry);
            let y = model.forward(&mut tape, &zeros, &state, &call).unwrap();
            let target = Tensor::from_array(&device, Random::new(6).array([2, 2, 5]).view()).unwrap();
            let target = tape.input(&target).unwrap();
            tape.mean_squared_error(&y, &target).unwrap();
            let mut trainer = Trainer::new(tape, options()).unwrap();
            trainer.step().unwrap();
            trainer.progress().unwrap();
            gradient.read().unwrap()
        };
        assert!(gradient(true).iter().all(|&g| g != 0.0), "{name}");
        assert!(gradient(false).iter().all(|&g| g == 0.0), "{name}");
    }
}

#[test]
fn several_readers_of_one_value_add_their_gradients() {
    for (name, device) in devices() {
        let rnn = || RnnConfig::new(Cell::Gru(Reset::Before), 3, 5);
        let models = [model(&device, rnn(), Some(2)), model(&device, rnn(), Some(1))];
        let target = Tensor::from_array(&device, Random::new(4).array([4, 2, 2]).view()).unwrap();
        let binary =
            Tensor::from_array(&device, Random::new(6).array([1, 2, 1]).mapv(|x| 0.5 + 0.5 * x).view()).unwrap();
        let states = [models[0].device_state(2).unwrap(), models[1].device_state(2).unwrap()];
        let build = graph(move |tape, x, models| {
            let y = models[0].forward(tape, x, &states[0], &RnnCall::default()).unwrap();
            let call = RnnCall::default().output(Output::Last).lengths(Lengths::Fixed(vec![4, 2]));
            let z = models[1].forward(tape, x, &states[1], &call).unwrap();
            let [t, b] = [&target, &binary].map(|tensor| tape.input(tensor).unwrap());
            tape.mean_squared_error(&y, &t).unwrap();
            tape.binary_cross_entropy(&z, &b.reshape(&[2, 1]).unwrap()).unwrap();
        });
        Graph { device: &device, x: Random::new(5).array([4, 2, 3]), build: &build, models: &models }.check(name);
    }
}
