use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use super::parse::parse_tree;
use crate::{Error, Result, Tree, file_fault};

/// Reads trees one line at a time: memory holds one line and one tree, whatever the size of the file.
///
/// Blank lines are skipped. A line that is not a tree gives an error naming it, and reading can go on with the next.
#[derive(Debug)]
pub struct TreeReader<R> {
    origin: String,
    input: R,
    line: usize,
    buffer: Vec<u8>,
}

impl TreeReader<BufReader<File>> {
    /// Reads the file at this path.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened; [`Error::File`] if another thing stands in its place.
    pub fn open(path: &Path) -> Result<Self> {
        let explained = |source| match file_fault(path) {
            Some(reason) => Error::File { path: path.to_owned(), reason },
            None => Error::Io { path: path.to_owned(), source },
        };
        let mut input = BufReader::with_capacity(1 << 16, File::open(path).map_err(explained)?);
        let first = input.fill_buf().map_err(explained)?.first();
        // A line of trees begins with a brace. Before anything else, the file itself says more than its first line.
        let is_json = first.is_some_and(|first| b"{ \t\r\n".contains(first));
        if let Some(reason) = (!is_json).then(|| file_fault(path)).flatten() {
            return Err(Error::File { path: path.to_owned(), reason });
        }
        Ok(Self::new(path.display().to_string(), input))
    }
}

impl<R: BufRead> TreeReader<R> {
    /// Reads any stream; `origin` names it in errors.
    pub fn new(origin: impl Into<String>, input: R) -> Self {
        Self { origin: origin.into(), input, line: 0, buffer: Vec::new() }
    }
}

impl<R: BufRead> Iterator for TreeReader<R> {
    type Item = Result<Tree>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.buffer.clear();
            self.line += 1;
            match self.input.read_until(b'\n', &mut self.buffer) {
                Ok(0) => return None,
                Ok(_) if self.buffer.trim_ascii().is_empty() => {}
                Ok(_) => return Some(parse_tree(&self.buffer, &self.origin, self.line)),
                Err(source) => return Some(Err(Error::Io { path: self.origin.clone().into(), source })),
            }
        }
    }
}

/// All trees of a file, each checked.
///
/// # Errors
/// [`Error::Io`], [`Error::Line`] or [`Error::Node`] with what is wrong and where.
pub fn read_trees(path: &Path) -> Result<Vec<Tree>> {
    TreeReader::open(path)?.collect()
}
