//! The parts that every Transformer has, whatever its family calls them.

use crate::{Node, NodeId, OpKind, Quantity, Tree};

/// A part that every Transformer has: by it, models of different families can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Component {
    /// Tables of tokens, positions and segments, and projections between their width and the model's.
    Embeddings,
    /// Attention with its projections, rotation and cache, and what stands in its place in a layer: Mamba's mixers, FlexiBERT's transforms.
    Attention,
    /// The feed-forward part of each layer: a dense one, or experts with their router.
    FeedForward,
    /// Norms, wherever they stand.
    Norms,
    /// The layers that make a result of the hidden states: scores of tokens or classes, a pooler.
    Head,
    /// Tensors that GPUs exchange.
    Exchange,
    /// Everything else: residual sums, the time of an engine between kernels, power while nothing runs.
    Other,
}

impl Component {
    /// All of them, in the order in which data flows.
    pub const ALL: [Self; 7] =
        [Self::Embeddings, Self::Attention, Self::FeedForward, Self::Norms, Self::Head, Self::Exchange, Self::Other];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Attention => "attention",
            Self::FeedForward => "feed_forward",
            Self::Norms => "norms",
            Self::Head => "head",
            Self::Exchange => "exchange",
            Self::Other => "other",
        }
    }

    /// The name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::FeedForward => "feed-forward",
            Self::Exchange => "exchange between GPUs",
            other => other.name(),
        }
    }

    /// By the node itself, without what it stands in.
    fn of_node(node: &Node) -> Option<Self> {
        if node.operation.as_ref().is_some_and(|operation| is_exchange(operation.kind)) {
            return Some(Self::Exchange);
        }
        Self::of_type(node.instance_type()).or_else(|| Self::of_name(node.name()))
    }

    /// By the class of a module. Classes are their authors': `BertSelfAttention`, `LlamaMLP`, `NemotronHMamba2Mixer`.
    fn of_type(class: &str) -> Option<Self> {
        const ATTENTION: [&str; 6] = ["Attention", "Rotary", "Mixer", "MambaLayer", "DeltaNet", "ShortConv"];
        const FEED_FORWARD: [&str; 9] =
            ["MLP", "FFN", "Intermediate", "Experts", "MoE", "Moe", "MoeBlock", "Router", "Gating"];
        const HEADS: [&str; 6] =
            ["LMHead", "PredictionHead", "HeadTransform", "ClassificationHead", "Pooler", "GeneratorPredictions"];
        let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| class.ends_with(suffix));
        if class.contains("Norm") {
            Some(Self::Norms)
        } else if ATTENTION.iter().any(|part| class.contains(part)) {
            Some(Self::Attention)
        } else if class.contains("Embedding") {
            Some(Self::Embeddings)
        } else if ends(&FEED_FORWARD) || ends(&["Output"]) && !ends(&["SelfOutput"]) {
            Some(Self::FeedForward)
        } else {
            ends(&HEADS).then_some(Self::Head)
        }
    }

    /// By the name of a module, where the class does not tell.
    fn of_name(name: &str) -> Option<Self> {
        match name {
            "embedding_hidden_mapping_in" | "embeddings_project" | "project_in" => Some(Self::Embeddings),
            "attn_hc" => Some(Self::Attention),
            "fc1" | "fc2" | "ffn" | "ffn_output" | "ffn_hc" => Some(Self::FeedForward),
            "lm_head" | "generator_lm_head" | "score" | "classifier" | "pre_classifier" | "pooler"
            | "pooler_activation" | "hc_head" | "vocab_transform" | "vocab_projector" | "project_out" => {
                Some(Self::Head)
            }
            _ => None,
        }
    }
}

fn is_exchange(kind: OpKind) -> bool {
    matches!(kind, OpKind::AllReduce | OpKind::AllGather | OpKind::SendRecv | OpKind::AllToAll)
}

impl Tree {
    /// The part of the model that a node belongs to: its own, or that of the nearest node above that has one.
    pub fn component(&self, id: NodeId) -> Component {
        let found = std::iter::once(id).chain(self.ancestors(id)).find_map(|id| Component::of_node(self.node(id)));
        found.or_else(|| self.of_the_top(id)).unwrap_or(Component::Other)
    }

    /// A product right below the root is the head's, which some classes call by the name of a part of their own (`decoder`).
    fn of_the_top(&self, id: NodeId) -> Option<Component> {
        let is_product = matches!(self.node(id).instance_type(), "Linear" | "Conv1D");
        (is_product && self.parent(id) == Some(NodeId::ROOT)).then_some(Component::Head)
    }

    /// The amount that each part of the model spends in one run of the whole, most first; parts that spend nothing are left out. The sum
    /// is the root's value.
    pub fn components(&self, quantity: Quantity) -> Vec<(Component, f64)> {
        self.components_below(NodeId::ROOT, quantity)
    }

    /// The same of one node and all below it.
    pub fn components_below(&self, top: NodeId, quantity: Quantity) -> Vec<(Component, f64)> {
        let mut spent = Component::ALL.map(|component| (component, 0.0));
        let end = top.index() + self.subtree(top).len();
        for id in self.ids().take(end).skip(top.index()) {
            let component = self.component(id);
            let entry = spent.iter_mut().find(|(known, _)| *known == component);
            if let Some(((_, sum), joules)) = entry.zip(self.spent_itself(id, quantity)) {
                *sum += joules;
            }
        }
        let mut spent: Vec<_> = spent.into_iter().filter(|(_, sum)| *sum != 0.0).collect();
        spent.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Level, Size, TreeBuilder, tree::tests::model};

    const ENERGY: Quantity = Quantity::PredictedEnergy;

    #[test]
    fn every_joule_is_of_one_component() {
        let mut builder = TreeBuilder::new("m", Size::new(1, 1));
        builder.enter("root", "BertForMaskedLM", Level::Model).set(ENERGY, 20.0);
        builder.enter("attention", "BertAttention", Level::Module).set(ENERGY, 6.0);
        builder.leaf("LayerNorm", "LayerNorm", Level::Ml, None).set(ENERGY, 1.0);
        builder.leaf("dense", "Linear", Level::Ml, None).set(ENERGY, 4.0);
        builder.leave();
        builder.enter("output", "BertOutput", Level::Module).set(ENERGY, 5.0);
        builder.leave();
        builder.leaf("decoder", "Linear", Level::Ml, None).set(ENERGY, 3.0);
        builder.leave();
        let tree = builder.finish().unwrap();
        assert_eq!(
            tree.components(ENERGY),
            [
                (Component::Other, 6.0),
                (Component::Attention, 5.0),
                (Component::FeedForward, 5.0),
                (Component::Head, 3.0),
                (Component::Norms, 1.0)
            ]
        );
        let attention = tree.find("root.attention").unwrap();
        assert_eq!(tree.components_below(attention, ENERGY), [(Component::Attention, 5.0), (Component::Norms, 1.0)]);
    }

    #[test]
    fn a_module_is_known_by_its_class_or_else_by_its_name_or_its_exchange() {
        let of = |class: &'static str, name: &str, kind: Option<OpKind>| {
            let x = crate::Operand::activation([4], crate::Format::F32);
            let tree = model(|builder| {
                builder.enter("part", "Part", Level::Module);
                builder.leaf(name, class, Level::Ml, kind.map(|kind| crate::Operation::new(kind, &[x], x)));
                builder.leave();
            });
            tree.component(NodeId(2))
        };
        for (class, component) in [
            ("LlamaRMSNorm", Component::Norms),
            ("BertSelfOutput", Component::Other),
            ("BertOutput", Component::FeedForward),
            ("MixtralExperts", Component::FeedForward),
            ("NemotronHMamba2Mixer", Component::Attention),
            ("GraniteMoeHybridMambaLayer", Component::Attention),
            ("Qwen3NextGatedDeltaNet", Component::Attention),
            ("Lfm2ShortConv", Component::Attention),
            ("LlamaRotaryEmbedding", Component::Attention),
            ("Embedding", Component::Embeddings),
            ("BertLMPredictionHead", Component::Head),
        ] {
            assert_eq!(of(class, "x", None), component, "{class}");
        }
        for (name, component) in [
            ("project_in", Component::Embeddings),
            ("fc1", Component::FeedForward),
            ("lm_head", Component::Head),
            ("dense", Component::Other),
        ] {
            assert_eq!(of("Linear", name, None), component, "{name}");
        }
        for kind in [OpKind::AllReduce, OpKind::AllGather, OpKind::SendRecv, OpKind::AllToAll] {
            assert_eq!(of("Linear", "fc1", Some(kind)), Component::Exchange);
        }
        assert_eq!(of("Linear", "fc1", Some(OpKind::Linear)), Component::FeedForward);
    }

    #[test]
    fn only_a_product_right_below_the_root_is_the_heads() {
        let of = |class: &'static str| {
            model(|builder| _ = builder.leaf("decoder", class, Level::Ml, None)).component(NodeId(1))
        };
        assert_eq!((of("Linear"), of("Conv1D"), of("Tanh")), (Component::Head, Component::Head, Component::Other));
    }

    #[test]
    fn names_are_for_files_and_titles_for_people() {
        let names = Component::ALL.map(Component::name);
        assert_eq!(names, ["embeddings", "attention", "feed_forward", "norms", "head", "exchange", "other"]);
        let titles = [Component::FeedForward, Component::Exchange, Component::Norms].map(Component::title);
        assert_eq!(titles, ["feed-forward", "exchange between GPUs", "norms"]);
    }
}
