//! Empty sequences, masks, resets, packed and ragged batches: against a plain loop over the textbook, values and gradients.

use crate::common::{Random, configs, devices, gpu, schedules, weights};
use crate::gradients::{Arrays, has_slopes, slopes_of};
use ndarray::{Array1, Array2, Array3, ArrayD, ArrayView2, Axis, Ix2, Ix3, s};
use wgrnn::check::Comparison;
use wgrnn::{
    Cell, Device, Direction, Lengths, Output, PackedSequence, ResetTo, Rnn, RnnCall, RnnConfig, RnnGradients,
    RnnWeights, Schedule, SequenceMap, SessionOptions, State, reference,
};

/// Rounding of a few steps of values below 1, in another order of summation, in float32 against float64.
const TOLERANCE: f64 = 64.0 * f32::EPSILON as f64;

/// A step of a sequence as a plain loop sees it.
#[derive(Clone, Copy, Debug)]
struct Step {
    row: usize,
    is_valid: bool,
    is_reset: bool,
}

/// A batch as lists of steps over the rows of an array.
#[derive(Clone, Debug)]
struct Batch {
    sequences: Vec<Vec<Step>>,
    to_initial: bool,
    repeats: bool,
}

impl Batch {
    /// Full sequences of these lengths in an array [T, N] or [N, T].
    fn grid(steps: usize, lengths: &[usize], batch_first: bool) -> Self {
        let row = |n: usize, t: usize| if batch_first { n * steps + t } else { t * lengths.len() + n };
        let sequence = |(n, &length): (usize, &usize)| {
            (0..length).map(|t| Step { row: row(n, t), is_valid: true, is_reset: false }).collect()
        };
        Self { sequences: lengths.iter().enumerate().map(sequence).collect(), to_initial: false, repeats: false }
    }

    fn steps(&mut self) -> impl Iterator<Item = &mut Step> {
        self.sequences.iter_mut().flatten()
    }

    /// A value of each step in the layout of the array.
    fn flags(&self, shape: (usize, usize), of: impl Fn(&Step) -> bool) -> Array2<bool> {
        let mut flags = Array1::from_elem(shape.0 * shape.1, false);
        self.sequences.iter().flatten().for_each(|step| flags[step.row] = of(step));
        flags.into_shape_with_order(shape).unwrap()
    }

    fn resets_at(&self) -> Vec<Vec<usize>> {
        let of = |steps: &Vec<Step>| (0..steps.len()).filter(|&t| steps[t].is_reset).collect();
        self.sequences.iter().map(of).collect()
    }

    fn rows(&self) -> Vec<Vec<usize>> {
        let of = |steps: &Vec<Step>| steps.iter().map(|step| step.row).collect();
        self.sequences.iter().map(of).collect()
    }
}

/// Rows of outputs, final h and final c.
struct Plain {
    y: Array2<f64>,
    h: Array3<f64>,
    c: Option<Array3<f64>>,
}

/// One sequence after the other, one stretch between resets after the other, by the textbook in float64.
fn plain(config: &RnnConfig, weights: &RnnWeights, x: ArrayView2<'_, f64>, batch: &Batch, state: &State) -> Plain {
    let (count, width) = (batch.sequences.len(), config.output_size());
    let tracks = width / config.state_size();
    let all_reverse = *config == config.clone().direction(Direction::Reverse);
    let is_reverse = |row: usize| all_reverse || config.directions() == 2 && row % tracks >= tracks / 2;
    let wide = |state: &Array3<f32>| Array3::<f64>::zeros((state.len_of(Axis(0)), count, state.len_of(Axis(2))));
    let mut all = Plain { y: Array2::zeros((x.nrows(), width)), h: wide(&state.h), c: state.c.as_ref().map(wide) };
    let config = &config.clone().batch_first(false);
    for (n, steps) in batch.sequences.iter().enumerate() {
        let cuts = (1..steps.len()).filter(|&t| steps[t].is_reset);
        let starts: Vec<usize> = std::iter::once(0).chain(cuts).collect();
        let ends = starts[1..].iter().copied().chain([steps.len()]);
        let stretches: Vec<_> = starts.iter().zip(ends).map(|(&start, end)| start..end).collect();
        let reset_first = steps.first().is_some_and(|step| step.is_reset);
        for (i, stretch) in stretches.iter().enumerate() {
            let begin = |states: &Array3<f32>| {
                let mut states = states.slice(s![.., n..=n, ..]).to_owned();
                for (row, mut state) in states.outer_iter_mut().enumerate() {
                    let is_first = if is_reverse(row) { i + 1 == stretches.len() } else { i == 0 && !reset_first };
                    if !is_first && !batch.to_initial {
                        state.fill(0.0);
                    }
                }
                states
            };
            let initial = State { h: begin(&state.h), c: state.c.as_ref().map(begin) };
            let rows: Vec<usize> = steps[stretch.clone()].iter().filter(|s| s.is_valid).map(|s| s.row).collect();
            let part = x.select(Axis(0), &rows).insert_axis(Axis(1));
            let got = reference::forward::<f64>(config, weights, part.view(), None, Some(&initial)).unwrap();
            for (&row, y) in rows.iter().zip(got.y.index_axis(Axis(1), 0).rows()) {
                all.y.row_mut(row).assign(&y);
            }
            for row in 0..state.h.len_of(Axis(0)) {
                if i == if is_reverse(row) { 0 } else { stretches.len() - 1 } {
                    all.h.slice_mut(s![row, n, ..]).assign(&got.h.slice(s![row, 0, ..]));
                    if let (Some(all), Some(got)) = (&mut all.c, &got.c) {
                        all.slice_mut(s![row, n, ..]).assign(&got.slice(s![row, 0, ..]));
                    }
                }
            }
        }
        if batch.repeats {
            repeat(config, &mut all.y, steps, tracks, is_reverse);
        }
    }
    all
}

/// Masked steps give what the step before gave, as a direction reads them; nothing passes a reset.
fn repeat(config: &RnnConfig, y: &mut Array2<f64>, steps: &[Step], tracks: usize, is_reverse: impl Fn(usize) -> bool) {
    let units = config.state_size();
    for track in 0..tracks {
        let mut last = Array1::zeros(units);
        let reverse = is_reverse(track);
        let order: Vec<usize> = if reverse { (0..steps.len()).rev().collect() } else { (0..steps.len()).collect() };
        for t in order {
            if steps[t].is_reset && !reverse {
                last.fill(0.0);
            }
            let mut own = y.slice_mut(s![steps[t].row, track * units..(track + 1) * units]);
            if steps[t].is_valid {
                last.assign(&own);
            } else {
                own.assign(&last);
            }
            if steps[t].is_reset && reverse {
                last.fill(0.0);
            }
        }
    }
}

fn close(name: &str, got: &ArrayD<f32>, expected: ArrayD<f64>) {
    if expected.is_empty() {
        assert_eq!(got.shape(), expected.shape(), "{name}");
        return;
    }
    let largest = expected.iter().fold(1.0_f64, |largest, x| largest.max(x.abs()));
    let comparison = Comparison::new(name, got.view(), expected.view(), TOLERANCE * largest).unwrap();
    assert!(comparison.passed(), "{comparison}");
}

/// Output rows and final state of a call are those of a plain loop.
fn compare(name: &str, y: &ArrayD<f32>, state: &State, expected: Plain) {
    let rows = y.len() / expected.y.ncols().max(1);
    let flat = y.to_shape((rows, expected.y.ncols())).unwrap().to_owned().into_dyn();
    close(&format!("{name}: y"), &flat, expected.y.into_dyn());
    close(&format!("{name}: h"), &state.h.clone().into_dyn(), expected.h.into_dyn());
    assert_eq!(state.c.is_some(), expected.c.is_some(), "{name}");
    if let (Some(got), Some(expected)) = (&state.c, expected.c) {
        close(&format!("{name}: c"), &got.clone().into_dyn(), expected.into_dyn());
    }
}

/// The rows of an array [T, N, I] or [N, T, I].
fn flat(x: &Array3<f32>) -> Array2<f64> {
    let (a, b, features) = x.dim();
    x.to_shape((a * b, features)).unwrap().mapv(f64::from)
}

const STEPS: usize = 7;
const SEQUENCES: usize = 4;

/// Every cell, a stack in both directions, with both layouts in turn.
fn stacks() -> impl Iterator<Item = RnnConfig> {
    let directions = [Direction::Bidirectional, Direction::Forward, Direction::Reverse];
    let turn = move |(i, config): (usize, RnnConfig)| {
        config.layers(1 + i % 2).direction(directions[i % 3]).batch_first(i % 4 >= 2)
    };
    let bidirectional = configs(3, 5).into_iter().map(|config| config.layers(2).direction(Direction::Bidirectional));
    configs(3, 5).into_iter().enumerate().map(turn).chain(bidirectional)
}

fn input(config: &RnnConfig, random: &mut Random) -> Array3<f32> {
    let shape = if config.is_batch_first() { [SEQUENCES, STEPS] } else { [STEPS, SEQUENCES] };
    random.array([shape[0], shape[1], config.input_size()])
}

fn shape(config: &RnnConfig) -> (usize, usize) {
    if config.is_batch_first() { (SEQUENCES, STEPS) } else { (STEPS, SEQUENCES) }
}

/// Runs a call and a plain loop on every device and schedule.
fn check(name: &str, config: &RnnConfig, batch: &Batch, lengths: &Lengths, seed: u32) {
    let mut random = Random::new(seed);
    let weights = weights(config, seed);
    let (x, state) = (input(config, &mut random), random.state(config, SEQUENCES));
    let zeros = State::zeros(config, SEQUENCES).unwrap();
    for (device_name, device) in devices() {
        let rnn = Rnn::new(&device, config, weights.clone()).unwrap();
        for schedule in schedules().into_iter().chain([Schedule::Wavefront]) {
            let call = RnnCall::default().lengths(lengths.clone()).schedule(schedule);
            let name = format!("{name}, {config:?}, {schedule:?} on {device_name}");
            for given in [Some(&state), None] {
                let got = rnn.forward_with(x.view(), given, &call).unwrap();
                let expected = plain(config, &weights, flat(&x).view(), batch, given.unwrap_or(&zeros));
                compare(&name, &got.y, &got.state, expected);
            }
        }
        let call = RnnCall::default().lengths(lengths.clone()).output(Output::Last);
        let got = rnn.forward_with(x.view(), Some(&state), &call).unwrap();
        let first = got.state.h.len_of(Axis(0)) - config.output_size() / config.state_size();
        for (n, last) in got.y.into_dimensionality::<Ix2>().unwrap().outer_iter().enumerate() {
            let expected = got.state.h.slice(s![first.., n, ..]);
            assert!(last.iter().eq(expected.iter()), "{name}: last output of sequence {n}");
        }
    }
}

/// Gradients of weights, input and initial state are the slopes of a plain loop's loss.
fn check_gradients(name: &str, config: &RnnConfig, batch: &Batch, call: &RnnCall, seed: u32) {
    let mut random = Random::new(seed);
    let weights = weights(config, seed);
    let (x, state) = (input(config, &mut random), random.state(config, SEQUENCES));
    let mut last = random.state(config, SEQUENCES);
    if let (Cell::Slstm, Some(c)) = (config.cell(), &mut last.c) {
        // m is the larger one of two numbers: a step may cross from one to the other. h does not see it.
        c.fill(0.0);
    }
    let (a, b) = shape(config);
    let dy = random.array([a, b, config.output_size()]);
    for (device_name, device) in [("gpu", gpu()), ("cpu", Device::cpu())] {
        let rnn = Rnn::trainable(&device, config, &weights).unwrap();
        let got = rnn.gradients(x.view(), Some(&state), call, dy.view().into_dyn(), Some(&last)).unwrap();
        let inputs = Arrays { weights: &weights, x: &x, state: &state };
        let slopes = slopes_of(config, inputs, (&got).into(), seed, |weights, x, state| {
            let got = plain(config, weights, flat(x).view(), batch, state);
            let sum = |a: &mut dyn Iterator<Item = &f64>, b: &mut dyn Iterator<Item = &f32>| -> f64 {
                a.zip(b).map(|(a, &b)| a * f64::from(b)).sum()
            };
            let c = got.c.as_ref().zip(last.c.as_ref());
            sum(&mut got.y.iter(), &mut dy.iter())
                + sum(&mut got.h.iter(), &mut last.h.iter())
                + c.map_or(0.0, |(c, d)| sum(&mut c.iter(), &mut d.iter()))
        });
        for slope in slopes {
            assert!(slope.is_right(), "{name}, {config:?}, {call:?} on {device_name}: {slope}");
        }
        let got_y = got.output.y.clone();
        compare(name, &got_y, &got.output.state, plain(config, &weights, flat(&x).view(), batch, &state));
    }
}

/// Those with a backward pass and derivatives everywhere.
fn trainable() -> impl Iterator<Item = (usize, RnnConfig)> {
    stacks().enumerate().filter(|(_, config)| has_slopes(config))
}

/// Calls that training makes: whole, in parts, and step by step.
fn trained(lengths: &Lengths, i: usize) -> RnnCall {
    let call = RnnCall::default().lengths(lengths.clone());
    match i % 4 {
        0 => call,
        1 => call.keep_every(2),
        2 => call.schedule(Schedule::Step),
        _ => call.schedule(Schedule::Sequence).keep_every(3),
    }
}

#[test]
fn empty_sequences_keep_their_initial_state() {
    for (i, config) in stacks().enumerate() {
        for lengths in [[0, 3, 0, STEPS], [0, 0, 0, 0]] {
            let batch = Batch::grid(STEPS, &lengths, config.is_batch_first());
            check("empty sequences", &config, &batch, &Lengths::Fixed(lengths.to_vec()), i as u32);
        }
    }
}

#[test]
fn empty_sequences_may_change_from_run_to_run() {
    for (i, config) in stacks().enumerate() {
        let mut random = Random::new(i as u32);
        let weights = weights(&config, i as u32);
        let (x, state) = (input(&config, &mut random), random.state(&config, SEQUENCES));
        for (name, device) in devices() {
            let rnn = Rnn::new(&device, &config, weights.clone()).unwrap();
            let lengths = rnn.batch_lengths(STEPS, SEQUENCES).unwrap();
            let call = RnnCall::default().lengths(Lengths::PerRun(lengths.clone()));
            for list in [[2, 0, 5, 0], [0; 4], [0, STEPS, 1, 3]] {
                lengths.write(&list).unwrap();
                let batch = Batch::grid(STEPS, &list, config.is_batch_first());
                for given in [None, Some(&state)] {
                    let got = rnn.forward_with(x.view(), given, &call).unwrap();
                    let zeros = State::zeros(&config, SEQUENCES).unwrap();
                    let expected = plain(&config, &weights, flat(&x).view(), &batch, given.unwrap_or(&zeros));
                    compare(&format!("{list:?} of {config:?} on {name}"), &got.y, &got.state, expected);
                }
            }
        }
    }
}

#[test]
fn gradients_pass_through_empty_sequences() {
    for (i, config) in trainable() {
        for lengths in [[0, 3, 0, STEPS], [0, 0, 0, 0]] {
            let batch = Batch::grid(STEPS, &lengths, config.is_batch_first());
            let call = trained(&Lengths::Fixed(lengths.to_vec()), i);
            check_gradients("empty sequences", &config, &batch, &call, i as u32);
        }
    }
}

#[test]
fn gradients_pass_through_sequences_that_are_empty_in_some_run() {
    let config = RnnConfig::new(Cell::Lstm, 3, 5).layers(2).direction(Direction::Bidirectional);
    let mut random = Random::new(3);
    let (x, state, last) =
        (input(&config, &mut random), random.state(&config, SEQUENCES), random.state(&config, SEQUENCES));
    let dy = random.array([STEPS, SEQUENCES, config.output_size()]);
    for (name, device) in devices() {
        for keep_every in [None, Some(2)] {
            let rnn = Rnn::trainable(&device, &config, &weights(&config, 1)).unwrap();
            let lengths = rnn.batch_lengths(STEPS, SEQUENCES).unwrap();
            for list in [[0, 4, 0, 1], [0; 4]] {
                lengths.write(&list).unwrap();
                let gradients = |lengths| {
                    let call = RnnCall::default().lengths(lengths).keep_every(keep_every);
                    rnn.gradients(x.view(), Some(&state), &call, dy.view().into_dyn(), Some(&last)).unwrap()
                };
                let per_run = gradients(Lengths::PerRun(lengths.clone()));
                assert_eq!(per_run, gradients(Lengths::Fixed(list.to_vec())), "{list:?} {keep_every:?} on {name}");
            }
        }
    }
}

#[test]
fn an_input_without_a_step_gives_the_initial_state() {
    for config in stacks() {
        let mut random = Random::new(1);
        let state = random.state(&config, 2);
        let shape = if config.is_batch_first() { (2, 0, 3) } else { (0, 2, 3) };
        let x = Array3::zeros(shape);
        let rnn = Rnn::trainable(&Device::cpu(), &config, &weights(&config, 1)).unwrap();
        let call = RnnCall::default();
        let got = rnn.forward_with(x.view(), Some(&state), &call).unwrap();
        assert_eq!(got.state, state);
        assert_eq!(got.y.shape(), [shape.0, shape.1, config.output_size()]);
        let dy = got.y.clone();
        let gradients = rnn.gradients(x.view(), None, &call, dy.view(), Some(&state)).unwrap();
        assert_eq!(gradients.state, state);
        assert!(gradients.weights.named().all(|(_, array)| array.iter().all(|&w| w == 0.0)));
        let call = call.output(Output::Last);
        let last = rnn.forward_with(x.view(), Some(&state), &call).unwrap().y;
        let dy = ArrayD::ones(last.shape());
        let gradients = rnn.gradients(x.view(), Some(&state), &call, dy.view(), None).unwrap();
        let first = state.h.len_of(Axis(0)) - config.output_size() / config.state_size();
        for (n, last) in last.into_dimensionality::<Ix2>().unwrap().outer_iter().enumerate() {
            assert!(last.iter().eq(state.h.slice(s![first.., n, ..]).iter()));
        }
        assert!(gradients.state.h.slice(s![first.., .., ..]).iter().all(|&d| d == 1.0));
        assert!(gradients.state.h.slice(s![..first, .., ..]).iter().all(|&d| d == 0.0));
    }
}

/// A random mask: padding at the left, holes, a sequence of nothing.
fn masked(config: &RnnConfig, random: &mut Random, repeats: bool) -> (Batch, Array2<bool>) {
    let mut batch = Batch { repeats, ..Batch::grid(STEPS, &[STEPS; SEQUENCES], config.is_batch_first()) };
    batch.steps().for_each(|step| step.is_valid = random.number() > -0.2);
    let mask = |n: usize, t: usize| n != 1 && (n != 0 || t >= 2);
    for (n, steps) in batch.sequences.iter_mut().enumerate() {
        steps.iter_mut().enumerate().for_each(|(t, step)| step.is_valid &= mask(n, t));
    }
    let flags = batch.flags(shape(config), |step| step.is_valid);
    (batch, flags)
}

#[test]
fn masked_steps_keep_the_state_in_any_place() {
    for (i, config) in stacks().enumerate() {
        let repeats = i % 2 == 1;
        let (batch, mask) = masked(&config, &mut Random::new(i as u32), repeats);
        let map = SequenceMap::mask(mask.view());
        let map = if repeats { map.repeat_output() } else { map };
        check("mask", &config, &batch, &map.into(), i as u32);
    }
}

#[test]
fn gradients_of_masked_steps_are_those_of_a_plain_loop() {
    for (i, config) in trainable() {
        let repeats = i % 2 == 0;
        let (batch, mask) = masked(&config, &mut Random::new(i as u32), repeats);
        let map = SequenceMap::mask(mask.view());
        let map = if repeats { map.repeat_output() } else { map };
        check_gradients("mask", &config, &batch, &trained(&map.into(), i), i as u32);
    }
}

/// But for the order of sums, which kernels cut into parts by the steps that may come.
fn near(name: &str, got: &RnnGradients, expected: &RnnGradients) {
    close(name, &got.output.y, expected.output.y.mapv(f64::from));
    close(name, &got.x.clone().into_dyn(), expected.x.mapv(f64::from).into_dyn());
    let weights = got.weights.named().zip(expected.weights.named());
    weights.for_each(|((_, got), (_, expected))| close(name, &got.to_owned(), expected.mapv(f64::from)));
}

#[test]
fn masks_may_change_from_run_to_run() {
    for (i, config) in trainable().filter(|(i, _)| i.is_multiple_of(3)) {
        let mut random = Random::new(i as u32);
        let (x, state) = (input(&config, &mut random), random.state(&config, SEQUENCES));
        let (a, b) = shape(&config);
        let dy = random.array([a, b, config.output_size()]).into_dyn();
        for device in [gpu(), Device::cpu()] {
            let name = format!("{config:?} on {}", device.name());
            let rnn = Rnn::trainable(&device, &config, &weights(&config, i as u32)).unwrap();
            let lengths = rnn.batch_lengths(STEPS, SEQUENCES).unwrap();
            let call = RnnCall::default().lengths(Lengths::PerRun(lengths.clone()));
            for _ in 0..3 {
                let (_, mask) = masked(&config, &mut random, false);
                lengths.write_mask(mask.view()).unwrap();
                let run =
                    |call: &RnnCall| rnn.gradients(x.view(), Some(&state), call, dy.view(), Some(&state)).unwrap();
                near(&name, &run(&call), &run(&RnnCall::default().map(SequenceMap::mask(mask.view()))));
            }
            lengths.write(&[1, 2, 3, 4]).unwrap();
            let run = |call: &RnnCall| rnn.forward_with(x.view(), None, call).unwrap().y;
            let fixed = RnnCall::default().lengths(Lengths::Fixed(vec![1, 2, 3, 4]));
            close(&name, &run(&call), run(&fixed).mapv(f64::from));
        }
    }
}

/// Random resets, also before the first step, the last one, and none at all; over a mask in every other case.
fn reset(config: &RnnConfig, i: usize) -> (Batch, SequenceMap) {
    let mut random = Random::new(100 + i as u32);
    let has_mask = i % 2 == 1;
    let (mut batch, mask) = if has_mask {
        masked(config, &mut random, i % 4 == 3)
    } else {
        let batch = Batch::grid(STEPS, &[STEPS; SEQUENCES], config.is_batch_first());
        let mask = batch.flags(shape(config), |_| true);
        (batch, mask)
    };
    batch.steps().for_each(|step| step.is_reset = random.number() > 0.4);
    batch.sequences[0][0].is_reset = true;
    batch.sequences[2][STEPS - 1].is_reset = true;
    batch.sequences[3].iter_mut().for_each(|step| step.is_reset = false);
    batch.to_initial = i % 3 == 2;
    let flags = batch.flags(shape(config), |step| step.is_reset);
    let map = match (has_mask, i.is_multiple_of(3)) {
        (true, true) => SequenceMap::mask(mask.view()).with_resets(flags.view()),
        (true, false) => SequenceMap::mask(mask.view()).with_resets_at(&batch.resets_at()),
        (false, true) => SequenceMap::resets(flags.view()),
        (false, false) => SequenceMap::resets_at(&batch.resets_at()),
    };
    let map = if batch.repeats { map.repeat_output() } else { map };
    let map = map.reset_to(if batch.to_initial { ResetTo::Initial } else { ResetTo::Zeros });
    (batch, map)
}

#[test]
fn resets_begin_sequences_anew() {
    for (i, config) in stacks().enumerate() {
        let (batch, map) = reset(&config, i);
        check("resets", &config, &batch, &map.into(), i as u32);
    }
}

#[test]
fn no_gradient_passes_a_reset() {
    for (i, config) in trainable() {
        let (batch, map) = reset(&config, i);
        check_gradients("resets", &config, &batch, &trained(&map.into(), i), i as u32);
    }
}

const LENGTHS: [usize; SEQUENCES] = [2, 5, 1, 4];

#[test]
fn packed_and_ragged_batches_are_as_their_sequences_alone() {
    for (i, config) in stacks().enumerate() {
        let mut random = Random::new(i as u32);
        let weights = weights(&config, 3);
        let state = random.state(&config, SEQUENCES);
        let x: Vec<Array2<f32>> =
            LENGTHS.iter().map(|&length| random.array([1, length, 3]).index_axis_move(Axis(0), 0)).collect();
        let views: Vec<_> = x.iter().map(|x| x.view()).collect();
        let packed = PackedSequence::pack(&views).unwrap();
        assert_eq!(packed.unpack().unwrap(), x);
        for (name, device) in devices() {
            let rnn = Rnn::new(&device, &config, weights.clone()).unwrap();
            let call = RnnCall::default();
            let ragged = rnn.forward_ragged(&views, Some(&state), &call).unwrap();
            let by_pack = rnn.forward_packed(&packed, Some(&state), &call).unwrap();
            assert_eq!(
                (by_pack.y.batch_sizes(), by_pack.y.sorted_indices()),
                (packed.batch_sizes(), packed.sorted_indices())
            );
            let unpacked = by_pack.y.unpack().unwrap();
            for (n, x) in x.iter().enumerate() {
                let one = |array: &Array3<f32>| array.slice(s![.., n..=n, ..]).to_owned();
                let initial = State { h: one(&state.h), c: state.c.as_ref().map(one) };
                let batch = Batch::grid(x.nrows(), &[x.nrows()], false);
                for (way, y, last) in [("ragged", &ragged.y, &ragged.state), ("packed", &unpacked, &by_pack.state)] {
                    let last = State { h: one(&last.h), c: last.c.as_ref().map(one) };
                    let expected = plain(&config, &weights, x.mapv(f64::from).view(), &batch, &initial);
                    compare(&format!("{way} {n}, {config:?} on {name}"), &y[n].clone().into_dyn(), &last, expected);
                }
            }
        }
    }
}

/// A training program over packed rows gives the gradients of padded sequences.
#[test]
fn gradients_of_packed_sequences_are_those_of_padded_ones() {
    for (i, config) in stacks().enumerate() {
        let config = config.batch_first(false);
        let mut random = Random::new(i as u32);
        let (x, last) = (input(&config, &mut random), random.state(&config, SEQUENCES));
        let state = random.state(&config, SEQUENCES);
        let dy = random.array([STEPS, SEQUENCES, config.output_size()]);
        let sequences = |array: &Array3<f32>| -> Vec<Array2<f32>> {
            LENGTHS.iter().enumerate().map(|(n, &length)| array.slice(s![..length, n, ..]).to_owned()).collect()
        };
        let pack = |array: &Array3<f32>| {
            let sequences = sequences(array);
            PackedSequence::pack(&sequences.iter().map(|x| x.view()).collect::<Vec<_>>()).unwrap()
        };
        for (name, device) in [("gpu", gpu()), ("cpu", Device::cpu())] {
            let rnn = Rnn::trainable(&device, &config, &weights(&config, 3)).unwrap();
            let call = RnnCall::default().lengths(Lengths::Fixed(LENGTHS.to_vec()));
            let padded = rnn.gradients(x.view(), Some(&state), &call, dy.view().into_dyn(), Some(&last)).unwrap();
            let packed = pack(&x);
            let training = rnn.training(SessionOptions::packed(&packed.map().unwrap()).unwrap(), false).unwrap();
            training.state().write(&state).unwrap();
            training.state_gradient().write(&last).unwrap();
            training.input().write(packed.data().view()).unwrap();
            training.output_gradient().write(pack(&dy).data().view()).unwrap();
            training.forward().unwrap();
            training.backward().unwrap();
            let near = |what: &str, got: ArrayD<f32>, expected: ArrayD<f32>| {
                close(&format!("{what}, {config:?} on {name}"), &got, expected.mapv(f64::from));
            };
            near(
                "y",
                training.output().read().unwrap(),
                pack(&padded.output.y.clone().into_dimensionality::<Ix3>().unwrap()).data().clone().into_dyn(),
            );
            near("dx", training.input_gradient().read().unwrap(), pack(&padded.x).data().clone().into_dyn());
            near("dh", training.state_gradient().read().unwrap().h.into_dyn(), padded.state.h.into_dyn());
            let gradients = rnn.parameters().unwrap().gradients().unwrap();
            for ((name, got), (_, expected)) in gradients.into_iter().zip(padded.weights.named()) {
                near(&name, got, expected.to_owned());
            }
        }
    }
}

#[test]
fn sequences_without_a_step_may_be_in_a_ragged_batch() {
    let config = RnnConfig::new(Cell::Lstm, 3, 5).layers(2);
    let rnn = Rnn::new(&Device::cpu(), &config, weights(&config, 1)).unwrap();
    let mut random = Random::new(1);
    let state = random.state(&config, 2);
    let (none, some) = (Array2::zeros((0, 3)), random.array([1, 3, 3]).index_axis_move(Axis(0), 0));
    let got = rnn.forward_ragged(&[none.view(), some.view()], Some(&state), &RnnCall::default()).unwrap();
    assert_eq!((got.y[0].dim(), got.y[1].dim()), ((0, 5), (3, 5)));
    assert_eq!(got.state.h.slice(s![.., 0, ..]), state.h.slice(s![.., 0, ..]));
    let all_empty = rnn.forward_ragged(&[none.view(), none.view()], Some(&state), &RnnCall::default()).unwrap();
    assert_eq!((all_empty.y[1].dim(), all_empty.state), ((0, 5), state));
}

#[test]
fn resets_may_be_in_a_packed_batch() {
    let config = RnnConfig::new(Cell::Lstm, 3, 5).direction(Direction::Bidirectional);
    let weights = weights(&config, 1);
    let rnn = Rnn::new(&Device::cpu(), &config, weights.clone()).unwrap();
    let mut random = Random::new(1);
    let state = random.state(&config, 2);
    let x: Vec<Array2<f32>> = [2, 5].map(|t| random.array([1, t, 3]).index_axis_move(Axis(0), 0)).into();
    let packed = PackedSequence::pack(&[x[0].view(), x[1].view()]).unwrap();
    let resets = vec![vec![1], vec![0, 3]];
    let call = RnnCall::default().map(SequenceMap::resets_at(&resets));
    let got = rnn.forward_packed(&packed, Some(&state), &call).unwrap();
    // Sequence 1 is the longer one: it lies first.
    let rows = vec![vec![1, 3], vec![0, 2, 4, 5, 6]];
    let step = |n: usize| {
        let of = |(t, &row): (usize, &usize)| Step { row, is_valid: true, is_reset: resets[n].contains(&t) };
        rows[n].iter().enumerate().map(of).collect::<Vec<_>>()
    };
    let batch = Batch { sequences: vec![step(0), step(1)], to_initial: false, repeats: false };
    let expected = plain(&config, &weights, packed.data().mapv(f64::from).view(), &batch, &state);
    compare("packed with resets", &got.y.data().clone().into_dyn(), &got.state, expected);
    assert_eq!(batch.rows(), rows);
}
