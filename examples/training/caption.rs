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
//! The picture is read too: row by row, by a bidirectional GRU. (Mao et al. 2015, "Deep captioning with multimodal recurrent neural
//! networks", have a convolutional network for that.)
//!
//! ```sh
//! cargo run --release --example caption -- --plot pictures
//! cargo run --release --example caption -- --picture mine.png
//! ```
//!
//! One emoji in ten is held out. Most of those are variants of others: a profession in another skin tone, another hour of a clock. The
//! baseline gives the name of the picture that is most like it, pixel by pixel, and so can't name what it has not seen.

use anyhow::Result;
use clap::Parser;
use lessons::baselines::Nearest;
use lessons::data::caption::{END, Emoji, LONGEST, SIDE, SYMBOLS, load, open, rows, spelled};
use lessons::layers::{dense, embedding};
use lessons::metrics::rates;
use lessons::plots::{Tile, grid};
use lessons::{Common, Course, Lines, Outcome, adam, batch};
use rand_mt::Mt;
use std::path::PathBuf;
use wgrnn::plan::Value;
use wgrnn::{
    BeamSearch, Cell, Device, DeviceState, Direction, Embedding, Lengths, Linear, Output, Reset, Rnn, RnnCall,
    RnnConfig, RnnWeights, Tape, Tensor,
};

const SEEN: usize = 128;
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

/// The layers: an eye that reads a picture row by row, and a pen that writes.
struct Network {
    eye: Rnn,
    gaze: Linear,
    letters: Embedding,
    rnn: Rnn,
    head: Linear,
}

impl Network {
    fn new(device: &Device, seed: u32) -> Result<Self> {
        let rows = RnnConfig::new(Cell::Gru(Reset::After), 3 * SIDE, SEEN).direction(Direction::Bidirectional);
        let letters = RnnConfig::new(Cell::Lstm, FEATURES, HIDDEN);
        let rnn = |config, seed| Rnn::trainable(device, config, &RnnWeights::init(config, seed)?);
        Ok(Self {
            eye: rnn(&rows, seed)?,
            gaze: dense(device, [FEATURES, 2 * SEEN], seed.wrapping_add(1))?,
            letters: embedding(device, [SYMBOLS, FEATURES], seed.wrapping_add(2))?,
            rnn: rnn(&letters, seed.wrapping_add(3))?,
            head: dense(device, [SYMBOLS, HIDDEN], seed.wrapping_add(4))?,
        })
    }

    /// What there is to see in pictures, which are read row by row, [24, N, 72]: [N, 128].
    fn see(&self, tape: &mut Tape, pictures: &Value) -> Result<Value> {
        let state = self.eye.device_state(pictures.shape()[1])?;
        let seen = tape.rnn(&self.eye, pictures, &state, &RnnCall::default().output(Output::Last))?;
        let seen = tape.dropout(&seen, 0.2)?;
        Ok(tape.linear(&self.gaze, &seen)?)
    }

    /// From the letters before [T, N] and the picture to a score for each letter that may come next, [T, N, 96].
    fn write(
        &self,
        tape: &mut Tape,
        letters: &Value,
        seen: &Value,
        state: &DeviceState,
        call: &RnnCall,
    ) -> Result<Value> {
        let letters = tape.embedding(&self.letters, letters)?;
        let x = tape.add(&letters, seen)?;
        let h = tape.rnn(&self.rnn, &x, state, call)?;
        let h = tape.dropout(&h, 0.2)?;
        Ok(tape.linear(&self.head, &h)?)
    }
}

/// Trains, and names the emoji held out, and the caller's pictures.
pub fn run(options: &Options) -> Result<Outcome> {
    let [learned, tested] = load(options.common.data())?;
    let mine = options.picture.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
    let size = BATCH.min(learned.len());
    let device = options.common.start()?;
    let network = Network::new(&device, options.common.seed)?;

    let pictures = Tensor::<f32>::zeros(&device, &[SIDE, size, 3 * SIDE])?;
    let lines = Lines::new(&device, [LONGEST, size], SYMBOLS, [END, END])?;
    let lengths = network.rnn.batch_lengths(LONGEST + 1, size)?;
    let mut tape = Tape::training(&device)?;
    let (seen, letters) = (tape.input(&pictures)?, tape.input(&lines.told)?);
    let seen = network.see(&mut tape, &seen)?;
    let call = RnnCall::default().lengths(Lengths::PerRun(lengths.clone()));
    let scores = network.write(&mut tape, &letters, &seen, &network.rnn.device_state(size)?, &call)?;
    let targets = tape.input(lines.wanted.tensor())?;
    tape.cross_entropy(&scores, &targets)?;
    let mut trainer = adam(tape, 4e-3, options.common.seed)?;

    let curves = Course::new("caption", "emoji", size).train(&options.common, &mut trainer, |step, seed| {
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
    options.common.draw("caption_loss.svg", |path| curves.draw(path, "Names of emoji", "cross-entropy of a letter"))?;
    options.common.draw("caption.svg", |path| {
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
    let named = options.picture.iter().zip(&own);
    Ok(outcome.notes(named.map(|(path, name)| format!("{}: {}", path.display(), spelled(name)))))
}

/// Writes names: at each step the likeliest letter, which is read next.
fn name(device: &Device, network: &Network, emoji: &[&Emoji]) -> Result<Vec<Vec<u32>>> {
    let batch = emoji.len();
    let pictures = Tensor::from_array(device, rows(emoji, || [0, 0]).view())?;
    let mut tape = Tape::evaluating(device)?;
    let mut names = tape.plan().beam_search(&BeamSearch::new(END, END, LONGEST + 1).beams(1), batch)?;
    let state = network.rnn.device_state(batch)?;
    let pictures = tape.input(&pictures)?;
    let seen = network.see(&mut tape, &pictures)?;
    for step in 0..=LONGEST {
        let (letters, call) = (names.tokens().insert_axis(0)?, RnnCall::default().carry(step > 0));
        let scores = network.write(&mut tape, &letters, &seen, &state, &call)?.at(0)?;
        names.advance(tape.plan(), &scores)?;
    }
    tape.evaluation()?.program().run()?;
    Ok(names.read()?.iter().map(|beams| beams[0].tokens.clone()).collect())
}

fn main() -> Result<()> {
    lessons::tell(run(&Options::parse()))
}
