//! Many-to-one and one-to-many: the lesson `forecast`.

#[allow(dead_code, reason = "its main")]
#[path = "../../examples/training/forecast.rs"]
mod lesson;

use lessons::data::forecast::{AHEAD, PAST, Weather};

crate::common::every_lesson!("forecast", lesson, few: "", gpu: "1", files: ["series.csv"]);

/// Few steps come closer than the same hour yesterday did, and intervals hold about what they promise.
fn forecasts_get_better(more: &str) {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(&format!("--steps 120 {more} --plot {}", folder.path().display())).unwrap();
    let error = |row: &str| outcome.figure(row, "mean error, °C");
    assert!(error("LSTM") < error("the same hour yesterday"), "{outcome}");
    // The season has changed since the errors were measured, so that 80 % are not promised to the last percent.
    assert!((0.6..0.95).contains(&outcome.figure("LSTM", "held")), "{outcome}");
    let picture = std::fs::read_to_string(folder.path().join("forecast.svg")).unwrap();
    assert!(picture.contains("four times in five") && picture.contains("<polygon"), "no intervals");
}

#[test]
fn forecasts_of_all_hours_at_once_beat_yesterday() {
    forecasts_get_better("");
}

#[test]
fn forecasts_fed_back_beat_yesterday() {
    forecasts_get_better("--feed-back");
}

#[test]
fn a_training_of_one_kind_does_not_go_on_as_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.safetensors").display().to_string();
    run(&format!("--steps 1 --save {path}")).unwrap();
    let error = run(&format!("--steps 2 --save {path} --resume --feed-back")).unwrap_err();
    assert!(error.contains("--feed-back"), "{error}");
}

#[test]
fn nothing_of_the_test_is_learned_or_measured() {
    let weather = Weather::load(None).unwrap();
    assert!(weather.learned().start >= PAST && weather.learned().end + AHEAD - 1 <= weather.measured().start);
    assert!(weather.measured().end + AHEAD - 1 <= weather.tested().start);
    assert_eq!(weather.tested().end + AHEAD - 1, weather.times.len());
}
