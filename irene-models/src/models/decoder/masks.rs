//! Positions and masks of a pass, computed once for all layers.

use irene_tree::{Format, Kernels, Size};

use super::{
    recipe::{Alibi, Grown, Recipe, Temperature},
    rotary::RotaryEmbedding,
};
use crate::{Angles, Batch, Cx, Padding, Pairing, Result, Tensor, Tensors, tensor::Unary};

/// The tokens' places, as every layer needs them.
pub(super) struct Positions {
    /// One for each rotary embedding that a layer uses.
    angles: Vec<Option<(Angles, Pairing)>>,
    /// One for each window, in the order in which layers first have it.
    masks: Vec<LayerMask>,
    /// The factors of queries that grow, (batch or 1, 1, tokens, 1).
    pub(super) temperature: Option<Tensor>,
    /// The tokens of the pass, and those before it.
    pub(super) size: Size,
    /// The places of the tokens that the last layer with an indexer chose, for layers without one.
    pub(super) chosen: Option<Tensor>,
}

/// The mask of the layers with one window.
pub(super) struct LayerMask {
    window: Option<usize>,
    /// Numbers that are added to the scores: of hidden keys where kernels are eager, of padding where they are fused.
    added: Option<Tensor>,
    /// Scores by distance.
    pub(super) alibi: Option<Tensor>,
}

impl LayerMask {
    pub(super) fn padding(&self) -> Padding<'_> {
        self.added.as_ref().map_or(Padding::None, Padding::Added)
    }
}

impl Positions {
    pub(super) fn of(
        cx: &mut Cx<'_>,
        recipe: &Recipe,
        embeddings: &[RotaryEmbedding],
        format: Format,
        batch: &Batch,
    ) -> Result<Self> {
        let mut angles = Vec::new();
        for (place, rotary) in embeddings.iter().enumerate() {
            let is_used = recipe.layers.iter().any(|layer| layer.rotary == Some(place));
            angles.push(if is_used { Some((rotary.angles(cx, batch)?, rotary.pairing())) } else { None });
        }
        let mut masks: Vec<LayerMask> = Vec::new();
        for layer in &recipe.layers {
            if masks.iter().all(|mask| mask.window != layer.window) {
                masks.push(LayerMask::of(cx, recipe, layer.window, format, batch)?);
            }
        }
        let temperature = recipe.attention.temperature.map(|growth| growth.of(batch, format)).transpose()?;
        Ok(Self { angles, masks, temperature, chosen: None, size: batch.size() })
    }

    /// The angles and pairs of a layer, if it rotates.
    pub(super) fn angles(&self, rotary: Option<usize>) -> Option<&(Angles, Pairing)> {
        self.angles.get(rotary?)?.as_ref()
    }

    pub(super) fn mask(&self, window: Option<usize>) -> &LayerMask {
        // Every layer's window has a mask.
        let found = self.masks.iter().find(|mask| mask.window == window);
        found.unwrap_or(&self.masks[0])
    }
}

impl Temperature {
    /// The factors of the new tokens.
    fn of(self, batch: &Batch, format: Format) -> Result<Tensor> {
        let factor = |position: f64| 1.0 + self.scale * (position / self.floor).floor().ln_1p();
        let factors = match self.of {
            // Places count padding as in transformers.
            Grown::Unrotated => {
                let of_place = |place: usize| factor((batch.past() + place + 1) as f64) as f32;
                let factors: Vec<f32> = (0..batch.new_tokens()).map(of_place).collect();
                batch.constants([1, 1, factors.len(), 1], &factors)?
            }
            Grown::Rotated => batch.by_new_position(|position| factor(position as f64))?,
        };
        if format == Format::F32 { Ok(factors) } else { factors.unary(Unary::Cast(format)) }
    }
}

impl LayerMask {
    fn of(cx: &Cx<'_>, recipe: &Recipe, window: Option<usize>, format: Format, batch: &Batch) -> Result<Self> {
        let kept = window.map_or(batch.past(), |window| batch.past().min(window.saturating_sub(1)));
        let keys = kept + batch.new_tokens();
        let limit = window.unwrap_or(usize::MAX);
        let added = match cx.kernels() {
            Kernels::Eager => {
                let is_seen = |query: usize, key: usize| {
                    (recipe.attention.sees_later || key <= query) && query.abs_diff(key) < limit
                };
                Some(batch.hidden_keys(keys, format, is_seen)?)
            }
            Kernels::Fused => batch.hidden_padding(keys, format)?,
        };
        let alibi =
            recipe.attention.alibi.map(|kind| alibi(batch, kind, recipe.attention.heads, format)).transpose()?;
        Ok(Self { window, added, alibi })
    }
}

impl Tensors for Positions {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        self.angles.iter().flatten().for_each(|(angles, _)| angles.list(tensors));
        for mask in &self.masks {
            mask.added.list(tensors);
            mask.alibi.list(tensors);
        }
        self.temperature.list(tensors);
        self.chosen.list(tensors);
    }
}

/// Each head's slope times the position of each key, (batch or 1, heads, 1, key): the softmax does not see that queries' positions
/// are not taken off.
fn alibi(batch: &Batch, kind: Alibi, heads: usize, format: Format) -> Result<Tensor> {
    let slopes = slopes(heads);
    // Falcon's code computes them in bfloat16, whatever the model's format.
    let rounded = |number: f64| if kind == Alibi::BeforeScale { in_bfloat16(number) } else { number };
    batch.by_position(heads, format, |head, position| rounded(rounded(slopes[head]) * position as f64))
}

/// The nearest number with eight binary digits; of two, the one whose last digit is 0.
fn in_bfloat16(number: f64) -> f64 {
    let bits = (number as f32).to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    f64::from(f32::from_bits(rounded))
}

/// Powers of 2^(-8/n) for n the next lower power of two, and for the other heads every second power of its root (Press et al., 2022).
fn slopes(heads: usize) -> Vec<f64> {
    let lower = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let base = 2f64.powf(-8.0 / lower as f64);
    let between = 2f64.powf(-4.0 / lower as f64);
    let first = (1..=lower).map(|power| base.powi(power as i32));
    let rest = (0..heads - lower).map(|place| between.powi(2 * place as i32 + 1));
    first.chain(rest).collect()
}
