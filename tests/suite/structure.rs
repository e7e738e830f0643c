//! The source is a stack: a module imports only what lies below it, and no file is in a circle with others of its folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `src`, the lowest first. ARCHITECTURE.md says what each is for.
const STACK: [&str; 22] = [
    "error",
    "memory",
    "files",
    "cells",
    "kernels",
    "cpu",
    "device",
    "storage",
    "readback",
    "tensor",
    "config",
    "parameters",
    "plan",
    "weights",
    "layer",
    "train",
    "reference",
    "check",
    "tune",
    "dialects",
    "onnx",
    "lib",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../src")
}

/// Every Rust file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A file without comments, strings and unit tests: those may look at what lies above.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The names that follow `start` in paths: `start::name`, and each of `start::{name, ...}`.
fn names<'a>(code: &'a str, start: &str) -> BTreeSet<&'a str> {
    let word = |text: &'a str| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        &text[..end]
    };
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(start) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + start.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let (mut depth, mut first) = (1, 0);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || depth == 1 && c == ',' {
                found.insert(word(group[first..i].trim_start()));
                first = i + 1;
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.remove("");
    found
}

/// The module of `src` that a file belongs to.
fn module(path: &Path) -> String {
    let relative = path.strip_prefix(source()).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn a_module_imports_only_what_lies_below_it() {
    let place = |name: &str| STACK.iter().position(|module| *module == name);
    let mut faults = Vec::new();
    for path in files(&source()) {
        let own = module(&path);
        let rank = place(&own).unwrap_or_else(|| panic!("'{own}' has no place in the stack"));
        for name in names(&code(&path), "crate::") {
            match place(name) {
                Some(other) if other < rank || name == own => {}
                Some(_) => faults.push(format!("{}: {name} lies above {own}", path.display())),
                None => faults.push(format!("{}: crate::{name} is no module", path.display())),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_file_is_in_a_circle_with_others_of_its_folder() {
    let mut folders = BTreeMap::<PathBuf, Vec<PathBuf>>::new();
    for path in files(&source()) {
        folders.entry(path.parent().unwrap().to_owned()).or_default().push(path);
    }
    let mut faults = Vec::new();
    for (folder, paths) in folders.iter().filter(|(folder, _)| **folder != source()) {
        let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
        let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        let siblings: BTreeSet<_> =
            paths.iter().map(|path| stem(path)).chain(folders.map(|path| stem(&path))).collect();
        let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
        for path in paths.iter().filter(|path| stem(path) != "mod") {
            let code = code(path);
            // `crate::layer::X` within `layer`, and `super::X` of a re-exported X, go through mod.rs, which imports all.
            let own = format!("crate::{}::", module(path));
            for name in names(&code, "super::").union(&names(&code, &own)) {
                // Of a folder within a folder, the parent's files. Macros name their own file, for use in others.
                if *name == "super" || *name == stem(path) {
                    continue;
                }
                // Modules within a file see what that file has.
                let is_own =
                    ["fn", "struct", "enum", "const"].iter().any(|kind| code.contains(&format!("{kind} {name}")));
                if is_own {
                    continue;
                }
                if !siblings.contains(*name) {
                    faults.push(format!("{}: {name} comes by way of mod.rs, not from its file", path.display()));
                }
                imports.entry(stem(path)).or_default().insert((*name).to_owned());
            }
        }
        let reached = |file: &String| {
            let (mut seen, mut todo) = (BTreeSet::new(), vec![file]);
            while let Some(next) = todo.pop() {
                todo.extend(imports.get(next).into_iter().flatten().filter(|name| seen.insert((*name).clone())));
            }
            seen
        };
        for file in imports.keys() {
            if reached(file).contains(file) {
                let through: Vec<_> = imports[file].iter().filter(|name| reached(name).contains(file)).collect();
                faults.push(format!("{}/{file}.rs is in a circle, through {through:?}", folder.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_mod_file_only_declares_and_re_exports() {
    let mut faults = Vec::new();
    for path in files(&source()).iter().filter(|path| path.ends_with("mod.rs")) {
        for statement in code(path).split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            let statement = statement.lines().filter(|line| !line.starts_with("#[")).collect::<String>();
            let plain = ["", "pub ", "pub(crate) ", "pub(super) "].iter().any(|visibility| {
                ["mod ", "use "].iter().any(|word| statement.starts_with(&format!("{visibility}{word}")))
            });
            if !plain {
                faults.push(format!("{}: {statement}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The functions above see what they are to see.
#[test]
fn imports_are_found_in_every_form() {
    let code = "use crate::a::B;\nuse crate::{c, d::{E, f}};\nfn g() { crate::h::i() }\nuse supercrate::j;";
    assert_eq!(names(code, "crate::").into_iter().collect::<Vec<_>>(), ["a", "c", "d", "h"]);
    assert_eq!(names("use super::{self, k::l};", "super::").into_iter().collect::<Vec<_>>(), ["k", "self"]);
}
