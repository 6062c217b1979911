use std::{fmt, ops::Deref};

use irene_models::flexibert::{Design, Head, LayerDesign};
use serde::{Deserialize, Serialize};

use super::{DesignSpace, ModelHash, choices::index_of};
use crate::Error;

/// The published embedding of a design, a list of whole numbers: the index of its number of layers, and for each layer the
/// indices of its hidden size, its list of feed-forward widths and its multiset of heads. An index beyond its layers is 0, which
/// is an index as well: only the first number tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Embedding(Vec<u32>);

impl Embedding {
    /// The indices as numbers.
    pub fn coordinates(&self) -> Vec<f64> {
        self.0.iter().copied().map(f64::from).collect()
    }
}

/// Any list of numbers; [`DesignSpace::design_of`] says whether there is a design of them.
impl From<Vec<u32>> for Embedding {
    fn from(indices: Vec<u32>) -> Self {
        Self(indices)
    }
}

impl Deref for Embedding {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.0
    }
}

impl fmt::Display for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl DesignSpace {
    /// Numbers in an embedding: one, and three for each of the most layers.
    pub fn embedding_len(&self) -> usize {
        self.layers.iter().max().map_or(1, |layers| 1 + 3 * layers)
    }

    /// Choices of each number of an embedding; it counts them from 0.
    pub fn embedding_choices(&self) -> Vec<u32> {
        // A space that was read has no more than fit.
        let [feed_forward, heads] = [self.feed_forward_choices(), self.head_choices()].map(Option::unwrap_or_default);
        self.numbers([self.hidden.len() as u32, feed_forward, heads])
    }

    /// The same where each layer's three numbers have so many.
    pub(super) fn numbers(&self, of_layer: [u32; 3]) -> Vec<u32> {
        [self.layers.len() as u32].into_iter().chain(of_layer.into_iter().cycle()).take(self.embedding_len()).collect()
    }

    /// The published embedding.
    ///
    /// # Errors
    /// [`Error::Outside`] if a choice of the design is not in the space.
    pub fn embed(&self, design: &Design) -> crate::Result<Embedding> {
        let outside = |reason| Error::Outside { design: format!("design {}", ModelHash::of(design)), reason };
        let layers = design.layers();
        let mut indices = Vec::with_capacity(self.embedding_len());
        indices.push(index_of("number of layers", &self.layers, &layers.len()).map_err(outside)?);
        for (index, layer) in layers.iter().enumerate() {
            let ranks = self.rank_layer(layer).map_err(|reason| outside(format!("layer {index}: {reason}")))?;
            indices.extend(ranks);
        }
        indices.resize(self.embedding_len(), 0);
        Ok(Embedding(indices))
    }

    /// The design of an embedding, in canonical form.
    ///
    /// # Errors
    /// [`Error::Outside`] if it is too long or too short, an index is too large, or one beyond the design's layers is not 0.
    pub fn design_of(&self, embedding: &Embedding) -> crate::Result<Design> {
        let outside =
            |reason| Error::Outside { design: format!("an embedding of {} numbers", embedding.len()), reason };
        let read = || {
            let expected = self.embedding_len();
            let (&first, indices) = embedding
                .split_first()
                .filter(|_| embedding.len() == expected)
                .ok_or(format!("expected {expected}"))?;
            let layers = pick("number of layers", &self.layers, first)?;
            let (used, pads) =
                indices.split_at_checked(3 * layers).ok_or_else(|| format!("{layers} layers do not fit"))?;
            if let Some(pad) = pads.iter().position(|pad| *pad != 0) {
                return Err(format!(
                    "number {} is beyond its {layers} layers, expected 0, found {}",
                    1 + used.len() + pad,
                    pads[pad]
                ));
            }
            let layers = used.chunks_exact(3).enumerate();
            let layers =
                layers.map(|(index, ranks)| self.layer_of(ranks).map_err(|reason| format!("layer {index}: {reason}")));
            Design::new(layers.collect::<Result<_, _>>()?)
        };
        read().map_err(outside)
    }

    fn layer_of(&self, ranks: &[u32]) -> Result<LayerDesign, String> {
        let &[hidden, feed_forward, heads] = ranks else {
            return Err(format!("expected three numbers, found {}", ranks.len()));
        };
        let missing = |what: &str, choices: Option<u32>, found: u32| too_large(what, choices.unwrap_or(0), found);
        Ok(LayerDesign {
            hidden: pick("hidden size", &self.hidden, hidden)?,
            heads: self.heads_of(heads).ok_or_else(|| missing("heads", self.head_choices(), heads))?,
            feed_forward: self
                .feed_forward_of(feed_forward)
                .ok_or_else(|| missing("feed-forward widths", self.feed_forward_choices(), feed_forward))?,
        })
    }

    /// The same design with the heads of each layer in the order of the space's operations, any others after them: what
    /// [`Self::design_of`] its embedding gives. Heads of a layer have no order of their own.
    pub fn canonical(&self, design: &Design) -> Design {
        let place = |head: &Head| self.operations.iter().position(|operation| operation == head).unwrap_or(usize::MAX);
        let mut layers = design.layers().to_vec();
        for layer in &mut layers {
            layer.heads.sort_by_key(|head| (place(head), *head));
        }
        Design::new(layers).unwrap_or_else(|_| design.clone())
    }
}

fn pick(what: &str, choices: &[usize], index: u32) -> Result<usize, String> {
    choices.get(index as usize).copied().ok_or_else(|| too_large(what, choices.len() as u32, index))
}

fn too_large(what: &str, choices: u32, found: u32) -> String {
    format!("index {found} of the {what} is too large, there are {choices} choices")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn design(hidden: usize, heads: &[Head], feed_forward: &[usize]) -> Design {
        let heads = heads.to_vec();
        Design::new(vec![LayerDesign { hidden, heads, feed_forward: feed_forward.to_vec() }; 2]).unwrap()
    }

    const HEADS: [Head; 2] = [Head::Convolution(13), Head::ScaledDotProduct];

    #[test]
    fn heads_have_no_order() {
        let space = DesignSpace::published();
        let (found, sorted) = (design(128, &HEADS, &[256]), design(128, &[HEADS[1], HEADS[0]], &[256]));
        assert_eq!(space.canonical(&found), sorted);
        assert_eq!(space.embed(&found).unwrap(), space.embed(&sorted).unwrap());
        assert_eq!(space.design_of(&space.embed(&found).unwrap()).unwrap(), sorted);
        assert_eq!(space.embed(&found).unwrap()[..5], [0, 0, 0, 6, 0]);
    }

    #[test]
    fn what_is_outside_says_where_and_what_there_is() {
        let space = DesignSpace::published();
        let reason = |design: &Design| match space.embed(design) {
            Err(Error::Outside { reason, .. }) => reason,
            other => format!("{other:?}"),
        };
        let cases = [
            (design(384, &HEADS, &[256]), "layer 0: hidden size 384 is no choice, expected one of 128, 256, 512, 768"),
            (
                design(128, &HEADS, &[256, 300]),
                "layer 0: feed-forward width 300 is no choice, expected one of 256, 512, 1024, 2048, 3072, 4096",
            ),
            (
                design(128, &HEADS, &[256; 4]),
                "layer 0: number of feed-forward widths 4 is no choice, expected one of 1, 2, 3",
            ),
            (design(128, &HEADS[..1], &[256]), "layer 0: number of heads 1 is no choice, expected one of 2, 4, 8, 12"),
            (
                design(128, &[Head::Convolution(7); 2], &[256]),
                "layer 0: head c_7 is no choice, expected one of sa_sdp, sa_wma, l_dft, l_dct, c_5, c_9, c_13",
            ),
        ];
        for (design, expected) in cases {
            assert_eq!(reason(&design), expected);
        }
        let three = Design::new(
            [design(128, &HEADS, &[256]).layers(), &[design(128, &HEADS, &[256]).layers()[0].clone()]].concat(),
        );
        assert_eq!(reason(&three.unwrap()), "number of layers 3 is no choice, expected one of 2, 4, 6, 8, 10, 12");
    }

    #[test]
    fn what_is_no_embedding_says_why() {
        let space = DesignSpace::published();
        let zeros_but = |at: usize, index: u32| {
            let mut indices = vec![0; 37];
            indices[at] = index;
            indices
        };
        let cases = [
            (vec![0; 7], "an embedding of 7 numbers is outside the design space: expected 37"),
            (vec![], "an embedding of 0 numbers is outside the design space: expected 37"),
            (zeros_but(0, 6), "index 6 of the number of layers is too large, there are 6 choices"),
            (
                zeros_but(5, u32::MAX),
                "layer 1: index 4294967295 of the feed-forward widths is too large, there are 258 choices",
            ),
            (zeros_but(3, 21_805), "layer 0: index 21805 of the heads is too large, there are 21805 choices"),
            (zeros_but(8, 1), "number 8 is beyond its 2 layers, expected 0, found 1"),
        ];
        for (indices, expected) in cases {
            let message = space.design_of(&Embedding::from(indices)).unwrap_err().to_string();
            assert!(message.ends_with(expected), "{message}");
        }
    }
}
