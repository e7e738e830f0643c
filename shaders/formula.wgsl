{#- What formulas are made of, beside activations: functions that give what IEEE 754 says on every driver. -#}
{% include "math.wgsl" %}
{% include "activations.wgsl" %}
fn exp_(x: f32) -> f32 {
    return select(exp(clamp(x, -104.0, 89.0)), x, is_nan(x));
}

fn log_(x: f32) -> f32 {
    let value = select(log(max(x, 1e-45)), -bitcast<f32>(p.infinity), x == 0.0);
    return select(select(value, bitcast<f32>(p.nan), x < 0.0), x, is_nan(x));
}

fn sqrt_(x: f32) -> f32 {
    return select(select(sqrt(max(x, 0.0)), bitcast<f32>(p.nan), x < 0.0), x, is_nan(x));
}

{% include "larger.wgsl" %}
