{#- The larger one of two numbers; NaN if either is, which `max` alone does not promise. -#}
fn larger(a: f32, b: f32) -> f32 {
    return select(select(max(a, b), b, is_nan(b)), a, is_nan(a));
}
