//! Zoneout and recurrent dropout: against the textbook in float64 with masks drawn here once more.

use crate::common::{Random, devices, gpu, rnn, schedules};
use crate::gradients::{Arrays, slopes_of};
use ndarray::{Array1, Array2, Array3, ArrayD, Ix3, arr1, s};
use wgrnn::check::Comparison;
use wgrnn::{
    Activation, Cell, CellClip, Device, Direction, Error, LearningRate, Lengths, Linear, Optimizer, PlanBuilder,
    Precision, Reserve, Reset, Rnn, RnnCall, RnnConfig, RnnWeights, Schedule, SessionOptions, State, Tape, Tensor,
    Trainer, TrainerOptions,
};

/// Threefry-2x32 with 20 rounds, from its paper.
fn threefry(counter: [u32; 2], key: [u32; 2]) -> [u32; 2] {
    let keys = [key[0], key[1], 0x1bd1_1bda ^ key[0] ^ key[1]];
    let [mut x, mut y] = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for (round, rotation) in [13, 15, 26, 6, 17, 29, 16, 24].into_iter().cycle().take(20).enumerate() {
        x = x.wrapping_add(y);
        y = y.rotate_left(rotation) ^ x;
        if round % 4 == 3 {
            let group = round / 4 + 1;
            x = x.wrapping_add(keys[group % 3]);
            y = y.wrapping_add(keys[(group + 1) % 3]).wrapping_add(group as u32);
        }
    }
    [x, y]
}

fn is_below(word: u32, probability: f64) -> bool {
    f64::from(word) < (probability * 4_294_967_296.0).floor()
}

#[derive(Clone, Copy, Debug)]
enum Masks {
    Zoneout([f64; 2]),
    Dropout(f64),
}

const STEPS: usize = 5;
const LENGTHS: [usize; 3] = [2, 5, 3];
const BATCH: usize = LENGTHS.len();
const INPUTS: usize = 4;
const UNITS: usize = 6;

/// A layer, all that its loss Σ y·dy + Σ h·dh + Σ c·dc depends on, and what it draws with.
struct Example {
    config: RnnConfig,
    masks: Masks,
    /// Of dropout between layers.
    between: f64,
    weights: RnnWeights,
    x: Array3<f32>,
    state: State,
    dy: Array3<f32>,
    final_gradient: State,
    key: [u32; 2],
}

/// y, h and c.
type Outcome = (Array3<f64>, Array3<f64>, Array3<f64>);

impl Example {
    fn new(config: RnnConfig, masks: Masks, between: f64) -> Self {
        let config = match masks {
            Masks::Zoneout([h, c]) => config.zoneout(h, c),
            Masks::Dropout(p) => config.recurrent_dropout(p),
        };
        let config = config.with_dropout(between);
        let mut random = Random::new(3);
        let sizes = if config.is_batch_first() { [BATCH, STEPS] } else { [STEPS, BATCH] };
        Self {
            weights: RnnWeights::init(&config, 5).unwrap(),
            x: random.array([sizes[0], sizes[1], INPUTS]),
            dy: random.array([sizes[0], sizes[1], config.output_size()]),
            state: random.state(&config, BATCH),
            final_gradient: random.state(&config, BATCH),
            key: [7, 3],
            masks,
            between,
            config,
        }
    }

    /// Place of a step of a sequence in arrays.
    fn at(&self, t: usize, n: usize) -> [usize; 2] {
        if self.config.is_batch_first() { [n, t] } else { [t, n] }
    }

    /// The equations, with masks where it is training and the mean of zoneout where it is not.
    fn textbook(&self, training: bool, weights: &RnnWeights, x: &Array3<f32>, state: &State) -> Outcome {
        let directions = self.config.directions() * self.config.head_count();
        let layers = self.config.layer_count();
        let (mut h_all, mut c_all) = (state.h.mapv(f64::from), state.h.mapv(|_| 0.0));
        if let Some(c) = &state.c {
            c_all = c.mapv(f64::from);
        }
        let mut input = x.mapv(f64::from);
        for (layer, of_layer) in weights.layers().iter().enumerate() {
            // Those of dropout between layers come first.
            let stream = layer + if self.between > 0.0 { layers - 1 } else { 0 };
            let words = |counter: usize| threefry([counter as u32, stream as u32], self.key);
            let (a, b, _) = input.dim();
            let mut y = Array3::zeros((a, b, directions * UNITS));
            for (d, weights) in of_layer.iter().enumerate() {
                let matrix = |m: &Array2<f32>| m.mapv(f64::from);
                let bias = |b: &Option<Array1<f32>>| b.as_ref().unwrap().mapv(f64::from);
                let (w, r) = (matrix(&weights.w), matrix(&weights.r));
                let (b_w, b_r) = (bias(&weights.b_w), bias(&weights.b_r));
                let row = layer * directions + d;
                for (n, length) in LENGTHS.into_iter().enumerate() {
                    let mut h = h_all.slice(s![row, n, ..]).to_owned();
                    let mut c = c_all.slice(s![row, n, ..]).to_owned();
                    let mask = Array1::from_shape_fn(UNITS, |u| match self.masks {
                        Masks::Dropout(p) if training => {
                            // States are padded to whole vectors.
                            let kept = is_below(words((d * BATCH + n) * UNITS.next_multiple_of(4) + u)[0], 1.0 - p);
                            if kept { 1.0 / (1.0 - p) } else { 0.0 }
                        }
                        _ => 1.0,
                    });
                    for step in 0..length {
                        let t = if self.is_reverse(d) { length - 1 - step } else { step };
                        let [i, j] = self.at(t, n);
                        let wx = w.dot(&input.slice(s![i, j, ..])) + &b_w;
                        let rh = r.dot(&(&h * &mask)) + &b_r;
                        let (new_h, new_c) = self.cell(&wx, &rh, &h, &c);
                        let place = (i * b + j) * directions * UNITS + d * UNITS;
                        let zone = |which: usize, old: &Array1<f64>, new: &Array1<f64>| {
                            let Masks::Zoneout(z) = self.masks else { return new.clone() };
                            Array1::from_shape_fn(UNITS, |u| {
                                let kept = f64::from(u8::from(is_below(words(place + u)[which], z[which])));
                                let kept = if training { kept } else { z[which] };
                                kept * old[u] + (1.0 - kept) * new[u]
                            })
                        };
                        (h, c) = (zone(0, &h, &new_h), zone(1, &c, &new_c));
                        y.slice_mut(s![i, j, d * UNITS..(d + 1) * UNITS]).assign(&h);
                    }
                    h_all.slice_mut(s![row, n, ..]).assign(&h);
                    c_all.slice_mut(s![row, n, ..]).assign(&c);
                }
            }
            if training && self.between > 0.0 && layer + 1 < layers {
                for (i, y) in y.iter_mut().enumerate() {
                    let kept = is_below(threefry([i as u32, layer as u32], self.key)[0], 1.0 - self.between);
                    *y = if kept { *y / (1.0 - self.between) } else { 0.0 };
                }
            }
            input = y;
        }
        (input, h_all, c_all)
    }

    fn is_reverse(&self, track: usize) -> bool {
        // The examples are forward or bidirectional.
        track >= self.config.head_count()
    }

    /// h and c without zoneout.
    fn cell(&self, wx: &Array1<f64>, rh: &Array1<f64>, h: &Array1<f64>, c: &Array1<f64>) -> (Array1<f64>, Array1<f64>) {
        let gate = |a: &Array1<f64>, i: usize| a.slice(s![i * UNITS..(i + 1) * UNITS]).to_owned();
        let sigmoid = |a: Array1<f64>| a.mapv(|a| 1.0 / (1.0 + (-a).exp()));
        let tanh = |a: Array1<f64>| a.mapv(f64::tanh);
        match self.config.cell() {
            Cell::Elman(_) => (tanh(wx + rh), c.clone()),
            Cell::Lstm => {
                let a = wx + rh;
                let [i, f, o] = [0, 1, 3].map(|g| sigmoid(gate(&a, g)));
                let new_c = f * c + i * tanh(gate(&a, 2));
                (o * tanh(new_c.clone()), new_c)
            }
            _ => {
                let [reset, z] = [0, 1].map(|g| sigmoid(gate(wx, g) + gate(rh, g)));
                let n = tanh(gate(wx, 2) + reset * gate(rh, 2));
                (z.mapv(|z| 1.0 - z) * n + z * h, c.clone())
            }
        }
    }

    fn loss(&self, weights: &RnnWeights, x: &Array3<f32>, state: &State) -> f64 {
        let (y, h, c) = self.textbook(true, weights, x, state);
        let sum = |a: &Array3<f64>, b: &Array3<f32>| a.iter().zip(b).map(|(a, &b)| a * f64::from(b)).sum::<f64>();
        let of_c = self.final_gradient.c.as_ref().map_or(0.0, |dc| sum(&c, dc));
        sum(&y, &self.dy) + sum(&h, &self.final_gradient.h) + of_c
    }

    fn initial(&self, carry: bool) -> State {
        if carry { self.state.clone() } else { State::zeros(&self.config, BATCH).unwrap() }
    }

    /// Both passes of training.
    fn train(&self, device: &Device, way: Way) -> Passes {
        let rnn = Rnn::trainable(device, &self.config, &self.weights).unwrap();
        let lengths = if way.per_run {
            let lengths = rnn.batch_lengths(STEPS, BATCH).unwrap();
            lengths.write(&LENGTHS).unwrap();
            Lengths::PerRun(lengths)
        } else {
            Lengths::Fixed(LENGTHS.to_vec())
        };
        let Way { schedule, keep_every, carry, .. } = way;
        // A row or two at a time, where that is not the reserve's matter.
        let call = RnnCall::default()
            .lengths(lengths)
            .schedule(schedule)
            .keep_every(keep_every)
            .carry(carry)
            .input_part_bytes(1);
        let training = rnn.training(SessionOptions::new(STEPS, BATCH).call(call), false).unwrap();
        training.seed().write(arr1(&self.key).view()).unwrap();
        training.input().write(self.x.view()).unwrap();
        // What is there counts only where it is carried.
        training.state().write(&self.state).unwrap();
        training.output_gradient().write(self.dy.view()).unwrap();
        training.state_gradient().write(&self.final_gradient).unwrap();
        training.forward().unwrap();
        let (y, state) = (training.output().read().unwrap(), training.state().read().unwrap());
        training.backward().unwrap();
        let gradients: Vec<(String, ArrayD<f32>)> = rnn.parameters().unwrap().gradients().unwrap();
        Passes {
            y,
            state,
            weights_gradient: RnnWeights::from_named(&self.config, &gradients).unwrap(),
            x_gradient: training.input_gradient().read().unwrap().into_dimensionality::<Ix3>().unwrap(),
            state_gradient: training.state_gradient().read().unwrap(),
        }
    }
}

/// What a forward pass and a backward pass give.
#[derive(Debug, PartialEq)]
struct Passes {
    y: ArrayD<f32>,
    state: State,
    weights_gradient: RnnWeights,
    x_gradient: Array3<f32>,
    state_gradient: State,
}

/// How an example is run.
#[derive(Clone, Copy, Debug)]
struct Way {
    schedule: Schedule,
    keep_every: Option<usize>,
    carry: bool,
    per_run: bool,
}

const WAYS: [Way; 4] = [
    Way { schedule: Schedule::Sequence, keep_every: None, carry: true, per_run: false },
    Way { schedule: Schedule::Step, keep_every: Some(2), carry: true, per_run: false },
    Way { schedule: Schedule::Step, keep_every: None, carry: false, per_run: true },
    Way { schedule: Schedule::Sequence, keep_every: Some(3), carry: false, per_run: false },
];

/// Every way on the CPU, two of them on each GPU.
fn ways(device: &str, example: usize) -> Vec<Way> {
    match device {
        "cpu" => WAYS.to_vec(),
        "gpu" => vec![WAYS[example % 4], WAYS[(example + 1) % 4]],
        _ => vec![WAYS[(example + 2) % 4], WAYS[(example + 3) % 4]],
    }
}

const ELMAN: Cell = Cell::Elman(Activation::Tanh);
const GRU: Cell = Cell::Gru(Reset::After);

fn examples() -> Vec<Example> {
    let new = |cell| RnnConfig::new(cell, INPUTS, UNITS);
    let deep = |cell| new(cell).layers(2).direction(Direction::Bidirectional);
    vec![
        Example::new(new(ELMAN), Masks::Zoneout([0.3, 0.0]), 0.0),
        Example::new(deep(Cell::Lstm).heads(2), Masks::Zoneout([0.3, 0.4]), 0.0),
        Example::new(deep(GRU).batch_first(true), Masks::Zoneout([0.4, 0.0]), 0.3),
        Example::new(new(Cell::Lstm).layers(3), Masks::Zoneout([0.0, 0.4]), 0.0),
        Example::new(deep(ELMAN), Masks::Dropout(0.4), 0.2),
        Example::new(deep(Cell::Lstm).heads(3).batch_first(true), Masks::Dropout(0.3), 0.0),
        Example::new(deep(GRU), Masks::Dropout(0.4), 0.0),
        Example::new(new(GRU).layers(3).batch_first(true), Masks::Dropout(0.5), 0.0),
    ]
}

/// What differs from the textbook by more than rounding in sums of so few numbers near 1.
fn differences(name: &str, y: &ArrayD<f32>, state: &State, expected: &Outcome) -> Vec<String> {
    let (expected_y, expected_h, expected_c) = expected;
    let compare = |part: &str, got: &ArrayD<f32>, expected: &Array3<f64>| {
        let name = format!("{name}, {part}");
        Comparison::new(name, got.view(), expected.view().into_dyn(), 32.0 * f64::from(f32::EPSILON)).unwrap()
    };
    let mut all = vec![compare("y", y, expected_y), compare("h", &state.h.clone().into_dyn(), expected_h)];
    all.extend(state.c.as_ref().map(|c| compare("c", &c.clone().into_dyn(), expected_c)));
    all.iter().filter(|comparison| !comparison.passed()).map(ToString::to_string).collect()
}

/// Both passes at once, since shaders cost more time than their runs.
#[test]
fn training_equals_the_textbook_with_the_same_masks_and_gradients_are_its_slopes() {
    let mut faults = Vec::new();
    for (name, device) in devices() {
        for (i, example) in examples().iter().enumerate() {
            for way in ways(name, i) {
                let name = format!("{name}, example {i} {way:?}");
                let initial = example.initial(way.carry);
                let got = example.train(&device, way);
                let expected = example.textbook(true, &example.weights, &example.x, &initial);
                faults.extend(differences(&name, &got.y, &got.state, &expected));
                let inputs = Arrays { weights: &example.weights, x: &example.x, state: &initial };
                let gradients =
                    Arrays { weights: &got.weights_gradient, x: &got.x_gradient, state: &got.state_gradient };
                let loss = |weights: &RnnWeights, x: &Array3<f32>, state: &State| example.loss(weights, x, state);
                let slopes = slopes_of(&example.config, inputs, gradients, 1, loss).into_iter();
                faults.extend(
                    slopes.filter(|slope| !slope.is_right()).map(|slope| format!("{name}, gradient of {slope}")),
                );
            }
        }
    }
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
}

/// The examples' masks matter: with those of another seed neither outputs nor slopes are the textbook's.
#[test]
fn other_masks_are_not_the_textbooks() {
    for (i, example) in examples().into_iter().enumerate() {
        let expected = example.textbook(true, &example.weights, &example.x, &example.state);
        for key in [[8, 3], [7, 4]] {
            let got = Example { key, ..examples().swap_remove(i) }.train(&Device::cpu(), WAYS[0]);
            assert!(!differences("other", &got.y, &got.state, &expected).is_empty(), "example {i} {key:?}");
        }
        assert_eq!(example.train(&Device::cpu(), WAYS[0]), example.train(&Device::cpu(), WAYS[0]));
    }
}

#[test]
fn inference_is_the_mean_of_zoneout() {
    for (name, device) in devices() {
        for (i, example) in examples().iter().enumerate() {
            let lengths = Lengths::Fixed(LENGTHS.to_vec());
            let layer = rnn(&device, &example.config);
            let weights = RnnWeights::init(&example.config, 7).unwrap();
            let expected = example.textbook(false, &weights, &example.x, &example.state);
            let all = schedules();
            // All of them on the CPU, one in turn on each GPU; layers side by side where there are several forward ones.
            let own = match name {
                _ if i == 3 => &[Schedule::Wavefront],
                "cpu" => &all[..],
                "gpu" => &all[i % all.len()..][..1],
                _ => &all[(i + 1) % all.len()..][..1],
            };
            for &schedule in own {
                let call = RnnCall::default().lengths(lengths.clone()).schedule(schedule);
                let got = layer.forward_with(example.x.view(), Some(&example.state), &call).unwrap();
                let faults = differences(&format!("{name}, example {i} {schedule:?}"), &got.y, &got.state, &expected);
                assert!(faults.is_empty(), "{}", faults.join("\n"));
                // The reference says the same.
                let report = layer.check(example.x.view(), Some(&example.state), &call).unwrap();
                assert!(report.passed(), "{report}");
            }
        }
    }
}

#[test]
fn inference_knows_nothing_of_recurrent_dropout() {
    for (name, device) in devices() {
        for cell in [ELMAN, Cell::Lstm, GRU] {
            let plain = RnnConfig::new(cell, INPUTS, UNITS).layers(2);
            let x = Random::new(1).array([STEPS, BATCH, INPUTS]);
            let [a, b] = [plain.clone(), plain.recurrent_dropout(0.5)].map(|config| rnn(&device, &config));
            assert_eq!(a.forward(x.view()).unwrap(), b.forward(x.view()).unwrap(), "{name}");
            // Kernel by kernel.
            let plans = [a, b].map(|rnn| rnn.session(SessionOptions::new(STEPS, BATCH)).unwrap().plan().to_string());
            assert_eq!(plans[0], plans[1], "{name}");
        }
    }
}

/// The final state of a step of many sequences of an LSTM with this configuration, from a state of random numbers, and that
/// state.
fn step(device: &Device, config: &RnnConfig, key: [u32; 2]) -> (State, State) {
    const MANY: usize = 150;
    let rnn = Rnn::trainable(device, config, &RnnWeights::init(config, 1).unwrap()).unwrap();
    let training = rnn.training(SessionOptions::new(1, MANY), false).unwrap();
    let state = Random::new(4).state(config, MANY);
    training.seed().write(arr1(&key).view()).unwrap();
    training.input().write(Random::new(5).array([1, MANY, config.input_size()]).view()).unwrap();
    training.state().write(&state).unwrap();
    training.forward().unwrap();
    (state, training.state().read().unwrap())
}

#[test]
fn zoneout_keeps_as_many_units_as_it_should() {
    for (name, device) in devices() {
        let config = RnnConfig::new(Cell::Lstm, 3, 40).zoneout(0.3, 0.1);
        let kept = |old: &Array3<f32>, new: &Array3<f32>| -> Vec<bool> {
            old.iter().zip(new).map(|(old, new)| old == new).collect()
        };
        let drawn = |key| {
            let (old, new) = step(&device, &config, key);
            [kept(&old.h, &new.h), kept(&old.c.unwrap(), &new.c.unwrap())]
        };
        let masks = drawn([1, 2]);
        let both = masks[0].iter().zip(&masks[1]).filter(|(h, c)| **h && **c).count();
        let count = |mask: &[bool]| mask.iter().filter(|kept| **kept).count();
        // Of 6000 units 1800, 600 and, as the two know nothing of each other, 180 both; standard deviations 36, 24 and 14.
        assert!((1620..1980).contains(&count(&masks[0])), "{name}: {}", count(&masks[0]));
        assert!((480..720).contains(&count(&masks[1])), "{name}: {}", count(&masks[1]));
        assert!((110..250).contains(&both), "{name}: {both}");
        assert_eq!(masks, drawn([1, 2]), "{name}");
        for other in [[1, 3], [2, 2]] {
            let other = drawn(other);
            assert!(masks[0] != other[0] && masks[1] != other[1], "{name}");
        }
    }
}

/// With R = 1 and nothing else an Elman cell multiplies h by its mask, step by step.
#[test]
fn a_sequence_has_one_mask_of_recurrent_dropout_at_all_steps() {
    const WIDE: usize = 40;
    let config = RnnConfig::new(Cell::Elman(Activation::Relu), 2, WIDE).recurrent_dropout(0.5);
    let mut layers = RnnWeights::init(&config, 0).unwrap().layers().to_vec();
    let weights = &mut layers[0][0];
    weights.w.fill(0.0);
    weights.r = Array2::eye(WIDE);
    for bias in [&mut weights.b_w, &mut weights.b_r].into_iter().flatten() {
        bias.fill(0.0);
    }
    let weights = RnnWeights::new(layers);
    for (name, device) in devices() {
        for schedule in [Schedule::Step, Schedule::Sequence] {
            let rnn = Rnn::trainable(&device, &config, &weights).unwrap();
            let call = RnnCall::default().carry(true).schedule(schedule);
            let training = rnn.training(SessionOptions::new(6, 20).call(call), false).unwrap();
            training.state().write(&State { h: Array3::ones((1, 20, WIDE)), c: None }).unwrap();
            training.forward().unwrap();
            let y = training.output().read().unwrap().into_dimensionality::<Ix3>().unwrap();
            for (t, y) in y.outer_iter().enumerate() {
                // Where it was dropped once it is dropped always; else doubled each time.
                assert!(y.iter().all(|&y| y == 0.0 || y == 2.0_f32.powi(t as i32 + 1)), "{name} {t}");
            }
            let kept = |t: usize| y.slice(s![t, .., ..]).mapv(|y| y > 0.0);
            assert_eq!(kept(0), kept(5), "{name}");
            // 400 of 800, standard deviation 14; and sequences differ.
            let count = kept(0).iter().filter(|kept| **kept).count();
            assert!((330..470).contains(&count), "{name}: {count}");
            assert_ne!(kept(0).row(0), kept(0).row(1), "{name}");
        }
    }
}

/// Two layers of a tape draw different masks, at each step others, and none in evaluation.
#[test]
fn places_of_a_model_draw_different_masks() {
    for (name, device) in devices() {
        let config = RnnConfig::new(GRU, 3, 8).zoneout(0.5, 0.0);
        let layer = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 1).unwrap()).unwrap();
        let numbers = Random::new(1).array([4, 2, 3]);
        let x = Tensor::from_array(&device, numbers.view()).unwrap();
        let outputs = [0, 1].map(|_| Tensor::<f32>::zeros(&device, &[4, 2, 8]).unwrap());
        let states = [0, 1].map(|_| layer.device_state(2).unwrap());
        let head = Linear::trainable(&device, Array2::zeros((1, 8)).view(), None).unwrap();
        let write = |tape: &mut Tape, i: usize, y: &wgrnn::plan::Value| {
            let output = tape.input(&outputs[i]).unwrap();
            tape.plan().copy(y, &output).unwrap();
        };
        let read = || outputs.each_ref().map(|output| output.read().unwrap());
        let mut tape = Tape::training(&device).unwrap();
        let value = tape.input(&x).unwrap();
        for (i, state) in states.iter().enumerate() {
            let y = tape.rnn(&layer, &value, state, &RnnCall::default()).unwrap();
            write(&mut tape, i, &y);
            let y = tape.linear(&head, &y).unwrap();
            let target = Tensor::<f32>::zeros(&device, &[4, 2, 1]).unwrap();
            let target = tape.input(&target).unwrap();
            tape.mean_squared_error(&y, &target).unwrap();
        }
        let rate = LearningRate::Constant(0.0);
        let options = TrainerOptions::new(Optimizer::ADAM).learning_rate(rate);
        let mut trainer = Trainer::new(tape, options).unwrap();
        trainer.step().unwrap();
        let first = read();
        trainer.step().unwrap();
        let second = read();
        assert!(first[0] != first[1] && first[0] != second[0] && first[1] != second[1], "{name}");
        let mut tape = Tape::evaluating(&device).unwrap();
        let value = tape.input(&x).unwrap();
        for (i, state) in states.iter().enumerate() {
            let y = tape.rnn(&layer, &value, state, &RnnCall::default()).unwrap();
            write(&mut tape, i, &y);
        }
        tape.evaluation().unwrap().run().unwrap();
        let evaluated = read();
        assert_eq!(evaluated[0], evaluated[1], "{name}");
        assert_eq!(evaluated[0], layer.forward(numbers.view()).unwrap().y, "{name}");
    }
}

#[test]
fn what_cannot_be_drawn_is_refused_by_name() {
    let refused = |config: RnnConfig, parts: &[&str]| {
        let error = RnnWeights::init(&config, 0).unwrap_err();
        assert!(matches!(error, Error::Value { .. }), "{error}");
        assert!(parts.iter().all(|part| error.to_string().contains(part)), "{error}");
    };
    let new = |cell| RnnConfig::new(cell, 2, 3);
    for (wrong, said) in [(1.0, "1"), (-0.1, "-0.1"), (f64::NAN, "NaN")] {
        refused(new(Cell::Lstm).zoneout(wrong, 0.1), &["zoneout of h", "less than 1", said]);
        refused(new(Cell::Lstm).zoneout(0.1, wrong), &["zoneout of c", "less than 1", said]);
        refused(new(Cell::Lstm).recurrent_dropout(wrong), &["recurrent dropout", "less than 1", said]);
    }
    refused(new(GRU).zoneout(0.1, 0.1), &["zoneout of c", "gru_reset_after"]);
    refused(new(Cell::Lstm).zoneout(0.1, 0.1).recurrent_dropout(0.1), &["zoneout with recurrent dropout"]);
    let clip = CellClip { low: (-1.0).into(), high: 1.0.into(), propagates_nan: true };
    let others = [
        new(Cell::Gru(Reset::Before)),
        new(Cell::Lstm).projection(2),
        new(Cell::MinGru),
        new(Cell::Qrnn),
        new(Cell::IndRnn(Activation::Tanh)),
        new(Cell::Elman(Activation::Softsign)),
        new(Cell::Lstm).peepholes(true),
        new(Cell::Lstm).cell_clip(clip),
        new(GRU).clip(1.0),
    ];
    for config in others {
        refused(config.clone().zoneout(0.1, 0.0), &["zoneout", "usual form"]);
        refused(config.recurrent_dropout(0.1), &["recurrent dropout", "usual form"]);
    }
    // With nothing to draw there is nothing to refuse.
    assert_eq!(new(Cell::MinGru).zoneout(0.0, 0.0).recurrent_dropout(0.0), new(Cell::MinGru));
}

/// A reserve of one's own has no seed.
#[test]
fn masks_are_not_drawn_without_a_seed() {
    let device = gpu();
    for config in [RnnConfig::new(GRU, 3, 4).zoneout(0.1, 0.0), RnnConfig::new(GRU, 3, 4).recurrent_dropout(0.1)] {
        let layer = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 0).unwrap()).unwrap();
        let call = RnnCall::default();
        let reserve = Reserve::new(&layer, 2, 2, &call).unwrap();
        let tensor = |shape: [usize; 3]| Tensor::<f32>::zeros(&device, &shape).unwrap();
        let (x, y) = (tensor([2, 2, 3]), tensor([2, 2, 4]));
        let mut plan = PlanBuilder::new(&device);
        let [x, y] = [&x, &y].map(|tensor| plan.tensor(tensor).unwrap());
        let state = layer.device_state(2).unwrap();
        let error = plan.rnn_keeping(&layer, &x, &state, &call, &y, &reserve).unwrap_err();
        assert!(matches!(error, Error::Value { .. }) && error.to_string().contains("seed"), "{error}");
        assert!(plan.plan().commands().is_empty());
    }
}

/// Weights in half precision, whose training rounds nothing else.
#[test]
fn both_devices_draw_the_same_with_weights_in_half_precision() {
    for config in
        [RnnConfig::new(Cell::Lstm, 3, 10).zoneout(0.2, 0.2), RnnConfig::new(GRU, 3, 10).recurrent_dropout(0.3)]
    {
        let config = config.precision(Precision::Half).layers(2);
        let weights = RnnWeights::init(&config, 2).unwrap();
        let layer = Rnn::trainable(&gpu(), &config, &weights).unwrap();
        let call = RnnCall::default().lengths(Lengths::Fixed(vec![4, 6, 1]));
        let report = layer.check_gradients(Random::new(3).array([6, 3, 3]).view(), &call).unwrap();
        assert!(report.passed(), "{report}");
        let forward = layer.check(Random::new(3).array([6, 3, 3]).view(), None, &call).unwrap();
        assert!(forward.passed(), "{forward}");
    }
}

/// Products so large that threads take some of the units each.
#[test]
fn units_that_threads_share_out_have_their_own_masks() {
    const WIDE: usize = 300;
    let new = |cell| RnnConfig::new(cell, 3, WIDE);
    for config in [
        new(GRU).zoneout(0.3, 0.0),
        new(Cell::Lstm).zoneout(0.3, 0.2),
        new(GRU).recurrent_dropout(0.3),
        new(Cell::Lstm).recurrent_dropout(0.3),
    ] {
        let layer = Rnn::trainable(&gpu(), &config, &RnnWeights::init(&config, 2).unwrap()).unwrap();
        let call = RnnCall::default().schedule(Schedule::Step);
        let x = Random::new(3).array([3, 4, 3]);
        let report = layer.check_gradients(x.view(), &call).unwrap();
        assert!(report.passed(), "{config:?}\n{report}");
        let report = rnn(&Device::cpu(), &config).check(x.view(), None, &call).unwrap();
        assert!(report.passed(), "{config:?}\n{report}");
    }
}
