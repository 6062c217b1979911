use std::path::Path;

use irene_tree::Size;
use tokenizers::Tokenizer;

use crate::{
    Error, Result,
    files::reading,
    gguf::{Gguf, is_gguf},
};

/// Turns text into token ids by a model's tokenizer.json, or by the tokenizer in a GGUF file.
pub struct TextEncoder {
    origin: String,
    tokenizer: Tokenizer,
}

/// Texts as token ids: one row a text, padded to the longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Ids, row after row.
    pub ids: Vec<i64>,
    /// 1 for tokens, 0 for padding, row after row; None where nothing is padded.
    pub mask: Option<Vec<i64>>,
    /// Rows, and ids in a row.
    pub size: Size,
}

impl Encoded {
    /// The same rows with their padding on the left, as prompts need it.
    pub fn padded_left(mut self) -> Self {
        if let Some(mask) = &mut self.mask {
            let columns = self.size.new;
            for (ids, mask) in self.ids.chunks_mut(columns).zip(mask.chunks_mut(columns)) {
                let padding = mask.iter().filter(|&&token| token == 0).count();
                ids.rotate_right(padding);
                mask.rotate_right(padding);
            }
        }
        self
    }
}

impl std::fmt::Debug for TextEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextEncoder").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl TextEncoder {
    /// Reads a tokenizer.json or a GGUF file. Its padding and truncation are switched off: neither may change the input silently.
    ///
    /// # Errors
    /// [`Error::Files`] if it cannot be read or is no tokenizer; [`Error::Config`] for a GGUF file's tokenizer that is not built.
    pub fn open(path: &Path) -> Result<Self> {
        let origin = path.display().to_string();
        let refuse = |reason: String| Error::Files { what: origin.clone(), reason };
        let mut tokenizer = if is_gguf(path) {
            Gguf::open(path)?.tokenizer()?
        } else {
            reading(path, |path| {
                Tokenizer::from_file(path).map_err(|error| refuse(format!("not a tokenizer.json ({error})")))
            })?
        };
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { origin, tokenizer })
    }

    /// Encodes texts with the model's special tokens, and pads them with `pad` to the longest.
    ///
    /// # Errors
    /// [`Error::Input`] if there are none, a text has no tokens, or the tokenizer fails.
    pub fn encode(&self, texts: &[String], pad: i64) -> Result<Encoded> {
        let refuse = |reason: String| Error::Input { model: self.origin.clone(), reason };
        if texts.is_empty() {
            return Err(refuse("no text".into()));
        }
        let inputs: Vec<&str> = texts.iter().map(String::as_str).collect();
        let rows = self.tokenizer.encode_batch(inputs, true).map_err(|error| refuse(error.to_string()))?;
        if let Some(empty) = rows.iter().position(tokenizers::Encoding::is_empty) {
            return Err(refuse(format!("text {} has no tokens", empty + 1)));
        }
        let seq_len = rows.iter().map(tokenizers::Encoding::len).max().unwrap_or(0);
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for row in &rows {
            let padding = seq_len - row.len();
            ids.extend(row.get_ids().iter().map(|&id| i64::from(id)).chain(std::iter::repeat_n(pad, padding)));
            mask.extend(std::iter::repeat_n(1, row.len()).chain(std::iter::repeat_n(0, padding)));
        }
        let mask = mask.contains(&0).then_some(mask);
        Ok(Encoded { ids, mask, size: Size::new(rows.len(), seq_len) })
    }
}
