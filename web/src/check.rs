//! Is this GPU right? The doctor's rows.

use crate::arguments;
use crate::arrays::object;
use crate::device::Device;
use crate::fault::{Fault, Result};
use crate::promise::{attempt, promise};
use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use wgrnn::check::{self, Comparison};
use wgrnn::kernels::Kernel;
use wgrnn::{Cell, RnnConfig};

/// The kernels, for `checkKernel`.
#[wasm_bindgen(js_name = kernelNames)]
pub fn kernel_names() -> Vec<String> {
    Kernel::ALL.iter().map(|kernel| kernel.row().name.to_owned()).collect()
}

/// The layers that are examined, for `checkLayer` and `checkGradients`.
#[wasm_bindgen(js_name = layerNames)]
pub fn layer_names() -> Vec<String> {
    check::layers().into_iter().map(|(name, _)| name.to_owned()).collect()
}

/// The cells, for `RnnConfig`.
#[wasm_bindgen(js_name = cellNames)]
pub fn cell_names() -> Vec<String> {
    Cell::ALL.map(|cell| cell.name().to_owned()).to_vec()
}

/// Runs all cases of a kernel on the device and by its twin on the CPU.
#[wasm_bindgen(js_name = checkKernel, unchecked_return_type = "Promise<CheckRow>")]
pub fn check_kernel(device: &Device, #[wasm_bindgen(unchecked_param_type = "string")] kernel: &JsValue) -> Promise {
    attempt(|| {
        let kernel = arguments::text("kernel", kernel)?;
        let found = Kernel::ALL.into_iter().find(|known| known.row().name == kernel);
        let kernel = found.ok_or_else(|| Fault::new(format!("kernel: there is no '{kernel}'")))?;
        let device = device.inner().clone();
        Ok(promise(async move {
            let report = check::kernel_async(&device, kernel).await?;
            let left_out = report.left_out.iter().map(|(case, reason)| format!("{case}: {reason}")).collect();
            let failures = report.failures.iter().map(Comparison::to_string).collect();
            Ok(row(report.kernel, report.cases, report.worst.as_ref(), failures, left_out, report.passed()))
        }))
    })
}

/// Runs a layer on the device and in the textbook reference.
#[wasm_bindgen(js_name = checkLayer, unchecked_return_type = "Promise<CheckRow>")]
pub fn check_layer(device: &Device, #[wasm_bindgen(unchecked_param_type = "string")] layer: &JsValue) -> Promise {
    attempt(|| {
        let (name, config) = named(layer)?;
        let device = device.inner().clone();
        Ok(promise(async move { Ok(layer_row(name, &check::layer_async(&device, &config).await?)) }))
    })
}

/// Computes a layer's gradients on the device and by the twins on the CPU.
#[wasm_bindgen(js_name = checkGradients, unchecked_return_type = "Promise<CheckRow>")]
pub fn check_gradients(device: &Device, #[wasm_bindgen(unchecked_param_type = "string")] layer: &JsValue) -> Promise {
    attempt(|| {
        let (name, config) = named(layer)?;
        let device = device.inner().clone();
        Ok(promise(async move { Ok(layer_row(name, &check::gradients_async(&device, &config).await?)) }))
    })
}

fn named(layer: &JsValue) -> Result<(&'static str, RnnConfig)> {
    let layer = arguments::text("layer", layer)?;
    let found = check::layers().into_iter().find(|(name, _)| *name == layer);
    found.ok_or_else(|| Fault::new(format!("layer: there is no '{layer}'")))
}

fn layer_row(name: &str, report: &check::LayerReport) -> JsValue {
    let failed = report.comparisons.iter().filter(|comparison| !comparison.passed());
    let difference = report.first_difference.iter().map(|difference| format!("first difference: {difference}"));
    let failures = failed.map(Comparison::to_string).chain(difference).collect();
    row(name, report.comparisons.len(), report.worst(), failures, Vec::new(), report.passed())
}

fn row(
    name: &str,
    cases: usize,
    worst: Option<&Comparison>,
    failures: Vec<String>,
    left_out: Vec<String>,
    passed: bool,
) -> JsValue {
    let texts = |texts: Vec<String>| texts.into_iter().map(JsValue::from).collect::<Array>().into();
    object([
        ("name", name.into()),
        ("cases", (cases as f64).into()),
        ("maxError", worst.map_or(0.0, |worst| worst.max_abs).into()),
        ("tolerance", worst.map_or(0.0, |worst| worst.tolerance).into()),
        ("passed", passed.into()),
        ("failures", texts(failures)),
        ("leftOut", texts(left_out)),
    ])
}
