//! The training examples from end to end, on little data: what they print, save and refuse.

#[path = "../examples/common/mod.rs"]
mod common;

#[allow(dead_code, reason = "the example uses all of it")]
#[path = "../examples/char_lm"]
mod char_lm {
    use super::common;
    pub mod choose;
    pub mod model;
    pub mod sample;
    pub mod text;
    pub mod train;
}

#[allow(dead_code, reason = "the example uses all of it")]
#[path = "../examples/sentiment"]
mod sentiment {
    use super::common;
    mod baseline;
    pub mod data;
    mod network;
    pub mod train;
}

use clap::Parser;
use std::path::Path;

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
    let text = include_str!("../examples/char_lm/text.txt");
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
    let train = lines(include_str!("../examples/sentiment/train.tsv"), 200);
    let test = lines(include_str!("../examples/sentiment/test.tsv"), 50);
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
