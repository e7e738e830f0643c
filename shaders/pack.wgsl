// packed[(q · pitch + j) · panel + i] = source[k, j] with k = q · panel + i: `panel` rows of a column lie together, so
// that a lane reads them as one vector. Rows beyond the last are 0; one more panel holds the bias in its first row.
//
// A lane writes one word: an element, or with HALF two, and then the bias's second number is what the first one lacks of it,
// 2048 times as large.
// `source` is strided: [k, j] is at offset + k · row + j · column, which gives transposes.

struct Params {
    rows: u32,
    columns: u32,
    pitch: u32, // columns from one panel to the next
    panel: u32,
    source_offset: u32,
    source_row: u32,
    source_column: u32,
    biased: u32,
    bias_offset: u32,
    packed_offset: u32,
    row_lanes: u32, // lanes in a row of the grid: longer arrays wrap into grid y
}
{{ params }}

@group(0) @binding(0) var<storage, read> source: array<f32>;       // [rows, columns], strided
@group(0) @binding(1) var<storage, read> bias: array<f32>;         // [columns]
@group(0) @binding(2) var<storage, read_write> packed: array<{{ "u32" if HALF else "f32" }}>; // [ceil(rows/panel) + 1, pitch, panel]; HALF: in halves
{% if HALF %}
{% include "half.wgsl" %}{% endif %}
@compute @workgroup_size({{ LANES }})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.y * p.row_lanes + id.x;
    let panels = (p.rows + p.panel - 1u) / p.panel;
    if (at >= (panels + 1u) * p.pitch * p.panel{{ " / 2u" if HALF }}) {
        return;
    }
{%- if HALF %}
    packed[p.packed_offset + at] = pack2x16float(vec2<f32>(to_half(element(2u * at, panels)), to_half(element(2u * at + 1u, panels))));
{%- else %}
    packed[p.packed_offset + at] = element(at, panels);
{%- endif %}
}

fn element(at: u32, panels: u32) -> f32 {
    let i = at % p.panel;
    let j = at / p.panel % p.pitch;
    let q = at / p.panel / p.pitch;
    let k = q * p.panel + i;
    var value = 0.0;
    if (k < p.rows && j < p.columns) {
        value = source[p.source_offset + k * p.source_row + j * p.source_column];
    }
    if (q == panels && i == 0u && j < p.columns && p.biased != 0u) {
        value = bias[p.bias_offset + j];
    }
{%- if HALF %}
    if (q == panels && i == 1u && j < p.columns && p.biased != 0u) {
        let whole = bias[p.bias_offset + j];
        value = 2048.0 * (whole - to_half(whole));
    }
{%- endif %}
    return value;
}
