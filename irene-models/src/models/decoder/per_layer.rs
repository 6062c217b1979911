//! Embeddings of each token for each layer (Gemma 4).

use std::f64::consts::FRAC_1_SQRT_2;

use irene_tree::Level;

use super::{ScaledEmbedding, recipe::Recipe};
use crate::{Activation, Cx, Embedding, Linear, Norm, Result, Tensor, Weights};

/// The embeddings of a token for all layers: a row of a table of their own, and a product of the token's embedding.
pub(super) struct PerLayerInputs {
    tokens: ScaledEmbedding,
    product: Linear,
    norm: Norm,
    layers: usize,
    width: usize,
    /// The factor of the product.
    factor: f64,
}

impl PerLayerInputs {
    /// Those of a recipe that has so many numbers of a token for a layer.
    pub(super) fn load(weights: &Weights<'_>, recipe: &Recipe, width: usize) -> Result<Self> {
        let (layers, classes) = (recipe.layers.len(), &recipe.names.classes);
        let table = weights.child("embed_tokens_per_layer");
        let class = recipe.scaling_table.unwrap_or("ScaledWordEmbedding");
        let place = weights.child("per_layer_model_projection");
        Ok(Self {
            tokens: ScaledEmbedding {
                label: table.label(class, Level::Module),
                table: Embedding::load(&table.named("table"), recipe.vocabulary, layers * width)?,
                scale: (width as f64).sqrt(),
            },
            product: Linear::load_with(&place, [recipe.hidden, layers * width], None)?,
            norm: recipe.norm.load(&weights.child("per_layer_projection_norm"), classes.norm, width)?,
            layers,
            width,
            factor: 1.0 / (recipe.hidden as f64).sqrt(),
        })
    }

    /// (batch, tokens, layers, width) of these ids and their embeddings.
    pub(super) fn run(&self, cx: &mut Cx<'_>, ids: &Tensor, embeddings: &Tensor) -> Result<Tensor> {
        let shape = [ids.dim(0), ids.dim(1), self.layers, self.width];
        let rows = cx.call(&self.tokens, ids)?;
        // Each GPU has a part of the rows, and zeros for the others.
        let rows = cx.all_reduce(&rows)?;
        let rows = cx.reshape(&rows, shape)?;
        let product = cx.call(&self.product, embeddings)?;
        let product = cx.mul_scalar(&product, self.factor)?;
        let product = cx.reshape(&product, shape)?;
        let product = cx.call(&self.norm, &product)?;
        let sum = cx.add(&product, &rows)?;
        cx.mul_scalar(&sum, FRAC_1_SQRT_2)
    }
}

/// A layer's way from its own embeddings into the stream.
pub(super) struct PerLayerBranch {
    gate: Linear,
    activation: Activation,
    product: Linear,
    norm: Norm,
}

impl PerLayerBranch {
    pub(super) fn load(
        weights: &Weights<'_>,
        recipe: &Recipe,
        (width, activation): (usize, Activation),
    ) -> Result<Self> {
        let (hidden, class) = (recipe.hidden, recipe.names.classes.norm);
        Ok(Self {
            gate: Linear::load_with(&weights.child("per_layer_input_gate"), [hidden, width], None)?,
            activation,
            product: Linear::load_with(&weights.child("per_layer_projection"), [width, hidden], None)?,
            norm: recipe.norm.load(&weights.child("post_per_layer_input_norm"), class, hidden)?,
        })
    }

    /// The layer's embeddings (batch, tokens, width), gated by the stream, as they are added to it.
    pub(super) fn run(&self, cx: &mut Cx<'_>, stream: &Tensor, of_layer: &Tensor) -> Result<Tensor> {
        let gate = cx.call(&self.gate, stream)?;
        let gated = cx.gated(&gate, of_layer, self.activation)?;
        let product = cx.call(&self.product, &gated)?;
        cx.call(&self.norm, &product)
    }
}
