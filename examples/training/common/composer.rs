//! A network of chorales that composes.

use crate::data::chorales::{BAR, Chorale, EVENTS, FACTS, Reader, VOICES};
use anyhow::{Result, ensure};
use ndarray::{Array3, array};
use wgrnn::plan::Value;
use wgrnn::{Device, Sampling, Tape, Tensor};

/// A quarter before the first bar line, as most chorales have it.
const UPBEAT: usize = 4;

/// What a piece is drawn with.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// How long it is.
    pub bars: usize,
    /// What scores are divided by: 0 always takes the best.
    pub temperature: f32,
    /// For the random numbers.
    pub seed: u32,
}

/// Draws a piece event by event. `scores` puts a step on a tape: from facts [1, 1, 9] to scores [1, 1, events], with a state that goes on.
/// Scores, state and draws stay on the device; an event comes back, for what it means to the next one.
///
/// # Errors
///
/// Those of `scores`; scores that are no numbers.
pub fn compose(
    device: &Device,
    draw: Draw,
    scores: impl FnOnce(&mut Tape, &Value) -> Result<Value>,
) -> Result<Chorale> {
    let steps = BAR * draw.bars;
    let (facts, event) = (Tensor::<u32>::zeros(device, &[1, 1, FACTS])?, Tensor::<u32>::zeros(device, &[1])?);
    let seed = Tensor::from_array(device, array![draw.seed, 0].view())?;
    let mut tape = Tape::evaluating(device)?;
    let (input, output) = (tape.input(&facts)?, tape.input(&event)?);
    let scores = scores(&mut tape, &input)?.reshape(&[1, EVENTS])?;
    tape.plan().sample(&scores, &output, &Sampling::new(&seed).temperature(draw.temperature))?;
    let program = tape.build()?;
    let (mut reader, mut events) = (Reader::new(UPBEAT, steps), Vec::new());
    for step in 0..(steps * VOICES) as u32 {
        facts.write(Array3::from_shape_fn((1, 1, FACTS), |(_, _, k)| reader.moment().facts()[k]).view())?;
        seed.write(array![draw.seed, step].view())?;
        program.run()?;
        let drawn = event.read()?[[0]];
        ensure!((drawn as usize) < EVENTS, "the scores of the next event are not numbers: the training has diverged");
        reader.read(drawn);
        events.push(drawn);
    }
    Ok(Chorale { name: "composed".to_owned(), upbeat: UPBEAT, events })
}
