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
//! It learns from 265 chorales in up to 12 keys, and is tested on 33 settings of other hymns, beside n-grams.

use anyhow::{Result, ensure};
use clap::{Parser, value_parser};
use lessons::baselines::Ngrams;
use lessons::data::chorales::{BAR, Chorale, Chorales, EVENTS, FACTS, Moment, Reader, SYMBOLS, VOICES};
use lessons::plots::{Roll, rolls};
use lessons::{Common, Course, Outcome, Reading, batch, layers, make_folder, music};
use ndarray::{Array2, Array3, array};
use rand_mt::Mt;
use std::path::PathBuf;
use wgrnn::plan::Value;
use wgrnn::{
    Cell, Clip, Device, DeviceState, Embedding, IGNORED, LearningRate, Model, ModelConfig, Optimizer, RnnCall,
    RnnConfig, Sampling, Tape, Targets, Tensor, Trainer, TrainerOptions,
};

/// Training steps; the learning rate falls along half a cosine over them.
const STEPS: u32 = 1500;
const FEATURES: usize = 24;
const HIDDEN: usize = 192;
const BATCH: usize = 32;
/// Sixteenths that are read at once in training: four bars.
const WINDOW: usize = 4 * BAR;
/// A quarter before the first bar line, as most chorales have it.
const UPBEAT: usize = 4;

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
    #[arg(long, default_value_t = 0.8)]
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

/// Pieces, or parts of them, on the device.
struct Batch {
    /// [T, N, 9]
    facts: Tensor<u32>,
    /// [T, N]
    events: Targets,
}

impl Batch {
    fn new(device: &Device, [steps, size]: [usize; 2]) -> Result<Self> {
        let events = Targets::new(device, &[steps, size], EVENTS)?;
        Ok(Self { facts: Tensor::zeros(device, &[steps, size, FACTS])?, events })
    }

    fn write(&self, pieces: &[(Vec<Moment>, &[u32])]) -> Result<()> {
        let &[steps, size, _] = self.facts.shape() else { return Ok(()) };
        let facts: Vec<Vec<_>> =
            pieces.iter().map(|(moments, _)| moments.iter().map(Moment::facts).collect()).collect();
        let fact = |(t, n, k): (usize, usize, usize)| facts[n].get(t).map_or(0, |facts| facts[k]);
        self.facts.write(Array3::from_shape_fn((steps, size, FACTS), fact).view())?;
        let event = |(t, n): (usize, usize)| pieces[n].1.get(t).copied().unwrap_or(IGNORED);
        Ok(self.events.write(Array2::from_shape_fn((steps, size), event).view())?)
    }

    /// The scores of all events, and their loss.
    fn read(&self, tape: &mut Tape, network: &Network) -> Result<Value> {
        let (facts, events) = (tape.input(&self.facts)?, tape.input(self.events.tensor())?);
        let state = network.model.device_state(self.facts.shape()[1])?;
        let scores = network.scores(tape, &facts, &state, &RnnCall::default())?;
        tape.cross_entropy(&scores, &events)?;
        Ok(scores)
    }
}

/// Draws a piece event by event. Scores, state and draws stay on the device; an event comes back, for what it means to the next one.
fn compose(device: &Device, network: &Network, options: &Options) -> Result<Chorale> {
    let steps = BAR * options.length as usize;
    let (facts, event) = (Tensor::<u32>::zeros(device, &[1, 1, FACTS])?, Tensor::<u32>::zeros(device, &[1])?);
    let seed = Tensor::from_array(device, array![options.common.seed, 0].view())?;
    let mut tape = Tape::evaluating(device)?;
    let (input, output) = (tape.input(&facts)?, tape.input(&event)?);
    let state = network.model.device_state(1)?;
    let scores = network.scores(&mut tape, &input, &state, &RnnCall::default().carry(true))?.reshape(&[1, EVENTS])?;
    tape.plan().sample(&scores, &output, &Sampling::new(&seed).temperature(options.temperature))?;
    let program = tape.build()?;
    let (mut reader, mut events) = (Reader::new(UPBEAT, steps), Vec::new());
    for step in 0..(steps * VOICES) as u32 {
        facts.write(Array3::from_shape_fn((1, 1, FACTS), |(_, _, k)| reader.moment().facts()[k]).view())?;
        seed.write(array![options.common.seed, step].view())?;
        program.run()?;
        let drawn = event.read()?[[0]];
        ensure!((drawn as usize) < EVENTS, "the scores of the next event are not numbers");
        reader.read(drawn);
        events.push(drawn);
    }
    Ok(Chorale { name: "composed".to_owned(), upbeat: UPBEAT, events })
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

    let windows = Batch::new(&device, [WINDOW * VOICES, BATCH.min(learned.len())])?;
    let size = windows.facts.shape()[1];
    let mut tape = Tape::training(&device)?;
    windows.read(&mut tape, &network)?;
    let rate = LearningRate::Cosine { rate: 8e-3, least: 2e-4, warm_up: 20, steps: STEPS };
    let optimizer = TrainerOptions::new(Optimizer::ADAM).learning_rate(rate).clip(Clip::Norm(1.0)).seed(common.seed);
    let mut trainer = Trainer::new(tape, optimizer)?;
    network.model.name(&mut trainer, "")?;
    layers::name(&mut trainer, &[("facts", Some(network.facts.parameters()))])?;

    let longest = tested.iter().map(|piece| piece.events.len()).max().unwrap_or(1);
    let whole = Batch::new(&device, [longest, tested.len()])?;
    whole.write(&tested.iter().map(|piece| (piece.moments(), &piece.events[..])).collect::<Vec<_>>())?;
    let mut tape = Tape::evaluating(&device)?;
    let scores = whole.read(&mut tape, &network)?;
    let reading = Reading::new(tape, &scores)?;
    let (events, notes): (usize, usize) =
        tested.iter().fold((0, 0), |(events, notes), piece| (events + piece.events.len(), notes + piece.notes()));
    let bits = |loss: f64| loss / std::f64::consts::LN_2 * events as f64 / notes.max(1) as f64;

    let course = Course::new("compose", "windows", size).held_out(250, || Ok(reading.loss()?));
    let curves = course.train(common, &mut trainer, |step, seed| {
        let mut random = Mt::new_with_key([seed, step]);
        let chosen = batch(learned.len(), size, seed, step).into_iter().map(|i| learned[i].window(WINDOW, &mut random));
        let chosen: Vec<_> = chosen.collect();
        windows.write(&chosen.iter().map(|(moments, events)| (moments.clone(), &events[..])).collect::<Vec<_>>())
    })?;

    let composed = compose(&device, &network, options)?;
    if let Some(folder) = &options.music {
        music::midi(&folder.join("chorale.mid"), &composed.voices())?;
        music::wav(&folder.join("chorale.wav"), &composed.voices())?;
        eprintln!("wrote chorale.mid and chorale.wav in {}", folder.display());
    }
    common.draw("compose_loss.svg", |path| curves.draw(path, "Bach's chorales", "cross-entropy of an event"))?;
    common.draw("compose.svg", |path| {
        let roll =
            |name: String, piece: &Chorale| Roll { name, bars: [piece.upbeat, BAR], voices: piece.voices().into() };
        let pieces = [roll("composed".to_owned(), &composed), roll(format!("Bach: {}", tested[0].name), &tested[0])];
        rolls(path, "Two chorales", &["soprano", "alto", "tenor", "bass"], &pieces)
    })?;
    Ok(Outcome::new(format!("{} chorales held out, {notes} notes", tested.len()))
        .number("bits per note")
        .row("n-grams", &[baseline(&learned, &tested) / notes.max(1) as f64])
        .row("LSTM", &[bits(reading.loss()?)])
        .note(format!(
            "composed {} notes; lowest and highest of each voice: {:?}",
            composed.notes(),
            composed.ranges()
        )))
}

/// Bits that n-grams take for all events of the pieces held out.
fn baseline(learned: &[Chorale], tested: &[Chorale]) -> f64 {
    let mut ngrams = Ngrams::new(EVENTS);
    for piece in learned.iter().flat_map(|piece| piece.keys().into_iter().map(|by| piece.transposed(by))) {
        piece.moments().iter().zip(&piece.events).for_each(|(moment, &event)| ngrams.learn(&moment.context(), event));
    }
    let bits = |piece: &Chorale| -> f64 {
        let both = piece.moments().into_iter().zip(&piece.events);
        both.map(|(moment, &event)| -ngrams.probability(&moment.context(), event).log2()).sum()
    };
    tested.iter().map(bits).sum()
}

fn main() -> Result<()> {
    lessons::tell(run(&Options::parse()))
}
