//! wgrnn for JavaScript: the Rust API's names, `{data, shape}` arrays in and out, a promise wherever a device is waited for.
//! What it does is documented there and in `types.ts`; here is what stands between the two languages.

mod activation;
mod arguments;
mod arrays;
mod attention;
mod check;
mod choose;
mod convolution;
mod decoding;
mod dense;
mod device;
mod evaluation;
mod expression;
mod fault;
mod files;
mod handles;
mod layer;
mod learning_rate;
mod losses;
mod model;
mod models;
mod onnx;
mod options;
mod promise;
mod sequences;
mod state_dict;
mod stopping;
mod tape;
mod tensor;
mod trainer;
mod training_options;
mod vad;
mod value;

use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.ts");

#[wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
}
