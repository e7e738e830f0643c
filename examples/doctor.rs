//! Is this GPU right? Lists adapters, then checks every kernel and every cell on the one chosen.
//!
//! ```sh
//! cargo run --release --example doctor
//! cargo run --release --example doctor -- --adapter radeon
//! cargo run --release --example doctor -- --all
//! cargo run --release --example doctor -- --autotune
//! ```

use anyhow::{Result, bail};
use clap::Parser;
use std::process::ExitCode;
use wgrnn::check::LayerReport;
use wgrnn::kernels::Kernel;
use wgrnn::{Autotune, Cell, Device, GpuOptions, RnnConfig, Schedule, adapters, check};

/// Lists adapters, and checks every kernel and cell on them.
#[derive(Parser)]
struct Arguments {
    /// Part of the name of the adapter to check; else the best one.
    #[arg(long, conflicts_with = "all")]
    adapter: Option<String>,
    /// Check every adapter.
    #[arg(long)]
    all: bool,
    /// Measure first which tiles are fastest, or take what was found before, and check those.
    #[arg(long)]
    autotune: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let found = adapters();
    if found.is_empty() {
        bail!("there is no GPU adapter: on Linux, scripts/setup.sh installs a software Vulkan driver");
    }
    match found.len() {
        1 => println!("1 adapter:"),
        count => println!("{count} adapters, the best first:"),
    }
    for adapter in &found {
        println!("{adapter}");
    }
    let base = GpuOptions::default().autotune(arguments.autotune.then(Autotune::default));
    let options: Vec<_> = if arguments.all {
        (0..found.len()).map(|index| base.clone().index(index)).collect()
    } else {
        vec![match arguments.adapter {
            Some(name) => base.adapter(name),
            None => base,
        }]
    };
    let mut right = true;
    for options in options {
        // One that fails keeps no other from being checked.
        right &= match Device::gpu_with(&options).map_err(Into::into).and_then(|device| examine(&device)) {
            Ok(right) => right,
            Err(error) => {
                println!("\nFAILED: {error:#}");
                false
            }
        };
    }
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks one adapter; whether all is right.
fn examine(device: &Device) -> Result<bool> {
    println!("\n{}; workgroups seen to run side by side: {}", device.name(), device.side_by_side());
    if let Some(tuning) = device.tuning() {
        println!("\n{tuning}");
    }
    println!("\nschedules chosen for a layer of H units and N sequences of 100 steps:");
    println!("{:<18} {:>16} {:>16} {:>16}", "cell", "H 32, N 1", "H 128, N 1", "H 512, N 16");
    for cell in Cell::ALL {
        let chosen = [(32, 1), (128, 1), (512, 16)].map(|(hidden, batch)| {
            let config = RnnConfig::new(cell, hidden, hidden);
            Schedule::Auto.resolve(device, &config, 100, batch).name()
        });
        println!("{:<18} {:>16} {:>16} {:>16}", cell.name(), chosen[0], chosen[1], chosen[2]);
    }
    println!("\n{:<28} {:>6} {:>12} {:>12}  verdict", "kernel against its twin", "cases", "max error", "tolerance");
    let mut right = true;
    for kernel in Kernel::ALL {
        right &= examine_kernel(device, kernel)?;
    }
    println!("\n{:<28} {:>6} {:>12} {:>12}  verdict", "layer against textbook", "cases", "max error", "tolerance");
    for (name, config) in check::layers() {
        right &= examine_layer(name, &check::layer(device, &config)?);
    }
    println!("\n{:<28} {:>6} {:>12} {:>12}  verdict", "gradients against twins", "cases", "max error", "tolerance");
    for (name, config) in check::layers() {
        right &= examine_layer(name, &check::gradients(device, &config)?);
    }
    println!("\n{}: {}", device.name(), if right { "all is right" } else { "NOT RIGHT, do not trust its results" });
    Ok(right)
}

fn examine_kernel(device: &Device, kernel: Kernel) -> Result<bool> {
    let report = check::kernel(device, kernel)?;
    let (error, tolerance) = report.worst.as_ref().map_or((0.0, 0.0), |worst| (worst.max_abs, worst.tolerance));
    row(report.kernel, report.cases, error, tolerance, report.passed());
    if let Some((_, reason)) = report.left_out.first() {
        println!("  {} more cases can't run here: {reason}", report.left_out.len());
    }
    for failure in &report.failures {
        println!("  {failure}");
    }
    Ok(report.passed())
}

fn examine_layer(name: &str, report: &LayerReport) -> bool {
    let (error, tolerance) = report.worst().map_or((0.0, 0.0), |worst| (worst.max_abs, worst.tolerance));
    row(name, report.comparisons.len(), error, tolerance, report.passed());
    for failure in report.comparisons.iter().filter(|comparison| !comparison.passed()) {
        println!("  {failure}");
    }
    match &report.first_difference {
        Some(difference) => println!("  first difference: {difference}"),
        None if report.passed() => {}
        None => println!("  every dispatch equals its twin: the fault is in the plan"),
    }
    report.passed()
}

fn row(name: &str, cases: usize, error: f64, tolerance: f64, passed: bool) {
    let verdict = if passed { "ok" } else { "FAILED" };
    println!("{name:<26} {cases:>6} {error:>12.2e} {tolerance:>12.2e}  {verdict}");
}
