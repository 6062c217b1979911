use irene_tree::{Kernels, Precision, Size};
use serde::{Deserialize, Serialize};

/// How a model is followed: how much goes in, in which numbers, by which kernels, with which head, one pass or a generation.
///
/// ```
/// use irene_models::{TaskHead, ModelSpec, Run};
/// use irene_tree::{Format, Kernels, Precision, Size};
/// # fn main() -> irene_models::Result<()> {
/// let gpt2 = ModelSpec::find("gpt2")?;
/// let whole = gpt2.trace(Size::new(1, 128))?;
/// let step = Run { head: TaskHead::Lm, ..Size::new(1, 1).after(128).into() };
/// let half = Run { precision: Precision::of(Format::F16), kernels: Kernels::Fused, ..step };
/// assert!(gpt2.trace(half)?.nodes().len() < gpt2.trace(step)?.nodes().len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// How much goes in.
    pub size: Size,
    /// The number formats.
    pub precision: Precision,
    /// How operations become kernels.
    pub kernels: Kernels,
    /// What stands on top of the trunk.
    pub head: TaskHead,
    /// Whether a mask tells of padding: models that are told do more.
    pub is_padded: bool,
    /// Whether keys and values are kept for later tokens. Those of earlier ones always are.
    pub keeps_cache: bool,
    /// Tokens of each sequence that are generated after those of the size, by passes of their own but for the first; 0 for one pass.
    pub generate: usize,
    /// Whether the single operations that modules run themselves are nodes.
    pub shows_math: bool,
}

/// One pass in 32-bit floats by eager kernels, without head, padding, or cache beyond the size's past; every operation is a node.
impl From<Size> for Run {
    fn from(size: Size) -> Self {
        Self {
            size,
            precision: Precision::default(),
            kernels: Kernels::default(),
            head: TaskHead::default(),
            is_padded: false,
            keeps_cache: false,
            generate: 0,
            shows_math: true,
        }
    }
}

/// What stands on top of a model's trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskHead {
    /// Nothing: the model as IrEne measured it.
    #[default]
    None,
    /// A language model's: a score for each token of the vocabulary, at every position.
    Lm,
    /// A score for each of the config's classes.
    Classification,
}

impl TaskHead {
    /// Every head.
    pub const ALL: [Self; 3] = [Self::None, Self::Lm, Self::Classification];

    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lm => "lm",
            Self::Classification => "classification",
        }
    }
}

/// The shape of what a decoder keeps of each token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheShape {
    /// Layers.
    pub layers: usize,
    /// Heads of keys and values in each.
    pub heads: usize,
    /// Numbers of a head.
    pub width: usize,
}
