//! Equal layers, followed once: by shape alone they differ in their names and in which parameters are theirs.

use super::{
    layer::{DecoderLayer, Stream},
    recipe::LayerRecipe,
};
use crate::{Cx, KeyValue, Weights};

/// Which layers of a model are equal.
pub(super) struct EqualLayers {
    /// For each layer the first that equals it; none where parameters may differ in more than their shapes.
    first: Vec<usize>,
    /// Parameters of the model before each layer's.
    parameters: Vec<u32>,
}

impl EqualLayers {
    pub(super) fn of(weights: &Weights<'_>, layers: &[LayerRecipe], parameters: Vec<u32>) -> Self {
        let first = |layer: &LayerRecipe| layers.iter().position(|other| other == layer).unwrap_or_default();
        let first = if weights.are_uniform() { layers.iter().map(first).collect() } else { Vec::new() };
        Self { first, parameters }
    }
}

/// A layer that was followed, and what came of it.
struct Followed {
    layer: usize,
    has_branch: bool,
    place: usize,
    output: (Stream, Option<KeyValue>),
}

/// The layers that one pass has followed.
pub(super) struct Repeats<'m> {
    equal: &'m EqualLayers,
    followed: Vec<Followed>,
}

impl<'m> Repeats<'m> {
    pub(super) fn new(equal: &'m EqualLayers) -> Self {
        Self { equal, followed: Vec::new() }
    }

    /// The output of a layer that equals one that was followed: the visitor is told of it, and it is not followed itself.
    pub(super) fn repeated(
        &self,
        cx: &mut Cx<'_>,
        layers: &[DecoderLayer],
        layer: usize,
        stream: &Stream,
    ) -> Option<(Stream, Option<KeyValue>)> {
        let EqualLayers { first, parameters } = self.equal;
        let is_equal =
            |other: &&Followed| first[other.layer] == first[layer] && other.has_branch == stream.has_branch();
        let known = self.followed.iter().find(is_equal)?;
        let later = parameters[layer] - parameters[known.layer];
        cx.repeat(known.place, &layers[layer], later, layers.len() - layer);
        Some(known.output.clone())
    }

    /// Remembers a layer that was followed by shape, from this place of the visitor's on.
    pub(super) fn remember(
        &mut self,
        place: Option<usize>,
        layer: usize,
        input: &Stream,
        output: &(Stream, Option<KeyValue>),
    ) {
        let Some(place) = place.filter(|_| !self.equal.first.is_empty() && input.is_shape()) else { return };
        self.followed.push(Followed { layer, has_branch: input.has_branch(), place, output: output.clone() });
    }
}
