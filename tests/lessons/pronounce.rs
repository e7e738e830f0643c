//! Encoder and decoder: the lesson `pronounce`.

#[allow(dead_code, reason = "its main")]
#[path = "../../examples/training/pronounce.rs"]
mod lesson;

crate::common::every_lesson!("pronounce", lesson, few: "", gpu: "1", files: ["train.tsv", "test.tsv"]);

#[test]
fn words_are_pronounced_better_after_some_steps() {
    let wrong = |steps: u32| {
        run(&format!("--steps {steps} --word Cat")).unwrap().figure("encoder and decoder", "wrong phonemes")
    };
    let (first, later) = (wrong(1), wrong(120));
    assert!(later < 0.9 * first, "{first}, then {later}");
}

#[test]
fn words_with_other_letters_are_refused_by_name() {
    for word in ["naïve", "x86"] {
        let error = run(&format!("--steps 1 --word {word}")).unwrap_err();
        assert!(error.contains(word) && error.contains("a to z"), "{error}");
    }
    assert_eq!(lessons::data::pronounce::letters("Zab").unwrap(), [25, 0, 1]);
    assert!(lessons::data::pronounce::letters("").is_err());
}
