//! Output: results go to stdout or a file, whole or not at all; messages go to stderr.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, bail};
use clap::builder::{PathBufValueParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use irene_tree::{
    Kernels, Precision, Quantity, Size, Tree, jsonl,
    render::{self, Table},
};
use serde_json::Value;

use crate::{commands::Usage, interrupt::Unfinished, parquet};

/// The width of the terminal: `COLUMNS`, or that of stdout's terminal, or 80 without one.
pub(crate) fn width() -> usize {
    const WITHOUT_TERMINAL: usize = 80;
    /// Narrower ones break lines themselves.
    const LEAST: usize = 40;
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok()).filter(|&width| width > 0);
    let seen = || terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    said.or_else(seen).unwrap_or(WITHOUT_TERMINAL).max(LEAST)
}

/// Prints text for people: no line is wider than the terminal.
pub(crate) fn print_text(text: &str) -> Result<()> {
    print(&render::wrapped(text, width()))
}

/// Prints to stdout as it is, without colours if it is no terminal.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// The version of what JSON answers and files hold; a change that readers must know of raises it.
pub(crate) const SCHEMA_VERSION: u64 = 1;
/// The field that carries it.
pub(crate) const SCHEMA_FIELD: &str = "schema_version";

/// A line of JSON that says its schema's version first.
pub(crate) fn json<N: Into<String>>(fields: impl IntoIterator<Item = (N, Value)>) -> String {
    let fields = fields.into_iter().map(|(name, value)| (name.into(), value));
    let version = (SCHEMA_FIELD.to_owned(), Value::from(SCHEMA_VERSION));
    Value::Object([version].into_iter().chain(fields).collect()).to_string() + "\n"
}

/// A mean percentage error in a table, empty where there is none or no number can hold it.
pub(crate) fn percent(error: Option<f64>) -> String {
    error.filter(|error| error.is_finite()).map_or_else(String::new, |error| format!("{error:.2}"))
}

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
const NO_PARQUET: &str = "this is not written as Parquet; write it as text and convert it with `irene import`";

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
fn target_of(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.read_link()) {
        (Ok(target), _) => target,
        // The pipe of a `>(command)` is there, though its link leads to no name.
        (Err(_), Ok(target)) if !path.exists() => folder_of(path).join(target),
        (Err(_), _) => path.to_owned(),
    }
}

/// The folder that a path is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses a file that one command would write twice, or both read and replace.
pub(crate) fn check_apart(outputs: &[Option<&Path>], inputs: &[Option<&Path>]) -> Result<()> {
    let files = |paths: &[Option<&Path>]| paths.iter().filter_map(|path| lasting((*path)?)).collect::<Vec<_>>();
    let (inputs, mut taken) = (files(inputs), Vec::new());
    for output in files(outputs) {
        let shown = output.display();
        if inputs.contains(&output) {
            return Err(Usage(format!(
                "{shown} would be replaced by what is made from it: give the output another name"
            ))
            .into());
        }
        if taken.contains(&output) {
            return Err(Usage(format!("{shown} would be written twice: give each output a name of its own")).into());
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

/// Makes a folder for what will be written.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    anyhow::ensure!(!path.is_file(), "{}: it is a file; name a folder", path.display());
    std::fs::create_dir_all(path).with_context(|| path.display().to_string())
}

/// The name of an output for people.
pub(crate) fn name(path: &Path) -> String {
    if path.as_os_str() == "-" { "stdout".into() } else { path.display().to_string() }
}

/// Writes to a file, whole or not at all, or to stdout.
pub(crate) fn write(path: Option<&Path>, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    match path.filter(|path| path.as_os_str() != "-") {
        Some(path) if parquet::is_named(path) => bail!("{}: {NO_PARQUET}", path.display()),
        Some(path) => write_file(path, |writer| write(writer)),
        None => {
            let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
            write(&mut stdout)?;
            Ok(stdout.flush()?)
        }
    }
}

/// Writes trees to a file, as a line each or as Parquet by its name, or to stdout.
pub(crate) fn write_trees(path: Option<&Path>, each: &mut parquet::EachTree<'_>) -> Result<()> {
    match path.filter(|path| parquet::is_named(path)) {
        Some(path) => parquet::write_trees(path, each),
        None => write(path, |writer| each(&mut |tree| Ok(jsonl::write_trees(&mut *writer, [tree])?))),
    }
}

/// Text for people, to a file or to stdout: no line is wider than the terminal.
pub(crate) fn write_or_print(path: Option<&Path>, text: &str) -> Result<()> {
    let text = render::wrapped(text, width());
    match path.filter(|path| path.as_os_str() != "-") {
        Some(path) => write_text(path, &text),
        None => print(&text),
    }
}

/// Says something to the person at the terminal.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(anstream::stderr(), "{}", readable(&in_flags(text)));
}

/// Explains a line of folded layers, if a tree that is shown to this depth has one.
pub(crate) fn legend_of_folding(folded: &Tree, whole: &Tree, depth: Option<usize>) -> &'static str {
    let shown = |tree: &Tree| tree.nodes().iter().filter(|node| depth.is_none_or(|most| node.depth() <= most)).count();
    if shown(folded) == shown(whole) {
        return "";
    }
    "\nEqual layers are one line, their figures added up; --unfold shows each.\n"
}

/// A tree's model and input, in words.
pub(crate) fn what_runs(tree: &Tree) -> String {
    let Size { sequences, new, past } = tree.size;
    let mut words = format!("{}, batch {sequences}, sequence {new}", tree.model_name);
    if past > 0 {
        words += &format!(" after {past} in the cache");
    }
    if tree.generated > 0 {
        words += &format!(", {} generated", tree.generated);
    }
    if let Some(training) = tree.training {
        words += &format!(", {training}");
    }
    if tree.precision != Precision::default() {
        words += &format!(", {}", tree.precision);
    }
    if tree.kernels != Kernels::default() {
        words += &format!(", {} kernels", tree.kernels.name());
    }
    if !tree.parallel.is_single() {
        words += &format!(", {} ({} GPUs)", tree.parallel, tree.parallel.gpus());
    }
    words
}

/// One line for a failure, with its causes.
pub(crate) fn complain(error: &anyhow::Error) {
    let style = AnsiColor::Red.on_default().bold();
    // Some errors print their cause themselves.
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // candle's errors may carry a backtrace after their first line.
        let cause = cause.lines().next().unwrap_or_default().to_owned();
        // Some begin with the file that their context names.
        if cause.starts_with(&text) {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    let _ = writeln!(anstream::stderr(), "{style}error:{style:#} {}", readable(&in_flags(&text)));
}

/// A message with flags in place of the fields that errors of libraries name: --tensor-parallel 2 rather than parallel.tensor 2.
pub(crate) fn in_flags(message: &str) -> String {
    irene_advice::in_settings(message, |setting| format!("--{}", setting.replace('_', "-")))
}

/// A message as a person can read it: names that come from files may have megabytes and any characters, and some numbers hundreds of
/// digits.
pub(crate) fn readable(text: &str) -> String {
    const LINE: usize = 2000;
    let line = |line: &str| cut(&line.split_inclusive(' ').map(word).collect::<String>(), LINE);
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A word of a message: a long number in powers of ten, and of a long name its ends.
fn word(word: &str) -> String {
    const WORD: usize = 300;
    const DIGITS: usize = 24;
    let is_digit = |c: char| c.is_ascii_digit();
    let digits = word.find(is_digit).zip(word.rfind(is_digit)).map(|(first, last)| first..last + 1);
    if let Some(place) = digits.filter(|place| place.len() > DIGITS)
        && word[place.clone()].chars().all(|c| is_digit(c) || c == '.')
    {
        let digits = &word[place.clone()];
        let number = digits.parse().ok().filter(|number: &f64| number.is_finite());
        let number = number.map_or_else(|| cut(digits, DIGITS), |number| format!("{number:e}"));
        return format!("{}{number}{}", &word[..place.start], &word[place.end..]);
    }
    cut(word, WORD).chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The beginning and the end of a longer text.
fn cut(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let end = most / 3;
    text.chars().take(most - end).chain(['…']).chain(text.chars().skip(count - end)).collect()
}

pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// Writes a file through a temporary one beside it, so that it is there whole or not at all. A pipe or a device is written to
/// directly.
pub(crate) fn write_file(path: &Path, write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    // A link stays a link to the written file.
    let target = target_of(path);
    let existing = target.metadata().ok();
    anyhow::ensure!(!target.is_dir(), "cannot write {}: it is a directory", path.display());
    // Only an input or output error is about this file.
    let about = |error: anyhow::Error| if error.is::<std::io::Error>() { error.context(cannot()) } else { error };
    if existing.as_ref().is_some_and(|metadata| !metadata.is_file()) {
        let mut file = std::fs::OpenOptions::new().write(true).open(&target).with_context(cannot)?;
        return write(&mut file).map_err(about);
    }
    let dir = folder_of(&target);
    anyhow::ensure!(dir.is_dir(), "cannot write {}: there is no folder {}", path.display(), dir.display());
    let mut file = temporary(dir, existing.as_ref()).with_context(cannot)?;
    let _unfinished = Unfinished::new(file.path());
    let mut buffered = std::io::BufWriter::new(&mut file);
    write(&mut buffered).map_err(about)?;
    buffered.flush().with_context(cannot)?;
    drop(buffered);
    file.as_file().sync_all().with_context(cannot)?;
    file.persist(&target).with_context(cannot)?;
    Ok(())
}

/// A temporary file with the permissions of the file it will replace, or of any new file.
fn temporary(dir: &Path, existing: Option<&std::fs::Metadata>) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".irene-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Less the user's mask, as for every new file.
        const NEW: u32 = 0o666;
        builder.permissions(std::fs::Permissions::from_mode(NEW));
    }
    // Its own words name the temporary file.
    let file = builder.tempfile_in(dir).map_err(|error| std::io::Error::from(error.kind()))?;
    if let Some(existing) = existing {
        file.as_file().set_permissions(existing.permissions())?;
    }
    Ok(file)
}

/// Writes these bytes to a file, as [`write_file`] does.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_file(path, |writer| Ok(writer.write_all(bytes)?))
}

/// Writes text to a file, without colours.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<()> {
    write_bytes(path, anstream::adapter::strip_str(text).to_string().as_bytes())
}

/// A bar on stderr, shown only on a terminal.
pub(crate) fn progress(steps: u64, what: &'static str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}").unwrap_or(ProgressStyle::default_bar());
    let bar = ProgressBar::new(steps).with_style(style).with_message(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// The table with its rows coloured by share of the energy, and its branches dimmed.
pub(crate) fn styled(tree: &Tree, table: &Table) -> String {
    const HOT: f64 = 0.2;
    const WARM: f64 = 0.05;
    let (label_width, widths) = table.widths();
    let cells = |cells: &[String]| -> String {
        let aligned = cells.iter().zip(&widths);
        aligned.map(|(cell, &width)| format!("  {cell:>width$}")).collect()
    };
    let titles: Vec<String> = table.columns.iter().map(|column| column.title().to_owned()).collect();
    let bold = Style::new().bold();
    let titles = format!("{:label_width$}{}", "node", cells(&titles));
    let mut out = format!("{bold}{}{bold:#}\n", titles.trim_end());
    for row in &table.rows {
        let style = match tree.share(row.id, Quantity::PredictedEnergy) {
            Some(share) if share >= HOT => AnsiColor::Red.on_default(),
            Some(share) if share >= WARM => AnsiColor::Yellow.on_default(),
            _ => Style::new(),
        };
        let dim = Style::new().dimmed();
        let rest = label_width - row.branch.chars().count();
        let (branch, label, cells) = (&row.branch, &row.label, cells(&row.cells));
        out += format!("{dim}{branch}{dim:#}{label:rest$}{style}{cells}{style:#}").trim_end();
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_readable_whatever_its_names_and_numbers_are() {
        let plain = "f.jsonl, line 3: batch size must be from 1 to 16777216, found 0.000123 (root.encoder.0-11)";
        assert_eq!(readable(plain), plain);
        assert_eq!(
            readable(&format!("power limit of {}W,\nthen `{}`: x", 1e308, 1e-320)),
            "power limit of 1e308W,\nthen `1e-320`: x"
        );
        let long = readable(&format!("f.jsonl, line 1: {}: no figure", "b".repeat(5_000_000)));
        assert!(
            long.starts_with("f.jsonl, line 1: bbb") && long.ends_with("b: no figure") && long.len() < 400,
            "{long}"
        );
        let columns = readable(&format!("the file has {}; give another", "a column, ".repeat(10_000)));
        assert!(columns.starts_with("the file has a column") && columns.ends_with("; give another"), "{columns}");
        assert!(columns.chars().count() <= 2001);
        assert_eq!(readable(&"9".repeat(400)).chars().count(), 25);
        assert_eq!(readable("o/a\u{1b}[2Jb\tc"), "o/a\u{fffd}[2Jb\u{fffd}c");
    }
}
