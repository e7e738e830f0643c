//! Many-to-many: dates, amounts and countries out of ten languages into English, by an encoder, a decoder and attention between them.
//!
//! ```text
//!                  y₁        y₂                ŷ = softmax(V·s)     words of English
//!                  ↑         ↑
//!        s₀ ─────→ s₁ ─────→ s₂ ──→ …          s = GRU([y; c], s)   the decoder
//!                  ↑         ↑
//!                 Σ α·h     Σ α·h              c = Σ α·h            attention: α = softmax(v·tanh(W·s + U·h))
//!               ↗  ↑  ↖   ↗  ↑  ↖
//!        h₁ ⇄ h₂ ⇄ h₃ ⇄ …                      h = GRU both ways    the encoder
//!        ↑    ↑    ↑
//!        3    .    M …                         characters of a phrase
//! ```
//!
//! ```sh
//! cargo run --release --example translate -- --compare --plot pictures
//! cargo run --release --example translate -- --text "3. März 2026" "2026年3月3日"
//! ```
//!
//! It learns from 24,000 phrases of CLDR, and is tested on 1,000 that say what none of them says. `--compare` trains the same network
//! without attention too: its decoder sees one vector, the state in which the encoder ends (Cho et al. 2014).

use anyhow::Result;
use clap::{Parser, value_parser};
use lessons::baselines::recall;
use lessons::data::translate::Pairs;
use lessons::metrics::{bleu, exact};
use lessons::plots::{Heat, Line, heat, lines};
use lessons::{Common, Course, Curves, Decoder, Lines, Outcome, Search, Sequences, batch, layers};
use wgrnn::plan::Value;
use wgrnn::{
    Attention, Cell, Clip, Device, DeviceState, Direction, Embedding, LearningRate, Lengths, Linear, Memory, Model,
    ModelConfig, Optimizer, Output, Reset, Rnn, RnnCall, RnnConfig, RnnWeights, Tape, Trainer, TrainerOptions,
};

/// Training steps; the learning rate falls along half a cosine over them.
const STEPS: u32 = 2000;
const FEATURES: usize = 32;
const HIDDEN: usize = 128;
const BATCH: usize = 64;

/// Trains a network with attention to translate dates, amounts and countries into English.
#[derive(Parser, Debug)]
pub struct Options {
    /// What every lesson can be told.
    #[command(flatten)]
    pub common: Common<STEPS>,
    /// Train the same network without attention too.
    #[arg(long)]
    pub compare: bool,
    /// Translate so many of the phrases held out, and no more.
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u32).range(1..))]
    pub tested: u32,
    /// Phrases to translate after training.
    #[arg(long, value_name = "PHRASE", num_args = 1..)]
    pub text: Vec<String>,
}

/// Encoder, attention and decoder.
struct Network {
    encoder: Model,
    attention: [Linear; 3],
    /// Whether the decoder sees all states of the encoder, or only the last one.
    attends: bool,
    words: Embedding,
    decoder: Rnn,
    head: Linear,
}

impl Network {
    fn new(device: &Device, pairs: &Pairs, attends: bool, seed: u32) -> Result<Self> {
        let gru = |inputs, hidden| RnnConfig::new(Cell::Gru(Reset::After), inputs, hidden);
        let both_ways = gru(FEATURES, HIDDEN / 2).direction(Direction::Bidirectional);
        let forward = gru(FEATURES + HIDDEN, HIDDEN);
        let linear = |n: u32, shape| layers::linear(device, shape, seed.wrapping_add(n));
        Ok(Self {
            encoder: Model::new(device, &ModelConfig::language(pairs.characters(), both_ways).outputs(None), seed)?,
            attention: [
                linear(1, [HIDDEN / 2, HIDDEN])?,
                linear(2, [HIDDEN / 2, HIDDEN])?,
                linear(3, [1, HIDDEN / 2])?,
            ],
            attends,
            words: layers::embedding(device, [pairs.symbols(), FEATURES], seed.wrapping_add(4))?,
            decoder: Rnn::trainable(device, &forward, &RnnWeights::init(&forward, seed.wrapping_add(5))?)?,
            head: layers::dense(device, [pairs.symbols(), HIDDEN], seed.wrapping_add(6))?,
        })
    }
}

impl Decoder for Network {
    fn layer(&self) -> &Rnn {
        &self.decoder
    }

    fn reader(&self) -> &Rnn {
        self.encoder.rnn()
    }

    /// Reads phrases: what the decoder can look at.
    fn read(&self, tape: &mut Tape, phrases: &Sequences) -> Result<Memory> {
        let [query, memory, score] = self.attention.clone();
        let attention = Attention::Additive { query, memory, score };
        let (characters, lengths) = (tape.input(&phrases.symbols)?, tape.input(&phrases.counts)?);
        let state = self.encoder.device_state(characters.shape()[1])?;
        let call = RnnCall::default().lengths(Lengths::PerRun(phrases.lengths.clone()));
        if self.attends {
            let states = self.encoder.forward(tape, &characters, &state, &call)?;
            return Ok(tape.memory(&attention, &states, Some(&lengths))?);
        }
        // A memory of one step: the decoder always looks at it.
        let last = self.encoder.forward(tape, &characters, &state, &call.output(Output::Last))?;
        Ok(tape.memory(&attention, &last.insert_axis(0)?, None)?)
    }

    /// A step of the decoder: from the last word \[N\] and its last output [N, H] to the next output, and where it looked, [N, S].
    fn step(
        &self,
        tape: &mut Tape,
        (memory, state): (&Memory, &DeviceState),
        t: usize,
        word: &Value,
        output: &Value,
    ) -> Result<[Value; 2]> {
        let (context, looked) = memory.attend(tape, output)?;
        let word = tape.embedding(&self.words, word)?;
        let x = tape.concat(&[&word, &context], 1)?.insert_axis(0)?;
        Ok([tape.rnn(&self.decoder, &x, state, &RnnCall::default().carry(t > 0))?.at(0)?, looked])
    }

    fn scores(&self, tape: &mut Tape, outputs: &Value) -> Result<Value> {
        Ok(tape.linear(&self.head, outputs)?)
    }
}

/// Teaches a network: it is told what it should have written so far.
fn train(device: &Device, pairs: &Pairs, network: &Network, common: &Common<STEPS>) -> Result<Curves> {
    let ([longest, most], size) = (pairs.longest(), BATCH.min(pairs.learned.len()));
    let phrases = Sequences::new(network.encoder.rnn(), [longest, size])?;
    let lines = Lines::new(device, [most, size], pairs.symbols(), [pairs.start(), pairs.end()])?;
    let mut tape = Tape::training(device)?;
    let [scores, _] = network.told(&mut tape, &phrases, &lines.told)?;
    let wanted = tape.input(lines.wanted.tensor())?;
    tape.cross_entropy(&scores, &wanted)?;
    let rate = LearningRate::Cosine { rate: 5e-3, least: 1e-4, warm_up: 50, steps: STEPS };
    let options = TrainerOptions::new(Optimizer::ADAM).learning_rate(rate).clip(Clip::Norm(1.0)).seed(common.seed);
    let mut trainer = Trainer::new(tape, options)?;
    network.encoder.name(&mut trainer, "encoder.")?;
    let Network { attention: [query, memory, score], words, decoder, head, .. } = network;
    let others = [("words", Some(words.parameters())), ("decoder", decoder.parameters()), ("head", head.parameters())];
    layers::name(&mut trainer, &others)?;
    let attention =
        [("query", query), ("memory", memory), ("score", score)].map(|(name, layer)| (name, layer.parameters()));
    layers::name(&mut trainer, &attention)?;
    Course::new("translate", "phrases", size).train(common, &mut trainer, |step, seed| {
        let chosen = batch(pairs.learned.len(), size, seed, step).into_iter().map(|i| &pairs.learned[i]);
        phrases.write(&chosen.clone().map(|pair| &pair.source[..]).collect::<Vec<_>>())?;
        lines.write(&chosen.map(|pair| &pair.target[..]).collect::<Vec<_>>())
    })
}

/// Trains, and translates what was held out.
pub fn run(options: &Options) -> Result<Outcome> {
    let common = &options.common;
    let pairs = Pairs::load(common.data())?;
    let asked = options.text.iter().map(|text| pairs.ask(text)).collect::<Result<Vec<_>>>()?;
    let [longest, most] = pairs.longest();
    let search = Search { start: pairs.start(), end: pairs.end(), longest, most };
    let device = common.start()?;
    let tested = &pairs.tested[..pairs.tested.len().min(options.tested as usize)];
    let sources: Vec<_> = tested.iter().map(|pair| &pair.source[..]).collect();
    let figures = |answers: Vec<Vec<u32>>| {
        let both = answers.into_iter().zip(tested).map(|(answer, pair)| (answer, pair.target.clone()));
        let both: Vec<_> = both.collect();
        [exact(&both), bleu(&both)]
    };
    let remembered = tested.iter().map(|pair| {
        let known = pairs.learned.iter().filter(|known| known.language == pair.language);
        recall(&pair.source, known.map(|known| (&known.source[..], &known.target[..])))
    });
    let outcome = Outcome::new(format!("{} phrases held out", tested.len())).percent("exact").percent("BLEU");
    let mut outcome = outcome.row("the most similar phrase's translation", &figures(remembered.collect()));

    let network = Network::new(&device, &pairs, true, common.seed)?;
    let mut losses = vec![Line { name: "with attention", points: train(&device, &pairs, &network, common)?.training }];
    if options.compare {
        let without = Network::new(&device, &pairs, false, common.seed)?;
        let unsaved = Common { save: None, resume: false, ..common.clone() };
        losses.push(Line { name: "without attention", points: train(&device, &pairs, &without, &unsaved)?.training });
        outcome = outcome.row("without attention", &figures(without.search(search, &sources)?));
    }
    outcome = outcome.row("with attention", &figures(network.search(search, &sources)?));

    let asked: Vec<_> = asked.iter().map(|text| &text[..]).collect();
    let asked = if asked.is_empty() { sources.into_iter().take(10).collect() } else { asked };
    let found = network.search(search, &asked)?;
    for (phrase, found) in asked.iter().zip(&found) {
        outcome = outcome.note(format!("{} → {}", pairs.phrase(phrase), pairs.spell(found)));
    }
    if losses.iter().any(|line| !line.points.is_empty()) {
        let axes = ["step", "cross-entropy of a word"];
        common.draw("translate_loss.svg", |path| lines(path, "Translation", axes, &losses))?;
    }
    let longest = asked.iter().zip(&found).max_by_key(|(_, found)| found.len());
    longest.map_or(Ok(()), |(phrase, found)| {
        common.draw("translate.svg", |path| {
            let looks = network.looks(search, phrase, found)?;
            let rows = found.iter().map(|&word| pairs.token(word).to_owned()).chain(["end".to_owned()]).collect();
            let columns = pairs.phrase(phrase).chars().map(String::from).collect();
            let axes = ["word written", "character looked at"];
            heat(path, "Where the decoder looks", 22, &Heat { values: looks.view(), rows, columns, axes })
        })
    })?;
    Ok(outcome)
}

fn main() -> Result<()> {
    lessons::tell(run(&Options::parse()))
}
