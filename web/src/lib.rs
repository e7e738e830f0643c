//! wgrnn for JavaScript: the Rust API's names, `{data, shape}` arrays in and out, a promise wherever a device is waited for.
//! What it does is documented there and in `types.ts`; here is what stands between the two languages.

mod arguments;
mod arrays;
mod check;
mod choose;
mod device;
mod fault;
mod layer;
mod models;
mod options;
mod promise;
mod train;
mod vad;

use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.ts");

#[wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
}
