//! One shape on one device: how long, and how close to the limit.

use super::Timing;
use super::blocks::{self, Programs};
use super::ceiling::Ceiling;
use super::layer::{Training, forward, training};
use super::shapes::{Block, Shape};
use anyhow::Result;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use wgrnn::{Device, Profile};

pub fn shape(device: &Device, shape: &Shape, ceiling: &Ceiling, timing: &Timing, trained: bool) -> Result<Value> {
    if let Some(block) = shape.block() {
        return of_block(device, shape, block, ceiling, timing, trained);
    }
    let mut report =
        json!({ "shape": shape, "id": shape.id(), "forward": of_forward(device, shape, ceiling, timing)? });
    if trained {
        report["training"] = of_training(device, shape, ceiling, timing)?;
    }
    Ok(report)
}

fn of_forward(device: &Device, shape: &Shape, ceiling: &Ceiling, timing: &Timing) -> Result<Value> {
    let session = forward(device, shape, timing.schedule, None)?;
    let plan = session.plan();
    let times = timing.repeat(|| Ok(session.run()?), || Ok(device.wait()?))?;
    let mut report = of_times(&times, plan.flop(), plan.bytes(), ceiling);
    report["host_seconds_per_step"] = json!(times.host / shape.steps as f64);
    report["schedule"] = json!(schedule(device, shape, timing.schedule));
    report["workspace_bytes"] = json!(plan.workspace_bytes());
    report["kernels"] = kernels(session.profile().ok().as_ref(), ceiling);
    Ok(report)
}

fn of_training(device: &Device, shape: &Shape, ceiling: &Ceiling, timing: &Timing) -> Result<Value> {
    let Training { training, .. } = training(device, shape, timing.schedule, None)?;
    let run = || -> Result<()> {
        training.forward()?;
        Ok(training.backward()?)
    };
    let times = timing.repeat(run, || Ok(device.wait()?))?;
    let [flop, bytes] = [wgrnn::Plan::flop, wgrnn::Plan::bytes].map(|of| training.plans().into_iter().map(of).sum());
    let mut report = of_times(&times, flop, bytes, ceiling);
    report["reserve_bytes"] = json!(training.reserve_bytes());
    let profiles = training.profile().ok();
    report["kernels"] = json!({
        "forward": kernels(profiles.as_ref().map(|both| &both[0]), ceiling),
        "backward": kernels(profiles.as_ref().map(|both| &both[1]), ceiling),
    });
    Ok(report)
}

fn of_block(
    device: &Device,
    shape: &Shape,
    block: Block,
    ceiling: &Ceiling,
    timing: &Timing,
    trained: bool,
) -> Result<Value> {
    let Programs { evaluation, mut trainer, .. } = Programs::new(device, shape, block, None)?;
    let plan = evaluation.program().plan();
    let times = timing.repeat(|| evaluation.run().map(|_| ()).map_err(Into::into), || Ok(device.wait()?))?;
    let mut report = json!({ "shape": shape, "id": shape.id() });
    report["forward"] = of_times(&times, plan.flop(), plan.bytes(), ceiling);
    report["forward"]["workspace_bytes"] = json!(plan.workspace_bytes());
    if trained {
        let times = timing.repeat(|| Ok(trainer.step()?), || Ok(device.wait()?))?;
        let plan = trainer.plan();
        report["training"] = of_times(&times, plan.flop(), plan.bytes(), ceiling);
        report["training"]["workspace_bytes"] = json!(plan.workspace_bytes());
        report["training"]["reserve_bytes"] = json!(plan.reserve_bytes());
    }
    Ok(report)
}

/// The bytes a second that an addition of large arrays moves, beside a copy's.
pub fn addition(device: &Device, ceiling: &Ceiling, timing: &Timing) -> Result<Value> {
    let (program, bytes) = blocks::addition(device)?;
    let times = timing.repeat(|| Ok(program.run()?), || Ok(device.wait()?))?;
    let rate = bytes as f64 / times.min;
    Ok(json!({
        "bytes_per_second": rate,
        // A copy's is its fastest run too.
        "fraction_of_copy": rate / ceiling.copy_bytes_per_second,
        "fraction_of_shader_copy": rate / ceiling.shader_copy_bytes_per_second,
    }))
}

fn of_times(times: &Times, flop: u64, bytes: u64, ceiling: &Ceiling) -> Value {
    json!({
        "median_seconds": times.median,
        "min_seconds": times.min,
        "runs": times.runs,
        "host_seconds": times.host,
        "flop": flop,
        "bytes": bytes,
        "flops": flop as f64 / times.median,
        "fraction_of_fma": flop as f64 / times.median / ceiling.fma_flops,
        // Over 1 where caches hold what moves again and again.
        "fraction_of_copy": bytes as f64 / times.median / ceiling.copy_bytes_per_second,
    })
}

fn kernels(profile: Option<&Profile>, ceiling: &Ceiling) -> Value {
    let Some(profile) = profile else { return json!("the adapter has no timestamp queries") };
    let kernel = |kernel: &wgrnn::KernelTime| {
        json!({
            "kernel": kernel.variant.to_string(),
            "dispatches": kernel.dispatches,
            "seconds": kernel.seconds,
            "flop": kernel.flop,
            "flops": kernel.flop as f64 / kernel.seconds.max(f64::MIN_POSITIVE),
            "fraction_of_fma": kernel.flop as f64 / kernel.seconds.max(f64::MIN_POSITIVE) / ceiling.fma_flops,
        })
    };
    profile.kernels.iter().map(kernel).collect()
}

/// `step`, `sequence` or `grid`.
fn schedule(device: &Device, shape: &Shape, schedule: wgrnn::Schedule) -> &'static str {
    schedule.resolve(device, &shape.config(), shape.steps, shape.batch).name()
}

/// Of the runs of one thing.
pub struct Times {
    pub median: f64,
    pub min: f64,
    pub runs: usize,
    /// Median of the time until the call returned: on a GPU, what the host does.
    pub host: f64,
}

impl Timing {
    /// Runs a call over and over, each time until `wait` returns.
    pub fn repeat(&self, mut call: impl FnMut() -> Result<()>, mut wait: impl FnMut() -> Result<()>) -> Result<Times> {
        let mut once = || -> Result<(f64, f64)> {
            let start = Instant::now();
            call()?;
            let host = start.elapsed().as_secs_f64();
            wait()?;
            Ok((start.elapsed().as_secs_f64(), host))
        };
        once()?;
        let (mut all, mut hosts) = (Vec::new(), Vec::new());
        let start = Instant::now();
        while all.len() < self.least || start.elapsed() < Duration::from_secs_f64(self.seconds) {
            let (seconds, host) = once()?;
            all.push(seconds);
            hosts.push(host);
        }
        let median = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let (median, host) = (median(&mut all), median(&mut hosts));
        Ok(Times { median, min: all[0], runs: all.len(), host })
    }
}
