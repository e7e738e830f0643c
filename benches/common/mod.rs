//! What both benches share: devices, and the table of ratios at the end.

#![allow(dead_code, reason = "each bench uses a part of it")]

#[path = "../../examples/bench_report/shapes.rs"]
pub mod shapes;

use criterion::Criterion;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use wgrnn::Device;

/// The shapes of recurrent layers; `bench_report` has others too.
pub fn layers() -> Vec<shapes::Shape> {
    shapes::shapes().into_iter().filter(|shape| shape.block().is_none()).collect()
}

/// The adapter and the CPU, as (name in ids, device).
pub fn devices() -> [(&'static str, Device); 2] {
    let gpu = Device::gpu().unwrap_or_else(|error| panic!("benches compare an adapter with the CPU: {error}"));
    println!("gpu: {}\ncpu: {} threads", gpu.report().map(ToString::to_string).unwrap_or_default(), threads());
    [("gpu", gpu), ("cpu", Device::cpu())]
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Few samples: a software adapter takes a second for some shapes.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args()
}

/// Seconds of criterion's median for an id; none where this run has not measured it.
pub fn median(start: SystemTime, group: &str, id: &str) -> Option<f64> {
    let usual = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(usual, PathBuf::from);
    let file = target.join("criterion").join(group).join(id).join("new/estimates.json");
    // A filtered run leaves older files alone.
    file.metadata().and_then(|metadata| metadata.modified()).ok().filter(|&modified| modified >= start)?;
    let estimates: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    Some(estimates["median"]["point_estimate"].as_f64()? / 1e9)
}

/// One line for each group: both medians, FLOP/s, and how many times as long as the CPU the GPU takes.
pub fn print_table(title: &str, start: SystemTime, lines: &[(String, u64)]) {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!("\n| {title} | gpu ms | cpu ms | gpu GFLOP/s | cpu GFLOP/s | gpu / cpu time |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for (group, flop) in lines {
        if let (Some(gpu), Some(cpu)) = (median(start, group, "gpu"), median(start, group, "cpu")) {
            let rate = |seconds: f64| *flop as f64 / seconds / 1e9;
            println!(
                "| {group} | {:.3} | {:.3} | {:.2} | {:.2} | {:.2} |",
                1e3 * gpu,
                1e3 * cpu,
                rate(gpu),
                rate(cpu),
                gpu / cpu
            );
        }
    }
}
