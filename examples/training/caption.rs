//! One-to-many: a picture in, its description out, letter by letter. The pictures are emoji, and the descriptions their names.
//!
//! ```text
//!   c    a    t    .     letters, then the end
//!   ↑    ↑    ↑    ↑
//!   h →  h →  h →  h     an LSTM of 256 units
//!   ↑    ↑    ↑    ↑
//!   🐱   🐱c  🐱a  🐱t    the picture beside each letter that it wrote
//! ```
//!
//! The picture is read row by row by a bidirectional GRU, where Mao et al. 2015 have a convolutional network.
//!
//! ```sh
//! cargo run --release --example caption -- --plot pictures
//! cargo run --release --example caption -- --picture mine.png
//! ```
//!
//! One emoji in ten is held out. Most of those are variants of others, such as another hour of a clock. The baseline gives the name of
//! the picture that is most like it, pixel by pixel, and so can't name what it has not seen.

use anyhow::Result;
use clap::Parser;
use lessons::baselines::Nearest;
use lessons::data::caption::{END, Emoji, LONGEST, SIDE, SYMBOLS, load, open, rows, spelled};
use lessons::layers::embedding;
use lessons::metrics::rates;
use lessons::plots::{Tile, grid};
use lessons::{Common, Course, Lines, Outcome, adam, batch, greedy};
use rand_mt::Mt;
use std::path::PathBuf;
use wgrnn::plan::Value;
use wgrnn::{
    Cell, Device, DeviceState, Direction, Embedding, Lengths, Model, ModelConfig, Output, Reset, RnnCall, RnnConfig,
    Tape, Tensor,
};

const FEATURES: usize = 128;
const HIDDEN: usize = 256;
const BATCH: usize = 64;

/// Trains an LSTM to name emoji.
#[derive(Parser, Debug)]
pub struct Options {
    /// What every lesson can be told.
    #[command(flatten)]
    pub common: Common<3000>,
    /// A PNG picture to name after training: a square one, which is scaled to 24 by 24 pixels.
    #[arg(long, value_name = "FILE")]
    pub picture: Vec<PathBuf>,
}

/// The network: an eye that reads pictures, a vector for each letter, and a pen that writes.
struct Network {
    eye: Model,
    letters: Embedding,
    pen: Model,
}

impl Network {
    fn new(device: &Device, seed: u32) -> Result<Self> {
        let eye = RnnConfig::new(Cell::Gru(Reset::After), 3 * SIDE, FEATURES).direction(Direction::Bidirectional);
        let pen = RnnConfig::new(Cell::Lstm, FEATURES, HIDDEN);
        let model = |rnn, outputs, seed| Model::new(device, &ModelConfig::features(rnn, outputs).dropout(0.1), seed);
        let letters = embedding(device, [SYMBOLS, FEATURES], seed.wrapping_add(2))?;
        Ok(Self { eye: model(eye, FEATURES, seed)?, pen: model(pen, SYMBOLS, seed.wrapping_add(1))?, letters })
    }

    /// What there is to see in pictures, which are read row by row, [24, N, 72]: [N, 128].
    fn see(&self, tape: &mut Tape, pictures: &Value) -> wgrnn::Result<Value> {
        let state = self.eye.device_state(pictures.shape()[1])?;
        self.eye.forward(tape, pictures, &state, &RnnCall::default().output(Output::Last))
    }

    /// From the letters before [T, N] and the picture to a score for each letter that may come next, [T, N, 96].
    fn write(&self, tape: &mut Tape, letters: &Value, seen: &Value, at: (&DeviceState, &RnnCall)) -> Result<Value> {
        let letters = tape.embedding(&self.letters, letters)?;
        let x = tape.add(&letters, seen)?;
        Ok(self.pen.forward(tape, &x, at.0, at.1)?)
    }
}

/// Trains, and names the emoji held out, and the caller's pictures.
pub fn run(options: &Options) -> Result<Outcome> {
    let common = &options.common;
    let [learned, tested] = load(common.data())?;
    let mine = options.picture.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
    let size = BATCH.min(learned.len());
    let device = common.start()?;
    let network = Network::new(&device, common.seed)?;

    let pictures = Tensor::<f32>::zeros(&device, &[SIDE, size, 3 * SIDE])?;
    let lines = Lines::new(&device, [LONGEST, size], SYMBOLS, [END, END])?;
    let lengths = network.pen.rnn().batch_lengths(LONGEST + 1, size)?;
    let mut tape = Tape::training(&device)?;
    let (seen, letters) = (tape.input(&pictures)?, tape.input(&lines.told)?);
    let seen = network.see(&mut tape, &seen)?;
    let call = RnnCall::default().lengths(Lengths::PerRun(lengths.clone()));
    let scores = network.write(&mut tape, &letters, &seen, (&network.pen.device_state(size)?, &call))?;
    let targets = tape.input(lines.wanted.tensor())?;
    tape.cross_entropy(&scores, &targets)?;
    let mut trainer = adam(tape, 4e-3, common.seed)?;
    network.eye.name(&mut trainer, "eye.")?;
    network.pen.name(&mut trainer, "pen.")?;

    let curves = Course::new("caption", "emoji", size).train(common, &mut trainer, |step, seed| {
        let chosen: Vec<&Emoji> = batch(learned.len(), size, seed, step).into_iter().map(|i| &learned[i]).collect();
        let mut random = Mt::new_with_key([seed, step]);
        let mut pixel = || random.next_u32() as i32 % 2;
        pictures.write(rows(&chosen, || [pixel(), pixel()]).view())?;
        let names: Vec<Vec<u32>> = chosen.iter().map(|emoji| emoji.letters()).collect();
        lines.write(&names.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        Ok(lengths.write(&names.iter().map(|name| name.len() + 1).collect::<Vec<_>>())?)
    })?;

    let shown: Vec<&Emoji> = tested.iter().chain(&mine).collect();
    let mut names = name(&device, &network, &shown)?;
    let own = names.split_off(tested.len());
    let flat = |emoji: &Emoji| emoji.pixels.iter().copied().collect::<Vec<f32>>();
    let known = Nearest::fit(learned.iter().enumerate().map(|(i, emoji)| (flat(emoji), i)));
    let similar = |i: usize| learned[known.classify(&flat(&tested[i]))].letters();
    common.draw("caption_loss.svg", |path| curves.draw(path, "Names of emoji", "cross-entropy of a letter"))?;
    common.draw("caption.svg", |path| {
        let tile = |i: usize| Tile::answer(tested[i].pixels.clone(), &spelled(&names[i]), &tested[i].name);
        let tiles: Vec<Tile> = (0..tested.len()).step_by(tested.len().div_ceil(30)).map(tile).collect();
        grid(path, "Emoji held out, and how the network names them", 6, 4, &tiles)
    })?;
    let wanted: Vec<Vec<u32>> = tested.iter().map(Emoji::letters).collect();
    let row = |answer: &dyn Fn(usize) -> Vec<u32>| rates(wanted.iter().map(Vec::as_slice), answer);
    let outcome = Outcome::new(format!("{} emoji held out", tested.len()))
        .percent("letters wrong")
        .percent("names right")
        .row("name of the most similar emoji", &row(&similar))
        .row("LSTM", &row(&|i| names[i].clone()));
    let named = options.picture.iter().zip(&own).map(|(path, name)| format!("{}: {}", path.display(), spelled(name)));
    Ok(outcome.notes(named))
}

/// Writes names.
fn name(device: &Device, network: &Network, emoji: &[&Emoji]) -> Result<Vec<Vec<u32>>> {
    let mut tape = Tape::evaluating(device)?;
    let pictures = tape.input(&Tensor::from_array(device, rows(emoji, || [0, 0]).view())?)?;
    let (seen, state) = (network.see(&mut tape, &pictures)?, network.pen.device_state(emoji.len())?);
    greedy(tape, [END, END], [LONGEST + 1, emoji.len()], |tape, letters, step| {
        network.write(tape, letters, &seen, (&state, &RnnCall::default().carry(step > 0)))
    })
}

fn main() -> Result<()> {
    lessons::tell(run(&Options::parse()))
}
