//! Every kernel of the table against its twin.

use crate::common::{checked, gpu, portable};
use wgrnn::check;
use wgrnn::kernels::Kernel;

fn passes(device: &wgrnn::Device) {
    for kernel in Kernel::ALL {
        let report = check::kernel(device, kernel).unwrap();
        let failures: Vec<_> = report.failures.iter().map(ToString::to_string).collect();
        assert!(report.passed(), "{} of {} cases:\n{}", failures.len(), report.cases, failures.join("\n"));
    }
}

#[test]
fn every_kernel_equals_its_twin() {
    passes(&gpu());
}

#[test]
fn every_kernel_equals_its_twin_within_webgpu_defaults() {
    passes(&portable());
}

#[test]
fn every_kernel_equals_its_twin_with_bounds_checks() {
    passes(&checked());
}
