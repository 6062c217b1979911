mod check;

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use irene_tree::Size;
use tokenizers::Tokenizer;

use crate::{
    Error, Result,
    error::reading,
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
    pub fn read(path: &Path) -> Result<Self> {
        let origin = path.display().to_string();
        let refuse = |reason: String| Error::Files { what: origin.clone(), reason };
        let mut tokenizer = if is_gguf(path) {
            Gguf::open(path)?.tokenizer()?
        } else {
            let build = || -> tokenizers::Result<Tokenizer> {
                let json = std::fs::read_to_string(path)?;
                check::check(&json)?;
                json.parse()
            };
            reading(path, |_| guarded(build).map_err(|reason| refuse(format!("not a tokenizer.json ({reason})"))))?
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
        let rows = guarded(|| self.tokenizer.encode_batch(inputs, true)).map_err(refuse)?;
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

    /// The ids of one text; `is_whole` adds the special tokens that the model expects around a text.
    ///
    /// # Errors
    /// [`Error::Input`] if the tokenizer fails.
    pub fn ids(&self, text: &str, is_whole: bool) -> Result<Vec<i64>> {
        let encoded = guarded(|| self.tokenizer.encode(text, is_whole)).map_err(|reason| self.failed(reason))?;
        Ok(encoded.get_ids().iter().map(|&id| i64::from(id)).collect())
    }

    /// Text from tokens as they come.
    pub fn stream(&self) -> TextStream<'_> {
        let added = self.tokenizer.get_added_tokens_decoder();
        let special = added.iter().filter(|(_, token)| token.special).map(|(&id, _)| id).collect();
        TextStream { encoder: self, special, ids: Vec::new(), shown: 0, before: String::new() }
    }

    fn decode(&self, ids: &[u32]) -> Result<String> {
        guarded(|| self.tokenizer.decode(ids, true)).map_err(|reason| self.failed(reason))
    }

    fn failed(&self, reason: String) -> Error {
        Error::Input { model: self.origin.clone(), reason }
    }
}

/// The library's result, or why it fails: it panics with tables that lead nowhere.
fn guarded<T>(give: impl FnOnce() -> tokenizers::Result<T>) -> std::result::Result<T, String> {
    let given = catch_unwind(AssertUnwindSafe(give)).map_err(|_| "its tables lead nowhere".to_owned())?;
    given.map_err(|error| error.to_string())
}

/// Text from tokens as they come: each gives the text that it completes.
///
/// A token may hold a part of a character, and its text may depend on the token before it. So the last tokens are kept until
/// the text goes on, and no more.
#[derive(Debug)]
pub struct TextStream<'e> {
    encoder: &'e TextEncoder,
    /// Tokens that are no text, such as the end's.
    special: HashSet<u32>,
    /// Tokens whose text was given last, and those after them.
    ids: Vec<u32>,
    /// How many of them were given.
    shown: usize,
    /// The text of those.
    before: String,
}

/// A decoder writes this for a part of a character.
const INCOMPLETE: char = char::REPLACEMENT_CHARACTER;

impl TextStream<'_> {
    /// The text that this token completes; empty if there is none yet.
    ///
    /// # Errors
    /// [`Error::Input`] for an id that no token has.
    pub fn push(&mut self, token: i64) -> Result<String> {
        let id = u32::try_from(token).map_err(|_| self.encoder.failed(format!("{token} is no token's id")))?;
        if self.special.contains(&id) {
            return Ok(String::new());
        }
        self.ids.push(id);
        /// A character has at most four bytes, so that more tokens would not complete it either.
        const MOST_PARTS: usize = 4;
        let text = self.encoder.decode(&self.ids)?;
        if text.ends_with(INCOMPLETE) && self.ids.len() - self.shown < MOST_PARTS {
            return Ok(String::new());
        }
        self.give(&text)
    }

    /// The rest of the text, after the last token.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(mut self) -> Result<String> {
        let text = self.encoder.decode(&self.ids)?;
        self.give(&text)
    }

    /// The part of this text that was not given; keeps the tokens that it is of.
    fn give(&mut self, text: &str) -> Result<String> {
        let new = text.strip_prefix(&self.before).unwrap_or_default().to_owned();
        self.ids.drain(..self.shown);
        self.shown = self.ids.len();
        self.before = self.encoder.decode(&self.ids)?;
        Ok(new)
    }
}
