//! The same network by the library's reference, in f64: how far is the device from it?

use crate::model::{Answer, STEPS, Weights};
use anyhow::Result;
use ndarray::{Array1, Array2, Axis, s};
use wgrnn::{State, reference};

/// The largest difference between the device's logits for word `n` of an answer and exact ones, over the steps up to
/// the end of the word.
pub fn difference(weights: &Weights, word: &str, answer: &Answer, n: usize) -> Result<f64> {
    let rows = |table: &Array2<f32>, indices: &[u32]| {
        let indices: Vec<_> = indices.iter().map(|&index| index as usize).collect();
        table.select(Axis(0), &indices).mapv(f64::from).insert_axis(Axis(1))
    };
    let x = rows(&weights.encoder_embedding, &weights.letters(word));
    let encoded = reference::forward::<f64>(&weights.config, &weights.encoder, x.view(), None, None)?;

    // The decoder is fed what the device chose, so that a close choice does not make the rest incomparable.
    let chosen = answer.indices.column(n);
    let steps = answer.phonemes[n].split_whitespace().count().saturating_add(1).min(STEPS);
    let fed: Vec<_> = [weights.start()].into_iter().chain(chosen.iter().copied()).take(steps).collect();
    let state = State { h: encoded.h.mapv(|h| h as f32), c: None };
    let x = rows(&weights.decoder_embedding, &fed);
    let decoded = reference::forward::<f64>(&weights.config, &weights.decoder, x.view(), None, Some(&state))?;

    let head = weights.head.mapv(f64::from);
    let bias = weights.head_bias.mapv(f64::from);
    let differences = (0..steps).map(|step| {
        let exact: Array1<f64> = head.dot(&decoded.y.slice(s![step, 0, ..])) + &bias;
        let got = answer.logits.slice(s![step, n, ..]);
        got.iter().zip(&exact).map(|(&got, exact)| (f64::from(got) - exact).abs()).fold(0.0, f64::max)
    });
    Ok(differences.fold(0.0, f64::max))
}
