//! Many-to-one: the lesson `sentiment`.

#[allow(dead_code, reason = "its main")]
#[path = "../../examples/training/sentiment.rs"]
mod lesson;

crate::common::every_lesson!("sentiment", lesson, few: "", gpu: "1", files: ["train.tsv", "test.tsv"]);

#[test]
fn reviews_are_judged_with_how_sure_that_is() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("--steps 150 --plot {} --text Wonderful!", folder.path().display());
    let outcome = run(&line).unwrap();
    for row in ["bag of words", "GRU"] {
        // Half of them are positive: chance is 0.5, with a deviation of 0.015.
        assert!(outcome.figure(row, "right") > 0.6, "{outcome}");
        assert!((0.0..0.5).contains(&outcome.figure(row, "calibration error")), "{outcome}");
    }
    assert!(outcome.to_string().contains("%): Wonderful!"), "{outcome}");
    assert!(std::fs::read_to_string(folder.path().join("sentiment.svg")).unwrap().contains("how sure"));
}

#[test]
fn texts_of_which_nothing_can_be_said_are_refused_or_told() {
    let error = run("--steps 1 --text Цветы").unwrap_err();
    assert!(error.contains("Цветы") && error.contains("none of its words"), "{error}");
    let options: lesson::Options =
        clap::Parser::parse_from(["lesson", "--device", "cpu", "--steps", "1", "--text", ""]);
    assert!(lesson::run(&options).unwrap().to_string().contains("an empty text"));
}
