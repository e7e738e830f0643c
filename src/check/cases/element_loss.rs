//! Cases of `element_loss`.

use super::case::{Case, Words};
use super::numbers::{Numbers, poison};
use crate::device::Device;
use crate::kernels::{ElementLossForm, ElementLossParams, FLAT, Kernel, Variant};

pub(crate) fn element_loss(_: &Device) -> Vec<Case> {
    let forms = ElementLossForm::ALL;
    [1, 63, 1000].into_iter().flat_map(|count| forms.map(|form| element_loss_case(count, form))).collect()
}

/// Some targets masked.
pub(crate) fn element_loss_case(count: usize, form: ElementLossForm) -> Case {
    let mut numbers = Numbers::new(count);
    let mut targets: Vec<f32> = numbers.uniform(2 + count, 0.5).into_iter().map(|target| target + 0.5).collect();
    targets.iter_mut().skip(3).step_by(4).for_each(|target| *target = f32::NAN);
    let params = ElementLossParams {
        count,
        form,
        delta: 1.5,
        x_offset: 1,
        target_offset: 2,
        count_offset: 1,
        losses_offset: 3,
        gradient_offset: 1,
        row_lanes: 2 * FLAT.lanes as usize,
    };
    Case {
        name: format!("element_loss of {count}, {form:?}"),
        variant: Variant::plain(Kernel::ElementLoss, FLAT, 4),
        // Squares up to 40, and a few ulp of exp and log.
        tolerance: 64.0 * f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(1 + count, 5.0)),
            Words::Numbers(targets),
            Words::Numbers(vec![0.0, 3.0]),
            poison(3 + count),
            poison(1 + count),
        ],
    }
}
