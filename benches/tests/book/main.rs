//! The book in docs/: its pages and links, the graph of the crates, what it says of limits, and every number of the worked example.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // a test that cannot read its pages should stop, and say so

mod crates;
mod curves;
mod figures;
mod limits;
mod manifests;
mod outside;
mod pages;
mod picture;
mod readme;
mod worked_example;

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn docs() -> PathBuf {
    root().join("docs")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// That a picture in docs is what it should be. `IRENE_DRAW=1` draws it.
fn drawn(name: &str, svg: &str) {
    let path = docs().join(name);
    if std::env::var_os("IRENE_DRAW").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, svg).unwrap();
    }
    assert!(read(&path) == svg, "docs/{name} is not what it is drawn from; IRENE_DRAW=1 draws it anew");
}

/// The markdown files of a folder, in order.
fn markdown_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    files.sort();
    files
}

/// A page's lines that are not in a block of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_block = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        !in_block && !is_fence
    })
}
