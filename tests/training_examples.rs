//! The training examples from end to end, on little data: what they print, save and refuse.

#[path = "../examples/training/common/mod.rs"]
mod common;

#[allow(dead_code, reason = "the example uses all of it")]
#[path = "../examples/training/char_lm"]
mod char_lm {
    use super::common;
    pub mod model;
    pub mod sample;
    pub mod text;
    pub mod train;
}

#[allow(dead_code, reason = "the example uses all of it")]
#[path = "../examples/training/sentiment"]
mod sentiment {
    use super::common;
    mod baseline;
    pub mod data;
    mod network;
    pub mod train;
}

use clap::Parser;
use std::path::{Path, PathBuf};

/// An example's command line.
#[derive(Parser)]
struct Line<T: clap::Args> {
    #[command(flatten)]
    options: T,
}

fn options<T: clap::Args>(line: &str) -> T {
    Line::parse_from(std::iter::once("example").chain(line.split_whitespace())).options
}

/// `char_lm train` on a small network in a folder that holds `text.txt`.
fn train(folder: &Path, more: &str) -> anyhow::Result<char_lm::train::Summary> {
    let folder = folder.display();
    let sizes = "--hidden 16 --batch 8 --length 32 --dropout 0.1";
    let files = format!("{folder}/text.txt --checkpoint {folder}/model.safetensors");
    char_lm::train::run(&options(&format!("{files} --device cpu {sizes} {more}")))
}

fn sample(folder: &Path, more: &str) -> anyhow::Result<String> {
    let line = format!("--checkpoint {}/model.safetensors --device cpu --length 40 {more}", folder.display());
    let mut out = Vec::new();
    char_lm::sample::run(&options(&line), &mut out)?;
    Ok(String::from_utf8(out)?)
}

/// A folder with the first characters of the example's text.
fn folder(characters: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = include_str!("../examples/training/char_lm/text.txt");
    std::fs::write(folder.path().join("text.txt"), &text[..characters]).unwrap();
    folder
}

#[test]
fn a_character_model_learns_and_says_how_well_in_its_last_line() {
    let folder = folder(3000);
    let plot = folder.path().join("pictures");
    let summary = train(folder.path(), &format!("--steps 10 --plot {}", plot.display())).unwrap();
    let [first, last] = summary.held_out;
    assert_eq!(summary.to_string(), format!("held-out bits per character: {first:.2} -> {last:.2}"));
    assert!((4.5..7.0).contains(&first) && last < first, "{summary}");
    assert!(std::fs::read_to_string(plot.join("char_lm_loss.svg")).unwrap().contains("held out"));
}

#[test]
fn a_character_model_goes_on_as_if_it_had_never_stopped() {
    let (stopped, whole) = (folder(3000), folder(3000));
    let uninterrupted = train(whole.path(), "--steps 40").unwrap();
    train(stopped.path(), "--steps 10").unwrap();
    let resumed = train(stopped.path(), "--steps 40 --resume").unwrap();
    assert_eq!(uninterrupted.losses.len(), 2);
    assert_eq!(resumed.losses, uninterrupted.losses);
    assert_eq!(resumed.held_out[1], uninterrupted.held_out[1]);
}

#[test]
fn a_character_model_writes_on_from_a_prompt() {
    let folder = folder(3000);
    train(folder.path(), "--steps 10").unwrap();
    let text = sample(folder.path(), "--prompt When").unwrap();
    assert!(text.starts_with("When") && text.chars().count() == 44, "{text}");
    assert_eq!(sample(folder.path(), "--prompt When").unwrap(), text);
    let best = |seed: u32| sample(folder.path(), &format!("--temperature 0 --seed {seed}")).unwrap();
    assert_eq!(best(0), best(1));
    let error = sample(folder.path(), "--prompt a€").unwrap_err().to_string();
    assert!(error.contains('€') && !error.contains("'a'"), "{error}");
    let error = sample(folder.path(), "--temperature=-1").unwrap_err().to_string();
    assert!(error.contains("temperature"), "{error}");
}

#[test]
fn texts_and_checkpoints_that_do_not_fit_are_refused() {
    for (characters, got) in [(0, "0 characters"), (250, "225 characters")] {
        let error = format!("{:#}", train(folder(characters).path(), "--steps 1").unwrap_err());
        assert!(error.contains("too short") && error.contains(got), "{error}");
    }
    let folder = folder(3000);
    let error = |more: &str| format!("{:#}", train(folder.path(), more).unwrap_err());
    assert!(error("--steps 1 --resume").contains("model.safetensors"));
    train(folder.path(), "--steps 1").unwrap();
    assert!(error("--steps 1 --resume").contains("1 steps already"));
    let layers = error("--steps 2 --resume --layers 2");
    assert!(layers.contains("--layers 1") && layers.contains("--layers 2"), "{layers}");
    assert!(sample(Path::new("nowhere"), "").is_err());
}

#[test]
fn reviews_are_learnt_and_told_in_a_table() {
    let lines = |text: &str, count| text.lines().take(count).map(|line| format!("{line}\n")).collect::<String>();
    let train = lines(include_str!("../examples/training/sentiment/train.tsv"), 200);
    let test = lines(include_str!("../examples/training/sentiment/test.tsv"), 50);
    let data = sentiment::data::Data::new(&train, &test).unwrap();
    let mut arguments = options::<sentiment::train::Options>("--device cpu --steps 8 --batch 32");
    arguments.text = vec!["Wonderful!".to_owned(), String::new()];
    let outcome = sentiment::train::run_on(&data, &arguments).unwrap();
    assert_eq!(outcome.texts.len(), 2);
    let table = outcome.to_string();
    assert!(table.contains("200 reviews learnt, 50 tested") && table.contains("GRU"), "{table}");
    assert!(outcome.baseline > 0.5, "{table}");
    arguments.batch = 201;
    assert!(sentiment::train::run_on(&data, &arguments).unwrap_err().to_string().contains("--batch"));
}

/// An example's program, built as this test was.
#[cfg(unix)]
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).and_then(Path::file_name).unwrap().to_str().unwrap();
    let profile = if profile == "debug" { "dev" } else { profile };
    let output = std::process::Command::new(env!("CARGO"))
        .args(["build", "--message-format", "json", "--profile", profile, "--example", name])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).unwrap();
    let path = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        let is_example = message["target"]["name"] == name && message["target"]["kind"][0] == "example";
        message["executable"].as_str().filter(|_| is_example).map(PathBuf::from)
    };
    messages.lines().find_map(path).unwrap()
}

/// A running example, its working folder, and what it has said.
#[cfg(unix)]
struct Running {
    child: std::process::Child,
    said: PathBuf,
}

#[cfg(unix)]
impl Running {
    fn start(program: &Path, folder: &Path, line: &str) -> Self {
        let said = folder.join("said.txt");
        let child = std::process::Command::new(program)
            .args(line.split_whitespace())
            .args(["--device", "cpu"])
            .current_dir(folder)
            .stdout(std::process::Stdio::null())
            .stderr(std::fs::File::create(&said).unwrap())
            .spawn()
            .unwrap();
        Self { child, said }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap()
    }

    fn wait_until(&mut self, ready: impl Fn(&Self) -> bool) {
        while !ready(self) {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended too early: {}", self.said());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn signal(&self, name: &str) {
        let line = [&format!("-{name}"), &self.child.id().to_string()];
        assert!(std::process::Command::new("kill").args(line).status().unwrap().success());
    }

    fn end(mut self) -> (std::process::ExitStatus, String) {
        (self.child.wait().unwrap(), self.said())
    }
}

/// All arrays of a checkpoint, bit by bit.
#[cfg(unix)]
fn arrays(path: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect()
}

#[cfg(unix)]
#[test]
fn trainings_that_are_interrupted_say_where_they_are_saved_and_go_on_as_if_they_had_never_stopped() {
    let folder = folder(3000);
    let char_lm = "train text.txt --hidden 16 --batch 8 --length 32 --dropout 0.1 --save-every 30";
    for (name, line, signal, status) in [
        ("char_lm", char_lm, "INT", 130),
        ("sentiment", "--batch 8", "INT", 130),
        ("forecast", "--feed-back", "INT", 130),
        ("pronounce", "", "TERM", 143),
    ] {
        let program = program(name);
        let [stopped, whole] = ["stopped", "whole"].map(|run| format!("{name}-{run}.safetensors"));
        let begin = format!("{line} --steps 1000000 --checkpoint {stopped}");
        let mut running = Running::start(&program, folder.path(), &begin);
        // It has saved once, and trains on.
        running.wait_until(|_| folder.path().join(&stopped).exists());
        running.signal(signal);
        let (ended, said) = running.end();
        assert_eq!(ended.code(), Some(status), "{name}: {said}");
        let hint = format!("saved to {stopped}; go on with --checkpoint {stopped} --resume");
        assert!(said.lines().last().is_some_and(|last| last.ends_with(&hint)), "{name}: {said}");
        let step = said.split("interrupted after step ").nth(1).and_then(|rest| rest.split(':').next()).unwrap();
        let steps = step.parse::<u32>().unwrap() + 25;
        for (path, more) in [(&stopped, "--resume"), (&whole, "")] {
            let rest = format!("{line} --steps {steps} --checkpoint {path} {more}");
            let (ended, said) = Running::start(&program, folder.path(), &rest).end();
            assert!(ended.success(), "{name}: {said}");
        }
        let [stopped, whole] = [stopped, whole].map(|path| arrays(&folder.path().join(path)));
        assert!(stopped.len() > 3 && stopped == whole, "{name}: not the same after {steps} steps, {step} before");
    }
}

/// Starts an example again and again, until it trains when the signal comes; gives what it said.
#[cfg(unix)]
fn interrupted_after(program: &Path, folder: &Path, line: &str) -> String {
    for wait in (0..8).map(|doublings| 500 << doublings) {
        let mut running = Running::start(program, folder, line);
        running.wait_until(|running| running.said().contains("device: "));
        std::thread::sleep(std::time::Duration::from_millis(wait));
        running.signal("INT");
        let (ended, said) = running.end();
        match ended.code() {
            Some(status) => {
                assert_eq!(status, 130, "{said}");
                return said;
            }
            // Before training began: there was nothing to save.
            None => assert!(!said.contains("saved"), "{said}"),
        }
    }
    panic!("it never began to train");
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_writes_over_no_file_that_is_not_its_own() {
    let folder = folder(3000);
    // Without --checkpoint, and with one that an earlier training left.
    let char_lm =
        "train text.txt --hidden 16 --batch 8 --length 32 --save-every 1000000 --checkpoint model.safetensors";
    for (name, line, file) in [("forecast", "", "forecast"), ("char_lm", char_lm, "model")] {
        let program = program(name);
        let line = format!("{line} --steps 1000000");
        for (n, expected) in [format!("{file}.safetensors"), format!("{file}.1.safetensors")].iter().enumerate() {
            let old = folder.path().join(format!("{file}.safetensors"));
            let before = std::fs::read(&old).ok();
            let said = interrupted_after(&program, folder.path(), &line);
            assert!(said.contains(&format!("saved to {expected}; go on with --checkpoint {expected}")), "{said}");
            assert!(!arrays(&folder.path().join(expected)).is_empty());
            assert!(n == 0 || before == std::fs::read(&old).ok(), "{said}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_second_interruption_ends_a_training_at_once() {
    let folder = folder(30000);
    let program = program("char_lm");
    // Steps of seconds.
    let line = "train text.txt --hidden 512 --layers 4 --batch 32 --length 512 --checkpoint slow.safetensors";
    for wait in (0..6).map(|doublings| 500 << doublings) {
        let mut running = Running::start(&program, folder.path(), line);
        running.wait_until(|running| running.said().contains("device: "));
        std::thread::sleep(std::time::Duration::from_millis(wait));
        running.signal("INT");
        while !running.said().contains("once more") && running.child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let start = std::time::Instant::now();
        if running.child.try_wait().unwrap().is_some() {
            // It came before training began, or the step was over.
            continue;
        }
        running.signal("INT");
        let (ended, said) = running.end();
        assert_eq!(ended.code(), Some(130), "{said}");
        assert!(!said.contains("saved to") && !folder.path().join("slow.safetensors").exists(), "{said}");
        assert!(start.elapsed().as_secs_f64() < 1.0, "{:?}", start.elapsed());
        return;
    }
    panic!("its steps are too short to be interrupted");
}
