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
use ndarray::{Array3, ArrayView3};
use std::process::ExitCode;
use wgrnn::kernels::Kernel;
use wgrnn::{
    Autotune, Cell, Device, Direction, GpuOptions, Lengths, Reset, Rnn, RnnCall, RnnConfig, RnnWeights, Schedule,
    adapters, check,
};

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
    println!("{} adapters, the best first:", found.len());
    for adapter in &found {
        println!("{adapter}");
    }
    let base = GpuOptions { autotune: arguments.autotune.then(Autotune::default), ..GpuOptions::default() };
    let options: Vec<_> = if arguments.all {
        (0..found.len()).map(|index| GpuOptions { index: Some(index), ..base.clone() }).collect()
    } else {
        vec![GpuOptions { adapter: arguments.adapter, ..base }]
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
            format!("{:?}", Schedule::Auto.resolve(device, &config, 100, batch)).to_lowercase()
        });
        println!("{:<18} {:>16} {:>16} {:>16}", cell.name(), chosen[0], chosen[1], chosen[2]);
    }
    println!("\n{:<28} {:>6} {:>12} {:>12}  verdict", "kernel against its twin", "cases", "max error", "tolerance");
    let mut right = true;
    for kernel in Kernel::ALL {
        right &= examine_kernel(device, kernel)?;
    }
    println!("\n{:<28} {:>6} {:>12} {:>12}  verdict", "layer against textbook", "cases", "max error", "tolerance");
    for (name, config) in layers() {
        right &= examine_layer(device, config, name)?;
    }
    println!("\n{:<28} {:>6} {:>12} {:>12}  verdict", "gradients against twins", "cases", "max error", "tolerance");
    for (name, config) in layers() {
        right &= examine_gradients(device, config, name)?;
    }
    println!("\n{}: {}", device.name(), if right { "all is right" } else { "NOT RIGHT, do not trust its results" });
    Ok(right)
}

/// Every cell, and the forms of layers that kernels of their own or other tensors are for.
fn layers() -> Vec<(&'static str, RnnConfig)> {
    let new = |cell| RnnConfig::new(cell, 20, 33);
    let gru = Cell::Gru(Reset::After);
    let others = [
        ("lstm with projection", new(Cell::Lstm).projection(12)),
        ("lstm with norms", new(Cell::Lstm).layer_norm(true)),
        ("gru with norms", new(gru).layer_norm(true)),
        ("slstm of three heads", new(Cell::Slstm).heads(3)),
        ("lstm with zoneout", new(Cell::Lstm).zoneout(0.2, 0.1)),
        ("gru with recurrent dropout", new(gru).recurrent_dropout(0.25)),
    ];
    Cell::ALL.into_iter().map(|cell| (cell.name(), new(cell))).chain(others).collect()
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

fn examine_layer(device: &Device, config: RnnConfig, name: &str) -> Result<bool> {
    let config = config.layers(2).direction(Direction::Bidirectional);
    let rnn = Rnn::new(device, &config, RnnWeights::init(&config, 0)?)?;
    report(name, |x, call| rnn.check(x, None, call))
}

fn examine_gradients(device: &Device, config: RnnConfig, name: &str) -> Result<bool> {
    let config = config.layers(2).direction(Direction::Bidirectional);
    let rnn = Rnn::trainable(device, &config, &RnnWeights::init(&config, 0)?)?;
    report(name, |x, call| rnn.check_gradients(x, call))
}

/// Two layers, both directions, lengths that differ, by every schedule.
fn report(
    name: &str,
    check: impl Fn(ArrayView3<'_, f32>, &RnnCall) -> wgrnn::Result<check::LayerReport>,
) -> Result<bool> {
    let x = Array3::from_shape_fn((6, 3, 20), |(t, n, i)| ((t * 31 + n * 17 + i * 7) % 23) as f32 / 11.5 - 1.0);
    let mut reports = Vec::new();
    for schedule in [Schedule::Step, Schedule::Sequence, Schedule::Wavefront] {
        let call = RnnCall { lengths: Lengths::Fixed(vec![6, 2, 5]), schedule, ..RnnCall::default() };
        reports.extend(check(x.view(), &call)?.comparisons);
    }
    let passed = reports.iter().all(check::Comparison::passed);
    let worst = reports.iter().max_by(|a, b| a.severity().total_cmp(&b.severity()));
    let (error, tolerance) = worst.map_or((0.0, 0.0), |worst| (worst.max_abs, worst.tolerance));
    row(name, 3, error, tolerance, passed);
    for failure in reports.iter().filter(|report| !report.passed()) {
        println!("  {failure}");
    }
    Ok(passed)
}

fn row(name: &str, cases: usize, error: f64, tolerance: f64, passed: bool) {
    let verdict = if passed { "ok" } else { "FAILED" };
    println!("{name:<26} {cases:>6} {error:>12.2e} {tolerance:>12.2e}  {verdict}");
}
