//! Beam search on the device: against a plain loop in float64 and an exhaustive search, and what is refused.

use crate::common::{Random, devices, weights};
use ndarray::{Array1, Array2, Array3, ArrayView1, array};
use std::collections::BTreeMap;
use wgrnn::reference::forward;
use wgrnn::{
    BeamSearch, Beams, Cell, Device, Hypothesis, Linear, PlanBuilder, Reset, Result, Rnn, RnnCall, RnnConfig,
    RnnWeights, State, Tensor,
};

const START: u32 = 0;
const END: u32 = 1;
/// Decisions that are nearer than this may be others in float32.
const MARGIN: f64 = 1e-4;

/// A recurrent decoder in float64.
struct Decoder {
    config: RnnConfig,
    weights: RnnWeights,
    /// [tokens, features]
    table: Array2<f32>,
    /// [tokens, hidden]
    head: Array2<f32>,
    /// Of N sequences.
    state: State,
}

impl Decoder {
    fn new(config: &RnnConfig, tokens: usize, batch: usize, seed: u32) -> Self {
        let mut random = Random::new(seed);
        let mut matrix = |columns| Array2::from_shape_simple_fn((tokens, columns), || 3.0 * random.number());
        let (table, head) = (matrix(config.input_size()), matrix(config.hidden_size()));
        let state = random.state(config, batch);
        Self { config: config.clone(), weights: weights(config, seed), table, head, state }
    }

    /// The state of a sequence.
    fn state_of(&self, n: usize) -> State {
        let one = |all: &Array3<f32>| all.slice(ndarray::s![.., n..n + 1, ..]).to_owned();
        let mut state = State::zeros(&self.config, 1).unwrap();
        state.h = one(&self.state.h);
        state.c = self.state.c.as_ref().map(one);
        state
    }

    /// log P of each token after a text.
    fn next(&self, n: usize, text: &[u32]) -> Vec<f64> {
        let read: Vec<u32> = std::iter::once(START).chain(text.iter().copied()).collect();
        let x = Array3::from_shape_fn((read.len(), 1, self.table.ncols()), |(t, _, i)| {
            f64::from(self.table[[read[t] as usize, i]])
        });
        let y = forward(&self.config, &self.weights, x.view(), None, Some(&self.state_of(n))).unwrap().y;
        let y: ArrayView1<'_, f64> = y.slice(ndarray::s![-1, 0, ..]);
        log_softmax(self.head.mapv(f64::from).dot(&y))
    }

    /// The plan of a search.
    fn program(&self, device: &Device, search: &BeamSearch, steps: usize, beams: usize) -> (wgrnn::Program, Beams) {
        let rnn = Rnn::new(device, &self.config, self.weights.clone()).unwrap();
        let head = Linear::new(device, self.head.view(), None).unwrap();
        let table = Tensor::from_array(device, self.table.view()).unwrap();
        let batch = self.state.h.dim().1;
        let state = rnn.device_state(batch * beams).unwrap();
        let repeated = |all: &Array3<f32>| {
            let (layers, _, features) = all.dim();
            Array3::from_shape_fn((layers, batch * beams, features), |(l, row, i)| all[[l, row / beams, i]])
        };
        let mut first = State::zeros(&self.config, batch * beams).unwrap();
        first.h = repeated(&self.state.h);
        first.c = self.state.c.as_ref().map(repeated);
        state.write(&first).unwrap();
        let mut plan = PlanBuilder::new(device);
        let table = plan.tensor(&table).unwrap();
        let mut found = plan.beam_search(search, batch).unwrap();
        let call = RnnCall::default().carry(true);
        for _ in 0..steps {
            let x = plan.embedding(&table, &found.tokens()).unwrap();
            let x = x.insert_axis(0).unwrap();
            let y = plan.rnn(&rnn, &x, &state, &call).unwrap();
            let logits = plan.linear(&head, &y.at(0).unwrap()).unwrap();
            found.advance(&mut plan, &logits).unwrap();
            found.follow_state(&mut plan, &state).unwrap();
        }
        (plan.build().unwrap(), found)
    }
}

pub fn log_softmax(logits: Array1<f64>) -> Vec<f64> {
    let most = logits.fold(f64::NEG_INFINITY, |most, &x| most.max(x));
    let sum = logits.mapv(|x| (x - most).exp()).sum().ln() + most;
    logits.iter().map(|x| x - sum).collect()
}

/// Texts with log P, and how near the nearest decision was.
pub fn search(beams: usize, steps: usize, next: impl Fn(&[u32]) -> Vec<f64>) -> (Vec<(Vec<u32>, f64)>, f64) {
    let mut texts = vec![(Vec::new(), 0.0)];
    let mut margin = f64::INFINITY;
    for _ in 0..steps {
        let mut all: Vec<(Vec<u32>, f64)> = Vec::new();
        for (text, score) in &texts {
            if text.last() == Some(&END) {
                all.push((text.clone(), *score));
                continue;
            }
            for (token, log) in next(text).into_iter().enumerate() {
                all.push(([&text[..], &[token as u32]].concat(), score + log));
            }
        }
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        if let [a, b] = all.get(beams - 1..=beams).unwrap_or_default() {
            margin = margin.min(a.1 - b.1);
        }
        all.truncate(beams);
        texts = all;
    }
    (texts, margin)
}

fn normalised(log: f64, length: usize, alpha: f64) -> f64 {
    log / ((5.0 + length as f64) / 6.0).powf(alpha)
}

/// By their texts, log P and score.
pub fn by_text(texts: Vec<(Vec<u32>, f64)>, alpha: f64) -> BTreeMap<Vec<u32>, (f64, f64)> {
    let entry = |(mut text, log): (Vec<u32>, f64)| {
        let score = normalised(log, text.len(), alpha);
        if text.last() == Some(&END) {
            text.pop();
        }
        (text, (log, score))
    };
    texts.into_iter().map(entry).collect()
}

pub fn check(name: &str, found: &[Hypothesis], expected: &BTreeMap<Vec<u32>, (f64, f64)>) {
    assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
    for hypothesis in found {
        let Some(&(log, score)) = expected.get(&hypothesis.tokens) else {
            panic!("{name}: {hypothesis:?} is none of {expected:?}")
        };
        let near = |got: f32, right: f64| (f64::from(got) - right).abs() < 2e-5 * right.abs().max(1.0);
        assert!(
            near(hypothesis.log_probability, log) && near(hypothesis.score, score),
            "{name}: {hypothesis:?}, {log} {score}"
        );
    }
    assert!(found.is_sorted_by(|a, b| a.score >= b.score), "{name}: {found:?}");
}

#[test]
fn texts_are_those_of_a_plain_loop_in_float64() {
    let gru = RnnConfig::new(Cell::Gru(Reset::After), 3, 8);
    let lstm = RnnConfig::new(Cell::Lstm, 5, 6).layers(2);
    let (mut compared, mut near) = (0, 0);
    for (i, (config, batch, beams, alpha)) in
        [(&gru, 3, 1, 0.6), (&gru, 1, 4, 0.0), (&lstm, 3, 5, 1.5), (&lstm, 2, 9, 0.6)].into_iter().enumerate()
    {
        let steps = 6;
        let decoder = Decoder::new(config, 7, batch, 20 + i as u32);
        let expected: Vec<_> = (0..batch).map(|n| search(beams, steps, |text| decoder.next(n, text))).collect();
        let options = BeamSearch::new(START, END, steps).beams(beams).alpha(alpha);
        for (name, device) in devices() {
            let (program, found) = decoder.program(&device, &options, steps, beams);
            program.run().unwrap();
            let found = found.read().unwrap();
            assert_eq!(found.len(), batch);
            for (found, (texts, margin)) in found.iter().zip(&expected) {
                compared += 1;
                if *margin < MARGIN {
                    near += 1;
                } else {
                    check(&format!("{name} {i}"), found, &by_text(texts.clone(), f64::from(alpha)));
                }
            }
        }
    }
    assert!(near * 5 < compared, "{near} of {compared} decisions were too near");
}

/// A decoder without a memory: the last token alone says which one is likely next.
fn with_table(
    device: &Device,
    table: &Array2<f32>,
    options: &BeamSearch,
    steps: usize,
    batch: usize,
) -> Vec<Vec<Hypothesis>> {
    let table = Tensor::from_array(device, table.view()).unwrap();
    let mut plan = PlanBuilder::new(device);
    let table = plan.tensor(&table).unwrap();
    let mut beams = plan.beam_search(options, batch).unwrap();
    for _ in 0..steps {
        let logits = plan.embedding(&table, &beams.tokens()).unwrap();
        beams.advance(&mut plan, &logits).unwrap();
    }
    plan.build().unwrap().run().unwrap();
    beams.read().unwrap()
}

#[test]
fn beams_enough_for_all_texts_find_all_of_them_and_the_best_one() {
    let mut random = Random::new(4);
    let (tokens, steps) = (3, 4);
    let table = Array2::from_shape_simple_fn((tokens, tokens), || 2.0 * random.number());
    let next = |text: &[u32]| {
        let last = text.last().copied().unwrap_or(START);
        log_softmax(table.row(last as usize).mapv(f64::from))
    };
    // 3⁴ texts at most.
    let (all, _) = search(81, steps, next);
    for (alpha, options) in
        [0.0, 0.6, 2.0].map(|alpha| (alpha, BeamSearch::new(START, END, steps).beams(81).alpha(alpha)))
    {
        let expected = by_text(all.clone(), f64::from(alpha));
        let best = expected.iter().max_by(|a, b| a.1.1.total_cmp(&b.1.1)).unwrap();
        for (name, device) in devices() {
            let found = &with_table(&device, &table, &options, steps, 2)[1];
            check(name, found, &expected);
            assert_eq!(&found[0].tokens, best.0, "{name}");
            let total: f32 = found.iter().map(|found| found.log_probability.exp()).sum();
            assert!((total - 1.0).abs() < 1e-5, "{name}: {total}");
        }
    }
}

#[test]
fn a_longer_text_wins_with_more_length_normalisation() {
    // The end at once has 0.5; the long way 0.5 · 0.9³.
    let table = array![[-30.0, 0.0, 0.0], [0.0, 0.0, 0.0], [-30.0, 0.1_f32.ln(), 0.9_f32.ln()]];
    for (name, device) in devices() {
        let best = |alpha| {
            with_table(&device, &table, &BeamSearch::new(START, END, 4).beams(3).alpha(alpha), 4, 1)[0][0].clone()
        };
        assert!(best(0.0).tokens.is_empty(), "{name}");
        assert_eq!(best(3.0).tokens, [2, 2, 2, 2], "{name}");
    }
}

#[test]
fn of_equal_candidates_the_first_beam_and_token_are_taken() {
    let table = Array2::<f32>::zeros((5, 5));
    for (name, device) in devices() {
        // Tokens 0, 1 and 2 of the start; then the ended beam, and tokens 0 and 1 after 0.
        let found = with_table(&device, &table, &BeamSearch::new(0, END, 2).beams(3).alpha(0.0), 2, 2);
        for found in &found {
            let texts: Vec<&[u32]> = found.iter().map(|found| &found.tokens[..]).collect();
            assert_eq!(texts, [&[][..], &[0, 0], &[0]], "{name}");
        }
    }
}

#[test]
fn logits_that_are_no_numbers_are_never_chosen() {
    const NONE: f32 = f32::NEG_INFINITY;
    // After token 2 nothing can follow, after 3 only a NaN, after 4 only infinity.
    let table = array![
        [NONE, 0.0, 0.5, 1.0, 2.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [NONE, NONE, NONE, NONE, NONE],
        [0.0, f32::NAN, 0.0, 0.0, 0.0],
        [f32::INFINITY, 0.0, 0.0, 0.0, 0.0]
    ];
    for (name, device) in devices() {
        let options = BeamSearch::new(0, END, 3).beams(4).alpha(0.0);
        let found = with_table(&device, &table, &options, 1, 1);
        assert_eq!(
            found[0].iter().map(|found| found.tokens.clone()).collect::<Vec<_>>(),
            [vec![4], vec![3], vec![2], vec![]],
            "{name}"
        );
        let found = with_table(&device, &table, &options, 3, 2);
        let ended = |found: &[Hypothesis]| found.len() == 1 && found[0].tokens.is_empty();
        assert!(found.iter().all(|found| ended(found)), "{name}: {found:?}");
        // Nothing at all.
        let found = with_table(&device, &table, &BeamSearch::new(3, END, 3), 3, 2);
        assert_eq!(found, [vec![], vec![]], "{name}");
    }
}

#[test]
fn many_tokens_and_many_beams_are_those_of_a_sort() {
    let mut random = Random::new(9);
    for (tokens, beams) in [(20_000, 7), (60, 256)] {
        // Two steps: tokens of the first, then those after them.
        let logits = Array2::from_shape_simple_fn((beams, tokens), || 4.0 * random.number());
        for (name, device) in devices() {
            let x = Tensor::from_array(&device, logits.view()).unwrap();
            let mut plan = PlanBuilder::new(&device);
            let x = plan.tensor(&x).unwrap();
            let mut found = plan.beam_search(&BeamSearch::new(0, END, 2).beams(beams).alpha(0.0), 1).unwrap();
            (0..2).for_each(|_| found.advance(&mut plan, &x).unwrap());
            plan.build().unwrap().run().unwrap();
            let found = found.read().unwrap().remove(0);
            let rows: Vec<Vec<f64>> = logits.rows().into_iter().map(|row| log_softmax(row.mapv(f64::from))).collect();
            let mut first: Vec<usize> = (0..tokens).collect();
            first.sort_by(|&a, &b| rows[0][b].total_cmp(&rows[0][a]));
            first.truncate(beams);
            first.sort_unstable();
            let mut scores: Vec<f64> = Vec::new();
            for (row, &token) in first.iter().enumerate() {
                if token as u32 == END {
                    scores.push(rows[0][token]);
                } else {
                    scores.extend(rows[row].iter().map(|score| rows[0][token] + score));
                }
            }
            scores.sort_by(|a, b| b.total_cmp(a));
            assert_eq!(found.len(), beams, "{name}");
            for (found, score) in found.iter().zip(&scores) {
                assert!((f64::from(found.score) - score).abs() < 1e-4, "{name}: {found:?} {score}");
            }
        }
    }
}

#[test]
fn what_follows_the_beams_is_that_of_their_texts() {
    let mut random = Random::new(2);
    let mut table = Array2::from_shape_simple_fn((6, 6), || 2.0 * random.number());
    // No text ends.
    table.column_mut(END as usize).fill(f32::NEG_INFINITY);
    for (name, device) in devices() {
        let sums = Tensor::<f32>::zeros(&device, &[6, 1]).unwrap();
        let out = Tensor::<f32>::zeros(&device, &[6, 1]).unwrap();
        let table = Tensor::from_array(&device, table.view()).unwrap();
        let mut plan = PlanBuilder::new(&device);
        let table = plan.tensor(&table).unwrap();
        let (mut sums, output) = (plan.tensor(&sums).unwrap(), plan.tensor(&out).unwrap());
        let mut beams = plan.beam_search(&BeamSearch::new(START, END, 5).beams(3).alpha(0.0), 2).unwrap();
        for _ in 0..5 {
            let logits = plan.embedding(&table, &beams.tokens()).unwrap();
            beams.advance(&mut plan, &logits).unwrap();
            let before = beams.follow(&mut plan, &sums).unwrap();
            let tokens = beams.tokens().insert_axis(1).unwrap();
            sums = plan.map([&before, &tokens], |[sum, token]| sum * 10.0 + token).unwrap();
        }
        plan.copy(&sums, &output).unwrap();
        plan.build().unwrap().run().unwrap();
        let decimal = |tokens: &[u32]| tokens.iter().fold(0, |sum, token| sum * 10 + token);
        let texts = beams.read().unwrap();
        let mut expected: Vec<u32> = texts.iter().flatten().map(|found| decimal(&found.tokens)).collect();
        let mut got: Vec<u32> = out.read().unwrap().iter().map(|&sum| sum as u32).collect();
        expected.sort_unstable();
        got.sort_unstable();
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn searches_that_can_not_be_are_refused_by_name() {
    fn refused<T>(result: Result<T>, parts: &[&str]) {
        let error = result.err().expect("an error").to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let device = Device::cpu();
    let mut plan = PlanBuilder::new(&device);
    let new = || BeamSearch::new(0, 1, 2);
    for beams in [0, 257] {
        refused(
            plan.beam_search(&new().beams(beams), 1),
            &["beams of a beam search", "from 1 to 256", &beams.to_string()],
        );
    }
    for alpha in [f32::NAN, f32::INFINITY] {
        refused(plan.beam_search(&new().alpha(alpha), 1), &["alpha of a beam search", "finite", &alpha.to_string()]);
    }
    refused(plan.beam_search(&BeamSearch::new(0, 1, 0), 1), &["steps of a beam search", "at least 1"]);
    refused(plan.beam_search(&new(), 0), &["sequences of a beam search", "0"]);
    refused(plan.beam_search(&new(), usize::MAX), &["sequences of a beam search"]);
    refused(plan.beam_search(&BeamSearch::new(0, 1, usize::MAX), 1), &["tensor shape"]);
    let mut beams = plan.beam_search(&new().beams(3), 2).unwrap();
    let value = |plan: &mut PlanBuilder, shape: &[usize]| {
        let tensor = Tensor::<f32>::zeros(&device, shape).unwrap();
        plan.tensor(&tensor).unwrap()
    };
    let [logits, one, few] = [[6, 4], [6, 1], [5, 4]].map(|shape| value(&mut plan, &shape));
    refused(beams.follow(&mut plan, &logits), &["beams to follow", "Beams::advance"]);
    refused(beams.advance(&mut plan, &one), &["end token of a beam search", "less than 1", "1"]);
    refused(beams.advance(&mut plan, &few), &["logits of a beam search", "[6, 4]", "[5, 4]"]);
    let flat = logits.reshape(&[24]).unwrap();
    refused(beams.advance(&mut plan, &flat), &["logits of a beam search", "[6, tokens]"]);
    refused(beams.advance(&mut PlanBuilder::new(&device), &logits), &["beams"]);
    let tokens = beams.tokens();
    refused(beams.advance(&mut plan, &tokens), &["logits", "numbers"]);
    let mut late = plan.beam_search(&BeamSearch::new(7, 1, 2), 1).unwrap();
    let four = logits.slice(0, 0..4).unwrap();
    refused(late.advance(&mut plan, &four), &["start token of a beam search", "less than 4", "7"]);
    (0..2).for_each(|_| beams.advance(&mut plan, &logits).unwrap());
    refused(beams.advance(&mut plan, &logits), &["step of a beam search", "one of 2", "3"]);
    refused(beams.follow(&mut plan, &few), &["value that follows beams", "[6, ...]", "[5, 4]"]);
    let rnn =
        Rnn::new(&device, &RnnConfig::new(Cell::Lstm, 2, 3), weights(&RnnConfig::new(Cell::Lstm, 2, 3), 1)).unwrap();
    refused(
        beams.follow_state(&mut plan, &rnn.device_state(5).unwrap()),
        &["batch of a state that follows beams", "6", "5"],
    );
    let mut other = PlanBuilder::new(&device);
    refused(beams.follow_state(&mut other, &rnn.device_state(6).unwrap()), &["beams", "another plan"]);
    refused(beams.follow(&mut other, &logits), &["beams", "another plan"]);
}
