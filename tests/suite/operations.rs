//! Operations on values: functions of elements, sums along axes, views, products; with their gradients.

use crate::common::{devices, gpu};
use ndarray::{Array, ArrayD, Axis, IxDyn, array};
use wgrnn::check;
use wgrnn::kernels::Kernel;
use wgrnn::plan::Value;
use wgrnn::{Device, PlanBuilder, Tensor};

#[test]
fn functions_and_sums_of_elements_equal_their_twins() {
    for kernel in [Kernel::Map, Kernel::Fold] {
        let report = check::kernel(&gpu(), kernel).unwrap();
        let failures: Vec<_> = report.failures.iter().map(ToString::to_string).collect();
        assert!(report.passed(), "{}", failures.join("\n"));
    }
}

fn counting(shape: &[usize]) -> ArrayD<f32> {
    let count = shape.iter().product::<usize>();
    Array::from_iter((0..count).map(|i| i as f32 / 8.0 - 1.0)).into_shape_with_order(IxDyn(shape)).unwrap()
}

/// What a plan of operations gives.
fn compute(
    device: &Device,
    inputs: &[&ArrayD<f32>],
    plan: impl Fn(&mut PlanBuilder, &[Value]) -> Value,
) -> ArrayD<f32> {
    let mut builder = PlanBuilder::new(device);
    let tensors: Vec<_> = inputs.iter().map(|x| Tensor::from_array(device, x.view()).unwrap()).collect();
    let values: Vec<_> = tensors.iter().map(|tensor| builder.tensor(tensor).unwrap()).collect();
    let out = plan(&mut builder, &values);
    let result = Tensor::<f32>::zeros(device, out.shape()).unwrap();
    let target = builder.tensor(&result).unwrap();
    builder.copy(&out, &target).unwrap();
    builder.build().unwrap().run().unwrap();
    result.read().unwrap()
}

#[test]
fn shapes_broadcast_as_those_of_ndarray() {
    for (name, device) in devices() {
        for (a, b) in [([4, 3, 5].as_slice(), [3, 1].as_slice()), (&[1, 5], &[4, 1]), (&[6], &[1]), (&[2, 3], &[2, 3])]
        {
            let (a, b) = (counting(a), counting(b));
            let got = compute(&device, &[&a, &b], |plan, x| plan.map([&x[0], &x[1]], |[a, b]| a * b + 0.5).unwrap());
            assert_eq!(got, &a * &b + 0.5, "{name} {:?} {:?}", a.shape(), b.shape());
        }
    }
}

#[test]
fn views_are_read_where_they_lie() {
    for (name, device) in devices() {
        let x = counting(&[4, 3, 5]);
        let got = compute(&device, &[&x], |plan, x| {
            let view = x[0].slice(2, 1..4).unwrap().transpose(0, 2).unwrap().insert_axis(1).unwrap();
            plan.map([&view], |[x]| x * 2.0).unwrap()
        });
        let mut expected = x.slice_axis(Axis(2), (1..4).into()).to_owned();
        expected.swap_axes(0, 2);
        assert_eq!(got, (expected * 2.0).insert_axis(Axis(1)), "{name}");
        let got = compute(&device, &[&x], |plan, x| {
            let turned = x[0].transpose(0, 1).unwrap();
            let rows = plan.contiguous(&turned).unwrap().reshape(&[12, 5]).unwrap();
            rows.at(4).unwrap()
        });
        assert_eq!(got, x.index_axis(Axis(1), 1).index_axis(Axis(0), 0).to_owned().into_dyn(), "{name}");
    }
}

#[test]
fn axes_are_summed_averaged_and_searched() {
    for (name, device) in devices() {
        let x = counting(&[4, 3, 50]);
        let rows = compute(&device, &[&x], |plan, x| plan.sum(&x[0], &[0, 2]).unwrap());
        assert_eq!(rows, x.sum_axis(Axis(2)).sum_axis(Axis(0)), "{name}");
        let mean = compute(&device, &[&x], |plan, x| plan.mean(&x[0].transpose(0, 1).unwrap(), &[1]).unwrap());
        assert_eq!(mean, x.mean_axis(Axis(0)).unwrap(), "{name}");
        let largest = compute(&device, &[&x], |plan, x| plan.max(&x[0], &[1, 2]).unwrap());
        assert_eq!(largest, array![x[[0, 2, 49]], x[[1, 2, 49]], x[[2, 2, 49]], x[[3, 2, 49]]].into_dyn(), "{name}");
        let all = compute(&device, &[&x], |plan, x| plan.sum(&x[0], &[0, 1, 2]).unwrap().reshape(&[1]).unwrap());
        assert_eq!(all, array![x.sum()].into_dyn(), "{name}");
    }
}
