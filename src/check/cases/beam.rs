//! Cases of `beam`.

use super::case::{Case, Words};
use super::numbers::{Numbers, poison};
use crate::device::Device;
use crate::kernels::{BeamParams, Kernel, Variant, beam_tile};

pub(crate) fn beam(_: &Device) -> Vec<Case> {
    vec![
        beam_case([1, 1, 2], true),
        beam_case([5, 4, 3], true),
        beam_case([6, 4, 7], false),
        beam_case([3, 65, 11], false),
        beam_case([2, 5, 1500], false),
    ]
}

/// So many sequences, beams and tokens: some beams ended, some without a score, one whose logits are not numbers, where there are
/// many; and many equal logits.
pub(crate) fn beam_case([batch, beams, columns]: [usize; 3], begins: bool) -> Case {
    let mut numbers = Numbers::new(batch + beams + columns);
    let rows = batch * beams;
    let now = 3;
    let mut logits = numbers.uniform(2 + rows * columns, 3.0);
    for (i, row) in logits[2..].chunks_exact_mut(columns).enumerate() {
        match i % 5 {
            1 => row.iter_mut().for_each(|x| *x = x.trunc()),
            2 => row[columns - 1] = f32::NEG_INFINITY,
            _ => {}
        }
    }
    let norm = |row: &[f32]| row.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln() as f32;
    let mut norms: Vec<f32> = logits[2..].chunks(columns).map(norm).collect();
    let mut scores = vec![f32::NAN; now + 2 * rows];
    scores[now..][..rows].copy_from_slice(&numbers.uniform(rows, 4.0));
    let mut tokens = vec![0; now + 2 * rows];
    tokens[now..][..rows].copy_from_slice(&numbers.below(rows, columns));
    if rows > 20 {
        norms[6] = f32::NAN;
        scores[now + 7] = f32::NEG_INFINITY;
        // A sequence whose beams have no score but one.
        scores[now + beams..][1..beams].fill(f32::NEG_INFINITY);
    }
    let params = BeamParams { batch, beams, columns, end: 1, begins, now, logits_offset: 2, infinity: f32::INFINITY };
    Case {
        name: format!("beam of {batch}x{beams}x{columns}, first {begins}"),
        variant: Variant::plain(Kernel::Beam, beam_tile(beams, beams * columns, 1 << 14), 4),
        // Two sums of numbers up to some tens.
        tolerance: 1e-5,
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(logits),
            Words::Numbers(norms),
            poison(rows * columns),
            Words::Numbers(scores),
            Words::Indices(tokens),
            Words::Indices(vec![7; now + rows]),
        ],
    }
}
