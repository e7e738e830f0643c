//! Cases of `gemm`.

use super::case::Case;
use super::cooperative::cooperative_products;
use super::forms::in_all_forms;
use super::product::{GemmForm, gemm_case};
use crate::device::{self, Device};
use crate::kernels::{Kernel, STAGED};

pub(crate) fn gemm(device: &Device) -> Vec<Case> {
    let sizes = [(1, 1, 1), (1, 64, 4), (5, 7, 3), (33, 65, 64), (64, 63, 130), (65, 130, 65)];
    let mut cases = Vec::new();
    for tile in device::tiles(device, Kernel::Gemm) {
        for (i, &(m, n, k)) in sizes.iter().enumerate() {
            // Each form of A and C beside each size, in turn.
            for form in GemmForm::ALL {
                cases.push(gemm_case(tile, 4, (m, n, k), form, 1 + i % 2));
            }
        }
    }
    for tile in STAGED {
        for (i, &(m, n, k)) in [(1, 1, 4), (70, 130, 64), (129, 65, 132)].iter().enumerate() {
            for form in [GemmForm::Plain, GemmForm::Mapped, GemmForm::Scattered, GemmForm::Accumulated] {
                cases.push(gemm_case(tile, 4, (m, n, k), form, 1 + i % 2).staged());
            }
        }
    }
    in_all_forms(device, cases).into_iter().chain(cooperative_products(device)).collect()
}
