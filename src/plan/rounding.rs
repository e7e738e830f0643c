//! How far the words that a kernel writes on a device may be from those of its twin: what rounding explains, and no more.
//!
//! The two add up the same products in another order, and their functions differ in the last digits. The data of a
//! program may be of any size, so how much that matters is measured: the twin runs again on inputs that were rounded once more,
//! and what moves its results by one rounding may move the device's by several.

use crate::kernels::{EXCHANGE_HEAD, Kernel, Variant};

/// How many roundings of the inputs a difference may be worth. The rounding error of a sum of n products is about √n / 7 times
/// what rounding each input does: 16 covers sums of some thousands.
const ROUNDINGS: f64 = 16.0;
/// And how many units in the last place of the largest result: functions are a few off, and sums of numbers of one sign
/// grow.
const UNITS: f64 = 64.0;

/// A half may be rounded to one neighbour or the other: they are so far apart, relative to their size.
const HALF_EPSILON: f64 = 1.0 / 1024.0;

/// How far apart two numbers are: 0 if they are equal or both NaN; infinite if they differ and one is not finite.
pub(crate) fn distance(a: f64, b: f64) -> f64 {
    if a == b || a.is_nan() && b.is_nan() {
        0.0
    } else if a.is_finite() && b.is_finite() {
        (a - b).abs()
    } else {
        f64::INFINITY
    }
}

/// Whether a word of a kernel's binding is an integer, or bits that are only copied: these have to be equal.
pub(super) fn is_integer(kernel: Kernel, binding: &str, word: usize) -> bool {
    match binding {
        "places" | "map" | "index" | "links" | "seed" | "hyper" | "guarded" => true,
        "tokens" | "parents" | "best" | "heads" | "entries" | "tree" => true,
        "sequences" | "labels" | "input_lengths" | "label_lengths" => true,
        "targets" => kernel == Kernel::CrossEntropy,
        "out" => matches!(kernel, Kernel::Links | Kernel::Argmax | Kernel::Sample),
        // The guard writes the loss, the norm and the sum of losses there.
        "status" => kernel != Kernel::Guard || !(1..=3).contains(&word),
        "exchange" => (word as u64) < EXCHANGE_HEAD,
        _ => false,
    }
}

/// The same of what a variant reads: only a kernel from outside says itself which values are indices.
pub(super) fn reads_integer(variant: &Variant, binding: &str, word: usize) -> bool {
    is_integer(variant.kernel(), binding, word) || variant.own().is_some_and(|own| own.reads_indices_by(binding))
}

/// Rounds numbers once more, up or down at random. Whole numbers stay, for they may be counts or masks, and so do the
/// words that `is_kept` names.
pub(super) fn round_again(words: &mut [f32], mut seed: u32, is_kept: impl Fn(usize) -> bool) {
    for (i, word) in words.iter_mut().enumerate() {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if word.is_normal() && word.fract() != 0.0 && !is_kept(i) {
            *word *= if seed >> 31 == 0 { 1.0 + f32::EPSILON } else { 1.0 - f32::EPSILON };
        }
    }
}

/// How large the numbers may be that a kernel rounds on its way, however small its results are. `largest` gives the largest
/// number of the bindings whose names begin so.
pub(super) fn within(kernel: Kernel, binding: &str, largest: impl Fn(&str) -> f64) -> f64 {
    match kernel {
        // Activations are near 1 where what they are multiplied with is small.
        Kernel::Apply | Kernel::Grid | Kernel::Map | Kernel::NormStep | Kernel::Scan => 1.0,
        Kernel::Sequence | Kernel::Step | Kernel::Wave => 1.0,
        // Values that are averaged may cancel.
        Kernel::Attend => largest("values").max(1.0),
        // A probability minus 1, times the weight of a class, divided by the count.
        Kernel::CrossEntropy | Kernel::ElementLoss if binding == "gradient" => {
            let weight = if kernel == Kernel::CrossEntropy { largest("weights").max(1.0) } else { 1.0 };
            let count = largest("count");
            if count > 0.0 { weight / count } else { weight }
        }
        Kernel::CrossEntropy => largest("weights").max(1.0),
        Kernel::ElementLoss => 1.0,
        // Probabilities, one minus the other; and logarithms near 0 of sums near 1.
        Kernel::CtcGradient => 1.0 / largest("valid").max(1.0),
        Kernel::CtcBeam | Kernel::CtcLattice | Kernel::LogSumExp => 1.0,
        // The gradients that come in, for slopes of activations may cancel: their bindings are d, d_in, dh, dc and dy.
        Kernel::NormStepBackward | Kernel::ScanBackward | Kernel::SequenceBackward | Kernel::StepBackward => {
            largest("d")
        }
        Kernel::Adam | Kernel::Argmax | Kernel::Dropout | Kernel::Gather | Kernel::Gemm | Kernel::Guard => 0.0,
        Kernel::Links | Kernel::Masks | Kernel::Outer | Kernel::Pack | Kernel::Reduce | Kernel::ScatterAdd => 0.0,
        Kernel::Average
        | Kernel::Beam
        | Kernel::CtcGreedy
        | Kernel::CtcLabels
        | Kernel::RmsProp
        | Kernel::RunningMean
        | Kernel::Sample
        | Kernel::Settle
        | Kernel::Sgd => 0.0,
        // Terms may cancel; of a kernel from outside nobody knows.
        Kernel::Fold | Kernel::Own => largest("x"),
    }
}

/// The largest difference that rounding explains, from numbers before a dispatch and after it, and after it on inputs that
/// were rounded again. Only what changed counts, if anything did: a buffer may hold much else.
pub(super) fn tolerance(before: &[f32], after: &[f32], rounded: &[Vec<f32>], within: f64, halves: bool) -> f64 {
    let is_changed = |i: usize| before[i].to_bits() != after[i].to_bits();
    let any = (0..after.len()).any(is_changed);
    let finite = |x: f64| if x.is_finite() { x.abs() } else { 0.0 };
    let (mut largest, mut deviation) = (within, 0.0_f64);
    for i in (0..after.len()).filter(|&i| !any || is_changed(i)) {
        let value = f64::from(after[i]);
        largest = largest.max(finite(value));
        deviation = rounded.iter().map(|rounded| finite(value - f64::from(rounded[i]))).fold(deviation, f64::max);
    }
    if halves {
        // Halves are coarser than any rounding on the way.
        return (HALF_EPSILON + UNITS * f64::from(f32::EPSILON)) * largest;
    }
    ROUNDINGS * deviation + UNITS * f64::from(f32::EPSILON) * largest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::kernels::{Dialect, compose};

    /// The declarations in WGSL: `@group(0) @binding(1) var<storage, read> map: array<u32>;`.
    #[test]
    fn the_bindings_that_hold_integers_are_those_that_shaders_declare_so() {
        let mut integers = 0;
        for kernel in Kernel::ALL {
            for case in kernel.cases(&Device::cpu()).iter().filter(|case| case.variant().of.units().is_none()).take(8) {
                let text = compose(case.variant(), Dialect { immediates: true, enable_subgroups: false }).unwrap();
                for (i, &(name, _)) in kernel.row().bindings.iter().enumerate() {
                    let start = format!("@group(0) @binding({i}) var<storage");
                    let Some(line) = text.lines().find(|line| line.starts_with(&start)) else { continue };
                    // Numbers in halves are words there, and `reduce` counts what are either.
                    if case.variant().holds_halves(i) || (kernel, name) == (Kernel::Reduce, "values") {
                        continue;
                    }
                    // What a grid wrote is numbers but for its first words.
                    let declared = line.contains("u32>");
                    assert_eq!(
                        reads_integer(case.variant(), name, 0),
                        declared,
                        "{name} of {}: {line}",
                        case.variant()
                    );
                    integers += usize::from(declared);
                }
            }
        }
        assert!(integers > 20, "{integers}");
    }

    #[test]
    fn a_tolerance_follows_the_size_of_what_changed() {
        let before = [0.0, 1000.0];
        let small = tolerance(&before, &[1e-5, 1000.0], &[vec![1.1e-5, 1000.1]], 0.0, false);
        assert!((1.5e-5..1.7e-5).contains(&small), "{small}");
        assert!(tolerance(&before, &before, &[], 0.0, false) > 0.007, "what is written again counts whole");
        assert!(tolerance(&before, &[1e-5, 1000.0], &[], 1.0, false) > 7e-6, "what is rounded on the way");
    }

    #[test]
    fn rounding_again_leaves_integers_whole_numbers_and_kept_words() {
        let mut words = [0.1, 3.0, f32::from_bits(77), f32::NAN, 0.3];
        round_again(&mut words, 1, |i| i == 4);
        assert!(words[0] != 0.1 && (words[0] - 0.1).abs() < 1e-7);
        assert!(words[1] == 3.0 && words[2].to_bits() == 77 && words[3].is_nan() && words[4] == 0.3);
    }
}
