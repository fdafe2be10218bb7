//! What the documents say of the repository is true, and every module says what it is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Rust files that a program has written.
const GENERATED: &str = "generated";

/// Where cargo puts what it builds; the documents may name that, and a clone does not have it.
const BUILT: &str = "target/";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn documents() -> Vec<PathBuf> {
    let root = repository();
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    [root.join("README.md"), root.join("ARCHITECTURE.md")].into_iter().chain(docs).collect()
}

/// The words in backticks outside of blocks of code that look like paths from the root of the repository.
fn paths_in_backticks(text: &str) -> Vec<&str> {
    let outside = text.split("```").step_by(2);
    let quoted = outside.flat_map(|prose| prose.split('`').skip(1).step_by(2));
    let is_path = |word: &&str| {
        let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
        is_plain && word.contains('/') && !word.starts_with('/') && !word.starts_with(BUILT)
    };
    quoted.filter(is_path).collect()
}

/// The targets of links that stay in the repository, without the part that names a heading.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let inside = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    inside.filter_map(|target| target.split('#').next()).collect()
}

fn modules(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with(GENERATED) {
                modules(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn paths_and_links_are_found_in_a_text() {
    let text =
        "see `a/b.rs`, `/api`, `target/x/y`, `GET a/b`, [c](d.md#e), [f](https://g) and\n```\n`no/path`\n```\n`h/`";
    assert_eq!(paths_in_backticks(text), ["a/b.rs", "h/"]);
    assert_eq!(links(text), ["d.md"]);
}

#[test]
fn what_the_documents_name_exists() {
    let root = repository();
    let (mut checked, mut missing) = (0, Vec::new());
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let named = paths_in_backticks(&text).into_iter().map(|path| root.join(path));
        let linked = links(&text).into_iter().map(|link| document.with_file_name("").join(link));
        for path in named.chain(linked) {
            checked += 1;
            if !path.exists() {
                missing.push(format!("{} names {}", document.display(), path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(checked > 30, "only {checked} paths were found in the documents");
}

#[test]
fn every_module_says_what_it_is() {
    let root = repository();
    let mut files = Vec::new();
    for part in ["proto/src", "analyzer/src", "collector/src", "ui/src"] {
        modules(&root.join(part), &mut files);
    }
    let is_silent = |file: &&PathBuf| !fs::read_to_string(file).unwrap().starts_with("//!");
    let silent: Vec<_> = files.iter().filter(is_silent).collect();
    assert!(silent.is_empty(), "these begin without `//!`: {silent:?}");
    assert!(files.len() > 100, "only {} modules were found", files.len());
}
