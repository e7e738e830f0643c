//! The fuzz targets on stable Rust: inputs from a fixed seed, for a minute in all. What fails is kept in `target/fuzz`, for
//! `cargo fuzz run` to look at.

#[path = "../fuzz/src/lib.rs"]
mod targets;

use rand_mt::Mt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// One target's share of the time.
const SHARE: Duration = Duration::from_secs(10);

/// Runs a target on inputs of up to so many bytes; it tells whether an input was accepted.
fn fuzz(name: &str, most: usize, target: impl Fn(&[u8]) -> bool) {
    let mut generator = Mt::new(0x6675_7a7a);
    let (start, mut tried, mut accepted) = (Instant::now(), 0_u64, 0_u64);
    while start.elapsed() < SHARE {
        let length = 16 + generator.next_u32() as usize % most;
        let bytes: Vec<u8> = (0..length).map(|_| (generator.next_u32() >> 24) as u8).collect();
        match catch_unwind(AssertUnwindSafe(|| target(&bytes))) {
            Ok(is_accepted) => accepted += u64::from(is_accepted),
            Err(_) => {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz");
                let path = folder.join(format!("{name}-{tried}"));
                std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, &bytes)).unwrap();
                panic!("{name}: input {tried} fails; it is kept in {}", path.display());
            }
        }
        tried += 1;
    }
    println!("{name}: {tried} inputs, {accepted} of them accepted, in {:.0} s", start.elapsed().as_secs_f64());
    // A target that refuses all, or takes all, tests nothing.
    assert!(accepted > 0 && tried > 10, "{name}: {accepted} of {tried} accepted");
}

#[test]
fn damaged_weights_are_refused_or_whole() {
    fuzz("safetensors", 256, targets::files::safetensors);
}

#[test]
fn damaged_files_of_other_frameworks_are_refused_or_whole() {
    fuzz("weights", 256, targets::files::weights);
}

#[test]
fn damaged_models_are_refused_or_run() {
    fuzz("onnx", 256, targets::files::onnx);
}

#[test]
fn damaged_models_are_refused_or_run_as_a_whole() {
    fuzz("graph", 256, targets::files::graph);
}

#[test]
fn damaged_checkpoints_change_nothing_or_go_on() {
    fuzz("checkpoint", 256, targets::files::checkpoint);
}

#[test]
fn calls_end_as_predicted_on_devices_that_mix_and_get_lost() {
    fuzz("calls", 2048, |bytes| targets::calls::calls(bytes) > 4);
}
