//! proto
use anyhow::Result;
use clap::Parser;
use lessons::baselines::Ngrams;
use lessons::data::chorales::{Chorale, Chorales, EVENTS, Moment, VOICES};
use lessons::{Common, Course, Reading, batch, layers};
use ndarray::{Array2, Array3};
use rand_mt::Mt;
use wgrnn::{
    Cell, Clip, Device, Embedding, IGNORED, LearningRate, Model, ModelConfig, Optimizer, RnnCall, RnnConfig, Tape,
    Targets, Tensor, Trainer, TrainerOptions,
};

#[derive(Parser, Debug)]
struct Options {
    #[command(flatten)]
    common: Common<1000>,
    #[arg(long, default_value_t = 192)]
    hidden: usize,
    #[arg(long, default_value_t = 1)]
    layers: usize,
    #[arg(long, default_value_t = 0.2)]
    dropout: f64,
    #[arg(long, default_value_t = 3e-3)]
    rate: f64,
    #[arg(long, default_value_t = 16)]
    batch: usize,
    #[arg(long)]
    ngrams: bool,
    #[arg(long)]
    gru: bool,
}

const TOLD: usize = 6;
const SYMBOLS: usize = 32 * VOICES + EVENTS * 5;
const FEATURES: usize = 24;
const WINDOW: usize = 64;

fn told(m: &Moment) -> [u32; TOLD] {
    let e = EVENTS as u32;
    let place = (m.place + 16 * usize::from(m.is_last_bar)) * VOICES + m.voice;
    let sung = |v: usize| 128 + e * (1 + v as u32) + m.sung[v];
    [place as u32, 128 + m.before, sung(0), sung(1), sung(2), sung(3)]
}

struct Net {
    table: Embedding,
    model: Model,
}

struct Batch {
    told: Tensor<u32>,
    wanted: Targets,
}

impl Batch {
    fn new(device: &Device, t: usize, n: usize) -> Result<Self> {
        Ok(Self { told: Tensor::zeros(device, &[t, n, TOLD])?, wanted: Targets::new(device, &[t, n], EVENTS)? })
    }
    fn write(&self, pieces: &[(Vec<Moment>, Vec<u32>)]) -> Result<()> {
        let &[t, n, _] = self.told.shape() else { return Ok(()) };
        self.told.write(
            Array3::from_shape_fn((t, n, TOLD), |(t, n, k)| pieces[n].0.get(t).map_or(0, |m| told(m)[k])).view(),
        )?;
        self.wanted
            .write(Array2::from_shape_fn((t, n), |(t, n)| pieces[n].1.get(t).copied().unwrap_or(IGNORED)).view())?;
        Ok(())
    }
    fn loss(&self, tape: &mut Tape, net: &Net) -> Result<wgrnn::plan::Value> {
        let x = tape.input(&self.told)?;
        let &[t, n, _] = x.shape() else { unreachable!() };
        let x = tape.embedding(&net.table, &x)?.reshape(&[t, n, TOLD * FEATURES])?;
        let scores = net.model.forward(tape, &x, &net.model.device_state(n)?, &RnnCall::default())?;
        let wanted = tape.input(self.wanted.tensor())?;
        tape.cross_entropy(&scores, &wanted)?;
        Ok(scores)
    }
}

fn main() -> Result<()> {
    let o = Options::parse();
    let c = Chorales::load(None)?;
    let notes: usize = c.tested.iter().map(Chorale::notes).sum();
    let events: usize = c.tested.iter().map(|c| c.events.len()).sum();
    println!(
        "{events} events {notes} notes; longest {}; keys {}",
        c.tested.iter().map(|c| c.events.len()).max().unwrap(),
        c.learned.iter().map(|c| c.keys().len()).sum::<usize>()
    );
    if o.ngrams {
        type F = fn(&Moment, &[u32], usize) -> Vec<u32>;
        let plain: F = |m, events, i| {
            std::iter::once(m.voice as u32).chain((1..=4).map(|k| if i >= k { events[i - k] } else { 99 })).collect()
        };
        let a: F = |m, _, _| {
            vec![
                m.voice as u32,
                m.sung[m.voice],
                (m.place % 4) as u32,
                m.sung[(m.voice + 3) % 4],
                m.sung[(m.voice + 2) % 4],
            ]
        };
        let b: F = |m, _, _| {
            vec![
                m.voice as u32,
                m.sung[m.voice],
                m.place as u32 + 16 * u32::from(m.is_last_bar),
                m.sung[(m.voice + 3) % 4],
                m.sung[(m.voice + 2) % 4],
            ]
        };
        let d: F = |m, _, _| {
            vec![
                (m.voice + 4 * m.place) as u32,
                m.before,
                m.sung[m.voice],
                m.sung[(m.voice + 3) % 4],
                m.sung[(m.voice + 2) % 4],
            ]
        };
        let e: F = |m, _, _| {
            vec![
                (m.voice + 4 * (m.place % 4)) as u32,
                m.sung[m.voice],
                m.sung[(m.voice + 3) % 4],
                m.sung[(m.voice + 2) % 4],
                m.sung[(m.voice + 1) % 4],
            ]
        };
        let f: F = |m, _, _| {
            vec![
                (m.voice + 4 * m.place) as u32,
                m.sung[m.voice],
                m.before,
                m.sung[(m.voice + 3) % 4],
                m.sung[(m.voice + 2) % 4],
            ]
        };
        for (name, f) in [("plain", plain), ("a", a), ("b", b), ("d", d), ("e", e), ("f", f)] {
            let start = std::time::Instant::now();
            let mut ngrams = Ngrams::new(EVENTS);
            for piece in &c.learned {
                for by in piece.keys() {
                    let piece = piece.transposed(by);
                    for (i, m) in piece.moments().iter().enumerate() {
                        ngrams.learn(&f(m, &piece.events, i), piece.events[i]);
                    }
                }
            }
            print!("{name}: ");
            for n in 0..=5 {
                let mut bits = 0.0;
                for piece in &c.tested {
                    for (i, m) in piece.moments().iter().enumerate() {
                        bits -= ngrams.probability(&f(m, &piece.events, i)[..n], piece.events[i]).log2();
                    }
                }
                print!(" {n}: {:.3}", bits / notes as f64);
            }
            println!("  {:?}", start.elapsed());
        }
        return Ok(());
    }
    let device = o.common.start()?;
    let cell = if o.gru { Cell::Gru(wgrnn::Reset::After) } else { Cell::Lstm };
    let rnn = RnnConfig::new(cell, TOLD * FEATURES, o.hidden).layers(o.layers).with_dropout(if o.layers > 1 {
        o.dropout
    } else {
        0.0
    });
    let net = Net {
        table: layers::embedding(&device, [SYMBOLS, FEATURES], o.common.seed)?,
        model: Model::new(&device, &ModelConfig::features(rnn, EVENTS).dropout(o.dropout), o.common.seed)?,
    };
    let train = Batch::new(&device, WINDOW * VOICES, o.batch)?;
    let mut tape = Tape::training(&device)?;
    train.loss(&mut tape, &net)?;
    let rate = LearningRate::Cosine { rate: o.rate, least: o.rate / 30.0, warm_up: 20, steps: o.common.steps };
    let mut trainer = Trainer::new(
        tape,
        TrainerOptions::new(Optimizer::ADAM).learning_rate(rate).clip(Clip::Norm(1.0)).seed(o.common.seed),
    )?;
    let test = Batch::new(&device, c.tested.iter().map(|c| c.events.len()).max().unwrap(), c.tested.len())?;
    test.write(&c.tested.iter().map(|p| (p.moments(), p.events.clone())).collect::<Vec<_>>())?;
    let mut tape = Tape::evaluating(&device)?;
    let scores = test.loss(&mut tape, &net)?;
    let reading = Reading::new(tape, &scores)?;
    let bits = |loss: f64| loss * events as f64 / notes as f64 / std::f64::consts::LN_2;
    let curves = Course::new("compose", "windows", o.batch)
        .held_out(200, || {
            let l = bits(reading.loss()?);
            println!("held out {l:.3}");
            Ok(l)
        })
        .train(&o.common, &mut trainer, |step, seed| {
            let mut random = Mt::new_with_key([seed, step]);
            let mut below = |n: usize| random.next_u32() as usize % n;
            let windows: Vec<_> = batch(c.learned.len(), o.batch, seed, step)
                .into_iter()
                .map(|i| {
                    let piece = &c.learned[i];
                    let keys = piece.keys();
                    let piece = piece.transposed(keys[below(keys.len())]);
                    let first = below((piece.events.len() / VOICES - WINDOW) / 4 + 1) * 4 * VOICES;
                    let range = first..first + WINDOW * VOICES;
                    (piece.moments()[range.clone()].to_vec(), piece.events[range].to_vec())
                })
                .collect();
            train.write(&windows)
        })?;
    println!(
        "{:.3} ms/step; train bits/note about {:.3}",
        curves.seconds * 1000.0 / f64::from(o.common.steps),
        bits(curves.training.last().unwrap().1)
    );
    Ok(())
}
