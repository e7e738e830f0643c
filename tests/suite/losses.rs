//! Losses of a tape: values and gradients against PyTorch, weights, numbers given from outside, and what is refused.

use crate::common::{Random, devices};
use crate::pytorch_training::{Fixture, near};
use ndarray::{Array1, Array2, ArrayD, array};
use serde::Deserialize;
use wgrnn::{
    CrossEntropy, Device, Error, IGNORED, LearningRate, Linear, Optimizer, Result, Tape, Tensor, Trainer,
    TrainerOptions,
};

#[derive(Deserialize)]
struct Case {
    name: String,
    kind: String,
    smoothing: Option<f32>,
    weighted: bool,
    delta: Option<f32>,
}

/// The loss that a function adds to a tape for training, and its gradient by `x`.
pub fn loss_and_gradient<T>(
    device: &Device,
    x: &Tensor,
    add: impl FnOnce(&mut Tape, &wgrnn::plan::Value) -> Result<T>,
) -> (f32, ArrayD<f32>) {
    let gradient = Tensor::<f32>::zeros(device, x.shape()).unwrap();
    // Something must be trained: a layer beside it, by a gradient of its own.
    let aside = Linear::trainable(device, Array2::zeros((1, 1)).view(), None).unwrap();
    let one = Tensor::<f32>::zeros(device, &[1, 1]).unwrap();
    let mut tape = Tape::training(device).unwrap();
    let one = tape.input(&one).unwrap();
    let y = tape.linear(&aside, &one).unwrap();
    tape.give_gradient(&y, &one).unwrap();
    let x = tape.input(x).unwrap();
    tape.want_gradient(&x, &gradient).unwrap();
    add(&mut tape, &x).unwrap();
    let mut trainer = Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM)).unwrap();
    trainer.step().unwrap();
    (trainer.progress().unwrap().last_loss, gradient.read().unwrap())
}

#[test]
fn losses_with_options_are_pytorchs() {
    let fixture = Fixture::read("pytorch_losses.safetensors");
    let cases: Vec<Case> = fixture.list("losses");
    assert_eq!(cases.len(), 54);
    for (device_name, device) in devices() {
        for case in &cases {
            let tensor = |name: &str| {
                Tensor::from_array(&device, fixture.array(&format!("{}/{name}", case.name)).view()).unwrap()
            };
            let (loss, gradient) = loss_and_gradient(&device, &tensor("input"), |tape, x| {
                let target = match &*case.kind {
                    "classes" => {
                        let words = fixture.words(&format!("{}/target", case.name));
                        tape.input(&Tensor::from_array(&device, words.view())?)?
                    }
                    _ => tape.input(&tensor("target"))?,
                };
                let delta = case.delta.unwrap_or_default();
                match &*case.kind {
                    "l1" => return tape.mean_absolute_error(x, &target),
                    "huber" => return tape.huber(x, &target, delta),
                    "smooth_l1" => return tape.weighted(1.0 / delta, |tape| tape.huber(x, &target, delta)),
                    _ => {}
                }
                let mut options = CrossEntropy::default().label_smoothing(case.smoothing.unwrap());
                if case.weighted {
                    options = options.class_weights(&tensor("weight"));
                }
                tape.cross_entropy_with(x, &target, &options)
            });
            let name = format!("{} on {device_name}", case.name);
            let expected = |what: &str| fixture.array(&format!("{}/{what}", case.name));
            // A few roundings of numbers near the loss; exp and log on GPUs are good to some ulp.
            let loss = Array1::from_elem(1, loss).into_dyn();
            near(&format!("{name}, loss"), loss.view(), expected("loss").view(), 2e-6);
            near(&format!("{name}, gradient"), gradient.view(), expected("gradient").view(), 2e-6);
        }
    }
}

/// A sum of more numbers than one workgroup adds up, each of them the first of its row.
#[test]
fn rows_of_probabilities_that_begin_with_nan_are_left_out() {
    let (rows, columns) = (5000, 3);
    let mut random = Random::new(4);
    let logits = Array2::from_shape_simple_fn((rows, columns), || 3.0 * random.number());
    let targets = Array2::from_shape_fn((rows, columns), |(i, j)| match (i % 3, j) {
        (0, _) => f32::NAN,
        (1, 2) | (2, 1) => 1.0,
        _ => 0.0,
    });
    let expected = logits.rows().into_iter().enumerate().filter(|(i, _)| i % 3 > 0).map(|(i, row)| {
        let total: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
        total.ln() - f64::from(row[3 - i % 3])
    });
    let (sum, count) = expected.fold((0.0, 0), |(sum, count), loss| (sum + loss, count + 1));
    for (name, device) in devices() {
        let x = Tensor::from_array(&device, logits.view()).unwrap();
        let (loss, gradient) = loss_and_gradient(&device, &x, |tape, x| {
            let targets = tape.input(&Tensor::from_array(&device, targets.view())?)?;
            tape.cross_entropy_with(x, &targets, &CrossEntropy::default())
        });
        assert!((f64::from(loss) - sum / f64::from(count)).abs() < 1e-5, "{name}: {loss}");
        let rows = gradient.into_dimensionality::<ndarray::Ix2>().unwrap();
        let is_zero = |row: ndarray::ArrayView1<'_, f32>| row.iter().all(|&x| x == 0.0);
        assert!(rows.rows().into_iter().enumerate().all(|(i, row)| is_zero(row) == (i % 3 == 0)), "{name}");
    }
}

#[test]
fn a_class_without_probability_counts_for_nothing_where_its_logit_is_minus_infinity() {
    for (name, device) in devices() {
        let x = Tensor::from_array(&device, array![[0.0, f32::NEG_INFINITY, 0.0]].view()).unwrap();
        let targets = array![[0.25, 0.0, 0.75]];
        let (loss, gradient) = loss_and_gradient(&device, &x, |tape, x| {
            let targets = tape.input(&Tensor::from_array(&device, targets.view())?)?;
            tape.cross_entropy_with(x, &targets, &CrossEntropy::default())
        });
        assert!((loss - 2.0_f32.ln()).abs() < 1e-6, "{name}: {loss}");
        near(name, gradient.view(), array![[0.25, 0.0, -0.25]].into_dyn().view(), 1e-6);
    }
}

/// What evaluation gives for losses of x = [1, 5, −2] and targets [0, 2, −2]: its squared error is 10/3, its absolute error 4/3.
fn evaluated(device: &Device, add: impl FnOnce(&mut Tape, [&wgrnn::plan::Value; 2]) -> Result<()>) -> f32 {
    let x = Tensor::from_array(device, array![1.0, 5.0, -2.0].view()).unwrap();
    let t = Tensor::from_array(device, array![0.0, 2.0, -2.0].view()).unwrap();
    let mut tape = Tape::evaluating(device).unwrap();
    let (x, t) = (tape.input(&x).unwrap(), tape.input(&t).unwrap());
    add(&mut tape, [&x, &t]).unwrap();
    tape.evaluation().unwrap().run().unwrap()
}

#[test]
fn weighted_losses_are_a_weighted_sum_in_value_and_gradient() {
    for (name, device) in devices() {
        let x = Tensor::from_array(&device, array![1.0, 5.0, -2.5].view()).unwrap();
        let t = array![0.0, 2.0, -2.0];
        let (loss, gradient) = loss_and_gradient(&device, &x, |tape, x| {
            let t = tape.input(&Tensor::from_array(&device, t.view())?)?;
            tape.weighted(0.5, |tape| {
                tape.mean_squared_error(x, &t)?;
                tape.weighted(-3.0, |tape| tape.mean_absolute_error(x, &t))
            })?;
            // The weight ends where its losses end.
            tape.huber(x, &t, 1.0)?;
            tape.weighted(2.0, |tape| tape.loss(x))
        });
        let (squared, absolute, huber, own) = (10.25 / 3.0, 4.5 / 3.0, (0.5 + 2.5 + 0.125) / 3.0, 3.5 / 3.0);
        let expected = 0.5 * squared - 1.5 * absolute + huber + 2.0 * own;
        assert!((loss - expected).abs() < 1e-5, "{name}: {loss} for {expected}");
        let slope = |d: f32| (0.5 * 2.0 * d - 1.5 * d.signum() + d.clamp(-1.0, 1.0) + 2.0) / 3.0;
        near(name, gradient.view(), array![slope(1.0), slope(3.0), slope(-0.5)].into_dyn().view(), 1e-6);
    }
}

/// 0 times an infinite loss would be NaN.
#[test]
fn a_loss_with_weight_0_counts_for_nothing_even_where_it_is_infinite() {
    for (name, device) in devices() {
        let x = Tensor::from_array(&device, array![f32::INFINITY, f32::NAN].view()).unwrap();
        let (loss, gradient) = loss_and_gradient(&device, &x, |tape, x| {
            let own = tape.input(&Tensor::from_array(&device, array![2.0].view())?)?;
            let t = tape.input(&Tensor::from_array(&device, array![0.0, 0.0].view())?)?;
            tape.weighted(0.0, |tape| {
                tape.mean_squared_error(x, &t)?;
                tape.loss(x)?;
                tape.weighted(5.0, |tape| tape.give_loss(&own))
            })?;
            tape.give_loss(&own)
        });
        assert_eq!(loss, 2.0, "{name}");
        assert_eq!(gradient, array![0.0, 0.0].into_dyn(), "{name}");
    }
}

#[test]
fn a_weight_that_is_not_finite_is_refused_by_name() {
    let device = Device::cpu();
    let mut tape = Tape::training(&device).unwrap();
    for weight in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = tape.weighted(weight, |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("weight of a loss") && error.contains(&weight.to_string()), "{error}");
    }
    let error = tape.weighted(1e30, |tape| tape.weighted(1e30, |_| Ok(()))).unwrap_err();
    assert!(matches!(error, Error::Value { .. }), "{error}");
    // What was refused leaves no weight behind.
    let x = tape.input(&Tensor::from_array(&device, array![3.0].view()).unwrap()).unwrap();
    tape.loss(&x).unwrap();
    let x = tape.input(&Tensor::from_array(&device, array![1.0].view()).unwrap()).unwrap();
    let error = tape.weighted(2.0, |tape| tape.give_gradient(&x, &x)).unwrap_err().to_string();
    assert!(error.contains("weighted") && error.contains("multiply the gradient"), "{error}");
}

/// Training of y = w·1 by the gradient of (y − 3)² that the host computes.
#[test]
fn a_gradient_from_outside_adds_to_the_reported_loss_only_what_give_loss_gives() {
    for (name, device) in devices() {
        for told in [false, true] {
            let linear = Linear::trainable(&device, array![[1.0]].view(), None).unwrap();
            let one = Tensor::from_array(&device, array![[1.0]].view()).unwrap();
            let given = Tensor::from_array(&device, array![[-4.0]].view()).unwrap();
            let number = Tensor::from_array(&device, array![4.0].view()).unwrap();
            let mut tape = Tape::training(&device).unwrap();
            let [x, gradient, number_] = [&one, &given, &number].map(|tensor| tape.input(tensor).unwrap());
            let y = tape.linear(&linear, &x).unwrap();
            tape.give_gradient(&y, &gradient).unwrap();
            if told {
                tape.give_loss(&number_).unwrap();
            }
            let options = TrainerOptions::new(Optimizer::sgd(0.0)).learning_rate(LearningRate::Constant(0.25));
            let mut trainer = Trainer::new(tape, options).unwrap();
            trainer.step().unwrap();
            let progress = trainer.progress().unwrap();
            assert_eq!((progress.last_loss, progress.mean_loss), if told { (4.0, 4.0) } else { (0.0, 0.0) }, "{name}");
            assert_eq!(linear.parameters().unwrap().read().unwrap()[0].1, array![[2.0]].into_dyn());
            // A loss given that is not finite ends training as one of the tape does.
            number.write(array![f32::NAN].view()).unwrap();
            trainer.step().unwrap();
            assert_eq!(trainer.progress().is_err(), told, "{name}");
        }
    }
}

#[test]
fn a_loss_of_ones_own_is_the_mean_of_its_numbers() {
    for (name, device) in devices() {
        let mean = |weight| evaluated(&device, |tape, [x, _]| tape.weighted(weight, |tape| tape.loss(x)));
        assert!((mean(1.0) - 4.0 / 3.0).abs() < 1e-6, "{name}");
        assert!((mean(3.0) - 4.0).abs() < 1e-5, "{name}: the sum");
        assert_eq!(evaluated(&device, |tape, [x, _]| tape.loss(&x.reshape(&[3, 1])?.at(1)?)), 5.0, "{name}");
        // Numbers that are NaN are no targets: nothing is left out.
        let own = Tensor::from_array(&device, array![1.0, f32::NAN].view()).unwrap();
        assert!(evaluated(&device, |tape, _| tape.input(&own).and_then(|own| tape.loss(&own))).is_nan(), "{name}");
    }
}

#[test]
fn losses_without_targets_that_count_are_nan() {
    for (name, device) in devices() {
        let nan = Tensor::from_array(&device, Array1::from_elem(3, f32::NAN).view()).unwrap();
        let absolute = evaluated(&device, |tape, [x, _]| {
            let nan = tape.input(&nan)?;
            tape.mean_absolute_error(x, &nan)
        });
        let weightless = evaluated(&device, |tape, [x, _]| {
            let weights = Tensor::from_array(&device, array![0.0, 1.0, 1.0].view())?;
            let targets = tape.input(&Tensor::from_array(&device, array![0_u32].view())?)?;
            tape.cross_entropy_with(&x.reshape(&[1, 3])?, &targets, &CrossEntropy::default().class_weights(&weights))
        });
        let beyond = evaluated(&device, |tape, [x, _]| {
            let weights = Tensor::from_array(&device, array![0.5].view())?;
            let targets = tape.input(&Tensor::from_array(&device, array![0_u32, 1, IGNORED].view())?)?;
            tape.cross_entropy_with(&x.reshape(&[3, 1])?, &targets, &CrossEntropy::default().class_weights(&weights))
        });
        assert!(
            [absolute, weightless, beyond].iter().all(|loss| loss.is_nan()),
            "{name}: {absolute} {weightless} {beyond}"
        );
    }
}

#[test]
fn losses_that_cannot_be_are_refused_by_name() {
    let device = Device::cpu();
    let mut tape = Tape::training(&device).unwrap();
    let input = |tape: &mut Tape, shape: &[usize]| tape.input(&Tensor::<f32>::zeros(&device, shape).unwrap()).unwrap();
    let (x, other, number) = (input(&mut tape, &[2, 3]), input(&mut tape, &[2, 4]), input(&mut tape, &[1]));
    let classes = tape.input(&Tensor::<u32>::zeros(&device, &[2]).unwrap()).unwrap();
    let refused = |result: Result<()>, parts: &[&str]| {
        let error = result.unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    for smoothing in [-0.1, 1.5, f32::NAN] {
        let options = CrossEntropy::default().label_smoothing(smoothing);
        refused(tape.cross_entropy_with(&x, &classes, &options), &["label smoothing", &smoothing.to_string()]);
    }
    let weights = CrossEntropy::default().class_weights(&Tensor::zeros(&device, &[2]).unwrap());
    refused(tape.cross_entropy_with(&x, &classes, &weights), &["class weights", "[3]", "[2]"]);
    refused(tape.cross_entropy_with(&x, &other, &CrossEntropy::default()), &["targets", "[2, 3]", "[2, 4]"]);
    refused(tape.cross_entropy_with(&x, &number, &CrossEntropy::default()), &["targets", "[2, 3]", "[1]"]);
    refused(tape.cross_entropy(&x, &x), &["targets", "indices"]);
    for delta in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        refused(tape.huber(&x, &x, delta), &["delta of a Huber loss", &delta.to_string()]);
    }
    refused(tape.mean_absolute_error(&x, &other), &["targets", "[2, 3]", "[2, 4]"]);
    refused(tape.huber(&x, &classes, 1.0), &["targets", "numbers"]);
    refused(tape.loss(&classes), &["loss", "numbers"]);
    refused(tape.give_loss(&x), &["loss given", "[1]", "[2, 3]"]);
    refused(tape.give_loss(&classes), &["loss given", "numbers"]);
    for _ in 0..16 {
        tape.loss(&number).unwrap();
    }
    refused(tape.loss(&number), &["losses of a tape", "16"]);
    refused(tape.give_loss(&number), &["losses of a tape", "16"]);
    refused(tape.cross_entropy(&x, &classes), &["losses of a tape", "16"]);
}
