//! Text as the input of a model, for every command that takes it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use irene_models::{Encoded, ModelFiles, ModelSpec, TextEncoder};

#[derive(clap::Args)]
pub(crate) struct TextArgs {
    /// A text; give it again for a batch. Needs the model's tokenizer.json
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["text_file", "batch_size", "seq_len"])]
    text: Vec<String>,
    /// A file with a text a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["batch_size", "seq_len"])]
    text_file: Option<PathBuf>,
}

impl TextArgs {
    pub(crate) fn is_given(&self) -> bool {
        !self.text.is_empty() || self.text_file.is_some()
    }

    /// The texts as the ids that a tokenizer gives them: that at a path or of a model's id, or the model's own.
    pub(crate) fn encode(&self, spec: &ModelSpec, tokenizer: Option<&str>) -> Result<Encoded> {
        let texts = texts(&self.text, self.text_file.as_deref())?;
        let files = tokenizer.map_or_else(|| spec.files(), ModelFiles::find).context(NEEDS)?;
        encode(spec, &encoder(&files)?, &texts)
    }
}

/// The given texts, or those in the lines of a file.
pub(crate) fn texts(given: &[String], file: Option<&Path>) -> Result<Vec<String>> {
    let Some(path) = file else { return Ok(given.to_vec()) };
    let text = irene_tree::read_text(path).with_context(|| path.display().to_string())?;
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
}

/// Why a model's files are looked for.
pub(crate) const NEEDS: &str = "--text needs the model's tokenizer.json";

/// The tokenizer among a model's files.
pub(crate) fn encoder(files: &ModelFiles) -> Result<TextEncoder> {
    Ok(TextEncoder::read(&files.tokenizer().context(NEEDS)?)?)
}

/// Whole texts as a batch.
pub(crate) fn encode(spec: &ModelSpec, encoder: &TextEncoder, texts: &[String]) -> Result<Encoded> {
    Ok(encoder.encode(texts, spec.config().token_or("pad_token_id", 0)? as i64)?)
}
