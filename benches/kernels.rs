//! Every kernel on the adapter and by its CPU twin, at sizes of a character model.
//!
//! ```sh
//! cargo bench --bench kernels
//! ```

mod common;

use criterion::Throughput;
use std::time::SystemTime;
use wgrnn::check;
use wgrnn::kernels::Kernel;

fn main() {
    let start = SystemTime::now();
    let devices = common::devices();
    let mut criterion = common::criterion();
    let mut lines = Vec::new();
    for kernel in Kernel::ALL {
        // Each device has its own packing; all else is the same.
        let [on_gpu, on_cpu] = devices.each_ref().map(|(_, device)| kernel.bench(device));
        for (on_gpu, on_cpu) in on_gpu.iter().zip(&on_cpu) {
            // A wrong kernel has no speed.
            for comparison in check::compare_case(&devices[0].1, on_gpu).expect("the case runs") {
                assert!(comparison.passed(), "{comparison}");
            }
            let group_name = on_gpu.name.replace(['/', ','], " ");
            let mut group = criterion.benchmark_group(&group_name);
            // 2 · rows · columns · terms for products; a copy has none.
            if on_gpu.flop() > 0 {
                group.throughput(Throughput::Elements(on_gpu.flop()));
            }
            for ((name, device), case) in devices.iter().zip([on_gpu, on_cpu]) {
                let program = case.program(device).expect("the case runs");
                group.bench_function(*name, |bencher| {
                    bencher.iter(|| {
                        program.run().expect("the kernel runs");
                        device.wait().expect("the device is there");
                    });
                });
            }
            group.finish();
            lines.push((group_name, on_gpu.flop()));
        }
    }
    criterion.final_summary();
    common::print_table("kernel", start, &lines);
}
