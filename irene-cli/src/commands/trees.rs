//! Files of trees, completed from the models' own code.

use std::{collections::BTreeSet, path::Path};

use anyhow::Result;
use irene_tree::{Level, Node, Quantity, Tree};

use crate::{input, output};

/// The trees of a file.
pub(crate) struct Trees {
    pub(crate) trees: Vec<Tree>,
    pub(crate) completion: Completion,
}

/// Which trees lacked counts that predictors need (IrEne's own files do), and what became of them.
#[derive(Default)]
pub(crate) struct Completion {
    completed: usize,
    added: BTreeSet<Quantity>,
    /// Why the first of those that could not be completed was not.
    failed: Option<String>,
}

impl Completion {
    /// Adds the counts that a tree lacks, if its model is known.
    pub(crate) fn complete(&mut self, tree: &mut Tree) {
        match irene_models::complete(tree) {
            Ok(added) if added.is_empty() => {}
            Ok(added) => {
                self.completed += 1;
                self.added.extend(added);
            }
            Err(error) => {
                self.failed
                    .get_or_insert_with(|| format!("{tree} could not be completed from its model's code ({error}; model_name may be the path of a config.json)"));
            }
        }
    }

    /// Says in a line which trees were completed.
    pub(crate) fn tell(&self, path: &Path) {
        if self.completed > 0 {
            let trees = count(self.completed, "tree");
            let added: Vec<&str> = self.added.iter().map(|quantity| quantity.name()).collect();
            let added = added.join(", ");
            output::tell(&format!("{}: {trees} completed from the models' own code: {added}", path.display()));
        }
    }

    /// Adds why a tree was not completed to an error about a feature that it lacks.
    pub(crate) fn explained<T>(&self, result: Result<T>) -> Result<T> {
        let is_missing =
            |error: &anyhow::Error| matches!(error.downcast_ref(), Some(irene_regress::Error::MissingFeature(_)));
        match (result, &self.failed) {
            (Err(error), Some(reason)) if is_missing(&error) => Err(error.context(reason.clone())),
            (result, _) => result,
        }
    }
}

/// `1 tree`, `2 trees`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The trees of a file, which must have at least one, as they are.
pub(crate) fn read(path: &Path) -> Result<Vec<Tree>> {
    let trees = input::trees(path)?.all()?;
    anyhow::ensure!(!trees.is_empty(), "{}: no trees", path.display());
    Ok(trees)
}

/// The trees of a file to learn from. Says how many nodes were not measured, and of which classes none was.
pub(crate) fn read_to_learn(path: &Path) -> Result<Trees> {
    let trees = read_completed(path)?;
    let nodes = || trees.trees.iter().flat_map(Tree::nodes).filter(|node| node.level() != Level::Math);
    let is_measured = |node: &&Node| node.get(Quantity::GroundTruthEnergy).is_some();
    let unmeasured = nodes().filter(|node| !is_measured(node)).count();
    if unmeasured > 0 {
        let classes = |nodes: &mut dyn Iterator<Item = &Node>| -> BTreeSet<String> {
            nodes.map(|node| node.instance_type().to_owned()).collect()
        };
        let measured = classes(&mut nodes().filter(is_measured));
        let without: Vec<String> = classes(&mut nodes()).difference(&measured).cloned().collect();
        let none = if without.is_empty() { String::new() } else { format!("; no {} has one", without.join(", ")) };
        let all = count(nodes().count(), "node");
        let path = path.display();
        output::tell(&format!("{path}: {unmeasured} of {all} have no energy and are not learned from{none}"));
    }
    Ok(trees)
}

/// The trees of a file, which must have at least one, each with the counts that predictors need, where its model is known. Says so.
pub(crate) fn read_completed(path: &Path) -> Result<Trees> {
    let mut trees = read(path)?;
    let mut completion = Completion::default();
    trees.iter_mut().for_each(|tree| completion.complete(tree));
    completion.tell(path);
    Ok(Trees { trees, completion })
}
