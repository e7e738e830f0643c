// The sequences of a CTC loss, checked, so that the kernels that follow reach no word beyond their buffers. A row of
// `sequences` has
//
//   steps, labels, state, 0, the labels [labels], their links [labels]
//
// where the state is 0 for a sequence that counts, 1 for one whose lengths or labels are out of range, or whose labels have
// the blank among them, and 2 for one that is left out. Steps and labels are 0 unless it is 0. The link of a label is the place
// of the next one that is equal, or the number of labels; its highest bit tells that there was one before.
//
// A workgroup takes a sequence.

struct Params {
    steps: u32,
    labels: u32,
    classes: u32,
    blank: u32,
    labels_offset: u32,
    input_lengths_offset: u32,
    label_lengths_offset: u32,
    batch: u32,
}
{{ params }}

@group(0) @binding(0) var<storage, read> labels: array<u32>;          // [batch, labels]
@group(0) @binding(1) var<storage, read> input_lengths: array<u32>;   // [batch]
@group(0) @binding(2) var<storage, read> label_lengths: array<u32>;   // [batch]
@group(0) @binding(3) var<storage, read_write> sequences: array<u32>; // [batch, 4 + 2·labels]

var<workgroup> wrong: atomic<u32>;

@compute @workgroup_size({{ LANES }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n = group.x;
    let from_ = p.labels_offset + n * p.labels;
    let row = n * (4u + 2u * p.labels);
    let steps = input_lengths[p.input_lengths_offset + n];
    let count = label_lengths[p.label_lengths_offset + n];
    let left_out = count == 0xffffffffu;
    let fits = steps <= p.steps && count <= p.labels;
    if (lane == 0u) {
        atomicStore(&wrong, 0u);
    }
    workgroupBarrier();
    for (var s = lane; s < p.labels; s += {{ LANES }}u) {
        let label = labels[from_ + s];
        let counts = fits && s < count;
        if (counts && (label >= p.classes || label == p.blank)) {
            atomicStore(&wrong, 1u);
        }
        let end = select(0u, count, fits);
        var next = s + 1u;
        while (next < end && labels[from_ + next] != label) {
            next++;
        }
        var before = s;
        while (counts && before > 0u && labels[from_ + before - 1u] != label) {
            before--;
        }
        sequences[row + 4u + s] = select(p.blank, label, counts);
        sequences[row + 4u + p.labels + s] = select(0u, next | select(0u, 0x80000000u, before > 0u), counts);
    }
    workgroupBarrier();
    if (lane == 0u) {
        let good = fits && !left_out && atomicLoad(&wrong) == 0u;
        sequences[row] = select(0u, steps, good);
        sequences[row + 1u] = select(0u, count, good);
        sequences[row + 2u] = select(select(1u, 0u, good), 2u, left_out);
        sequences[row + 3u] = 0u;
    }
}
