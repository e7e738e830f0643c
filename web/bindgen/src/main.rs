//! `wgrnn-bindgen IN.wasm FOLDER` writes `wgrnn.js`, `wgrnn.d.ts` and `wgrnn_bg.wasm` into a folder. wasm-bindgen's own
//! command does the same, but has to be of the version that the wasm was compiled with: here one lock file holds both.
//! Then errors of the written code, which speak of Rust, are put into JavaScript's words.

mod words;

use anyhow::{Context, Result};
use std::path::Path;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument =
        |what: &str| arguments.next().with_context(|| format!("no {what}: wgrnn-bindgen IN.wasm FOLDER"));
    let (wasm, folder) = (argument("wasm file")?, argument("folder")?);
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(wasm)
        .out_name("wgrnn")
        .typescript(true)
        .omit_default_module_path(false)
        .remove_name_section(true)
        .web(true)?;
    bindgen.generate(&folder)?;
    let script = Path::new(&folder).join("wgrnn.js");
    let text = std::fs::read_to_string(&script).with_context(|| script.display().to_string())?;
    std::fs::write(&script, words::in_javascript(&text)?).with_context(|| script.display().to_string())
}
