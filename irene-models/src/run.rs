use irene_tree::{Format, Kernels, Parallel, Precision, Size, Training};
use serde::{Deserialize, Serialize};

/// How a model is followed: input size, number formats, kernels, head, one pass or a generation.
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
    /// The input size.
    pub size: Size,
    /// The number formats.
    pub precision: Precision,
    /// How operations become kernels.
    pub kernels: Kernels,
    /// The head on top of the trunk. A generation has a language model's, whatever is asked for.
    pub head: TaskHead,
    /// How the run is spread over GPUs. The tree then has the shapes of one GPU's share, and nodes for what GPUs exchange.
    pub parallel: Parallel,
    /// Whether the batch has a mask for padding: models then run more operations.
    pub is_padded: bool,
    /// Whether keys and values are kept for later tokens, and the head scores the last token alone, as in a generation's prompt. A pass
    /// with a past always keeps them.
    pub keeps_cache: bool,
    /// Tokens that are generated for each sequence after the prompt, each but the first by a pass of its own; 0 for a single pass.
    pub generate: usize,
    /// A step of training by such a pass and its backward pass, in place of inference.
    pub training: Option<Training>,
    /// Whether the single operations that modules run themselves are nodes.
    pub shows_math: bool,
}

/// One pass on one GPU, in 32-bit floats by eager kernels, without head, padding, or cache beyond the size's past; every operation is a node.
impl From<Size> for Run {
    fn from(size: Size) -> Self {
        Self {
            size,
            precision: Precision::default(),
            kernels: Kernels::default(),
            head: TaskHead::default(),
            parallel: Parallel::default(),
            is_padded: false,
            keeps_cache: false,
            generate: 0,
            training: None,
            shows_math: true,
        }
    }
}

/// The head on top of a model's trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TaskHead {
    /// Nothing: the model as IrEne measured it.
    #[default]
    None,
    /// A language model's: a score for each token of the vocabulary, at every position, or at the last of a generation's prompt.
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

/// The shape of a decoder's cache: of each layer, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheShape(pub Vec<LayerCache>);

/// The shape of one layer's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LayerCache {
    /// Heads of keys and values.
    pub heads: usize,
    /// Numbers in a head's key for each token.
    pub key_width: usize,
    /// Numbers in a head's value for each token.
    pub value_width: usize,
    /// The sliding window: a query sees fewer than this many places before it, and older tokens are not kept.
    pub window: Option<usize>,
    /// Heads of states.
    pub state_heads: usize,
    /// Numbers in a head's state, which every token changes and none adds to (Mamba, gated DeltaNet): of 32 bits, whatever the cache's
    /// format.
    pub state: usize,
    /// Numbers for each head of the last tokens that a convolution joins, before such a state or alone (LFM2), in the format of the activations.
    pub before_state: usize,
    /// Tokens between an entry that stands for several of them and the next (DeepSeek-V4); 0 where there are no entries.
    pub tokens_of_entry: usize,
    /// Numbers of such an entry, in the cache's format.
    pub entry_width: usize,
}

impl LayerCache {
    /// Tokens of `past` earlier ones that are kept.
    pub fn kept(&self, past: usize) -> usize {
        self.window.map_or(past, |window| past.min(window.saturating_sub(1)))
    }

    /// Numbers of one sequence after `past` tokens: keys, values and entries, the state, and the last tokens before it.
    fn numbers(&self, past: usize) -> [u64; 3] {
        let entries = past.checked_div(self.tokens_of_entry).unwrap_or(0) as u64;
        let [key, value, kept, state, before, begun] =
            [self.key_width, self.value_width, self.kept(past), self.state, self.before_state, past.min(1)]
                .map(|size| size as u64);
        let (heads, state_heads) = (self.heads as u64, self.state_heads as u64);
        [
            key.saturating_add(value)
                .saturating_mul(kept)
                .saturating_mul(heads)
                .saturating_add(entries.saturating_mul(self.entry_width as u64)),
            (state * begun).saturating_mul(state_heads),
            (before * begun).saturating_mul(state_heads),
        ]
    }
}

impl CacheShape {
    /// Layers of one shape, which keep all tokens.
    pub fn uniform(layers: usize, heads: usize, width: usize) -> Self {
        let layer = LayerCache { heads, key_width: width, value_width: width, ..LayerCache::default() };
        Self(vec![layer; layers])
    }

    /// The share of one of the GPUs that share every layer; heads that are fewer than GPUs are on several.
    pub fn shared_by(mut self, gpus: usize) -> Self {
        for heads in self.0.iter_mut().flat_map(|layer| [&mut layer.heads, &mut layer.state_heads]) {
            *heads = (*heads / gpus).max(1);
        }
        self
    }

    /// Bytes that the whole cache takes of one sequence after `past` tokens.
    pub fn bytes(&self, past: usize, precision: Precision) -> u64 {
        let formats = [precision.cache, Format::F32, precision.activations];
        let bytes = |(place, format): (usize, Format)| {
            let numbers = self.0.iter().map(|layer| layer.numbers(past)[place]).fold(0, u64::saturating_add);
            format.bytes(numbers)
        };
        formats.into_iter().enumerate().map(bytes).fold(0, u64::saturating_add)
    }
}
