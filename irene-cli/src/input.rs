//! Files that a user names, where `-` is standard input.

use std::{
    fs::File,
    io::{BufRead, BufReader, Cursor, Read},
    path::Path,
};

use anyhow::{Context, Result};
use irene_tree::{
    Tree,
    jsonl::{self, TreeReader},
};

use crate::parquet;

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
    if parquet::is_named(path) {
        return Ok((name, Box::new(Cursor::new(parquet::text(path)?))));
    }
    let file = File::open(path).with_context(|| name.clone())?;
    Ok((name, Box::new(BufReader::with_capacity(1 << 16, file))))
}

/// The text of a file or of standard input, and its name for errors.
pub(crate) fn text(path: &Path) -> Result<(String, String)> {
    if !is_standard(path) {
        let name = path.display().to_string();
        if parquet::is_named(path) {
            return Ok((name, parquet::text(path)?));
        }
        return Ok((name.clone(), irene_tree::read_text(path).context(name)?));
    }
    Ok((STANDARD_INPUT.into(), std::io::read_to_string(std::io::stdin().lock()).context(STANDARD_INPUT)?))
}

/// The trees of a file or of standard input, one at a time.
pub(crate) struct Trees {
    origin: String,
    each: Box<dyn Iterator<Item = irene_tree::Result<Tree>>>,
}

/// Opens a file of trees, or standard input.
pub(crate) fn trees(path: &Path) -> irene_tree::Result<Trees> {
    if is_standard(path) {
        let each = TreeReader::new(STANDARD_INPUT, std::io::stdin().lock());
        return Ok(Trees { origin: STANDARD_INPUT.into(), each: Box::new(each) });
    }
    let origin = path.display().to_string();
    if parquet::is_named(path) {
        return Ok(Trees { origin, each: parquet::trees(path)? });
    }
    Ok(Trees { origin, each: Box::new(TreeReader::open(path)?) })
}

/// The trees that were spooled from standard input.
pub(crate) fn spooled_trees(file: &Path) -> irene_tree::Result<Trees> {
    let opened = File::open(file).map_err(|source| irene_tree::Error::Io { path: STANDARD_INPUT.into(), source })?;
    let each = TreeReader::new(STANDARD_INPUT, BufReader::with_capacity(1 << 16, opened));
    Ok(Trees { origin: STANDARD_INPUT.into(), each: Box::new(each) })
}

impl Iterator for Trees {
    type Item = irene_tree::Result<Tree>;

    fn next(&mut self) -> Option<Self::Item> {
        self.each.next()
    }
}

impl Trees {
    /// All trees, with their ids unique.
    pub(crate) fn all(mut self) -> irene_tree::Result<Vec<Tree>> {
        let trees = self.by_ref().collect::<irene_tree::Result<Vec<Tree>>>()?;
        jsonl::check_ids(&self.origin, &trees)?;
        Ok(trees)
    }
}

/// Standard input as a file that can be read again; None for any other path.
pub(crate) fn spooled(path: &Path) -> Result<Option<tempfile::NamedTempFile>> {
    if !is_standard(path) {
        return Ok(None);
    }
    let mut file = tempfile::NamedTempFile::new().context("cannot keep stdin in a temporary file")?;
    std::io::copy(&mut std::io::stdin().lock(), &mut file).context(STANDARD_INPUT)?;
    Ok(Some(file))
}

/// Whether a file, or standard input, holds trees: it ends in .jsonl, or its first line is of a tree. Whoever reads it next says what is
/// wrong with it.
pub(crate) fn holds_trees(path: &Path) -> Result<bool> {
    if path.extension().is_some_and(|extension| extension == "jsonl") {
        return Ok(true);
    }
    begins_with_tree(path)
}

/// The same by what is in it alone: records are in .jsonl files too.
pub(crate) fn begins_with_tree(path: &Path) -> Result<bool> {
    if parquet::is_named(path) && path.is_file() {
        return parquet::holds_trees(path);
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
