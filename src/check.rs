//! Whether a device computes what it should: a layer against the [reference](mod@crate::reference), every kernel against
//! its CPU twin. Drivers have bugs; this lets you trust your own.

use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::{Case, Kernel};
use crate::layer::{Output, Rnn, RnnCall, RnnGradients, State};
use crate::reference;
use ndarray::{Array2, Array3, ArrayD, ArrayView3, ArrayViewD, s};
use std::fmt::{Display, Formatter};

/// How far an array is from the one expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What was compared.
    pub name: String,
    /// Elements compared.
    pub count: usize,
    /// Elements beyond the tolerance.
    pub mismatches: usize,
    /// Largest absolute difference; infinite where one of the two is NaN or infinite and the other is not.
    pub max_abs: f64,
    /// Largest difference relative to the expected element, of those larger than the tolerance.
    pub max_rel: f64,
    /// Index of the element with the largest absolute difference.
    pub at: Vec<usize>,
    /// That element.
    pub got: f64,
    /// What it should be.
    pub expected: f64,
    /// Largest absolute difference allowed.
    pub tolerance: f64,
}

impl Comparison {
    /// Compares two arrays: |got − expected| ≤ `tolerance`, NaN where NaN is expected.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes differ.
    pub fn new(
        name: impl Into<String>,
        got: ArrayViewD<'_, f32>,
        expected: ArrayViewD<'_, f64>,
        tolerance: f64,
    ) -> Result<Self> {
        let name = name.into();
        if got.shape() != expected.shape() {
            return Err(Error::shape(name, expected.shape(), got.shape()));
        }
        let mut this = Self {
            name,
            count: got.len(),
            mismatches: 0,
            max_abs: 0.0,
            max_rel: 0.0,
            at: vec![0; got.ndim()],
            got: got.first().map_or(0.0, |&got| f64::from(got)),
            expected: expected.first().copied().unwrap_or(0.0),
            tolerance,
        };
        for ((at, &got), &expected) in got.indexed_iter().zip(expected.iter()) {
            let got = f64::from(got);
            let difference = if got == expected || got.is_nan() && expected.is_nan() {
                0.0
            } else if got.is_finite() && expected.is_finite() {
                (got - expected).abs()
            } else {
                f64::INFINITY
            };
            if difference > tolerance {
                this.mismatches += 1;
            }
            if expected.abs() > tolerance {
                this.max_rel = this.max_rel.max(difference / expected.abs());
            }
            if difference > this.max_abs {
                (this.max_abs, this.got, this.expected) = (difference, got, expected);
                this.at = ndarray::Dimension::as_array_view(&at).to_vec();
            }
        }
        Ok(this)
    }

    /// The largest difference in tolerances; 0 for none, whatever the tolerance.
    pub fn severity(&self) -> f64 {
        if self.max_abs == 0.0 { 0.0 } else { self.max_abs / self.tolerance }
    }

    /// Whether every element is within the tolerance.
    pub fn passed(&self) -> bool {
        self.mismatches == 0
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { name, count, mismatches, max_abs, max_rel, at, got, expected, tolerance } = self;
        let verdict = if self.passed() { "ok" } else { "FAILED" };
        write!(f, "{name}: {verdict}, max error {max_abs:.3e} ({max_rel:.1e} relative), tolerance {tolerance:.3e}")?;
        if self.passed() {
            return Ok(());
        }
        write!(f, "; {mismatches} of {count} beyond it, worst at {at:?}: {got:e}, expected {expected:e}")
    }
}

/// The comparisons of a layer: y, h, and c of an LSTM.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerReport {
    /// One for each array.
    pub comparisons: Vec<Comparison>,
}

impl LayerReport {
    /// Whether all are within their tolerances.
    pub fn passed(&self) -> bool {
        self.comparisons.iter().all(Comparison::passed)
    }
}

impl Display for LayerReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<_> = self.comparisons.iter().map(Comparison::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// The tolerance of a whole layer: the device rounds in another order than the reference, so it may be as far from the
/// exact result as the reference in f32 is from the one in f64, a few times over; and where those two happen to agree,
/// a few ulp of the largest element.
fn tolerance(single: &ArrayD<f32>, double: &ArrayD<f64>) -> f64 {
    let finite = |x: f64| if x.is_finite() { x.abs() } else { 0.0 };
    let deviation = single.iter().zip(double).map(|(&a, &b)| finite(f64::from(a) - b)).fold(0.0, f64::max);
    let largest = double.iter().map(|&x| finite(x)).fold(1.0, f64::max);
    16.0 * deviation + 16.0 * f64::from(f32::EPSILON) * largest
}

impl Rnn {
    /// Runs this layer on its device and in the reference, and compares y, h and c.
    ///
    /// # Errors
    /// As [`Rnn::forward_with`]; a difference is no error but a report that has not passed.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// # use ndarray::Array3;
    /// # use wgrnn::{Cell, Device, Reset, Rnn, RnnCall, RnnConfig, RnnWeights};
    /// # let config = RnnConfig::new(Cell::Gru(Reset::After), 4, 8);
    /// # let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
    /// let report = rnn.check(Array3::ones((5, 2, 4)).view(), None, &RnnCall::default())?;
    /// assert!(report.passed(), "{report}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn check(&self, x: ArrayView3<'_, f32>, state: Option<&State>, call: &RnnCall) -> Result<LayerReport> {
        let got = self.forward_with(x, state, call)?;
        let lengths = call.lengths.list();
        let lengths = lengths.as_deref();
        let (config, weights) = (self.config(), &*self.weights()?);
        let single = reference::forward::<f32>(config, weights, x, lengths, state)?;
        let double = reference::forward::<f64>(config, weights, x.mapv(f64::from).view(), lengths, state)?;
        let (single_y, double_y) = match call.output {
            Output::All => (single.y.into_dyn(), double.y.into_dyn()),
            Output::Last => (self.last(&single.h).into_dyn(), self.last(&double.h).into_dyn()),
        };
        let compare = |name, got: ArrayViewD<'_, f32>, single: &ArrayD<f32>, double: &ArrayD<f64>| {
            Comparison::new(name, got, double.view(), tolerance(single, double))
        };
        let mut comparisons = vec![
            compare("y", got.y.view(), &single_y, &double_y)?,
            compare("h", got.state.h.view().into_dyn(), &single.h.into_dyn(), &double.h.into_dyn())?,
        ];
        if let (Some(got), Some(single), Some(double)) = (&got.state.c, single.c, double.c) {
            comparisons.push(compare("c", got.view().into_dyn(), &single.into_dyn(), &double.into_dyn())?);
        }
        Ok(LayerReport { comparisons })
    }

    /// Computes gradients on this layer's device and by the twins on the CPU, for one and the same gradient of the output,
    /// and compares those of the input, of the initial state and of all weights. The twins are held to finite differences
    /// of the reference by the library's own tests.
    ///
    /// # Errors
    /// As [`Rnn::gradients`]; a difference is no error but a report that has not passed.
    pub fn check_gradients(&self, x: ArrayView3<'_, f32>, call: &RnnCall) -> Result<LayerReport> {
        let twin = Self::trainable(&Device::cpu(), self.config(), &*self.weights()?)?;
        let shape = crate::layer::output_shape(self, x.shape(), call)?;
        // Numbers of either sign, none of them 0.
        let mut place = 0_u32;
        let dy = ArrayD::from_shape_simple_fn(shape, || {
            place = place.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (place >> 8) as f32 / 8_388_608.0 - 1.0
        });
        // The twin's CPU knows no lengths that lie on another device.
        let call = RnnCall { lengths: call.lengths.list().into(), ..call.clone() };
        let [got, expected] = [self, &twin].map(|rnn| rnn.gradients(x, None, &call, dy.view(), None));
        let (got, expected) = (got?, expected?);
        // The twin once more on inputs that were rounded once more: norms divide by what may be small.
        let mut up = false;
        let rounded = x.mapv(|x| {
            up = !up;
            if up { x * (1.0 + f32::EPSILON) } else { x * (1.0 - f32::EPSILON) }
        });
        let rounded = twin.gradients(rounded.view(), None, &call, dy.view(), None)?;
        let arrays = |gradients: &RnnGradients| {
            let mut arrays: Vec<_> = gradients.weights.named().map(|(name, array)| (name, array.to_owned())).collect();
            arrays.push(("x".to_owned(), gradients.x.clone().into_dyn()));
            arrays.push(("h".to_owned(), gradients.state.h.clone().into_dyn()));
            arrays.extend(gradients.state.c.clone().map(|c| ("c".to_owned(), c.into_dyn())));
            arrays
        };
        let compare = |(((name, got), (_, expected)), (_, rounded))| {
            let (got, expected, rounded): (ArrayD<f32>, ArrayD<f32>, ArrayD<f32>) = (got, expected, rounded);
            let deviation = (&expected - &rounded).iter().map(|&d| f64::from(d.abs())).fold(0.0, f64::max);
            let expected = expected.mapv(f64::from);
            // Both are sums over steps and sequences in f32, in orders of their own: each as far from the exact result as
            // float32 implementations are seen to be, 32 ε of the largest element; and each rounds several times in every step, where
            // one rounding of the input moves the gradient by the deviation.
            let largest = expected.iter().fold(1.0, |largest: f64, x| largest.max(x.abs()));
            let tolerance = 64.0 * f64::from(f32::EPSILON) * largest + 16.0 * deviation;
            Comparison::new(format!("gradient of {name}"), got.view(), expected.view(), tolerance)
        };
        let all = arrays(&got).into_iter().zip(arrays(&expected)).zip(arrays(&rounded));
        let comparisons = all.map(compare).collect::<Result<_>>()?;
        Ok(LayerReport { comparisons })
    }

    /// The last layer's h of both directions side by side.
    fn last<F: reference::Real>(&self, h: &Array3<F>) -> Array2<F> {
        let config = self.config();
        let width = config.state_size();
        let first = (config.layers - 1) * config.tracks();
        let mut last = Array2::zeros((h.dim().1, config.output_size()));
        for direction in 0..config.tracks() {
            let part = s![.., direction * width..(direction + 1) * width];
            last.slice_mut(part).assign(&h.slice(s![first + direction, .., ..]));
        }
        last
    }
}

/// The parity of a kernel with its twin, over all its cases.
#[derive(Clone, Debug)]
pub struct KernelReport {
    /// The kernel's name.
    pub kernel: &'static str,
    /// Cases run.
    pub cases: usize,
    /// Cases that this device has no lanes for, with the reason: they were not run.
    pub left_out: Vec<(String, String)>,
    /// The case with the largest error relative to its tolerance.
    pub worst: Option<Comparison>,
    /// Every case beyond its tolerance.
    pub failures: Vec<Comparison>,
}

impl KernelReport {
    /// Whether cases were run, and all within their tolerances.
    pub fn passed(&self) -> bool {
        self.cases > 0 && self.failures.is_empty()
    }
}

/// Runs all cases of a kernel on a device and with its twin. Outputs are NaN before, so that what a kernel fails to
/// write is seen.
///
/// # Errors
/// [`Gpu`](Error::Gpu) where the driver fails; a difference is no error but a report that has not passed.
pub fn kernel(device: &Device, kernel: Kernel) -> Result<KernelReport> {
    let row = kernel.row();
    let mut report =
        KernelReport { kernel: row.name, cases: 0, left_out: Vec::new(), worst: None, failures: Vec::new() };
    for case in (row.cases)(device) {
        if let Some(reason) = case.left_out(device) {
            report.left_out.push((case.name.clone(), reason));
            continue;
        }
        report.cases += 1;
        for comparison in compare_case(device, &case)? {
            if !comparison.passed() {
                report.failures.push(comparison.clone());
            }
            if report.worst.as_ref().is_none_or(|worst| comparison.severity() > worst.severity()) {
                report.worst = Some(comparison);
            }
        }
    }
    Ok(report)
}

/// One case on a device and with its twin: a comparison for each buffer that it writes.
///
/// # Errors
/// As [`kernel`].
pub fn compare_case(device: &Device, case: &Case) -> Result<Vec<Comparison>> {
    compare_outputs(case, case.run(device)?, case.run(&Device::cpu())?)
}

/// Written bindings by name.
type Outputs = Vec<(&'static str, Vec<f32>)>;

fn compare_outputs(case: &Case, got: Outputs, expected: Outputs) -> Result<Vec<Comparison>> {
    got.into_iter()
        .zip(expected)
        .map(|((binding, got), (_, expected))| {
            let name = format!("{}, {binding}", case.name);
            let [got, expected] = [got, expected].map(ndarray::Array1::from_vec);
            Comparison::new(name, got.view().into_dyn(), expected.mapv(f64::from).view().into_dyn(), case.tolerance)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a device gives that computes one input element wrongly: parity must see it in every case.
    #[test]
    fn a_device_that_is_wrong_in_one_input_fails_every_case() {
        let device = Device::cpu();
        for case in Kernel::ALL.iter().flat_map(|kernel| (kernel.row().cases)(&device)) {
            // One column is the largest whatever is in it, one row is a list by itself; a step that is not taken heeds no gradient, and a loss that is
            // not finite no change of it.
            let heedless = ["argmax of 1x1", "links of 1 among 1", "taken 0", "guard of a loss that is"];
            if heedless.iter().any(|heedless| case.name.contains(heedless)) {
                continue;
            }
            let expected = case.run(&device).unwrap();
            let right = compare_outputs(&case, case.run(&device).unwrap(), expected.clone()).unwrap();
            assert!(right.iter().all(Comparison::passed), "{}", case.name);
            let wrong = compare_outputs(&case, case.spoilt().run(&device).unwrap(), expected).unwrap();
            assert!(!wrong.iter().all(Comparison::passed), "{}: a fault went unseen", case.name);
        }
    }
}
