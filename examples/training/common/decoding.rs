//! Writing by a network: what it wrote is what it reads next.

use anyhow::Result;
use wgrnn::plan::Value;
use wgrnn::{BeamSearch, Tape};

/// Writes `batch` texts of up to `longest` symbols, with the likeliest symbol at each step. `scores` gets a tape for evaluation, the symbols
/// [1, N] of the step before, which are the start mark first, and the step; it gives scores [1, N, symbols]. Nothing comes back from the
/// device before the last step.
///
/// # Errors
///
/// Those of `scores`; a device that is lost.
pub fn greedy(
    mut tape: Tape,
    [start, end]: [u32; 2],
    [longest, batch]: [usize; 2],
    mut scores: impl FnMut(&mut Tape, &Value, usize) -> Result<Value>,
) -> Result<Vec<Vec<u32>>> {
    let mut texts = tape.plan().beam_search(&BeamSearch::new(start, end, longest).beams(1), batch)?;
    for step in 0..longest {
        let symbols = texts.tokens().insert_axis(0)?;
        let scores = scores(&mut tape, &symbols, step)?.at(0)?;
        texts.advance(tape.plan(), &scores)?;
    }
    tape.evaluation()?.program().run()?;
    let best = texts.read()?.into_iter().map(|beams| beams.into_iter().next());
    Ok(best.map(|best| best.map(|best| best.tokens).unwrap_or_default()).collect())
}
