use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Format, OpKind};

/// How a step of training runs: a forward pass with a loss, its backward pass, and the update of what is trained.
///
/// ```
/// use irene_tree::{Checkpoint, Optimizer, Training};
/// let step = Training { checkpoint: Checkpoint::Layer, ..Training::default() };
/// assert_eq!((step.optimizer, step.to_string()), (Optimizer::AdamW, "training by adamw, checkpoint layer".to_owned()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Training {
    /// The rule that turns gradients into new weights.
    pub optimizer: Optimizer,
    /// The parts that the backward pass computes again in place of keeping them.
    pub checkpoint: Checkpoint,
    /// Forward and backward passes of one step, whose gradients add up (micro-batches).
    pub accumulate: usize,
    /// The inner width of LoRA's adapters, which alone are trained; 0 where every weight is.
    pub lora_rank: usize,
    /// Whether the optimizer keeps trained weights of 16 bits in 32 bits as well.
    pub master_weights: bool,
}

/// Every weight is trained by AdamW, one batch a step, with nothing computed twice.
impl Default for Training {
    fn default() -> Self {
        Self {
            optimizer: Optimizer::AdamW,
            checkpoint: Checkpoint::None,
            accumulate: 1,
            lora_rank: 0,
            master_weights: true,
        }
    }
}

impl Training {
    /// More micro-batches, or a wider adapter, than any run has: what is beyond is a slip.
    pub const MOST: usize = 1 << 20;

    /// The format in which the optimizer keeps its states of a weight in this format: 32 bits beside a copy in 32 bits, otherwise the
    /// weight's own.
    pub fn state_format(self, weight: Format) -> Format {
        if self.has_master(weight) { Format::F32 } else { weight }
    }

    /// Whether a weight in this format has a copy in 32 bits.
    pub fn has_master(self, weight: Format) -> bool {
        self.master_weights && weight.bytes(1) < Format::F32.bytes(1)
    }
}

/// `training by adamw, checkpoint layer, 4 micro-batches, lora rank 8`: names what differs from the default.
impl fmt::Display for Training {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "training by {}", self.optimizer.name())?;
        if self.checkpoint != Checkpoint::None {
            write!(f, ", checkpoint {}", self.checkpoint.name())?;
        }
        if self.accumulate != 1 {
            write!(f, ", {} micro-batches", self.accumulate)?;
        }
        if self.lora_rank > 0 {
            write!(f, ", lora rank {}", self.lora_rank)?;
        }
        if self.master_weights { Ok(()) } else { f.write_str(", no master weights") }
    }
}

/// The rule by which gradients change weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Optimizer {
    /// Stochastic gradient descent: no state.
    Sgd,
    /// The same with a running mean of gradients.
    SgdMomentum,
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019): running means of gradients and of their squares.
    #[default]
    #[serde(rename = "adamw")]
    AdamW,
    /// Adafactor (Shazeer & Stern 2018): the mean of squares of a matrix by its rows and columns.
    Adafactor,
}

impl Optimizer {
    /// Every optimizer.
    pub const ALL: [Self; 4] = [Self::Sgd, Self::SgdMomentum, Self::AdamW, Self::Adafactor];

    /// The word on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::SgdMomentum => "sgd-momentum",
            Self::AdamW => "adamw",
            Self::Adafactor => "adafactor",
        }
    }

    /// The operation that updates a weight.
    pub fn kind(self) -> OpKind {
        match self {
            Self::Sgd | Self::SgdMomentum => OpKind::Sgd,
            Self::AdamW => OpKind::AdamW,
            Self::Adafactor => OpKind::Adafactor,
        }
    }
}

/// The parts of a forward pass that are not kept, and computed again when the backward pass needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checkpoint {
    /// Everything that gradients need is kept.
    #[default]
    None,
    /// Each layer keeps its input alone.
    Layer,
    /// Each layer, the embeddings before the layers, and what comes after them up to the loss: each keeps its input alone.
    Full,
}

impl Checkpoint {
    /// Every choice, from the most memory to the least.
    pub const ALL: [Self; 3] = [Self::None, Self::Layer, Self::Full];

    /// The word on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Layer => "layer",
            Self::Full => "full",
        }
    }
}

fn by_name<T: Copy>(all: &[T], name: fn(T) -> &'static str, word: &str) -> Result<T, String> {
    let found = all.iter().copied().find(|choice| name(*choice) == word);
    found.ok_or_else(|| {
        let known: Vec<_> = all.iter().map(|choice| name(*choice)).collect();
        format!("expected one of {}, found `{word}`", known.join(", "))
    })
}

impl FromStr for Optimizer {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        by_name(&Self::ALL, Self::name, word)
    }
}

impl FromStr for Checkpoint {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        by_name(&Self::ALL, Self::name, word)
    }
}

/// The form in files.
#[derive(Deserialize)]
#[serde(default)]
struct Stored {
    optimizer: Optimizer,
    checkpoint: Checkpoint,
    accumulate: usize,
    lora_rank: usize,
    master_weights: bool,
}

impl Default for Stored {
    fn default() -> Self {
        let Training { optimizer, checkpoint, accumulate, lora_rank, master_weights } = Training::default();
        Self { optimizer, checkpoint, accumulate, lora_rank, master_weights }
    }
}

impl TryFrom<Stored> for Training {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        let Stored { optimizer, checkpoint, accumulate, lora_rank, master_weights } = stored;
        if !(1..=Self::MOST).contains(&accumulate) {
            return Err(format!("expected from 1 to {} micro-batches, found {accumulate}", Self::MOST));
        }
        if lora_rank > Self::MOST {
            return Err(format!("expected a LoRA rank of at most {}, found {lora_rank}", Self::MOST));
        }
        Ok(Self { optimizer, checkpoint, accumulate, lora_rank, master_weights })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_words_of_files_are_those_of_the_command_line() {
        let in_file = |value: serde_json::Result<serde_json::Value>| value.unwrap().as_str().unwrap().to_owned();
        for optimizer in Optimizer::ALL {
            assert_eq!(in_file(serde_json::to_value(optimizer)), optimizer.name());
        }
        for checkpoint in Checkpoint::ALL {
            assert_eq!(in_file(serde_json::to_value(checkpoint)), checkpoint.name());
        }
    }

    #[test]
    fn a_run_says_what_differs_from_the_default() {
        let base = Training::default();
        assert_eq!(base.to_string(), "training by adamw");
        let lora = Training { accumulate: 4, lora_rank: 8, master_weights: false, ..base };
        assert_eq!(lora.to_string(), "training by adamw, 4 micro-batches, lora rank 8, no master weights");
        let full = Training { optimizer: Optimizer::SgdMomentum, checkpoint: Checkpoint::Full, ..base };
        assert_eq!(full.to_string(), "training by sgd-momentum, checkpoint full");
    }

    #[test]
    fn only_weights_narrower_than_32_bits_have_a_copy() {
        let with = Training::default();
        let without = Training { master_weights: false, ..with };
        let has =
            |training: Training| [Format::BF16, Format::F32, Format::F64].map(|format| training.has_master(format));
        assert_eq!((has(with), has(without)), ([true, false, false], [false; 3]));
        assert_eq!((with.state_format(Format::F16), without.state_format(Format::F16)), (Format::F32, Format::F16));
        assert_eq!(with.state_format(Format::F64), Format::F64);
    }

    #[test]
    fn words_read_back_and_others_are_refused_with_those_there_are() {
        for optimizer in Optimizer::ALL {
            assert_eq!(optimizer.name().parse(), Ok(optimizer));
        }
        for checkpoint in Checkpoint::ALL {
            assert_eq!(checkpoint.name().parse(), Ok(checkpoint));
        }
        let error = "lion".parse::<Optimizer>().unwrap_err();
        assert_eq!(error, "expected one of sgd, sgd-momentum, adamw, adafactor, found `lion`");
        let kinds = Optimizer::ALL.map(Optimizer::kind);
        assert_eq!(kinds, [OpKind::Sgd, OpKind::Sgd, OpKind::AdamW, OpKind::Adafactor]);
    }

    #[test]
    fn a_file_has_numbers_that_a_run_can_have_and_the_default_where_it_says_nothing() {
        let read = |json: &str| serde_json::from_str::<Training>(json).map_err(|error| error.to_string());
        assert_eq!(read("{}"), Ok(Training::default()));
        let most = Training { accumulate: Training::MOST, lora_rank: Training::MOST, ..Training::default() };
        assert_eq!(read(r#"{"accumulate": 1048576, "lora_rank": 1048576}"#), Ok(most));
        assert_eq!(Training::MOST, 1_048_576);
        for bad in [r#"{"accumulate": 0}"#, r#"{"accumulate": 1048577}"#, r#"{"lora_rank": 1048577}"#] {
            assert!(read(bad).unwrap_err().contains("1048576"), "{bad}");
        }
    }
}
