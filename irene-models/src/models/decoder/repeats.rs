//! Equal layers, followed once: by shape alone they differ in their names and in which parameters are theirs.

use super::{
    layer::{DecoderLayer, Stream},
    recipe::LayerRecipe,
};
use crate::{Cx, KeyValue};

/// Which layers of a model are equal.
pub(super) struct EqualLayers {
    /// For each layer the first that equals it.
    first: Vec<usize>,
    /// Parameters of the model before each layer's.
    parameters: Vec<u32>,
}

/// What a layer loaded: the parameters of the model before its own, and the formats of its own.
pub(super) type Loaded = (u32, u64);

impl EqualLayers {
    pub(super) fn of(layers: &[LayerRecipe], loaded: &[Loaded]) -> Self {
        let formats = || loaded.iter().map(|(_, formats)| formats);
        let first = |of: (&LayerRecipe, &u64)| layers.iter().zip(formats()).position(|other| other == of);
        let first = layers.iter().zip(formats()).map(|of| first(of).unwrap_or_default()).collect();
        Self { first, parameters: loaded.iter().map(|(before, _)| *before).collect() }
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
        let Some(place) = place.filter(|_| input.is_shape()) else { return };
        self.followed.push(Followed { layer, has_branch: input.has_branch(), place, output: output.clone() });
    }
}
