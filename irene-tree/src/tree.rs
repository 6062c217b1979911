use std::{borrow::Cow, fmt};

use serde_json::{Map, Value};

use crate::{Kernels, Level, Marks, Node, OpKind, Parallel, Precision, Quantity, Size, Training};

/// Identifies a node of one tree by its place in pre-order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The root of every tree.
    pub const ROOT: Self = Self(0);

    /// The position in pre-order, from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The model tree: nodes in pre-order in one allocation, so that a subtree is a slice and an ancestor walk follows indices.
///
/// Made by a [`TreeBuilder`](crate::TreeBuilder), a trace of irene-models or a line of the interchange format.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The model's name, e.g. `bert-base-uncased`.
    pub model_name: String,
    /// The input size.
    pub size: Size,
    /// Tokens of each sequence that are generated; 0 for a single pass.
    pub generated: usize,
    /// The number formats.
    pub precision: Precision,
    /// How operations became kernels.
    pub kernels: Kernels,
    /// How the run is spread over GPUs. Shapes and counts are those of one GPU's share.
    pub parallel: Parallel,
    /// How a step of training runs; none for inference.
    pub training: Option<Training>,
    /// Fields beside `frontend_tree` that are not ours, kept as they were read.
    pub extra: Map<String, Value>,
    pub(crate) nodes: Vec<Node>,
}

impl Tree {
    /// All nodes in pre-order; the first is the root.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All nodes in pre-order, to be annotated.
    pub fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// All ids in pre-order. Reversed, children come before their parents.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + ExactSizeIterator + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// The root.
    pub fn root(&self) -> &Node {
        &self.nodes[0]
    }

    /// The node with this id.
    ///
    /// # Panics
    /// If the id is another tree's, which has more nodes. The other functions that take an id do so too.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The node with this id, to be annotated.
    ///
    /// # Panics
    /// As [`node`](Self::node).
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// The parent; `None` for the root.
    pub fn parent(&self, id: NodeId) -> Option<NodeId> {
        (id != NodeId::ROOT).then(|| NodeId(self.node(id).parent))
    }

    /// From the parent up to the root.
    pub fn ancestors(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(self.parent(id), |&above| self.parent(above))
    }

    /// The node and all below it, in pre-order.
    pub fn subtree(&self, id: NodeId) -> &[Node] {
        &self.nodes[id.index()..self.subtree_end(id)]
    }

    /// The children, first to last.
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let end = self.subtree_end(id);
        let first = id.index() + 1;
        std::iter::successors((first < end).then_some(NodeId(first as u32)), move |&child| {
            let next = self.subtree_end(child);
            (next < end).then_some(NodeId(next as u32))
        })
    }

    /// Whether the node has no children.
    pub fn is_leaf(&self, id: NodeId) -> bool {
        self.node(id).subtree_len == 1
    }

    /// The first node with this scope.
    pub fn find(&self, scope: &str) -> Option<NodeId> {
        self.ids().find(|&id| self.node(id).scope() == scope)
    }

    /// The first node with this scope, or else the one with this [identifier](Self::interchange_id).
    pub fn find_named(&self, name: &str) -> Option<NodeId> {
        self.find(name).or_else(|| self.ids().find(|&id| self.interchange_id(id) == name))
    }

    /// The tree without the nodes that `keep` refuses and everything below them. The root always stays.
    ///
    /// The numbers of the nodes that stay do not change: a parent still counts the removed nodes.
    pub fn filtered(&self, keep: impl Fn(&Node) -> bool) -> Self {
        let nodes = kept(self.nodes.iter().map(Cow::Borrowed), |_, node| keep(node));
        Self { model_name: self.model_name.clone(), extra: self.extra.clone(), nodes, ..*self }
    }

    /// The tree with the modules that `is_whole` names turned into primitives, with nothing below them; and for each of its nodes the id of
    /// the one that it was. The root is never closed.
    pub fn closed(&self, is_whole: impl Fn(NodeId) -> bool) -> (Self, Vec<NodeId>) {
        let is_whole = |id: NodeId| id != NodeId::ROOT && self.node(id).level() == Level::Module && is_whole(id);
        let mut is_inside = vec![false; self.nodes.len()];
        for id in self.ids() {
            is_inside[id.index()] = self.parent(id).is_some_and(|above| is_inside[above.index()] || is_whole(above));
        }
        let places: Vec<NodeId> = self.ids().filter(|id| !is_inside[id.index()]).collect();
        let mut nodes = kept(self.nodes.iter().map(Cow::Borrowed), |index, _| !is_inside[index]);
        for (node, _) in nodes.iter_mut().zip(&places).filter(|(_, place)| is_whole(**place)) {
            node.level = Level::Ml;
        }
        (Self { model_name: self.model_name.clone(), extra: self.extra.clone(), nodes, ..*self }, places)
    }

    /// Removes every predicted quantity, and the marks.
    pub fn clear_predictions(&mut self) {
        for node in &mut self.nodes {
            for quantity in Quantity::PREDICTED {
                node.clear(quantity);
            }
            node.marks = Marks::default();
            if let Some(extra) = &mut node.extra {
                extra.shift_remove(Node::EXTRAPOLATED_FIELD);
            }
            node.extra.take_if(|extra| extra.is_empty());
        }
    }

    /// Whether single operations are nodes of their own.
    pub fn shows_math(&self) -> bool {
        self.nodes.iter().any(|node| node.level() == Level::Math)
    }

    /// The tree without its math level, as IrEne writes it.
    ///
    /// A module that has nothing but operations is left without children, which [`check`](Self::check) refuses.
    pub fn without_math(&self) -> Self {
        self.filtered(|node| node.level() != Level::Math)
    }

    /// The same, of a tree that nobody needs any more.
    pub fn into_without_math(mut self) -> Self {
        let nodes = std::mem::take(&mut self.nodes);
        self.nodes = kept(nodes.into_iter().map(Cow::Owned), |_, node| node.level() != Level::Math);
        self
    }

    /// The sum over the node's children of times x value. `None` if one of them is unknown.
    fn sum_of_children(&self, id: NodeId, quantity: Quantity) -> Option<f64> {
        let value =
            |child: NodeId| Some(self.weight(quantity, self.node(child).times) * self.node(child).get(quantity)?);
        self.children(id).map(value).sum()
    }

    /// How often a quantity counts that runs this often: parameters are there once, and powers do not add up.
    pub(crate) fn weight(&self, quantity: Quantity, times: f64) -> f64 {
        if quantity == Quantity::NumParameters || !quantity.adds_up() { 1.0 } else { times }
    }

    /// A quantity of all the node's runs in one run of the whole.
    pub fn total(&self, id: NodeId, quantity: Quantity) -> Option<f64> {
        Some(self.node(id).get(quantity)? * self.weight(quantity, self.runs(id)))
    }

    /// The node's own part: its value less the sum over its children. `None` if any of them is unknown. Children that share a parameter
    /// count it once each, so that the own part of `num_parameters` may be below zero.
    pub fn own(&self, id: NodeId, quantity: Quantity) -> Option<f64> {
        Some(self.node(id).get(quantity)? - self.sum_of_children(id, quantity)?)
    }

    /// The amount that the node itself spends in one run of the whole, with the children that have no figure of their own. None if its own
    /// value is unknown. The sum over all nodes is the root's value.
    pub fn spent_itself(&self, id: NodeId, quantity: Quantity) -> Option<f64> {
        /// The last bits of a sum are nothing.
        const NOTHING: f64 = 1e-12;
        let whole = self.node(id).get(quantity)?;
        let parts = self.children(id).map(|child| self.node(child));
        let own = whole - parts.filter_map(|part| Some(part.times() * part.get(quantity)?)).sum::<f64>();
        Some(if own.abs() < NOTHING * whole.abs() { 0.0 } else { own * self.runs(id) })
    }

    /// The input size of the node: its own, or that of the nearest node above that has one, or the tree's.
    pub fn size_of(&self, id: NodeId) -> Size {
        std::iter::once(id).chain(self.ancestors(id)).find_map(|id| self.node(id).size).unwrap_or(self.size)
    }

    /// How often the node runs in one run of the whole: its times and those of all above it, multiplied.
    pub fn runs(&self, id: NodeId) -> f64 {
        self.node(id).times * self.ancestors(id).map(|above| self.node(above).times).product::<f64>()
    }

    /// The identifier of a node in the interchange format: its own, or `model/batch/seq/position` with the rest of the run where it is
    /// not the usual one.
    pub fn interchange_id(&self, id: NodeId) -> String {
        match &self.node(id).id {
            Some(given) => given.to_string(),
            None => {
                let Size { sequences, new, past } = self.size;
                let mut run = format!("{sequences}/{new}");
                if past > 0 {
                    run += &format!("+{past}");
                }
                if self.generated > 0 {
                    run += &format!("+g{}", self.generated);
                }
                if self.precision != Precision::default() {
                    run += &format!("/{}", self.precision);
                }
                if self.kernels != Kernels::default() {
                    run += &format!("/{}", self.kernels.name());
                }
                if !self.parallel.is_single() {
                    run += &format!("/{}", self.parallel);
                }
                if let Some(training) = self.training {
                    run += &format!("/{training}");
                }
                format!("{}/{run}/{}", self.model_name, id.0)
            }
        }
    }

    /// New tokens of all sequences: the generated ones; without generation those of the single pass, or of all micro-batches of a step of
    /// training.
    pub fn tokens(&self) -> usize {
        match self.generated {
            0 => self.size.tokens().saturating_mul(self.training.map_or(1, |training| training.accumulate)),
            generated => self.size.sequences.saturating_mul(generated),
        }
    }

    /// Says of every node how many GPUs run it: those of a stage, both ends of what is sent from stage to stage, and all GPUs above it.
    pub(crate) fn place_on_gpus(&mut self) {
        let parallel = self.parallel;
        if parallel.is_single() {
            return;
        }
        let count = |gpus: usize| u32::try_from(gpus).unwrap_or(u32::MAX);
        let (of_stage, all) = (count(parallel.gpus_of_stage()), count(parallel.gpus()));
        self.nodes.iter_mut().for_each(|node| node.gpus = of_stage);
        if parallel.pipeline == 1 {
            return;
        }
        let is_sent = |node: &Node| node.operation.as_ref().is_some_and(|op| op.kind == OpKind::SendRecv);
        for index in 0..self.nodes.len() {
            if !is_sent(&self.nodes[index]) {
                continue;
            }
            self.nodes[index].gpus = of_stage.saturating_mul(2);
            let mut above = index;
            while above > 0 {
                above = self.nodes[above].parent as usize;
                self.nodes[above].gpus = all;
            }
        }
    }

    fn subtree_end(&self, id: NodeId) -> usize {
        id.index() + self.node(id).subtree_len as usize
    }
}

/// The nodes in pre-order without those that `keep` refuses and everything below them.
fn kept<'n>(nodes: impl ExactSizeIterator<Item = Cow<'n, Node>>, keep: impl Fn(usize, &Node) -> bool) -> Vec<Node> {
    let mut new_index = vec![0; nodes.len()];
    let mut kept: Vec<Node> = Vec::with_capacity(nodes.len());
    let mut next = 0;
    for (index, node) in nodes.enumerate() {
        if index < next {
            continue;
        }
        if index > 0 && !keep(index, &node) {
            next = index + node.subtree_len as usize;
            continue;
        }
        new_index[index] = kept.len() as u32;
        kept.push(Node { parent: new_index[node.parent as usize], subtree_len: 1, ..node.into_owned() });
    }
    for index in (1..kept.len()).rev() {
        let len = kept[index].subtree_len;
        let parent = kept[index].parent as usize;
        kept[parent].subtree_len += len;
    }
    kept
}

/// `bert-base-uncased 8x128`: the model at a size; `gpt2 1x128 and 32 generated in bf16, fused` where there is more to say.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.model_name, self.size)?;
        if self.generated > 0 {
            write!(f, " and {} generated", self.generated)?;
        }
        if self.precision != Precision::default() {
            write!(f, " in {}", self.precision)?;
        }
        if self.kernels != Kernels::default() {
            write!(f, ", {}", self.kernels.name())?;
        }
        if !self.parallel.is_single() {
            write!(f, ", {}", self.parallel)?;
        }
        self.training.map_or(Ok(()), |training| write!(f, ", {training}"))
    }
}

#[cfg(test)]
pub(crate) mod tests;
