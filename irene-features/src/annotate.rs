use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use irene_tree::{NodeId, OpKind, Operation, ParameterId, Quantity, Tree};

use crate::cost;

/// The counts of a node that are summed up the tree.
pub(crate) const SUMMED: [Quantity; 10] = [
    Quantity::NumParameters,
    Quantity::Flops,
    Quantity::MemBytes,
    Quantity::MovedBytes,
    Quantity::CopiedBytes,
    Quantity::ParameterBytes,
    Quantity::CacheBytes,
    Quantity::Kernels,
    Quantity::TiledFlops,
    Quantity::LinkBytes,
];

const MEGA: f64 = 1e6;
const MIB: f64 = 1024.0 * 1024.0;

/// Fills in parameters, FLOPs, bytes (by both conventions) and kernels where a node lacks them: from a leaf's operation, or as the
/// sum over a parent's children of times x theirs. A parameter counts once, however often it is read: a parent's sum leaves out what
/// its children share.
///
/// A number that is present stays, so that measured trees and trees without their math level are safe. If a child lacks a number, its
/// parent stays without it. A leaf without an operation must have its own numbers. Counts beyond 2⁶⁴ are unknown.
pub fn annotate(tree: &mut Tree) {
    // Whole counts, so that sums are exact whatever their order; not a number where unknown.
    let mut totals = vec![[0.0; SUMMED.len()]; tree.nodes().len()];
    let shared = shared_parameters(tree);
    let mut known = Known::default();
    for id in tree.ids().rev() {
        let mut own = if tree.is_leaf(id) { known.leaf_counts(tree, id) } else { totals[id.index()] };
        own[PARAMETERS] -= shared[id.index()];
        let node = tree.node_mut(id);
        for (quantity, total) in SUMMED.into_iter().zip(&mut own) {
            match node.get(quantity) {
                Some(given) => *total = given * unit(quantity),
                // A total that is no number stays absent.
                None => node.set(quantity, *total / unit(quantity)),
            }
        }
        let times = node.times();
        if let Some(parent) = tree.parent(id) {
            let above = &mut totals[parent.index()];
            // Parameters are there once, however often a node runs.
            above[PARAMETERS] += own[PARAMETERS];
            for (above, own) in above.iter_mut().zip(own).skip(1) {
                *above += times * own;
            }
        }
    }
}

/// The place of the parameters among the sums.
const PARAMETERS: usize = 0;

/// Numbers that each node's sum counts too often, because several leaves below it read the same parameter.
fn shared_parameters(tree: &Tree) -> Vec<f64> {
    let mut latest: HashMap<ParameterId, NodeId, BuildHasherDefault<OfId>> = HashMap::default();
    let mut shared = vec![0.0; tree.nodes().len()];
    for id in tree.ids() {
        let operation = tree.node(id).operation.iter();
        for (parameter, numbers) in operation.flat_map(|op| op.parameters()) {
            let Some(earlier) = parameter.and_then(|parameter| latest.insert(parameter, id)) else { continue };
            // Ids are in pre-order: the nearest ancestor of this node that stands before the earlier one is above both.
            if let Some(both) = tree.ancestors(id).find(|&above| above <= earlier) {
                shared[both.index()] += numbers as f64;
            }
        }
    }
    shared
}

/// Ids follow one another, and so do addresses: their low bits are spread over the high ones, which the map looks at first.
#[derive(Default)]
struct OfId(u64);

impl OfId {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
}

impl Hasher for OfId {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32((*byte).into()));
    }

    fn write_u32(&mut self, id: u32) {
        self.write_u64(id.into());
    }

    fn write_usize(&mut self, address: usize) {
        self.write_u64(address as u64);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(Self::SPREAD);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Counts = [f64; SUMMED.len()];

/// The counts of operations that several nodes have in common.
#[derive(Default)]
struct Known(HashMap<*const Operation, Counts, BuildHasherDefault<OfId>>);

impl Known {
    /// The counts of a leaf, not a number where they are unknown.
    fn leaf_counts(&mut self, tree: &Tree, id: NodeId) -> Counts {
        match &tree.node(id).operation {
            None => [f64::NAN; SUMMED.len()],
            Some(op) if Arc::strong_count(op) == 1 => counts(tree, op),
            Some(op) => *self.0.entry(Arc::as_ptr(op)).or_insert_with(|| counts(tree, op)),
        }
    }
}

fn counts(tree: &Tree, op: &Operation) -> Counts {
    let (counted, moved) = (cost::irene(op), cost::physical(op));
    let (parameter_bytes, cache_bytes) = cost::parameter_and_cache_bytes(op);
    let num_parameters = op.parameters().map(|(_, numbers)| numbers).fold(0, u64::saturating_add);
    let copied = if op.kind == OpKind::Copy { moved.bytes } else { 0 };
    // Only a run on several GPUs has links.
    let sent = if tree.parallel.is_single() { u64::MAX } else { cost::link_bytes(op) };
    let counts = [
        num_parameters,
        counted.flops,
        counted.bytes,
        moved.bytes,
        copied,
        parameter_bytes,
        cache_bytes,
        moved.kernels,
        moved.flops,
        sent,
    ];
    counts.map(|count| if count < u64::MAX { count as f64 } else { f64::NAN })
}

/// How many single counts one unit of the interchange format is.
fn unit(quantity: Quantity) -> f64 {
    match quantity {
        Quantity::Flops | Quantity::TiledFlops => MEGA,
        Quantity::MemBytes
        | Quantity::MovedBytes
        | Quantity::CopiedBytes
        | Quantity::ParameterBytes
        | Quantity::LinkBytes
        | Quantity::CacheBytes => MIB,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use irene_tree::{Format, Level, Operand, Operation, Role, Size, TreeBuilder};

    use super::*;

    fn softmax() -> Operation {
        let scores = Operand::activation([1, 2, 4, 4], Format::F32);
        Operation::new(OpKind::Softmax, &[scores], scores)
    }

    fn tree(second: Option<Operation>) -> Tree {
        let mut builder = TreeBuilder::new("m", Size::new(1, 4));
        builder.enter("root", "M", Level::Model);
        builder.enter("self", "Attention", Level::Module);
        builder.leaf("softmax", "Softmax", Level::Ml, Some(softmax()));
        builder.leave();
        builder.leaf("mystery", "FlashAttention", Level::Ml, second);
        builder.leave();
        builder.finish().unwrap()
    }

    #[test]
    fn parents_are_the_sum_of_their_children() {
        let mut tree = tree(Some(softmax()));
        annotate(&mut tree);
        assert_eq!(tree.root().get(Quantity::Kernels), Some(2.0));
        assert_eq!(tree.root().get(Quantity::Flops), Some(2.0 * 5.0 * 32.0 / 1e6));
        assert_eq!(tree.own(NodeId::ROOT, Quantity::Flops), Some(0.0));
    }

    #[test]
    fn numbers_that_are_there_stay() {
        let mut full = tree(Some(softmax()));
        annotate(&mut full);
        let before = full.clone();
        annotate(&mut full);
        assert_eq!(full, before);
        // The root still counts a part that was removed.
        let mut without = full.filtered(|node| node.name() != "mystery");
        annotate(&mut without);
        assert_eq!(without.root().get(Quantity::Kernels), Some(2.0));
    }

    #[test]
    fn a_parent_counts_a_child_as_often_as_it_runs_and_a_shared_parameter_once() {
        let id = Role::Parameter(Some(ParameterId::new(0)));
        let (x, table) = (Operand::activation([4, 8], Format::F32), Operand::new([16, 8], Format::F32, id));
        let linear = || Operation::new(OpKind::Linear, &[x, table], Operand::activation([4, 16], Format::F32));
        let mut builder = TreeBuilder::new("m", Size::new(1, 4));
        builder.enter("root", "M", Level::Model);
        builder.enter("twice", "Part", Level::Module).set_times(2.0);
        builder.leaf("a", "Linear", Level::Ml, Some(linear()));
        builder.leaf("b", "Linear", Level::Ml, Some(linear())).set_times(1.5);
        builder.leave();
        builder.leaf("c", "Linear", Level::Ml, Some(linear()));
        builder.leave();
        let mut tree = builder.finish().unwrap();
        annotate(&mut tree);
        let of = |scope, quantity| tree.node(tree.find(scope).unwrap()).get(quantity);
        assert_eq!(of("root.twice", Quantity::NumParameters), Some(128.0));
        assert_eq!(of("root", Quantity::NumParameters), Some(128.0));
        assert_eq!((of("root.twice", Quantity::Kernels), of("root", Quantity::Kernels)), (Some(2.5), Some(6.0)));
        assert_eq!(tree.runs(tree.find("root.twice.b").unwrap()), 3.0);
    }

    #[test]
    fn a_sum_with_an_unknown_part_is_unknown() {
        let mut tree = tree(None);
        annotate(&mut tree);
        assert_eq!(tree.root().get(Quantity::Flops), None);
        assert!(tree.nodes()[1].get(Quantity::Flops).is_some());
    }

    /// A leaf of each operation below a root.
    fn of_leaves(operations: impl IntoIterator<Item = Option<Operation>>) -> Tree {
        let mut builder = TreeBuilder::new("m", Size::new(1, 4));
        builder.enter("root", "M", Level::Model);
        for (place, operation) in operations.into_iter().enumerate() {
            builder.leaf(&place.to_string(), "Part", Level::Ml, operation);
        }
        builder.leave();
        builder.finish().unwrap()
    }

    #[test]
    fn bytes_are_written_in_mib_and_flops_in_millions() {
        let x = Operand::activation([1024, 1024], Format::F32);
        let op = |kind| Some(Operation::new(kind, &[x], x));
        let mut tree = of_leaves([op(OpKind::Softmax), op(OpKind::Copy)]);
        annotate(&mut tree);
        let of = |quantity| tree.root().get(quantity);
        assert_eq!((of(Quantity::Flops), of(Quantity::TiledFlops)), (Some(5.24288), Some(5.24288)));
        assert_eq!((of(Quantity::MemBytes), of(Quantity::MovedBytes)), (Some(12.0), Some(16.0)));
        // Both read and write 4 MiB; the copy alone counts as copied.
        assert_eq!(of(Quantity::CopiedBytes), Some(8.0));
        let copied: Vec<_> = tree.nodes().iter().map(|node| node.get(Quantity::CopiedBytes)).collect();
        assert_eq!(copied, [Some(8.0), Some(0.0), Some(8.0)]);
    }

    #[test]
    fn a_number_that_was_given_counts_in_the_sum_above() {
        let mut tree = of_leaves([Some(softmax()), None]);
        let last = tree.ids().last().unwrap();
        for (quantity, value) in [(Quantity::Flops, 2.0), (Quantity::MovedBytes, 3.0), (Quantity::Kernels, 4.0)] {
            tree.node_mut(last).set(quantity, value);
        }
        annotate(&mut tree);
        let (leaf, root) = (&tree.nodes()[1], tree.root());
        for (quantity, value) in [(Quantity::Flops, 2.0), (Quantity::MovedBytes, 3.0), (Quantity::Kernels, 4.0)] {
            let (found, below) = (root.get(quantity).unwrap(), leaf.get(quantity).unwrap());
            assert!((found - below - value).abs() < 1e-9, "{quantity}: {found} {below}");
        }
        assert_eq!(root.get(Quantity::MemBytes), None);
    }

    #[test]
    fn counts_that_no_machine_could_hold_are_unknown() {
        let beyond = Operand::activation([usize::MAX, 8], Format::F32);
        let mut tree = of_leaves([Some(Operation::new(OpKind::Softmax, &[beyond], beyond))]);
        annotate(&mut tree);
        assert_eq!((tree.root().get(Quantity::Flops), tree.root().get(Quantity::Kernels)), (None, Some(1.0)));
    }
}
