use irene_tree::{Node, Quantity, Role, Tree};

/// Bytes of a MiB.
const MIB: f64 = 1024.0 * 1024.0;

/// The device memory that a run takes of one GPU, bytes; in a pipeline, of the mean stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryUse {
    /// All of the model's parameters.
    pub weights: f64,
    /// Cached keys and values, in the pass that has the most.
    pub cache: f64,
    /// The most that one operation reads and writes beside these.
    pub activations: f64,
}

impl MemoryUse {
    /// By the tree's own counts; None if it lacks them. The memory that a runtime takes for itself is not in it.
    pub fn of(tree: &Tree) -> Option<Self> {
        let mib = |node: &Node, quantity: Quantity| node.get(quantity).unwrap_or_default();
        let passes = tree.nodes().iter().filter(|node| node.size.is_some()).chain([tree.root()]);
        // A generation as a whole reads its cache again and again.
        let is_pass = |node: &&Node| node.size.is_some() || tree.generated == 0;
        let cache = passes.filter(is_pass).map(|node| mib(node, Quantity::CacheBytes)).fold(0.0, f64::max);
        let activations = |node: &Node| {
            let others = mib(node, Quantity::ParameterBytes) + mib(node, Quantity::CacheBytes);
            Some((node.get(Quantity::MovedBytes)? - others).max(0.0))
        };
        let leaves = tree.nodes().iter().filter(|node| node.level().is_leaf());
        let activations = leaves.filter_map(activations).fold(0.0, f64::max);
        let stages = tree.parallel.pipeline.max(1) as f64;
        Some(Self { weights: weights(tree)? / stages, cache: MIB * cache / stages, activations: MIB * activations })
    }

    /// All of it, bytes.
    pub fn total(&self) -> f64 {
        self.weights + self.cache + self.activations
    }
}

/// Parameters may be in other formats than most, and a run may not read all of them.
fn weights(tree: &Tree) -> Option<f64> {
    let counted = tree.precision.weights.bytes(tree.root().get(Quantity::NumParameters)? as u64) as f64;
    let mut read = std::collections::BTreeMap::new();
    for operand in tree.nodes().iter().filter_map(|node| node.operation.as_ref()).flat_map(|of| &of.inputs) {
        if let Role::Parameter(Some(id)) = operand.role {
            read.insert(id, operand.bytes());
        }
    }
    Some(counted.max(read.values().map(|bytes| *bytes as f64).sum()))
}
