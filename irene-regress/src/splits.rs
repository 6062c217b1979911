//! Cross-validation: which trees each fold leaves out of training.

use std::collections::{BTreeSet, HashMap};

use irene_tree::{Node, Tree};
use rand_pcg::{
    Pcg64Mcg,
    rand_core::{Rng, SeedableRng},
};

use crate::{Error, Result};

/// The trees that each fold of a cross-validation leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaveOut {
    /// All trees of one model (the paper's).
    Model,
    /// All trees of one input size.
    Size,
    /// All trees of one [`family`] of models.
    Family,
    /// One tree, trained without its model and without its size.
    ModelAndSize,
    /// A random tenth of the trees, repeats of one model and size together. For reference: the same models and sizes are on both sides.
    KFold {
        /// Decides which trees form a tenth.
        seed: u64,
    },
}

/// Parts of [`LeaveOut::KFold`].
const PARTS: usize = 10;

/// One fold: the places of the trees to train on and of those to predict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The model, size, family or part.
    pub left_out: String,
    /// Places of the training trees.
    pub training: Vec<usize>,
    /// Places of the trees to predict.
    pub test: Vec<usize>,
}

/// The family of a tree's architecture: decoders like GPT, encoders like BERT, DistilBERT (whose attention differs); any other architecture
/// is a family of its own.
pub fn family(tree: &Tree) -> &str {
    // The model of a generation is that of its passes.
    let passes = tree.nodes().iter().filter(|node| node.size.is_some());
    let name = passes.chain([tree.root()]).map(Node::instance_type).next().unwrap_or_default();
    let contains = |part: &str| name.to_ascii_lowercase().contains(part);
    match () {
        () if contains("gpt") => "GPT-like",
        () if contains("distilbert") => "DistilBERT",
        () if contains("bert") => "BERT-like",
        () => name,
    }
}

fn model(tree: &Tree) -> String {
    tree.model_name.clone()
}

fn size(tree: &Tree) -> String {
    tree.size.to_string()
}

impl LeaveOut {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "leave-model-out",
            Self::Size => "leave-size-out",
            Self::Family => "leave-family-out",
            Self::ModelAndSize => "leave-model-and-size-out",
            Self::KFold { .. } => "k-fold",
        }
    }

    /// The folds of these trees, in the order of the data; each tree is predicted once.
    ///
    /// # Errors
    /// [`Error::Training`] where there is nothing to train on without what is left out.
    pub fn splits(self, trees: &[Tree]) -> Result<Vec<Split>> {
        let trees: Vec<&Tree> = trees.iter().collect();
        let splits = match self {
            Self::Model => groups(&trees, |_, tree| model(tree)),
            Self::Size => groups(&trees, |_, tree| size(tree)),
            Self::Family => groups(&trees, |_, tree| family(tree).to_owned()),
            Self::ModelAndSize => {
                let mut splits = groups(&trees, |_, tree| tree.to_string());
                for split in &mut splits {
                    let left_out = trees[split.test[0]];
                    let shares = |tree: &Tree| model(tree) == model(left_out) || size(tree) == size(left_out);
                    split.training.retain(|&place| !shares(trees[place]));
                }
                splits
            }
            Self::KFold { seed } => {
                let (mut random, mut drawn) = (Pcg64Mcg::seed_from_u64(seed), HashMap::new());
                let lots = trees.iter().map(|tree| *drawn.entry(tree.to_string()).or_insert_with(|| random.next_u64()));
                let lots: Vec<u64> = lots.collect();
                let mut order = lots.clone();
                order.sort_unstable();
                order.dedup();
                let part = |place: usize| order.partition_point(|lot| *lot < lots[place]) % PARTS;
                let mut splits = groups(&trees, |place, _| format!("part {}", part(place) + 1));
                splits.sort_by_key(|split| split.test.first().map(|&place| part(place)));
                splits
            }
        };
        match splits.iter().find(|split| split.training.is_empty()) {
            None if splits.len() >= 2 => Ok(splits),
            Some(split) if splits.len() >= 2 => Err(Error::Training(format!(
                "{}: without the model and the size of {} there is nothing to train on",
                self.name(),
                split.left_out
            ))),
            found => {
                let found =
                    found.or(splits.first()).map_or_else(|| "none".into(), |split| format!("only {}", split.left_out));
                Err(Error::Training(format!("{} needs at least two groups, found {found}", self.name())))
            }
        }
    }
}

fn groups(trees: &[&Tree], group: impl Fn(usize, &Tree) -> String) -> Vec<Split> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut splits: Vec<Split> = Vec::new();
    let group_of = |(place, tree): (usize, &&Tree)| {
        let name = group(place, tree);
        *places.entry(name).or_insert_with_key(|name| {
            splits.push(Split { left_out: name.clone(), training: Vec::new(), test: Vec::new() });
            splits.len() - 1
        })
    };
    let group_of: Vec<usize> = trees.iter().enumerate().map(group_of).collect();
    for (place, group) in group_of.iter().enumerate() {
        for (index, split) in splits.iter_mut().enumerate() {
            if index == *group { &mut split.test } else { &mut split.training }.push(place);
        }
    }
    splits
}

/// The groups, or where there are many of them, as many parts as of a [`LeaveOut::KFold`], each of several groups.
fn few_groups(trees: &[&Tree], group: impl Fn(&Tree) -> String) -> Vec<Split> {
    /// Each takes a training.
    const MOST: usize = 40;
    // By name, not by place: the order of a file's trees decides nothing.
    let names: BTreeSet<String> = trees.iter().map(|tree| group(tree)).collect();
    let places: HashMap<String, usize> = names.into_iter().zip(0..).collect();
    let is_many = places.len() > MOST;
    groups(trees, |_, tree| {
        let name = group(tree);
        if is_many { format!("part {}", places[&name] % PARTS + 1) } else { name }
    })
}

/// Splits of training data, to choose settings and to calibrate intervals: without each model, or without each size if there are one or
/// two models. A split that leaves fewer than two sizes to train on is not among them.
pub(crate) fn held_out(trees: &[&Tree]) -> Vec<Split> {
    let by_model = few_groups(trees, model);
    let splits = if by_model.len() > 2 { by_model } else { few_groups(trees, size) };
    splits.into_iter().filter(|split| has_sizes(trees, split)).collect()
}

/// Splits that test extrapolation: without the smallest and the largest batches, the shortest and the longest sequences.
fn edges(trees: &[&Tree]) -> Vec<Split> {
    let sizes: [fn(&Tree) -> usize; 2] = [|tree| tree.size.sequences, |tree| tree.size.new];
    let mut splits = Vec::new();
    for size in sizes {
        let sizes = || trees.iter().map(|tree| size(tree));
        for edge in [sizes().min(), sizes().max()].into_iter().flatten() {
            let (test, training) = (0..trees.len()).partition(|&place| size(trees[place]) == edge);
            splits.push(Split { left_out: edge.to_string(), training, test });
        }
    }
    splits.into_iter().filter(|split| has_sizes(trees, split)).collect()
}

/// Splits that leave sizes out: at the edges, and some between them.
pub(crate) fn held_out_sizes(trees: &[&Tree]) -> Vec<Split> {
    /// Each takes a training.
    const MOST: usize = 6;
    let mut by_size = groups(trees, |_, tree| size(tree));
    by_size.sort_by_key(|split| split.test.first().map(|&place| trees[place].size));
    let step = by_size.len().div_ceil(MOST).max(1);
    let between = by_size.into_iter().skip(step / 2).step_by(step).filter(|split| has_sizes(trees, split));
    edges(trees).into_iter().chain(between).collect()
}

/// Splits that leave a family out.
pub(crate) fn held_out_families(trees: &[&Tree]) -> Vec<Split> {
    let splits = few_groups(trees, |tree| family(tree).to_owned());
    splits.into_iter().filter(|split| has_sizes(trees, split)).collect()
}

fn has_sizes(trees: &[&Tree], split: &Split) -> bool {
    let mut sizes = split.training.iter().map(|&place| size(trees[place]));
    sizes.next().is_some_and(|first| sizes.any(|other| other != first))
}

#[cfg(test)]
mod tests {
    use irene_tree::{Level, Size, TreeBuilder};

    use super::*;

    fn tree(name: String, class: &'static str, size: Size) -> Tree {
        let mut builder = TreeBuilder::new(name, size);
        builder.enter("root", class, Level::Model);
        builder.leaf("x", "Tanh", Level::Ml, None);
        builder.leave();
        builder.finish().unwrap()
    }

    fn trees() -> Vec<Tree> {
        let models =
            [("a", "GPT2Model"), ("b", "BertModel"), ("c", "RobertaModel"), ("d", "DistilBertModel"), ("e", "TModel")];
        let at = |name: &str, class, size: usize| tree(name.to_owned(), class, Size::new(size, 10 * size));
        models.into_iter().flat_map(|(name, class)| [1, 2, 3].map(|size| at(name, class, size))).collect()
    }

    #[test]
    fn every_tree_is_predicted_once_and_never_trained_on() {
        let trees = trees();
        let folds = [(LeaveOut::Model, 5), (LeaveOut::Size, 3), (LeaveOut::Family, 4)];
        for (leave_out, count) in
            folds.into_iter().chain([(LeaveOut::ModelAndSize, 15), (LeaveOut::KFold { seed: 1 }, 10)])
        {
            let splits = leave_out.splits(&trees).unwrap();
            assert_eq!(splits.len(), count, "{}", leave_out.name());
            let mut tested: Vec<usize> = splits.iter().flat_map(|split| split.test.clone()).collect();
            tested.sort_unstable();
            assert_eq!(tested, (0..trees.len()).collect::<Vec<_>>(), "{}", leave_out.name());
            assert!(splits.iter().all(|split| split.test.iter().all(|place| !split.training.contains(place))));
        }
    }

    #[test]
    fn repeats_of_one_model_and_size_are_never_on_both_sides() {
        let trees = [trees(), trees()].concat();
        let tenths = LeaveOut::KFold { seed: 1 };
        for split in tenths.splits(&trees).unwrap() {
            let tested: BTreeSet<String> = split.test.iter().map(|&place| trees[place].to_string()).collect();
            assert!(split.training.iter().all(|&place| !tested.contains(&trees[place].to_string())));
        }
    }

    #[test]
    fn a_model_and_its_size_are_left_out_together() {
        let trees = trees();
        let splits = LeaveOut::ModelAndSize.splits(&trees).unwrap();
        assert_eq!(splits[0].left_out, "a 1x10");
        assert_eq!(splits[0].training, [4, 5, 7, 8, 10, 11, 13, 14]);
    }

    #[test]
    fn of_many_models_several_are_left_out_at_a_time_and_none_is_on_both_sides() {
        let of = |place: usize| tree(format!("m{}", place / 3), "M", Size::new(place % 3 + 1, 8));
        let trees: Vec<Tree> = (0..300).map(of).collect();
        let trees: Vec<&Tree> = trees.iter().collect();
        let splits = held_out(&trees);
        assert_eq!(splits.len(), PARTS);
        for split in &splits {
            let left_out = |place: &usize| split.test.iter().any(|test| model(trees[*test]) == model(trees[*place]));
            assert!(split.test.len() == 30 && !split.training.iter().any(left_out), "{}", split.left_out);
        }
        assert_eq!(held_out(&trees[..120]).len(), 40);
    }

    #[test]
    fn the_order_of_trees_decides_nothing_that_is_left_out() {
        let of = |place: usize| tree(format!("m{place}"), "M", Size::new(1 + place % 4, 8 + place / 4));
        let forth: Vec<Tree> = (0..60).map(of).collect();
        let left_out = |order: &dyn Fn(usize) -> usize, splits: fn(&[&Tree]) -> Vec<Split>| {
            let trees: Vec<&Tree> = (0..60).map(|place| &forth[order(place)]).collect();
            let names =
                |split: &Split| split.test.iter().map(|&place| trees[place].to_string()).collect::<BTreeSet<_>>();
            splits(&trees).iter().map(names).collect::<BTreeSet<_>>()
        };
        for splits in [held_out as fn(&[&Tree]) -> Vec<Split>, held_out_sizes] {
            assert_eq!(left_out(&|place| place, splits), left_out(&|place| place * 7 % 60, splits));
        }
    }

    #[test]
    fn one_group_cannot_be_left_out() {
        let error = LeaveOut::Size.splits(&trees()[..1]).unwrap_err().to_string();
        assert_eq!(error, "training data: leave-size-out needs at least two groups, found only 1x10");
    }
}
