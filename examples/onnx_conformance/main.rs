//! Runs ONNX backend test directories, of single nodes and of whole models: a line for each, failure if any is off.
//!
//! ```sh
//! cargo run --release --example onnx_conformance
//! cargo run --release --example onnx_conformance -- FOLDER    # other ones
//! ```
//!
//! Without folders it runs the node tests of the onnx package that lie in tests/fixtures. A model that asks for what this library
//! lacks is refused with the reason, and counted apart.

mod case;
#[path = "../common/mod.rs"]
mod common;

use anyhow::Result;
use clap::Parser;
use common::Choice;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs ONNX models against the outputs that lie beside them.
#[derive(Parser)]
struct Arguments {
    /// Directories with model.onnx and test_data_set_0, or of such directories, or .tar.gz archives of them. The node tests of the
    /// onnx package by default.
    directories: Vec<PathBuf>,
    /// Where to run.
    #[arg(long, value_enum, default_value = "auto")]
    device: Choice,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let device = arguments.device.device()?;
    let unpacked = tempfile::tempdir()?;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let usual = || ["onnx", "onnx_random", "onnx_operators.tar.gz"].map(|name| fixtures.join(name)).to_vec();
    let directories = if arguments.directories.is_empty() { usual() } else { arguments.directories };
    let folders = case::find(&case::unpacked(&directories, unpacked.path())?)?;
    println!("{} cases on {}", folders.len(), device.name());
    let [mut failed, mut refused] = [0; 2];
    for folder in &folders {
        let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
        let verdict = match case::run(&device, folder) {
            Ok(comparisons) => {
                let error = comparisons.iter().map(|comparison| comparison.max_abs).fold(0.0, f64::max);
                let worst = comparisons.iter().find(|comparison| !comparison.passed());
                failed += usize::from(worst.is_some());
                match worst {
                    None => format!("ok      max error {error:.1e}"),
                    Some(worst) => format!("FAILED  {worst}"),
                }
            }
            Err(error) if case::is_refused(&error) => {
                refused += 1;
                format!("refused {}", error.root_cause())
            }
            Err(error) => {
                failed += 1;
                format!("FAILED  {error:#}")
            }
        };
        println!("{name:<40} {verdict}");
    }
    println!(
        "{} of {} passed, {refused} are refused, {failed} failed",
        folders.len() - failed - refused,
        folders.len()
    );
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
