{%- from "groups.wgsl" import begin_group_of, group_id -%}
// Prefix beam search for connectionist temporal classification (Graves 2012, section 7.5.3; Hannun et al. 2014) in log space. With
// y[c] = softmax(logits[t])[c], each step gives for a prefix l of the beam, whose last label is e:
//
//   blank'(l) = (blank(l) + label(l)) · y[blank]
//   label'(l) = label(l) · y[e] + (label'(l) as the continuation by e of its own prefix, if that is in the beam)
//   label'(l + c) = (blank(l), if c = e, else blank(l) + label(l)) · y[c]
//
// blank(l) and label(l) are the probabilities of the alignments that give l and end with a blank, or with its last label. The best
// blank' + label' are the beam of the next step, of equal ones the first in the order of the prefixes and of c. At every step the best of
// them becomes 1, so that small differences of large logarithms are not lost.
//
// Prefixes are told apart by 64 random bits that follow from their labels: two of T·W prefixes have the same ones by chance with a
// probability of some (T·W)² / 2⁶⁵. Their labels are kept as a tree, where a node is a parent and a label.
//
// A workgroup takes a sequence, a lane one of its prefixes; `numbers` and `entries` hand the beam from one dispatch to the next.

struct Params {
    batch: u32,
    steps: u32,
    classes: u32,
    beams: u32,
    blank: u32,
    start: u32, // steps of this dispatch: from this one
    end: u32,   // to before this one
    logits_offset: u32,
    lengths_offset: u32,
    infinity: u32, // its bits: WGSL has no literal for it,
    nan: u32,      // nor for this
}
{{ params }}
{% include "math.wgsl" %}
{% include "threefry.wgsl" %}

@group(0) @binding(0) var<storage, read> logits: array<f32>;           // [steps, batch, classes]
@group(0) @binding(1) var<storage, read> norms: array<f32>;            // [steps, batch], log Σ exp
@group(0) @binding(2) var<storage, read> input_lengths: array<u32>;    // [batch]
@group(0) @binding(3) var<storage, read_write> candidates: array<f32>; // [batch, beams, classes]; at the blank, the prefix itself
@group(0) @binding(4) var<storage, read_write> numbers: array<f32>;    // [batch, 3·beams + 1]: blank, label, log P; what they were divided by
@group(0) @binding(5) var<storage, read_write> entries: array<u32>;    // [batch, 7·beams + 1]: node, labels, last label, bits, bits of the prefix without it; and 1 where the length is beyond `steps`
@group(0) @binding(6) var<storage, read_write> tree: array<u32>;       // [batch, steps, beams, 2]: parent and label of node 1 + (step, beam); 0 is the root
{% include "selection.wgsl" %}

// log 0. Larger than −∞, so that no difference of two is NaN.
const ZERO = -1.0e30;
// Logarithms below are those of 0.
const NEAR_ZERO = -1.0e29;

var<workgroup> blanks: array<f32, {{ LANES }}>;
var<workgroup> labels: array<f32, {{ LANES }}>;
var<workgroup> sums: array<f32, {{ LANES }}>;
// Of the same prefixes after the step.
var<workgroup> next_blanks: array<f32, {{ LANES }}>;
var<workgroup> next_labels: array<f32, {{ LANES }}>;
var<workgroup> nodes: array<u32, {{ LANES }}>;
var<workgroup> counts_of_labels: array<u32, {{ LANES }}>;
var<workgroup> lasts: array<u32, {{ LANES }}>;
var<workgroup> bits: array<vec2<u32>, {{ LANES }}>;
var<workgroup> bits_before: array<vec2<u32>, {{ LANES }}>;
var<workgroup> largest: atomic<u32>;

// log(e^a + e^b)
fn log_sum(a: f32, b: f32) -> f32 {
    let top = max(a, b);
    return max(top + log(1.0 + exp(max(min(a, b) - top, -80.0))), ZERO);
}

// The logarithm of a class's probability; 0 where there is none, which ends with NaN for the sequence.
fn log_y(row: u32, c: u32, norm: f32) -> f32 {
    return select(max(logits[row + c], ZERO) - norm, 0.0, is_nan(norm));
}

// A prefix continued by a label.
fn continued(i: u32, c: u32, y: f32) -> f32 {
    return max(select(sums[i], blanks[i], lasts[i] == c) + y, ZERO);
}

// As a score: 0 is no candidate.
fn score_of(log_probability: f32) -> f32 {
    return select(log_probability, NONE, log_probability < NEAR_ZERO);
}

// The beam as an earlier dispatch left it, or the empty prefix with probability 1.
fn load(lane: u32, home: u32, place: u32) {
    let begins = p.start == 0u;
    let is_root = begins && lane == 0u;
    blanks[lane] = select(ZERO, 0.0, is_root);
    labels[lane] = ZERO;
    nodes[lane] = 0u;
    counts_of_labels[lane] = 0u;
    lasts[lane] = NO_ONE;
    bits[lane] = vec2<u32>(0u);
    bits_before[lane] = vec2<u32>(0u);
    if (!begins && lane < p.beams) {
        blanks[lane] = max(numbers[home + lane], ZERO);
        labels[lane] = max(numbers[home + p.beams + lane], ZERO);
        nodes[lane] = entries[place + lane];
        counts_of_labels[lane] = entries[place + p.beams + lane];
        lasts[lane] = entries[place + 2u * p.beams + lane];
        bits[lane] = vec2<u32>(entries[place + 3u * p.beams + lane], entries[place + 4u * p.beams + lane]);
        bits_before[lane] = vec2<u32>(entries[place + 5u * p.beams + lane], entries[place + 6u * p.beams + lane]);
    }
    sums[lane] = log_sum(blanks[lane], labels[lane]);
}

// As other kernels see it: 0 is the only number without a logarithm.
fn kept(value: f32) -> f32 {
    return select(value, -bitcast<f32>(p.infinity), value < NEAR_ZERO);
}

fn store(lane: u32, home: u32, place: u32, scale: f32) {
    if (lane < p.beams) {
        numbers[home + lane] = kept(blanks[lane]);
        numbers[home + p.beams + lane] = kept(labels[lane]);
        numbers[home + 2u * p.beams + lane] = kept(select(ZERO, sums[lane] + scale, sums[lane] >= NEAR_ZERO));
        entries[place + lane] = nodes[lane];
        entries[place + p.beams + lane] = counts_of_labels[lane];
        entries[place + 2u * p.beams + lane] = lasts[lane];
        entries[place + 3u * p.beams + lane] = bits[lane].x;
        entries[place + 4u * p.beams + lane] = bits[lane].y;
        entries[place + 5u * p.beams + lane] = bits_before[lane].x;
        entries[place + 6u * p.beams + lane] = bits_before[lane].y;
    }
}

@compute @workgroup_size({{ LANES }})
fn main({{ group_id() }}, @builtin(local_invocation_index) lane: u32) {
    {{- begin_group_of("p.batch") }}
    let n = group.x;
    let home = n * (3u * p.beams + 1u);
    let place = n * (7u * p.beams + 1u);
    let first = n * p.beams * p.classes;
    let given = input_lengths[p.lengths_offset + n];
    let steps = select(given, 0u, given > p.steps);
    if (p.start > 0u && p.start >= steps) {
        return;
    }
    load(lane, home, place);
    var scale = 0.0;
    if (p.start > 0u) {
        scale = numbers[home + 3u * p.beams];
    }
    var spoilt = is_nan(scale);
    scale = select(scale, 0.0, spoilt);
    workgroupBarrier();
    let end = min(p.end, steps);
    for (var t = p.start; t < end; t++) {
        let norm = norms[t * p.batch + n];
        spoilt = spoilt || is_nan(norm);
        let row = p.logits_offset + (t * p.batch + n) * p.classes;
        // This lane's prefix, and the one that it continues.
        var blank = ZERO;
        var label = ZERO;
        var source = NO_ONE;
        if (sums[lane] > NEAR_ZERO) {
            blank = max(sums[lane] + log_y(row, p.blank, norm), ZERO);
            if (counts_of_labels[lane] > 0u) {
                let y = log_y(row, lasts[lane], norm);
                for (var i = 0u; i < p.beams; i++) {
                    let before = all(bits[i] == bits_before[lane]) && counts_of_labels[i] + 1u == counts_of_labels[lane];
                    source = select(source, i, before && sums[i] > NEAR_ZERO);
                }
                label = max(labels[lane] + y, ZERO);
                if (source != NO_ONE) {
                    label = log_sum(label, continued(source, lasts[lane], y));
                }
            }
        }
        next_blanks[lane] = blank;
        next_labels[lane] = label;
        for (var j = lane; j < p.beams * p.classes; j += {{ LANES * COLUMNS }}u) {
{%- for i in range(COLUMNS) %}
            if (j + {{ i * LANES }}u < p.beams * p.classes) {
                let at = j + {{ i * LANES }}u;
                let c = at % p.classes;
                candidates[first + at] = score_of(continued(at / p.classes, c, log_y(row, c, norm)));
            }
{%- endfor %}
        }
        storageBarrier();
        workgroupBarrier();
        if (lane < p.beams) {
            // In place of a blank, which continues no prefix, the prefix itself; and what was added to a prefix is no candidate.
            candidates[first + lane * p.classes + p.blank] = score_of(log_sum(blank, label));
            if (source != NO_ONE) {
                candidates[first + source * p.classes + lasts[lane]] = NONE;
            }
        }
        if (lane == 0u) {
            atomicStore(&largest, 0u);
        }
        storageBarrier();
        workgroupBarrier();
        choose_largest(lane, first, p.beams * p.classes, p.beams);
        var at = NO_ONE;
        if (lane < p.beams) {
            at = chosen[lane];
        }
        blank = ZERO;
        label = ZERO;
        var node = 0u;
        var count = 0u;
        var last = NO_ONE;
        var own = vec2<u32>(0u);
        var before = vec2<u32>(0u);
        if (at != NO_ONE) {
            let i = at / p.classes;
            let c = at % p.classes;
            node = nodes[i];
            count = counts_of_labels[i];
            last = lasts[i];
            own = bits[i];
            before = bits_before[i];
            if (c == p.blank) {
                blank = next_blanks[i];
                label = next_labels[i];
            } else {
                label = candidates[first + at];
                let in_tree = (n * p.steps + t) * p.beams + lane;
                tree[2u * in_tree] = node;
                tree[2u * in_tree + 1u] = c;
                node = t * p.beams + lane + 1u;
                count += 1u;
                last = c;
                before = own;
                own = random(vec2<u32>(c, 0u), own);
            }
            atomicMax(&largest, key_of(candidates[first + at]));
        }
        workgroupBarrier();
        let key = atomicLoad(&largest);
        let top = select(number_of(key), 0.0, key == 0u);
        scale += top;
        blanks[lane] = max(blank - top, ZERO);
        labels[lane] = max(label - top, ZERO);
        sums[lane] = log_sum(blanks[lane], labels[lane]);
        nodes[lane] = node;
        counts_of_labels[lane] = count;
        lasts[lane] = last;
        bits[lane] = own;
        bits_before[lane] = before;
        workgroupBarrier();
    }
    store(lane, home, place, scale);
    if (lane == 0u) {
        numbers[home + 3u * p.beams] = select(scale, bitcast<f32>(p.nan), spoilt);
        entries[place + 7u * p.beams] = select(0u, 1u, given > p.steps);
    }
}
