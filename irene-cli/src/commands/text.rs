//! Text as the input of a model, for every command that takes it.

use std::path::PathBuf;

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
        let texts = match &self.text_file {
            Some(path) => {
                let text = irene_tree::read_text(path).with_context(|| path.display().to_string())?;
                text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
            }
            None => self.text.clone(),
        };
        let files = tokenizer.map_or_else(|| spec.files(), ModelFiles::find);
        let tokenizer = files.and_then(|files| files.tokenizer());
        let tokenizer = tokenizer.context("--text needs the model's tokenizer.json")?;
        let pad = spec.config().token_or("pad_token_id", 0)? as i64;
        Ok(TextEncoder::open(&tokenizer)?.encode(&texts, pad)?)
    }
}
