//! Experts beside a layer's feed-forward part, with norms of their own (Gemma 4).

use irene_tree::{Level, OpKind, Operation};

use super::{
    mixture::Experts,
    recipe::{Mixture, Recipe},
};
use crate::{Cx, Label, Linear, Module, Norm, Result, Tensor, Weights, labelled, layers::PlainRmsNorm};

labelled!(ScaledRouter);

/// The experts, their router, and the norms of what the feed-forward part gives, of what the experts get and of what they give.
pub(super) struct ExpertsBeside {
    router: ScaledRouter,
    experts: Experts,
    norms: [Norm; 3],
}

impl ExpertsBeside {
    pub(super) fn load(weights: &Weights<'_>, recipe: &Recipe, (mixture, eps): &(Mixture, f64)) -> Result<Self> {
        const NORMS: [&str; 3] =
            ["post_feedforward_layernorm_1", "pre_feedforward_layernorm_2", "post_feedforward_layernorm_2"];
        let classes = &recipe.names.classes;
        let norm = |name| recipe.norm.load(&weights.child(name), classes.norm, recipe.hidden);
        let [of_dense, before, after] = NORMS.map(norm);
        Ok(Self {
            router: ScaledRouter::load(&weights.child(mixture.router.name), recipe, mixture, *eps)?,
            experts: Experts::load(weights, classes.experts, mixture, recipe.hidden)?,
            norms: [of_dense?, before?, after?],
        })
    }

    /// The sum of what the feed-forward part gave and what the experts give for the stream.
    pub(super) fn added(&self, cx: &mut Cx<'_>, fed: &Tensor, stream: &Tensor) -> Result<Tensor> {
        let [of_dense, before, after] = &self.norms;
        let fed = cx.call(of_dense, fed)?;
        let (shape, all) = (stream.shape(), stream.dim(0) * stream.dim(1));
        let mut tokens = cx.reshape(stream, [all, stream.dim(2)])?;
        let is_exchanged = cx.parallel().exchanges_tokens();
        if is_exchanged {
            // The GPUs that have the same tokens send a part of them each.
            tokens = cx.narrow(&tokens, 0, 0, all.div_ceil(cx.parallel().tensor))?;
        }
        let [weights, places] = cx.call(&self.router, &tokens)?;
        let normed = cx.call(before, &tokens)?;
        let sum = cx.call(&self.experts, (&normed, (&weights, &places)))?;
        let sum = if is_exchanged { cx.all_gather(&sum, 0, all)? } else { cx.all_reduce(&sum)? };
        let sum = cx.reshape(&sum, shape)?;
        let given = cx.call(after, &sum)?;
        cx.add(&fed, &given)
    }
}

/// Chooses each token's experts by products of its scaled norm, and weighs each expert by a number of its own.
struct ScaledRouter {
    label: Label,
    norm: PlainRmsNorm,
    scale: Tensor,
    root: f64,
    products: Linear,
    of_expert: Tensor,
    experts: usize,
    per_token: usize,
}

impl ScaledRouter {
    fn load(weights: &Weights<'_>, recipe: &Recipe, mixture: &Mixture, eps: f64) -> Result<Self> {
        let &Mixture { experts, per_token, .. } = mixture;
        let (classes, hidden) = (&recipe.names.classes, recipe.hidden);
        Ok(Self {
            label: weights.label(classes.router, Level::Module),
            norm: PlainRmsNorm::new(&weights.named("norm"), classes.norm, eps),
            scale: weights.parameter("scale", [hidden])?,
            root: 1.0 / (hidden as f64).sqrt(),
            products: Linear::load_with(&weights.child(mixture.router.weight), [hidden, experts], None)?,
            // Scores are in 32 bits in every precision, and so is what they are scaled by.
            of_expert: weights.parameter("per_expert_scale", [experts])?.kept_in_f32()?,
            experts,
            per_token,
        })
    }

    fn weigh(&self, cx: &mut Cx<'_>, products: &Tensor) -> Result<[Tensor; 2]> {
        let wide = cx.cast_up(products)?;
        let scores = cx.softmax(&wide)?;
        let (weights, places) = cx.top_k(&scores, self.per_token)?;
        let sum = cx.sum(&weights)?;
        let weights = cx.div(&weights, &sum)?;
        let of_expert = cx.reshape(&self.of_expert, [1, self.experts])?;
        let of_chosen = cx.take(&of_expert, &places)?;
        Ok([cx.mul(&weights, &of_chosen)?, places])
    }
}

impl Module for ScaledRouter {
    type Input<'a> = &'a Tensor;
    /// The weights of each token's experts, and the experts' places.
    type Output = [Tensor; 2];

    fn forward(&self, cx: &mut Cx<'_>, tokens: &Tensor) -> Result<[Tensor; 2]> {
        let normed = cx.call(&self.norm, tokens)?;
        let scaled = cx.mul(&normed, &self.scale)?;
        let scaled = cx.mul_scalar(&scaled, self.root)?;
        let products = cx.call(&self.products, &scaled)?;
        cx.in_one_kernel(
            OpKind::TopK,
            &[&products],
            |cx| self.weigh(cx, &products),
            |[weights, _]| {
                let inputs = [products.operand(), self.of_expert.operand()];
                let others = [OpKind::Softmax, OpKind::Sum, OpKind::Div, OpKind::Mul];
                Operation::new(OpKind::TopK, &inputs, weights.operand()).fused_with(&others)
            },
        )
    }
}
