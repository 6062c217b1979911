//! Mixtures of experts (Shazeer et al., 2017): a router, the experts that it chooses, and perhaps one that every token goes to.

use irene_tree::{Format, Level, OpKind, Operand, Operation, Role, Shape};

use super::{
    feed_forward::{Dense, DenseModule},
    recipe::{Classes, Correction, ExpertKeys, FeedForward, Mixture, Router, Scores},
};
use crate::{
    Activation, Cx, ExpertWeights, Label, Linear, Module, Result, Tensor, Weights, labelled,
    layers::{Stacked, WeightAlone},
    tensor::Scalar,
};

labelled!(MixtureOfExperts, TopKRouter, Experts);

/// The whole mixture.
pub(super) struct MixtureOfExperts {
    label: Label,
    router: TopKRouter,
    experts: Experts,
    shared: Option<DenseModule>,
    shared_gate: Option<Linear>,
}

impl MixtureOfExperts {
    pub(super) fn load(weights: &Weights<'_>, classes: &Classes, recipe: &Mixture, hidden: usize) -> Result<Self> {
        let shared = recipe.shared.map(|shared| {
            let (inner, activation, biased) = (shared.inner, recipe.activation, false);
            let layers = if recipe.weights.is_gated {
                FeedForward::Gated { names: ["gate_proj", "up_proj", "down_proj"], inner, activation, biased }
            } else {
                FeedForward::Plain { names: ["up_proj", "down_proj"], inner, activation, biased }
            };
            // Hy3's checkpoints have other names for this, the router and its correction.
            let weights = weights.child_also(shared.name, "shared_mlp", "up_proj.weight");
            let layers = Dense::load(&weights, &layers, hidden)?;
            let layers = layers.map(|layers| layers.clipped(recipe.weights.clip));
            Ok::<_, crate::Error>(layers.map(|layers| DenseModule::new(&weights, classes.feed_forward, layers)))
        });
        let gate = recipe.shared.and_then(|shared| shared.gate);
        Ok(Self {
            label: weights.label(classes.mixture, Level::Module),
            router: TopKRouter::load(weights, classes.router, recipe, hidden)?,
            experts: Experts::load(weights, classes.experts, recipe, hidden)?,
            shared: shared.transpose()?.flatten(),
            shared_gate: gate.map(|name| Linear::load_with(&weights.child(name), [hidden, 1], None)).transpose()?,
        })
    }
}

impl Module for MixtureOfExperts {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let shape = hidden.shape();
        let all = hidden.dim(0) * hidden.dim(1);
        let mut tokens = cx.reshape(hidden, [all, hidden.dim(2)])?;
        if cx.parallel().exchanges_tokens() {
            // The GPUs that have the same tokens send a part of them each.
            tokens = cx.narrow(&tokens, 0, 0, all.div_ceil(cx.parallel().tensor))?;
        }
        let shared = self.shared.as_ref().map(|shared| cx.call(shared, (&tokens, None))).transpose()?;
        let [_, weights, places] = cx.call(&self.router, &tokens)?;
        let (scaled, weights) = self.router.scaled(cx, &tokens, weights)?;
        let mut sum = cx.call(&self.experts, (&scaled, (&weights, &places)))?;
        if let Some(shared) = shared {
            let shared = match &self.shared_gate {
                Some(gate) => {
                    let gate = cx.call(gate, &tokens)?;
                    let gate = cx.sigmoid(&gate)?;
                    cx.mul(&shared, &gate)?
                }
                None => shared,
            };
            sum = cx.add(&sum, &shared)?;
        }
        if cx.parallel().exchanges_tokens() {
            sum = cx.all_gather(&sum, 0, all)?;
        }
        cx.reshape(&sum, shape)
    }
}

/// Chooses each token's experts.
struct TopKRouter {
    label: Label,
    weight: WeightAlone,
    correction: Option<Tensor>,
    router: Router,
    experts: usize,
    per_token: usize,
}

impl TopKRouter {
    fn load(weights: &Weights<'_>, class: &'static str, recipe: &Mixture, hidden: usize) -> Result<Self> {
        let Mixture { router, experts, per_token, .. } = *recipe;
        let beside = weights;
        let weights = beside.child_also(router.name, router.key, router.weight);
        // Scores are in 32 bits in every precision, and so is what is added to them, which decides the choice alone.
        let class = if router.table.is_some() { "DeepseekV4HashRouter" } else { class };
        let correction = router.correction.map(|Correction { key, is_beside, is_row }| {
            let place = if is_beside { beside } else { &weights };
            let shape = if is_row { Shape::from([1, experts]) } else { Shape::from([experts]) };
            place.clone().untrained().parameter_also_named(key, "expert_bias", shape)?.kept_in_f32()
        });
        Ok(Self {
            label: weights.label(class, Level::Module),
            weight: WeightAlone::load(&weights, router.weight, [hidden, experts], router.biased)?,
            correction: correction.transpose()?,
            router,
            experts,
            per_token,
        })
    }

    /// The places of each token's experts, and their scores.
    fn choose(&self, cx: &mut Cx<'_>, scores: &Tensor) -> Result<(Tensor, Tensor)> {
        if let Some(rows) = self.router.table {
            let places = Operand::new([scores.dim(0), self.per_token], Format::I64, Role::Ids);
            let table = Operand::new([rows, self.per_token], Format::I64, Role::Activation);
            let looked_up = Operation::new(OpKind::Embedding, &[Operand::ids([scores.dim(0)]), table], places);
            let places = cx.follow(looked_up, &[scores])?.with_role(Role::Ids);
            return Ok((cx.take(scores, &places)?, places));
        }
        let Some(correction) = &self.correction else {
            let limited = self.in_best_groups(cx, scores, 1)?;
            return cx.top_k(&limited, self.per_token);
        };
        let corrected = cx.add(scores, correction)?;
        // A group is as good as its two best experts.
        let limited = self.in_best_groups(cx, &corrected, 2)?;
        let (_, places) = cx.top_k(&limited, self.per_token)?;
        Ok((cx.take(scores, &places)?, places))
    }

    /// The weights of each token's experts, and the experts' places.
    fn weigh(&self, cx: &mut Cx<'_>, products: &Tensor) -> Result<[Tensor; 2]> {
        let wide = if products.format() == Format::F64 { products.clone() } else { cx.cast_up(products)? };
        let scores = match self.router.scores {
            Scores::Softmax => cx.softmax(&wide)?,
            Scores::SoftmaxOfChosen | Scores::SigmoidOfChosen => wide,
            Scores::Sigmoid => cx.sigmoid(&wide)?,
            Scores::RootOfSoftplus => {
                let softplus = cx.softplus(&wide)?;
                cx.pow(&softplus, 0.5)?
            }
            Scores::SparseMixer(share) => return self.mix_sparsely(cx, &wide, share),
        };
        let (mut weights, places) = self.choose(cx, &scores)?;
        weights = match self.router.scores {
            Scores::SoftmaxOfChosen => cx.softmax(&weights)?,
            Scores::SigmoidOfChosen => cx.sigmoid(&weights)?,
            Scores::Softmax | Scores::Sigmoid | Scores::RootOfSoftplus | Scores::SparseMixer(_) => weights,
        };
        if self.router.normalised {
            let sum = cx.sum(&weights)?;
            weights = cx.div(&weights, &sum)?;
        }
        if self.router.scale != 1.0 {
            weights = cx.mul_scalar(&weights, self.router.scale)?;
        }
        if self.router.scales_input && weights.format() != products.format() {
            weights = cx.cast(&weights, products.format())?;
        }
        Ok([weights, places])
    }

    /// SparseMixer's weights and places of two experts.
    fn mix_sparsely(&self, cx: &mut Cx<'_>, scores: &Tensor, share: f64) -> Result<[Tensor; 2]> {
        let [first, place] = best_by_near_ones(cx, scores, share)?;
        let chosen = cx.marks(&place, self.experts)?;
        let left = cx.not_equal(&chosen, 1)?;
        let others = cx.where_mask(&left, scores, LOWEST)?;
        let [second, other_place] = best_by_near_ones(cx, &others, share)?;
        let weights = cx.join(&first, &second, 1)?;
        let places = cx.join(&place, &other_place, 1)?;
        Ok([weights, places.with_role(Role::Ids)])
    }

    /// The same in the one kernel that engines have for it.
    fn operation_of_weights(&self, products: &Tensor, weights: &Tensor) -> Operation {
        let inputs: Vec<Operand> = [products].into_iter().chain(&self.correction).map(Tensor::operand).collect();
        let scores: &[OpKind] = match self.router.scores {
            Scores::Softmax | Scores::SoftmaxOfChosen => &[OpKind::Softmax],
            Scores::Sigmoid | Scores::SigmoidOfChosen => &[OpKind::Sigmoid],
            Scores::RootOfSoftplus => &[OpKind::Softplus, OpKind::Pow],
            Scores::SparseMixer(_) => &[OpKind::Softmax; 2],
        };
        let sums: &[OpKind] = if self.router.normalised { &[OpKind::Sum, OpKind::Div] } else { &[] };
        Operation::new(OpKind::TopK, &inputs, weights.operand()).fused_with(&[scores, sums].concat())
    }

    /// The tokens as the experts get them, and the weights of what the experts give.
    fn scaled(&self, cx: &mut Cx<'_>, tokens: &Tensor, weights: Tensor) -> Result<(Tensor, Tensor)> {
        if !self.router.scales_input {
            return Ok((tokens.clone(), weights));
        }
        let ones = weights.zeros(weights.shape())?.scalar(Scalar::Add(1.0))?;
        Ok((cx.mul(tokens, &weights)?, ones))
    }

    /// Scores of experts outside a token's best groups become 0.
    fn in_best_groups(&self, cx: &mut Cx<'_>, scores: &Tensor, best: usize) -> Result<Tensor> {
        let Some([groups, chosen]) = self.router.groups.filter(|[groups, chosen]| chosen < groups) else {
            return Ok(scores.clone());
        };
        let (tokens, of_group) = (scores.dim(0), self.experts / groups);
        let by_group = cx.reshape(scores, [tokens * groups, of_group])?;
        let (greatest, _) = cx.top_k(&by_group, best.min(of_group))?;
        let sums = cx.sum(&greatest)?;
        let sums = cx.reshape(&sums, [tokens, groups])?;
        let (_, places) = cx.top_k(&sums, chosen)?;
        let mask = cx.marks(&places, groups)?;
        let mask = cx.reshape(&mask, [tokens, groups, 1])?;
        let by_group = cx.reshape(&by_group, [tokens, groups, of_group])?;
        let limited = cx.where_mask(&mask, &by_group, 0.0)?;
        cx.reshape(&limited, [tokens, self.experts])
    }
}

/// A score that no choice and no softmax sees.
const LOWEST: f64 = f32::MIN as f64;

/// The weight of each row's greatest score, by the softmax over the scores near it, and its place.
fn best_by_near_ones(cx: &mut Cx<'_>, scores: &Tensor, share: f64) -> Result<[Tensor; 2]> {
    let (greatest, place) = cx.top_k(scores, 1)?;
    let near = cx.near(scores, &greatest, share)?;
    let near = cx.where_mask(&near, scores, LOWEST)?;
    let weights = cx.softmax(&near)?;
    Ok([cx.take(&weights, &place)?, place])
}

impl Module for TopKRouter {
    type Input<'a> = &'a Tensor;
    /// The products, the weights of each token's experts, and the experts' places.
    type Output = [Tensor; 3];

    fn forward(&self, cx: &mut Cx<'_>, tokens: &Tensor) -> Result<[Tensor; 3]> {
        let products = cx.linear(tokens, &self.weight)?;
        let [weights, places] = cx.in_one_kernel(
            OpKind::TopK,
            &[&products],
            |cx| self.weigh(cx, &products),
            |[weights, _]| self.operation_of_weights(&products, weights),
        )?;
        Ok([products, weights, places])
    }
}

/// The experts themselves.
pub(super) struct Experts {
    label: Label,
    gate_up: ExpertWeights,
    down: ExpertWeights,
    activation: Activation,
    experts: usize,
    limit: Option<f64>,
    clip: Option<f64>,
    is_gated: bool,
}

impl Experts {
    pub(super) fn load(weights: &Weights<'_>, class: &'static str, recipe: &Mixture, hidden: usize) -> Result<Self> {
        let &Mixture { experts, inner, activation, weights: keys, .. } = recipe;
        let own = experts / weights.parallel().expert;
        let ExpertKeys { module, gate_up, down, biases, apart, limit, clip, is_gated } = keys;
        let weights = if module.is_empty() { weights.named("experts") } else { weights.child(module) };
        let [gate_up_bias, down_bias] = match biases {
            Some([gate_up, down]) => [Some(gate_up), Some(down)],
            None => [None, None],
        };
        let is_apart = apart.filter(|[_, up, _]| !weights.has(gate_up.key()) && weights.has(&format!("0.{up}.weight")));
        let ways = |[gate, up, _]: &[&'static str; 3]| [is_gated.then_some(*gate), Some(*up)];
        let of_both: Vec<&str> = is_apart.iter().flat_map(ways).flatten().collect();
        let of_down: Vec<&str> = is_apart.iter().map(|[.., down]| *down).collect();
        let [gate_up, down] = match is_apart {
            Some(_) => [Stacked::Apart(&of_both), Stacked::Apart(&of_down)],
            None => [gate_up, down],
        };
        let (name, outputs) = if is_gated { ("gate_up_proj", 2 * inner) } else { ("up_proj", inner) };
        Ok(Self {
            label: weights.label(class, Level::Module),
            gate_up: ExpertWeights::load(&weights, name, gate_up, [own, hidden, outputs], gate_up_bias)?,
            down: ExpertWeights::load(&weights, "down_proj", down, [own, inner, hidden], down_bias)?,
            activation,
            experts,
            limit,
            clip,
            is_gated,
        })
    }
}

impl Module for Experts {
    type Input<'a> = (&'a Tensor, (&'a Tensor, &'a Tensor));
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (tokens, (weights, places)): Self::Input<'_>) -> Result<Tensor> {
        let routed = cx.route(tokens, places, self.experts)?;
        let rows = cx.all_to_all(&routed.rows)?;
        let both = cx.grouped_linear(&routed.with_rows(rows), &self.gate_up)?;
        let inner = match (self.is_gated, self.clip) {
            (false, _) => self.activation.apply(cx, &both.rows)?,
            (true, None) => cx.gated_jointly(&both.rows, self.activation, self.limit)?,
            (true, clip) => {
                let half = both.rows.dim(1) / 2;
                let [gate, up] = [cx.narrow(&both.rows, 1, 0, half)?, cx.narrow(&both.rows, 1, half, half)?];
                cx.gated_within(&gate, &up, self.activation, clip)?
            }
        };
        let out = cx.grouped_linear(&both.with_rows(inner), &self.down)?;
        let rows = cx.all_to_all(&out.rows)?;
        cx.gather_experts(&out.with_rows(rows), weights)
    }
}
