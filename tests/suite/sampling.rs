//! Symbols drawn on the device: against a plain loop in float64, by their frequencies, and what is refused.

use crate::common::{Random, devices, gpu};
use ndarray::{Array2, array};
use wgrnn::{Cell, Device, Model, ModelConfig, PlanBuilder, Result, RnnCall, RnnConfig, Sampling, Tape, Tensor};

/// Draws from logits, one run for each step.
fn draw(device: &Device, logits: &Array2<f32>, sampling: impl Fn(&Tensor<u32>) -> Sampling, steps: u32) -> Vec<u32> {
    let x = Tensor::from_array(device, logits.view()).unwrap();
    let seed = Tensor::<u32>::zeros(device, &[2]).unwrap();
    let out = Tensor::<u32>::zeros(device, &[logits.nrows()]).unwrap();
    let mut plan = PlanBuilder::new(device);
    let (input, output) = (plan.tensor(&x).unwrap(), plan.tensor(&out).unwrap());
    plan.sample(&input, &output, &sampling(&seed)).unwrap();
    let program = plan.build().unwrap();
    let mut drawn = Vec::new();
    for step in 0..steps {
        seed.write(array![7, step].view()).unwrap();
        program.run().unwrap();
        drawn.extend(out.read().unwrap());
    }
    drawn
}

/// Threefry-2x32 with 20 rounds, as its authors write it.
fn threefry(counter: [u32; 2], key: [u32; 2]) -> u32 {
    const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
    let keys = [key[0], key[1], 0x1bd1_1bda ^ key[0] ^ key[1]];
    let [mut x, mut y] = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for round in 0..20_usize {
        x = x.wrapping_add(y);
        y = y.rotate_left(ROTATIONS[round % 8]) ^ x;
        if round % 4 == 3 {
            let group = round / 4 + 1;
            x = x.wrapping_add(keys[group % 3]);
            y = y.wrapping_add(keys[(group + 1) % 3]).wrapping_add(group as u32);
        }
    }
    x
}

/// Probabilities of the columns that are kept, by sorting.
fn probabilities(row: &[f32], temperature: f64, k: usize, p: f64) -> Vec<f64> {
    let largest = row.iter().copied().fold(f32::MIN, f32::max);
    let weights: Vec<f64> = row.iter().map(|&x| (f64::from(x - largest) / temperature).exp()).collect();
    let mut order: Vec<usize> = (0..row.len()).collect();
    // The sort is stable: equals stay in the order of their columns.
    order.sort_by(|&a, &b| row[b].partial_cmp(&row[a]).unwrap());
    order.truncate(k);
    let among: f64 = order.iter().map(|&j| weights[j]).sum();
    let (mut mass, mut nucleus) = (0.0, Vec::new());
    for j in order {
        nucleus.push(j);
        mass += weights[j];
        if mass >= p * among {
            break;
        }
    }
    let mut all = vec![0.0; row.len()];
    nucleus.iter().for_each(|&j| all[j] = weights[j] / mass);
    all
}

/// What is drawn, and how far the random number is from the limits of its column.
fn by_loop(probabilities: &[f64], row: usize, step: u32) -> (u32, f64) {
    let uniform = f64::from(threefry([row as u32, 0], [7, step]) >> 8) / f64::from(1 << 24);
    let mut sum = 0.0;
    for (j, &probability) in probabilities.iter().enumerate().filter(|(_, probability)| **probability > 0.0) {
        let before = sum;
        sum += probability;
        if sum > uniform {
            return (j as u32, (uniform - before).min(sum - uniform));
        }
    }
    panic!("probabilities of {sum}")
}

/// Softmax, the k largest, a nucleus, and both; few columns and more than one workgroup has lanes; equals; a batch of rows.
#[test]
fn draws_are_those_of_a_plain_loop_in_float64() {
    let mut random = Random::new(3);
    let options =
        [(1.0, 1000, 1.0), (0.6, 7, 1.0), (1.5, 1000, 0.8), (0.9, 20, 0.5), (1.0, 1000, 0.01), (1.0, 1000, 0.999)];
    for columns in [1, 2, 5, 80, 300] {
        // Multiples of ¼: many are equal, of either sign of zero.
        let logits = Array2::from_shape_simple_fn((16, columns), || (random.number() * 12.0).trunc() / 4.0);
        for (temperature, k, p) in options {
            let expected = (0..20).flat_map(|step| {
                let rows = logits.rows().into_iter().enumerate();
                rows.map(move |(i, row)| {
                    by_loop(&probabilities(row.as_slice().unwrap(), f64::from(temperature), k, f64::from(p)), i, step)
                })
                .collect::<Vec<_>>()
            });
            let expected: Vec<_> = expected.collect();
            for (name, device) in devices() {
                let sampling = |seed: &Tensor<u32>| Sampling::new(seed).temperature(temperature).top_k(k).top_p(p);
                let drawn = draw(&device, &logits, sampling, 20);
                for (i, (got, (expected, margin))) in drawn.iter().zip(&expected).enumerate() {
                    // Sums of 300 float32 numbers are good to some 10⁻⁶.
                    let right = got == expected || *margin < 1e-5;
                    assert!(right, "{name}, {columns} columns, {temperature} {k} {p}: {i} is {got}, not {expected}");
                }
                let equal = drawn.iter().zip(&expected).filter(|(got, expected)| **got == expected.0).count();
                assert!(equal + 2 >= drawn.len(), "{name}: {equal} of {}", drawn.len());
            }
        }
    }
}

/// Pearson's χ² of 20,000 draws. With 7 degrees of freedom it is above 24.3 once in 1,000 times, with 2 above 13.8: the seed is
/// fixed, so that this is seen once or never.
#[test]
fn frequencies_are_those_of_the_probabilities() {
    let row = [0.0, 1.0, -1.0, 0.5, 2.0, -0.5, 1.5, 0.25];
    let rows = 1000;
    let logits = Array2::from_shape_fn((rows, row.len()), |(_, j)| row[j]);
    for (k, p, limit) in [(8, 1.0, 24.3), (3, 1.0, 13.8)] {
        let expected = probabilities(&row, 0.7, k, p);
        for (name, device) in devices() {
            let drawn = draw(&device, &logits, |seed| Sampling::new(seed).temperature(0.7).top_k(k), 20);
            let mut counts = [0.0; 8];
            drawn.iter().for_each(|&symbol| counts[symbol as usize] += 1.0);
            let terms = counts.iter().zip(&expected).map(|(count, probability)| {
                let mean = probability * drawn.len() as f64;
                if mean == 0.0 { count * f64::INFINITY } else { (count - mean).powi(2) / mean }
            });
            let statistic: f64 = terms.filter(|term| !term.is_nan()).sum();
            assert!(statistic < limit, "{name}, {k}: {statistic}, {counts:?}");
        }
    }
}

#[test]
fn greedy_and_temperature_0_and_k_1_take_the_first_of_the_largest() {
    let mut random = Random::new(5);
    let logits = Array2::from_shape_simple_fn((50, 70), || (random.number() * 8.0).trunc());
    let largest = |row: ndarray::ArrayView1<'_, f32>| {
        let largest = row.iter().copied().fold(f32::MIN, f32::max);
        row.iter().position(|&x| x == largest).unwrap() as u32
    };
    let expected: Vec<u32> = logits.rows().into_iter().map(largest).collect();
    for (name, device) in devices() {
        assert_eq!(draw(&device, &logits, |_| Sampling::greedy(), 1), expected, "{name}");
        assert_eq!(
            draw(&device, &logits, |seed| Sampling::new(seed).temperature(0.0).top_p(0.3), 1),
            expected,
            "{name}"
        );
        assert_eq!(draw(&device, &logits, |seed| Sampling::new(seed).top_k(1), 1), expected, "{name}");
        // Almost 0: differences become infinite.
        let cold = draw(&device, &logits, |seed| Sampling::new(seed).temperature(1e-42).top_k(1000), 1);
        assert!(
            cold.iter()
                .zip(&expected)
                .enumerate()
                .all(|(i, (&got, &best))| { logits[[i, got as usize]] == logits[[i, best as usize]] }),
            "{name}"
        );
    }
}

#[test]
fn seeds_steps_rows_and_places_give_other_draws_and_the_same_ones_again() {
    let logits = Array2::<f32>::zeros((40, 64));
    for (name, device) in devices() {
        let first = draw(&device, &logits, Sampling::new, 2);
        assert_eq!(first, draw(&device, &logits, Sampling::new, 2), "{name}");
        let other = draw(&device, &logits, |seed| Sampling::new(seed).place(1), 2);
        let alike = |a: &[u32], b: &[u32]| a.iter().zip(b).filter(|(a, b)| a == b).count();
        // One in 64 is equal by chance.
        assert!(alike(&first, &other) < 12 && alike(&first[..40], &first[40..]) < 8, "{name}");
        assert!(alike(&first[..39], &first[1..40]) < 8, "{name}");
    }
}

#[test]
fn rows_without_a_symbol_and_infinite_logits_give_what_is_documented() {
    const NONE: f32 = f32::NEG_INFINITY;
    let logits = array![
        [0.0, f32::NAN, 1.0],
        [NONE, NONE, NONE],
        [NONE, 0.0, NONE],
        [5.0, f32::INFINITY, 90.0],
        [-f32::NAN, 0.0, 0.0]
    ];
    for (name, device) in devices() {
        for sampling in [Sampling::new as fn(&Tensor<u32>) -> Sampling, |seed| Sampling::new(seed).top_k(2).top_p(0.9)]
        {
            assert_eq!(draw(&device, &logits, sampling, 1), [u32::MAX, u32::MAX, 1, 1, u32::MAX], "{name}");
        }
        assert_eq!(draw(&device, &logits, |_| Sampling::greedy(), 1), [u32::MAX, u32::MAX, 1, 1, u32::MAX], "{name}");
    }
}

/// The symbol that a step draws is the input of the next one, without coming back to the host.
#[test]
fn a_model_writes_a_text_from_run_to_run() {
    let mut texts = Vec::new();
    for (_, device) in devices() {
        let config = ModelConfig::language(9, RnnConfig::new(Cell::Gru(wgrnn::Reset::After), 8, 16));
        let model = Model::new(&device, &config, 3).unwrap();
        let (symbol, seed) = (Tensor::<u32>::zeros(&device, &[1, 1]).unwrap(), Tensor::zeros(&device, &[2]).unwrap());
        let mut tape = Tape::evaluating(&device).unwrap();
        let x = tape.input(&symbol).unwrap();
        let state = model.device_state(1).unwrap();
        let logits = model.forward(&mut tape, &x, &state, &RnnCall::default().carry(true)).unwrap();
        let [logits, next] = [logits.reshape(&[1, 9]).unwrap(), x.reshape(&[1]).unwrap()];
        tape.plan().sample(&logits, &next, &Sampling::new(&seed).temperature(2.0)).unwrap();
        let step = tape.evaluation().unwrap();
        let text: Vec<u32> = (0..30)
            .map(|i| {
                seed.write(array![1, i].view()).unwrap();
                step.program().run().unwrap();
                symbol.read().unwrap()[[0, 0]]
            })
            .collect();
        assert!(text.iter().any(|symbol| *symbol != text[0]), "{text:?}");
        texts.push(text);
    }
    assert!(texts[0] == texts[1] && texts[1] == texts[2], "{texts:?}");
}

/// A row that needs more than one column in a loop trip.
#[test]
fn rows_of_half_a_million_columns_are_drawn_from() {
    let columns = 500_000;
    let logits = Array2::from_shape_fn((1, columns), |(_, j)| if j % 50_000 == 17 { 3.0 } else { -20.0 });
    for device in [gpu(), Device::cpu()] {
        let drawn = draw(&device, &logits, |seed| Sampling::new(seed).top_k(12).top_p(0.99), 2);
        assert!(drawn.iter().all(|symbol| symbol % 50_000 == 17), "{drawn:?}");
    }
}

#[test]
fn options_that_cannot_be_are_refused_by_name() {
    let device = Device::cpu();
    let mut plan = PlanBuilder::new(&device);
    let logits = plan.tensor(&Tensor::<f32>::zeros(&device, &[2, 3]).unwrap()).unwrap();
    let out = plan.tensor(&Tensor::<u32>::zeros(&device, &[2]).unwrap()).unwrap();
    let long = plan.tensor(&Tensor::<u32>::zeros(&device, &[3]).unwrap()).unwrap();
    let seed = Tensor::<u32>::zeros(&device, &[2]).unwrap();
    let refused = |result: Result<()>, parts: &[&str]| {
        let error = result.unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    let new = || Sampling::new(&seed);
    for temperature in [-0.5, f32::NAN, f32::INFINITY] {
        let sampling = new().temperature(temperature);
        refused(plan.sample(&logits, &out, &sampling), &["temperature of sampling", &temperature.to_string()]);
    }
    refused(plan.sample(&logits, &out, &new().top_k(0)), &["top_k of sampling", "0"]);
    for p in [0.0, -0.1, 1.1, f32::NAN] {
        refused(plan.sample(&logits, &out, &new().top_p(p)), &["top_p of sampling", &p.to_string()]);
    }
    refused(plan.sample(&logits, &out, &Sampling::greedy().temperature(1.0)), &["seed of sampling", "Sampling::new"]);
    let short = Tensor::<u32>::zeros(&device, &[1]).unwrap();
    refused(plan.sample(&logits, &out, &Sampling::new(&short)), &["seed of sampling", "[2]", "[1]"]);
    refused(plan.sample(&logits, &long, &new()), &["sampled symbols", "[2]", "[3]"]);
    refused(plan.sample(&logits.at(0).unwrap(), &out, &new()), &["logits", "[rows, columns]", "[3]"]);
    refused(plan.sample(&out, &out, &new()), &["logits", "numbers"]);
    refused(plan.sample(&logits, &logits, &new()), &["sampled symbols", "indices"]);
}
