//! Where results and talk go: results to stdout or a file, whole or not at all; talk to stderr.

use std::{io::Write, path::Path, time::Duration};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use irene_tree::{Quantity, Tree, render::Table};

/// Prints to stdout, without colours if it is no terminal.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Says something to the person at the terminal.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// One line for a failure, with its causes.
pub(crate) fn complain(error: &anyhow::Error) {
    let style = AnsiColor::Red.on_default().bold();
    let text = format!("{error:#}").replace('\n', " ");
    let _ = writeln!(anstream::stderr(), "{style}error:{style:#} {text}");
}

pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// Writes a file through a temporary one beside it, so that it is there whole or not at all.
pub(crate) fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".irene-").tempfile_in(dir).with_context(cannot)?;
    let mut buffered = std::io::BufWriter::new(&mut file);
    // What fails in making the content is not about this file.
    write(&mut buffered).map_err(|error| if error.is::<std::io::Error>() { error.context(cannot()) } else { error })?;
    buffered.flush().with_context(cannot)?;
    drop(buffered);
    file.as_file().sync_all().with_context(cannot)?;
    keep_permissions(&file).with_context(cannot)?;
    file.persist(path).with_context(cannot)?;
    Ok(())
}

/// Writes text to a file, without colours.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<()> {
    let plain = anstream::adapter::strip_str(text).to_string();
    write_file(path, |writer| Ok(writer.write_all(plain.as_bytes())?))
}

/// A temporary file is for its owner alone; a result is like any other new file.
#[cfg(unix)]
fn keep_permissions(file: &tempfile::NamedTempFile) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    const READABLE: u32 = 0o644;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(READABLE))
}

#[cfg(not(unix))]
fn keep_permissions(_file: &tempfile::NamedTempFile) -> std::io::Result<()> {
    Ok(())
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
    let titles: Vec<String> = table.titles.iter().map(|title| (*title).to_owned()).collect();
    let bold = Style::new().bold();
    let mut out = format!("{bold}{:label_width$}{}{bold:#}\n", "node", cells(&titles));
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
