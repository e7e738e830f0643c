//! Layers that are frozen: they stay as they are, and gradients pass through them.

use crate::common::{devices, gpu};
use crate::tapes::{gradient, linear, lstm, matrix, near, numbers};
use ndarray::{ArrayD, array};
use std::collections::HashMap;
use wgrnn::{
    Cell, Device, Embedding, LearningRate, Linear, Optimizer, Parameters, Reset, Rnn, RnnCall, RnnConfig, RnnWeights,
    Tape, Tensor, Trainer, TrainerOptions,
};

/// Embedding, two recurrent layers and a head; some of them frozen. The parameters' gradients and the trainer.
struct Stack {
    table: Embedding,
    rnns: [Rnn; 2],
    head: Linear,
    tokens: Tensor<u32>,
    target: Tensor,
}

impl Stack {
    fn new(device: &Device) -> Self {
        let gru = RnnConfig::new(Cell::Gru(Reset::After), 5, 4).layers(2);
        Self {
            table: Embedding::trainable(device, matrix(3, 6, 3).view()).unwrap(),
            rnns: [lstm(device, 3, 5), Rnn::trainable(device, &gru, &RnnWeights::init(&gru, 5).unwrap()).unwrap()],
            head: linear(device, 2, 4),
            tokens: Tensor::from_array(device, array![[0_u32, 5], [3, 1], [2, 2], [4, 0]].view()).unwrap(),
            target: numbers(device, [4, 2, 2]),
        }
    }

    fn blocks(&self) -> [&Parameters; 4] {
        let [a, b] = self.rnns.each_ref().map(|rnn| rnn.parameters().unwrap());
        [self.table.parameters(), a, b, self.head.parameters().unwrap()]
    }

    fn trainer(&self, device: &Device, frozen: &[usize], keep_every: Option<usize>) -> Trainer {
        let mut tape = Tape::training(device).unwrap();
        let (mut y, t) = (tape.input(&self.tokens).unwrap(), tape.input(&self.target).unwrap());
        frozen.iter().for_each(|&i| tape.freeze(self.blocks()[i]).unwrap());
        y = tape.embedding(&self.table, &y).unwrap();
        for rnn in &self.rnns {
            let call = RnnCall::default().keep_every(keep_every);
            y = tape.rnn(rnn, &y, &rnn.device_state(2).unwrap(), &call).unwrap();
        }
        y = tape.linear(&self.head, &y).unwrap();
        tape.mean_squared_error(&y, &t).unwrap();
        let learning_rate = LearningRate::Constant(0.05);
        Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM).learning_rate(learning_rate)).unwrap()
    }

    fn values(&self) -> [Vec<(String, ArrayD<f32>)>; 4] {
        self.blocks().map(|block| block.read().unwrap())
    }
}

#[test]
fn frozen_layers_stay_as_they_are_and_pass_gradients_on() {
    for (name, device) in devices() {
        let whole = Stack::new(&device);
        whole.trainer(&device, &[], None).step().unwrap();
        let expected = whole.blocks().map(|block| gradient(Some(block)));
        for (frozen, keep_every) in
            [(&[3][..], None), (&[1, 2], None), (&[2], Some(2)), (&[0, 1], None), (&[0], Some(2)), (&[1, 2, 3], None)]
        {
            let name = format!("{frozen:?} frozen, {keep_every:?} on {name}");
            let stack = Stack::new(&device);
            let before = stack.values();
            let mut trainer = stack.trainer(&device, frozen, keep_every);
            trainer.step().unwrap();
            for (i, block) in stack.blocks().into_iter().enumerate().filter(|(i, _)| !frozen.contains(i)) {
                near(&format!("gradient of block {i}, {name}"), &gradient(Some(block)), &expected[i]);
            }
            trainer.step().unwrap();
            trainer.progress().unwrap();
            for (i, (before, after)) in before.iter().zip(&stack.values()).enumerate() {
                assert_eq!(before == after, frozen.contains(&i), "block {i}, {name}");
            }
        }
    }
}

#[test]
fn frozen_layers_cost_neither_moments_nor_a_backward_pass_that_nobody_needs() {
    let device = gpu();
    let stack = Stack::new(&device);
    let flop = |frozen: &[usize]| stack.trainer(&device, frozen, None).plan().flop();
    let [all, head, below] = [flop(&[]), flop(&[3]), flop(&[0, 1, 2])];
    assert!(below < head && head < all && 2 * below < all, "{below}, {head}, {all}");
    // What is named in the checkpoint: the frozen block's weights, and moments of the others alone.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let trainer = stack.trainer(&device, &[0, 1, 2], None);
    trainer.save(&path, &HashMap::new()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let names = file.names();
    assert!(["0.weight", "1.weight_ih_l0", "3.weight", "optimizer.3.mean"].iter().all(|name| names.contains(name)));
    assert!(!names.iter().any(|name| name.starts_with("optimizer.0") || name.starts_with("optimizer.1")), "{names:?}");
    // A training that goes on has the frozen weights of the checkpoint, and the same losses.
    let losses = |trainer: &mut Trainer| {
        let mut loss = |_| {
            trainer.step().unwrap();
            trainer.progress().unwrap().last_loss
        };
        [0; 3].map(&mut loss)
    };
    let mut first = stack.trainer(&device, &[0, 1, 2], None);
    losses(&mut first);
    first.save(&path, &HashMap::new()).unwrap();
    let expected = losses(&mut first);
    let other = Stack::new(&device);
    let mut spoilt = other.values();
    for (block, arrays) in other.blocks().into_iter().zip(&mut spoilt) {
        arrays.iter_mut().for_each(|(_, array)| array.fill(0.5));
        block.write(arrays).unwrap();
    }
    let mut second = other.trainer(&device, &[0, 1, 2], None);
    second.refresh().unwrap();
    losses(&mut second);
    second.load(&path).unwrap();
    assert_eq!(losses(&mut second), expected);
}
