//! The loss of connectionist temporal classification against PyTorch and a plain loop in float64, on all that its lengths and
//! labels may be.

use crate::common::{Random, devices};
use crate::losses::loss_and_gradient;
use crate::pytorch_training::Fixture;
use crate::tapes::{near, options as fixed};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, s};
use wgrnn::check::Comparison;
use wgrnn::{
    Cell, CtcOptions, CtcTargets, Device, Direction, Error, IGNORED, LearningRate, Linear, Optimizer, Reduction, Rnn,
    RnnCall, RnnConfig, RnnWeights, Tape, Tensor, Trainer, TrainerOptions,
};

/// What a loss is computed from.
#[derive(Clone)]
struct Data {
    logits: Array3<f32>,
    labels: Array2<u32>,
    input_lengths: Vec<u32>,
    label_lengths: Vec<u32>,
}

impl Data {
    /// Logits over ±`bound`, and labels that are no blank, which is class 0.
    fn random(seed: u32, [steps, batch, classes]: [usize; 3], most: usize, bound: f32) -> Self {
        let mut random = Random::new(seed);
        let logits = random.array([steps, batch, classes]).mapv(|x| x * bound);
        let mut label = || 1 + ((random.number() + 1.0) / 2.0 * (classes - 1) as f32) as u32 % (classes as u32 - 1);
        let labels = Array2::from_shape_simple_fn((batch, most), &mut label);
        Self { logits, labels, input_lengths: vec![steps as u32; batch], label_lengths: vec![most as u32; batch] }
    }

    /// One of its sequences.
    fn alone(&self, n: usize) -> Self {
        Self {
            logits: self.logits.slice(s![.., n..=n, ..]).to_owned(),
            labels: self.labels.slice(s![n..=n, ..]).to_owned(),
            input_lengths: vec![self.input_lengths[n]],
            label_lengths: vec![self.label_lengths[n]],
        }
    }

    fn tensors(&self, device: &Device) -> (Tensor, [Tensor<u32>; 3]) {
        let lengths =
            |lengths: &Vec<u32>| Tensor::from_array(device, Array1::from_vec(lengths.clone()).view()).unwrap();
        let labels = Tensor::from_array(device, self.labels.view()).unwrap();
        let logits = Tensor::from_array(device, self.logits.view()).unwrap();
        (logits, [labels, lengths(&self.input_lengths), lengths(&self.label_lengths)])
    }

    /// The loss alone.
    fn loss(&self, device: &Device, options: &CtcOptions) -> f32 {
        let (logits, targets) = self.tensors(device);
        let mut tape = Tape::evaluating(device).unwrap();
        add(&mut tape, &logits, &targets, options);
        tape.evaluation().unwrap().run().unwrap()
    }

    /// The gradient of the loss by the logits, and the loss where it is finite.
    fn gradient(&self, device: &Device, options: &CtcOptions) -> (ArrayD<f32>, Option<f32>) {
        let (logits, targets) = self.tensors(device);
        let (mut trainer, gradient) = trainer(device, &logits, &targets, options);
        trainer.step().unwrap();
        let loss = match trainer.progress() {
            Ok(progress) => Some(progress.last_loss),
            Err(Error::Diverged { step: 1, .. }) => None,
            Err(other) => panic!("{other}"),
        };
        (gradient.read().unwrap(), loss)
    }
}

/// Adds the loss of these tensors to a tape.
fn add(tape: &mut Tape, logits: &Tensor, targets: &[Tensor<u32>; 3], options: &CtcOptions) {
    let x = tape.input(logits).unwrap();
    let [labels, steps, counts] = targets.each_ref().map(|tensor| tape.input(tensor).unwrap());
    tape.ctc(&x, &labels, &steps, &counts, options).unwrap();
}

/// A trainer that only writes the gradient of the logits.
fn trainer(device: &Device, logits: &Tensor, targets: &[Tensor<u32>; 3], options: &CtcOptions) -> (Trainer, Tensor) {
    let gradient = Tensor::<f32>::zeros(device, logits.shape()).unwrap();
    // Something must be trained: a layer beside it, by a gradient of its own.
    let aside = Linear::trainable(device, Array2::zeros((1, 1)).view(), None).unwrap();
    let one = Tensor::<f32>::zeros(device, &[1, 1]).unwrap();
    let mut tape = Tape::training(device).unwrap();
    let one = tape.input(&one).unwrap();
    let y = tape.linear(&aside, &one).unwrap();
    tape.give_gradient(&y, &one).unwrap();
    let x = tape.input(logits).unwrap();
    tape.want_gradient(&x, &gradient).unwrap();
    add(&mut tape, logits, targets, options);
    (Trainer::new(tape, fixed()).unwrap(), gradient)
}

#[track_caller]
fn compare(name: &str, got: &ArrayD<f32>, expected: &ArrayD<f64>, tolerance: f64) {
    let comparison = Comparison::with_relative(name, got.view(), expected.view(), tolerance, tolerance).unwrap();
    assert!(comparison.passed(), "{comparison}");
}

#[track_caller]
fn compare_loss(name: &str, got: f32, expected: f64, tolerance: f64) {
    compare(
        &format!("{name}, loss"),
        &ArrayD::from_elem(vec![1], got),
        &ArrayD::from_elem(vec![1], expected),
        tolerance,
    );
}

/// For a mean and for a sum, whose divisors come by different ways.
#[test]
fn a_weight_multiplies_the_loss_and_its_gradient() {
    let data = Data::random(17, [6, 3, 4], 2, 2.0);
    for (name, device) in devices() {
        for reduction in [Reduction::Mean, Reduction::Sum] {
            let options = CtcOptions::default().reduction(reduction);
            let (gradient, loss) = data.gradient(&device, &options);
            let (logits, targets) = data.tensors(&device);
            let (got_loss, got) = loss_and_gradient(&device, &logits, |tape, x| {
                let [labels, steps, counts] = targets.each_ref().map(|tensor| tape.input(tensor).unwrap());
                tape.weighted(2.5, |tape| tape.ctc(x, &labels, &steps, &counts, &options))
            });
            let name = format!("{name} {reduction:?}");
            // A division and a few products more.
            compare(&name, &got, &gradient.mapv(|x| 2.5 * f64::from(x)), 4.0 * f64::from(f32::EPSILON));
            compare_loss(&name, got_loss, 2.5 * f64::from(loss.unwrap()), 4.0 * f64::from(f32::EPSILON));
        }
    }
}

/// The cases of the fixture with their options, losses and gradients.
fn cases() -> Vec<(Data, CtcOptions, f32, ArrayD<f32>)> {
    let fixture = Fixture::read("pytorch_ctc.safetensors");
    let [sizes, labels, input_lengths, label_lengths] =
        ["sizes", "labels", "input_lengths", "label_lengths"].map(|name| fixture.words(name).to_vec());
    let [logits, losses, gradients] =
        ["logits", "losses", "gradients"].map(|name| fixture.array(name).into_raw_vec_and_offset().0);
    let [mut at, mut label, mut sequence] = [0; 3];
    let mut cases = Vec::new();
    for (i, sizes) in sizes.chunks_exact(7).enumerate() {
        let [steps, batch, most, classes] = [0, 1, 2, 3].map(|i| sizes[i] as usize);
        let numbers = |all: &[f32]| {
            let part = all[at..][..steps * batch * classes].to_vec();
            Array3::from_shape_vec((steps, batch, classes), part).unwrap()
        };
        let data = Data {
            logits: numbers(&logits),
            labels: Array2::from_shape_vec((batch, most), labels[label..][..batch * most].to_vec()).unwrap(),
            input_lengths: input_lengths[sequence..][..batch].to_vec(),
            label_lengths: label_lengths[sequence..][..batch].to_vec(),
        };
        let reduction = if sizes[5] == 1 { Reduction::Sum } else { Reduction::Mean };
        let options = CtcOptions::default().blank(sizes[4]).reduction(reduction).zero_infinity(sizes[6] == 1);
        cases.push((data, options, losses[i], numbers(&gradients).into_dyn()));
        at += steps * batch * classes;
        label += batch * most;
        sequence += batch;
    }
    assert_eq!([at, label, sequence], [logits.len(), labels.len(), input_lengths.len()]);
    cases
}

#[test]
fn losses_and_gradients_of_five_hundred_cases_are_pytorchs() {
    let cases = cases();
    assert_eq!(cases.len(), 500);
    for (device_name, device) in devices() {
        for (i, (data, options, loss, gradient)) in cases.iter().enumerate() {
            let name = format!("case {i} on {device_name}");
            // Rounding of log probabilities up to about 100; gradients are at most 1.
            compare_loss(&name, data.loss(&device, options), f64::from(*loss), 2e-6);
            let (got, trained) = data.gradient(&device, options);
            compare(&format!("{name}, gradient"), &got, &gradient.mapv(f64::from), 1e-5);
            if let Some(trained) = trained {
                compare_loss(&format!("{name}, in training"), trained, f64::from(*loss), 2e-6);
            }
            assert_eq!(trained.is_some(), loss.is_finite(), "{name}");
        }
    }
}

fn log_add(a: f64, b: f64) -> f64 {
    let top = a.max(b);
    if top == f64::NEG_INFINITY { top } else { top + ((a - top).exp() + (b - top).exp()).ln() }
}

/// The loss of one sequence and its gradient, as the paper has them, in float64: equations 6 to 11 and 16.
fn plain(data: &Data) -> (f64, ArrayD<f64>) {
    let (steps, labels) = (data.input_lengths[0] as usize, data.label_lengths[0] as usize);
    let states = 2 * labels + 1;
    let class = |s: usize| if s.is_multiple_of(2) { 0 } else { data.labels[[0, s / 2]] as usize };
    let skips = |s: usize| s % 2 == 1 && s > 1 && class(s) != class(s - 2);
    let mut log_y = data.logits.mapv(f64::from).index_axis_move(Axis(1), 0);
    for mut row in log_y.rows_mut() {
        let sum = row.iter().fold(f64::NEG_INFINITY, |sum, &x| log_add(sum, x));
        row -= sum;
    }
    let mut alpha = Array2::from_elem((steps, states), f64::NEG_INFINITY);
    let mut beta = alpha.clone();
    for t in 0..steps {
        for s in 0..states {
            let mut sum = if t > 0 {
                alpha[[t - 1, s]]
            } else if s < 2 {
                0.0
            } else {
                f64::NEG_INFINITY
            };
            for (back, allowed) in [(1, s > 0), (2, skips(s))] {
                if t > 0 && allowed {
                    sum = log_add(sum, alpha[[t - 1, s - back]]);
                }
            }
            alpha[[t, s]] = sum + log_y[[t, class(s)]];
        }
    }
    // Without the probability of step t itself.
    for t in (0..steps).rev() {
        for s in 0..states {
            let after = |s: usize| beta[[t + 1, s]] + log_y[[t + 1, class(s)]];
            beta[[t, s]] = if t + 1 < steps {
                let mut sum = after(s);
                if s + 1 < states {
                    sum = log_add(sum, after(s + 1));
                }
                if s + 2 < states && skips(s + 2) {
                    sum = log_add(sum, after(s + 2));
                }
                sum
            } else if s + 2 >= states {
                0.0
            } else {
                f64::NEG_INFINITY
            };
        }
    }
    let total = (0..states).fold(f64::NEG_INFINITY, |sum, s| log_add(sum, alpha[[0, s]] + beta[[0, s]]));
    let mut gradient = Array3::zeros(data.logits.dim());
    for t in 0..steps {
        gradient.slice_mut(s![t, 0, ..]).assign(&log_y.row(t).mapv(f64::exp));
        for s in 0..states {
            gradient[[t, 0, class(s)]] -= (alpha[[t, s]] + beta[[t, s]] - total).exp();
        }
    }
    (-total, gradient.into_dyn())
}

/// 2,000 steps, 500 labels; and more steps than one dispatch may take.
#[test]
fn long_sequences_are_those_of_a_plain_loop_in_float64() {
    let sums = CtcOptions::default().reduction(Reduction::Sum);
    for (shape, labels, lengths) in
        [([2000, 2, 30], 500, [[2000, 500], [1777, 431]]), ([11_000, 2, 3], 2, [[10_999, 2], [3, 1]])]
    {
        let mut data = Data::random(9, shape, labels, 2.0);
        data.input_lengths = lengths.map(|[steps, _]| steps).to_vec();
        data.label_lengths = lengths.map(|[_, labels]| labels).to_vec();
        let expected = [0, 1].map(|n| plain(&data.alone(n)));
        let total: f64 = expected.iter().map(|(loss, _)| loss).sum();
        for (name, device) in devices() {
            compare_loss(name, data.loss(&device, &sums), total, 2e-6);
            let (gradient, loss) = data.gradient(&device, &sums);
            compare_loss(name, loss.unwrap(), total, 2e-6);
            for (n, (_, expected)) in expected.iter().enumerate() {
                let got = gradient.slice(s![.., n..=n, ..]).to_owned().into_dyn();
                // Logarithms of some tens, rounded thousands of times.
                compare(&format!("{name}, sequence {n}"), &got, expected, 5e-4);
            }
        }
    }
}

/// What only the device can see: it spoils its own sequence, and no other.
#[test]
fn a_sequence_that_is_out_of_range_has_the_loss_and_the_gradient_nan_and_spoils_no_other() {
    type Spoil = fn(&mut Data);
    let spoils: [(&str, Spoil, usize); 9] = [
        ("more steps than there are", |data| data.input_lengths[1] = 7, 6),
        ("far more steps than there are", |data| data.input_lengths[1] = u32::MAX, 6),
        ("more labels than there are", |data| data.label_lengths[1] = 4, 6),
        ("a label beyond the classes", |data| data.labels[[1, 2]] = 5, 6),
        ("a label far beyond the classes", |data| data.labels[[1, 2]] = u32::MAX, 6),
        ("a blank among the labels", |data| data.labels[[1, 0]] = 0, 6),
        ("NaN among the logits", |data| data.logits[[3, 1, 4]] = f32::NAN, 5),
        ("an infinite logit", |data| data.logits[[3, 1, 4]] = f32::INFINITY, 5),
        ("a step without a probability", |data| data.logits.slice_mut(s![2, 1, ..]).fill(f32::NEG_INFINITY), 5),
    ];
    for (device_name, device) in devices() {
        for zero in [false, true] {
            let options = CtcOptions::default().reduction(Reduction::Sum).zero_infinity(zero);
            for (name, spoil, steps) in spoils {
                let name = format!("{name} on {device_name}");
                let mut data = Data::random(3, [6, 3, 5], 3, 1.0);
                data.input_lengths[1] = 5;
                let good = data.clone();
                spoil(&mut data);
                assert!(data.loss(&device, &options).is_nan(), "{name}");
                let (gradient, loss) = data.gradient(&device, &options);
                assert_eq!(loss, None, "{name}");
                let (expected, _) = good.gradient(&device, &options);
                for n in [0, 2] {
                    assert_eq!(gradient.index_axis(Axis(1), n), expected.index_axis(Axis(1), n), "{name}");
                }
                let spoilt = gradient.index_axis(Axis(1), 1);
                assert!(spoilt.slice(s![..steps, ..]).iter().all(|g| g.is_nan()), "{name}: {spoilt}");
                assert!(spoilt.slice(s![steps.., ..]).iter().all(|g| *g == 0.0), "{name}: {spoilt}");
            }
        }
    }
}

/// What is behind a sequence's last step and label is not read.
#[test]
fn padding_has_no_effect() {
    for (name, device) in devices() {
        let mut data = Data::random(5, [9, 2, 6], 4, 2.0);
        data.input_lengths[1] = 6;
        data.label_lengths[1] = 2;
        let options = CtcOptions::default();
        let clean = (data.loss(&device, &options), data.gradient(&device, &options));
        data.logits.slice_mut(s![6.., 1, ..]).fill(f32::NAN);
        data.labels.slice_mut(s![1, 2..]).fill(u32::MAX);
        assert_eq!(clean, (data.loss(&device, &options), data.gradient(&device, &options)), "{name}");
        assert!(clean.1.0.slice(s![6.., 1, ..]).iter().all(|g| *g == 0.0), "{name}");
    }
}

/// A class that can't be has the probability 0: its gradient is 0, and alignments through it don't count.
#[test]
fn logits_of_minus_infinity_are_probabilities_of_zero() {
    for (name, device) in devices() {
        let mut data = Data::random(6, [5, 1, 4], 2, 1.0);
        data.labels.assign(&ndarray::array![[1, 2]]);
        data.logits.slice_mut(s![.., 0, 3]).fill(f32::NEG_INFINITY);
        data.logits[[1, 0, 2]] = f32::NEG_INFINITY;
        let (expected, slopes) = plain(&data);
        let options = CtcOptions::default().reduction(Reduction::Sum);
        compare_loss(name, data.loss(&device, &options), expected, 2e-6);
        compare(name, &data.gradient(&device, &options).0, &slopes, 1e-5);
        // Without its last label there is no alignment.
        data.logits.slice_mut(s![.., 0, 2]).fill(f32::NEG_INFINITY);
        assert_eq!(data.loss(&device, &options), f32::INFINITY, "{name}");
        assert_eq!(data.loss(&device, &options.zero_infinity(true)), 0.0, "{name}");
    }
}

#[test]
fn sequences_that_are_left_out_count_in_no_mean() {
    for (name, device) in devices() {
        for options in [CtcOptions::default(), CtcOptions::default().reduction(Reduction::Sum)] {
            let mut data = Data::random(7, [6, 2, 5], 3, 1.0);
            data.label_lengths[1] = IGNORED;
            let alone = data.alone(0);
            near(name, &[data.loss(&device, &options)], &[alone.loss(&device, &options)]);
            let (gradient, _) = data.gradient(&device, &options);
            let (expected, _) = alone.gradient(&device, &options);
            assert_eq!(gradient.index_axis(Axis(1), 0), expected.index_axis(Axis(1), 0), "{name}");
            assert!(gradient.index_axis(Axis(1), 1).iter().all(|g| *g == 0.0), "{name}");
            data.label_lengths[0] = IGNORED;
            let nothing = data.loss(&device, &options);
            assert!(if options.reduction == Reduction::Sum { nothing == 0.0 } else { nothing.is_nan() }, "{name}");
        }
    }
}

#[test]
fn labels_and_lengths_may_change_from_run_to_run_and_runs_are_equal_to_the_last_bit() {
    for (name, device) in devices() {
        let options = CtcOptions::default();
        let first = Data::random(1, [30, 3, 9], 8, 2.0);
        let mut second = Data::random(2, [30, 3, 9], 8, 2.0);
        second.input_lengths = vec![0, 30, 17];
        second.label_lengths = vec![0, 3, 8];
        let (logits, targets) = first.tensors(&device);
        let (mut trainer, gradient) = trainer(&device, &logits, &targets, &options);
        let mut write = |data: &Data| {
            logits.write(data.logits.view()).unwrap();
            targets[0].write(data.labels.view()).unwrap();
            targets[1].write(Array1::from_vec(data.input_lengths.clone()).view()).unwrap();
            targets[2].write(Array1::from_vec(data.label_lengths.clone()).view()).unwrap();
            trainer.step().unwrap();
            (gradient.read().unwrap(), Some(trainer.progress().unwrap().last_loss))
        };
        for data in [&first, &second, &first] {
            assert_eq!(write(data), data.gradient(&device, &options), "{name}");
        }
    }
}

#[test]
fn a_gradient_is_the_slope_of_the_loss() {
    for (name, device) in devices() {
        let mut data = Data::random(8, [12, 2, 5], 4, 1.5);
        data.input_lengths = vec![12, 9];
        data.label_lengths = vec![4, 3];
        let options = CtcOptions::default();
        let (gradient, _) = data.gradient(&device, &options);
        let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let moved = |sign: f64| {
            let step = gradient.mapv(|g| (sign * 0.02 * f64::from(g) / norm) as f32);
            let logits = &data.logits + &step.into_dimensionality::<ndarray::Ix3>().unwrap();
            f64::from(Data { logits, ..data.clone() }.loss(&device, &options))
        };
        let difference = moved(1.0) - moved(-1.0);
        // Losses near 3 in f32, and the third order of a step of 0.02.
        assert!((0.04 * norm - difference).abs() < 1e-3 * 0.04 * norm + 1e-6, "{name}: {norm}, {difference}");
    }
}

#[test]
fn what_the_host_can_see_is_an_error_by_name() {
    let device = Device::cpu();
    let mut tape = Tape::training(&device).unwrap();
    let number = |tape: &mut Tape, shape: &[usize]| tape.input(&Tensor::<f32>::zeros(&device, shape).unwrap()).unwrap();
    let index = |tape: &mut Tape, shape: &[usize]| tape.input(&Tensor::<u32>::zeros(&device, shape).unwrap()).unwrap();
    let (x, flat, other) = (number(&mut tape, &[4, 2, 3]), number(&mut tape, &[8, 3]), number(&mut tape, &[2]));
    let (labels, three) = (index(&mut tape, &[2, 5]), index(&mut tape, &[3, 5]));
    let (lengths, long) = (index(&mut tape, &[2]), index(&mut tape, &[2, 900]));
    let options = CtcOptions::default();
    let calls = [
        (tape.ctc(&flat, &labels, &lengths, &lengths, &options), "logits of CTC: expected the shape [T, N, C]"),
        (tape.ctc(&labels, &labels, &lengths, &lengths, &options), "logits: expected numbers"),
        (tape.ctc(&x, &x, &lengths, &lengths, &options), "labels: expected indices"),
        (tape.ctc(&x, &lengths, &lengths, &lengths, &options), "labels of CTC: expected the shape [N, S]"),
        (tape.ctc(&x, &three, &lengths, &lengths, &options), "labels of CTC: expected shape [2, 5], got [3, 5]"),
        (tape.ctc(&x, &labels, &other, &lengths, &options), "input lengths: expected indices"),
        (tape.ctc(&x, &labels, &lengths, &labels, &options), "label lengths of CTC: expected shape [2]"),
        (tape.ctc(&x, &long, &lengths, &lengths, &options), "at most 895, got 900"),
        (tape.ctc(&x, &labels, &lengths, &lengths, &options.blank(3)), "blank of CTC: expected a class, less than 3"),
    ];
    for (result, text) in calls {
        let error = result.expect_err(text).to_string();
        assert!(error.contains(text), "{error}\nlacks {text}");
    }
    for _ in 0..16 {
        tape.ctc(&x, &labels, &lengths, &lengths, &options).unwrap();
    }
    let error = tape.ctc(&x, &labels, &lengths, &lengths, &options).unwrap_err().to_string();
    assert!(error.contains("losses of a tape"), "{error}");
}

#[test]
fn targets_are_checked_before_they_reach_the_device() {
    let device = Device::cpu();
    let options = CtcOptions::default().blank(2);
    assert!(CtcTargets::new(&device, [4, 2, 2], 3, &options).is_err(), "the blank is no class");
    let targets = CtcTargets::new(&device, [4, 2, 5], 3, &options).unwrap();
    targets.write(&[vec![1, 4, 0]], &[3]).unwrap();
    let state = || {
        let words = [targets.labels(), targets.input_lengths(), targets.label_lengths()];
        words.map(|tensor| tensor.read().unwrap().into_raw_vec_and_offset().0)
    };
    let written = [vec![1, 4, 0, 0, 0, 0], vec![3, 0], vec![3, IGNORED]];
    assert_eq!(state(), written);
    type Labels<'a> = &'a [&'a [u32]];
    let wrong: [(Labels<'_>, &[u32], &str); 7] = [
        (&[], &[], "sequences of labels: expected from 1 to 2, got 0"),
        (&[&[], &[], &[]], &[1, 1, 1], "sequences of labels: expected from 1 to 2, got 3"),
        (&[&[1], &[1]], &[4], "input lengths: expected 2, one for each"),
        (&[&[1], &[1, 3, 2]], &[4, 4], "label 2 of sequence 1: expected less than 5, and not 2, the blank, got 2"),
        (&[&[5]], &[4], "label 0 of sequence 0"),
        (&[&[1, 1, 1, 1]], &[4], "labels of sequence 0: expected at most 3, got 4"),
        (&[&[1]], &[5], "input length of sequence 0: expected at most 4, got 5"),
    ];
    for (labels, lengths, text) in wrong {
        let error = targets.write(labels, lengths).expect_err(text).to_string();
        assert!(error.contains(text), "{error}\nlacks {text}");
        assert_eq!(state(), written, "nothing is written");
    }
}

/// Sequences that hold each of some symbols for a few steps, with pauses between them, and the symbols.
fn speech(random: &mut Random, [steps, batch, classes]: [usize; 3]) -> (Array3<f32>, Vec<Vec<u32>>) {
    let mut x = random.array([steps, batch, classes]).mapv(|noise| 0.3 * noise);
    let mut labels = vec![Vec::new(); batch];
    for (n, labels) in labels.iter_mut().enumerate() {
        let mut t = 1;
        while t + 4 <= steps {
            let label = 1 + ((random.number() + 1.0) * 8.0) as usize % (classes - 1);
            let end = t + 2 + usize::from(random.number() > 0.0);
            for t in t..end {
                x[[t, n, label]] += 1.0;
            }
            labels.push(label as u32);
            t = end + 1;
        }
    }
    (x, labels)
}

/// The labels of the most probable classes: repetitions are one, and blanks none.
fn decode(logits: &ArrayD<f32>, n: usize) -> Vec<u32> {
    let mut labels = Vec::new();
    let mut last = 0;
    for row in logits.index_axis(Axis(1), n).axis_iter(Axis(0)) {
        let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32;
        if best != last && best != 0 {
            labels.push(best);
        }
        last = best;
    }
    labels
}

#[test]
fn a_bidirectional_lstm_learns_where_labels_are_that_it_was_not_told() {
    for (name, device) in devices() {
        let (shape, options) = ([16, 8, 5], CtcOptions::default());
        let [steps, batch, classes] = shape;
        let config = RnnConfig::new(Cell::Lstm, classes, 12).direction(Direction::Bidirectional);
        let rnn = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 3).unwrap()).unwrap();
        let mut random = Random::new(12);
        let weight = random.array([1, classes, 24]).mapv(|w| 0.3 * w).index_axis_move(Axis(0), 0);
        let head = Linear::trainable(&device, weight.view(), Some(Array1::zeros(classes).view())).unwrap();
        let input = Tensor::<f32>::zeros(&device, &shape).unwrap();
        let scores = Tensor::<f32>::zeros(&device, &shape).unwrap();
        let targets = CtcTargets::new(&device, shape, 8, &options).unwrap();
        let state = rnn.device_state(batch).unwrap();
        let mut tape = Tape::training(&device).unwrap();
        let x = tape.input(&input).unwrap();
        let y = tape.rnn(&rnn, &x, &state, &RnnCall::default()).unwrap();
        let logits = tape.linear(&head, &y).unwrap();
        let copy = tape.input(&scores).unwrap();
        tape.plan().copy(&logits, &copy).unwrap();
        let [labels, lengths, counts] = [targets.labels(), targets.input_lengths(), targets.label_lengths()]
            .map(|tensor| tape.input(tensor).unwrap());
        tape.ctc(&logits, &labels, &lengths, &counts, &options).unwrap();
        let rate = LearningRate::Constant(0.02);
        let mut trainer = Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM).learning_rate(rate)).unwrap();
        let mut losses = Vec::new();
        let mut right = 0;
        for step in 0..100 {
            let (x, labels) = speech(&mut random, shape);
            input.write(x.view()).unwrap();
            targets.write(&labels, &vec![steps as u32; batch]).unwrap();
            trainer.step().unwrap();
            if step == 0 || step == 99 {
                losses.push(trainer.progress().unwrap().last_loss);
            }
            if step >= 98 {
                let logits = scores.read().unwrap();
                right += (0..batch).filter(|&n| decode(&logits, n) == labels[n]).count();
            }
        }
        assert!(losses[1] < 0.1 * losses[0] && right >= 14, "{name}: {losses:?}, {right} of 16 sequences are right");
    }
}

/// The trainer takes no step whose loss is infinite.
#[test]
fn an_alignment_that_can_not_be_ends_training_unless_infinite_losses_count_as_zero() {
    for (name, device) in devices() {
        for zero in [false, true] {
            let options = CtcOptions::default().zero_infinity(zero);
            let head = Linear::trainable(&device, Array2::ones((3, 2)).view(), None).unwrap();
            let x = Tensor::from_array(&device, Random::new(2).array([2, 2, 2]).view()).unwrap();
            let targets = CtcTargets::new(&device, [2, 2, 3], 3, &options).unwrap();
            // Two equal labels need a blank between them.
            targets.write(&[vec![1, 1], vec![1, 2]], &[2, 2]).unwrap();
            let mut tape = Tape::training(&device).unwrap();
            let x = tape.input(&x).unwrap();
            let logits = tape.linear(&head, &x).unwrap();
            let [labels, lengths, counts] = [targets.labels(), targets.input_lengths(), targets.label_lengths()]
                .map(|tensor| tape.input(tensor).unwrap());
            tape.ctc(&logits, &labels, &lengths, &counts, &options).unwrap();
            let mut trainer = Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM)).unwrap();
            trainer.step().unwrap();
            let weights: Vec<f32> =
                head.parameters().unwrap().read().unwrap().into_iter().flat_map(|(_, array)| array).collect();
            let moved = weights.iter().any(|&w| w != 1.0);
            assert_eq!(moved, zero, "{name}: {weights:?}");
            match trainer.progress() {
                Ok(progress) => assert!(zero && progress.last_loss > 0.0, "{name}"),
                Err(error) => assert!(!zero && matches!(error, Error::Diverged { step: 1, .. }), "{name}: {error}"),
            }
        }
    }
}
