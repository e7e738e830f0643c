//! An encoder and a decoder, their training, and pronouncing with them.

use crate::pairs::{LETTERS, Pair, Phonemes};
use anyhow::{Context, Result, ensure};
use ndarray::Array2;
use wgrnn::{
    BatchLengths, Cell, Clip, Device, DeviceState, Evaluation, IGNORED, LearningRate, Lengths, Model, ModelConfig,
    Optimizer, Output, Reset, RnnCall, RnnConfig, Tape, Targets, Tensor, Trainer, TrainerOptions,
};

/// The longest pronunciation that the decoder is asked for, without its end mark.
pub const LONGEST: usize = 20;

/// A GRU that reads letters, and another one that goes on from its state and writes phonemes.
pub struct Network {
    encoder: Model,
    decoder: Model,
    start: u32,
    end: u32,
}

impl Network {
    pub fn new(device: &Device, phonemes: &Phonemes, [features, hidden]: [usize; 2], seed: u32) -> Result<Self> {
        let rnn = RnnConfig::new(Cell::Gru(Reset::After), features, hidden);
        let encoder = ModelConfig::language(LETTERS, rnn.clone()).outputs(None);
        let decoder = ModelConfig::language(phonemes.symbols(), rnn);
        Ok(Self {
            encoder: Model::new(device, &encoder, seed)?,
            decoder: Model::new(device, &decoder, seed.wrapping_add(1))?,
            start: phonemes.start(),
            end: phonemes.end(),
        })
    }

    fn symbols(&self) -> usize {
        self.end as usize + 1
    }

    /// Letters, of which each word has as many as it has, to a state.
    fn read(&self, tape: &mut Tape, words: &Words) -> Result<DeviceState> {
        let letters = tape.input(&words.letters)?;
        let state = self.encoder.device_state(letters.shape()[1])?;
        let lengths = Lengths::PerRun(words.lengths.clone());
        let call = RnnCall::default().lengths(lengths).output(Output::Last);
        self.encoder.forward(tape, &letters, &state, &call)?;
        Ok(state)
    }
}

/// A batch of words on a device.
struct Words {
    /// [T, N].
    letters: Tensor<u32>,
    lengths: BatchLengths,
}

impl Words {
    fn new(device: &Device, encoder: &Model, [steps, batch]: [usize; 2]) -> Result<Self> {
        let lengths = encoder.rnn().batch_lengths(steps, batch)?;
        Ok(Self { letters: Tensor::zeros(device, &[steps, batch])?, lengths })
    }

    fn write(&self, words: &[&[u32]]) -> Result<()> {
        let &[steps, batch] = self.letters.shape() else { return Ok(()) };
        ensure!(words.len() <= batch, "{} words instead of {batch} at most", words.len());
        let mut letters = Array2::zeros((steps, batch));
        let mut lengths = vec![1; batch];
        for (n, word) in words.iter().enumerate() {
            ensure!((1..=steps).contains(&word.len()), "a word of {} letters; {steps} are the most", word.len());
            lengths[n] = word.len();
            word.iter().enumerate().for_each(|(t, &letter)| letters[[t, n]] = letter);
        }
        self.lengths.write(&lengths)?;
        Ok(self.letters.write(letters.view())?)
    }
}

/// A network's training. All batches, whatever their lengths, replay one program.
pub struct Training {
    pub trainer: Trainer,
    words: Words,
    /// Start mark and phonemes, [T, N]: the decoder is told what it should have written.
    told: Tensor<u32>,
    lengths: BatchLengths,
    /// Phonemes and end mark, [T, N].
    wanted: Targets,
    marks: [u32; 2],
}

impl Training {
    /// For batches of so many words of the lengths in `pairs`.
    pub fn new(device: &Device, network: &Network, pairs: &[Pair], batch: usize, seed: u32) -> Result<Self> {
        let Network { encoder, decoder, start, end } = network;
        let letters = pairs.iter().map(|pair| pair.letters.len()).max().context("no pairs")?;
        let steps = 1 + pairs.iter().map(|pair| pair.phonemes.len()).max().context("no pairs")?;
        let words = Words::new(device, encoder, [letters, batch])?;
        let told = Tensor::zeros(device, &[steps, batch])?;
        let lengths = decoder.rnn().batch_lengths(steps, batch)?;
        let wanted = Targets::new(device, &[steps, batch], network.symbols())?;

        let mut tape = Tape::training(device)?;
        let state = network.read(&mut tape, &words)?;
        let write = RnnCall::default().lengths(Lengths::PerRun(lengths.clone())).carry(true);
        let input = tape.input(&told)?;
        let scores = decoder.forward(&mut tape, &input, &state, &write)?;
        let targets = tape.input(wanted.tensor())?;
        tape.cross_entropy(&scores, &targets)?;
        let options = TrainerOptions::new(Optimizer::ADAM)
            .learning_rate(LearningRate::Constant(3e-3))
            .clip(Clip::Norm(1.0))
            .seed(seed);
        let mut trainer = Trainer::new(tape, options)?;
        encoder.name(&mut trainer, "encoder.")?;
        decoder.name(&mut trainer, "decoder.")?;
        Ok(Self { trainer, words, told, lengths, wanted, marks: [*start, *end] })
    }

    pub fn step(&mut self, pairs: &[&Pair]) -> Result<()> {
        let &[steps, batch] = self.told.shape() else { return Ok(()) };
        ensure!(pairs.len() == batch, "{} pairs instead of {batch}", pairs.len());
        let [start, end] = self.marks;
        let mut told = Array2::from_elem((steps, batch), start);
        let mut wanted = Array2::from_elem((steps, batch), IGNORED);
        for (n, pair) in pairs.iter().enumerate() {
            ensure!(pair.phonemes.len() < steps, "a word of {} phonemes", pair.phonemes.len());
            for (t, &phoneme) in pair.phonemes.iter().enumerate() {
                told[[t + 1, n]] = phoneme;
                wanted[[t, n]] = phoneme;
            }
            wanted[[pair.phonemes.len(), n]] = end;
        }
        self.told.write(told.view())?;
        self.wanted.write(wanted.view())?;
        self.lengths.write(&pairs.iter().map(|pair| pair.phonemes.len() + 1).collect::<Vec<_>>())?;
        self.words.write(&pairs.iter().map(|pair| &pair.letters[..]).collect::<Vec<_>>())?;
        Ok(self.trainer.step()?)
    }
}

/// A network at work on so many words at once: it writes at each step the phoneme that it holds for the likeliest, and
/// reads that one next. Nothing comes back from the device before the last phoneme is there.
pub struct Pronouncer {
    evaluation: Evaluation,
    words: Words,
    /// [1 + LONGEST, N]: the start mark, then what was written.
    phonemes: Tensor<u32>,
    end: u32,
}

impl Pronouncer {
    /// For words of at most so many letters, so many at once.
    pub fn new(device: &Device, network: &Network, letters: usize, batch: usize) -> Result<Self> {
        let words = Words::new(device, &network.encoder, [letters, batch])?;
        let phonemes = Array2::from_elem((1 + LONGEST, batch), network.start);
        let phonemes = Tensor::from_array(device, phonemes.view())?;
        let mut tape = Tape::evaluating(device)?;
        let state = network.read(&mut tape, &words)?;
        let write = RnnCall::default().carry(true).output(Output::Last);
        let written = tape.input(&phonemes)?;
        for step in 0..LONGEST {
            let last = written.at(step)?.reshape(&[1, batch])?;
            let scores = network.decoder.forward(&mut tape, &last, &state, &write)?;
            tape.plan().argmax(&scores, &written.at(step + 1)?)?;
        }
        Ok(Self { evaluation: tape.evaluation()?, words, phonemes, end: network.end })
    }

    /// The phonemes of each word.
    pub fn pronounce(&self, words: &[&[u32]]) -> Result<Vec<Vec<u32>>> {
        let mut all = Vec::with_capacity(words.len());
        for words in words.chunks(self.phonemes.shape()[1]) {
            self.words.write(words)?;
            self.evaluation.run()?;
            let phonemes: Array2<u32> = self.phonemes.read()?.into_dimensionality()?;
            let written =
                |n: usize| phonemes.column(n).iter().skip(1).copied().take_while(|&p| p != self.end).collect();
            all.extend((0..words.len()).map(written));
        }
        Ok(all)
    }
}
