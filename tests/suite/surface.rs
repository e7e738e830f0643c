//! The public surface: what other crates may match or build in full is a decision, written down in the documentation of `lib.rs`.

use crate::structure::files;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use wgrnn::Schedule;

/// A public enum, or a public struct all of whose fields are public.
#[derive(Debug, PartialEq)]
struct Item {
    name: String,
    is_non_exhaustive: bool,
}

/// The enums and open structs that a source file declares as `pub`. A name that a macro repeats counts once.
fn items(text: &str) -> Vec<Item> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = BTreeMap::<String, bool>::new();
    for (i, line) in lines.iter().enumerate() {
        let declared = ["pub enum ", "pub struct "].iter().find_map(|start| line.trim_start().strip_prefix(start));
        let Some(declared) = declared else { continue };
        let is_enum = line.trim_start().starts_with("pub enum ");
        if !is_enum && !is_open(&lines[i..]) {
            continue;
        }
        let end = declared.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(declared.len());
        let is_above = |line: &&&str| ["#[", "///", "$(#["].iter().any(|start| line.trim_start().starts_with(start));
        let is_marked = lines[..i].iter().rev().take_while(is_above).any(|line| line.trim() == "#[non_exhaustive]");
        *found.entry(declared[..end].to_owned()).or_default() |= is_marked;
    }
    found.into_iter().map(|(name, is_non_exhaustive)| Item { name, is_non_exhaustive }).collect()
}

/// Whether a struct, whose declaration these lines begin with, has fields and all of them are public.
fn is_open(lines: &[&str]) -> bool {
    let indent = lines[0].len() - lines[0].trim_start().len();
    if !lines[0].trim_end().ends_with('{') {
        return lines[0].contains("(pub ");
    }
    let body =
        lines[1..].iter().take_while(|line| line.trim().is_empty() || line.len() - line.trim_start().len() > indent);
    let own = body.filter(|line| line.len() - line.trim_start().len() == indent + 4).map(|line| line.trim());
    let mut fields = own.filter(|line| !["//", "#[", "}", ")"].iter().any(|start| line.starts_with(start))).peekable();
    fields.peek().is_some() && fields.all(|field| field.starts_with("pub "))
}

/// For each file the names that `pub use` takes out of it; all names of a file that is itself public.
fn exports(source: &Path) -> BTreeMap<PathBuf, Option<BTreeSet<String>>> {
    let folders = fs::read_dir(source).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut found = BTreeMap::new();
    let lists = folders.map(|folder| folder.join("mod.rs")).filter(|list| list.exists());
    for list in lists.chain([source.join("lib.rs")]) {
        let text = fs::read_to_string(&list).unwrap();
        let folder = list.parent().unwrap();
        let lines = text.lines().filter(|line| !["//", "#"].iter().any(|start| line.starts_with(start)));
        for statement in lines.collect::<Vec<_>>().join(" ").split(';').map(str::trim) {
            if let Some((file, names)) = statement.strip_prefix("pub use ").and_then(|rest| rest.split_once("::")) {
                let names = names.trim_matches(['{', '}']).split(',').map(|name| name.trim().to_owned());
                let all = found.entry(folder.join(file).with_extension("rs")).or_insert_with(|| Some(BTreeSet::new()));
                all.iter_mut().for_each(|all| all.extend(names.clone()));
            } else if let Some(file) = statement.strip_prefix("pub mod ") {
                found.insert(folder.join(file).with_extension("rs"), None);
            }
        }
    }
    // Names from a folder are those that its mod.rs takes out of its files.
    found.retain(|path, _| path.exists());
    found
}

/// The first column of the table of closed types in `lib.rs`, and whether there is a reason beside it.
fn closed(documentation: &str) -> BTreeMap<String, bool> {
    let table = documentation.split("//! ## What may grow").nth(1).expect("a section of this name");
    let rows = table.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    rows.map(|row| {
        let (name, rest) = row.split_once("`]").expect("a link to the type");
        (name.to_owned(), rest.trim_matches([' ', '|']).len() > 10)
    })
    .collect()
}

#[test]
fn a_public_type_may_grow_or_has_a_reason_why_it_never_will() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut closed = closed(&fs::read_to_string(source.join("lib.rs")).unwrap());
    let (mut faults, mut count) = (Vec::new(), 0);
    for (path, names) in exports(&source) {
        for item in items(&fs::read_to_string(&path).unwrap()) {
            if names.as_ref().is_some_and(|names| !names.contains(&item.name)) {
                continue;
            }
            count += 1;
            // Types of one name in several modules are told apart by their file's or folder's.
            let folder = path.parent().unwrap();
            let paths = [&path, folder].map(|path| format!("{}::{}", path.file_stem().unwrap().display(), item.name));
            let listed =
                closed.keys().find(|name| **name == item.name || paths.iter().any(|path| name.ends_with(path)));
            let listed = listed.cloned();
            let has_reason = listed.map(|name| closed.remove(&name).unwrap());
            let place = format!("{}: {}", path.display(), item.name);
            match (item.is_non_exhaustive, has_reason) {
                (true, None) | (false, Some(true)) => {}
                (true, Some(_)) => faults.push(format!("{place} is #[non_exhaustive] and listed as closed")),
                (false, Some(false)) => faults.push(format!("{place} is closed without a reason")),
                (false, None) => faults.push(format!(
                    "{place} has to be #[non_exhaustive], or be listed with a reason under \"What may grow\" in src/lib.rs"
                )),
            }
        }
    }
    faults
        .extend(closed.keys().map(|name| format!("src/lib.rs lists {name}, which is no public type with open fields")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 60, "only {count} types were found");
}

/// A name as JavaScript has it.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |all, word| all + &word[..1].to_uppercase() + &word[1..])
}

/// The table of functions in docs/names.md: they exist in the library and in the browser's package, by these names.
#[test]
fn functions_have_the_same_names_in_rust_javascript_and_python() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = fs::read_to_string(root.join("docs/names.md")).unwrap();
    let table = document.split("## Functions").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<Vec<_>> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`')).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert!(rows.len() > 40, "only {} rows were found", rows.len());
    let sources = ["src", "web/src"].map(|folder| {
        let texts = files(&root.join(folder)).into_iter().map(|path| fs::read_to_string(path).unwrap());
        texts.collect::<Vec<_>>().join("\n")
    });
    for row in rows {
        let (owner, name) = row[0].rsplit_once("::").unwrap();
        // A module's name stands before its type in JavaScript: `onnx::Model` is `OnnxModel`.
        let javascript: String = owner.split("::").map(|part| part[..1].to_uppercase() + &part[1..]).collect();
        let python = owner.replace("::", ".");
        let expected = match name {
            "new" => [format!("new {javascript}"), python],
            _ => [format!("{javascript}.{}", camel(name)), format!("{python}.{name}")],
        };
        assert_eq!(row[1..], expected, "{}", row[0]);
        for source in &sources {
            let has = [" fn", " const fn"]
                .iter()
                .any(|kind| ["(", "<"].iter().any(|end| source.contains(&format!("pub{kind} {name}{end}"))));
            assert!(has, "no function {name} for {}", row[0]);
        }
        if name.contains('_') {
            assert!(sources[1].contains(&format!("js_name = {}", camel(name))), "{} is not exported", row[1]);
        }
    }
}

/// The functions above see what they are to see.
#[test]
fn open_types_are_found_with_their_attributes() {
    let text = "\
/// An enum.
#[derive(Debug)]
#[non_exhaustive]
pub enum Marked {
    A,
}
pub enum Plain { A }
pub struct Open<'a> {
    /// A field.
    #[doc(hidden)]
    pub a: &'a [u32],
    pub b: u32,
}
pub struct Hidden {
    pub a: u32,
    pub(crate) b: u32,
}
pub struct Empty {}
pub struct Pair(pub u32, pub u32);
pub struct Handle(Arc<u32>);
struct Private {
    pub a: u32,
}
macro_rules! list {
    () => {
        pub enum Repeated {}
    };
}
list! {
    #[non_exhaustive]
    pub enum Repeated {}
}
";
    let found = items(text);
    let found: Vec<_> = found.iter().map(|item| (&*item.name, item.is_non_exhaustive)).collect();
    assert_eq!(found, [("Marked", true), ("Open", false), ("Pair", false), ("Plain", false), ("Repeated", true)]);
    let listed =
        closed("//! ## What may grow\n//! | type | why |\n//! | [`A`] | for a good reason |\n//! | [`b::B`] | |");
    assert_eq!(listed.into_iter().collect::<Vec<_>>(), [("A".to_owned(), true), ("b::B".to_owned(), false)]);
}

/// Where schedules are named outside of the library. The browser's package has no `Grid`, which needs a trial that a page
/// cannot wait for.
#[test]
fn every_schedule_is_documented_and_has_its_name_in_javascript() {
    let read = |path| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap();
    let table = read("ARCHITECTURE.md");
    let options = read("web/src/options.rs");
    // The lines that list all of them.
    let lists = |text: String| -> Vec<String> {
        let is_list = |line: &&str| line.contains("schedule") && line.contains("\"step\"");
        text.lines().filter(is_list).map(str::to_owned).collect()
    };
    let lists = ["web/src/types.ts", "web/tests/api.test.mjs"].map(|path| (path, lists(read(path))));
    for schedule in Schedule::ALL {
        assert_eq!(schedule.name(), format!("{schedule:?}").to_lowercase());
        if schedule != Schedule::Auto {
            assert!(table.contains(&format!("\n| `{schedule:?}` |")), "ARCHITECTURE.md has no row of `{schedule:?}`");
        }
        if schedule == Schedule::Grid {
            continue;
        }
        let arm = format!("ScheduleName::{schedule:?} => Schedule::{schedule:?},");
        assert!(options.contains(&arm), "web/src/options.rs has no {arm}");
        let name = format!("\"{}\"", schedule.name());
        for (path, lists) in &lists {
            let all = !lists.is_empty() && lists.iter().all(|line| line.contains(&name));
            assert!(all, "{path} has no {name} in a list of schedules");
        }
    }
}
