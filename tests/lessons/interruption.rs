//! Ctrl-C in a training.

use crate::common::arrays;
use std::path::{Path, PathBuf};

/// An example's program, built as this test was.
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
struct Running {
    child: std::process::Child,
    said: PathBuf,
}

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

#[test]
fn trainings_that_are_interrupted_say_where_they_are_saved_and_go_on_as_if_they_had_never_stopped() {
    let folder = crate::char_lm::folder(3000);
    let char_lm = "text.txt --hidden 16 --batch 8 --length 32 --dropout 0.1";
    for (name, line, signal, status) in [
        ("char_lm", char_lm, "INT", 130),
        ("sentiment", "", "INT", 130),
        ("forecast", "--feed-back", "INT", 130),
        ("pronounce", "", "TERM", 143),
    ] {
        let program = program(name);
        let [stopped, whole] = ["stopped", "whole"].map(|run| format!("{name}-{run}.safetensors"));
        let begin = format!("{line} --steps 1000000 --save {stopped}");
        let mut running = Running::start(&program, folder.path(), &begin);
        // It has saved once, and trains on.
        running.wait_until(|_| folder.path().join(&stopped).exists());
        running.signal(signal);
        let (ended, said) = running.end();
        assert_eq!(ended.code(), Some(status), "{name}: {said}");
        let hint = format!("saved to {stopped}; go on with --save {stopped} --resume");
        assert!(said.lines().last().is_some_and(|last| last.ends_with(&hint)), "{name}: {said}");
        let step = said.split("interrupted after step ").nth(1).and_then(|rest| rest.split(':').next()).unwrap();
        let steps = step.parse::<u32>().unwrap() + 25;
        for (path, more) in [(&stopped, "--resume"), (&whole, "")] {
            let rest = format!("{line} --steps {steps} --save {path} {more}");
            let (ended, said) = Running::start(&program, folder.path(), &rest).end();
            assert!(ended.success(), "{name}: {said}");
        }
        let [stopped, whole] = [stopped, whole].map(|path| arrays(&folder.path().join(path).display().to_string()));
        assert!(stopped.len() > 3 && stopped == whole, "{name}: not the same after {steps} steps, {step} before");
    }
}

/// Starts an example again and again, until it trains when the signal comes; gives what it said.
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

#[test]
fn an_interrupted_training_writes_over_no_file_that_is_not_its_own() {
    let folder = crate::char_lm::folder(3000);
    // Without --save, and with one that an earlier training left; its steps are too slow for a save of its own before the signal.
    let char_lm = "text.txt --hidden 512 --batch 8 --length 128 --save model.safetensors";
    for (name, line, file) in [("forecast", "", "forecast"), ("char_lm", char_lm, "model")] {
        let program = program(name);
        let line = format!("{line} --steps 1000000");
        for (n, expected) in [format!("{file}.safetensors"), format!("{file}.1.safetensors")].iter().enumerate() {
            let old = folder.path().join(format!("{file}.safetensors"));
            let before = std::fs::read(&old).ok();
            let said = interrupted_after(&program, folder.path(), &line);
            assert!(said.contains(&format!("saved to {expected}; go on with --save {expected}")), "{said}");
            assert!(!arrays(&folder.path().join(expected).display().to_string()).is_empty());
            assert!(n == 0 || before == std::fs::read(&old).ok(), "{said}");
        }
    }
}

#[test]
fn a_second_interruption_ends_a_training_at_once() {
    let folder = crate::char_lm::folder(30000);
    let program = program("char_lm");
    // Steps of seconds.
    let line = "text.txt --hidden 512 --layers 4 --batch 32 --length 512 --save slow.safetensors";
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
