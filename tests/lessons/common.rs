//! What every lesson has to do.

use clap::Parser;
use std::path::{Path, PathBuf};

/// A lesson's options from a command line.
pub fn options<T: Parser>(line: &str) -> T {
    T::try_parse_from(std::iter::once("lesson").chain(line.split_whitespace()))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A lesson's data files as they are in the repository.
pub fn files(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/training/data").join(name)
}

/// A folder with copies of a lesson's data files, and that of one changed by `spoil`; `None` takes it away.
pub fn spoilt(name: &str, file: &str, spoil: impl Fn(Vec<u8>) -> Option<Vec<u8>>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(files(name)).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let place = folder.path().join(path.file_name().unwrap());
        let bytes = if path.file_name().unwrap() == file { spoil(bytes) } else { Some(bytes) };
        bytes.into_iter().for_each(|bytes| std::fs::write(&place, bytes).unwrap());
    }
    folder
}

/// All arrays of a checkpoint, bit by bit.
pub fn arrays(path: &str) -> std::collections::BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect()
}

/// Tests that every lesson passes. `$lesson` is a module with `Options` and `run`, `$few` options that make it quick, and `$files` the
/// names of its data files.
macro_rules! every_lesson {
    ($name:literal, $lesson:ident, few: $few:literal, gpu: $gpu:literal, files: [$($file:literal),*]) => {
        /// Runs the lesson; errors as one line.
        fn run(line: &str) -> Result<lessons::Outcome, String> {
            let line = if line.contains("--device") { line.to_owned() } else { format!("{line} --device cpu") };
            $lesson::run(&crate::common::options(&format!("{} {line}", $few))).map_err(|error| format!("{error:#}"))
        }

        #[test]
        fn it_runs_on_a_gpu() {
            run(concat!("--device gpu --steps ", $gpu)).unwrap();
        }

        #[test]
        fn training_that_is_resumed_is_the_same_and_one_that_is_complete_is_only_tested() {
            let folder = tempfile::tempdir().unwrap();
            let [stopped, whole] = ["stopped", "whole"].map(|name| folder.path().join(name).display().to_string());
            run(&format!("--steps 2 --save {stopped}")).unwrap();
            run(&format!("--steps 5 --save {stopped} --resume --seed 9")).unwrap();
            let outcome = run(&format!("--steps 5 --save {whole}")).unwrap();
            assert!(crate::common::arrays(&stopped) == crate::common::arrays(&whole));
            let plot = folder.path().join("pictures");
            let again = run(&format!("--steps 5 --save {whole} --resume --plot {}", plot.display())).unwrap();
            assert_eq!(again.to_string(), outcome.to_string());
            let error = run(&format!("--steps 4 --save {whole} --resume")).unwrap_err();
            assert!(error.contains("5 steps already") && error.contains("--steps"), "{error}");
        }

        #[test]
        fn checkpoints_of_others_are_refused_and_stay() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("other.safetensors");
            let device = wgrnn::Device::cpu();
            let config = wgrnn::ModelConfig::language(3, wgrnn::RnnConfig::new(wgrnn::Cell::Lstm, 2, 2));
            wgrnn::Model::new(&device, &config, 0).unwrap().save(&path, "").unwrap();
            let refused = |expected: &str| {
                let before = std::fs::read(&path).unwrap();
                let error = run(&format!("--steps 1 --resume --save {}", path.display())).unwrap_err();
                assert!(error.contains("other.safetensors") && error.contains(expected), "{error}");
                assert_eq!(std::fs::read(&path).unwrap(), before);
            };
            refused("a checkpoint of a lesson");
            std::fs::write(&path, "text").unwrap();
            refused("other.safetensors");
            std::fs::write(&path, "").unwrap();
            refused("other.safetensors");
            let error = run(&format!("--steps 1 --resume --save {}/none", folder.path().display())).unwrap_err();
            assert!(error.contains("none"), "{error}");
            let error = run(&format!("--steps 1 --save {}/none/x", folder.path().display())).unwrap_err();
            assert!(error.contains("there is no folder"), "{error}");
        }

        #[test]
        fn data_files_that_are_missing_empty_cut_or_foreign_are_named() {
            for file in [$($file),*] {
                let refused = |what: &str, spoil: &dyn Fn(Vec<u8>) -> Option<Vec<u8>>| {
                    let folder = crate::common::spoilt($name, file, spoil);
                    let error = run(&format!("--steps 1 --data {}", folder.path().display()));
                    let error = error.err().unwrap_or_else(|| panic!("{file}, {what}: no error"));
                    assert!(error.contains(file), "{file}, {what}: {error}");
                };
                refused("missing", &|_| None);
                refused("empty", &|_| Some(Vec::new()));
                refused("cut", &|mut bytes| {
                    // In the middle of a line.
                    let middle = bytes.len() / 2;
                    let line = bytes[middle..].iter().position(|&byte| byte == b'\n').unwrap_or(0);
                    bytes.truncate(middle + line + 2);
                    Some(bytes)
                });
                refused("foreign", &|_| Some(b"\x89PNG\r\n\x1a\n and what is no picture".to_vec()));
                refused("foreign text", &|_| Some(b"Two households, both alike in dignity,\nIn fair Verona\n".to_vec()));
            }
        }

        #[test]
        fn no_steps_are_refused() {
            let parse = <$lesson::Options as clap::Parser>::try_parse_from(["lesson", "--steps", "0"]);
            assert!(parse.unwrap_err().to_string().contains("--steps"));
        }
    };
}
pub(crate) use every_lesson;
