//! Many-to-many: what does each voice sing next? An LSTM learns Bach's chorales, note by note, and composes.
//!
//! ```text
//!   soprano₁   alto₁     tenor₁     bass₁      soprano₂ …    events, drawn from softmax(V·h + c)
//!      ↑          ↑          ↑          ↑          ↑
//!   ─→ h ───────→ h ───────→ h ───────→ h ───────→ h ──→ …   LSTM: the same cell for all voices
//!      ↑     ↗    ↑     ↗    ↑     ↗    ↑     ↗    ↑
//!    facts      facts      facts      facts      facts       whose turn it is, the place in the bar, what all voices sing
//! ```
//!
//! At each sixteenth, the voices decide one after the other whether to hold their note, to rest, or to sing a new one: each knows what
//! those above it have just decided.
//!
//! ```sh
//! cargo run --release --example compose -- --plot pictures --music music
//! cargo run --release --example compose -- --save chorales.safetensors --resume --temperature 0.7 --length 12 --music music
//! ```
//!
//! It learns from 265 chorales in up to 12 keys, and is tested on 33 settings of other hymns: 2.3 bits a note; n-grams take 2.6.

use anyhow::{Result, ensure};
use clap::{Parser, value_parser};
use lessons::data::chorales::{BAR, Batch, Chorale, Chorales, EVENTS, FACTS, SYMBOLS, ngrams};
use lessons::{
    Common, Course, Draw, Outcome, Reading, batch, compose, falling_adam, layers, make_folder, music, plots,
};
use rand_mt::Mt;
use std::f64::consts::LN_2;
use std::path::PathBuf;
use wgrnn::plan::Value;
use wgrnn::{Cell, Device, DeviceState, Embedding, Model, ModelConfig, RnnCall, RnnConfig, Tape};

/// Training steps; the learning rate falls along half a cosine over them.
const STEPS: u32 = 1500;
const FEATURES: usize = 24;
const HIDDEN: usize = 192;
const BATCH: usize = 32;
/// Sixteenths that are read at once in training: four bars.
const WINDOW: usize = 4 * BAR;

/// Trains a network on Bach's chorales, and lets it compose one.
#[derive(Parser, Debug)]
pub struct Options {
    /// What every lesson can be told.
    #[command(flatten)]
    pub common: Common<STEPS>,
    /// Bars to compose.
    #[arg(long, default_value_t = 16, value_parser = value_parser!(u32).range(1..=256))]
    pub length: u32,
    /// How daring: scores are divided by it. 0 always takes the best.
    #[arg(long, default_value_t = 0.8, allow_negative_numbers = true)]
    pub temperature: f32,
    /// A folder for what was composed, as chorale.mid and chorale.wav.
    #[arg(long, value_name = "FOLDER")]
    pub music: Option<PathBuf>,
    /// Test so many chorales, and no more.
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u32).range(1..))]
    pub tested: u32,
}

/// A table of the facts' vectors, and an LSTM with scores of the events.
struct Network {
    facts: Embedding,
    model: Model,
}

impl Network {
    fn new(device: &Device, seed: u32) -> Result<Self> {
        let lstm = RnnConfig::new(Cell::Lstm, FACTS * FEATURES, HIDDEN);
        let model = Model::new(device, &ModelConfig::features(lstm, EVENTS).dropout(0.2), seed)?;
        Ok(Self { facts: layers::embedding(device, [SYMBOLS, FEATURES], seed.wrapping_add(1))?, model })
    }

    /// Scores [T, N, events] of what comes next, by facts [T, N, 9].
    fn scores(&self, tape: &mut Tape, facts: &Value, state: &DeviceState, call: &RnnCall) -> Result<Value> {
        let &[steps, size, _] = facts.shape() else { anyhow::bail!("expected facts [T, N, {FACTS}]") };
        let vectors = tape.embedding(&self.facts, facts)?.reshape(&[steps, size, FACTS * FEATURES])?;
        Ok(self.model.forward(tape, &vectors, state, call)?)
    }
}

/// What the network is told, [T, N, 9], to the loss of the events, [T, N].
fn loss(tape: &mut Tape, network: &Network, pieces: &Batch) -> Result<Value> {
    let (facts, events) = (tape.input(&pieces.facts)?, tape.input(pieces.events.tensor())?);
    let state = network.model.device_state(pieces.size())?;
    let scores = network.scores(tape, &facts, &state, &RnnCall::default())?;
    tape.cross_entropy(&scores, &events)?;
    Ok(scores)
}

/// Trains, tests, and composes.
pub fn run(options: &Options) -> Result<Outcome> {
    let common = &options.common;
    ensure!(
        options.temperature >= 0.0 && options.temperature.is_finite(),
        "--temperature must be a number of at least 0"
    );
    let Chorales { learned, mut tested } = Chorales::load(common.data())?;
    tested.truncate(options.tested as usize);
    make_folder(options.music.as_deref())?;
    let device = common.start()?;
    let network = Network::new(&device, common.seed)?;

    let windows = Batch::new(&device, [WINDOW, BATCH.min(learned.len())])?;
    let mut tape = Tape::training(&device)?;
    loss(&mut tape, &network, &windows)?;
    let mut trainer = falling_adam(tape, 8e-3, STEPS, common.seed)?;
    network.model.name(&mut trainer, "")?;
    layers::name(&mut trainer, &[("facts", Some(network.facts.parameters()))])?;

    let longest = tested.iter().map(Chorale::steps).max().unwrap_or(1);
    let whole = Batch::new(&device, [longest, tested.len()])?;
    whole.write(&tested.iter().map(Chorale::whole).collect::<Vec<_>>())?;
    let mut tape = Tape::evaluating(&device)?;
    let scores = loss(&mut tape, &network, &whole)?;
    let reading = Reading::new(tape, &scores)?;
    let events: usize = tested.iter().map(|piece| piece.events.len()).sum();
    let notes = tested.iter().map(Chorale::notes).sum::<usize>().max(1);

    let course = Course::new("compose", "windows", windows.size()).held_out(100, || reading.loss());
    let curves = course.train(common, &mut trainer, |step, seed| {
        let mut random = Mt::new_with_key([seed, step]);
        let chosen = batch(learned.len(), windows.size(), seed, step).into_iter();
        windows.write(&chosen.map(|i| learned[i].window(WINDOW, &mut random)).collect::<Vec<_>>())
    })?;

    let draw = Draw { bars: options.length as usize, temperature: options.temperature, seed: common.seed };
    let composed = compose(&device, draw, |tape, facts| {
        network.scores(tape, facts, &network.model.device_state(1)?, &RnnCall::default().carry(true))
    })?;
    if let Some(folder) = &options.music {
        music::save(folder, "chorale", &composed.voices())?;
    }
    common.draw("compose_loss.svg", |path| curves.draw(path, "Bach's chorales", "cross-entropy of an event"))?;
    common.draw("compose.svg", |path| {
        let rolls = [composed.roll("composed"), tested[0].roll(&format!("Bach: {}", tested[0].name))];
        plots::rolls(path, "Two chorales", &["soprano", "alto", "tenor", "bass"], &rolls)
    })?;
    let bits = reading.loss()? / LN_2 * events as f64 / notes as f64;
    Ok(Outcome::new(format!("{} chorales held out, {notes} notes", tested.len()))
        .number("bits per note")
        .row("n-grams", &[ngrams(&learned, &tested) / notes as f64])
        .row("LSTM", &[bits])
        .note(format!("composed {} notes: {}", composed.notes(), composed.compass())))
}

fn main() -> Result<()> {
    lessons::tell(run(&Options::parse()))
}
