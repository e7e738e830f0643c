//! One-to-one: the lesson `digits`.

#[allow(dead_code, reason = "its main")]
#[path = "../../examples/training/digits.rs"]
mod lesson;

crate::common::every_lesson!("digits", lesson, few: "", gpu: "3", files: ["digits.csv"]);

#[test]
fn a_hidden_layer_reads_more_digits_than_chance_after_few_steps() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(&format!("--steps 60 --plot {}", folder.path().display())).unwrap();
    assert!(outcome.figure("one hidden layer", "right") > 0.6, "{outcome}");
    assert!(outcome.figure("logistic regression", "right") > 0.85, "{outcome}");
    let picture = std::fs::read_to_string(folder.path().join("digits.svg")).unwrap();
    assert!(picture.contains("Digits held out"));
    assert!(std::fs::read_to_string(folder.path().join("digits_loss.svg")).unwrap().contains("cross-entropy"));
}
