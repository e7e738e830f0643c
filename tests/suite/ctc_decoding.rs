//! Labels from the outputs of a network trained with CTC: against all alignments, a plain loop in float64, and what is refused.

use crate::common::{Random, devices};
use ndarray::{Array3, array, s};
use std::collections::BTreeMap;
use wgrnn::{CtcDecoding, Device, Hypothesis, PlanBuilder, Result, Tensor};

/// Decodes on a device.
fn decode(
    device: &Device,
    logits: &Array3<f32>,
    lengths: Option<&[u32]>,
    decoding: &CtcDecoding,
) -> Result<Vec<Vec<Hypothesis>>> {
    let mut plan = PlanBuilder::new(device);
    let logits = plan.tensor(&Tensor::from_array(device, logits.view())?)?;
    let lengths = match lengths {
        Some(lengths) => Some(plan.tensor(&Tensor::from_array(device, ndarray::aview1(lengths))?)?),
        None => None,
    };
    let decoded = plan.ctc_decode(&logits, lengths.as_ref(), decoding)?;
    plan.build()?.run()?;
    decoded.read()
}

/// log softmax of the valid steps of a sequence, [t][c].
fn log_probabilities(logits: &Array3<f32>, n: usize, steps: usize) -> Vec<Vec<f64>> {
    let row = |t: usize| {
        let row = logits.slice(s![t, n, ..]).mapv(f64::from);
        let most = row.fold(f64::NEG_INFINITY, |most, &x| most.max(x));
        let sum = row.mapv(|x| (x - most).exp()).sum().ln() + most;
        row.iter().map(|x| x - sum).collect()
    };
    (0..steps).map(row).collect()
}

/// Without repetitions, then without blanks.
fn collapsed(alignment: &[usize], blank: usize) -> Vec<u32> {
    let mut labels = alignment.to_vec();
    labels.dedup();
    labels.into_iter().filter(|&class| class != blank).map(|class| class as u32).collect()
}

/// log of the sum over all alignments of each sequence of labels.
fn exhaustive(y: &[Vec<f64>], classes: usize, blank: usize) -> BTreeMap<Vec<u32>, f64> {
    let mut sums = BTreeMap::<Vec<u32>, f64>::new();
    for mut number in 0..classes.pow(y.len() as u32) {
        let mut log = 0.0;
        let mut alignment = Vec::new();
        for y in y {
            alignment.push(number % classes);
            log += y[number % classes];
            number /= classes;
        }
        *sums.entry(collapsed(&alignment, blank)).or_default() += log.exp();
    }
    sums.into_iter().map(|(labels, sum)| (labels, sum.ln())).collect()
}

fn log_sum(a: f64, b: f64) -> f64 {
    let top = a.max(b);
    if top == f64::NEG_INFINITY { top } else { top + ((a - top).exp() + (b - top).exp()).ln() }
}

/// Prefix beam search with prefixes as keys of a map, and how near the nearest decision was.
fn prefix_search(y: &[Vec<f64>], beams: usize, blank: usize) -> (BTreeMap<Vec<u32>, f64>, f64) {
    let none = [f64::NEG_INFINITY; 2];
    // Blank, label.
    let mut beam = BTreeMap::from([(Vec::new(), [0.0, f64::NEG_INFINITY])]);
    let mut margin = f64::INFINITY;
    for y in y {
        let mut next = BTreeMap::<Vec<u32>, [f64; 2]>::new();
        for (prefix, &[blank_before, label_before]) in &beam {
            let whole = log_sum(blank_before, label_before);
            for (c, &y) in y.iter().enumerate() {
                if c == blank {
                    let entry = next.entry(prefix.clone()).or_insert(none);
                    entry[0] = log_sum(entry[0], whole + y);
                    continue;
                }
                let repeats = prefix.last() == Some(&(c as u32));
                if repeats {
                    let entry = next.entry(prefix.clone()).or_insert(none);
                    entry[1] = log_sum(entry[1], label_before + y);
                }
                let from = if repeats { blank_before } else { whole };
                if from > f64::NEG_INFINITY {
                    let longer = [&prefix[..], &[c as u32]].concat();
                    let entry = next.entry(longer).or_insert(none);
                    entry[1] = log_sum(entry[1], from + y);
                }
            }
        }
        let mut all: Vec<_> = next.into_iter().map(|(prefix, [a, b])| (log_sum(a, b), prefix, [a, b])).collect();
        all.retain(|(sum, ..)| *sum > f64::NEG_INFINITY);
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        if let [a, b] = all.get(beams - 1..=beams).unwrap_or_default() {
            margin = margin.min(a.0 - b.0);
        }
        all.truncate(beams);
        beam = all.into_iter().map(|(_, prefix, parts)| (prefix, parts)).collect();
    }
    (beam.into_iter().map(|(prefix, [a, b])| (prefix, log_sum(a, b))).collect(), margin)
}

fn check(name: &str, found: &[Hypothesis], expected: &BTreeMap<Vec<u32>, f64>) {
    assert_eq!(found.len(), expected.len(), "{name}: {found:?} {expected:?}");
    for found in found {
        let Some(right) = expected.get(&found.tokens) else { panic!("{name}: {found:?} is none of {expected:?}") };
        let difference = (f64::from(found.log_probability) - right).abs();
        assert!(difference < 1e-4 * right.abs().max(1.0), "{name}: {found:?}, {right}");
        assert_eq!(found.score, found.log_probability, "{name}");
    }
    assert!(found.is_sorted_by(|a, b| a.score >= b.score), "{name}: {found:?}");
}

#[test]
fn a_beam_wide_enough_gives_the_sum_over_all_alignments() {
    let mut random = Random::new(1);
    let (steps, batch, classes) = (5, 6, 3);
    let lengths = [5, 0, 1, 2, 4, 3];
    for blank in [0, 2] {
        let logits = random.array([steps, batch, classes]) * 3.0;
        let expected: Vec<_> = lengths
            .iter()
            .enumerate()
            .map(|(n, &length)| exhaustive(&log_probabilities(&logits, n, length as usize), classes, blank as usize))
            .collect();
        let most = expected.iter().map(BTreeMap::len).max().unwrap();
        for (name, device) in devices() {
            let found = decode(&device, &logits, Some(&lengths), &CtcDecoding::beam_search(most).blank(blank)).unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                check(name, found, expected);
                let total: f32 = found.iter().map(|found| found.log_probability.exp()).sum();
                assert!((total - 1.0).abs() < 1e-5, "{name}: {total}");
            }
        }
    }
}

#[test]
fn prefixes_are_those_of_a_plain_loop_in_float64() {
    let (mut compared, mut near) = (0, 0);
    // Few classes: prefixes that leave the beam come back.
    for (seed, [steps, batch, classes], beams) in
        [(3, [60, 4, 3], 4), (4, [40, 3, 9], 12), (5, [25, 2, 30], 70), (6, [12, 3, 5], 1), (7, [90, 2, 4], 20)]
    {
        let mut random = Random::new(seed);
        let logits = random.array([steps, batch, classes]) * 4.0;
        let lengths: Vec<u32> = (0..batch).map(|n| (steps - n * steps / 4) as u32).collect();
        let expected: Vec<_> = (0..batch)
            .map(|n| prefix_search(&log_probabilities(&logits, n, lengths[n] as usize), beams, classes - 1))
            .collect();
        for (name, device) in devices() {
            let decoding = CtcDecoding::beam_search(beams).blank(classes as u32 - 1);
            let found = decode(&device, &logits, Some(&lengths), &decoding).unwrap();
            for (found, (expected, margin)) in found.iter().zip(&expected) {
                compared += 1;
                if *margin > 2e-5 {
                    check(&format!("{name}, seed {seed}"), found, expected);
                } else {
                    near += 1;
                }
            }
        }
    }
    assert!(2 * near < compared, "{near} of {compared} had decisions that were too near");
}

#[test]
fn greedy_labels_are_those_of_a_plain_loop() {
    for (seed, [steps, batch, classes]) in [(1, [1, 1, 2]), (2, [9, 5, 3]), (3, [150, 3, 4]), (4, [64, 2, 40])] {
        let mut random = Random::new(seed);
        let logits = random.array([steps, batch, classes]) * 2.0;
        let lengths: Vec<u32> = (0..batch).map(|n| (steps * (batch - n) / batch) as u32).collect();
        for lengths in [None, Some(&lengths[..])] {
            for (name, device) in devices() {
                let found = decode(&device, &logits, lengths, &CtcDecoding::greedy().blank(1)).unwrap();
                for (n, found) in found.iter().enumerate() {
                    let y = log_probabilities(&logits, n, lengths.map_or(steps, |lengths| lengths[n] as usize));
                    let best = |row: &Vec<f64>| (0..classes).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
                    let alignment: Vec<usize> = y.iter().map(best).collect();
                    let log: f64 = alignment.iter().zip(&y).map(|(&c, y)| y[c]).sum();
                    check(name, found, &BTreeMap::from([(collapsed(&alignment, 1), log)]));
                }
            }
        }
    }
}

#[test]
fn a_long_sequence_takes_several_dispatches_and_keeps_its_precision() {
    let mut random = Random::new(8);
    let (steps, classes) = (1200, 29);
    // One class is much more probable at each step, so that nothing is near.
    let mut logits = random.array([steps, 1, classes]);
    for t in 0..steps {
        let class = if t % 3 == 1 { (t * 7 / 3) % (classes - 1) + 1 } else { 0 };
        logits[[t, 0, class]] += 7.0;
    }
    let expected = prefix_search(&log_probabilities(&logits, 0, steps), 2, 0).0;
    for (name, device) in devices() {
        let found = &decode(&device, &logits, None, &CtcDecoding::beam_search(2)).unwrap()[0];
        assert!(found[0].tokens.len() > 350, "{name}: {}", found[0].tokens.len());
        let right = expected[&found[0].tokens];
        assert!((f64::from(found[0].score) - right).abs() < 1e-4 * right.abs(), "{name}: {} {right}", found[0].score);
        let greedy = &decode(&device, &logits, None, &CtcDecoding::greedy()).unwrap()[0][0];
        assert_eq!(greedy.tokens, found[0].tokens, "{name}");
        assert!(greedy.score < found[0].score, "{name}");
    }
}

#[test]
fn of_equal_scores_the_first_is_taken() {
    let logits = Array3::<f32>::zeros((1, 1, 5));
    for (name, device) in devices() {
        let found = decode(&device, &logits, None, &CtcDecoding::beam_search(3).blank(4)).unwrap();
        assert_eq!(found[0].iter().map(|found| found.tokens.clone()).collect::<Vec<_>>(), [[0], [1], [2]], "{name}");
        assert_eq!(
            decode(&device, &logits, None, &CtcDecoding::greedy().blank(4)).unwrap()[0][0].tokens,
            [0],
            "{name}"
        );
    }
}

#[test]
fn logits_that_are_no_numbers_give_no_labels_and_nan() {
    const NONE: f32 = f32::NEG_INFINITY;
    let mut logits = Array3::<f32>::zeros((3, 5, 3));
    logits[[1, 0, 2]] = f32::NAN;
    logits[[2, 1, 1]] = f32::INFINITY;
    logits.slice_mut(s![0, 2, ..]).fill(NONE);
    // Beyond its length: no matter.
    logits[[2, 3, 1]] = f32::NAN;
    // Only the labels 1, 1 with a blank between them are possible.
    logits.slice_mut(s![.., 4, ..]).assign(&array![[NONE, 0.0, NONE], [0.0, NONE, NONE], [NONE, 0.0, NONE]]);
    for (name, device) in devices() {
        for decoding in [CtcDecoding::greedy(), CtcDecoding::beam_search(6)] {
            let found = decode(&device, &logits, Some(&[3, 3, 3, 2, 3]), &decoding).unwrap();
            for found in &found[..3] {
                assert!(found.len() == 1 && found[0].tokens.is_empty() && found[0].score.is_nan(), "{name}: {found:?}");
            }
            assert!(found[3].iter().all(|found| found.score.is_finite()), "{name}: {found:?}");
            assert_eq!(found[4].len(), 1, "{name}: {found:?}");
            assert!(found[4][0].tokens == [1, 1] && found[4][0].score.abs() < 1e-6, "{name}: {found:?}");
        }
    }
}

#[test]
fn decoding_that_can_not_be_is_refused_by_name() {
    fn refused<T>(result: Result<T>, parts: &[&str]) {
        let error = result.err().expect("an error").to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let logits = Array3::<f32>::zeros((4, 2, 3));
    let device = Device::cpu();
    for beams in [0, 257] {
        let decoding = CtcDecoding::beam_search(beams);
        refused(
            decode(&device, &logits, None, &decoding),
            &["beams of CTC decoding", "from 1 to 256", &beams.to_string()],
        );
    }
    refused(decode(&device, &logits, None, &CtcDecoding::greedy().blank(3)), &["blank of CTC decoding", "less than 3"]);
    refused(decode(&device, &logits, Some(&[1]), &CtcDecoding::greedy()), &["lengths of CTC decoding", "[2]", "[1]"]);
    let mut plan = PlanBuilder::new(&device);
    let value = plan.tensor(&Tensor::from_array(&device, logits.view()).unwrap()).unwrap();
    let flat = value.at(0).unwrap();
    refused(plan.ctc_decode(&flat, None, &CtcDecoding::greedy()), &["logits of CTC decoding", "[T, N, C]", "[2, 3]"]);
    refused(plan.ctc_decode(&value, Some(&flat), &CtcDecoding::greedy()), &["lengths of CTC decoding", "indices"]);
    for (name, device) in devices() {
        for decoding in [CtcDecoding::greedy(), CtcDecoding::beam_search(2)] {
            let result = decode(&device, &logits, Some(&[4, 5]), &decoding);
            let error = result.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("length of sequence 1") && error.contains("at most 4"), "{name}: {error}");
        }
    }
}
