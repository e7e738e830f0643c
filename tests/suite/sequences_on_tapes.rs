//! Training and evaluation on tapes with packed sequences, resets, masks and sequences without a step.

use crate::common::{Random, gpu, weights};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, concatenate, s};
use wgrnn::check::Comparison;
use wgrnn::plan::Value;
use wgrnn::{
    Cell, Device, Direction, IGNORED, LearningRate, Lengths, Linear, Optimizer, PackedSequence, Rnn, RnnCall,
    RnnConfig, SequenceMap, Tape, Tensor, Trainer, TrainerOptions,
};

const LENGTHS: [usize; 3] = [2, 5, 3];
const CLASSES: usize = 4;
const SGD: Optimizer = Optimizer::sgd(0.0);

/// Sums of the same terms in another order, over a few steps of training.
const TOLERANCE: f64 = 64.0 * f32::EPSILON as f64;

fn close(name: &str, got: &ArrayD<f32>, expected: &ArrayD<f32>) {
    let comparison = Comparison::new(name, got.view(), expected.mapv(f64::from).view(), TOLERANCE).unwrap();
    assert!(comparison.count > 0 && comparison.passed(), "{comparison}");
}

fn config() -> RnnConfig {
    RnnConfig::new(Cell::Lstm, 3, 5).layers(2).direction(Direction::Bidirectional)
}

/// Losses of a few steps, and the weights after them, of a layer over x and a classifier of each row.
fn learned(device: &Device, x: ArrayD<f32>, targets: ArrayD<u32>, map: &dyn Fn(&Rnn) -> RnnCall) -> Vec<ArrayD<f32>> {
    let config = config();
    let rnn = Rnn::trainable(device, &config, &weights(&config, 3)).unwrap();
    let mut random = Random::new(4);
    let head = random.array([1, CLASSES, config.output_size()]).index_axis_move(Axis(0), 0);
    let head = Linear::trainable(device, head.view(), None).unwrap();
    let call = map(&rnn);
    let batch = LENGTHS.len();
    let (x, targets) =
        (Tensor::from_array(device, x.view()).unwrap(), Tensor::from_array(device, targets.view()).unwrap());
    let mut tape = Tape::training(device).unwrap();
    let (x, targets) = (tape.input(&x).unwrap(), tape.input(&targets).unwrap());
    let y = tape.rnn(&rnn, &x, &rnn.device_state(batch).unwrap(), &call).unwrap();
    let logits = tape.linear(&head, &y).unwrap();
    tape.cross_entropy(&logits, &targets).unwrap();
    let options = TrainerOptions::new(SGD).learning_rate(LearningRate::Constant(0.1));
    let mut trainer = Trainer::new(tape, options).unwrap();
    let mut found = Vec::new();
    for _ in 0..3 {
        trainer.step().unwrap();
        found.push(Array1::from_elem(1, trainer.progress().unwrap().last_loss).into_dyn());
    }
    found.extend(rnn.weights().unwrap().named().map(|(_, array)| array.to_owned()));
    found
}

fn targets(random: &mut Random, steps: usize) -> Array2<u32> {
    Array2::from_shape_fn((steps, LENGTHS.len()), |(t, n)| {
        let class = (random.number().abs() * CLASSES as f32) as u32 % CLASSES as u32;
        if t < LENGTHS[n] { class } else { IGNORED }
    })
}

#[test]
fn a_model_learns_the_same_from_packed_and_from_padded_sequences() {
    for (name, device) in [("gpu", gpu()), ("cpu", Device::cpu())] {
        let mut random = Random::new(1);
        let x = random.array([5, 3, 3]);
        let targets = targets(&mut random, 5);
        let fixed = |_: &Rnn| RnnCall::default().lengths(Lengths::Fixed(LENGTHS.to_vec()));
        let padded = learned(&device, x.clone().into_dyn(), targets.clone().into_dyn(), &fixed);

        let sequences: Vec<_> = LENGTHS.iter().enumerate().map(|(n, &length)| x.slice(s![..length, n, ..])).collect();
        let rows = concatenate(Axis(0), &sequences).unwrap();
        let labels: Vec<_> = LENGTHS.iter().enumerate().map(|(n, &length)| targets.slice(s![..length, n])).collect();
        let labels = concatenate(Axis(0), &labels).unwrap();
        let map = |_: &Rnn| RnnCall::default().map(SequenceMap::concatenated(&LENGTHS));
        let concatenated = learned(&device, rows.into_dyn(), labels.into_dyn(), &map);

        let packed = PackedSequence::pack(&sequences).unwrap();
        let labels: Vec<_> = LENGTHS
            .iter()
            .enumerate()
            .map(|(n, &length)| targets.slice(s![..length, n..=n]).mapv(|class| class as f32))
            .collect();
        let labels = PackedSequence::pack(&labels.iter().map(|labels| labels.view()).collect::<Vec<_>>()).unwrap();
        let labels = labels.data().column(0).mapv(|class| class as u32);
        let map = |_: &Rnn| RnnCall::default().map(packed.map().unwrap());
        let by_pack = learned(&device, packed.data().clone().into_dyn(), labels.into_dyn(), &map);
        assert!(padded[2][0] < padded[0][0], "nothing was learned");
        for (i, expected) in padded.iter().enumerate() {
            close(&format!("{i}, one after the other, on {name}"), &concatenated[i], expected);
            close(&format!("{i}, packed, on {name}"), &by_pack[i], expected);
        }
    }
}

/// Gradients of x in two windows, the second of which goes on from the first, with resets in both.
#[test]
fn gradients_pass_from_window_to_window_but_not_through_resets() {
    let config = RnnConfig::new(Cell::Gru(wgrnn::Reset::After), 3, 5).layers(2);
    let mut random = Random::new(5);
    let x = random.array([6, 2, 3]);
    let weight = random.array([6, 2, 5]);
    let resets = [vec![vec![1], vec![]], vec![vec![2], vec![1]]];
    for (name, device) in [("gpu", gpu()), ("cpu", Device::cpu())] {
        let rnn = Rnn::trainable(&device, &config, &weights(&config, 3)).unwrap();
        let run = |windows: &[(std::ops::Range<usize>, Vec<Vec<usize>>)]| {
            let mut tape = Tape::training(&device).unwrap();
            let state = rnn.device_state(2).unwrap();
            let mut gradients = Vec::new();
            for (i, (range, resets)) in windows.iter().enumerate() {
                let part = |array: &Array3<f32>| array.slice(s![range.clone(), .., ..]).to_owned();
                let input = Tensor::from_array(&device, part(&x).view()).unwrap();
                let weight = Tensor::from_array(&device, part(&weight).view()).unwrap();
                let gradient = Tensor::zeros(&device, input.shape()).unwrap();
                let (input, weight): (Value, Value) = (tape.input(&input).unwrap(), tape.input(&weight).unwrap());
                let call = RnnCall::default().map(SequenceMap::resets_at(resets)).carry(i > 0);
                let y = tape.rnn(&rnn, &input, &state, &call).unwrap();
                tape.want_gradient(&input, &gradient).unwrap();
                tape.give_gradient(&y, &weight).unwrap();
                gradients.push(gradient);
            }
            let options = TrainerOptions::new(SGD).learning_rate(LearningRate::Constant(0.0));
            Trainer::new(tape, options).unwrap().step().unwrap();
            let gradients: Vec<_> = gradients.iter().map(|gradient| gradient.read().unwrap()).collect();
            concatenate(Axis(0), &gradients.iter().map(|gradient| gradient.view()).collect::<Vec<_>>()).unwrap()
        };
        let whole = run(&[(0..6, vec![vec![1, 5], vec![4]])]);
        let windows = run(&[(0..3, resets[0].clone()), (3..6, resets[1].clone())]);
        close(&format!("gradients on {name}"), &windows, &whole);
        let apart = run(&[(0..3, resets[0].clone()), (3..6, vec![vec![0], vec![0]])]);
        assert!(apart != windows, "nothing passes from window to window");
    }
}

#[test]
fn sequences_without_a_step_count_for_nothing_in_losses() {
    for (name, device) in [("gpu", gpu()), ("cpu", Device::cpu())] {
        let x = Random::new(1).array([5, 3, 3]);
        // Only the second sequence has steps, and targets.
        let lengths = [0, 2, 0];
        let some = Array2::from_shape_fn((5, 3), |(t, n)| if t < lengths[n] { 1 } else { IGNORED });
        let empty = |_: &Rnn| RnnCall::default().lengths(Lengths::Fixed(lengths.to_vec()));
        let found = learned(&device, x.clone().into_dyn(), some.into_dyn(), &empty);
        let before = weights(&config(), 3);
        assert!(found[2][0] < found[0][0] && found[0][0].is_finite(), "{name}: {:?}", &found[..3]);
        assert!(found[3..].iter().flatten().all(|weight| weight.is_finite()), "{name}");
        // Means over no step are 0.
        let mut tape = Tape::evaluating(&device).unwrap();
        let rnn = Rnn::trainable(&device, &config(), &before).unwrap();
        let x = Tensor::from_array(&device, x.view()).unwrap();
        let input = tape.input(&x).unwrap();
        let lengths = rnn.batch_lengths(5, 3).unwrap();
        lengths.write(&[0, 2, 0]).unwrap();
        let call = RnnCall::default().lengths(Lengths::PerRun(lengths));
        let y = tape.rnn(&rnn, &input, &rnn.device_state(3).unwrap(), &call).unwrap();
        let out = Tensor::from_array(&device, Array2::from_elem((3, 10), f32::NAN).view()).unwrap();
        let counts = Tensor::from_array(&device, ndarray::array![0_u32, 2, 0].view()).unwrap();
        let counts = tape.input(&counts).unwrap().insert_axis(1).unwrap();
        let mean = tape.mean_valid(&y, 0, &counts).unwrap();
        let target = tape.input(&out).unwrap();
        tape.plan().copy(&mean, &target).unwrap();
        tape.loss(&mean).unwrap();
        let evaluation = tape.evaluation().unwrap();
        evaluation.run().unwrap();
        let got = out.read().unwrap();
        assert!(got.index_axis(Axis(0), 0).iter().all(|&y| y == 0.0), "{name}: {got}");
        assert!(got.index_axis(Axis(0), 1).iter().all(|&y| y != 0.0 && y.is_finite()), "{name}: {got}");
    }
}
