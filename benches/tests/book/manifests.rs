//! Manifests and sources agree: examples and the lines of Cargo.toml that they need, descriptions, modules.

use std::path::PathBuf;

use crate::{docs, markdown_files, read, root};

/// The book's pages and the READMEs of the repository and its crates.
fn pages() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let readmes = folders.map(|folder| folder.join("README.md")).filter(|readme| readme.is_file());
    markdown_files(&docs()).into_iter().chain(readmes).chain([root().join("README.md")]).collect()
}

/// The blocks of code in a page, each with the language that it says.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| !line.trim_start().starts_with("```")).collect();
            found.push((language.to_owned(), block.join("\n")));
        }
    }
    found
}

/// The crates that a program may name, by their names in Cargo.toml: the workspace's and those it depends on.
fn crates() -> Vec<String> {
    let manifest = read(&root().join("Cargo.toml"));
    let dependencies = manifest.split("[workspace.dependencies]").nth(1).unwrap();
    let dependencies = dependencies.lines().take_while(|line| !line.starts_with('['));
    dependencies.filter_map(|line| Some(line.split_once(" = ")?.0.trim().to_owned())).collect()
}

/// The features that a line of Cargo.toml asks for.
fn features(line: &str) -> Vec<&str> {
    let list = line.split("features = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
    list.split(',').map(|feature| feature.trim().trim_matches('"')).filter(|feature| !feature.is_empty()).collect()
}

#[test]
fn every_rust_example_stands_beside_the_lines_of_cargo_toml_that_it_needs() {
    let (mut examples, crates) = (0, crates());
    for path in pages() {
        let blocks = blocks(&read(&path));
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let of = |wanted: &'static str| {
            blocks.iter().filter(move |(language, _)| language == wanted).map(|(_, block)| block)
        };
        let lines: Vec<&str> = of("toml").flat_map(|block| block.lines()).collect();
        for block in of("rust") {
            examples += 1;
            for needed in &crates {
                // A path begins with the crate, or it is imported.
                let word = format!("{}::", needed.replace('-', "_"));
                let is_used = block.match_indices(&word).any(|(at, _)| {
                    let before = block[..at].chars().next_back();
                    before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':'))
                });
                let line = format!("{needed} = ");
                assert!(
                    !is_used || lines.iter().any(|known| known.starts_with(&line)),
                    "{name}: an example uses {needed}, and no block of Cargo.toml names it"
                );
            }
        }
    }
    assert!(examples >= 17, "only {examples} examples");
}

#[test]
fn the_lines_of_cargo_toml_name_crates_and_features_that_there_are() {
    for path in pages() {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let blocks = blocks(&read(&path));
        let lines = blocks.iter().filter(|(language, _)| language == "toml").flat_map(|(_, block)| block.lines());
        for line in lines.filter(|line| line.contains("path = \"irene/")) {
            let folder = line.split("path = \"irene/").nth(1).unwrap().split('"').next().unwrap();
            assert_eq!(line.split(" = ").next(), Some(folder), "{name}: {line}");
            let manifest = read(&root().join(folder).join("Cargo.toml"));
            for feature in features(line) {
                assert!(manifest.contains(&format!("\n{feature} = [")), "{name}: {folder} has no feature {feature}");
            }
        }
    }
}

/// rustc leaves out a file that no module names, and says nothing.
#[test]
fn every_file_of_a_suite_of_tests_is_one_of_its_modules() {
    let mut modules = 0;
    for folder in std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path().join("tests/suite")) {
        if !folder.is_dir() {
            continue;
        }
        let main = read(&folder.join("main.rs"));
        for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_stem().unwrap().to_str().unwrap();
            if path.extension().is_some_and(|extension| extension == "rs") && name != "main" {
                modules += 1;
                assert!(main.contains(&format!("\nmod {name};")), "{}: no module of main.rs", path.display());
            }
        }
    }
    assert!(modules >= 80, "only {modules} modules");
}

/// Registries show the description, docs.rs the documentation's first sentence.
#[test]
fn every_library_describes_itself_by_the_first_sentence_of_its_documentation() {
    let mut libraries = 0;
    for folder in std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()) {
        let library = folder.join("src/lib.rs");
        let manifest = folder.join("Cargo.toml");
        if !library.is_file() || !manifest.is_file() {
            continue;
        }
        let manifest = read(&manifest);
        let Some(description) = manifest.lines().find_map(|line| line.strip_prefix("description = ")) else { continue };
        if manifest.contains("publish = false") {
            continue;
        }
        libraries += 1;
        let library = read(&library);
        let first: Vec<&str> = library.lines().map_while(|line| line.strip_prefix("//! ")).collect();
        let sentence = first.join(" ").replace('`', "");
        assert_eq!(description.trim_matches('"'), sentence.trim_end_matches('.'), "{}", folder.display());
    }
    assert!(libraries >= 15, "only {libraries} libraries");
}
