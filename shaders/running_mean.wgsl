// The mean of losses over batches, each weighted by its number of valid targets: total += n, mean += (loss − mean) · n / total.

struct Params {
    value_at: u32,
    mean_at: u32, // of the mean, which its total follows
}
{{ params }}

@group(0) @binding(0) var<storage, read> losses: array<f32>;      // word value_at: the mean loss of this batch
@group(0) @binding(1) var<storage, read> valid: array<f32>;       // [1], how many targets that is the mean of
@group(0) @binding(2) var<storage, read_write> means: array<f32>; // words mean_at and mean_at + 1

@compute @workgroup_size(1)
fn main() {
    let count = valid[0];
    // Without targets the loss is NaN, and counts for nothing.
    if (count == 0.0) {
        return;
    }
    let total = means[p.mean_at + 1u] + count;
    let mean = means[p.mean_at];
    means[p.mean_at] = mean + (losses[p.value_at] - mean) * (count / total);
    means[p.mean_at + 1u] = total;
}
