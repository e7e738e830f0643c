{%- from "groups.wgsl" import begin_group_of, group_id -%}
// One step of a beam search. The candidates of a sequence are its beams, each continued by each token v:
//
//   candidate[b, v] = score[b] + logit[b, v] − log Σ exp(logit[b])
//
// A beam that has ended is continued by the end token only, with the score that it has. The best candidates, of equal ones the first,
// become the beams of the next step, in the order of b and v. Beams that nothing is left for have the score −∞ and the end token.
//
// A workgroup takes a sequence.

struct Params {
    batch: u32,
    beams: u32,
    columns: u32,
    end: u32,
    begins: u32,     // whether no beam can have ended yet
    now: u32,        // where this step's scores and tokens are; those of the next one follow
    logits_offset: u32,
    infinity: u32,   // its bits: WGSL has no literal for it
}
{{ params }}
{% include "math.wgsl" %}

@group(0) @binding(0) var<storage, read> logits: array<f32>;           // [batch, beams, columns]
@group(0) @binding(1) var<storage, read> norms: array<f32>;            // [batch, beams], log Σ exp
@group(0) @binding(2) var<storage, read_write> candidates: array<f32>; // [batch, beams, columns]
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;     // [steps + 1, batch, beams]
@group(0) @binding(4) var<storage, read_write> tokens: array<u32>;     // [steps + 1, batch, beams]
@group(0) @binding(5) var<storage, read_write> parents: array<u32>;    // [steps, batch, beams]: rows of [batch, beams]
{% include "selection.wgsl" %}

const MINUS_INFINITY: u32 = 0xff800000u;

fn candidate(row: u32, v: u32) -> f32 {
    let score = scores[p.now + row];
    if (bitcast<u32>(score) == MINUS_INFINITY) {
        return NONE;
    }
    if (p.begins == 0u && tokens[p.now + row] == p.end) {
        return select(NONE, score, v == p.end);
    }
    let logit = logits[p.logits_offset + row * p.columns + v];
    let norm = norms[row];
    if (is_nan(norm) || bitcast<u32>(logit) == MINUS_INFINITY) {
        return NONE;
    }
    return max(score + (logit - norm), NONE);
}

@compute @workgroup_size({{ LANES }})
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_group_of("p.batch") }}
    let rows = group.x * p.beams;
    let end = p.beams * p.columns;
    let first = rows * p.columns;
    for (var j = lane; j < end; j += {{ LANES * COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
        if (j + {{ i * LANES }}u < end) {
            let at = j + {{ i * LANES }}u;
            candidates[first + at] = candidate(rows + at / p.columns, at % p.columns);
        }
{%- endfor %}
    }
    storageBarrier();
    workgroupBarrier();
    choose_largest(lane, first, end, p.beams);
    let next = p.now + p.batch * p.beams;
    for (var r = lane; r < p.beams; r += {{ LANES }}u) {
        let at = chosen[r];
        let row = rows + r;
        if (at == NO_ONE) {
            scores[next + row] = -bitcast<f32>(p.infinity);
            tokens[next + row] = p.end;
            parents[p.now + row] = row;
        } else {
            scores[next + row] = candidates[first + at];
            tokens[next + row] = at % p.columns;
            parents[p.now + row] = rows + at / p.columns;
        }
    }
}
