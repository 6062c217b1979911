use irene_models::flexibert::{Design, LayerDesign};
use rand::{
    Rng, RngExt,
    seq::{IndexedRandom, SliceRandom},
};

use super::DesignSpace;

/// The part of a layer that a move changes.
#[derive(Clone, Copy)]
enum Choice {
    Hidden,
    FeedForward,
    Heads,
}

impl Choice {
    const ALL: [Self; 3] = [Self::Hidden, Self::FeedForward, Self::Heads];
}

impl DesignSpace {
    /// The designs one step away, each once and in canonical form: in one layer another hidden size, one feed-forward width
    /// replaced, another number of widths, one head replaced, or another number of heads of the same mixture; or, all layers
    /// kept as they are, the next smaller or larger number of layers, by leaving out or repeating some that follow each other.
    /// In the published space they are hundreds. The design is one of the space.
    pub fn neighbours(&self, design: &Design) -> impl Iterator<Item = Design> + use<'_> {
        let layers = self.canonical(design).layers().to_vec();
        let depths = self.depth_moves(&layers);
        let changed = (0..layers.len()).flat_map(move |index| {
            let moves = Choice::ALL.into_iter().flat_map(|choice| self.layer_moves(choice, &layers[index]));
            moves.map(|layer| with_layer(&layers, index, layer)).collect::<Vec<_>>()
        });
        changed.chain(depths).filter_map(|layers| Design::new(layers).ok())
    }

    /// One of the designs one step away at random: its number of layers, a hidden size, a list of feed-forward widths and a
    /// multiset of heads are equally likely to change. A design without neighbours stays as it is. The design is one of the space.
    pub fn mutate<R: Rng + ?Sized>(&self, design: &Design, rng: &mut R) -> Design {
        let design = self.canonical(design);
        let layers = design.layers();
        let [hidden, feed_forward, heads] = Choice::ALL.map(Some);
        // None is the number of layers.
        let mut changes = [hidden, feed_forward, heads, None];
        changes.shuffle(rng);
        for change in changes {
            let moves = match change {
                None => self.depth_moves(layers),
                Some(choice) => {
                    let index = rng.random_range(0..layers.len());
                    let moves = self.layer_moves(choice, &layers[index]);
                    moves.choose(rng).map(|layer| with_layer(layers, index, layer.clone())).into_iter().collect()
                }
            };
            if let Some(moved) = moves.choose(rng).and_then(|layers| Design::new(layers.clone()).ok()) {
                return moved;
            }
        }
        design
    }

    /// A design of the number of layers of one of two, and in each layer of the hidden size, the feed-forward widths and the heads
    /// of one of the two, drawn one by one; where only one of them has the layer, of that. Both designs are of the space.
    pub fn crossover<R: Rng + ?Sized>(&self, one: &Design, other: &Design, rng: &mut R) -> Design {
        let (first, second) = (self.canonical(one), self.canonical(other));
        let (one, other) = (first.layers(), second.layers());
        let depth = if rng.random() { one.len() } else { other.len() };
        let layers: Vec<LayerDesign> = (0..depth)
            .filter_map(|index| match (one.get(index), other.get(index)) {
                (Some(one), Some(other)) => {
                    let mut pick = || if rng.random() { one } else { other };
                    let (hidden, feed_forward) = (pick().hidden, pick().feed_forward.clone());
                    Some(LayerDesign { hidden, feed_forward, heads: pick().heads.clone() })
                }
                (one, other) => one.or(other).cloned(),
            })
            .collect();
        // Heads that fit one hidden size of the space may not fit another.
        Design::new(layers).unwrap_or(first)
    }

    fn layer_moves(&self, choice: Choice, layer: &LayerDesign) -> Vec<LayerDesign> {
        match choice {
            Choice::Hidden => {
                let others = self.hidden.iter().filter(|hidden| **hidden != layer.hidden);
                others.map(|&hidden| LayerDesign { hidden, ..layer.clone() }).collect()
            }
            Choice::FeedForward => {
                let replaced = replaced_at(&layer.feed_forward, &self.feed_forward, |_| true);
                let lists = replaced.chain(self.restacked(&layer.feed_forward));
                lists.map(|feed_forward| LayerDesign { feed_forward, ..layer.clone() }).collect()
            }
            Choice::Heads => {
                let first_of_its_kind = |index: usize| index == 0 || layer.heads[index - 1] != layer.heads[index];
                let replaced = replaced_at(&layer.heads, &self.operations, first_of_its_kind);
                let mut heads: Vec<_> = replaced.chain(self.resized(&layer.heads)).collect();
                for heads in &mut heads {
                    heads.sort_by_key(|head| self.operations.iter().position(|operation| operation == head));
                }
                heads.into_iter().map(|heads| LayerDesign { heads, ..layer.clone() }).collect()
            }
        }
    }

    /// The list of widths cut, or its last repeated, to each other number.
    fn restacked<'a>(&'a self, widths: &'a [usize]) -> impl Iterator<Item = Vec<usize>> + 'a {
        let others = self.stacks.iter().filter(|stacks| **stacks != widths.len());
        others.map(|&stacks| {
            widths.iter().chain(std::iter::repeat_n(widths.last(), stacks).flatten()).take(stacks).copied().collect()
        })
    }

    /// The same mixture of heads, as nearly as can be, in each other number.
    fn resized<'a, T: Copy>(&'a self, heads: &'a [T]) -> impl Iterator<Item = Vec<T>> + 'a {
        let others = self.heads.iter().filter(|number| **number != heads.len());
        others.map(|&number| (0..number).map(|index| heads[index * heads.len() / number]).collect())
    }

    /// The layers with some left out or repeated, to the next smaller or larger number.
    fn depth_moves(&self, layers: &[LayerDesign]) -> Vec<Vec<LayerDesign>> {
        let depth = layers.len();
        let fewer = self.layers.iter().filter(|number| **number < depth).max();
        let more = self.layers.iter().filter(|number| **number > depth).min();
        let cut = fewer.into_iter().flat_map(|&fewer| {
            let left_out = depth - fewer;
            (0..=fewer).map(move |at| [&layers[..at], &layers[at + left_out..]].concat())
        });
        let grown = more.into_iter().flat_map(|&more| {
            let added = more - depth;
            let repeated = move |at| layers.iter().cycle().skip(at).take(added);
            (0..=depth.saturating_sub(added))
                .map(move |at| layers[..at].iter().chain(repeated(at)).chain(&layers[at..]).cloned().collect())
        });
        let mut moves: Vec<Vec<LayerDesign>> = Vec::new();
        for moved in cut.chain(grown) {
            if !moves.contains(&moved) {
                moves.push(moved);
            }
        }
        moves
    }
}

fn with_layer(layers: &[LayerDesign], index: usize, layer: LayerDesign) -> Vec<LayerDesign> {
    let mut layers = layers.to_vec();
    layers[index] = layer;
    layers
}

/// The list with one of these places changed to another choice, for every such place and choice.
fn replaced_at<'a, T: Copy + PartialEq>(
    list: &'a [T],
    choices: &'a [T],
    at: impl Fn(usize) -> bool + 'a,
) -> impl Iterator<Item = Vec<T>> + 'a {
    let places = (0..list.len()).filter(move |index| at(*index));
    places.flat_map(move |index| {
        let others = choices.iter().filter(move |choice| **choice != list[index]);
        others.map(move |choice| {
            let mut list = list.to_vec();
            list[index] = *choice;
            list
        })
    })
}

#[cfg(test)]
mod tests {
    use irene_models::flexibert::Head;

    use super::*;

    fn layer(hidden: usize, heads: &[Head]) -> LayerDesign {
        LayerDesign { hidden, heads: heads.to_vec(), feed_forward: vec![256, 1024] }
    }

    #[test]
    fn the_neighbours_are_those_one_step_away() {
        let space = DesignSpace::published();
        let layers = vec![layer(128, &[Head::Dft, Head::Weighted]), layer(256, &[Head::Dct; 2])];
        let design = Design::new(layers.clone()).unwrap();
        let found: Vec<Design> = space.neighbours(&design).collect();
        // Hidden sizes, widths and their numbers, heads and their numbers of both layers; four layers.
        assert_eq!(found.len(), 2 * (3 + 10 + 2 + 3) + 12 + 6 + 1);
        let has = |layers: &[LayerDesign]| found.contains(&Design::new(layers.to_vec()).unwrap());
        let (weighted, dft) = (Head::Weighted, Head::Dft);
        assert!(has(&[layer(128, &[weighted, weighted, dft, dft]), layers[1].clone()]));
        assert!(has(&[layer(128, &[dft, Head::Convolution(9)]), layers[1].clone()]));
        let first = layer(128, &[weighted, dft]);
        assert!(has(&[first.clone(), layers[1].clone(), first, layers[1].clone()]));
    }

    #[test]
    fn a_space_of_one_design_has_no_moves() {
        let mut space = DesignSpace::published();
        for list in [&mut space.layers, &mut space.hidden, &mut space.heads, &mut space.feed_forward, &mut space.stacks]
        {
            list.truncate(1);
        }
        space.operations.truncate(1);
        let design = space.sample(super::super::Sampling::Uniform, 1, 0).unwrap().remove(0);
        assert_eq!(space.neighbours(&design).count(), 0);
        let mut rng = rand_pcg::Pcg64Mcg::new(7);
        assert_eq!(space.mutate(&design, &mut rng), design);
    }
}
