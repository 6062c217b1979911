//! Files that a user names, where `-` is standard input.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use anyhow::{Context, Result};
use irene_tree::jsonl::TreeReader;

/// Its name in errors.
const STANDARD_INPUT: &str = "stdin";

pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A file or standard input, and its name for errors.
pub(crate) fn open(path: &Path) -> Result<(String, Box<dyn BufRead>)> {
    if is_standard(path) {
        return Ok((STANDARD_INPUT.into(), Box::new(std::io::stdin().lock())));
    }
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| name.clone())?;
    Ok((name, Box::new(BufReader::with_capacity(1 << 16, file))))
}

/// The text of a file or of standard input, and its name for errors.
pub(crate) fn text(path: &Path) -> Result<(String, String)> {
    if !is_standard(path) {
        let name = path.display().to_string();
        return Ok((name.clone(), irene_tree::read_text(path).context(name)?));
    }
    Ok((STANDARD_INPUT.into(), std::io::read_to_string(std::io::stdin().lock()).context(STANDARD_INPUT)?))
}

/// The trees of a file or of standard input, one at a time.
pub(crate) fn trees(path: &Path) -> Result<TreeReader<Box<dyn BufRead>>> {
    if is_standard(path) {
        return Ok(TreeReader::new(STANDARD_INPUT, Box::new(std::io::stdin().lock())));
    }
    Ok(TreeReader::open(path)?.boxed())
}

/// Whether a file, or standard input, holds trees: it ends in .jsonl, or its first line is of a tree. Whoever reads it next says what is
/// wrong with it.
pub(crate) fn holds_trees(path: &Path) -> Result<bool> {
    if path.extension().is_some_and(|extension| extension == "jsonl") {
        return Ok(true);
    }
    if is_standard(path) {
        // This takes nothing from the buffer: the reader sees the same bytes again.
        return Ok(is_of_trees(std::io::stdin().lock().fill_buf().context(STANDARD_INPUT)?));
    }
    if !path.is_file() {
        return Ok(false);
    }
    let mut beginning = Vec::new();
    let (name, reader) = open(path)?;
    reader.take(BEGINNING).read_to_end(&mut beginning).with_context(|| name)?;
    Ok(is_of_trees(&beginning))
}

/// The name of the tree stands near the beginning of its line.
const BEGINNING: u64 = 4096;

fn is_of_trees(beginning: &[u8]) -> bool {
    let first = beginning.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    String::from_utf8_lossy(&first[..first.len().min(BEGINNING as usize)]).contains("\"frontend_tree\"")
}
