//! A kernel on a device against its CPU twin.

use super::cases::Case;
use super::comparison::Comparison;
use crate::device::{Device, block_on, elsewhere, may_wait};
use crate::error::Result;
use crate::kernels::Kernel;

/// Tolerances of cases are those of numbers near 1. Larger ones, such as 1 / √(var + ε), may be off by what WGSL allows a
/// device: 2 ulp for `inverseSqrt`, 2.5 for a quotient, an ulp being at most ε; and by half an ulp on the CPU.
const LAST_DIGITS: f64 = 3.0 * f32::EPSILON as f64;

/// How a kernel compares with its CPU twin, over all its cases.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KernelReport {
    /// The kernel's name.
    pub kernel: &'static str,
    /// How many cases were run.
    pub cases: usize,
    /// Names of the cases that this device cannot run, each with the reason.
    pub left_out: Vec<(String, String)>,
    /// The case with the largest error relative to its tolerance.
    pub worst: Option<Comparison>,
    /// The comparisons that are beyond their tolerance.
    pub failures: Vec<Comparison>,
}

impl KernelReport {
    /// Whether at least one case was run, and all were within their tolerances.
    pub fn passed(&self) -> bool {
        self.cases > 0 && self.failures.is_empty()
    }
}

/// Runs all cases of a kernel on a device and with its CPU twin, and compares them. Outputs are filled with NaN
/// beforehand, so that elements which the kernel does not write are noticed.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::{Device, check, kernels::Kernel};
/// let device = Device::auto();
/// let report = check::kernel(&device, Kernel::Argmax)?;
/// assert!(report.passed(), "{:?}", report.failures);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Gpu`](crate::Error::Gpu) where the driver fails; a difference is no error but a report that has not passed.
pub fn kernel(device: &Device, kernel: Kernel) -> Result<KernelReport> {
    block_on(kernel_async(device, kernel))
}

/// The asynchronous form of [`kernel`].
///
/// # Errors
/// As [`kernel`].
pub async fn kernel_async(device: &Device, kernel: Kernel) -> Result<KernelReport> {
    if !may_wait() {
        let device = device.clone();
        return elsewhere(move || async move { kernel_async(&device, kernel).await }).await;
    }
    let row = kernel.row();
    let mut report =
        KernelReport { kernel: row.name, cases: 0, left_out: Vec::new(), worst: None, failures: Vec::new() };
    for case in kernel.cases(device) {
        if let Some(reason) = case.left_out(device) {
            report.left_out.push((case.name.clone(), reason));
            continue;
        }
        report.cases += 1;
        for comparison in compare_case_async(device, &case).await? {
            if !comparison.passed() {
                report.failures.push(comparison.clone());
            }
            if report.worst.as_ref().is_none_or(|worst| comparison.severity > worst.severity) {
                report.worst = Some(comparison);
            }
        }
    }
    Ok(report)
}

/// Runs one case on a device and with its CPU twin, and gives a comparison for each buffer that it writes.
///
/// # Errors
/// As [`kernel`].
pub fn compare_case(device: &Device, case: &Case) -> Result<Vec<Comparison>> {
    block_on(compare_case_async(device, case))
}

async fn compare_case_async(device: &Device, case: &Case) -> Result<Vec<Comparison>> {
    compare_outputs(case, case.run(device).await?, case.run(&Device::cpu()).await?)
}

/// Written bindings by name.
type Outputs = Vec<(&'static str, Vec<f32>)>;

fn compare_outputs(case: &Case, got: Outputs, expected: Outputs) -> Result<Vec<Comparison>> {
    got.into_iter()
        .zip(expected)
        .map(|((binding, got), (_, expected))| {
            let name = format!("{}, {binding}", case.name);
            let [got, expected] = [got, expected].map(ndarray::Array1::from_vec);
            let expected = expected.mapv(f64::from).into_dyn();
            // What is only copied has no tolerance at all.
            let relative = if case.tolerance > 0.0 { LAST_DIGITS } else { 0.0 };
            Comparison::with_relative(name, got.view().into_dyn(), expected.view(), case.tolerance, relative)
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
        for case in Kernel::ALL.iter().flat_map(|kernel| kernel.cases(&device)) {
            // One column is the largest whatever is in it, one row is a list by itself, and no rows add up to 0; a step that is not taken heeds no gradient, and a loss that is
            // not finite no change of it.
            let heedless = [
                "argmax of 1x1",
                "sample of 1x1",
                "links of 1 among 1",
                "from 0",
                "Not",
                "Tried",
                "Untried",
                "guard of a loss that is",
            ];
            if heedless.iter().any(|heedless| case.name.contains(heedless)) {
                continue;
            }
            let run = |case: &Case| block_on(case.run(&device)).unwrap();
            let expected = run(&case);
            let right = compare_outputs(&case, run(&case), expected.clone()).unwrap();
            assert!(right.iter().all(Comparison::passed), "{}", case.name);
            let wrong = compare_outputs(&case, run(&case.spoilt()), expected).unwrap();
            assert!(!wrong.iter().all(Comparison::passed), "{}: a fault went unseen", case.name);
        }
    }
}
