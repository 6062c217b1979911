use irene_tree::{Level, OpKind, Operation};

use super::{Dense, Kind, Sentence, Step, pooling::Pooling};
use crate::{
    Activation, Batch, Cx, Error, Label, Linear, Model, ModelOutput, Module, Result, Tensor, Weights, labelled,
};

labelled!(SentenceModel, DenseLayer, Normalize);

/// A model with the modules that make one vector of a sequence. They are children of the model's own root.
pub(crate) struct SentenceModel {
    label: Label,
    model: Box<dyn Model>,
    pooling: Pooling,
    after: Vec<After>,
}

/// A module over pooled vectors.
enum After {
    Dense(Box<DenseLayer>),
    Normalize(Normalize),
}

impl SentenceModel {
    /// The modules around a model, loaded from its root.
    ///
    /// # Errors
    /// The error of the weights' source; [`Error::Shape`] for modules in another order than pooling before the others.
    pub(crate) fn load(sentence: &Sentence, weights: &Weights<'_>, model: Box<dyn Model>) -> Result<Self> {
        let misplaced = || {
            let reason = "expected one Pooling, before all other modules".into();
            Error::Shape { operation: "modules.json", reason }
        };
        let Some((Step { name, kind: Kind::Pooling(modes) }, others)) = sentence.steps.split_first() else {
            return Err(misplaced());
        };
        let pooling = Pooling::load(&weights.child_of_file(name.clone()), modes);
        let after = others.iter().map(|Step { name, kind }| {
            let place = weights.child_of_file(name.clone());
            Ok(match kind {
                Kind::Pooling(_) => return Err(misplaced()),
                Kind::Dense(dense) => After::Dense(Box::new(DenseLayer::load(&place, dense)?)),
                Kind::Normalize => After::Normalize(Normalize { label: place.label("Normalize", Level::Ml) }),
            })
        });
        let after = after.collect::<Result<_>>()?;
        let label = weights.label(model.instance_type(), Level::Model);
        Ok(Self { label, model, pooling, after })
    }
}

impl Module for SentenceModel {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        let output = self.model.run_inside(cx, batch)?;
        let hidden = &output.last_hidden_state;
        // Single steps after a cache are a generation's, which wants no vector.
        if batch.cache.is_some() {
            return Ok(output);
        }
        let mut embedding = cx.call(&self.pooling, (hidden, batch))?;
        for module in &self.after {
            embedding = match module {
                After::Dense(dense) => cx.call(dense.as_ref(), &embedding)?,
                After::Normalize(normalize) => cx.call(normalize, &embedding)?,
            };
        }
        Ok(ModelOutput { sentence_embedding: Some(embedding), ..output })
    }
}

/// A linear layer, and an activation.
struct DenseLayer {
    label: Label,
    linear: Linear,
    activation: Option<Activation>,
}

impl DenseLayer {
    fn load(weights: &Weights<'_>, dense: &Dense) -> Result<Self> {
        Ok(Self {
            label: weights.label("Dense", Level::Module),
            linear: Linear::load_maybe_biased(&weights.child("linear"), dense.widths, dense.is_biased)?,
            activation: dense.activation,
        })
    }
}

impl Module for DenseLayer {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        match self.activation {
            Some(activation) => cx.call_then(&self.linear, x, activation),
            None => cx.call(&self.linear, x),
        }
    }
}

/// x / |x|: a primitive, whose single operations are as small as a vector.
struct Normalize {
    label: Label,
}

/// The least length that a vector is divided by.
const SHORTEST: f64 = 1e-12;

impl Module for Normalize {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        cx.untraced(|cx| {
            let square = cx.pow(x, 2.0)?;
            let sum = cx.sum(&square)?;
            let length = cx.pow(&sum, 0.5)?;
            let length = cx.clamp(&length, SHORTEST, f64::from(f32::MAX))?;
            cx.div(x, &length)
        })
    }

    fn operation(&self, x: &Tensor, output: &Tensor) -> Option<Operation> {
        let sum = Operation::new(OpKind::Sum, &[x.operand()], output.operand());
        Some(sum.fused_with(&[OpKind::Mul, OpKind::Div]))
    }
}
