//! Many-to-many: the lesson `char_lm`.

#[allow(dead_code, reason = "its main")]
#[path = "../../examples/training/char_lm.rs"]
mod lesson;

use std::path::Path;

/// A folder with the first characters of the lesson's text.
pub fn folder(characters: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(crate::common::files("char_lm").join("text.txt")).unwrap();
    std::fs::write(folder.path().join("text.txt"), &text[..characters]).unwrap();
    folder
}

const SMALL: &str = "--hidden 16 --batch 8 --length 32 --dropout 0.1 --write 40";

fn run(folder: &Path, more: &str) -> Result<lessons::Outcome, String> {
    let device = if more.contains("--device") { "" } else { "--device cpu" };
    let line = format!("{}/text.txt {SMALL} {more} {device}", folder.display());
    lesson::run(&crate::common::options(&line)).map_err(|error| format!("{error:#}"))
}

#[test]
fn a_character_model_learns_and_writes() {
    let folder = folder(3000);
    let plot = folder.path().join("pictures");
    let outcome = run(folder.path(), &format!("--steps 10 --plot {}", plot.display())).unwrap();
    let bits = outcome.figure("lstm", "bits a character");
    // Equal chances for the 60 or so characters are 5.9 bits.
    assert!((3.5..5.9).contains(&bits), "{outcome}");
    assert!((2.0..5.0).contains(&outcome.figure("5-grams", "bits a character")), "{outcome}");
    assert!(std::fs::read_to_string(plot.join("char_lm.svg")).unwrap().contains("held out"));
    run(folder.path(), "--steps 1 --device gpu").unwrap();
}

#[test]
fn it_goes_on_as_if_it_had_never_stopped_with_the_sizes_of_the_checkpoint() {
    let folder = folder(3000);
    let [stopped, whole] = ["stopped", "whole"].map(|name| folder.path().join(name).display().to_string());
    run(folder.path(), &format!("--steps 10 --save {stopped}")).unwrap();
    let resumed = run(folder.path(), &format!("--steps 40 --save {stopped} --resume")).unwrap();
    let uninterrupted = run(folder.path(), &format!("--steps 40 --save {whole}")).unwrap();
    assert!(crate::common::arrays(&stopped) == crate::common::arrays(&whole));
    let bits = |outcome: &lessons::Outcome| outcome.figure("lstm", "bits a character");
    assert_eq!(bits(&resumed), bits(&uninterrupted));
    // Sizes that are not given are those of the checkpoint.
    let line =
        format!("{}/text.txt --steps 40 --write 40 --device cpu --save {whole} --resume", folder.path().display());
    let again = lesson::run(&crate::common::options(&line)).unwrap();
    assert_eq!(bits(&again), bits(&uninterrupted));
    // Another program may write the same numbers in another way.
    let notes = wgrnn::Trainer::notes(&whole).unwrap();
    let bytes = std::fs::read(&whole).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let other: std::collections::HashMap<String, String> =
        notes.into_iter().map(|(key, text)| (key, text.replace("\"dropout\":0.1", "\"dropout\": 1e-1"))).collect();
    assert!(format!("{other:?}").contains("1e-1"));
    let keep = safetensors::SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap_or_default();
    let notes = keep.into_iter().chain(other).collect::<std::collections::HashMap<_, _>>();
    let rewritten = safetensors::serialize(file.tensors(), Some(notes)).unwrap();
    std::fs::write(&stopped, rewritten).unwrap();
    run(folder.path(), &format!("--steps 40 --save {stopped} --resume")).unwrap();
    let error = run(folder.path(), &format!("--steps 50 --save {whole} --resume --layers 2")).unwrap_err();
    assert!(error.contains("--layers 1") && error.contains("--layers 2"), "{error}");
    let error = run(folder.path(), &format!("--steps 10 --save {whole} --resume")).unwrap_err();
    assert!(error.contains("40 steps already"), "{error}");
}

#[test]
fn it_writes_on_from_a_prompt_the_same_for_the_same_seed() {
    let folder = folder(3000);
    let path = folder.path().join("model.safetensors").display().to_string();
    run(folder.path(), &format!("--steps 10 --save {path}")).unwrap();
    let write = |more: &str| {
        run(folder.path(), &format!("--steps 10 --save {path} --resume {more}")).map(|all| all.to_string())
    };
    let text = write("--prompt When").unwrap();
    let written = text.split("\n\n").nth(1).unwrap();
    assert!(written.starts_with("When"), "{text}");
    let written = |more: &str| write(more).unwrap().split_once("\n\n").unwrap().1.to_owned();
    assert_eq!(written("--prompt When"), written("--prompt When"));
    assert_eq!(written("--temperature 0 --seed 0"), written("--temperature 0 --seed 1"));
    assert_ne!(written("--temperature 2 --seed 0"), written("--temperature 2 --seed 1"));
    let error = write("--prompt a€").unwrap_err();
    assert!(error.contains('€') && !error.contains("'a'"), "{error}");
    assert!(write("--temperature=-1").unwrap_err().contains("temperature"));
}

#[test]
fn each_cell_can_be_trained_and_all_be_compared() {
    let folder = folder(3000);
    let outcome = run(folder.path(), "--steps 3 --compare").unwrap();
    for cell in wgrnn::Cell::ALL {
        assert!((3.0..7.5).contains(&outcome.figure(cell.name(), "bits a character")), "{outcome}");
        assert!(outcome.figure(cell.name(), "1000 parameters") > 1.0, "{outcome}");
    }
    let parse = <lesson::Options as clap::Parser>::try_parse_from(["lesson", "--cell", "best"]);
    assert!(parse.unwrap_err().to_string().contains("min_lstm"));
}

#[test]
fn texts_and_checkpoints_that_do_not_fit_are_refused() {
    for (characters, got) in [(0, "0 characters"), (250, "225 characters")] {
        let error = run(folder(characters).path(), "--steps 1").unwrap_err();
        assert!(error.contains("too short") && error.contains(got), "{error}");
    }
    let folder = folder(3000);
    let path = folder.path().join("model.safetensors").display().to_string();
    assert!(
        run(folder.path(), &format!("--steps 1 --resume --save {path}")).unwrap_err().contains("model.safetensors")
    );
    run(folder.path(), &format!("--steps 1 --save {path}")).unwrap();
    std::fs::write(folder.path().join("text.txt"), "0123456789 ".repeat(90)).unwrap();
    let error = run(folder.path(), &format!("--steps 2 --resume --save {path}")).unwrap_err();
    assert!(error.contains("other characters"), "{error}");
    assert!(run(Path::new("nowhere"), "--steps 1").unwrap_err().contains("nowhere/text.txt"));
    std::fs::write(folder.path().join("text.txt"), b"a\xff\xfeb").unwrap();
    assert!(run(folder.path(), "--steps 1").unwrap_err().contains("text.txt"));
}
