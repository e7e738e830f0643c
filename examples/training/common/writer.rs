//! A language model that writes.

use anyhow::{Result, ensure};
use ndarray::array;
use wgrnn::{Model, RnnCall, Sampling, Tape, Tensor};

/// Lets a language model write `count` symbols after those that are known, of which there must be one: it draws a symbol from its scores,
/// which is what it reads next. State, scores and draws stay on the device; only the symbols come back, with the known ones before them.
///
/// # Errors
///
/// Nothing known; scores that are no numbers.
pub fn write(
    model: &Model,
    known: &[u32],
    count: usize,
    seed: u32,
    sampling: impl FnOnce(&Tensor<u32>) -> Sampling,
) -> Result<Vec<u32>> {
    ensure!(!known.is_empty(), "nothing to begin with: expected a prompt of one symbol at least");
    let device = model.rnn().device();
    let (symbol, draw) = (Tensor::<u32>::zeros(device, &[1, 1])?, Tensor::<u32>::zeros(device, &[2])?);
    let mut tape = Tape::evaluating(device)?;
    let input = tape.input(&symbol)?;
    let scores = model.forward(&mut tape, &input, &model.device_state(1)?, &RnnCall::default().carry(true))?;
    tape.plan().sample(&scores.at(0)?, &input.reshape(&[1])?, &sampling(&draw))?;
    let step = tape.evaluation()?;
    let mut written = known.to_vec();
    for i in 0..known.len() + count.max(1) - 1 {
        symbol.write(array![[written[i]]].view())?;
        draw.write(array![seed, i as u32].view())?;
        step.program().run()?;
        if written.len() == i + 1 {
            let next = symbol.read()?[[0, 0]];
            ensure!(next != u32::MAX, "the scores of what follows are not numbers: the training has diverged");
            written.push(next);
        }
    }
    written.truncate(known.len() + count);
    Ok(written)
}
