//! Every kernel of the table against its twin, and the comparing code against planted faults.

use crate::common::opened;
use ndarray::{Array1, Array2, ArrayD, array};
use wgrnn::check::{self, Comparison};
use wgrnn::kernels::Kernel;
use wgrnn::{Device, Error, GpuOptions};

fn passes(options: GpuOptions) {
    for kernel in Kernel::ALL {
        // A device of its own: it takes the kernel's pipelines with it, which are gigabytes for all kernels on some drivers.
        let device = &opened(options.clone());
        let report = check::kernel(device, kernel).unwrap();
        let failures: Vec<_> = report.failures.iter().map(ToString::to_string).collect();
        assert!(report.passed(), "{} of {} cases:\n{}", failures.len(), report.cases, failures.join("\n"));
        assert_eq!(report.cases + report.left_out.len(), kernel.cases(device).len(), "{}", report.kernel);
    }
}

#[test]
fn every_kernel_equals_its_twin() {
    passes(GpuOptions::default());
}

#[test]
fn every_kernel_equals_its_twin_within_webgpu_defaults() {
    passes(GpuOptions::default().portable(true));
}

#[test]
fn every_kernel_equals_its_twin_with_bounds_checks() {
    passes(GpuOptions::default().checked(true));
}

/// Every case has a name of its own, finite tolerance, and something that it writes.
#[test]
fn every_case_compares_what_it_writes() {
    let device = Device::cpu();
    for kernel in Kernel::ALL {
        let cases = kernel.cases(&Device::cpu());
        assert!(!cases.is_empty(), "{}", kernel.row().name);
        for case in &cases {
            assert!(case.tolerance.is_finite() && (0.0..0.01).contains(&case.tolerance), "{}", case.name);
            assert_eq!(case.variant().kernel(), kernel, "{}", case.name);
        }
        // The twins cost time: a case of each size is enough.
        for case in cases.iter().step_by(5) {
            let comparisons = check::compare_case(&device, case).unwrap();
            assert!(!comparisons.is_empty() && comparisons.iter().all(|c| c.count > 0), "{}", case.name);
        }
    }
}

const TOLERANCE: f64 = 1e-6;

/// Numbers over ±1, and what was got for them.
fn pair() -> (ArrayD<f32>, ArrayD<f64>) {
    let expected = Array2::from_shape_fn((7, 9), |(i, j)| ((9 * i + j) as f64 / 31.0 - 1.0) as f32);
    (expected.clone().into_dyn(), expected.mapv(f64::from).into_dyn())
}

fn compare(got: &ArrayD<f32>, expected: &ArrayD<f64>) -> Comparison {
    Comparison::new("planted", got.view(), expected.view(), TOLERANCE).unwrap()
}

/// The element [4, 5] changed: exactly this one is found.
fn planted(change: impl Fn(f32) -> f32) -> Comparison {
    let (mut got, expected) = pair();
    assert!(compare(&got, &expected).passed());
    got[[4, 5]] = change(got[[4, 5]]);
    let comparison = compare(&got, &expected);
    assert!(!comparison.passed(), "{comparison}");
    assert_eq!((comparison.count, comparison.mismatches, &comparison.at[..]), (63, 1, &[4, 5][..]));
    assert!(comparison.to_string().contains("FAILED") && comparison.to_string().contains("[4, 5]"), "{comparison}");
    comparison
}

#[test]
fn one_element_off_by_ten_tolerances_fails() {
    for sign in [1.0, -1.0] {
        let comparison = planted(|value| value + sign * 10.0 * TOLERANCE as f32);
        assert!((5e-6..2e-5).contains(&comparison.max_abs), "{comparison}");
    }
}

#[test]
fn one_element_that_is_nan_or_infinite_fails() {
    for value in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(planted(|_| value).max_abs, f64::INFINITY);
    }
}

/// NaN is what outputs hold before a kernel runs; and where the twin leaves NaN nothing else may be.
#[test]
fn an_element_left_unwritten_or_written_out_of_turn_fails() {
    planted(|_| f32::NAN);
    let expected = array![1.0, f64::NAN, f64::INFINITY].into_dyn();
    let compare =
        |got: [f32; 3]| Comparison::new("gap", array![got[0], got[1], got[2]].into_dyn().view(), expected.view(), 1.0);
    assert!(compare([1.0, f32::NAN, f32::INFINITY]).unwrap().passed());
    for got in [[1.0, 0.0, f32::INFINITY], [1.0, f32::NAN, f32::MAX], [1.0, f32::NAN, f32::NEG_INFINITY]] {
        let comparison = compare(got).unwrap();
        assert_eq!(comparison.mismatches, 1, "{comparison}");
    }
}

/// An ulp of 316 is 3e-5, which is wrong for a number near 1; and an infinity has no last digits.
#[test]
fn a_relative_tolerance_allows_the_last_digits_of_large_numbers_alone() {
    let expected = array![316.227_78_f32, 1.0, f32::INFINITY].into_dyn();
    let compare = |change: [f32; 3]| {
        let got = &expected + &array![change[0], change[1], change[2]].into_dyn();
        Comparison::with_relative("ulp", got.view(), expected.mapv(f64::from).view(), TOLERANCE, 1e-7).unwrap()
    };
    let ulp = 2.0_f32.powi(-15);
    let right = compare([ulp, 0.5e-6, 0.0]);
    assert!(right.passed() && (0.4..1.0).contains(&right.severity), "{right}");
    for change in [[2.0 * ulp, 0.0, 0.0], [0.0, ulp, 0.0], [0.0, 0.0, f32::NEG_INFINITY]] {
        let wrong = compare(change);
        assert!(wrong.mismatches == 1 && wrong.severity > 1.0, "{wrong}");
    }
}

#[test]
fn the_first_and_the_last_element_are_compared() {
    let (got, expected) = pair();
    for at in [[0, 0], [6, 8]] {
        let mut got = got.clone();
        got[at] += 10.0 * TOLERANCE as f32;
        let comparison = compare(&got, &expected);
        assert_eq!((comparison.mismatches, &comparison.at[..]), (1, &at[..]));
    }
}

#[test]
fn arrays_of_different_shapes_are_an_error() {
    let (got, expected) = pair();
    let turned = got.t();
    for other in [turned, got.slice(ndarray::s![..6, ..]).into_dyn(), Array1::zeros(63).view().into_dyn()] {
        let error = Comparison::new("planted", other, expected.view(), TOLERANCE).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }) && error.to_string().contains("planted"), "{error}");
    }
}

#[test]
fn a_report_of_nothing_has_not_passed() {
    let report = || check::kernel(&Device::cpu(), Kernel::Links).unwrap();
    assert!(report().passed());
    let (mut nothing, mut failed) = (report(), report());
    nothing.cases = 0;
    failed.failures = vec![planted(|_| f32::NAN)];
    assert!(!nothing.passed() && !failed.passed());
}
