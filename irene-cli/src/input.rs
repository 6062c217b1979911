//! Files that a user names, where `-` is standard input. Pipes and devices are read once alone, as it is.

use std::{
    cell::{Cell, RefCell},
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use irene_tree::{file_fault, jsonl::TreeReader};

use crate::{
    interrupt::Unfinished,
    parquet::{self, Trees},
};

/// Its name in errors.
const STANDARD_INPUT: &str = "stdin";

pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether it can be read once alone: standard input, a pipe, a device.
pub(crate) fn is_stream(path: &Path) -> bool {
    is_standard(path) || path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// The name of a file for people.
pub(crate) fn name(path: &Path) -> String {
    if is_standard(path) { STANDARD_INPUT.into() } else { path.display().to_string() }
}

/// A stream of which some was looked at.
struct Begun {
    path: PathBuf,
    beginning: Vec<u8>,
    rest: Box<dyn BufRead>,
}

thread_local! {
    /// Whoever reads one of these next gets its beginning again.
    static BEGUN: RefCell<Vec<Begun>> = const { RefCell::new(Vec::new()) };
    static STANDARD_INPUT_IS_TAKEN: Cell<bool> = const { Cell::new(false) };
}

/// Opens what nothing was read of.
fn fresh(path: &Path) -> io::Result<Box<dyn BufRead>> {
    if !is_standard(path) {
        return Ok(Box::new(BufReader::with_capacity(1 << 16, File::open(path)?)));
    }
    if STANDARD_INPUT_IS_TAKEN.replace(true) {
        return Err(io::Error::other("it is read once alone: give `-` once, and files beside it"));
    }
    Ok(Box::new(io::stdin().lock()))
}

/// Opens a file or a stream, each from its beginning.
fn reader(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let begun = BEGUN.with_borrow_mut(|all| {
        let place = all.iter().position(|begun| begun.path == path)?;
        Some(all.swap_remove(place))
    });
    match begun {
        Some(Begun { beginning, rest, .. }) => Ok(Box::new(Cursor::new(beginning).chain(rest))),
        None => fresh(path),
    }
}

/// The first line of a stream that is not empty, or as much of it as tells what it is.
fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let known = |all: &Vec<Begun>| all.iter().find(|begun| begun.path == path).map(|begun| begun.beginning.clone());
    if let Some(known) = BEGUN.with_borrow(known) {
        return Ok(known);
    }
    let (mut rest, mut beginning) = (fresh(path)?, Vec::new());
    let mut limited = rest.by_ref().take(BEGINNING);
    // A pipe gives as much as was written by now, which may end anywhere.
    while limited.read_until(b'\n', &mut beginning)? > 0 && beginning.trim_ascii().is_empty() {}
    BEGUN.with_borrow_mut(|all| all.push(Begun { path: path.to_owned(), beginning: beginning.clone(), rest }));
    Ok(beginning)
}

/// A file that is not a model's, or standard input, and its name for errors.
pub(crate) fn open(path: &Path) -> Result<(String, Box<dyn BufRead>)> {
    let name = name(path);
    if parquet::is_named(path) {
        return Ok((name, Box::new(Cursor::new(parquet::text(path)?))));
    }
    if let Some(fault) = file_fault(path).filter(|_| !is_stream(path)) {
        bail!("{name}: {fault}");
    }
    let reader = reader(path).with_context(|| name.clone())?;
    Ok((name, reader))
}

/// The text of a file or of standard input, and its name for errors.
pub(crate) fn text(path: &Path) -> Result<(String, String)> {
    let name = name(path);
    let text = if parquet::is_named(path) {
        parquet::text(path)?
    } else if is_stream(path) {
        reader(path).and_then(io::read_to_string).with_context(|| name.clone())?
    } else {
        irene_tree::read_text(path).with_context(|| name.clone())?
    };
    Ok((name, text))
}

/// Opens a file of trees, or standard input.
pub(crate) fn trees(path: &Path) -> irene_tree::Result<Trees> {
    if parquet::is_named(path) {
        return parquet::trees(path);
    }
    if !is_stream(path) {
        return Ok(Box::new(TreeReader::open(path)?));
    }
    let origin = name(path);
    let reader = reader(path).map_err(|source| irene_tree::Error::Io { path: origin.clone().into(), source })?;
    Ok(Box::new(TreeReader::new(origin, reader)))
}

/// The trees of a stream that were spooled.
pub(crate) fn spooled_trees(stream: &Path, spooled: &Spooled) -> irene_tree::Result<Trees> {
    let origin = name(stream);
    let opened =
        spooled.file.reopen().map_err(|source| irene_tree::Error::Io { path: origin.clone().into(), source })?;
    Ok(Box::new(TreeReader::new(origin, BufReader::with_capacity(1 << 16, opened))))
}

/// A stream that is kept as a file, to be read again.
pub(crate) struct Spooled {
    file: tempfile::NamedTempFile,
    _unfinished: Unfinished,
}

/// The same; None for what is a file already.
pub(crate) fn spooled(path: &Path) -> Result<Option<Spooled>> {
    if !is_stream(path) {
        return Ok(None);
    }
    let name = name(path);
    let mut file = tempfile::NamedTempFile::new().with_context(|| format!("cannot keep {name} in a temporary file"))?;
    let _unfinished = Unfinished::new(file.path());
    reader(path).and_then(|mut reader| io::copy(&mut reader, &mut file)).with_context(|| name)?;
    Ok(Some(Spooled { file, _unfinished }))
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
    if is_stream(path) {
        return Ok(is_of_trees(&beginning(path).with_context(|| name(path))?));
    }
    if !path.is_file() {
        return Ok(false);
    }
    let mut beginning = Vec::new();
    let read = fresh(path).and_then(|reader| reader.take(BEGINNING).read_to_end(&mut beginning));
    read.with_context(|| name(path))?;
    Ok(is_of_trees(&beginning))
}

/// The name of the tree stands near the beginning of its line.
const BEGINNING: u64 = 4096;

fn is_of_trees(beginning: &[u8]) -> bool {
    let first = beginning.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    String::from_utf8_lossy(&first[..first.len().min(BEGINNING as usize)]).contains("\"frontend_tree\"")
}
