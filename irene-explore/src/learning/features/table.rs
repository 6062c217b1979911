use std::{collections::HashMap, sync::RwLock};

use irene_models::flexibert::{Design, Head, LayerDesign};
use irene_tree::{NodeId, Tree};

use super::{DesignFeatures, trace};
use crate::Result;

/// The features of designs, put together from those of their parts.
///
/// A layer costs what its attention and its feed-forward part cost, and attention what it shares and each head. So the parts of
/// designs of one layer, each traced when it is first asked for, give those of all others.
#[derive(Debug, Default)]
pub(in crate::learning) struct FeatureTable {
    /// By the tokens in a sequence.
    parts: RwLock<HashMap<usize, Parts>>,
}

type Parts = HashMap<Part, DesignFeatures>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    /// All but the layers and the pooler, by the first hidden size.
    Outside(usize),
    /// A head with its share of what the layer's heads share, by hidden size and number of heads.
    Head(usize, usize, Head),
    FeedForward(usize, Vec<usize>),
    /// From one hidden size to another.
    Projection(usize, usize),
    /// By the last hidden size.
    Pooler(usize),
}

impl FeatureTable {
    /// The features of a design at sequences of so many tokens, the same as of its whole tree.
    ///
    /// # Errors
    /// An error of tracing.
    pub(in crate::learning) fn features(&self, design: &Design, seq_len: usize) -> Result<DesignFeatures> {
        let wanted = parts(design);
        let mut all = DesignFeatures::NONE;
        if let Ok(known) = self.parts.read()
            && let Some(known) = known.get(&seq_len)
            && let Some(features) = wanted.iter().map(|(part, _)| known.get(part)).collect::<Option<Vec<_>>>()
        {
            wanted.iter().zip(features).for_each(|((_, times), features)| all.add(*times, features));
            return Ok(all);
        }
        for (part, times) in wanted {
            let known = self.parts.read().ok().and_then(|known| known.get(&seq_len)?.get(&part).copied());
            let features = known.map_or_else(|| part.traced(seq_len), Ok)?;
            all.add(times, &features);
            if known.is_none()
                && let Ok(mut known) = self.parts.write()
            {
                known.entry(seq_len).or_default().insert(part, features);
            }
        }
        Ok(all)
    }
}

/// The parts of a design, and how many times it has each.
fn parts(design: &Design) -> Vec<(Part, f64)> {
    let layers = design.layers();
    let mut all: Vec<(Part, f64)> = Vec::with_capacity(8 * layers.len());
    for (index, layer) in layers.iter().enumerate() {
        let (hidden, count) = (layer.hidden, layer.heads.len());
        // Equal heads stand beside each other in a canonical design.
        for alike in layer.heads.chunk_by(|a, b| a == b) {
            all.push((Part::Head(hidden, count, alike[0]), alike.len() as f64));
        }
        all.push((Part::FeedForward(hidden, layer.feed_forward.clone()), 1.0));
        if let Some(next) = layers.get(index + 1).filter(|next| next.hidden != hidden) {
            all.push((Part::Projection(hidden, next.hidden), 1.0));
        }
    }
    all.extend(layers.first().map(|first| (Part::Outside(first.hidden), 1.0)));
    all.extend(layers.last().map(|last| (Part::Pooler(last.hidden), 1.0)));
    all
}

impl Part {
    fn traced(&self, seq_len: usize) -> Result<DesignFeatures> {
        let any = |hidden| LayerDesign { hidden, heads: vec![Head::ScaledDotProduct], feed_forward: vec![1] };
        let layers = match self {
            Self::Outside(hidden) | Self::Pooler(hidden) => vec![any(*hidden)],
            Self::Head(hidden, count, head) => vec![LayerDesign { heads: vec![*head; *count], ..any(*hidden) }],
            Self::FeedForward(hidden, widths) => vec![LayerDesign { feed_forward: widths.clone(), ..any(*hidden) }],
            Self::Projection(from, to) => vec![any(*from), any(*to)],
        };
        let design = Design::new(layers).map_err(crate::Error::Data)?;
        let tree = trace(&design, seq_len)?;
        let mut part = DesignFeatures::NONE;
        tree.ids().filter(|&id| self.holds(&tree, id)).for_each(|id| part.count(&tree, id));
        let mut share = DesignFeatures::NONE;
        share.add(if let Self::Head(_, count, _) = self { 1.0 / *count as f64 } else { 1.0 }, &part);
        Ok(share)
    }

    /// Whether a node of the design that was traced for it belongs to it.
    fn holds(&self, tree: &Tree, id: NodeId) -> bool {
        let scope = tree.node(id).scope();
        let is_in =
            |module: &str| scope.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let is_projection = scope.ends_with(".proj_head");
        let is_attention = is_in("root.encoder.0.attention");
        match self {
            Self::Outside(_) => !is_in("root.encoder.0") && !is_in("root.pooler"),
            Self::Head(..) => is_attention,
            Self::FeedForward(..) => is_in("root.encoder.0") && !is_attention && !is_projection,
            Self::Projection(..) => is_projection,
            Self::Pooler(_) => is_in("root.pooler"),
        }
    }
}
