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
use wgrnn::{Activation, Cell, Class, Device, Direction, Reset, Rnn, RnnConfig, RnnWeights, SessionOptions};

/// A shape that people run.
struct Shape {
    name: &'static str,
    config: RnnConfig,
    batch: usize,
    steps: usize,
}

fn shapes() -> Vec<Shape> {
    let shape = |name, config, batch, steps| Shape { name, config, batch, steps };
    let lstm = |input, hidden| RnnConfig::new(Cell::Lstm, input, hidden);
    vec![
        // One step of a voice-activity detector, and a short utterance.
        shape("stream lstm", lstm(128, 128), 1, 1),
        shape("vad lstm", lstm(128, 128), 1, 100),
        // A character model.
        shape("charlm lstm", lstm(128, 256), 32, 64),
        shape("charlm gru", RnnConfig::new(Cell::Gru(Reset::After), 128, 256), 32, 64),
        shape("charlm elman", RnnConfig::new(Cell::Elman(Activation::Tanh), 128, 256), 32, 64),
        // Two shapes of DeepBench.
        shape("ds512 lstm", lstm(512, 512), 16, 25),
        shape("ds1024 lstm", lstm(1024, 1024), 64, 50),
        // A speaker encoder over many windows.
        shape("embed lstm", lstm(40, 256).layers(3), 64, 160),
        // A tagger.
        shape("bi lstm", lstm(256, 256).layers(2).direction(Direction::Bidirectional), 8, 128),
        // The FlashRNN paper's shape.
        shape("flash lstm", lstm(768, 768), 16, 1024),
    ]
}

/// A GPU in software would take many seconds for more than this.
const SOFTWARE_FLOP: u64 = 6_000_000_000;

fn main() {
    let start = SystemTime::now();
    let devices = common::devices();
    let mut criterion = common::criterion();
    let mut lines = Vec::new();
    for shape in shapes() {
        let x = Array3::from_shape_fn((shape.steps, shape.batch, shape.config.input_size()), |(t, n, i)| {
            ((t * 31 + n * 17 + i * 7) % 101) as f32 / 50.5 - 1.0
        });
        let rnn = |device: &Device| {
            let weights = RnnWeights::init(&shape.config, 0).expect("the configuration is right");
            Rnn::new(device, &shape.config, weights).expect("the weights fit")
        };
        let options = SessionOptions::new(shape.steps, shape.batch);
        let flop = rnn(&Device::cpu()).session(options.clone()).expect("the shape fits").plan().flop();
        let software = devices[0].1.report().is_some_and(|report| report.class == Class::Software);
        if software && flop > SOFTWARE_FLOP {
            println!("{}: left out, {:.1} GFLOP are too many for a GPU in software", shape.name, flop as f64 / 1e9);
            continue;
        }
        let rnns = devices.each_ref().map(|(name, device)| (*name, device, rnn(device)));
        agree(&rnns[0].2, &rnns[1].2, x.view());

        let group_name = format!("{} resident", shape.name);
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

        let group_name = format!("{} end to end", shape.name);
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
