//! Output: results go to stdout or a file, whole or not at all; messages go to stderr.

mod messages;
mod paths;

use std::{io::Write, path::Path, time::Duration};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use irene_tree::{
    Kernels, Precision, Quantity, Size, Tree, jsonl,
    render::{self, Table},
};
use serde_json::Value;

use self::paths::{NO_PARQUET, folder_of, target_of};
use crate::{interrupt::Unfinished, parquet};

pub(crate) use messages::{complain, in_flags, readable, reason_in_flags, tell};
pub(crate) use paths::{check_apart, file_or_stdout, text_file};
#[cfg(feature = "candle")]
pub(crate) use paths::{file, lines_file};

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

/// Writes a result to a file or to stdout: text for people no wider than the terminal, all else as it is.
pub(crate) fn write_result(path: Option<&Path>, text: &str, is_for_people: bool) -> Result<()> {
    if !is_for_people {
        return write(path, |writer| Ok(writer.write_all(text.as_bytes())?));
    }
    let text = render::wrapped(text, width());
    match path.filter(|path| path.as_os_str() != "-") {
        Some(path) => write_text(path, &text),
        None => print(&text),
    }
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
