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

use anyhow::{Context, Result, ensure};
use clap::Parser;
use lessons::baselines::most_similar;
use lessons::data::translate::{Pair, Pairs};
use lessons::metrics::{bleu, exact};
use lessons::plots::{Heat, Line, heat, lines};
use lessons::{Common, Course, Curves, Lines, Outcome, Reading, Sequences, batch, layers};
use wgrnn::plan::Value;
use wgrnn::{
    Attention, BeamSearch, Cell, Clip, Device, DeviceState, Direction, Embedding, LearningRate, Lengths, Linear,
    Memory, Model, ModelConfig, Optimizer, Output, Reset, Rnn, RnnCall, RnnConfig, RnnWeights, Tape, Tensor, Trainer,
    TrainerOptions,
};

const FEATURES: usize = 32;
const HIDDEN: usize = 128;
const BATCH: usize = 64;

/// Trains a network with attention to translate dates, amounts and countries into English.
#[derive(Parser, Debug)]
pub struct Options {
    /// What every lesson can be told.
    #[command(flatten)]
    pub common: Common<2000>,
    /// Train the same network without attention too.
    #[arg(long)]
    pub compare: bool,
    /// Phrases to translate after training.
    #[arg(long, value_name = "PHRASE", num_args = 1..)]
    pub text: Vec<String>,
}

/// Encoder, attention and decoder.
struct Network {
    encoder: Model,
    attention: Attention,
    /// Whether the decoder sees all states of the encoder, or only the last one.
    attends: bool,
    words: Embedding,
    decoder: Rnn,
    head: Linear,
}

impl Network {
    fn new(device: &Device, pairs: &Pairs, attends: bool, seed: u32) -> Result<Self> {
        let gru = |inputs, hidden| RnnConfig::new(Cell::Gru(Reset::After), inputs, hidden);
        let (both_ways, forward) =
            (gru(FEATURES, HIDDEN / 2).direction(Direction::Bidirectional), gru(FEATURES + HIDDEN, HIDDEN));
        let linear = |n: u32, shape| layers::linear(device, shape, seed.wrapping_add(n));
        Ok(Self {
            encoder: Model::new(device, &ModelConfig::language(pairs.characters(), both_ways).outputs(None), seed)?,
            attention: Attention::Additive {
                query: linear(1, [HIDDEN / 2, HIDDEN])?,
                memory: linear(2, [HIDDEN / 2, HIDDEN])?,
                score: linear(3, [1, HIDDEN / 2])?,
            },
            attends,
            words: layers::embedding(device, [pairs.symbols(), FEATURES], seed.wrapping_add(4))?,
            decoder: Rnn::trainable(device, &forward, &RnnWeights::init(&forward, seed.wrapping_add(5))?)?,
            head: linear(6, [pairs.symbols(), HIDDEN])?,
        })
    }

    /// Reads phrases: what the decoder can look at.
    fn read(&self, tape: &mut Tape, phrases: &Sequences) -> Result<Memory> {
        let (characters, counts) = (tape.input(&phrases.symbols)?, tape.input(&phrases.counts)?);
        let state = self.encoder.device_state(characters.shape()[1])?;
        let call = RnnCall::default().lengths(Lengths::PerRun(phrases.lengths.clone()));
        if self.attends {
            let states = self.encoder.forward(tape, &characters, &state, &call)?;
            return Ok(tape.memory(&self.attention, &states, Some(&counts))?);
        }
        // A memory of one step: all that attention can do is to look at it.
        let last = self.encoder.forward(tape, &characters, &state, &call.output(Output::Last))?;
        Ok(tape.memory(&self.attention, &last.insert_axis(0)?, None)?)
    }

    /// A step of the decoder: from the last word and the last output [N, H] to the next output, and where it looked [N, S].
    fn step(
        &self,
        tape: &mut Tape,
        memory: &Memory,
        state: &DeviceState,
        word: &Value,
        output: &Value,
        is_first: bool,
    ) -> Result<[Value; 2]> {
        let (context, looked) = memory.attend(tape, output)?;
        let word = tape.embedding(&self.words, word)?;
        let x = tape.concat(&[&word, &context], 1)?.insert_axis(0)?;
        Ok([tape.rnn(&self.decoder, &x, state, &RnnCall::default().carry(!is_first))?.at(0)?, looked])
    }

    /// What the decoder would write next when it is told words [T, N]: scores [T, N, words], and where it looked, [T, N, S].
    fn write(&self, tape: &mut Tape, phrases: &Sequences, told: &Tensor<u32>) -> Result<[Value; 2]> {
        let (memory, told) = (self.read(tape, phrases)?, tape.input(told)?);
        let &[steps, size] = told.shape() else { anyhow::bail!("words [T, N]") };
        let state = self.decoder.device_state(size)?;
        let mut output = tape.input(&Tensor::<f32>::zeros(self.decoder.device(), &[size, HIDDEN])?)?;
        let (mut outputs, mut looks) = (Vec::new(), Vec::new());
        for step in 0..steps {
            let [next, looked] = self.step(tape, &memory, &state, &told.at(step)?, &output, step == 0)?;
            outputs.push(next.insert_axis(0)?);
            looks.push(looked.insert_axis(0)?);
            output = next;
        }
        let outputs = tape.concat(&outputs.iter().collect::<Vec<_>>(), 0)?;
        Ok([tape.linear(&self.head, &outputs)?, tape.concat(&looks.iter().collect::<Vec<_>>(), 0)?])
    }

    /// The likeliest translations of phrases by beam search.
    fn translate(&self, pairs: &Pairs, phrases: &[&[u32]]) -> Result<Vec<Vec<u32>>> {
        let [longest, most] = pairs.longest();
        let (size, device) = (phrases.len().clamp(1, 100), self.decoder.device());
        let sequences = Sequences::new(self.encoder.rnn(), [longest, size])?;
        let mut tape = Tape::evaluating(device)?;
        let memory = self.read(&mut tape, &sequences)?;
        let mut beams = tape.plan().beam_search(&BeamSearch::new(pairs.start(), pairs.end(), most + 1), size)?;
        let state = self.decoder.device_state(beams.rows())?;
        let mut output = tape.input(&Tensor::<f32>::zeros(device, &[beams.rows(), HIDDEN])?)?;
        for step in 0..=most {
            let [next, _] = self.step(&mut tape, &memory, &state, &beams.tokens(), &output, step == 0)?;
            let scores = tape.linear(&self.head, &next)?;
            beams.advance(tape.plan(), &scores)?;
            beams.follow_state(tape.plan(), &state)?;
            output = beams.follow(tape.plan(), &next)?;
        }
        let program = tape.build()?;
        let mut translations = Vec::new();
        for phrases in phrases.chunks(size) {
            sequences.write(phrases)?;
            program.run()?;
            let best = beams.read()?.into_iter().take(phrases.len()).map(|found| found.into_iter().next());
            translations.extend(best.map(|found| found.map_or_else(Vec::new, |found| found.tokens)));
        }
        Ok(translations)
    }
}

/// Trains a network by teacher forcing.
fn train(device: &Device, pairs: &Pairs, network: &Network, common: &Common<2000>) -> Result<Curves> {
    let [longest, most] = pairs.longest();
    let size = BATCH.min(pairs.learned.len());
    let phrases = Sequences::new(network.encoder.rnn(), [longest, size])?;
    let lines = Lines::new(device, [most, size], pairs.symbols(), [pairs.start(), pairs.end()])?;
    let mut tape = Tape::training(device)?;
    let [scores, _] = network.write(&mut tape, &phrases, &lines.told)?;
    let wanted = tape.input(lines.wanted.tensor())?;
    tape.cross_entropy(&scores, &wanted)?;
    let rate = LearningRate::Cosine { rate: 5e-3, least: 1e-4, warm_up: 50, steps: common.steps };
    let options = TrainerOptions::new(Optimizer::ADAM).learning_rate(rate).clip(Clip::Norm(1.0)).seed(common.seed);
    let mut trainer = Trainer::new(tape, options)?;
    let named = [
        ("words", Some(network.words.parameters())),
        ("decoder", network.decoder.parameters()),
        ("head", network.head.parameters()),
    ];
    named.into_iter().try_for_each(|(name, parameters)| {
        trainer.name(name, parameters.context("frozen")?).map_err(anyhow::Error::from)
    })?;
    network.encoder.name(&mut trainer, "encoder.")?;
    if let Attention::Additive { query, memory, score } = &network.attention {
        for (name, layer) in [("query", query), ("memory", memory), ("score", score)] {
            trainer.name(name, layer.parameters().context("frozen")?)?;
        }
    }
    Course::new("translate", "phrases", size).train(common, &mut trainer, |step, seed| {
        let chosen: Vec<&Pair> =
            batch(pairs.learned.len(), size, seed, step).into_iter().map(|i| &pairs.learned[i]).collect();
        phrases.write(&chosen.iter().map(|pair| &pair.source[..]).collect::<Vec<_>>())?;
        lines.write(&chosen.iter().map(|pair| &pair.target[..]).collect::<Vec<_>>())
    })
}

/// Trains, and translates what was held out.
pub fn run(options: &Options) -> Result<Outcome> {
    let common = &options.common;
    let pairs = Pairs::load(common.data())?;
    let asked = options.text.iter().map(|text| pairs.source(text)).collect::<Result<Vec<_>>>()?;
    let device = common.start()?;
    let sources: Vec<_> = pairs.tested.iter().map(|pair| &pair.source[..]).collect();
    let figures = |answers: Vec<Vec<u32>>| {
        let both: Vec<_> =
            answers.into_iter().zip(&pairs.tested).map(|(answer, pair)| (answer, pair.target.clone())).collect();
        [exact(&both), bleu(&both)]
    };
    let mut outcome = Outcome::new(format!("{} phrases held out", sources.len())).percent("exact").percent("BLEU");
    let remembered = pairs.tested.iter().map(|pair| {
        let known = || pairs.learned.iter().filter(|known| known.language == pair.language);
        most_similar(&pair.source, known().map(|known| &known.source[..]))
            .and_then(|i| known().nth(i))
            .map_or_else(Vec::new, |known| known.target.clone())
    });
    outcome = outcome.row("the most similar phrase's translation", &figures(remembered.collect()));
    let network = Network::new(&device, &pairs, true, common.seed)?;
    let mut curves = vec![Line { name: "with attention", points: train(&device, &pairs, &network, common)?.training }];
    if options.compare {
        let without = Network::new(&device, &pairs, false, common.seed)?;
        let alone = Common { save: None, resume: false, ..common.clone() };
        curves.push(Line { name: "without attention", points: train(&device, &pairs, &without, &alone)?.training });
        outcome = outcome.row("without attention", &figures(without.translate(&pairs, &sources)?));
    }
    outcome = outcome.row("with attention", &figures(network.translate(&pairs, &sources)?));
    println!("{}", curves.len());
    let _ = (asked, lines, heat, Reading::new);
    for (pair, a) in
        pairs.tested.iter().zip(network.translate(&pairs, &sources)?).filter(|(p, a)| *a != p.target).take(25)
    {
        println!("{} -> {} ({})", pair.phrase, pairs.spell(&a), pairs.spell(&pair.target));
    }
    ensure!(Heat::default_check(), "x");
    Ok(outcome)
}

trait X {
    fn default_check() -> bool {
        true
    }
}
impl X for Heat<'_> {}

fn main() -> Result<()> {
    lessons::tell(run(&Options::parse()))
}
