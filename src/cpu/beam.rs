//! One step of a beam search: see `shaders/beam.wgsl`.

use super::call::Call;
use super::rows::SharedRows;
use super::selection::{NONE, choose_largest};
use super::threads;
use crate::kernels::BeamParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: BeamParams = call.params();
    let step = Step {
        logits: &call.read(0)[p.logits_offset..],
        norms: call.read(1),
        candidates: SharedRows::new(call.write(2)),
        scores: SharedRows::new(call.write(3)),
        tokens: SharedRows::new(call.write(4)),
        parents: SharedRows::new(call.write(5)),
        p,
    };
    threads::for_each(&mut vec![(); p.batch], |n, ()| step.sequence(n));
}

struct Step<'a> {
    p: BeamParams,
    logits: &'a [f32],
    norms: &'a [f32],
    candidates: SharedRows<'a>,
    scores: SharedRows<'a>,
    tokens: SharedRows<'a>,
    parents: SharedRows<'a>,
}

impl Step<'_> {
    fn sequence(&self, n: usize) {
        let p = &self.p;
        let (rows, next) = (n * p.beams, p.now + p.batch * p.beams);
        // SAFETY: rows of a sequence are one task's; those of this step and of the next one do not overlap.
        let [scores, tokens] = unsafe { [&self.scores, &self.tokens].map(|all| all.read(p.now + rows, p.beams)) };
        let tokens: &[u32] = bytemuck::cast_slice(tokens);
        // SAFETY: as above.
        let [candidates, next_scores, next_tokens, parents] = unsafe {
            [
                self.candidates.row(rows * p.columns, p.beams * p.columns),
                self.scores.row(next + rows, p.beams),
                self.tokens.row(next + rows, p.beams),
                self.parents.row(p.now + rows, p.beams),
            ]
        };
        let next_tokens: &mut [u32] = bytemuck::cast_slice_mut(next_tokens);
        let parents: &mut [u32] = bytemuck::cast_slice_mut(parents);
        for (b, candidates) in candidates.chunks_exact_mut(p.columns).enumerate() {
            let (score, norm) = (scores[b], self.norms[rows + b]);
            candidates.fill(NONE);
            if score == f32::NEG_INFINITY {
                continue;
            }
            if !p.begins && tokens[b] == p.end {
                candidates[p.end as usize] = score;
            } else if !norm.is_nan() {
                let logits = &self.logits[(rows + b) * p.columns..];
                for (candidate, &logit) in candidates.iter_mut().zip(logits) {
                    if logit != f32::NEG_INFINITY {
                        *candidate = (score + (logit - norm)).max(NONE);
                    }
                }
            }
        }
        let chosen = choose_largest(candidates, p.beams);
        for r in 0..p.beams {
            let row = (rows + r) as u32;
            (next_scores[r], next_tokens[r], parents[r]) = match chosen.get(r) {
                Some(&at) => (candidates[at], (at % p.columns) as u32, (rows + at / p.columns) as u32),
                None => (-p.infinity, p.end, row),
            };
        }
    }
}
