//! Gradients of layers: PyTorch's numbers, finite differences of the textbook in float64, and what must not change them.

use crate::common::{Random, common_schedules, devices, equals, gpu, weights};
use crate::golden::{Entry, Fixture, numbers};
use crate::random_layers::{Drawn, drawn};
use ndarray::{Array3, ArrayBase, ArrayD, ArrayViewD, Ix3, Zip, s};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use safetensors::SafeTensors;
use wgrnn::check::Comparison;
use wgrnn::{
    Activation, Cell, CellClip, Device, Direction, Error, Lengths, Output, PlanBuilder, Reserve, Rnn, RnnCall,
    RnnConfig, RnnGradients, RnnWeights, Schedule, SessionOptions, State, Tensor, reference,
};

/// PyTorch's own float32 is up to 10 ε of a tensor's largest element away from its float64; sums here run in another
/// order, over rows of all steps, so three times that.
const TOLERANCE: f64 = 32.0 * f32::EPSILON as f64;

/// How a case is run.
#[derive(Clone, Copy, Debug)]
struct Way {
    schedule: Schedule,
    keep_every: Option<usize>,
    per_run: bool,
}

const PLAIN: Way = Way { schedule: Schedule::Auto, keep_every: None, per_run: false };

/// Everything that has a gradient, or the gradients in the places of what they are of.
#[derive(Clone, Copy)]
pub struct Arrays<'a> {
    pub weights: &'a RnnWeights,
    pub x: &'a Array3<f32>,
    pub state: &'a State,
}

impl<'a> From<&'a RnnGradients> for Arrays<'a> {
    fn from(gradients: &'a RnnGradients) -> Self {
        Self { weights: &gradients.weights, x: &gradients.x, state: &gradients.state }
    }
}

impl<'a> Arrays<'a> {
    fn named(self) -> Vec<(String, ArrayViewD<'a, f32>)> {
        let mut all: Vec<_> = self.weights.named().collect();
        all.push(("input".to_owned(), self.x.view().into_dyn()));
        all.push(("h0".to_owned(), self.state.h.view().into_dyn()));
        all.extend(self.state.c.as_ref().map(|c| ("c0".to_owned(), c.view().into_dyn())));
        all
    }
}

/// Names and arrays of all gradients.
fn all(gradients: &RnnGradients) -> Vec<(String, ArrayViewD<'_, f32>)> {
    Arrays::from(gradients).named()
}

/// What is wrong with a golden case.
fn faults(fixture: &Fixture, entry: &Entry, device: &Device, way: Way) -> Vec<String> {
    let file = SafeTensors::deserialize(&fixture.bytes).unwrap();
    let array = |name: &str| numbers(&file, &format!("{}/{name}", entry.name));
    let three = |name: &str| array(name).map(|array| array.into_dimensionality::<Ix3>().unwrap());
    let case = fixture.case(entry);
    let rnn = Rnn::trainable(device, &case.config, &case.weights).unwrap();
    let lengths = if way.per_run {
        let (a, b, _) = case.x.dim();
        let (steps, batch) = if case.config.is_batch_first() { (b, a) } else { (a, b) };
        let lengths = rnn.batch_lengths(steps, batch).unwrap();
        case.lengths.iter().for_each(|list| lengths.write(list).unwrap());
        Lengths::PerRun(lengths)
    } else {
        case.lengths.into()
    };
    let call = RnnCall::default().lengths(lengths).schedule(way.schedule).keep_every(way.keep_every);
    let final_gradient = State { h: three("dhn").unwrap(), c: three("dcn") };
    let dy = array("dy").unwrap();
    let got = rnn.gradients(case.x.view(), case.state.as_ref(), &call, dy.view(), Some(&final_gradient)).unwrap();
    let compared = all(&got);
    assert_eq!(compared.len(), file.names().iter().filter(|n| n.starts_with(&format!("{}/grad/", entry.name))).count());
    let compare = |(name, got): &(String, ArrayViewD<'_, f32>)| {
        let expected = array(&format!("grad/{name}")).unwrap_or_else(|| panic!("{name} has no gradient"));
        let largest = expected.iter().fold(1.0_f32, |largest, x| largest.max(x.abs()));
        let name = format!("{} {way:?} on {}, {name}", entry.name, device.name());
        Comparison::new(name, got.view(), expected.mapv(f64::from).view(), TOLERANCE * f64::from(largest)).unwrap()
    };
    compared.iter().map(compare).filter(|comparison| !comparison.passed()).map(|c| c.to_string()).collect()
}

/// Every golden case, or every n-th of them.
fn golden(device: &Device, way: Way, every: usize) {
    let fixture = Fixture::read("pytorch_gradients.safetensors");
    assert_eq!(fixture.entries.len(), 70);
    let entries = fixture.entries.iter().step_by(every);
    let faults: Vec<_> = entries.flat_map(|entry| faults(&fixture, entry, device, way)).collect();
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_gpu_gives_pytorchs_gradients() {
    golden(&gpu(), PLAIN, 1);
}

#[test]
fn the_cpu_gives_pytorchs_gradients() {
    golden(&Device::cpu(), PLAIN, 1);
}

/// Those that are for inference only run step by step here.
#[test]
fn every_schedule_gives_pytorchs_gradients() {
    for schedule in common_schedules() {
        golden(&gpu(), Way { schedule, ..PLAIN }, 3);
        golden(&Device::cpu(), Way { schedule, ..PLAIN }, 1);
    }
}

#[test]
fn steps_computed_again_give_pytorchs_gradients() {
    for (name, device) in devices() {
        for (every, schedule) in [(1, Schedule::Auto), (3, Schedule::Step), (100, Schedule::Sequence)] {
            golden(&device, Way { keep_every: Some(every), schedule, ..PLAIN }, if name == "cpu" { 1 } else { 5 });
        }
    }
}

#[test]
fn lengths_written_before_each_run_give_pytorchs_gradients() {
    for (name, device) in devices() {
        for schedule in common_schedules() {
            golden(&device, Way { per_run: true, schedule, ..PLAIN }, if name == "cpu" { 1 } else { 3 });
        }
        golden(&device, Way { per_run: true, keep_every: Some(2), ..PLAIN }, if name == "cpu" { 1 } else { 5 });
    }
}

/// A layer and the numbers that its loss Σ y·dy + Σ h·dh + Σ c·dc depends on.
struct Loss {
    config: RnnConfig,
    call: RnnCall,
    weights: RnnWeights,
    x: Array3<f32>,
    state: State,
    dy: ArrayD<f32>,
    final_gradient: State,
}

/// An sLSTM's m is the larger one of two numbers, and its c and n are over e^m: a step may cross from one to the other. h does
/// not see it.
fn without_kinks(config: &RnnConfig, mut gradient: State) -> State {
    if let (Cell::Slstm, Some(c)) = (config.cell(), &mut gradient.c) {
        c.fill(0.0);
    }
    gradient
}

impl Loss {
    fn new(drawn: &Drawn) -> Self {
        let Drawn { config, steps, batch, call, seed, .. } = drawn;
        let mut random = Random::new(*seed);
        let features = config.input_size();
        let sizes = if config.is_batch_first() { [*batch, *steps] } else { [*steps, *batch] };
        let dy = match call.output {
            Output::All => random.array([sizes[0], sizes[1], config.output_size()]).into_dyn(),
            Output::Last => random.array([1, *batch, config.output_size()]).slice_move(s![0, .., ..]).into_dyn(),
            other => panic!("no gradient is drawn for {other:?}"),
        };
        Self {
            weights: weights(config, *seed),
            x: random.array([sizes[0], sizes[1], features]),
            state: random.state(config, *batch),
            final_gradient: without_kinks(config, random.state(config, *batch)),
            dy,
            config: config.clone(),
            call: call.clone(),
        }
    }

    fn gradients(&self, device: &Device) -> RnnGradients {
        let rnn = Rnn::trainable(device, &self.config, &self.weights).unwrap();
        let final_gradient = Some(&self.final_gradient);
        rnn.gradients(self.x.view(), Some(&self.state), &self.call, self.dy.view(), final_gradient).unwrap()
    }

    /// The loss by the textbook in float64.
    fn value(&self, weights: &RnnWeights, x: &Array3<f32>, state: &State) -> f64 {
        let x = x.mapv(f64::from);
        let lengths = self.call.lengths.list();
        let got = reference::forward(&self.config, weights, x.view(), lengths.as_deref(), Some(state)).unwrap();
        let sum = |a: ArrayViewD<'_, f64>, b: ArrayViewD<'_, f32>| -> f64 {
            a.iter().zip(&b).map(|(a, &b)| a * f64::from(b)).sum()
        };
        let y = match self.call.output {
            Output::All => sum(got.y.view().into_dyn(), self.dy.view()),
            Output::Last => {
                let units = self.config.state_size();
                let tracks = self.config.output_size() / units;
                let first = (self.config.layer_count() - 1) * tracks;
                let part = |d: usize| {
                    let dy = self.dy.slice(s![.., d * units..(d + 1) * units]);
                    sum(got.h.slice(s![first + d, .., ..]).into_dyn(), dy.into_dyn())
                };
                (0..tracks).map(part).sum()
            }
            other => panic!("{other:?} has no loss here"),
        };
        let h = sum(got.h.view().into_dyn(), self.final_gradient.h.view().into_dyn());
        let c = got.c.as_ref().zip(self.final_gradient.c.as_ref());
        y + h + c.map_or(0.0, |(c, d)| sum(c.view().into_dyn(), d.view().into_dyn()))
    }
}

/// Every number of `array` moved by up to 2⁻¹⁷ either way, and the difference of the two as it is in f32.
fn nudged(random: &mut Random, array: ArrayViewD<'_, f32>) -> [ArrayD<f32>; 2] {
    let step = array.mapv(|_| random.number() / 131_072.0);
    [&array + &step, &array - &step]
}

/// Of one array.
pub struct Slope {
    name: String,
    /// Gradient times step.
    product: f64,
    /// What the loss does on that step.
    difference: f64,
    /// Root of the summed squares of the product's terms: what they come to where their signs are random, and what their errors
    /// are a part of.
    size: f64,
}

impl Slope {
    /// The step is 2⁻¹⁷ wide at most: what is left of third order is some 2⁻³² of the slope, more where norms divide by little;
    /// the gradient is rounded to f32 at every step and in every sum.
    pub fn is_right(&self) -> bool {
        let size = self.product.abs().max(self.difference.abs()).max(self.size);
        (self.product - self.difference).abs() <= 1e-4 * size + 1.5e-8
    }
}

impl std::fmt::Display for Slope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} is not {}", self.name, self.product, self.difference)
    }
}

/// For each array that has a gradient.
fn slopes(loss: &Loss, gradients: &RnnGradients, seed: u32) -> Vec<Slope> {
    let inputs = Arrays { weights: &loss.weights, x: &loss.x, state: &loss.state };
    slopes_of(&loss.config, inputs, gradients.into(), seed, |weights, x, state| loss.value(weights, x, state))
}

/// The same of any loss of a layer with these inputs, in the places of their gradients.
pub fn slopes_of(
    config: &RnnConfig,
    inputs: Arrays<'_>,
    gradients: Arrays<'_>,
    seed: u32,
    loss: impl Fn(&RnnWeights, &Array3<f32>, &State) -> f64,
) -> Vec<Slope> {
    let mut random = Random::new(seed);
    let compare = |((name, array), (_, gradient)): ((String, ArrayViewD<'_, f32>), (String, ArrayViewD<'_, f32>))| {
        let ends = nudged(&mut random, array);
        let value = |end: &ArrayD<f32>| {
            let (mut weights, mut x, mut state) = (inputs.weights.clone(), inputs.x.clone(), inputs.state.clone());
            let three = || end.clone().into_dimensionality::<Ix3>().unwrap();
            match &*name {
                "input" => x = three(),
                "h0" => state.h = three(),
                "c0" => state.c = Some(three()),
                _ => {
                    let named: Vec<_> = weights
                        .named()
                        .map(|(other, array)| {
                            let array = if other == name { end.clone() } else { array.to_owned() };
                            (other, array)
                        })
                        .collect();
                    weights = RnnWeights::from_named(config, &named).unwrap();
                }
            }
            loss(&weights, &x, &state)
        };
        let (mut product, mut squares) = (0.0, 0.0);
        Zip::from(&ends[0]).and(&ends[1]).and(&gradient).for_each(|&a, &b, &gradient| {
            let term = (f64::from(a) - f64::from(b)) * f64::from(gradient);
            product += term;
            squares += term * term;
        });
        let difference = value(&ends[0]) - value(&ends[1]);
        Slope { name: name.clone(), product, difference, size: squares.sqrt() }
    };
    inputs.named().into_iter().zip(gradients.named()).map(compare).collect()
}

/// relu has no derivative at 0, which a finite step may cross: PyTorch's numbers judge it.
pub fn has_slopes(config: &RnnConfig) -> bool {
    ![Cell::Elman(Activation::Relu), Cell::IndRnn(Activation::Relu)].contains(&config.cell())
}

fn equal_finite_differences(device: &Device, cases: u32, most: usize) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 64, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result = runner.run(&(drawn(most), 0..5_usize), |(mut drawn, every)| {
        // 0 keeps all.
        drawn.call.keep_every = (every > 0).then_some(every);
        if !has_slopes(&drawn.config) {
            return Ok(());
        }
        let loss = Loss::new(&drawn);
        let gradients = loss.gradients(device);
        for slope in slopes(&loss, &gradients, drawn.seed) {
            prop_assert!(slope.is_right(), "{slope}");
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn any_layers_gradients_equal_finite_differences_on_the_gpu() {
    equal_finite_differences(&gpu(), 40, 70);
}

#[test]
fn any_layers_gradients_equal_finite_differences_on_the_cpu() {
    equal_finite_differences(&Device::cpu(), 80, 40);
}

/// The comparison above sees a gradient that is off by a hundredth.
#[test]
fn a_wrong_gradient_is_not_the_slope() {
    let config = RnnConfig::new(Cell::Lstm, 3, 5);
    let call = RnnCall::default();
    let loss = Loss::new(&Drawn { config, steps: 4, batch: 2, call, state: true, seed: 1 });
    let mut gradients = loss.gradients(&Device::cpu());
    gradients.x *= 1.01;
    let slopes = slopes(&loss, &gradients, 2);
    let wrong: Vec<_> = slopes.iter().filter(|slope| !slope.is_right()).map(|slope| &*slope.name).collect();
    assert_eq!(wrong, ["input"]);
}

/// Where c is clipped, nothing goes back. The finite difference is none where c crosses a bound within its step, which in
/// these few numbers it does not.
#[test]
fn a_clipped_cell_has_the_slope_of_its_bounds() {
    let clip = CellClip { low: (-0.05).into(), high: 0.1.into(), propagates_nan: true };
    for device in [gpu(), Device::cpu()] {
        for (schedule, seed) in [(Schedule::Step, 1), (Schedule::Sequence, 2), (Schedule::Step, 3)] {
            let config = RnnConfig::new(Cell::Lstm, 3, 2).cell_clip(clip).layers(2);
            let call = RnnCall::default().schedule(schedule);
            let loss = Loss::new(&Drawn { config, steps: 4, batch: 2, call, state: true, seed });
            let gradients = loss.gradients(&device);
            for slope in slopes(&loss, &gradients, seed) {
                assert!(slope.is_right(), "{seed}, {slope}");
            }
            // It matters.
            let plain = RnnConfig::new(Cell::Lstm, 3, 2).layers(2);
            assert_ne!(Loss { config: plain, ..loss }.gradients(&device).x, gradients.x);
        }
    }
}

/// The gradients of the final c, n and m too, of an sLSTM so small that no m changes sides within its step.
#[test]
fn the_scale_of_an_slstms_state_has_a_gradient() {
    for device in [gpu(), Device::cpu()] {
        for (schedule, seed) in [(Schedule::Step, 1), (Schedule::Sequence, 2), (Schedule::Step, 3)] {
            let config = RnnConfig::new(Cell::Slstm, 3, 2).heads(2);
            let call = RnnCall::default().schedule(schedule);
            let mut loss = Loss::new(&Drawn { config, steps: 4, batch: 2, call, state: true, seed });
            loss.final_gradient = Random::new(seed).state(&loss.config, 2);
            let gradients = loss.gradients(&device);
            for slope in slopes(&loss, &gradients, seed) {
                assert!(slope.is_right(), "{seed}, {slope}");
            }
        }
    }
}

fn example(cell: Cell) -> Loss {
    let config = RnnConfig::new(cell, 5, 9).layers(2).direction(Direction::Bidirectional);
    let call = RnnCall::default().lengths(Lengths::Fixed(vec![3, 7, 1, 7]));
    Loss::new(&Drawn { config, steps: 7, batch: 4, call, state: true, seed: 5 })
}

#[test]
fn gradients_are_the_same_from_run_to_run() {
    for (name, device) in devices() {
        for cell in Cell::ALL {
            let loss = example(cell);
            assert_eq!(loss.gradients(&device), loss.gradients(&device), "{name} {cell:?}");
        }
    }
}

#[test]
fn gradients_add_up_or_replace_each_other() {
    for (name, device) in devices() {
        let loss = example(Cell::Lstm);
        let once = loss.gradients(&device);
        for (accumulate, times) in [(false, 1.0), (true, 3.0)] {
            let rnn = Rnn::trainable(&device, &loss.config, &loss.weights).unwrap();
            let call = loss.call.clone().carry(true);
            let training = rnn.training(SessionOptions::new(7, 4).call(call), accumulate).unwrap();
            training.input().write(loss.x.view()).unwrap();
            training.output_gradient().write(loss.dy.view()).unwrap();
            for _ in 0..3 {
                training.state().write(&loss.state).unwrap();
                training.state_gradient().write(&loss.final_gradient).unwrap();
                training.forward().unwrap();
                training.backward().unwrap();
            }
            let got = rnn.parameters().unwrap().gradients().unwrap();
            for ((tensor, got), (_, once)) in got.iter().zip(once.weights.named()) {
                let expected = once.mapv(|once| times * f64::from(once));
                let tolerance = 1e-6 * expected.iter().fold(1.0_f64, |largest, x| largest.max(x.abs()));
                let comparison = Comparison::new(tensor.clone(), got.view(), expected.view(), tolerance).unwrap();
                assert!(comparison.passed(), "{name}, accumulate {accumulate}: {comparison}");
            }
            // Gradients of input and state are of the last run alone.
            assert_eq!(training.input_gradient().read().unwrap(), once.x.clone().into_dyn(), "{name}");
            assert_eq!(training.state_gradient().read().unwrap(), once.state, "{name}");
        }
    }
}

#[test]
fn a_kept_forward_pass_gives_what_inference_gives() {
    for (name, device) in devices() {
        for cell in Cell::ALL {
            let loss = example(cell);
            for keep_every in [None, Some(2)] {
                let call = loss.call.clone().keep_every(keep_every);
                let got = Loss { call, ..example(cell) }.gradients(&device).output;
                let rnn = Rnn::new(&device, &loss.config, loss.weights.clone()).unwrap();
                let expected = rnn.forward_with(loss.x.view(), Some(&loss.state), &loss.call).unwrap();
                let name = format!("{name} {cell:?} {keep_every:?}");
                assert!(equals(&device, cell, got.y.view(), expected.y.view()), "{name}");
                assert!(
                    equals(&device, cell, got.state.h.view().into_dyn(), expected.state.h.view().into_dyn()),
                    "{name}"
                );
                let states = [got.state.c, expected.state.c].map(|c| c.map(ArrayBase::into_dyn));
                match &states {
                    [None, None] => {}
                    [Some(got), Some(expected)] => {
                        assert!(equals(&device, cell, got.view(), expected.view()), "{name}")
                    }
                    _ => panic!("{name}: one has a cell state"),
                }
            }
        }
    }
}

#[test]
fn computing_steps_again_needs_less_memory() {
    let config = RnnConfig::new(Cell::Lstm, 16, 32);
    let rnn = Rnn::trainable(&gpu(), &config, &RnnWeights::init(&config, 0).unwrap()).unwrap();
    let bytes = |keep_every: Option<usize>, steps| {
        let call = RnnCall::default().keep_every(keep_every);
        let training = rnn.training(SessionOptions::new(steps, 2).call(call), false).unwrap();
        let [forward, backward] = training.plans();
        // The printed plan states it.
        let stated = format!("{:.3} MiB kept for backward", training.reserve_bytes() as f64 / f64::from(1 << 20));
        assert!(forward.to_string().contains(&stated) || keep_every.is_some(), "{forward}");
        assert!(backward.to_string().contains(&stated), "{stated}\n{backward}");
        training.reserve_bytes()
    };
    // Rows of 4 gates, c and h for all steps; or for 16 of them, and the states before every 16th.
    assert_eq!(bytes(None, 256), 256 * 2 * 6 * 32 * 4);
    assert_eq!(bytes(Some(16), 256), (16 * 2 * 6 * 32 + 16 * 2 * 2 * 32) * 4);
    // Four times the steps: twice the memory.
    assert_eq!(bytes(Some(32), 1024), 2 * bytes(Some(16), 256));
}

/// With the seed fixed the layer is one function, whose slope the gradient is only where both passes drop the same numbers.
#[test]
fn dropout_between_layers_drops_the_same_numbers_backwards() {
    for (name, device) in devices() {
        for keep_every in [None, Some(2)] {
            let config = RnnConfig::new(Cell::Lstm, 4, 12).layers(3).with_dropout(0.4);
            let rnn = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 2).unwrap()).unwrap();
            let call = RnnCall::default().lengths(Lengths::Fixed(vec![5, 3])).keep_every(keep_every);
            let training = rnn.training(SessionOptions::new(5, 2).call(call.clone()), false).unwrap();
            let mut random = Random::new(3);
            let (x, dy) = (random.array([5, 2, 4]), random.array([5, 2, 12]));
            training.output_gradient().write(dy.view()).unwrap();
            let loss = |x: &Array3<f32>, seed: u32| -> f64 {
                training.seed().write(ndarray::arr1(&[seed, 1]).view()).unwrap();
                training.input().write(x.view()).unwrap();
                training.forward().unwrap();
                training.output().read().unwrap().iter().zip(&dy).map(|(y, dy)| f64::from(y * dy)).sum()
            };
            let before = loss(&x, 7);
            training.backward().unwrap();
            let gradient = training.input_gradient().read().unwrap().into_dimensionality::<Ix3>().unwrap();
            let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let step = gradient.mapv(|g| (f64::from(g) / norm * 0.02) as f32);
            let difference = loss(&(&x + &step), 7) - loss(&(&x - &step), 7);
            assert!((difference - norm * 0.04).abs() < 5e-3 * norm * 0.04, "{name}: {difference}, {}", norm * 0.04);
            // Another seed is another function; and inference drops nothing.
            assert_ne!(before, loss(&x, 8), "{name}");
            let plain = rnn.forward_with(x.view(), None, &call).unwrap();
            let all = RnnConfig::new(Cell::Lstm, 4, 12).layers(3);
            let without = Rnn::new(&device, &all, (*rnn.weights().unwrap()).clone()).unwrap();
            assert_eq!(plain.y, without.forward_with(x.view(), None, &call).unwrap().y, "{name}");
        }
    }
}

#[test]
fn a_reserve_serves_only_its_own_layer_and_call() {
    let device = gpu();
    let make = |hidden| {
        let config = RnnConfig::new(Cell::Lstm, 3, hidden);
        Rnn::trainable(&device, &config, &RnnWeights::init(&config, 0).unwrap()).unwrap()
    };
    let (rnn, wider) = (make(4), make(5));
    let call = RnnCall::default();
    let reserve = Reserve::new(&rnn, 6, 2, &call).unwrap();
    let tensor = |shape: [usize; 3]| Tensor::<f32>::zeros(&device, &shape).unwrap();
    let (x, shorter, y) = (tensor([6, 2, 3]), tensor([5, 2, 3]), tensor([6, 2, 4]));
    let state = rnn.device_state(2).unwrap();
    let mut plan = PlanBuilder::new(&device);
    let [x, shorter, y] = [&x, &shorter, &y].map(|tensor| plan.tensor(tensor).unwrap());
    let lengths = RnnCall::default().lengths(Lengths::Fixed(vec![6, 1]));
    let kept = RnnCall::default().keep_every(2);
    let wide = wider.device_state(2).unwrap();
    for error in [
        plan.rnn_backward(&wider, &x, &call, &reserve, None, &wide, None),
        plan.rnn_backward(&rnn, &shorter, &call, &reserve, None, &state, None),
        plan.rnn_backward(&rnn, &x, &lengths, &reserve, None, &state, None),
        plan.rnn_backward(&rnn, &x, &kept, &reserve, None, &state, None),
        plan.rnn_keeping(&rnn, &x, &state, &lengths, &y, &reserve),
    ] {
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Shape { .. }) && error.to_string().contains("reserve"), "{error}");
    }
    // Gradients of other shapes, and a state that is another layer's.
    let error = plan.rnn_backward(&rnn, &x, &call, &reserve, Some(&x), &state, None).unwrap_err().to_string();
    assert!(error.contains("gradient of the output") && error.contains("[6, 2, 4]"), "{error}");
    let error = plan.rnn_backward(&rnn, &x, &call, &reserve, None, &state, Some(&y)).unwrap_err().to_string();
    assert!(error.contains("gradient of the input") && error.contains("[6, 2, 3]"), "{error}");
    let error = plan.rnn_backward(&rnn, &x, &call, &reserve, None, &wide, None).unwrap_err().to_string();
    assert!(error.contains("gradient of the state"), "{error}");
    assert!(plan.plan().commands().is_empty(), "something was emitted before an error");
    // Every zeroth state can't be kept.
    let none = RnnCall::default().keep_every(0);
    assert!(matches!(Reserve::new(&rnn, 6, 2, &none), Err(Error::Value { .. })));
    // Fixed weights have no gradients.
    let fixed = crate::common::rnn(&device, rnn.config());
    assert!(fixed.training(SessionOptions::new(2, 2), false).unwrap_err().to_string().contains("trainable"));
}

#[test]
fn lengths_written_before_a_run_are_checked_and_belong_to_a_shape() {
    let device = gpu();
    let rnn = crate::common::rnn(&device, &RnnConfig::new(Cell::Lstm, 3, 4));
    let lengths = rnn.batch_lengths(5, 2).unwrap();
    for wrong in [&[1][..], &[1, 6], &[1, 2, 3]] {
        assert!(lengths.write(wrong).is_err());
    }
    assert_eq!(lengths.list(), [5, 5], "a refused list was taken over");
    lengths.write(&[2, 5]).unwrap();
    let call = RnnCall::default().lengths(Lengths::PerRun(lengths.clone()));
    let x = Random::new(1).array([5, 2, 3]);
    let expected = |list: &[usize]| {
        let call = RnnCall::default().lengths(Lengths::Fixed(list.to_vec()));
        rnn.forward_with(x.view(), None, &call).unwrap()
    };
    for list in [[2, 5], [5, 1], [0, 3]] {
        lengths.write(&list).unwrap();
        assert_eq!(rnn.forward_with(x.view(), None, &call).unwrap(), expected(&list), "{list:?}");
    }
    // Of another number of steps, and of a layer that reads backwards.
    let error = rnn.forward_with(x.slice(s![..4, .., ..]), None, &call).unwrap_err();
    assert!(matches!(error, Error::Shape { .. } | Error::Value { .. }), "{error}");
    let other = crate::common::rnn(&device, &RnnConfig::new(Cell::Lstm, 3, 4).direction(Direction::Reverse));
    let error = other.forward_with(x.view(), None, &call).unwrap_err().to_string();
    assert!(error.contains("lengths"), "{error}");
}

#[test]
fn a_backward_pass_needs_a_forward_pass_of_its_own() {
    let loss = example(Cell::Lstm);
    let rnn = Rnn::trainable(&gpu(), &loss.config, &loss.weights).unwrap();
    let training = rnn.training(SessionOptions::new(2, 3), false).unwrap();
    assert!(matches!(training.backward(), Err(Error::NoForward)));
    training.forward().unwrap();
    training.backward().unwrap();
    assert!(matches!(training.backward(), Err(Error::NoForward)));
}
