//! One file a command.

pub(crate) mod advice;
mod alike;
pub(crate) mod bench;
pub(crate) mod calibrate;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod crossvalidate;
pub(crate) mod devices;
pub(crate) mod doctor;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod explore;
mod following;
pub(crate) mod import;
#[cfg(feature = "candle")]
mod jobs;
mod learning_curves;
pub(crate) mod man;
#[cfg(feature = "candle")]
mod measuring;
mod meters;
mod method;
pub(crate) mod models;
pub(crate) mod numbers;
pub(crate) mod operations;
pub(crate) mod predict;
mod predictor;
#[cfg(feature = "candle")]
pub(crate) mod profile;
pub(crate) mod report;
pub(crate) mod reproduce;
#[cfg(feature = "candle")]
pub(crate) mod run;
#[cfg(feature = "candle")]
mod running;
pub(crate) mod sample;
pub(crate) mod serve;
mod setting;
#[cfg(feature = "text")]
mod text;
pub(crate) mod trace;
pub(crate) mod train;
mod training;
pub(crate) mod trees;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use irene_tree::{Quantity, Tree, render};

use crate::{output, settings, sheet::Format};

/// Arguments that contradict each other, or lack one another.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Refuses arguments in these words.
pub(crate) fn usage<T>(words: impl Into<String>) -> Result<T> {
    Err(Usage(words.into()).into())
}

/// The end of a measurement that was stopped, whose file is kept.
pub(crate) fn stopped(output: &Path) -> anyhow::Error {
    anyhow::anyhow!("stopped; what was measured is kept, and `--resume -o {}` goes on from it", output.display())
}

/// An end with the exit code of a command that was run.
#[derive(Debug)]
pub(crate) struct Exit {
    code: u8,
    /// None if the command has said it.
    reason: Option<String>,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason.as_deref().unwrap_or("the command failed"))
    }
}

impl std::error::Error for Exit {}

impl Exit {
    /// The end because a command could not be run, with the code that a shell would give.
    pub(crate) fn not_run(reason: String, error: &std::io::Error) -> anyhow::Error {
        const NOT_FOUND: u8 = 127;
        const NOT_EXECUTABLE: u8 = 126;
        let code = if error.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        Self { code, reason: Some(reason) }.into()
    }

    /// The end with the code of a command that has said why.
    pub(crate) fn with(code: u8) -> anyhow::Error {
        Self { code, reason: None }.into()
    }
}

/// Ends with 1 where some lack what the command has made of the others, and says how many: `error: 2 of 4 rows left out`.
fn check_lacking(lacking: usize, all: usize, noun: &str, what: &str) -> Result<()> {
    if lacking == 0 {
        return Ok(());
    }
    output::tell(&format!("error: {lacking} of {} {what}", trees::count(all, noun)));
    Err(Exit::with(1))
}

/// Says what went wrong; the code to exit with.
pub(crate) fn complain(error: &anyhow::Error) -> std::process::ExitCode {
    /// Wrong usage, by clap's convention and ours.
    const USAGE: u8 = 2;
    if let Some(Exit { code, reason }) = error.downcast_ref() {
        if reason.is_some() {
            output::complain(error);
        }
        return (*code).into();
    }
    output::complain(error);
    if error.is::<Usage>() { USAGE.into() } else { std::process::ExitCode::FAILURE }
}

/// The name of a machine without one.
const UNNAMED: &str = "a machine without a name";

/// How a result is printed.
#[derive(clap::Args)]
pub(crate) struct FormatArgs {
    /// How results are printed [default: text]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl FormatArgs {
    pub(crate) fn format(&self) -> Format {
        self.format.or(settings::get().format).unwrap_or(Format::Text)
    }
}

/// How trees are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TreeFormat {
    /// For people
    Text,
    /// The interchange format; of several settings a summary
    Json,
    /// A line a node; of several settings a line each
    Csv,
    /// Graphviz's language
    Dot,
    /// Stacks for a flame graph, in nJ; those of `irene trace` in FLOPs
    Folded,
}

/// How trees are printed, and where.
#[derive(clap::Args)]
pub(crate) struct TreeOutputArgs {
    /// How results are printed [default: as the output's name ends, or text]
    #[arg(long, value_enum)]
    format: Option<TreeFormat>,
    /// Write here instead of to stdout, whole or not at all
    #[arg(short, long, value_name = "FILE", value_parser = output::file_or_stdout())]
    output: Option<PathBuf>,
    /// Show the tree to this depth (text)
    #[arg(long, value_name = "N", value_parser = numbers::size_or_zero)]
    depth: Option<usize>,
    /// Show equal layers one by one (text, dot)
    #[arg(long)]
    unfold: bool,
    /// Show the single operations that modules run themselves
    #[arg(long)]
    math: bool,
}

impl TreeOutputArgs {
    /// Whether each of several trees is shown in full.
    fn shows_each(&self) -> bool {
        self.depth.is_some() || self.unfold || self.math
    }

    /// Refuses flags without an effect in this format.
    fn check(&self, format: TreeFormat) -> Result<()> {
        refuse(format != TreeFormat::Text, "--format text", &[("--depth", self.depth.is_some())])?;
        let folds = matches!(format, TreeFormat::Text | TreeFormat::Dot);
        refuse(!folds, "--format text or dot", &[("--unfold", self.unfold)])
    }

    /// The format that is asked for, or that the output's name says, or `in_files` for an output whose name says none, or that of the
    /// settings.
    pub(crate) fn format(&self, in_files: Option<TreeFormat>) -> TreeFormat {
        let by_name = |path: &Path| match path.extension()?.to_str()? {
            "json" | "jsonl" | "parquet" => Some(TreeFormat::Json),
            "csv" => Some(TreeFormat::Csv),
            "txt" => Some(TreeFormat::Text),
            "dot" | "gv" => Some(TreeFormat::Dot),
            "folded" => Some(TreeFormat::Folded),
            _ => None,
        };
        let of_file = || self.output.as_deref().and_then(|path| by_name(path).or(in_files));
        let of_settings = || settings::get().format.map(TreeFormat::from);
        self.format.or_else(of_file).or_else(of_settings).unwrap_or(TreeFormat::Text)
    }

    pub(crate) fn output(&self) -> Option<&Path> {
        self.output.as_deref()
    }

    /// The tree with equal layers in one, unless each is asked for.
    fn folded(&self, tree: &Tree) -> Tree {
        if self.unfold || settings::get().unfold.unwrap_or(false) { tree.clone() } else { tree.layers_folded() }
    }

    /// A tree as a drawing program takes it.
    fn drawn(&self, tree: &Tree, format: TreeFormat, quantity: Quantity) -> String {
        match format {
            TreeFormat::Dot => render::dot(&self.folded(tree), quantity),
            _ => render::folded(tree, quantity),
        }
    }
}

/// Refuses several trees where a format draws one.
fn not_one_tree<T>() -> Result<T> {
    usage("--format dot and folded show one tree; ask for one size of one model")
}

impl From<Format> for TreeFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
            Format::Csv => Self::Csv,
        }
    }
}

/// Refuses flags that would have no effect.
fn refuse(here: bool, belong_to: &str, flags: &[(&str, bool)]) -> Result<()> {
    match flags.iter().find(|(_, given)| here && *given) {
        Some((flag, _)) => usage(format!("{flag} works only with {belong_to}")),
        None => Ok(()),
    }
}

/// Says what whoever trained a predictor should know of its training data.
fn tell_of_training(provenance: &irene_regress::Provenance) {
    if provenance.estimated {
        output::tell(
            "the energies are estimates (a power model's, not a meter's), and so is what is predicted from them",
        );
    }
    if let Some(warning) = provenance.warning() {
        output::tell(&format!("warning: {warning}"));
    }
}
