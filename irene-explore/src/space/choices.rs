use std::fmt::Display;

use irene_models::flexibert::{Head, LayerDesign};

use super::DesignSpace;

/// The most choices that one number of an embedding tells apart: what a sequence of 24-bit points can still reach.
pub(super) const MOST_CHOICES: u32 = 1 << 24;

/// Multisets of this size over so many kinds, C(kinds - 1 + size, size), if these are at most [`MOST_CHOICES`].
fn multisets(kinds: usize, size: usize) -> Option<u64> {
    let most = u64::from(MOST_CHOICES);
    let (kinds, size) = (kinds as u64, size as u64);
    if kinds == 0 || kinds.max(size) > most {
        return (kinds == 0).then_some(u64::from(size == 0));
    }
    let (fewer, more) = (size.min(kinds - 1), size.max(kinds - 1));
    (1..=fewer).try_fold(1, |found, step| Some(found * (more + step) / step).filter(|found| *found <= most))
}

/// Where a value is among its choices, or a line that says which there are.
pub(super) fn index_of<T: PartialEq + Display>(what: &str, choices: &[T], value: &T) -> Result<u32, String> {
    let found = choices.iter().position(|choice| choice == value);
    found.map(|index| index as u32).ok_or_else(|| {
        let choices: Vec<String> = choices.iter().map(ToString::to_string).collect();
        format!("{what} {value} is no choice, expected one of {}", choices.join(", "))
    })
}

/// Multisets of one size in lexicographic order of their sorted lists, walked kind by kind and place by place. Pascal's rule splits what is left
/// into multisets that use the present kind again (first) and those that do not.
struct Walk {
    kinds: u64,
    places: u64,
    left: u64,
}

impl Walk {
    fn new(kinds: usize, places: usize) -> Option<Self> {
        Some(Self { kinds: kinds as u64, places: places as u64, left: multisets(kinds, places)? })
    }

    /// How many have the present kind next.
    fn with_present_kind(&self) -> u64 {
        self.left * self.places / (self.kinds + self.places - 1)
    }

    fn take(&mut self) {
        self.left = self.with_present_kind();
        self.places -= 1;
    }

    /// Goes on to the next kind, and says how many lists that leaves behind.
    fn pass(&mut self) -> u64 {
        let behind = self.with_present_kind();
        self.left -= behind;
        self.kinds -= 1;
        behind
    }
}

/// The rank of a multiset, given how often each kind is in it.
fn rank(counts: &[usize]) -> Option<u64> {
    let mut walk = Walk::new(counts.len(), counts.iter().sum())?;
    let mut rank = 0;
    for &count in counts {
        for _ in 0..count {
            walk.take();
        }
        if walk.places == 0 {
            break;
        }
        rank += walk.pass();
    }
    Some(rank)
}

/// The multiset of a rank, as the sorted list of its kinds.
fn unrank(mut rank: u64, kinds: usize, size: usize) -> Option<Vec<usize>> {
    let mut walk = Walk::new(kinds, size).filter(|walk| rank < walk.left)?;
    let mut kind = 0;
    let mut list = Vec::with_capacity(size);
    while walk.places > 0 {
        if rank < walk.with_present_kind() {
            walk.take();
            list.push(kind);
        } else {
            rank -= walk.pass();
            kind += 1;
        }
    }
    Some(list)
}

impl DesignSpace {
    /// Lists of feed-forward widths.
    pub(super) fn feed_forward_choices(&self) -> Option<u32> {
        sum(self.stacks.iter().map(|&stacks| self.lists(stacks)))
    }

    /// Multisets of heads.
    pub(super) fn head_choices(&self) -> Option<u32> {
        self.head_choices_before(self.heads.len())
    }

    /// Multisets of heads of the first so many numbers of heads.
    pub(super) fn head_choices_before(&self, index: usize) -> Option<u32> {
        sum(self.heads.iter().take(index).map(|&heads| multisets(self.operations.len(), heads)))
    }

    /// Lists of so many widths.
    fn lists(&self, stacks: usize) -> Option<u64> {
        let stacks = u32::try_from(stacks).ok()?;
        (self.feed_forward.len() as u64).checked_pow(stacks).filter(|lists| *lists <= u64::from(MOST_CHOICES))
    }

    /// The layer's three numbers in the embedding, or which of its choices is not there.
    pub(super) fn rank_layer(&self, layer: &LayerDesign) -> Result<[u32; 3], String> {
        let hidden = index_of("hidden size", &self.hidden, &layer.hidden)?;
        Ok([hidden, self.rank_feed_forward(&layer.feed_forward)?, self.rank_heads(&layer.heads)?])
    }

    /// Fewer widths come first; of as many, their indices are the digits of a number.
    fn rank_feed_forward(&self, widths: &[usize]) -> Result<u32, String> {
        let stacks = index_of("number of feed-forward widths", &self.stacks, &widths.len())?;
        let base = self.feed_forward.len() as u32;
        let mut rank = 0_u32;
        for width in widths {
            let digit = index_of("feed-forward width", &self.feed_forward, width)?;
            rank = rank.checked_mul(base).and_then(|rank| rank.checked_add(digit)).ok_or_else(too_large)?;
        }
        let shorter = sum(self.stacks.iter().take(stacks as usize).map(|&stacks| self.lists(stacks)));
        shorter.and_then(|shorter| shorter.checked_add(rank)).ok_or_else(too_large)
    }

    /// Fewer heads come first; of as many, the order is that of their sorted lists.
    fn rank_heads(&self, heads: &[Head]) -> Result<u32, String> {
        let number = index_of("number of heads", &self.heads, &heads.len())?;
        let mut counts = vec![0; self.operations.len()];
        for head in heads {
            counts[index_of("head", &self.operations, head)? as usize] += 1;
        }
        let fewer = self.head_choices_before(number as usize);
        let rank = rank(&counts).and_then(|rank| u32::try_from(rank).ok());
        fewer.zip(rank).and_then(|(fewer, rank)| fewer.checked_add(rank)).ok_or_else(too_large)
    }

    /// The list of widths of a rank, if there are so many.
    pub(super) fn feed_forward_of(&self, rank: u32) -> Option<Vec<usize>> {
        let mut rank = u64::from(rank);
        for &stacks in &self.stacks {
            let lists = self.lists(stacks)?;
            if rank < lists {
                let base = self.feed_forward.len() as u64;
                let digit = |place: usize| (rank / base.pow(place as u32) % base) as usize;
                return Some((0..stacks).rev().map(|place| self.feed_forward[digit(place)]).collect());
            }
            rank -= lists;
        }
        None
    }

    /// The multiset of heads of a rank, if there are so many.
    pub(super) fn heads_of(&self, rank: u32) -> Option<Vec<Head>> {
        let mut rank = u64::from(rank);
        let kinds = self.operations.len();
        for &heads in &self.heads {
            let lists = multisets(kinds, heads)?;
            if rank < lists {
                return Some(unrank(rank, kinds, heads)?.into_iter().map(|kind| self.operations[kind]).collect());
            }
            rank -= lists;
        }
        None
    }
}

fn sum(mut blocks: impl Iterator<Item = Option<u64>>) -> Option<u32> {
    let sum = blocks.try_fold(0_u64, |sum, block| sum.checked_add(block?))?;
    u32::try_from(sum).ok().filter(|sum| *sum <= MOST_CHOICES)
}

fn too_large() -> String {
    format!("the space has more than {MOST_CHOICES} choices for one of its numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_space_has_the_published_choices() {
        let space = DesignSpace::published();
        assert_eq!(space.feed_forward_choices(), Some(258));
        let blocks: Vec<_> = (0..=4).map(|index| space.head_choices_before(index).unwrap()).collect();
        assert_eq!(blocks, [0, 28, 238, 3241, 21_805]);
    }

    #[test]
    fn every_multiset_has_its_rank_in_lexicographic_order() {
        for (kinds, size) in [(1, 1), (1, 4), (2, 3), (7, 2), (7, 8), (3, 0), (0, 0)] {
            let lists: Vec<_> = (0..).map_while(|rank| unrank(rank, kinds, size)).collect();
            assert_eq!(lists.len() as u64, multisets(kinds, size).unwrap());
            assert!(lists.is_sorted() && lists.iter().all(|list| list.is_sorted() && list.len() == size));
            for (expected, list) in lists.iter().enumerate() {
                let counts: Vec<_> = (0..kinds).map(|kind| list.iter().filter(|it| **it == kind).count()).collect();
                assert_eq!(rank(&counts), Some(expected as u64));
            }
        }
    }

    #[test]
    fn every_choice_of_a_layer_has_its_rank() {
        let space = DesignSpace::published();
        for rank in 0..258 {
            assert_eq!(space.rank_feed_forward(&space.feed_forward_of(rank).unwrap()), Ok(rank));
        }
        for rank in 0..21_805 {
            assert_eq!(space.rank_heads(&space.heads_of(rank).unwrap()), Ok(rank));
        }
        assert_eq!((space.feed_forward_of(258), space.heads_of(21_805)), (None, None));
    }

    #[test]
    fn what_is_too_much_has_no_number() {
        assert_eq!(multisets(1 << 20, 1 << 20), None);
        let mut space = DesignSpace::published();
        space.stacks = vec![usize::MAX];
        space.heads = vec![1, 1000];
        assert_eq!((space.feed_forward_choices(), space.head_choices(), space.feed_forward_of(3)), (None, None, None));
        assert_eq!(space.rank_heads(&[Head::Dft]), Ok(2));
    }
}
