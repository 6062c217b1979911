//! Files of trees, completed from the models' own code.

use std::{
    collections::{BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use irene_regress::TreeSource;
use irene_tree::{Level, Node, Quantity, Tree};

use super::alike::Alike;
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
                self.failed.get_or_insert_with(|| {
                    format!(
                        "{tree} could not be completed from its model's code ({error}; model_name may be the path of a config.json)"
                    )
                });
            }
        }
    }

    /// Says in a line which trees were completed.
    pub(crate) fn tell(&self, path: &Path) {
        if self.completed > 0 {
            let trees = count(self.completed, "tree");
            let added: Vec<&str> = self.added.iter().map(|quantity| quantity.name()).collect();
            let added = added.join(", ");
            output::tell(&format!("{}: {trees} completed from the models' own code: {added}", input::name(path)));
        }
    }

    /// Adds the file to an error about its trees, and to one about a feature why a tree was not completed.
    pub(crate) fn explained<T>(&self, path: &Path, result: Result<T>) -> Result<T> {
        let is_missing =
            |error: &anyhow::Error| matches!(error.downcast_ref(), Some(irene_regress::Error::MissingFeature(_)));
        let explained = match (result, &self.failed) {
            (Err(error), Some(reason)) if is_missing(&error) => Err(error.context(reason.clone())),
            (result, _) => result,
        };
        explained.with_context(|| input::name(path))
    }
}

/// `1 tree`, `2 trees`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The trees of a file, which must have at least one, as they are.
pub(crate) fn read(path: &Path) -> Result<Vec<Tree>> {
    let trees = input::trees(path)?.collect::<irene_tree::Result<Vec<Tree>>>()?;
    anyhow::ensure!(!trees.is_empty(), "{}: no trees", input::name(path));
    Ok(trees)
}

/// The trees of a file to learn from, each with the counts that predictors need, where its model is known. Says so, how many
/// nodes were not measured, of which classes none was, and which trees are unlike the others.
pub(crate) fn read_to_learn(path: &Path) -> Result<Trees> {
    let mut trees = read(path)?;
    let (mut measured, mut completion, mut alike) = (Measured::default(), Completion::default(), Alike::default());
    for tree in &mut trees {
        completion.complete(tree);
        measured.add(tree);
        alike.add(tree);
    }
    completion.tell(path);
    measured.tell(path);
    tell_unlike(path, &alike);
    Ok(Trees { trees, completion })
}

/// Says what does not look like measurements of one machine.
fn tell_unlike(path: &Path, alike: &Alike) {
    alike.remarks().iter().for_each(|remark| output::tell(&format!("{}: {remark}", input::name(path))));
}

/// Which nodes of some trees have an energy to learn from.
#[derive(Default)]
struct Measured {
    nodes: usize,
    unmeasured: usize,
    classes: BTreeSet<String>,
    measured_classes: BTreeSet<String>,
}

impl Measured {
    fn add(&mut self, tree: &Tree) {
        for node in tree.nodes().iter().filter(|node| node.level() != Level::Math) {
            let is_measured = node.get(Quantity::GroundTruthEnergy).is_some();
            self.nodes += 1;
            self.unmeasured += usize::from(!is_measured);
            let classes = if is_measured { &mut self.measured_classes } else { &mut self.classes };
            if !classes.contains(node.instance_type()) {
                classes.insert(node.instance_type().to_owned());
            }
        }
    }

    fn tell(&self, path: &Path) {
        if self.unmeasured == 0 {
            return;
        }
        let without: Vec<&str> = self.classes.difference(&self.measured_classes).map(String::as_str).collect();
        let none = if without.is_empty() { String::new() } else { format!("; no {} has one", without.join(", ")) };
        let (path, unmeasured, all) = (input::name(path), self.unmeasured, count(self.nodes, "node"));
        output::tell(&format!("{path}: {unmeasured} of {all} have no energy and are not learned from{none}"));
    }
}

/// A file of trees to learn from that need not fit into memory: it is read anew each time, and each tree gets the counts that
/// predictors need.
pub(crate) struct TreeFile {
    path: PathBuf,
    /// The trees of a stream, which can be read once alone.
    spooled: Option<input::Spooled>,
    pub(crate) completion: Completion,
    /// Whether every tree is a step of training that has nodes without latencies: `irene profile` measures nothing below a backward
    /// pass and an update.
    pub(crate) has_partly_measured_steps_alone: bool,
    /// Whether every tree is of the same model.
    pub(crate) is_of_one_model: bool,
    /// How many models at a size there are.
    pub(crate) settings: usize,
    /// The first tree, completed.
    pub(crate) first: Option<Tree>,
}

/// Whether a tree is a step of training with nodes that were not measured.
fn is_partly_measured_step(tree: &Tree) -> bool {
    let lacks = |node: &Node| node.level() != Level::Math && node.get(Quantity::Latency).is_none();
    tree.training.is_some() && tree.nodes().iter().any(lacks)
}

impl TreeFile {
    /// Reads the file once, which must have at least one tree. Says what [`read_to_learn`] says.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut file = Self {
            path: path.to_owned(),
            spooled: input::spooled(path)?,
            completion: Completion::default(),
            has_partly_measured_steps_alone: false,
            is_of_one_model: false,
            settings: 0,
            first: None,
        };
        let (mut are_steps, mut models, mut settings, mut first) = (true, HashSet::new(), HashSet::new(), None);
        let (mut measured, mut completion, mut alike) = (Measured::default(), Completion::default(), Alike::default());
        file.read(&mut |mut tree| {
            completion.complete(&mut tree);
            measured.add(&tree);
            alike.add(&tree);
            are_steps &= is_partly_measured_step(&tree);
            models.insert(hash(&tree.model_name));
            settings.insert(hash(&tree.to_string()));
            first.get_or_insert(tree);
            Ok(())
        })?;
        file.has_partly_measured_steps_alone = are_steps;
        (file.is_of_one_model, file.settings, file.first) = (models.len() == 1, settings.len(), first);
        anyhow::ensure!(measured.nodes > 0, "{}: no trees", input::name(path));
        completion.tell(path);
        measured.tell(path);
        tell_unlike(path, &alike);
        file.completion = completion;
        Ok(file)
    }

    fn read(&self, see: &mut dyn FnMut(Tree) -> irene_regress::Result<()>) -> irene_regress::Result<()> {
        let mut trees = match &self.spooled {
            Some(spooled) => input::spooled_trees(&self.path, spooled)?,
            None => input::trees(&self.path)?,
        };
        trees.try_for_each(|tree| see(tree?))
    }
}

impl TreeSource for TreeFile {
    fn each(&self, see: &mut dyn FnMut(&Tree) -> irene_regress::Result<()>) -> irene_regress::Result<()> {
        self.read(&mut |mut tree| {
            Completion::default().complete(&mut tree);
            see(&tree)
        })
    }
}

/// Names are kept as hashes, so that a file of any size is read in little memory.
fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
