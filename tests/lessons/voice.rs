//! Many-to-one: the lesson `voice`.

#[allow(dead_code, reason = "its main")]
#[path = "../../examples/training/voice.rs"]
mod lesson;

crate::common::every_lesson!("voice", lesson, few: "", gpu: "1", files: ["train.csv", "test.csv"]);

#[test]
fn nine_voices_are_told_apart_after_few_steps() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(&format!("--steps 60 --plot {}", folder.path().display())).unwrap();
    assert!(outcome.figure("GRU", "right") > 0.6, "{outcome}");
    assert!(outcome.figure("logistic regression on means", "right") > 0.9, "{outcome}");
    for (file, text) in
        [("voice.svg", "steps heard"), ("voice_confusion.svg", "Who is taken"), ("voice_loss.svg", "held out")]
    {
        assert!(std::fs::read_to_string(folder.path().join(file)).unwrap().contains(text), "{file}");
    }
}
