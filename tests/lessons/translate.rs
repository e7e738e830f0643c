//! Encoder, decoder and attention: the lesson `translate`.

#[allow(dead_code, reason = "its main")]
#[path = "../../examples/training/translate.rs"]
mod lesson;

crate::common::every_lesson!("translate", lesson, few: "--tested 20", gpu: "1", files: ["train.tsv", "test.tsv"]);

#[test]
fn phrases_are_translated_better_after_some_steps_with_a_picture_of_where_the_decoder_looks() {
    let folder = tempfile::tempdir().unwrap();
    let bleu = |line: &str| run(line).unwrap().figure("with attention", "BLEU");
    let (first, later) = (bleu("--steps 1"), bleu(&format!("--steps 100 --plot {}", folder.path().display())));
    assert!(later > first + 0.02, "{first}, then {later}");
    let [picture, loss] = ["translate_1.svg", "translate_loss.svg"]
        .map(|name| std::fs::read_to_string(folder.path().join(name)).unwrap());
    assert!(picture.contains("Where the decoder looks") && loss.contains("Translation"));
}

#[test]
fn the_same_network_without_attention_is_trained_beside_it() {
    let outcome = run("--steps 2 --compare").unwrap();
    assert!(outcome.figure("without attention", "BLEU").is_finite(), "{outcome}");
    assert!(run("--steps 2").unwrap().figure("without attention", "BLEU").is_nan());
}

#[test]
fn phrases_of_one_s_own_are_translated_and_unknown_characters_named() {
    let ask = |text: &str| {
        let options = ["lesson", "--device", "cpu", "--steps", "1", "--tested", "1", "--text", text];
        lesson::run(&<lesson::Options as clap::Parser>::try_parse_from(options).unwrap()).map_err(|e| format!("{e:#}"))
    };
    let outcome = ask("3. März 2026").unwrap();
    assert!(outcome.to_string().lines().any(|line| line.starts_with("3. März 2026 → ")), "{outcome}");
    for (text, expected) in [
        ("", "a phrase without a character"),
        ("3. März ☃ 2026 ♞", "characters that no phrase learned from has: '☃', '♞'"),
        ("montag, dienstag, mittwoch, donnerstag, freitag", "has 47 characters, of which 40 can be read"),
    ] {
        let error = ask(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
