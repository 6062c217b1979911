use std::collections::{BTreeMap, HashMap};

use super::{
    rows::Row,
    scopes::{By, Index},
};
use crate::{Node, NodeId, Quantity, Size, Tree};

/// The figures of some nodes, by the nodes that they are of.
type ByNodes<'a> = BTreeMap<Vec<NodeId>, Vec<&'a Row>>;

/// Defaults for rows that do not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The model.
    pub model_name: Option<String>,
    /// Sequences in the batch.
    pub batch_size: Option<usize>,
    /// Tokens in a sequence.
    pub seq_len: Option<usize>,
}

/// Measurements on the trees of their models.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Joined {
    /// One for each model and size, in the order of the rows, with the figures of the nodes that were measured.
    pub trees: Vec<Tree>,
    /// How many rows a scope joined, or nothing, which is the whole model.
    pub by_scope: usize,
    /// How many rows a class joined to all of its nodes.
    pub by_class: usize,
    /// How many rows repeat a node, which then has their mean.
    pub repeated: usize,
    /// How many rows have no figure.
    pub empty: usize,
    /// The rows that no node took.
    pub unmatched: Vec<Unmatched>,
}

/// A row that no node took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// Its file.
    pub origin: String,
    /// Its line, from 1.
    pub line: u64,
    /// The name in it.
    pub what: String,
    /// Why there is no such node.
    pub reason: String,
    /// Scopes and classes that look like it.
    pub near: Vec<String>,
}

/// Rows whose near matches are looked for.
const MOST_NEAR: usize = 5;

/// Puts rows on the nodes that they name. `trace` gives the tree of a model at a size, with its counts and without figures, or why there is
/// none.
///
/// A row names a node by its scope, with list containers (`layer`, `h`) and wrappers (`bert`, `model`) or without; by its class, where
/// all nodes of the class do the same work; or, in a file without either, the whole model. Rows of one scope that are as many as its nodes
/// are taken in order; otherwise each node has the mean of the rows.
pub fn join(rows: Vec<Row>, given: &Given, trace: &mut dyn FnMut(&str, Size) -> Result<Tree, String>) -> Joined {
    let mut joined = Joined::default();
    let mut groups: Vec<((String, Size), Vec<Row>)> = Vec::new();
    for row in rows {
        match place(&row, given) {
            _ if row.values.is_empty() => joined.empty += 1,
            Ok(place) => match groups.iter_mut().find(|(known, _)| *known == place) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((place, vec![row])),
            },
            Err(reason) => joined.refuse(&row, reason, None),
        }
    }
    for ((name, size), rows) in groups {
        match trace(&name, size) {
            Ok(tree) => joined.add(tree, &rows),
            Err(reason) => rows.iter().for_each(|row| joined.refuse(row, reason.clone(), None)),
        }
    }
    joined
}

/// The model and size that a row is of.
fn place(row: &Row, given: &Given) -> Result<(String, Size), String> {
    let lacks = |what: &str| format!("it has no {what}");
    let name = row.model_name.as_ref().or(given.model_name.as_ref()).ok_or_else(|| lacks("model"))?;
    let batch_size = row.batch_size.or(given.batch_size).ok_or_else(|| lacks("batch_size"))?;
    let seq_len = row.seq_len.or(given.seq_len).ok_or_else(|| lacks("seq_len"))?;
    Ok((name.clone(), Size::new(batch_size, seq_len)))
}

impl Joined {
    fn refuse(&mut self, row: &Row, reason: String, index: Option<&Index<'_>>) {
        let what = row.scope.as_ref().filter(|scope| !scope.is_empty()).or(row.instance_type.as_ref());
        let what = what.cloned().unwrap_or_default();
        let index = index.filter(|_| self.unmatched.len() < MOST_NEAR);
        let near = index.map_or_else(Vec::new, |index| index.near(&what));
        self.unmatched.push(Unmatched { origin: row.origin.clone(), line: row.line, what, reason, near });
    }

    /// Adds a tree with the figures of its rows; none if no row is of it.
    fn add(&mut self, mut tree: Tree, rows: &[Row]) {
        let mut by_class = ByNodes::new();
        let mut by_scope = ByNodes::new();
        let index = Index::of(&tree);
        for row in rows {
            match index.find(row.scope.as_deref(), row.instance_type.as_deref()) {
                Ok((By::Class, nodes)) => by_class.entry(nodes).or_default().push(row),
                Ok((By::Scope, nodes)) => by_scope.entry(nodes).or_default().push(row),
                Err(reason) => self.refuse(row, reason, Some(&index)),
            }
        }
        drop(index);
        let count = |rows: &ByNodes<'_>| rows.values().map(Vec::len).sum::<usize>();
        if by_class.is_empty() && by_scope.is_empty() {
            return;
        }
        self.by_class += count(&by_class);
        self.by_scope += count(&by_scope);
        // A scope says more than a class, and comes after it.
        for (nodes, rows) in by_class {
            self.repeated += rows.len() - 1;
            nodes.into_iter().for_each(|id| set(tree.node_mut(id), &rows));
        }
        for (nodes, rows) in by_scope {
            if nodes.len() == rows.len() {
                nodes.into_iter().zip(rows).for_each(|(id, row)| set(tree.node_mut(id), &[row]));
            } else {
                self.repeated += rows.len() - 1;
                nodes.into_iter().for_each(|id| set(tree.node_mut(id), &rows));
            }
        }
        self.trees.push(tree);
    }
}

/// Gives a node the mean of what rows say of it.
fn set(node: &mut Node, rows: &[&Row]) {
    let mut figures: HashMap<Quantity, Vec<f64>> = HashMap::new();
    for &(quantity, value) in rows.iter().flat_map(|row| &row.values) {
        figures.entry(quantity).or_default().push(value);
    }
    for (quantity, values) in figures {
        node.set(quantity, values.iter().sum::<f64>() / values.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Level, TreeBuilder};

    fn trace(name: &str, size: Size) -> Result<Tree, String> {
        if name != "m" {
            return Err(format!("unknown model `{name}`"));
        }
        let mut builder = TreeBuilder::new(name, size);
        builder.enter("root", "M", Level::Model);
        builder.leaf("matmul", "MatMul", Level::Ml, None);
        builder.leaf("matmul", "MatMul", Level::Ml, None);
        builder.leaf("norm", "LayerNorm", Level::Ml, None);
        builder.leave();
        builder.finish().map_err(|error| error.to_string())
    }

    fn row(line: u64, scope: &str, class: &str, joules: f64) -> Row {
        let word = |word: &str| (!word.is_empty()).then(|| word.to_owned());
        Row {
            line,
            scope: Some(scope.into()),
            instance_type: word(class),
            seq_len: Some(4),
            values: vec![(Quantity::GroundTruthEnergy, joules)],
            ..Row::default()
        }
    }

    fn energies(tree: &Tree) -> Vec<Option<f64>> {
        tree.nodes().iter().map(|node| node.get(Quantity::GroundTruthEnergy)).collect()
    }

    fn given() -> Given {
        Given { model_name: Some("m".into()), batch_size: Some(2), seq_len: None }
    }

    #[test]
    fn rows_go_to_their_nodes_in_order_or_as_a_mean() {
        let rows = vec![
            row(2, "matmul", "", 1.0),
            row(3, "root", "", 10.0),
            row(4, "matmul", "", 2.0),
            row(5, "norm", "", 3.0),
            row(6, "norm", "", 5.0),
            row(7, "", "LayerNorm", 100.0),
        ];
        let joined = join(rows, &given(), &mut trace);
        assert_eq!(energies(&joined.trees[0]), [Some(10.0), Some(1.0), Some(2.0), Some(4.0)]);
        assert_eq!((joined.by_scope, joined.by_class, joined.repeated, joined.empty), (5, 1, 1, 0));
        assert_eq!(joined.trees[0].size, Size::new(2, 4));
        // One row of an operation that runs twice is of both.
        let joined = join(vec![row(2, "matmul", "", 1.0)], &given(), &mut trace);
        assert_eq!(energies(&joined.trees[0]), [None, Some(1.0), Some(1.0), None]);
    }

    #[test]
    fn near_names_are_looked_for_five_times_and_counts_go_over_all_models() {
        let rows = (2..9).map(|line| row(line, "nrm", "", 1.0)).collect();
        let near: Vec<usize> = join(rows, &given(), &mut trace).unmatched.iter().map(|row| row.near.len()).collect();
        assert_eq!(near, [1, 1, 1, 1, 1, 0, 0]);
        let at = |seq_len: usize, row: Row| Row { seq_len: Some(seq_len), ..row };
        let of_class = |line| row(line, "", "LayerNorm", 1.0);
        let joined = join(
            vec![
                at(4, of_class(2)),
                at(4, of_class(3)),
                at(8, of_class(4)),
                at(8, row(5, "norm", "", 2.0)),
                at(8, row(6, "norm", "", 4.0)),
            ],
            &given(),
            &mut trace,
        );
        assert_eq!((joined.by_class, joined.by_scope, joined.repeated, joined.trees.len()), (3, 2, 2, 2));
        assert_eq!(energies(&joined.trees[1])[3], Some(3.0));
    }

    #[test]
    fn what_does_not_match_says_why_and_what_is_near() {
        let mut other = row(3, "norm", "", 1.0);
        other.model_name = Some("n".into());
        let mut empty = row(4, "norm", "", 1.0);
        empty.values.clear();
        let mut no_size = row(5, "norm", "", 1.0);
        no_size.seq_len = None;
        let joined = join(vec![row(2, "nrm", "", 1.0), other, empty, no_size], &given(), &mut trace);
        assert_eq!((joined.trees.len(), joined.empty), (0, 1));
        let said: Vec<String> =
            joined.unmatched.iter().map(|row| format!("{} {} {:?}", row.line, row.reason, row.near)).collect();
        assert_eq!(said, ["5 it has no seq_len []", "2 m has no such node [\"root.norm\"]", "3 unknown model `n` []"]);
    }
}
