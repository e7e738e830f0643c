//! Whole layers forward on the adapter and on the CPU device.
//!
//! `resident`: input and output stay on the device. `end to end`: from host arrays to host arrays.
//!
//! ```sh
//! cargo bench --bench sequence
//! cargo bench --bench sequence -- charlm
//! ```

mod common;

use criterion::Throughput;
use ndarray::{Array3, ArrayView3};
use std::time::SystemTime;
use wgrnn::check::Comparison;
use wgrnn::{Class, Device, Rnn, RnnWeights, SessionOptions};

/// A GPU in software would take many seconds for more than this.
const SOFTWARE_FLOP: u64 = 6_000_000_000;

fn main() {
    let start = SystemTime::now();
    let devices = common::devices();
    let mut criterion = common::criterion();
    let mut lines = Vec::new();
    for shape in common::layers() {
        let x = Array3::from_shape_fn((shape.steps, shape.batch, shape.input), |(t, n, i)| {
            ((t * 31 + n * 17 + i * 7) % 101) as f32 / 50.5 - 1.0
        });
        let rnn = |device: &Device| {
            let weights = RnnWeights::init(&shape.config(), 0).expect("the configuration is right");
            Rnn::new(device, &shape.config(), weights).expect("the weights fit")
        };
        let options = SessionOptions::new(shape.steps, shape.batch);
        let flop = rnn(&Device::cpu()).session(options.clone()).expect("the shape fits").plan().flop();
        let software = devices[0].1.report().is_some_and(|report| report.class == Class::Software);
        if software && flop > SOFTWARE_FLOP {
            println!("{}: left out, {:.1} GFLOP are too many for a GPU in software", shape.id(), flop as f64 / 1e9);
            continue;
        }
        let rnns = devices.each_ref().map(|(name, device)| (*name, device, rnn(device)));
        agree(&rnns[0].2, &rnns[1].2, x.view());

        let group_name = format!("{} resident", shape.id());
        let mut group = criterion.benchmark_group(&group_name);
        group.throughput(Throughput::Elements(flop));
        for (name, device, rnn) in &rnns {
            let session = rnn.session(options.clone()).expect("the shape fits");
            session.input().write(x.view()).expect("the input fits");
            group.bench_function(*name, |bencher| {
                bencher.iter(|| {
                    session.run().expect("the layer runs");
                    device.wait().expect("the device is there");
                });
            });
        }
        group.finish();
        lines.push((group_name, flop));

        let group_name = format!("{} end to end", shape.id());
        let mut group = criterion.benchmark_group(&group_name);
        group.throughput(Throughput::Elements(flop));
        for (name, _, rnn) in &rnns {
            group.bench_function(*name, |bencher| {
                bencher.iter(|| rnn.forward(x.view()).expect("the layer runs"));
            });
        }
        group.finish();
        lines.push((group_name, flop));
    }
    criterion.final_summary();
    common::print_table("shape", start, &lines);
}

/// A wrong layer has no speed: the two devices agree before either is timed.
fn agree(gpu: &Rnn, cpu: &Rnn, x: ArrayView3<'_, f32>) {
    let [gpu, cpu] = [gpu, cpu].map(|rnn| rnn.forward(x).expect("the layer runs").y);
    // Both are rounded sums of a few hundred to a thousand terms, through a contracting recurrence.
    let comparison = Comparison::new("gpu against cpu", gpu.view(), cpu.mapv(f64::from).view(), 1e-4);
    let comparison = comparison.expect("both have one shape");
    assert!(comparison.passed(), "{comparison}");
}
