//! A decoder that attends at every step beside the same decoder without attention, which reads a fixed context in its place, as one plan
//! of ten greedy steps.
//!
//! ```sh
//! cargo bench --bench decoding
//! ```
//!
//! Runs of all decoders alternate; the table has medians of a step, and ratios to the plain decoder.

mod common;

use ndarray::{Array2, Array3};
use std::time::Instant;
use wgrnn::{
    Attention, Cell, Device, Evaluation, Linear, Output, Rnn, RnnCall, RnnConfig, RnnWeights, Tape, Tensor, plan::Value,
};

const HIDDEN: usize = 256;
const SOURCE: usize = 50;
const SYMBOLS: usize = 64;
const STEPS: usize = 10;
const ROUNDS: usize = 31;

/// What a decoder reads beside its last symbol.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reads {
    /// The same context at every step.
    Fixed,
    /// What it sees of the source: Luong's attention.
    Attended,
    /// The same out of operations of the tape.
    Composed,
}

fn main() {
    println!("| device | N | plain ms | attending | ratio | out of operations | ratio |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (name, device) in common::devices() {
        for batch in [1, 32] {
            let decoders = [Reads::Fixed, Reads::Attended, Reads::Composed].map(|reads| decoder(&device, batch, reads));
            let mut times = [const { Vec::new() }; 3];
            for round in 0..=ROUNDS {
                for (times, decoder) in times.iter_mut().zip(&decoders) {
                    let start = Instant::now();
                    decoder.program().run().expect("the decoder runs");
                    device.wait().expect("the device is there");
                    // The first round compiles.
                    if round > 0 {
                        times.push(start.elapsed().as_secs_f64() * 1e3 / STEPS as f64);
                    }
                }
            }
            let [plain, attending, composed] = times.map(|mut times| {
                times.sort_by(f64::total_cmp);
                times[times.len() / 2]
            });
            let ratios = [attending, composed].map(|time| time / plain);
            println!(
                "| {name} | {batch} | {plain:.3} | {attending:.3} | {:.2} | {composed:.3} | {:.2} |",
                ratios[0], ratios[1]
            );
        }
    }
}

fn numbers(shape: [usize; 2], seed: usize) -> Array2<f32> {
    Array2::from_shape_fn(shape, |(i, j)| ((i * 31 + j * 17 + seed * 7) % 101) as f32 / 505.0 - 0.1)
}

/// A program of ten greedy steps.
fn decoder(device: &Device, batch: usize, reads: Reads) -> Evaluation {
    build(device, batch, reads).expect("the decoder is right")
}

fn build(device: &Device, batch: usize, reads: Reads) -> wgrnn::Result<Evaluation> {
    let config = RnnConfig::new(Cell::Lstm, 2 * HIDDEN, HIDDEN);
    let rnn = Rnn::new(device, &config, RnnWeights::init(&config, 0)?)?;
    let head = Linear::new(device, numbers([SYMBOLS, HIDDEN], 1).view(), None)?;
    let table = Tensor::from_array(device, numbers([SYMBOLS, HIDDEN], 2).view())?;
    let source = Array3::from_shape_fn((SOURCE, batch, HIDDEN), |(s, n, i)| {
        ((s * 31 + n * 17 + i * 7) % 101) as f32 / 50.5 - 1.0
    });
    let source = Tensor::from_array(device, source.view())?;
    let symbols = Tensor::<u32>::zeros(device, &[STEPS + 1, batch])?;
    let first = Tensor::<f32>::zeros(device, &[batch, HIDDEN])?;
    let mut tape = Tape::evaluating(device)?;
    let (table, source, symbols) = (tape.input(&table)?, tape.input(&source)?, tape.input(&symbols)?);
    let memory = tape.memory(&Attention::Dot, &source, None)?;
    let state = rnn.device_state(batch)?;
    let call = RnnCall::default().carry(true).output(Output::Last);
    let mut last = tape.input(&first)?;
    for step in 0..STEPS {
        let context = match reads {
            Reads::Fixed => source.at(SOURCE - 1)?,
            Reads::Attended => memory.attend(&mut tape, &last)?.0,
            Reads::Composed => composed(&mut tape, &source, &last)?,
        };
        let vectors = tape.plan().embedding(&table, &symbols.at(step)?)?;
        let x = tape.plan().concat(&[&vectors, &context])?.insert_axis(0)?;
        last = tape.rnn(&rnn, &x, &state, &call)?;
        let logits = tape.linear(&head, &last)?;
        tape.plan().argmax(&logits, &symbols.at(step + 1)?)?;
    }
    tape.evaluation()
}

fn composed(tape: &mut Tape, source: &Value, query: &Value) -> wgrnn::Result<Value> {
    let memory = source.transpose(0, 1)?;
    let scores = tape.matmul(&memory, &query.insert_axis(2)?)?;
    let weights = tape.softmax(&scores.transpose(1, 2)?, 2, None)?;
    let context = tape.matmul(&weights, &memory)?;
    context.reshape(&[query.shape()[0], HIDDEN])
}
