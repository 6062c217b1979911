//! Samples of what would not fit into memory. A fixed hash decides, so that the same data gives the same sample.

use std::collections::BTreeMap;

use irene_numerics::rank;
use irene_tree::Tree;

use crate::{Result, TreeSource, gpus::on_one_gpu};

/// Nodes, without single operations, of the trees that a predictor keeps while it is trained.
pub(crate) const MOST_NODES: usize = 100_000;

/// Trees without their math level: all of a source, or a sample of it.
pub(crate) struct Sample {
    /// Those that show no math level first, each kind in the order of the source.
    pub(crate) trees: Vec<Tree>,
    pub(crate) is_whole: bool,
}

impl Sample {
    /// All trees, or a pseudo-random sample with at most `most_nodes` nodes, or of one tree. A tree of several GPUs is refused.
    pub(crate) fn of(source: &dyn TreeSource, most_nodes: usize) -> Result<Self> {
        let (mut kept, mut nodes, mut place) = (BTreeMap::new(), 0, 0);
        let mut least_refused = u64::MAX;
        source.each(&mut |tree| {
            on_one_gpu(tree)?;
            let key = rank(&[place]);
            place += 1;
            if key >= least_refused {
                return Ok(());
            }
            let shows_math = tree.shows_math();
            let plain = if shows_math { tree.without_math() } else { tree.clone() };
            nodes += plain.nodes().len();
            kept.insert(key, (shows_math, place, plain));
            while nodes > most_nodes && kept.len() > 1 {
                let Some((refused, (_, _, tree))) = kept.pop_last() else { break };
                nodes -= tree.nodes().len();
                least_refused = refused;
            }
            Ok(())
        })?;
        let mut kept: Vec<(bool, u64, Tree)> = kept.into_values().collect();
        kept.sort_by_key(|(shows_math, place, _)| (*shows_math, *place));
        let trees = kept.into_iter().map(|(.., tree)| tree).collect();
        Ok(Self { trees, is_whole: least_refused == u64::MAX })
    }
}

/// The trees of a source without their math level.
pub(crate) struct Plain<'s>(pub(crate) &'s dyn TreeSource);

impl TreeSource for Plain<'_> {
    fn each(&self, see: &mut dyn FnMut(&Tree) -> Result<()>) -> Result<()> {
        self.0.each(&mut |tree| if tree.shows_math() { see(&tree.without_math()) } else { see(tree) })
    }
}

#[cfg(test)]
mod tests {
    use irene_tree::{Level, Size, TreeBuilder};

    use super::*;

    fn trees(count: usize, shows_math: bool) -> Vec<Tree> {
        let tree = |place: usize| {
            let mut builder = TreeBuilder::new(format!("m{place}"), Size::new(1, 1));
            builder.enter("root", "M", Level::Model);
            builder.leaf("x", "Linear", Level::Ml, None);
            if shows_math {
                builder.leaf("add", "Add", Level::Math, None);
            }
            builder.leave();
            builder.finish().unwrap()
        };
        (0..count).map(tree).collect()
    }

    #[test]
    fn few_trees_are_all_there_in_their_order_without_single_operations() {
        let all = Sample::of(&[trees(3, true), trees(3, false)].concat(), 12).unwrap();
        assert!(all.is_whole && all.trees.iter().all(|tree| tree.nodes().len() == 2));
        let names: Vec<&str> = all.trees.iter().map(|tree| tree.model_name.as_str()).collect();
        assert_eq!(names, ["m0", "m1", "m2", "m0", "m1", "m2"]);
    }

    #[test]
    fn of_many_trees_as_many_as_fit_are_drawn_from_everywhere_and_always_the_same() {
        let all = trees(2000, false);
        let draw = || Sample::of(&all, 201).unwrap();
        let sample = draw();
        assert_eq!((sample.trees.len(), sample.is_whole), (100, false));
        assert_eq!(sample.trees, draw().trees);
        let places: Vec<usize> = sample.trees.iter().map(|tree| tree.model_name[1..].parse().unwrap()).collect();
        assert!(places.is_sorted());
        for quarter in 0..4 {
            let in_quarter = places.iter().filter(|&place| place / 500 == quarter).count();
            assert!((12..=38).contains(&in_quarter), "{in_quarter} of 100 in quarter {quarter}");
        }
    }
}
