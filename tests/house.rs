//! The house rules that a compiler does not check: who may import whom, how long a file may be, which words stay out of
//! which room.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom: stages meet only in topics, so no stage stands in another's line. To change this table is to change
/// the house; think twice.
const MAY_IMPORT: [(&str, &[&str]); 9] = [
    ("schemas", &[]),
    ("runtime", &[]),
    ("producers", &["schemas", "runtime"]),
    ("processors", &["schemas", "runtime"]),
    ("sinks", &["schemas", "runtime"]),
    ("batch", &["schemas"]),
    ("benches", &["schemas", "runtime", "processors"]),
    ("tests/kafka", &["schemas", "runtime"]),
    (".", &["schemas", "runtime", "producers", "processors", "sinks", "batch"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the workspace, with its path from the root.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(root()).unwrap().to_owned(), text);
            }
        }
    }
    assert!(found.len() > 50, "the workspace has more files than that");
    found
}

#[test]
fn stages_import_only_what_the_house_allows() {
    for (member, allowed) in MAY_IMPORT {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
        let own = manifest.split("[package]").nth(1).unwrap();
        let dependencies = own.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
        for line in dependencies.lines() {
            let Some(name) = line.strip_prefix("tidegate-") else { continue };
            let name = name.split(['.', ' ', '=']).next().unwrap();
            assert!(allowed.contains(&name), "`{member}` may not import `{name}`");
        }
    }
}

#[test]
fn no_file_is_longer_than_500_lines() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 500, "{} has {lines} lines: it asks for a second room", path.display());
    }
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    for path in sources().keys() {
        let name = path.file_stem().unwrap().to_string_lossy();
        let banned = ["utils", "util", "common", "helpers", "helper", "misc", "manager", "types", "prelude"];
        assert!(!banned.contains(&name.as_ref()), "{}: name it after what it does", path.display());
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (path, text) in sources() {
        let is_module_of_tests = path.components().any(|part| part.as_os_str() == "tests");
        if !is_module_of_tests {
            assert!(text.starts_with("//!"), "{} has no `//!` head", path.display());
        }
    }
}

#[test]
fn the_engine_knows_no_plate_and_no_invoice() {
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with("runtime/src")) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default().to_lowercase();
            for word in ["plate", "invoice", "radar", "infraction", "vehicle"] {
                let found = code.split(|c: char| !c.is_alphanumeric()).any(|part| part == word);
                assert!(!found, "{}:{}: `{word}` is no word of the engine", path.display(), number + 1);
            }
        }
    }
}

/// A map that names what is gone leads nowhere. Patterns (`*`, `NAME`) are not looked up.
#[test]
fn every_path_in_the_map_exists() {
    let mut checked = 0;
    for page in ["docs/ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for path in text.split('`').skip(1).step_by(2) {
            let first = path.split('/').next().unwrap();
            let is_pattern = path.contains(['*', ' ']) || path.chars().any(|letter| letter.is_uppercase());
            if path.contains('/') && !is_pattern && !first.is_empty() && root().join(first).is_dir() {
                assert!(root().join(path).exists(), "{page} names `{path}`, which is not there");
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "only {checked} paths were found");
}

/// Where the process can be told to end: a point that nobody comes by proves nothing.
#[test]
fn every_fault_point_stands_in_the_code_once() {
    let sources = sources();
    for point in tidegate_runtime::fault_point::POINTS {
        let call = format!("fault_point::reached(\"{point}\")");
        let found: usize = sources.values().map(|text| text.matches(&call).count()).sum();
        assert_eq!(found, 1, "`{call}`");
    }
}

#[test]
fn no_test_sleeps_and_none_is_ignored() {
    for (path, text) in
        sources().iter().filter(|(path, _)| path.components().any(|part| part.as_os_str() == "tests"))
    {
        // Spelled in two halves, or this file would find itself.
        for word in [concat!("thread::", "sleep"), concat!("time::", "sleep"), concat!("#[ig", "nore")] {
            assert!(
                !text.contains(word),
                "{}: `{word}`: wait for a condition with a deadline",
                path.display()
            );
        }
    }
}
