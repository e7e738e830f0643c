//! What a trainer can be asked for: groups, micro-batches, averages, skipped steps, reports, early stopping, means over batches.

use crate::common::{Random, devices, gpu};
use ndarray::{ArrayD, array};
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use wgrnn::{
    Cell, Clip, Device, DeviceState, EarlyStopping, Error, Evaluation, LearningRate, Linear, Model, ModelConfig,
    MovingAverage, Optimizer, ParameterGroup, Progress, ReduceOnPlateau, RnnCall, RnnConfig, Tape, Tensor, Trainer,
    TrainerOptions, Verdict,
};

const SHAPE: [usize; 3] = [5, 4, 3];

fn options(optimizer: Optimizer) -> TrainerOptions {
    TrainerOptions::new(optimizer).learning_rate(LearningRate::Constant(0.02)).seed(5)
}

/// A recurrent model with a head, on batches that a number draws.
struct Setup {
    model: Model,
    x: Tensor,
    target: Tensor,
    state: DeviceState,
}

impl Setup {
    fn new(device: &Device, batch: usize, dropout: f64) -> Self {
        let config = ModelConfig::features(RnnConfig::new(Cell::Lstm, SHAPE[2], 6), 2).dropout(dropout);
        let model = Model::new(device, &config, 7).unwrap();
        let x = Tensor::zeros(device, &[SHAPE[0], batch, SHAPE[2]]).unwrap();
        let target = Tensor::zeros(device, &[SHAPE[0], batch, 2]).unwrap();
        let state = model.device_state(batch).unwrap();
        Self { model, x, target, state }
    }

    fn record(&self, mut tape: Tape) -> Tape {
        let [x, target] = [&self.x, &self.target].map(|tensor| tape.input(tensor).unwrap());
        let y = self.model.forward(&mut tape, &x, &self.state, &RnnCall::default()).unwrap();
        tape.mean_squared_error(&y, &target).unwrap();
        tape
    }

    fn trainer(&self, options: TrainerOptions) -> Trainer {
        let tape = self.record(Tape::training(self.model.rnn().device()).unwrap());
        let mut trainer = Trainer::new(tape, options).unwrap();
        self.model.name(&mut trainer, "").unwrap();
        trainer
    }

    fn evaluation(&self) -> Evaluation {
        self.record(Tape::evaluating(self.model.rnn().device()).unwrap()).evaluation().unwrap()
    }

    /// Writes sequences `first..first + batch` of a data set.
    fn feed(&self, first: usize) {
        let [steps, batch, _] = [0, 1, 2].map(|axis| self.x.shape()[axis]);
        let draw = |features: usize, seed: u32| {
            let mut all = ArrayD::zeros(vec![steps, batch, features]);
            for n in 0..batch {
                let sequence = Random::new(seed + (first + n) as u32).array([steps, 1, features]);
                all.index_axis_mut(ndarray::Axis(1), n).assign(&sequence.index_axis(ndarray::Axis(1), 0));
            }
            all
        };
        self.x.write(draw(SHAPE[2], 100).view()).unwrap();
        self.target.write(draw(2, 9000).view()).unwrap();
    }

    /// A batch whose loss is NaN.
    fn spoil(&self) {
        self.feed(0);
        self.x.write(ArrayD::from_elem(self.x.shape(), f32::NAN).view()).unwrap();
    }

    fn steps(&self, trainer: &mut Trainer, steps: std::ops::Range<usize>) {
        for step in steps {
            self.feed(4 * step);
            trainer.step().unwrap();
        }
    }

    fn weights(&self) -> Vec<(String, ArrayD<f32>)> {
        let parameters = self.model.parameters();
        parameters.into_iter().flat_map(|(_, parameters)| parameters.read().unwrap()).collect()
    }
}

fn bytes(trainer: &Trainer) -> Vec<u8> {
    trainer.to_safetensors(&HashMap::new()).unwrap()
}

/// Tensors and notes of a file, which has the notes in any order.
type Contents = (BTreeMap<String, Vec<u8>>, BTreeMap<String, String>);

fn contents(file: &[u8]) -> Contents {
    let tensors = safetensors::SafeTensors::deserialize(file).unwrap().tensors();
    let notes = safetensors::SafeTensors::read_metadata(file).unwrap().1.metadata().clone().unwrap_or_default();
    (tensors.into_iter().map(|(name, view)| (name, view.data().to_vec())).collect(), notes.into_iter().collect())
}

fn state(trainer: &Trainer) -> Contents {
    contents(&bytes(trainer))
}

fn largest_difference(a: &[(String, ArrayD<f32>)], b: &[(String, ArrayD<f32>)]) -> f32 {
    let differences = a.iter().zip(b).flat_map(|((_, a), (_, b))| a.iter().zip(b).map(|(a, b)| (a - b).abs()));
    differences.fold(0.0, f32::max)
}

#[test]
fn a_group_without_a_rate_stands_still_and_vectors_need_not_decay() {
    for (name, device) in devices() {
        let setup = Setup::new(&device, 4, 0.0);
        let (rnn, head) = (setup.model.rnn().parameters().unwrap(), setup.model.head().unwrap().parameters().unwrap());
        let group = ParameterGroup::new(rnn).with(head).arrays(["bias", "weight_hh_l0"]).rate_factor(0.0);
        let mut trainer = setup.trainer(options(Optimizer::ADAM_W).group(group));
        let before = setup.weights();
        setup.steps(&mut trainer, 0..3);
        trainer.progress().unwrap();
        for ((array, before), (_, after)) in before.iter().zip(setup.weights()) {
            assert_eq!(*before == after, array == "bias" || array == "weight_hh_l0", "{array} on {name}");
        }
        // Without a gradient, only decay moves weights: here those of matrices, and the one array that a group names.
        let linear = Linear::trainable(&device, array![[1.0, 2.0]].view(), Some(array![3.0].view())).unwrap();
        let other = Linear::trainable(&device, array![[1.0, 2.0]].view(), Some(array![3.0].view())).unwrap();
        let zeros = Tensor::<f32>::zeros(&device, &[1, 2]).unwrap();
        let mut tape = Tape::training(&device).unwrap();
        let nothing = Tensor::<f32>::zeros(&device, &[1, 1]).unwrap();
        let [x, zero] = [&zeros, &nothing].map(|tensor| tape.input(tensor).unwrap());
        for layer in [&linear, &other] {
            let y = tape.linear(layer, &x).unwrap();
            tape.give_gradient(&y, &zero).unwrap();
        }
        let named = ParameterGroup::new(other.parameters().unwrap()).arrays(["bias"]).weight_decay(0.5);
        let sgd = Optimizer::sgd(0.0).weight_decay(0.25);
        let plain = TrainerOptions::new(sgd).learning_rate(LearningRate::Constant(1.0));
        let mut trainer = Trainer::new(tape, plain.decay_vectors(false).group(named)).unwrap();
        trainer.step().unwrap();
        // A gradient that was given is no loss.
        assert_eq!(trainer.progress().unwrap().last_loss, 0.0, "{name}");
        for (layer, bias) in [(&linear, 3.0), (&other, 1.5)] {
            let values = layer.parameters().unwrap().read().unwrap();
            assert_eq!(values[0].1, array![[0.75, 1.5]].into_dyn(), "{name}");
            assert_eq!(values[1].1, array![bias].into_dyn(), "{name}");
        }
    }
}

#[test]
fn a_given_gradient_changes_weights_but_not_the_loss() {
    let device = Device::cpu();
    let one = Tensor::from_array(&device, array![[1.0_f32]].view()).unwrap();
    let loss_and_weight = |given: bool| {
        let linear = Linear::trainable(&device, array![[3.0]].view(), None).unwrap();
        let mut tape = Tape::training(&device).unwrap();
        let [x, t] = [&one, &one].map(|tensor| tape.input(tensor).unwrap());
        let y = tape.linear(&linear, &x).unwrap();
        tape.mean_squared_error(&y, &t).unwrap();
        if given {
            tape.give_gradient(&y, &t).unwrap();
        }
        let plain = TrainerOptions::new(Optimizer::sgd(0.0)).learning_rate(LearningRate::Constant(0.5));
        let mut trainer = Trainer::new(tape, plain).unwrap();
        trainer.step().unwrap();
        let weight = linear.parameters().unwrap().read().unwrap()[0].1[[0, 0]];
        (trainer.progress().unwrap().last_loss, weight)
    };
    assert_eq!(loss_and_weight(false), (4.0, 1.0));
    assert_eq!(loss_and_weight(true), (4.0, 0.5));
}

#[test]
fn options_that_cannot_be_are_refused_by_name() {
    let device = Device::cpu();
    let setup = Setup::new(&device, 4, 0.0);
    let other = Linear::trainable(&device, array![[1.0]].view(), None).unwrap();
    let stranger = ParameterGroup::new(other.parameters().unwrap());
    let head = || ParameterGroup::new(setup.model.head().unwrap().parameters().unwrap());
    let base = || options(Optimizer::ADAM);
    let one_cycle = |pct_start: f64, div_factor: f64, final_div_factor: f64| {
        let rate =
            LearningRate::OneCycle { rate: 0.1, steps: 9, pct_start, div_factor, final_div_factor, linear: true };
        base().learning_rate(rate)
    };
    let average = |decay: f32| base().average(MovingAverage::new(decay));
    let polynomial = |power: f64| base().learning_rate(LearningRate::Polynomial { rate: 0.1, power, steps: 9 });
    let cases = [
        (average(1.0), "decay of the moving average"),
        (average(-0.1), "decay of the moving average"),
        (average(f32::NAN), "decay of the moving average"),
        (base().optimizer(Optimizer::rms_prop(1.0, 1e-8, 0.0)), "alpha"),
        (base().optimizer(Optimizer::rms_prop(0.9, -1.0, 0.0)), "epsilon"),
        (base().optimizer(Optimizer::rms_prop(0.9, 1e-8, 1.5)), "momentum"),
        (base().optimizer(Optimizer::RMS_PROP.weight_decay(f32::NAN)), "weight decay"),
        (base().group(stranger.clone()), "parameter group 0: expected parameters of layers on the tape"),
        (base().group(head()).group(stranger), "parameter group 1"),
        (base().group(head()).group(head().arrays(["bias"])), "array 'bias': expected one at most, got groups 0 and 1"),
        (base().group(head().arrays(["biases"])), "biases"),
        (base().group(head().rate_factor(-1.0)), "rate factor of parameter group 0"),
        (base().group(head().rate_factor(f64::INFINITY)), "rate factor of parameter group 0"),
        (base().group(head().rate_factor(1e300)), "rate factor of parameter group 0"),
        (base().group(head().weight_decay(-1.0)), "weight decay of parameter group 0"),
        (one_cycle(1.5, 25.0, 1e4), "pct_start"),
        (one_cycle(0.3, 0.0, 1e4), "div_factor"),
        (one_cycle(0.3, 25.0, f64::NAN), "final_div_factor"),
        (polynomial(-1.0), "power"),
    ];
    for (options, part) in cases {
        let tape = setup.record(Tape::training(&device).unwrap());
        let error = Trainer::new(tape, options).unwrap_err();
        assert!(matches!(error, Error::Value { .. }) && error.to_string().contains(part), "{part}: {error}");
    }
    let mut tape = Tape::training(&device).unwrap();
    tape.freeze(setup.model.head().unwrap().parameters().unwrap()).unwrap();
    let error = Trainer::new(setup.record(tape), base().group(head())).unwrap_err().to_string();
    assert!(error.contains("parameter group 0") && error.contains("frozen"), "{error}");
    // Arrays of one block may be in two groups.
    let groups = base().group(head().arrays(["bias"])).group(head().arrays(["weight"]));
    Trainer::new(setup.record(Tape::training(&device).unwrap()), groups).unwrap();

    let refused = |result: Result<(), Error>, part: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Value { .. }) && error.to_string().contains(part), "{part}: {error}");
    };
    refused(EarlyStopping::new(0).map(|_| ()), "patience");
    refused(EarlyStopping::new(1).unwrap().min_delta(-1.0).map(|_| ()), "min_delta");
    refused(EarlyStopping::new(1).unwrap().restore("1").map(|_| ()), "note of early stopping");
    let plateau = ReduceOnPlateau::new(0.1).unwrap();
    refused(ReduceOnPlateau::new(-0.1).map(|_| ()), "learning rate");
    refused(plateau.factor(1.0).map(|_| ()), "factor of a plateau");
    refused(plateau.threshold(-1.0).map(|_| ()), "threshold of a plateau");
    refused(plateau.least(f64::NAN).map(|_| ()), "learning rate");
    refused(plateau.restore("0.1 nonsense 0 0").map(|_| ()), "note of a plateau");
    let mut trainer = setup.trainer(base());
    refused(trainer.swap_averages(), "TrainerOptions::average");
    let never = |_: &mut Trainer, _: Progress| Ok::<_, Error>(ControlFlow::Continue(()));
    refused(trainer.train(3, 0, |_| Ok(()), never).map(|_| ()), "steps between two reports");
    assert_eq!(trainer.steps(), 0);
}

#[test]
fn micro_batches_train_as_one_batch_as_large() {
    for (name, device) in devices() {
        for clip in [Clip::None, Clip::Norm(0.05), Clip::Value(0.01)] {
            let (small, large) = (Setup::new(&device, 2, 0.0), Setup::new(&device, 6, 0.0));
            let [mut by_parts, mut at_once] =
                [&small, &large].map(|setup| setup.trainer(options(Optimizer::sgd(0.9)).clip(clip)));
            for step in 0..3 {
                for part in 0..3 {
                    small.feed(6 * step + 2 * part);
                    if part < 2 { by_parts.accumulate() } else { by_parts.step() }.unwrap();
                }
                large.feed(6 * step);
                at_once.step().unwrap();
            }
            let [a, b] = [&mut by_parts, &mut at_once].map(|trainer| trainer.progress().unwrap());
            assert_eq!((a.steps, by_parts.accumulated()), (3, 0));
            let close = |a: f32, b: f32| (a - b).abs() < 1e-5 * b.abs().max(0.1);
            assert!(
                close(a.last_loss, b.last_loss) && close(a.mean_loss, b.mean_loss),
                "{name}, {clip:?}: {a:?}, {b:?}"
            );
            assert!(close(a.gradient_norm, b.gradient_norm), "{name}, {clip:?}: {a:?}, {b:?}");
            let difference = largest_difference(&small.weights(), &large.weights());
            assert!(difference < 1e-6, "{name}, {clip:?}: {difference}");
        }
    }
}

#[test]
fn micro_batches_draw_masks_of_their_own_and_a_bad_one_spoils_the_step() {
    let device = gpu();
    let setup = Setup::new(&device, 4, 0.5);
    let mut trainer = setup.trainer(options(Optimizer::sgd(0.0)));
    let gradient = || setup.model.head().unwrap().parameters().unwrap().gradients().unwrap();
    setup.feed(0);
    trainer.accumulate().unwrap();
    let first = gradient();
    trainer.accumulate().unwrap();
    let both = gradient();
    let doubled: Vec<_> = first.iter().map(|(name, array)| (name.clone(), array * 2.0)).collect();
    assert!(largest_difference(&both, &doubled) > 1e-3, "the same masks twice");
    // In between there is neither a checkpoint nor a comparison.
    assert_eq!(trainer.accumulated(), 2);
    for error in
        [trainer.to_safetensors(&HashMap::new()).map(|_| ()).unwrap_err(), trainer.first_difference().unwrap_err()]
    {
        assert!(error.to_string().contains("2 micro-batches"), "{error}");
    }
    trainer.step().unwrap();
    trainer.progress().unwrap();
    let before = setup.weights();
    setup.spoil();
    trainer.accumulate().unwrap();
    setup.feed(0);
    trainer.step().unwrap();
    assert!(matches!(trainer.progress(), Err(Error::Diverged { step: 2, .. })));
    assert_eq!(setup.weights(), before);
}

#[test]
fn an_average_is_evaluated_in_the_weights_place_and_given_back() {
    for (name, device) in devices() {
        for corrected in [false, true] {
            let name = format!("corrected: {corrected}, on {name}");
            let setup = Setup::new(&device, 4, 0.0);
            let average = MovingAverage::new(0.75).bias_corrected(corrected);
            let mut trainer = setup.trainer(options(Optimizer::ADAM).average(average));
            let evaluation = setup.evaluation();
            let start = setup.weights();
            let untrained = trainer.with_averages(|| Ok::<_, Error>(setup.weights())).unwrap();
            assert_eq!(untrained, start, "{name}");
            // In float64: the plain form, and the mean of the weights of all steps, each weighted by 0.75ⁿ.
            let mut expected: Vec<ArrayD<f64>> = Vec::new();
            for step in 0..8 {
                setup.steps(&mut trainer, step..step + 1);
                let weights: Vec<_> = setup.weights().into_iter().map(|(_, array)| array.mapv(f64::from)).collect();
                let part = match (step, corrected) {
                    (0, _) => 1.0,
                    (_, false) => 0.25,
                    (_, true) => 0.25 / (1.0 - 0.75_f64.powi(step as i32 + 1)),
                };
                if step == 0 {
                    expected.clone_from(&weights);
                }
                for (average, weights) in expected.iter_mut().zip(&weights) {
                    *average = &*average * (1.0 - part) + weights * part;
                }
            }
            setup.feed(100);
            let (weights, loss) = (setup.weights(), evaluation.run().unwrap());
            let (averages, averaged_loss) =
                trainer.with_averages(|| Ok::<_, Error>((setup.weights(), evaluation.run()?))).unwrap();
            for ((array, got), expected) in averages.iter().zip(&expected) {
                let difference = got.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
                assert!(difference < 1e-6, "{array}, {name}: {difference}");
            }
            assert!(largest_difference(&averages, &weights) > 1e-3 && loss != averaged_loss, "{name}");
            assert_eq!((setup.weights(), evaluation.run().unwrap()), (weights, loss), "{name}");
            // Also after an error, and there is no step in between.
            let error = trainer.with_averages(|| Err::<(), _>(Error::Safetensors("mine".to_owned()))).unwrap_err();
            assert!(error.to_string().contains("mine"));
            trainer.swap_averages().unwrap();
            for error in [trainer.step().unwrap_err(), trainer.accumulate().unwrap_err()] {
                assert!(error.to_string().contains("swap_averages"), "{error}");
            }
            let inside = state(&trainer);
            trainer.swap_averages().unwrap();
            assert!(inside == state(&trainer), "{name}: a checkpoint depends on what the layers have");
        }
    }
}

#[test]
fn skipped_steps_leave_training_as_if_they_had_not_been() {
    for (name, device) in devices() {
        let corrected = MovingAverage::new(0.9).bias_corrected(true);
        for optimizer in [Optimizer::ADAM, Optimizer::sgd(0.9), Optimizer::RMS_PROP] {
            let (clean, bad) = (Setup::new(&device, 4, 0.0), Setup::new(&device, 4, 0.0));
            let base = options(optimizer).average(corrected);
            let [mut expected, mut trainer] =
                [clean.trainer(base.clone()), bad.trainer(base.clone().skip_nonfinite(2))];
            clean.steps(&mut expected, 0..6);
            bad.spoil();
            trainer.step().unwrap();
            trainer.step().unwrap();
            bad.steps(&mut trainer, 0..3);
            bad.spoil();
            trainer.step().unwrap();
            let spoilt = trainer.progress().unwrap();
            assert!(spoilt.last_loss.is_nan() && spoilt.mean_loss.is_finite(), "{name}: {spoilt:?}");
            bad.steps(&mut trainer, 3..6);
            let (a, b) = (trainer.progress().unwrap(), expected.progress().unwrap());
            assert_eq!((a.steps, a.skipped, b.steps, b.skipped), (9, 3, 6, 0), "{name}, {optimizer:?}");
            // The device computes bias corrections where steps were skipped, in 32 bits.
            let difference = largest_difference(&bad.weights(), &clean.weights());
            assert!(difference < 2e-6, "{name}, {optimizer:?}: {difference}");
            let averages = |setup: &Setup, trainer: &mut Trainer| {
                trainer.with_averages(|| Ok::<_, Error>(setup.weights())).unwrap()
            };
            let difference = largest_difference(&averages(&bad, &mut trainer), &averages(&clean, &mut expected));
            assert!(difference < 2e-6, "{name}, {optimizer:?}, averages: {difference}");
            // One more in a row than allowed ends it.
            let before = bad.weights();
            bad.spoil();
            (0..2).for_each(|_| trainer.step().unwrap());
            assert_eq!(trainer.progress().unwrap().skipped, 5, "{name}");
            trainer.step().unwrap();
            bad.steps(&mut trainer, 0..1);
            assert!(matches!(trainer.progress(), Err(Error::Diverged { step: 12, .. })), "{name}, {optimizer:?}");
            assert_eq!(bad.weights(), before, "{name}");
        }
    }
}

/// Gradients are finite, the new weights would not be: a trial of the step finds out.
#[test]
fn a_step_that_would_overflow_is_skipped_too() {
    for (name, device) in devices() {
        let linear = Linear::trainable(&device, array![[1.0]].view(), None).unwrap();
        let gradient = Tensor::from_array(&device, array![[1.0_f32]].view()).unwrap();
        let mut tape = Tape::training(&device).unwrap();
        let given = tape.input(&gradient).unwrap();
        let y = tape.linear(&linear, &given).unwrap();
        tape.give_gradient(&y, &given).unwrap();
        let plain = TrainerOptions::new(Optimizer::sgd(0.0)).learning_rate(LearningRate::Constant(1e38));
        let mut trainer = Trainer::new(tape, plain.skip_nonfinite(1)).unwrap();
        gradient.write(array![[10.0]].view()).unwrap();
        trainer.step().unwrap();
        assert_eq!(trainer.progress().unwrap().skipped, 1, "{name}");
        trainer.set_learning_rate(LearningRate::Constant(0.5)).unwrap();
        gradient.write(array![[1.0]].view()).unwrap();
        trainer.step().unwrap();
        assert_eq!(trainer.progress().unwrap().skipped, 1, "{name}");
        assert_eq!(linear.parameters().unwrap().read().unwrap()[0].1, array![[0.5]].into_dyn(), "{name}");
    }
}

#[test]
fn a_training_with_everything_resumes_to_the_last_bit() {
    for (name, device) in devices() {
        let new = || {
            let setup = Setup::new(&device, 4, 0.3);
            let head = ParameterGroup::new(setup.model.head().unwrap().parameters().unwrap()).rate_factor(0.5);
            let rms_prop = Optimizer::rms_prop_centered(0.9, 1e-6, 0.5).weight_decay(0.01);
            let all = options(rms_prop).group(head).decay_vectors(false).warm_up(6).skip_nonfinite(3);
            let trainer = setup.trainer(all.average(MovingAverage::new(0.9).bias_corrected(true)));
            (setup, trainer)
        };
        let run = |setup: &Setup, trainer: &mut Trainer, steps: std::ops::Range<usize>| {
            for step in steps {
                setup.feed(8 * step);
                trainer.accumulate().unwrap();
                if step % 4 == 1 {
                    setup.spoil()
                } else {
                    setup.feed(8 * step + 4)
                }
                trainer.step().unwrap();
            }
        };
        let (setup, mut whole) = new();
        run(&setup, &mut whole, 0..12);
        let (setup, mut first) = new();
        run(&setup, &mut first, 0..6);
        let saved = bytes(&first);
        let (setup, mut second) = new();
        run(&setup, &mut second, 3..5);
        setup.feed(3);
        second.accumulate().unwrap();
        second.load_safetensors(&saved).unwrap();
        assert_eq!((second.steps(), second.accumulated()), (6, 0));
        assert!(state(&second) == contents(&saved), "{name}: what was loaded is not what was saved");
        run(&setup, &mut second, 6..12);
        assert!(state(&second) == state(&whole), "{name}");
        assert_eq!(second.progress().unwrap(), whole.progress().unwrap());
        assert_eq!(second.progress().unwrap().skipped, 3, "{name}");
        // Weights and averages are files of a model, each under its prefix.
        let averages = second.with_averages(|| Ok::<_, Error>(setup.weights())).unwrap();
        let (plain, averaged) = (Setup::new(&device, 4, 0.0), Setup::new(&device, 4, 0.0));
        plain.model.load_safetensors(&bytes(&second), "").unwrap();
        averaged.model.load_safetensors(&bytes(&second), "average.").unwrap();
        assert_eq!((plain.weights(), averaged.weights()), (setup.weights(), averages), "{name}");
        // A trainer that keeps other things refuses it, by name.
        let error = Setup::new(&device, 4, 0.0).trainer(options(Optimizer::ADAM)).load_safetensors(&saved).unwrap_err();
        assert!(error.to_string().contains("RmsProp"), "{error}");
    }
}

#[test]
fn frozen_layers_are_the_same_in_evaluation_checkpoints_and_averages() {
    let device = gpu();
    let setup = Setup::new(&device, 4, 0.0);
    let frozen = setup.model.rnn().parameters().unwrap();
    let trainer = || {
        let mut tape = Tape::training(&device).unwrap();
        tape.freeze(frozen).unwrap();
        let options = options(Optimizer::ADAM).average(MovingAverage::new(0.5));
        Trainer::new(setup.record(tape), options).unwrap()
    };
    let mut evaluating = Tape::evaluating(&device).unwrap();
    evaluating.freeze(frozen).unwrap();
    let evaluations = [setup.evaluation(), setup.record(evaluating).evaluation().unwrap()];
    let mut first = trainer();
    let before = frozen.read().unwrap();
    setup.steps(&mut first, 0..4);
    let saved = bytes(&first);
    setup.feed(50);
    let losses = evaluations.each_ref().map(|evaluation| evaluation.run().unwrap());
    assert_eq!(losses[0], losses[1]);
    let seen = first.with_averages(|| Ok::<_, Error>(frozen.read().unwrap())).unwrap();
    assert_eq!(seen, before);
    let names: Vec<_> =
        safetensors::SafeTensors::deserialize(&saved).unwrap().names().into_iter().map(str::to_owned).collect();
    assert!(names.iter().any(|name| name == "average.1.weight") && names.iter().any(|name| name == "0.weight_ih_l0"));
    assert!(!names.iter().any(|name| name.starts_with("average.0.")), "{names:?}");
    // Other weights, and then those of the checkpoint.
    setup.steps(&mut first, 4..6);
    let arrays: Vec<_> = before.iter().map(|(name, array)| (name.clone(), array * 0.5)).collect();
    frozen.write(&arrays).unwrap();
    trainer().load_safetensors(&saved).unwrap();
    setup.feed(50);
    assert_eq!(evaluations.each_ref().map(|evaluation| evaluation.run().unwrap()), losses);
    assert_eq!(frozen.read().unwrap(), before);
}

#[test]
fn a_damaged_note_of_skipped_steps_or_a_missing_average_is_refused_by_name() {
    let device = Device::cpu();
    let setup = Setup::new(&device, 4, 0.0);
    let mut trainer = setup.trainer(options(Optimizer::ADAM).skip_nonfinite(2));
    setup.spoil();
    trainer.step().unwrap();
    setup.steps(&mut trainer, 0..1);
    let saved = bytes(&trainer);
    let note = |text: &str| {
        let file = safetensors::SafeTensors::deserialize(&saved).unwrap();
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&saved).unwrap();
        let mut notes = metadata.metadata().clone().unwrap();
        assert_eq!(notes.insert("wgrnn.skipped".to_owned(), text.to_owned()).unwrap(), "1 0");
        safetensors::serialize(file.tensors(), Some(notes)).unwrap()
    };
    for text in ["", "1", "3 0", "1 2", "1 0 0", "a 0"] {
        let error = trainer.load_safetensors(&note(text)).unwrap_err().to_string();
        assert!(error.contains("wgrnn.skipped"), "{text}: {error}");
    }
    trainer.load_safetensors(&note("2 1")).unwrap();
    assert_eq!(trainer.progress().unwrap().skipped, 2);
    let mut averaging = setup.trainer(options(Optimizer::ADAM).average(MovingAverage::new(0.5)));
    let error = averaging.load_safetensors(&saved).unwrap_err().to_string();
    assert!(error.contains("average.rnn.weight_ih_l0"), "{error}");
}

#[test]
fn early_stopping_keeps_the_best_checkpoint_and_a_failed_write_loses_nothing() {
    let device = Device::cpu();
    let setup = Setup::new(&device, 4, 0.0);
    let mut trainer = setup.trainer(options(Optimizer::ADAM));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    let notes = HashMap::new();
    let mut stopping = EarlyStopping::new(2).unwrap().min_delta(0.1).unwrap();
    let mut save = |stopping: &mut EarlyStopping, loss: f64, step: usize, path: &std::path::Path| {
        setup.steps(&mut trainer, step..step + 1);
        (stopping.save_best(loss, &trainer, path, &notes), state(&trainer))
    };
    let (verdict, best) = save(&mut stopping, 1.0, 0, &path);
    assert_eq!(verdict.unwrap(), Verdict::Improved);
    let (verdict, _) = save(&mut stopping, 0.95, 1, &path);
    assert!(matches!(verdict.unwrap(), Verdict::Waiting { left: 1, .. }));
    assert!(contents(&std::fs::read(&path).unwrap()) == best);
    // A write that fails: neither the file nor the best loss changes, and the next one may be it.
    let (failed, _) = save(&mut stopping, 0.5, 2, &folder.path().join("no such folder").join("best.safetensors"));
    assert!(matches!(failed, Err(Error::File { .. })));
    assert!(contents(&std::fs::read(&path).unwrap()) == best && stopping.best() == 1.0);
    let (verdict, better) = save(&mut stopping, 0.6, 3, &path);
    assert_eq!(verdict.unwrap(), Verdict::Improved);
    assert!(contents(&std::fs::read(&path).unwrap()) == better && better != best);
    // What it remembers goes into a checkpoint's notes.
    assert!(matches!(stopping.update(f64::NAN), Verdict::Waiting { left: 1, .. }));
    let mut resumed = EarlyStopping::new(2).unwrap().min_delta(0.1).unwrap().restore(&stopping.note()).unwrap();
    assert_eq!(resumed, stopping);
    assert_eq!((resumed.update(0.55), resumed.best()), (Verdict::Stop, 0.6));
}

#[test]
fn a_loop_with_reports_trains_as_steps_do_and_ends_when_it_is_told() {
    let device = gpu();
    let (by_hand, by_loop) = (Setup::new(&device, 4, 0.0), Setup::new(&device, 4, 0.0));
    let mut expected = by_hand.trainer(options(Optimizer::ADAM));
    by_hand.steps(&mut expected, 0..7);
    let mut trainer = by_loop.trainer(options(Optimizer::ADAM));
    let mut reported = Vec::new();
    let feed = |step: u32| {
        by_loop.feed(4 * step as usize);
        Ok::<_, Error>(())
    };
    let flow = trainer.train(7, 3, feed, |trainer, progress| {
        reported.push((trainer.steps(), progress.steps));
        Ok(ControlFlow::Continue(()))
    });
    assert_eq!((flow.unwrap(), reported), (ControlFlow::Continue(()), vec![(3, 3), (6, 6), (7, 7)]));
    assert_eq!(by_loop.weights(), by_hand.weights());
    // It may be told to stop, and errors of both functions end it too.
    let flow = trainer.train(20, 2, feed, |_, _| Ok(ControlFlow::Break(())));
    assert_eq!((flow.unwrap(), trainer.steps()), (ControlFlow::Break(()), 8));
    let mine = || Error::Safetensors("mine".to_owned());
    assert!(trainer.train(20, 2, |_| Err(mine()), |_, _| Ok(ControlFlow::Continue(()))).is_err());
    assert!(trainer.train(20, 2, feed, |_, _| Err(mine())).is_err());
    assert_eq!(trainer.steps(), 10);
    assert!(trainer.train(10, 2, feed, |_, _| Err(mine())).unwrap().is_continue(), "nothing is left to do");
}
