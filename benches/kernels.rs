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
        for case in kernel.bench(&devices[0].1) {
            // A wrong kernel has no speed.
            for comparison in check::compare_case(&devices[0].1, &case).expect("the case runs") {
                assert!(comparison.passed(), "{comparison}");
            }
            let group_name = case.name.replace(['/', ','], " ");
            let mut group = criterion.benchmark_group(&group_name);
            // 2 · rows · columns · terms for products; a copy has none.
            if case.flop() > 0 {
                group.throughput(Throughput::Elements(case.flop()));
            }
            for (name, device) in &devices {
                let program = case.program(device).expect("the case runs");
                group.bench_function(*name, |bencher| {
                    bencher.iter(|| {
                        program.run().expect("the kernel runs");
                        device.wait().expect("the device is there");
                    });
                });
            }
            group.finish();
            lines.push((group_name, case.flop()));
        }
    }
    criterion.final_summary();
    common::print_table("kernel", start, &lines);
}
