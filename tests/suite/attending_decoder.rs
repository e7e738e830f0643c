//! A decoder that attends at every step, as one plan: forward, greedy and by beam search, and its gradients, against a plain loop in
//! float64.

use crate::beam_search::{by_text, check, log_softmax, search};
use crate::common::{Random, devices, weights};
use ndarray::{Array1, Array2, Array3, Axis, concatenate, s};
use wgrnn::plan::Value;
use wgrnn::reference::forward;
use wgrnn::{
    Attention, BeamSearch, Cell, Device, DeviceState, Linear, Memory, Optimizer, Reset, Rnn, RnnCall, RnnConfig,
    RnnWeights, State, Tape, Tensor, Trainer, TrainerOptions,
};

const START: u32 = 0;
const TOKENS: usize = 7;
const FEATURES: usize = 4;
const HIDDEN: usize = 8;
const SOURCE: usize = 6;
/// Features of the memory.
const MEMORY: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Dot,
    General,
    Additive,
}

/// A decoder's numbers.
struct Decoder {
    kind: Kind,
    config: RnnConfig,
    weights: RnnWeights,
    table: Array2<f32>,
    head: Array2<f32>,
    /// W; U; v.
    layers: [Array2<f32>; 3],
    /// [S, N, M]
    source: Array3<f32>,
    lengths: Vec<u32>,
}

/// What the tape has of it.
struct OnTape {
    rnn: Rnn,
    head: Linear,
    table: Value,
    memory: Memory,
    source: Value,
}

impl Decoder {
    fn new(kind: Kind, lengths: &[u32], seed: u32) -> Self {
        let mut random = Random::new(seed);
        let mut matrix = |[rows, columns]: [usize; 2], size: f32| {
            Array2::from_shape_simple_fn((rows, columns), || size * random.number())
        };
        let table = matrix([TOKENS, FEATURES], 2.0);
        let head = matrix([TOKENS, HIDDEN], 3.0);
        let layers = match kind {
            Kind::Additive => [matrix([5, HIDDEN], 1.0), matrix([5, MEMORY], 1.0), matrix([1, 5], 2.0)],
            _ => [matrix([HIDDEN, MEMORY], 1.0), matrix([1, 1], 1.0), matrix([1, 1], 1.0)],
        };
        let source = random.array([SOURCE, lengths.len(), MEMORY]) * 2.0;
        let config = RnnConfig::new(Cell::Gru(Reset::After), FEATURES + MEMORY, HIDDEN);
        let weights = weights(&config, seed);
        Self { kind, config, weights, table, head, layers, source, lengths: lengths.to_vec() }
    }

    /// What a query of a sequence sees.
    fn context(&self, source: &Array3<f64>, n: usize, query: &Array1<f64>) -> Array1<f64> {
        let [w, u, v] = self.layers.each_ref().map(|layer| layer.mapv(f64::from));
        let steps = source.slice(s![..self.lengths[n] as usize, n, ..]);
        let score = |m: ndarray::ArrayView1<'_, f64>| match self.kind {
            Kind::Dot => query.dot(&m),
            Kind::General => query.dot(&w.dot(&m)),
            Kind::Additive => v.row(0).dot(&(w.dot(query) + u.dot(&m)).mapv(f64::tanh)),
        };
        let scores: Array1<f64> = steps.rows().into_iter().map(score).collect();
        let most = scores.fold(f64::NEG_INFINITY, |most, &x| most.max(x));
        let weights = scores.mapv(|x| (x - most).exp());
        let sum = weights.sum();
        steps.rows().into_iter().zip(&weights).fold(Array1::zeros(MEMORY), |sum_of, (m, w)| sum_of + &m * (w / sum))
    }

    /// log P of the next token after each of the tokens read.
    fn run(&self, source: &Array3<f64>, n: usize, read: &[u32]) -> Vec<Vec<f64>> {
        let mut state = State::zeros(&self.config, 1).unwrap();
        let mut y = Array1::<f64>::zeros(HIDDEN);
        let mut all = Vec::new();
        for &token in read {
            let vector = self.table.row(token as usize).mapv(f64::from);
            let x = concatenate![Axis(0), vector, self.context(source, n, &y)];
            let x = x.insert_axis(Axis(0)).insert_axis(Axis(0));
            let out = forward(&self.config, &self.weights, x.view(), None, Some(&state)).unwrap();
            y = out.y.slice(s![0, 0, ..]).to_owned();
            state.h = out.h.mapv(|h| h as f32);
            all.push(log_softmax(self.head.mapv(f64::from).dot(&y)));
        }
        all
    }

    fn on(&self, tape: &mut Tape) -> OnTape {
        let device = tape.device().clone();
        let linear = |weight: &Array2<f32>| Linear::trainable(&device, weight.view(), None).unwrap();
        let attention = match self.kind {
            Kind::Dot => Attention::Dot,
            Kind::General => Attention::General(linear(&self.layers[0])),
            Kind::Additive => Attention::Additive {
                query: linear(&self.layers[0]),
                memory: linear(&self.layers[1]),
                score: linear(&self.layers[2]),
            },
        };
        let source = tape.input(&Tensor::from_array(&device, self.source.view()).unwrap()).unwrap();
        let lengths = Tensor::from_array(&device, ndarray::aview1(&self.lengths)).unwrap();
        let lengths = tape.input(&lengths).unwrap();
        let memory = tape.memory(&attention, &source, Some(&lengths)).unwrap();
        let table = tape.input(&Tensor::from_array(&device, self.table.view()).unwrap()).unwrap();
        let rnn = Rnn::trainable(&device, &self.config, &self.weights).unwrap();
        OnTape { rnn, head: linear(&self.head), table, memory, source }
    }
}

impl OnTape {
    /// A step from the last tokens and outputs: outputs and logits.
    fn step(&self, tape: &mut Tape, state: &DeviceState, (last, y): (&Value, &Value), step: usize) -> [Value; 2] {
        let (context, _) = self.memory.attend(tape, y).unwrap();
        let vectors = tape.plan().embedding(&self.table, last).unwrap();
        let x = tape.concat(&[&vectors, &context], 1).unwrap().insert_axis(0).unwrap();
        let y = tape.rnn(&self.rnn, &x, state, &RnnCall::default().carry(step > 0)).unwrap().at(0).unwrap();
        let logits = tape.linear(&self.head, &y).unwrap();
        [y, logits]
    }

    /// Logits of all steps, which read these tokens, [T, N].
    fn steps(&self, tape: &mut Tape, told: &Tensor<u32>) -> Vec<Value> {
        let batch = told.shape()[1];
        let device = tape.device().clone();
        let told = tape.input(told).unwrap();
        let state = self.rnn.device_state(batch).unwrap();
        let mut y = tape.input(&Tensor::<f32>::zeros(&device, &[batch, HIDDEN]).unwrap()).unwrap();
        let mut all = Vec::new();
        for step in 0..told.shape()[0] {
            let [next, logits] = self.step(tape, &state, (&told.at(step).unwrap(), &y), step);
            y = next;
            all.push(logits);
        }
        all
    }
}

const KINDS: [Kind; 3] = [Kind::Dot, Kind::General, Kind::Additive];

fn tokens(steps: usize, batch: usize) -> Array2<u32> {
    Array2::from_shape_fn((steps, batch), |(t, n)| ((t * 3 + n * 5) % TOKENS) as u32)
}

fn program(device: &Device, decoder: &Decoder, told: &Array2<u32>, training: bool) -> Vec<Array2<f32>> {
    let batch = told.ncols();
    let told = Tensor::from_array(device, told.view()).unwrap();
    let mut tape = if training { Tape::training(device) } else { Tape::evaluating(device) }.unwrap();
    let layers = decoder.on(&mut tape);
    let logits = layers.steps(&mut tape, &told);
    let outputs: Vec<_> = logits.iter().map(|_| Tensor::<f32>::zeros(device, &[batch, TOKENS]).unwrap()).collect();
    for (logits, output) in logits.iter().zip(&outputs) {
        let output = tape.input(output).unwrap();
        tape.plan().copy(logits, &output).unwrap();
    }
    if training {
        let all = tape.concat(&logits.iter().collect::<Vec<_>>(), 0).unwrap();
        tape.loss(&all).unwrap();
        Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM)).unwrap().step().unwrap();
    } else {
        tape.evaluation().unwrap().program().run().unwrap();
    }
    outputs.iter().map(|output| output.read().unwrap().into_dimensionality().unwrap()).collect()
}

#[test]
fn a_decoder_that_attends_at_every_step_equals_a_plain_loop_in_float64() {
    let lengths = [6, 1, 4];
    for (seed, kind) in (30..).zip(KINDS) {
        let decoder = Decoder::new(kind, &lengths, seed);
        let told = tokens(5, lengths.len());
        for (name, device) in devices() {
            for training in [false, true] {
                let logits = program(&device, &decoder, &told, training);
                for n in 0..lengths.len() {
                    let expected = decoder.run(&decoder.source.mapv(f64::from), n, &told.column(n).to_vec());
                    for (t, expected) in expected.iter().enumerate() {
                        let got = log_softmax(logits[t].row(n).mapv(f64::from));
                        let apart = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                        assert!(apart < 3e-5, "{name}, {kind:?}, training {training}: {apart} at step {t} of {n}");
                    }
                }
            }
        }
    }
}

#[test]
fn texts_of_an_attending_decoder_are_those_of_a_plain_loop_in_float64() {
    let (lengths, steps) = ([6, 3], 5);
    let (mut compared, mut near) = (0, 0);
    for (seed, kind) in (40..).zip(KINDS) {
        let decoder = Decoder::new(kind, &lengths, seed);
        let source = decoder.source.mapv(f64::from);
        let next = |n: usize, text: &[u32]| {
            let read = [&[START], text].concat();
            decoder.run(&source, n, &read).pop().unwrap()
        };
        for beams in [1, 4] {
            let expected: Vec<_> = (0..2).map(|n| search(beams, steps, |text| next(n, text))).collect();
            for (name, device) in devices() {
                let mut tape = Tape::evaluating(&device).unwrap();
                let layers = decoder.on(&mut tape);
                let options = BeamSearch::new(START, 1, steps).beams(beams).alpha(0.6);
                let mut found = tape.plan().beam_search(&options, 2).unwrap();
                let state = layers.rnn.device_state(found.rows()).unwrap();
                let zeros = Tensor::<f32>::zeros(&device, &[found.rows(), HIDDEN]).unwrap();
                let mut y = tape.input(&zeros).unwrap();
                for step in 0..steps {
                    let [next, logits] = layers.step(&mut tape, &state, (&found.tokens(), &y), step);
                    found.advance(tape.plan(), &logits).unwrap();
                    found.follow_state(tape.plan(), &state).unwrap();
                    y = found.follow(tape.plan(), &next).unwrap();
                }
                tape.evaluation().unwrap().program().run().unwrap();
                for (found, (texts, margin)) in found.read().unwrap().iter().zip(&expected) {
                    compared += 1;
                    if *margin < 2e-4 {
                        near += 1;
                    } else {
                        check(&format!("{name}, {kind:?}, {beams}"), found, &by_text(texts.clone(), 0.6));
                    }
                }
            }
        }
    }
    assert!(near * 5 < compared, "{near} of {compared} decisions were too near");
}

/// The gradient of the memory, which every step reads, beside central differences of the loop.
#[test]
fn gradients_of_an_attending_decoder_equal_differences_of_a_plain_loop() {
    let lengths = [6, 4];
    let told = tokens(4, 2);
    let targets = Array2::from_shape_fn((4, 2), |(t, n)| ((t + 2 * n) % TOKENS) as u32);
    for (seed, kind) in (50..).zip(KINDS) {
        let decoder = Decoder::new(kind, &lengths, seed);
        let loss = |source: &Array3<f64>| {
            let of = |n: usize| {
                let logs = decoder.run(source, n, &told.column(n).to_vec());
                logs.iter().enumerate().map(|(t, log)| -log[targets[[t, n]] as usize]).sum::<f64>()
            };
            (of(0) + of(1)) / 8.0
        };
        let source = decoder.source.mapv(f64::from);
        let difference = |place: [usize; 3]| {
            let moved = |by: f64| {
                let mut source = source.clone();
                source[place] += by;
                loss(&source)
            };
            (moved(1e-2) - moved(-1e-2)) / 2e-2
        };
        for (name, device) in devices() {
            let mut tape = Tape::training(&device).unwrap();
            let layers = decoder.on(&mut tape);
            let gradient = Tensor::<f32>::zeros(&device, &[SOURCE, 2, MEMORY]).unwrap();
            let told = Tensor::from_array(&device, told.view()).unwrap();
            let logits = layers.steps(&mut tape, &told);
            let logits: Vec<_> = logits.iter().map(|logits| logits.insert_axis(0).unwrap()).collect();
            let all = tape.concat(&logits.iter().collect::<Vec<_>>(), 0).unwrap();
            let targets = tape.input(&Tensor::from_array(&device, targets.view()).unwrap()).unwrap();
            tape.cross_entropy(&all, &targets).unwrap();
            tape.want_gradient(&layers.source, &gradient).unwrap();
            let mut trainer = Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM)).unwrap();
            trainer.step().unwrap();
            let expected = loss(&source);
            let got = f64::from(trainer.progress().unwrap().last_loss);
            assert!((got - expected).abs() < 1e-5, "{name}, {kind:?}: {got} {expected}");
            let gradient: Array3<f32> = gradient.read().unwrap().into_dimensionality().unwrap();
            for place in [[0, 0, 0], [5, 0, 7], [2, 1, 3], [3, 1, 0], [1, 0, 4]] {
                let (got, expected) = (f64::from(gradient[place]), difference(place));
                assert!((got - expected).abs() < 1e-4 + 1e-2 * expected.abs(), "{name}, {kind:?}: {got} {expected}");
            }
            // Beyond the second sequence's length.
            assert!(gradient.slice(s![4.., 1, ..]).iter().all(|&slope| slope == 0.0), "{name}, {kind:?}");
        }
    }
}

#[test]
fn queries_that_do_not_fit_a_memory_are_refused_by_name() {
    let device = Device::cpu();
    let decoder = Decoder::new(Kind::General, &[6, 4], 1);
    let mut tape = Tape::evaluating(&device).unwrap();
    let layers = decoder.on(&mut tape);
    for shape in [&[3, HIDDEN][..], &[2, HIDDEN + 1], &[HIDDEN]] {
        let query = tape.input(&Tensor::<f32>::zeros(&device, shape).unwrap()).unwrap();
        let error = layers.memory.attend(&mut tape, &query).unwrap_err().to_string();
        assert!(error.contains("query") && error.contains(&format!("{shape:?}")), "{error}");
    }
}

/// One kernel takes 1,024 steps.
#[test]
fn long_memories_are_seen_whole() {
    let mut random = Random::new(3);
    for steps in [1024, 1030] {
        let source = random.array([steps, 2, 3]);
        let query = random.array([1, 4, 3]).remove_axis(Axis(0));
        let lengths = [steps as u32 - 1, steps as u32];
        for (name, device) in devices() {
            let mut tape = Tape::evaluating(&device).unwrap();
            let from = |tape: &mut Tape, array: ndarray::ArrayViewD<'_, f32>| {
                tape.input(&Tensor::from_array(&device, array).unwrap()).unwrap()
            };
            let encoded = from(&mut tape, source.view().into_dyn());
            let asked = from(&mut tape, query.view().into_dyn());
            let valid = tape.input(&Tensor::from_array(&device, ndarray::aview1(&lengths)).unwrap()).unwrap();
            let memory = tape.memory(&Attention::Dot, &encoded, Some(&valid)).unwrap();
            let (context, weights) = memory.attend(&mut tape, &asked).unwrap();
            let seen =
                [Tensor::<f32>::zeros(&device, &[4, 3]), Tensor::zeros(&device, &[4, steps])].map(Result::unwrap);
            for (value, tensor) in [&context, &weights].into_iter().zip(&seen) {
                let to = tape.input(tensor).unwrap();
                tape.plan().copy(value, &to).unwrap();
            }
            tape.evaluation().unwrap().program().run().unwrap();
            let [context, weights] = seen.map(|tensor| tensor.read().unwrap());
            for row in 0..4 {
                let n = row / 2;
                let steps_of = source.slice(s![..lengths[n] as usize, n, ..]).mapv(f64::from);
                let scores = steps_of.dot(&query.row(row).mapv(f64::from)).mapv(f64::exp);
                let expected = &scores / scores.sum();
                let mean = steps_of.t().dot(&expected);
                assert!(
                    mean.iter().enumerate().all(|(j, &x)| (f64::from(context[[row, j]]) - x).abs() < 1e-5),
                    "{name}"
                );
                assert!(
                    expected.iter().enumerate().all(|(t, &w)| (f64::from(weights[[row, t]]) - w).abs() < 1e-7),
                    "{name}"
                );
                assert!((lengths[n] as usize..steps).all(|t| weights[[row, t]] == 0.0), "{name}");
            }
        }
    }
}
