//! Names of files that will be written.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::builder::{PathBufValueParser, TypedValueParser};

use super::temporary;
use crate::{commands::usage, parquet};

/// A file that will be written, in a folder that is there: what takes minutes must not end at its name.
pub(crate) fn file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        if path.as_os_str() == "-" {
            return Err("this goes to a file, not to stdout: give its name".to_owned());
        }
        in_folder(path)
    })
}

/// The way out for what is never Parquet.
pub(super) const NO_PARQUET: &str =
    "this is not written as Parquet; write it as text and convert it with `irene import`";

/// The same, of what is never Parquet.
pub(crate) fn text_file() -> impl TypedValueParser<Value = PathBuf> {
    file().try_map(|path| {
        if parquet::is_named(&path) {
            return Err(NO_PARQUET.to_owned());
        }
        Ok(path)
    })
}

/// The same, of trees or records a line, which are never CSV.
#[cfg(feature = "candle")]
pub(crate) fn lines_file() -> impl TypedValueParser<Value = PathBuf> {
    text_file().try_map(|path| {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
            return Err("JSON is written, one object a line, not CSV; name a file that ends in .jsonl".to_owned());
        }
        Ok(path)
    })
}

/// The same where `-` is stdout.
pub(crate) fn file_or_stdout() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(in_folder)
}

fn in_folder(path: PathBuf) -> Result<PathBuf, String> {
    let target = target_of(&path);
    if target.is_dir() {
        return Err("it is a directory".to_owned());
    }
    // Stdout, pipes and devices need no folder.
    if path.as_os_str() == "-" || target.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Ok(path);
    }
    let folder = folder_of(&target);
    if !folder.is_dir() {
        return Err(format!("there is no folder {}", folder.display()));
    }
    match temporary(folder, None) {
        Ok(_) => Ok(path),
        Err(error) => Err(format!("no file can be written in {}: {error}", folder.display())),
    }
}

/// The file that a path leads to, also where a link leads to one that is not there yet.
pub(super) fn target_of(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.read_link()) {
        (Ok(target), _) => target,
        // The pipe of a `>(command)` is there, though its link leads to no name.
        (Err(_), Ok(target)) if !path.exists() => folder_of(path).join(target),
        (Err(_), _) => path.to_owned(),
    }
}

/// The folder that a path is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses a file that one command would write twice, or both read and replace.
pub(crate) fn check_apart(outputs: &[Option<&Path>], inputs: &[Option<&Path>]) -> Result<()> {
    let files = |paths: &[Option<&Path>]| paths.iter().filter_map(|path| lasting((*path)?)).collect::<Vec<_>>();
    let (inputs, mut taken) = (files(inputs), Vec::new());
    for output in files(outputs) {
        let shown = output.display();
        if inputs.contains(&output) {
            return usage(format!("{shown} would be replaced by what is made from it: give the output another name"));
        }
        if taken.contains(&output) {
            return usage(format!("{shown} would be written twice: give each output a name of its own"));
        }
        taken.push(output);
    }
    Ok(())
}

/// The file that a path leads to, which need not be there yet; None for what keeps nothing, such as stdout, a pipe or a device.
fn lasting(path: &Path) -> Option<PathBuf> {
    if path.as_os_str() == "-" || path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return None;
    }
    let new = || Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(new)
}
