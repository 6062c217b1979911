use std::fmt;

use serde::{Deserialize, Serialize};

/// How much goes into one forward pass: `new` tokens for each of `sequences`, with `past` tokens of each in the cache already.
///
/// ```
/// use irene_tree::{Phase, Size};
/// let prompt = Size::new(8, 128);
/// assert_eq!((prompt.tokens(), prompt.keys(), prompt.phase()), (1024, 128, Phase::Prefill));
/// let step = Size::new(8, 1).after(128);
/// assert_eq!((step.tokens(), step.keys(), step.phase()), (8, 129, Phase::Decode));
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

/// The part of a generation that a forward pass does; it follows from the [`Size`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Whole sequences: nothing is in the cache.
    Prefill,
    /// One token of each sequence after those in the cache.
    Decode,
    /// Several tokens of each sequence after those in the cache: a further part of a prompt.
    Extend,
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

    /// The phase of a generation.
    pub const fn phase(self) -> Phase {
        match (self.past, self.new) {
            (0, _) => Phase::Prefill,
            (_, 1) => Phase::Decode,
            _ => Phase::Extend,
        }
    }
}

/// `8x128`: sequences by new tokens; `8x1+128` with 128 tokens in the cache.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.sequences, self.new)?;
        if self.past > 0 { write!(f, "+{}", self.past) } else { Ok(()) }
    }
}
