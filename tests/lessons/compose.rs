//! Music: the lesson `compose`.

#[allow(dead_code, reason = "its main")]
#[path = "../../examples/training/compose.rs"]
mod lesson;

crate::common::every_lesson!("compose", lesson, few: "--length 1 --tested 1", gpu: "1", files: ["train.tsv", "test.tsv"]);

#[test]
fn chorales_surprise_less_after_some_steps_and_one_is_composed() {
    let folder = tempfile::tempdir().unwrap();
    let bits = |line: &str| run(line).unwrap().figure("LSTM", "bits per note");
    let place = folder.path().display();
    let (first, later) = (bits("--steps 1"), bits(&format!("--steps 30 --plot {place} --music {place}/new")));
    assert!(later < 0.6 * first, "{first}, then {later}");
    let picture = std::fs::read_to_string(folder.path().join("compose.svg")).unwrap();
    assert!(picture.contains("composed") && picture.contains("Bach: bwv"));
    let midi = std::fs::read(folder.path().join("new/chorale.mid")).unwrap();
    assert!(midi.starts_with(b"MThd"));
    let sound = hound::WavReader::open(folder.path().join("new/chorale.wav")).unwrap();
    assert_eq!(sound.spec().sample_rate, 44_100);
}

#[test]
fn one_seed_is_one_piece_and_a_cold_one_needs_none() {
    let composed = |line: &str| run(&format!("--steps 5 {line}")).unwrap().to_string();
    assert_eq!(composed("--seed 3"), composed("--seed 3"));
    assert_ne!(composed("--seed 3"), composed("--seed 4"));
    assert!(composed("--temperature 0").contains("composed"));
}

#[test]
fn lengths_and_temperatures_that_can_t_be_are_refused() {
    let parse = |option: &str, value: &str| {
        let line = ["lesson", "--device", "cpu", "--steps", "1", option, value];
        let options = <lesson::Options as clap::Parser>::try_parse_from(line).map_err(|error| error.to_string())?;
        lesson::run(&options).map_err(|error| format!("{error:#}"))
    };
    for (option, value) in [("--length", "0"), ("--length", "9999"), ("--temperature", "-1"), ("--temperature", "inf")]
    {
        let error = parse(option, value).unwrap_err();
        assert!(error.contains(option), "{error}");
    }
}
