//! Equal layers as one node, for people who read a tree.

use std::borrow::Cow;

use crate::{Node, NodeId, Operand, Operation, Quantity, Role, Tree};

/// Equal layers that follow one another in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// The first of them.
    pub first: NodeId,
    /// How many there are: two or more.
    pub count: usize,
}

impl Tree {
    /// The runs of equal layers, those within the first layer of another run among them; the layers that a run stands for are not searched again.
    pub fn repeats(&self) -> Vec<Repeat> {
        let mut repeats = Vec::new();
        self.push_repeats(NodeId::ROOT, &mut repeats);
        repeats
    }

    fn push_repeats(&self, id: NodeId, repeats: &mut Vec<Repeat>) {
        for (first, count) in self.runs_of_children(id) {
            repeats.extend((count > 1).then_some(Repeat { first, count }));
            self.push_repeats(first, repeats);
        }
    }

    /// The children, each with the number of equal layers that it begins.
    fn runs_of_children(&self, id: NodeId) -> Vec<(NodeId, usize)> {
        let mut runs: Vec<(NodeId, usize)> = Vec::new();
        for child in self.children(id) {
            match runs.last_mut() {
                Some((first, count)) if self.is_next_layer(*first, child, *count) => *count += 1,
                _ => runs.push((child, 1)),
            }
        }
        runs
    }

    /// The tree with runs of equal layers as one node each: the layers `0` to `11` become `0-11`, which has the numbers of one layer and
    /// runs 12 times as often. A run is of list entries that follow one another, in a backward pass downwards, and have the same kinds, shapes,
    /// numbers and marks down to the last node.
    ///
    /// Parameters, which are there once however often a node runs, are those of all layers.
    pub fn layers_folded(&self) -> Self {
        let mut folded = Self {
            model_name: self.model_name.clone(),
            extra: self.extra.clone(),
            nodes: Vec::with_capacity(self.nodes.len()),
            ..*self
        };
        let place = Place { parent: 0, scope: self.root().scope().to_owned(), layers: 1, times: 1 };
        self.push_folded(NodeId::ROOT, &place, &mut folded.nodes);
        folded
    }

    fn push_folded(&self, id: NodeId, place: &Place, nodes: &mut Vec<Node>) {
        let index = nodes.len();
        let mut node = Node { parent: place.parent, scope: place.scope.as_str().into(), ..self.node(id).clone() };
        node.times *= place.times as f64;
        if let Some(parameters) = node.get(Quantity::NumParameters) {
            node.set(Quantity::NumParameters, parameters * place.layers as f64);
        }
        nodes.push(node);
        for (first, count) in self.runs_of_children(id) {
            let scope = self.scope_in(id, &place.scope, first, count);
            let (parent, layers) = (index as u32, place.layers * count);
            self.push_folded(first, &Place { parent, scope, layers, times: count }, nodes);
        }
        nodes[index].subtree_len = (nodes.len() - index) as u32;
    }

    /// Whether a sibling is the entry `count` places after `first` in a list, or before it, and equal to it.
    fn is_next_layer(&self, first: NodeId, next: NodeId, count: usize) -> bool {
        let place = |id: NodeId| self.node(id).name().parse::<usize>().ok();
        let is_next = |first: usize| [first.checked_add(count), first.checked_sub(count)].contains(&place(next));
        let follows = place(next).is_some() && place(first).is_some_and(is_next);
        let (one, other) = (self.subtree(first), self.subtree(next));
        follows && one.len() == other.len() && one.iter().zip(other).all(|(a, b)| is_equal(a, b, &one[0], &other[0]))
    }

    /// Whether the sibling behind a list's entry is the one before it in the list.
    fn is_descending(&self, entry: NodeId) -> bool {
        let after = self.nodes.get(entry.index() + self.subtree(entry).len());
        let place = |node: &Node| node.name().parse::<usize>().ok();
        after.and_then(place) < place(self.node(entry))
    }

    /// The scope of a child below a parent that may have a folded scope, for this many of it.
    fn scope_in(&self, parent: NodeId, parent_scope: &str, child: NodeId, count: usize) -> String {
        let node = self.node(child);
        let own = node.scope().strip_prefix(self.node(parent).scope()).unwrap_or(node.scope());
        match node.name().parse::<usize>() {
            Ok(first) if count > 1 => {
                let last = if self.is_descending(child) { first + 1 - count } else { first + count - 1 };
                format!("{parent_scope}{own}-{last}")
            }
            _ => format!("{parent_scope}{own}"),
        }
    }
}

/// Where a folded node comes to stand.
struct Place {
    parent: u32,
    scope: String,
    /// Layers that it stands for, with those of the nodes above.
    layers: usize,
    /// Layers that it stands for in its parent.
    times: usize,
}

/// Whether two nodes differ in their place only.
fn is_equal(a: &Node, b: &Node, a_layer: &Node, b_layer: &Node) -> bool {
    let path = |node: &Node, layer: &Node| node.scope().strip_prefix(layer.scope()).map(str::to_owned);
    path(a, a_layer) == path(b, b_layer)
        && a.is_instance_of(b.instance_type())
        && (a.level, a.depth, a.size, a.marks, a.subtree_len) == (b.level, b.depth, b.size, b.marks, b.subtree_len)
        && (a.times, a.gpus) == (b.times, b.gpus)
        && Quantity::all().all(|quantity| is_close(a.get(quantity), b.get(quantity)))
        && is_same_operation(a.operation.as_deref(), b.operation.as_deref())
}

/// Sums in another order differ in their last digits.
fn is_close(a: Option<f64>, b: Option<f64>) -> bool {
    const TOLERANCE: f64 = 1e-9;
    match (a, b) {
        (Some(a), Some(b)) => a == b || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// Each layer has parameters of its own.
fn is_same_operation(a: Option<&Operation>, b: Option<&Operation>) -> bool {
    let anonymous = |operand: &Operand| match operand.role {
        Role::Parameter(_) => Operand { role: Role::Parameter(None), ..*operand },
        _ => *operand,
    };
    match (a, b) {
        (Some(a), Some(b)) => {
            (a.kind, &a.fused, a.pairs, a.touched, a.gpus, a.is_gradient, a.on_host)
                == (b.kind, &b.fused, b.pairs, b.touched, b.gpus, b.is_gradient, b.on_host)
                && a.inputs.iter().map(anonymous).eq(b.inputs.iter().map(anonymous))
                && anonymous(&a.output) == anonymous(&b.output)
        }
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// The scope of the first node that a folded scope stands for: `root.encoder.0` of `root.encoder.0-11`. Other scopes stay as they are.
///
/// ```
/// use irene_tree::first_of_folded;
/// assert_eq!(first_of_folded("root.encoder.0-11.attention"), "root.encoder.0.attention");
/// assert_eq!(first_of_folded("root.a-b.0"), "root.a-b.0");
/// ```
pub fn first_of_folded(scope: &str) -> Cow<'_, str> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let first = |part: &str| match part.split_once('-') {
        Some((first, last)) if is_number(first) && is_number(last) => first.to_owned(),
        _ => part.to_owned(),
    };
    if scope.contains('-') {
        Cow::Owned(scope.split('.').map(first).collect::<Vec<_>>().join("."))
    } else {
        Cow::Borrowed(scope)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Format, Level, OpKind, Size, tree::tests::model};

    /// Layers of these energies.
    fn layers(energies: &[f64]) -> Tree {
        let energy = Quantity::PredictedEnergy;
        let mut tree = model(|builder| {
            for (place, joules) in energies.iter().enumerate() {
                let node = builder.enter(&place.to_string(), "Layer", Level::Module);
                node.set(energy, *joules);
                node.set(Quantity::NumParameters, 10.0);
                node.set(Quantity::PredictedPower, 100.0);
                builder.leaf("dense", "Linear", Level::Ml, None).set(energy, *joules);
                builder.leave();
            }
        });
        tree.node_mut(NodeId::ROOT).set(energy, energies.iter().sum());
        tree
    }

    fn scopes(tree: &Tree) -> Vec<&str> {
        tree.nodes().iter().map(Node::scope).collect()
    }

    #[test]
    fn equal_layers_become_one_that_adds_up_to_the_same() {
        let tree = layers(&[1.0; 4]);
        let folded = tree.layers_folded();
        assert_eq!(scopes(&folded), ["root", "root.0-3", "root.0-3.dense"]);
        folded.check().unwrap();
        let group = folded.find("root.0-3").unwrap();
        assert_eq!(folded.node(group).times(), 4.0);
        assert_eq!(folded.total(group, Quantity::PredictedEnergy), Some(4.0));
        assert_eq!(folded.total(group, Quantity::NumParameters), Some(40.0));
        assert_eq!(folded.total(group, Quantity::PredictedPower), Some(100.0));
        assert_eq!(folded.share(group, Quantity::PredictedEnergy), Some(1.0));
        let dense = folded.find("root.0-3.dense").unwrap();
        assert_eq!((folded.node(dense).times(), folded.total(dense, Quantity::PredictedEnergy)), (1.0, Some(4.0)));
        assert_eq!(
            folded.own(NodeId::ROOT, Quantity::PredictedEnergy),
            tree.own(NodeId::ROOT, Quantity::PredictedEnergy)
        );
        assert_eq!(layers(&[2.0; 4]).layers_folded().own(NodeId::ROOT, Quantity::PredictedEnergy), Some(0.0));
    }

    #[test]
    fn runs_of_equal_layers_are_told_with_their_number() {
        let of = |energies: &[f64]| {
            let tree = layers(energies);
            let scope = |repeat: &Repeat| (tree.node(repeat.first).scope().to_owned(), repeat.count);
            tree.repeats().iter().map(scope).collect::<Vec<_>>()
        };
        assert_eq!(of(&[1.0, 1.0, 2.0, 2.0, 2.0, 1.0]), [("root.0".to_owned(), 2), ("root.2".to_owned(), 3)]);
        assert!(of(&[1.0]).is_empty());
    }

    #[test]
    fn layers_within_layers_fold_and_have_the_parameters_of_all() {
        let tree = model(|builder| {
            for layer in ["0", "1"] {
                builder.enter(layer, "Layer", Level::Module);
                for expert in ["4", "3", "2"] {
                    builder.leaf(expert, "Linear", Level::Ml, None).set(Quantity::NumParameters, 10.0);
                }
                builder.leave();
            }
        });
        let folded = tree.layers_folded();
        assert_eq!(scopes(&folded), ["root", "root.0-1", "root.0-1.4-2"]);
        let inner = &folded.nodes()[2];
        assert_eq!((inner.times(), inner.get(Quantity::NumParameters)), (3.0, Some(60.0)));
        folded.check().unwrap();
        let repeats: Vec<_> = tree.repeats().iter().map(|repeat| (repeat.first.index(), repeat.count)).collect();
        assert_eq!(repeats, [(1, 2), (2, 3)]);
    }

    #[test]
    fn the_last_digits_of_a_sum_do_not_tell_layers_apart() {
        let folds = |first: f64, second: f64| layers(&[first, second]).layers_folded().nodes().len() == 3;
        for scale in [1e-9, 1.0, 1e9] {
            assert!(folds(scale * (0.1 + 0.2), scale * 0.3) && folds(scale * 0.3, scale * (0.1 + 0.2)), "{scale}");
            assert!(!folds(scale, scale * (1.0 + 1e-8)), "{scale}");
        }
        assert!(folds(0.0, 0.0));
    }

    /// Whether two layers of one linear product fold after a change to the second one's.
    fn folds(change: impl Fn(&mut Node)) -> bool {
        let mut tree = layers(&[1.0; 2]);
        let x = Operand::activation([2], Format::F32);
        for node in tree.nodes_mut().iter_mut().filter(|node| node.name() == "dense") {
            node.operation = Some(Arc::new(Operation::new(OpKind::Linear, &[x, x], x)));
        }
        change(tree.nodes_mut().last_mut().unwrap());
        tree.layers_folded().nodes().len() == 3
    }

    #[test]
    fn layers_that_differ_in_one_thing_are_told_apart() {
        assert!(folds(|_| ()) && folds(|node| node.instance_type = "linear".into()));
        let changes: [fn(&mut Node); 8] = [
            |node| node.scope = "root.1.other".into(),
            |node| node.instance_type = "Conv1D".into(),
            |node| node.level = Level::Math,
            |node| node.size = Some(Size::new(2, 2)),
            |node| node.times = 2.0,
            |node| node.gpus = 2,
            |node| node.set(Quantity::Flops, 1.0),
            |node| node.operation = None,
        ];
        for (place, change) in changes.into_iter().enumerate() {
            assert!(!folds(change), "{place}");
        }
    }

    #[test]
    fn layers_whose_operations_differ_in_one_thing_are_told_apart() {
        let folds = |change: fn(&mut Operation)| {
            folds(|node| node.operation.iter_mut().for_each(|operation| change(Arc::make_mut(operation))))
        };
        let changes: [fn(&mut Operation); 10] = [
            |operation| operation.kind = OpKind::MatMul,
            |operation| operation.fused = vec![OpKind::Add],
            |operation| operation.pairs = 1,
            |operation| operation.touched = 1,
            |operation| operation.gpus = 1,
            |operation| operation.is_gradient = true,
            |operation| operation.on_host = true,
            |operation| operation.inputs[0].format = Format::F16,
            |operation| operation.inputs[0].role = Role::Cache,
            |operation| operation.output.format = Format::F16,
        ];
        for (place, change) in changes.into_iter().enumerate() {
            assert!(!folds(change), "{place}");
        }
    }

    #[test]
    fn the_first_of_what_was_folded_is_found_by_its_scope() {
        let first = ["root.0-11.a", "root.a-b.0", "root.5-3", "root.x-1.-2.3-"].map(first_of_folded);
        assert_eq!(first, ["root.0.a", "root.a-b.0", "root.5", "root.x-1.-2.3-"]);
    }

    #[test]
    fn only_neighbours_that_are_equal_fold() {
        assert_eq!(
            scopes(&layers(&[1.0, 1.0, 2.0, 1.0]).layers_folded()),
            ["root", "root.0-1", "root.0-1.dense", "root.2", "root.2.dense", "root.3", "root.3.dense"]
        );
        layers(&[1.0, 1.0, 2.0, 1.0]).layers_folded().check().unwrap();
        for name in ["2", "x"] {
            let tree = model(|builder| {
                ["0", name].iter().for_each(|name| _ = builder.leaf(name, "Linear", Level::Ml, None));
            });
            assert_eq!(tree.layers_folded().nodes().len(), 3, "{name}");
        }
        let mut marked = layers(&[1.0; 3]);
        let last = marked.find("root.2.dense").unwrap();
        marked.node_mut(last).marks.insert(crate::Mark::Extrapolated);
        assert_eq!(scopes(&marked.layers_folded())[..2], ["root", "root.0-1"]);
    }
}
