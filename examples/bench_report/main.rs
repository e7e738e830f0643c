//! How fast this library is on this machine, as JSON: each shape of `shapes.json` on a device, each kernel by
//! timestamp queries, beside what the device can do at most, measured in the same run. `attention`, `ctc` and `residual`
//! are blocks of models on a tape; their training step has the optimiser's part too.
//!
//! ```sh
//! cargo run --release --example bench_report
//! cargo run --release --example bench_report -- --device gpu --shapes "charlm lstm" --training --out report.json
//! cargo run --release --example bench_report -- models DIR    # whole ONNX models; see scripts/make_onnx_models.py
//! ```
//!
//! The binary needs nothing but a driver: it can be carried to a machine without a toolchain. `serve` runs layers for
//! `benches/peers`, which compares libraries.

mod blocks;
mod ceiling;
mod layer;
mod measure;
mod models;
mod serve;
mod shapes;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};
use wgrnn::{Class, Device, Schedule};

/// A GPU in software would take many seconds for more than this.
const SOFTWARE_FLOP: f64 = 6e9;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Devices to measure.
    #[arg(long, value_enum, num_args = 1.., default_values = ["gpu", "cpu"], global = true)]
    device: Vec<Kind>,
    /// Shapes, such as "charlm lstm"; all that the device can run in reasonable time by default.
    #[arg(long, num_args = 1..)]
    shapes: Vec<String>,
    /// Forward and backward passes too.
    #[arg(long)]
    training: bool,
    /// Weights and the input part of the gates in half precision.
    #[arg(long)]
    half: bool,
    /// How steps become dispatches: what suits the device by default.
    #[arg(long, value_parser = schedule_of, default_value = "auto")]
    schedule: Schedule,
    /// Seconds for each measurement.
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true, global = true)]
    seconds: f64,
    /// Where to write; else to the standard output.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run layers on request: JSON lines in, JSON lines out.
    Serve,
    /// Time whole ONNX models: reading the file, making the plan, running it from arrays to arrays.
    Models {
        /// Folders of directories with model.onnx and test_data_set_0.
        #[arg(required = true)]
        directories: Vec<PathBuf>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Gpu,
    Cpu,
}

/// Reads the name of a schedule.
fn schedule_of(name: &str) -> Result<Schedule, String> {
    let found = Schedule::ALL.into_iter().find(|schedule| schedule.name() == name);
    found.ok_or_else(|| format!("expected one of {}", Schedule::ALL.map(Schedule::name).join(", ")))
}

impl Kind {
    fn device(self) -> wgrnn::Result<Device> {
        match self {
            Self::Gpu => Device::gpu(),
            Self::Cpu => Ok(Device::cpu()),
        }
    }
}

/// How to measure, and for how long.
struct Timing {
    schedule: Schedule,
    seconds: f64,
    least: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Command::Serve) = arguments.command {
        let [kind] = arguments.device[..] else { bail!("serve needs one --device") };
        return serve::serve(&kind.device()?, &mut std::io::stdout().lock());
    }
    let seconds = arguments.seconds;
    ensure!(seconds.is_finite() && seconds >= 0.0, "--seconds {seconds}: expected a number from 0");
    if let Some(Command::Models { directories }) = &arguments.command {
        let devices = arguments.device.iter().map(|kind| Ok(kind.device()?)).collect::<Result<Vec<_>>>()?;
        return models::report(&devices, directories, seconds);
    }
    let mut all = shapes::shapes();
    all.iter_mut().for_each(|shape| shape.half = arguments.half);
    if let Some(unknown) = arguments.shapes.iter().find(|name| !all.iter().any(|shape| shape.id() == **name)) {
        let ids: Vec<_> = all.iter().map(shapes::Shape::id).collect();
        bail!("no shape '{unknown}': there is {}", ids.join(", "));
    }
    if let Some(path) = &arguments.out {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        ensure!(folder.is_none_or(Path::is_dir) && !path.is_dir(), "--out {}: no place for a file", path.display());
    }
    let reports = arguments.device.iter().map(|kind| report(*kind, &all, &arguments)).collect::<Result<Vec<_>>>()?;
    let text = serde_json::to_string_pretty(&json!({ "wgrnn": env!("CARGO_PKG_VERSION"), "devices": reports }))?;
    match &arguments.out {
        None => println!("{text}"),
        Some(path) => std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?,
    }
    Ok(())
}

fn report(kind: Kind, all: &[shapes::Shape], arguments: &Arguments) -> Result<serde_json::Value> {
    let device = kind.device()?;
    let timing = Timing { schedule: arguments.schedule, seconds: arguments.seconds, least: 3 };
    let ceiling = ceiling::measure(&device)?;
    // The CPU device has none.
    let trip = match device.is_cpu() {
        true => String::new(),
        false => format!(", {:.1} us for an empty round trip", 1e6 * ceiling.round_trip_seconds),
    };
    eprintln!(
        "{}: {:.1} GFLOP/s of multiply-adds, {:.1} GB/s copied{trip}",
        device.name(),
        ceiling.fma_flops / 1e9,
        ceiling.copy_bytes_per_second / 1e9,
    );
    let addition = measure::addition(&device, &ceiling, &timing)?;
    let percent = |name: &str| 100.0 * addition[name].as_f64().unwrap_or(f64::NAN);
    eprintln!(
        "addition of arrays: {:.0} % of the copy, {:.0} % of a copy by a shader",
        percent("fraction_of_copy"),
        percent("fraction_of_shader_copy"),
    );
    let class = device.report().map_or(Class::Cpu, |report| report.class);
    let mut measured = Vec::new();
    for shape in all {
        let asked = arguments.shapes.contains(&shape.id());
        let large = match class {
            Class::Software => shape.flop() > SOFTWARE_FLOP,
            Class::Cpu => shape.flop() > 10.0 * SOFTWARE_FLOP,
            Class::Integrated | Class::Discrete => false,
            other => bail!("no limit is set for machines of class {other:?}"),
        };
        if !asked && (large || !arguments.shapes.is_empty()) {
            continue;
        }
        let of_shape = measure::shape(&device, shape, &ceiling, &timing, arguments.training)?;
        let line = |part: &str| {
            let of = &of_shape[part];
            let number = |name: &str| of[name].as_f64().unwrap_or(f64::NAN);
            format!(
                "{part} {:.3} ms, {:.1} GFLOP/s, {:.0} % of the ceiling",
                1e3 * number("median_seconds"),
                number("flops") / 1e9,
                100.0 * number("fraction_of_fma")
            )
        };
        let trained = if arguments.training { format!("; {}", line("training")) } else { String::new() };
        eprintln!("{}: {}{trained}", shape.id(), line("forward"));
        measured.push(of_shape);
    }
    let adapter = device.report();
    Ok(json!({
        "adapter": device.name(),
        "driver": adapter.map(|report| &report.driver),
        "backend": adapter.map(|report| &report.backend),
        "class": format!("{class:?}").to_lowercase(),
        "threads": std::thread::available_parallelism().map_or(1, usize::from),
        "ceiling": ceiling,
        "addition": addition,
        "shapes": measured,
    }))
}
