//! Each lesson, on few steps: it trains on the CPU device and on a GPU, goes on where it stopped, and refuses what it can't read.

mod caption;
mod char_lm;
mod common;
mod compose;
mod digits;
mod forecast;
mod handwriting;
#[cfg(unix)]
mod interruption;
mod pronounce;
mod sentiment;
mod speech;
mod translate;
mod voice;

/// A lesson is read from top to bottom: what grows beyond this belongs into the library.
#[test]
fn every_lesson_is_a_file_of_at_most_150_lines() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/training");
    let mut lessons = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 150, "{}: {lines} lines", path.display());
            lessons += 1;
        }
    }
    assert_eq!(lessons, 11);
}
