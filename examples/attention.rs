//! A decoder that attends learns to write words backwards: an encoder reads a word, and at every step the decoder looks for the letter
//! that comes next. Training and decoding are one plan each; words are then decoded greedily and by beam search.
//!
//! `cargo run --release --example attention`
//!
//! After 1,000 steps, seven seconds on the CPU device, most of 32 words that it has not seen are right. `-- --device gpu` runs it on a GPU.

mod common;

use anyhow::Result;
use clap::Parser;
use common::Choice;
use ndarray::{Array1, Array2};
use wgrnn::plan::Value;
use wgrnn::{
    Attention, BatchLengths, BeamSearch, Beams, Cell, Clip, Device, DeviceState, Embedding, Evaluation, IGNORED,
    LearningRate, Lengths, Linear, Memory, Optimizer, Reset, Rnn, RnnCall, RnnConfig, RnnWeights, Tape, Tensor,
    Trainer, TrainerOptions,
};

const LETTERS: u32 = 12;
/// What a text begins and ends with.
const START: u32 = LETTERS;
const END: u32 = LETTERS + 1;
const SYMBOLS: usize = LETTERS as usize + 2;
/// The longest word.
const LONGEST: usize = 8;
const BATCH: usize = 32;
const FEATURES: usize = 24;
const HIDDEN: usize = 48;

/// Learns to write words backwards.
#[derive(Parser)]
struct Arguments {
    /// Where to run.
    #[arg(long, value_enum, default_value = "auto")]
    device: Choice,
    /// Training steps of 32 words.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
}

/// Random numbers, the same in every run (Steele et al. 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn matrix(&mut self, [rows, columns]: [usize; 2]) -> Array2<f32> {
        let bound = 1.0 / (columns as f32).sqrt();
        Array2::from_shape_simple_fn((rows, columns), || (self.below(1 << 20) as f32 / 524_288.0 - 1.0) * bound)
    }

    fn words(&mut self) -> Vec<Vec<u32>> {
        let mut word = || (0..3 + self.below(LONGEST - 2)).map(|_| self.below(LETTERS as usize) as u32).collect();
        (0..BATCH).map(|_| word()).collect()
    }
}

/// The layers.
struct Network {
    letters: Embedding,
    encoder: Rnn,
    decoder: Rnn,
    attention: Attention,
    head: Linear,
}

/// A batch of words on the device.
struct Words {
    /// [T, N]
    letters: Tensor<u32>,
    lengths: BatchLengths,
    /// The same lengths, for the attention.
    counts: Tensor<u32>,
}

impl Network {
    fn new(device: &Device) -> Result<Self> {
        let mut random = Random(1);
        let rnn = |inputs: usize, seed: u32| {
            let config = RnnConfig::new(Cell::Gru(Reset::After), inputs, HIDDEN);
            Rnn::trainable(device, &config, &RnnWeights::init(&config, seed)?)
        };
        let mut linear = |shape| Linear::trainable(device, random.matrix(shape).view(), None);
        Ok(Self {
            encoder: rnn(FEATURES, 2)?,
            decoder: rnn(FEATURES + HIDDEN, 3)?,
            attention: Attention::General(linear([HIDDEN, HIDDEN])?),
            head: linear([SYMBOLS, HIDDEN])?,
            letters: Embedding::trainable(device, random.matrix([SYMBOLS, FEATURES]).view())?,
        })
    }

    /// Reads words: what the decoder can attend to.
    fn read(&self, tape: &mut Tape, words: &Words) -> wgrnn::Result<Memory> {
        let letters = tape.input(&words.letters)?;
        let vectors = tape.embedding(&self.letters, &letters)?;
        let call = RnnCall::default().lengths(Lengths::PerRun(words.lengths.clone()));
        let encoded = tape.rnn(&self.encoder, &vectors, &self.encoder.device_state(BATCH)?, &call)?;
        let counts = tape.input(&words.counts)?;
        tape.memory(&self.attention, &encoded, Some(&counts))
    }

    /// A step of the decoder: from the last letters `[rows]` and the last output [rows, H] to the next output.
    fn write(
        &self,
        tape: &mut Tape,
        memory: &Memory,
        state: &DeviceState,
        (last, output): (&Value, &Value),
        step: usize,
    ) -> wgrnn::Result<Value> {
        let (context, _) = memory.attend(tape, output)?;
        let vectors = tape.embedding(&self.letters, last)?;
        let x = tape.concat(&[&vectors, &context], 1)?.insert_axis(0)?;
        let call = RnnCall::default().carry(step > 0);
        tape.rnn(&self.decoder, &x, state, &call)?.at(0)
    }
}

impl Words {
    fn new(device: &Device, network: &Network) -> Result<Self> {
        Ok(Self {
            letters: Tensor::zeros(device, &[LONGEST, BATCH])?,
            lengths: network.encoder.batch_lengths(LONGEST, BATCH)?,
            counts: Tensor::zeros(device, &[BATCH])?,
        })
    }

    fn load(&self, words: &[Vec<u32>]) -> Result<()> {
        let letter = |(t, n): (usize, usize)| words[n].get(t).copied().unwrap_or(0);
        self.letters.write(Array2::from_shape_fn((LONGEST, BATCH), letter).view())?;
        self.counts.write(words.iter().map(|word| word.len() as u32).collect::<Array1<_>>().view())?;
        Ok(self.lengths.write(&words.iter().map(Vec::len).collect::<Vec<_>>())?)
    }
}

/// Trains on random words.
fn train(device: &Device, network: &Network, steps: u32) -> Result<()> {
    let words = Words::new(device, network)?;
    // The start, then the letters backwards; and the same without the start, then the end.
    let told = Tensor::<u32>::zeros(device, &[LONGEST + 1, BATCH])?;
    let wanted = Tensor::<u32>::zeros(device, &[LONGEST + 1, BATCH])?;
    let first = Tensor::<f32>::zeros(device, &[BATCH, HIDDEN])?;

    let mut tape = Tape::training(device)?;
    let memory = network.read(&mut tape, &words)?;
    let (input, targets) = (tape.input(&told)?, tape.input(&wanted)?);
    let state = network.decoder.device_state(BATCH)?;
    let mut outputs = vec![tape.input(&first)?];
    for step in 0..=LONGEST {
        let output = network.write(&mut tape, &memory, &state, (&input.at(step)?, &outputs[step]), step)?;
        outputs.push(output);
    }
    let outputs = outputs.iter().skip(1).map(|output| output.insert_axis(0)).collect::<wgrnn::Result<Vec<_>>>()?;
    let outputs = tape.concat(&outputs.iter().collect::<Vec<_>>(), 0)?;
    let scores = tape.linear(&network.head, &outputs)?;
    tape.cross_entropy(&scores, &targets)?;
    let rate = LearningRate::Cosine { rate: 5e-3, least: 5e-4, warm_up: 0, steps };
    let mut trainer =
        Trainer::new(tape, TrainerOptions::new(Optimizer::ADAM).learning_rate(rate).clip(Clip::Norm(1.0)))?;

    let mut random = Random(7);
    for step in 1..=steps {
        let batch = random.words();
        words.load(&batch)?;
        let backwards = |n: usize, t: usize| batch[n].len().checked_sub(t + 1).map(|place| batch[n][place]);
        let before = |(t, n): (usize, usize)| if t == 0 { START } else { backwards(n, t - 1).unwrap_or(END) };
        let next = |(t, n): (usize, usize)| match t.cmp(&batch[n].len()) {
            std::cmp::Ordering::Less => backwards(n, t).unwrap_or(END),
            std::cmp::Ordering::Equal => END,
            std::cmp::Ordering::Greater => IGNORED,
        };
        told.write(Array2::from_shape_fn((LONGEST + 1, BATCH), before).view())?;
        wanted.write(Array2::from_shape_fn((LONGEST + 1, BATCH), next).view())?;
        trainer.step()?;
        if step % 100 == 0 || step == steps {
            println!("step {step:4}: cross-entropy of a letter {:.3}", trainer.progress()?.mean_loss);
        }
    }
    Ok(())
}

/// A program that decodes a batch of words, and its beams: one is greedy.
fn decoder(device: &Device, network: &Network, words: &Words, beams: usize) -> Result<(Evaluation, Beams)> {
    let mut tape = Tape::evaluating(device)?;
    let memory = network.read(&mut tape, words)?;
    let mut found = tape.plan().beam_search(&BeamSearch::new(START, END, LONGEST + 1).beams(beams), BATCH)?;
    let state = network.decoder.device_state(found.rows())?;
    let mut output = tape.input(&Tensor::<f32>::zeros(device, &[found.rows(), HIDDEN])?)?;
    for step in 0..=LONGEST {
        output = network.write(&mut tape, &memory, &state, (&found.tokens(), &output), step)?;
        let scores = tape.linear(&network.head, &output)?;
        found.advance(tape.plan(), &scores)?;
        found.follow_state(tape.plan(), &state)?;
        output = found.follow(tape.plan(), &output)?;
    }
    Ok((tape.evaluation()?, found))
}

fn spelt(word: &[u32]) -> String {
    word.iter().map(|&letter| char::from(b'a' + letter.min(25) as u8)).collect()
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let device = arguments.device.device()?;
    let network = Network::new(&device)?;
    train(&device, &network, arguments.steps)?;

    let words = Words::new(&device, &network)?;
    // Words that training did not see, but for chance.
    let test = Random(99).words();
    words.load(&test)?;
    for (name, beams) in [("greedy", 1), ("4 beams", 4)] {
        let (program, found) = decoder(&device, &network, &words, beams)?;
        program.run()?;
        let found = found.read()?;
        let backwards = |word: &[u32]| word.iter().rev().copied().collect::<Vec<_>>();
        let right = test.iter().zip(&found).filter(|(word, found)| found[0].tokens == backwards(word)).count();
        println!("{name}: {right} of {BATCH} words are right");
        for (word, found) in test.iter().zip(&found).take(3) {
            println!("  {} -> {} (score {:.3})", spelt(word), spelt(&found[0].tokens), found[0].score);
        }
    }
    Ok(())
}
