use std::fmt;

use serde::{Deserialize, Serialize};

/// How much goes into one forward pass: `new` tokens for each of `sequences`, with `past` tokens of each in the cache already.
///
/// ```
/// use irene_tree::Size;
/// let prompt = Size::new(8, 128);
/// assert_eq!((prompt.tokens(), prompt.keys()), (1024, 128));
/// let step = Size::new(8, 1).after(128);
/// assert_eq!((step.tokens(), step.keys()), (8, 129));
/// assert_eq!(format!("{prompt}, {step}"), "8x128, 8x1+128");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Size {
    /// Sequences in the batch; `batch_size` in the interchange format.
    #[serde(rename = "batch_size")]
    pub sequences: usize,
    /// Tokens of each sequence that go in, padding included; `seq_len` in the interchange format.
    #[serde(rename = "seq_len")]
    pub new: usize,
    /// Tokens of each sequence whose keys and values are in the cache; `past_len` in the interchange format.
    #[serde(rename = "past_len", default, skip_serializing_if = "is_zero")]
    pub past: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Size {
    /// Whole sequences of `new` tokens.
    pub const fn new(sequences: usize, new: usize) -> Self {
        Self { sequences, new, past: 0 }
    }

    /// The same new tokens after `past` tokens in the cache.
    pub const fn after(self, past: usize) -> Self {
        Self { past, ..self }
    }

    /// New tokens of all sequences. Saturates rather than wraps.
    pub const fn tokens(self) -> usize {
        self.sequences.saturating_mul(self.new)
    }

    /// Keys that the last new token attends to, its own included. Saturates rather than wraps.
    pub const fn keys(self) -> usize {
        self.past.saturating_add(self.new)
    }
}

/// `8x128`: sequences by new tokens; `8x1+128` with 128 tokens in the cache.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.sequences, self.new)?;
        if self.past > 0 { write!(f, "+{}", self.past) } else { Ok(()) }
    }
}
