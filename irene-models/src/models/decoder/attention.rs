//! The attention of a decoder, with the parts that its recipe names.

use super::{
    masks::{LayerMask, Positions},
    recipe::{Alibi, AttentionRecipe, Grown, HeadNorms, Keys, LayerRecipe, Names, NormKind, OwnHeads, Projections},
};
use crate::{
    Attention, Causal, Cx, KeyValue, Label, Linear, Module, Norm, Past, Result, Scaling, Tensor, Tensors, Weights,
    labelled, layers::PlainRmsNorm, models::heads,
};

labelled!(DecoderAttention);

/// Hidden states and perhaps the stream that the result is added to, the positions and masks, and the keys and values of earlier
/// tokens.
pub(super) type Seen<'a> = ((&'a Tensor, Option<Residual<'a>>), (&'a Positions, Past<'a>));

/// The stream that a module adds to its result itself.
#[derive(Clone, Copy)]
pub(super) struct Residual<'a> {
    pub(super) stream: &'a Tensor,
    /// Dropout of the result before it is added.
    pub(super) dropout: f64,
}

impl Tensors for Residual<'_> {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        tensors.push(self.stream);
    }
}

pub(super) struct DecoderAttention {
    label: Label,
    projected: Projected,
    norms: Option<(HeadNorms, [Norm; 2])>,
    norm_of_values: Option<PlainRmsNorm>,
    value_scale: Option<f64>,
    norms_of_rotated: Option<[PlainRmsNorm; 2]>,
    /// Whether its queries grow with their position.
    grows: bool,
    is_gated: bool,
    clip: Option<f64>,
    out: Linear,
    sinks: Option<Tensor>,
    heads: [usize; 2],
    sees_later: bool,
    scale: f64,
    soft_cap: Option<f64>,
    dropout: f64,
    alibi: Option<Alibi>,
    layer: LayerRecipe,
}

enum Projected {
    Apart([Linear; 3]),
    /// Queries, and keys that are values too.
    WithoutValues([Linear; 2]),
    InBlocks(Linear),
    ByGroup(Linear),
}

impl DecoderAttention {
    pub(super) fn load(
        weights: &Weights<'_>,
        names: &Names,
        recipe: &AttentionRecipe,
        norm: NormKind,
        hidden: usize,
        layer: LayerRecipe,
    ) -> Result<Self> {
        let &AttentionRecipe { heads, scale, soft_cap, dropout, alibi, .. } = recipe;
        let of_layer = recipe.heads_of(&layer);
        let OwnHeads { groups, width, value_width, .. } = of_layer;
        let (out, is_biased) = recipe.out;
        let norms = recipe.head_norms.map(|kind| {
            let (names_of_norms, widths) = match kind {
                HeadNorms::PerHead(names) | HeadNorms::PerMovedHead(names) | HeadNorms::PerRotatedHead(names) => {
                    (names, [width, width])
                }
                HeadNorms::Joint(names) => {
                    let gpus = weights.parallel().tensor;
                    (names, [heads * width * gpus, groups * width * gpus])
                }
            };
            let load =
                |place: usize| norm.load(&weights.child(names_of_norms[place]), names.classes.norm, widths[place]);
            Ok::<_, crate::Error>((kind, [load(0)?, load(1)?]))
        });
        // The other name is that of MiMo-V2-Flash's checkpoints.
        let sinks = || weights.parameter_also_named("sinks", "attention_sink_bias", [heads]);
        let of_rotated =
            |(class, eps)| ["q_norm", "k_norm"].map(|name| PlainRmsNorm::new(&weights.named(name), class, eps));
        Ok(Self {
            label: weights.label(names.classes.attention, irene_tree::Level::Module),
            projected: Projected::load(weights, recipe, hidden, of_layer)?,
            norms: norms.transpose()?,
            norm_of_values: recipe
                .norm_of_values
                .map(|(class, eps)| PlainRmsNorm::new(&weights.named("v_norm"), class, eps)),
            value_scale: recipe.value_scale,
            norms_of_rotated: recipe.norms_of_rotated.map(of_rotated),
            grows: recipe.temperature.is_some_and(|growth| (growth.of == Grown::Rotated) == layer.rotary.is_some()),
            is_gated: recipe.is_gated,
            clip: recipe.clip,
            out: Linear::load_maybe_biased(&weights.child(out), [heads * value_width, hidden], is_biased)?,
            sinks: layer.has_sinks.then(sinks).transpose()?,
            heads: [heads, groups],
            sees_later: recipe.sees_later,
            scale,
            soft_cap,
            dropout,
            alibi,
            layer,
        })
    }

    /// The queries alone, and the gate of the result that stands beside those of each head.
    fn without_gate(&self, cx: &mut Cx<'_>, query: Tensor) -> Result<(Tensor, Option<Tensor>)> {
        if !self.is_gated {
            return Ok((query, None));
        }
        let (sequences, tokens, [heads, _]) = (query.dim(0), query.dim(1), self.heads);
        let width = query.dim(2) / (2 * heads);
        let both = cx.reshape(&query, [sequences, tokens, heads, 2 * width])?;
        let [query, gate] = [cx.narrow(&both, 3, 0, width)?, cx.narrow(&both, 3, width, width)?];
        let [query, gate] = [cx.contiguous(&query)?, cx.contiguous(&gate)?];
        Ok((query, Some(cx.reshape(&gate, [sequences, tokens, heads * width])?)))
    }

    /// Query, key and value, views (batch, heads, tokens, width), normalised where the recipe says so, and the gate of the result.
    fn projections(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<([Tensor; 3], Option<Tensor>)> {
        let [heads, groups] = self.heads;
        let [query, key, value] = self.projected.run(cx, hidden, self.heads, self.clip)?;
        let (query, gate) = self.without_gate(cx, query)?;
        let [query, key] = match &self.norms {
            Some((HeadNorms::Joint(_), [of_query, of_key])) => {
                [norm_of_all(cx, of_query, &query)?, norm_of_all(cx, of_key, &key)?]
            }
            _ => [query, key],
        };
        let [query, key, value] =
            [by_head(cx, &query, heads)?, by_head(cx, &key, groups)?, by_head(cx, &value, groups)?];
        let [query, key] = match &self.norms {
            Some((HeadNorms::PerHead(_), [of_query, of_key])) => [cx.call(of_query, &query)?, cx.call(of_key, &key)?],
            _ => [query, key],
        };
        let value = match &self.norm_of_values {
            Some(norm) => cx.call(norm, &value)?,
            None => value,
        };
        let value = match self.value_scale {
            Some(scale) => cx.mul_scalar(&value, scale)?,
            None => value,
        };
        let [query, key, value] = [cx.transpose(&query, 1, 2)?, cx.transpose(&key, 1, 2)?, cx.transpose(&value, 1, 2)?];
        let heads = match &self.norms {
            Some((HeadNorms::PerMovedHead(_), [of_query, of_key])) => {
                [cx.call(of_query, &query)?, cx.call(of_key, &key)?, value]
            }
            _ => [query, key, value],
        };
        Ok((heads, gate))
    }

    /// Query and key with their positions, if the layer knows positions.
    fn placed(&self, cx: &mut Cx<'_>, [query, key]: [Tensor; 2], positions: &Positions) -> Result<[Tensor; 2]> {
        let [query, key] = match positions.angles(self.layer.rotary) {
            Some((angles, pairing)) => {
                let [query, key] = cx.rotary([&query, &key], angles, *pairing)?;
                match &self.norms_of_rotated {
                    Some([of_query, of_key]) => [cx.call(of_query, &query)?, cx.call(of_key, &key)?],
                    None => [query, key],
                }
            }
            None => [query, key],
        };
        let [query, key] = match &self.norms {
            Some((HeadNorms::PerRotatedHead(_), [of_query, of_key])) => {
                [cx.call(of_query, &query)?, cx.call(of_key, &key)?]
            }
            _ => [query, key],
        };
        Ok(match positions.temperature.as_ref().filter(|_| self.grows) {
            Some(temperature) => [cx.mul(&query, temperature)?, key],
            None => [query, key],
        })
    }

    /// The scores of distances, as they are added to the scaled scores.
    fn bias(&self, cx: &mut Cx<'_>, mask: &LayerMask) -> Result<Option<Tensor>> {
        match (self.alibi, &mask.alibi) {
            (Some(Alibi::BeforeScale), Some(alibi)) => Ok(Some(cx.mul_scalar(alibi, self.scale)?)),
            (_, alibi) => Ok(alibi.clone()),
        }
    }
}

impl Module for DecoderAttention {
    type Input<'a> = Seen<'a>;
    type Output = (Tensor, Option<KeyValue>);

    fn forward(&self, cx: &mut Cx<'_>, ((hidden, stream), (positions, past)): Seen<'_>) -> Result<Self::Output> {
        let ([query, key, value], gate) = self.projections(cx, hidden)?;
        let [query, key] = self.placed(cx, [query, key], positions)?;
        let (heads, kept) = if self.layer.keys == Keys::Lent {
            let (heads, kept) = cx.remember_all(past, [query, key, value], self.layer.window)?;
            let all = kept.unwrap_or_else(|| KeyValue::of_pass(heads[1].clone(), heads[2].clone()));
            (heads, Some(all))
        } else {
            cx.remember(past, [query, key, value], self.layer.window)?
        };
        let mask = positions.mask(self.layer.window);
        let bias = self.bias(cx, mask)?;
        let how = Attention {
            scaling: if self.scale == 1.0 { Scaling::None } else { Scaling::Factor(self.scale) },
            causal: if self.sees_later { Causal::No } else { Causal::Hidden },
            padding: mask.padding(),
            window: self.layer.window,
            chosen: None,
            soft_cap: self.soft_cap,
            bias: bias.as_ref(),
            sinks: self.sinks.as_ref(),
            wide_softmax: true,
            dropout: self.dropout,
        };
        let context = cx.attention(&heads, how)?;
        let merged = heads::merge(cx, &context)?;
        let merged = match gate {
            Some(gate) => {
                let gate = cx.sigmoid(&gate)?;
                cx.mul(&merged, &gate)?
            }
            None => merged,
        };
        let out = cx.call(&self.out, &merged)?;
        Ok((add_stream(cx, out, stream)?, kept))
    }
}

/// The result of a branch, with the stream added where the module does that itself.
pub(super) fn add_stream(cx: &mut Cx<'_>, branch: Tensor, residual: Option<Residual<'_>>) -> Result<Tensor> {
    let Some(Residual { stream, dropout }) = residual else { return Ok(branch) };
    let branch = cx.dropout(&branch, dropout)?;
    cx.add(&branch, stream)
}

impl Projected {
    fn load(weights: &Weights<'_>, recipe: &AttentionRecipe, hidden: usize, of_layer: OwnHeads) -> Result<Self> {
        let (heads, OwnHeads { groups, width, value_width, are_values }) = (recipe.heads, of_layer);
        let joint = |name, biased| {
            Linear::load_maybe_biased(&weights.child(name), [hidden, (heads + 2 * groups) * width], biased)
        };
        Ok(match recipe.projections {
            Projections::Apart { names: [query, key, value], biased } => {
                let load = |name, outputs| Linear::load_maybe_biased(&weights.child(name), [hidden, outputs], biased);
                let of_query = if recipe.is_gated { 2 * heads } else { heads };
                let (query, key) = (load(query, of_query * width)?, load(key, groups * width)?);
                if are_values {
                    Self::WithoutValues([query, key])
                } else {
                    Self::Apart([query, key, load(value, groups * value_width)?])
                }
            }
            Projections::InBlocks { name, biased } => Self::InBlocks(joint(name, biased)?),
            Projections::ByGroup { name, biased } => Self::ByGroup(joint(name, biased)?),
        })
    }

    /// Query, key and value, each (batch, tokens, heads x width) or already by heads (batch, tokens, heads, width).
    fn run(
        &self,
        cx: &mut Cx<'_>,
        hidden: &Tensor,
        [heads, groups]: [usize; 2],
        clip: Option<f64>,
    ) -> Result<[Tensor; 3]> {
        match self {
            Self::Apart([query, key, value]) => {
                let [query, key, value] = cx.call_joint("qkv_proj", [query, key, value], hidden)?;
                Ok([clipped(cx, query, clip)?, clipped(cx, key, clip)?, clipped(cx, value, clip)?])
            }
            Self::WithoutValues([query, key]) => {
                let [query, key] = cx.call_joint("qkv_proj", [query, key], hidden)?;
                Ok([clipped(cx, query, clip)?, clipped(cx, key.clone(), clip)?, clipped(cx, key, clip)?])
            }
            Self::InBlocks(joint) => {
                let all = cx.call(joint, hidden)?;
                let all = clipped(cx, all, clip)?;
                let width = all.dim(2) / (heads + 2 * groups);
                let all = cx.reshape(&all, [all.dim(0), all.dim(1), heads + 2 * groups, width])?;
                Ok([
                    cx.narrow(&all, 2, 0, heads)?,
                    cx.narrow(&all, 2, heads, groups)?,
                    cx.narrow(&all, 2, heads + groups, groups)?,
                ])
            }
            Self::ByGroup(joint) => {
                let all = cx.call(joint, hidden)?;
                let all = clipped(cx, all, clip)?;
                let (batch, tokens, per_group) = (all.dim(0), all.dim(1), heads / groups + 2);
                let width = all.dim(2) / (groups * per_group);
                let all = cx.reshape(&all, [batch, tokens, groups, per_group, width])?;
                let query = cx.narrow(&all, 3, 0, per_group - 2)?;
                let query = match (groups, per_group) {
                    (1, _) => cx.select(&query, 2, 0)?,
                    (_, 3) => cx.select(&query, 3, 0)?,
                    _ => {
                        let query = cx.contiguous(&query)?;
                        cx.reshape(&query, [batch, tokens, heads, width])?
                    }
                };
                Ok([query, cx.select(&all, 3, per_group - 2)?, cx.select(&all, 3, per_group - 1)?])
            }
        }
    }
}

fn clipped(cx: &mut Cx<'_>, x: Tensor, most: Option<f64>) -> Result<Tensor> {
    match most {
        Some(most) => cx.clamp(&x, -most, most),
        None => Ok(x),
    }
}

/// A norm of the heads of all GPUs that share the layer, of which each keeps its own.
fn norm_of_all(cx: &mut Cx<'_>, norm: &Norm, own: &Tensor) -> Result<Tensor> {
    let (width, gpus) = (own.dim(2), cx.parallel().tensor);
    if gpus == 1 {
        return cx.call(norm, own);
    }
    let all = cx.all_gather(own, 2, width * gpus)?;
    let normed = cx.call(norm, &all)?;
    let own = cx.narrow(&normed, 2, 0, width)?;
    cx.contiguous(&own)
}

/// (batch, tokens, heads x width) as (batch, tokens, heads, width).
fn by_head(cx: &mut Cx<'_>, x: &Tensor, heads: usize) -> Result<Tensor> {
    match x.shape().rank() {
        4 => Ok(x.clone()),
        _ => cx.reshape(x, [x.dim(0), x.dim(1), heads, x.dim(2) / heads]),
    }
}
