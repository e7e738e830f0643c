//! What the examples say to whoever calls them wrongly: one clear line, and no number that is none.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The examples that train.
const LESSONS: [&str; 11] = [
    "caption",
    "char_lm",
    "compose",
    "digits",
    "forecast",
    "handwriting",
    "pronounce",
    "sentiment",
    "speech",
    "translate",
    "voice",
];

/// The examples lie beside this test's folder; cargo makes them with the tests, unless only some tests are asked for.
fn example(name: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let profile = exe.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !path.is_file() {
        let name_of_profile = match profile.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--example", name, "--profile", name_of_profile]);
        assert!(cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).status().unwrap().success());
    }
    path
}

/// Runs an example in a folder.
fn run(folder: &Path, name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(example(name));
    command.args(arguments).current_dir(folder).env_remove("RUST_BACKTRACE").env_remove("WGPU_ADAPTER_NAME");
    command.output().unwrap()
}

/// A folder with some bad files.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("empty.wav", b"");
    write("empty.txt", b"");
    write("bytes.txt", b"a\xff\xfeb");
    write("text.txt", "to be, or not to be: that is the question. ".repeat(60).as_bytes());
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    folder
}

fn repository(path: &str) -> String {
    format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))
}

/// What it printed: no panic, no number that is none, and nothing said twice.
fn clear(output: &Output) -> String {
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    for silly in ["panicked", "NaN", "-0 ", "-0.0", " inf ", "backtrace"] {
        assert!(!said.contains(silly), "{silly}: {said}");
    }
    for told in ["No such file", "Is a directory", "File exists", "cut off"] {
        assert!(said.matches(told).count() <= 1, "told twice: {said}");
    }
    said
}

/// Each is an error that has this part.
fn all_refused(cases: &[(&str, &[&str], &str)]) {
    let folder = folder();
    for (name, arguments, part) in cases {
        let output = run(folder.path(), name, arguments);
        let said = clear(&output);
        assert!(!output.status.success() && said.contains(part), "{name} {arguments:?} lacks '{part}': {said}");
    }
}

#[test]
fn files_that_can_not_be_read_or_written_are_named_once() {
    let noisy = &*repository("examples/audio/denoise/noisy.wav");
    all_refused(&[
        ("vad", &["nope.wav"], "error: nope.wav: No such file"),
        ("vad", &["empty.wav"], "error: empty.wav: it is no WAV file"),
        ("vad", &["text.txt"], "error: text.txt: "),
        ("vad", &["--plot", "x.svg", "nope.wav"], "--plot x.svg: expected a folder"),
        ("vad", &["--plot", "empty.txt", "nope.wav"], "--plot empty.txt"),
        ("g2p", &["--file", "empty.txt"], "there are no words"),
        ("g2p", &["--file", "bytes.txt"], "valid UTF-8"),
        ("g2p", &["--file", "nope.txt"], "No such file"),
        ("char_lm", &["nope.txt"], "No such file"),
        ("char_lm", &["bytes.txt"], "valid UTF-8"),
        ("char_lm", &["empty.txt"], "too short: 0 characters"),
        ("char_lm", &["--resume", "--save", "nope"], "nope: No such file"),
        ("char_lm", &["--save", "nowhere/x"], "nowhere/x: there is no folder nowhere"),
        ("char_lm", &["--save", "folder"], "folder: expected a file's name"),
        ("char_lm", &["--plot", "losses.svg"], "expected a folder"),
        ("pronounce", &["--save", "nope", "--resume"], "nope: No such file"),
        ("denoise", &[noisy, "folder"], "a file can't be written over a folder"),
        ("denoise", &[noisy, "nowhere/o.wav"], "there is no folder nowhere"),
        ("denoise", &["nope.wav", "o.wav"], "No such file"),
        ("speakers", &["--weights", "nope", "empty.wav", "empty.wav"], "No such file"),
        ("onnx_conformance", &["folder"], "no model.onnx"),
    ]);
}

#[test]
fn options_that_can_not_be_are_named() {
    let huge = "18446744073709551615";
    all_refused(&[
        ("vad", &[], "<FILES>"),
        ("g2p", &[""], "an empty word"),
        ("g2p", &["123"], "'123' can't be pronounced: the network knows the letters a to z, not '1', '2', '3'"),
        ("char_lm", &["--steps", "0"], "0 is not in 1.."),
        ("char_lm", &["--hidden", "0"], "hidden size"),
        ("char_lm", &["--hidden", huge], "hidden size"),
        ("char_lm", &["--layers", "0"], "layers"),
        ("char_lm", &["--rate", "-1"], "learning rate"),
        ("char_lm", &["--batch", "0"], "batch and length must be at least 1"),
        ("char_lm", &["--length", "0"], "batch and length must be at least 1"),
        ("char_lm", &["--batch", huge], "need 1180591620717411303361"),
        ("char_lm", &["--temperature", "-1"], "--temperature must be at least 0"),
        ("sentiment", &["--steps", "0"], "0 is not in 1.."),
        ("sentiment", &["--text", "你好"], "--text '你好': none of its words"),
        ("forecast", &["--steps", "0"], "0 is not in 1.."),
        ("pronounce", &["--steps", "0"], "0 is not in 1.."),
        ("attention", &["--steps", "0"], "0 is not in 1.."),
        ("pronounce", &["--word", ""], "expected letters from a to z"),
        ("bench_report", &["--seconds", "-1", "--device", "cpu"], "--seconds -1"),
        ("bench_report", &["--shapes", "none", "--device", "cpu"], "no shape 'none'"),
        ("doctor", &["--adapter", "no such adapter"], "no GPU adapter named 'no such adapter'"),
    ]);
}

#[test]
fn a_file_that_is_not_there_keeps_no_other_from_being_read() {
    let folder = folder();
    // 22,050 samples a second.
    let slow = repository("tests/fixtures/speakers/anna_1.wav");
    let output = run(folder.path(), "vad", &["--device", "cpu", "--plot", "pictures", &slow, "nope.wav", &slow]);
    let said = clear(&output);
    assert!(!output.status.success() && said.contains("error: nope.wav: No such file"), "{said}");
    assert_eq!(said.matches("s of speech in 1.67 s").count(), 2, "{said}");
    // Files of one name have pictures of their own.
    for picture in ["anna_1.svg", "anna_1-2.svg"] {
        assert!(folder.path().join("pictures").join(picture).is_file(), "{picture}");
    }
}

#[test]
fn words_that_can_not_be_read_whole_are_named_and_the_others_pronounced() {
    let folder = folder();
    let output = run(folder.path(), "g2p", &["--device", "cpu", "hello", "4you", "你好"]);
    let said = clear(&output);
    assert!(!output.status.success(), "{said}");
    for part in ["hello\tHH EH1 L OW0", "note: '4you': the network can't read '4'", "error: '你好' can't be pronounced"]
    {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("你好\t"), "{said}");
}

#[test]
fn a_decoder_that_attends_writes_most_words_backwards() {
    let said = clear(&run(&std::env::temp_dir(), "attention", &["--device", "cpu"]));
    for way in ["greedy: ", "4 beams: "] {
        let rest = said.split(way).nth(1).unwrap_or_else(|| panic!("{said}"));
        let right: u32 = rest.split(' ').next().unwrap().parse().unwrap();
        assert!(right >= 24 && rest.contains("of 32 words are right"), "{said}");
    }
}

#[test]
fn plot_is_a_folder_in_every_example_that_has_it() {
    let folder = folder();
    for name in ["vad", "speakers"] {
        let said = clear(&run(folder.path(), name, &["--help"]));
        assert!(said.contains("--plot <FOLDER>"), "{name}: {said}");
    }
}

#[test]
fn every_lesson_can_be_told_the_same() {
    let folder = folder();
    for name in LESSONS {
        let said = clear(&run(folder.path(), name, &["--help"]));
        for option in
            ["--steps <STEPS>", "--seed <SEED>", "--device <DEVICE>", "--plot <FOLDER>", "--save <FILE>", "--resume"]
        {
            assert!(said.contains(option), "{name} lacks {option}: {said}");
        }
    }
}

#[test]
fn without_a_real_gpu_examples_run_on_the_cpu_and_say_so_in_a_line() {
    let real = wgrnn::adapters().into_iter().any(|adapter| adapter.class != wgrnn::Class::Software);
    let said = clear(&run(&std::env::temp_dir(), "g2p", &["hello"]));
    let notes: Vec<_> = said.lines().filter(|line| line.starts_with("note: using ")).collect();
    assert_eq!(notes.len(), 1, "{said}");
    assert_eq!(said.contains("device: CPU"), !real, "{said}");
}
