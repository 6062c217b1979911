use std::{collections::HashSet, ops::Range};

use irene_models::flexibert::Design;
use rand::{SeedableRng, seq::SliceRandom};
use rand_pcg::{Pcg64Mcg, rand_core::Rng};

use super::{Count, DesignSpace, Embedding, Sampling};
use crate::{Error, Result};

/// A part of a space: all choices but for the heads, which come from a range of ranks.
struct Part<'a> {
    space: &'a DesignSpace,
    hidden: u32,
    feed_forward: u32,
    heads: Range<u32>,
}

impl DesignSpace {
    /// How many designs there are, heads of a layer in whatever order.
    pub fn count(&self) -> Count {
        self.part(0..self.heads.len()).count()
    }

    /// So many different designs, spread over the space number by number of the embedding: each number of layers is as likely as
    /// any other, so that a design of few layers is likelier than one of many. The same seed gives the same designs.
    ///
    /// # Errors
    /// [`Error::Search`] if the space has fewer designs.
    pub fn sample(&self, sampling: Sampling, count: usize, seed: u64) -> Result<Vec<Design>> {
        let embeddings = self.part(0..self.heads.len()).sample(sampling, count, seed)?;
        embeddings.iter().map(|embedding| self.design_of(embedding)).collect()
    }

    /// As ProTran samples: half of the designs with few heads in every layer, then half with many in every layer. Without that, 99
    /// layers in 100 of the published space have 8 or 12 heads, as these have the most multisets.
    ///
    /// # Errors
    /// As [`Self::sample`].
    pub fn sample_balanced(&self, sampling: Sampling, count: usize, seed: u64) -> Result<Vec<Design>> {
        let half = self.heads.len() / 2;
        if half == 0 {
            return self.sample(sampling, count, seed);
        }
        let mut embeddings = self.part(0..half).sample(sampling, count.div_ceil(2), seed)?;
        embeddings.extend(self.part(half..self.heads.len()).sample(sampling, count / 2, seed.wrapping_add(1))?);
        embeddings.iter().map(|embedding| self.design_of(embedding)).collect()
    }

    /// The part with these numbers of heads; empty where the space is larger than it may be.
    fn part(&self, heads: Range<usize>) -> Part<'_> {
        let before = |index| self.head_choices_before(index).unwrap_or(0);
        Part {
            space: self,
            hidden: self.hidden.len() as u32,
            feed_forward: self.feed_forward_choices().unwrap_or(0),
            heads: before(heads.start)..before(heads.end),
        }
    }
}

impl Part<'_> {
    /// Choices of a layer's three numbers.
    fn of_layer(&self) -> [u32; 3] {
        [self.hidden, self.feed_forward, self.heads.end.saturating_sub(self.heads.start)]
    }

    fn layers(&self) -> u64 {
        self.of_layer().into_iter().fold(1, |product: u64, choices| product.saturating_mul(choices.into()))
    }

    fn count(&self) -> Count {
        Count::sum_of_powers(self.layers(), &self.space.layers)
    }

    fn sample(&self, sampling: Sampling, count: usize, seed: u64) -> Result<Vec<Embedding>> {
        /// Rounds after which a small space is counted through.
        const ROUNDS: usize = 8;
        let there_are = self.count();
        let total = there_are.as_u64().unwrap_or(u64::MAX);
        if total < count as u64 {
            return Err(Error::Search(format!("{count} different designs were asked for where there are {there_are}")));
        }
        let small = total / 16 < count as u64;
        let mut seeds = Pcg64Mcg::seed_from_u64(seed);
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        let mut round = 0;
        while found.len() < count {
            let seed = seeds.next_u64();
            let left = count - found.len();
            let drawn =
                if round >= ROUNDS && small { self.shuffled(total, seed) } else { self.draw(sampling, left, seed) };
            found.extend(drawn.into_iter().filter(|embedding| seen.insert(embedding.clone())).take(left));
            round += 1;
        }
        Ok(found)
    }

    /// Some designs, perhaps some of them the same.
    fn draw(&self, sampling: Sampling, count: usize, seed: u64) -> Vec<Embedding> {
        let columns = sampling.columns(&self.space.numbers(self.of_layer()), count, seed);
        (0..count).map(|point| self.embedding(columns.iter().map(|column| column[point]).collect())).collect()
    }

    /// An embedding from indices that count from the part's first, those beyond its layers whatever they are.
    fn embedding(&self, mut indices: Vec<u32>) -> Embedding {
        let layers = indices.first().and_then(|index| self.space.layers.get(*index as usize)).copied().unwrap_or(0);
        let used = (1 + 3 * layers).min(indices.len());
        for heads in indices[..used].iter_mut().skip(3).step_by(3) {
            *heads += self.heads.start;
        }
        indices[used..].fill(0);
        Embedding::from(indices)
    }

    /// All designs in random order.
    fn shuffled(&self, total: u64, seed: u64) -> Vec<Embedding> {
        let mut all: Vec<Embedding> = (0..total).map(|rank| self.nth(rank)).collect();
        all.shuffle(&mut Pcg64Mcg::seed_from_u64(seed));
        all
    }

    /// The design of a rank among all, those of the first number of layers first.
    fn nth(&self, mut rank: u64) -> Embedding {
        let mut indices = vec![0; self.space.embedding_len()];
        for (index, &layers) in self.space.layers.iter().enumerate() {
            let with_layers = (0..layers).fold(1_u64, |product, _| product.saturating_mul(self.layers()));
            if rank >= with_layers {
                rank -= with_layers;
                continue;
            }
            indices[0] = index as u32;
            for (digit, choices) in indices[1..].iter_mut().zip(self.of_layer().into_iter().cycle()).take(3 * layers) {
                *digit = (rank % u64::from(choices)) as u32;
                rank /= u64::from(choices);
            }
            break;
        }
        self.embedding(indices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 or 2 layers of 2·3·5 choices: 930 designs.
    fn small() -> DesignSpace {
        let mut space = DesignSpace::published();
        space.layers = vec![1, 2];
        space.hidden.truncate(2);
        space.feed_forward.truncate(3);
        space.stacks.truncate(1);
        space.heads = vec![1, 2];
        space.operations.truncate(2);
        space
    }

    #[test]
    fn a_small_space_can_be_sampled_whole() {
        let space = small();
        assert_eq!(space.count().as_u64(), Some(930));
        for sampling in Sampling::ALL {
            let designs = space.sample(sampling, 930, 3).unwrap();
            assert_eq!(designs.iter().collect::<HashSet<_>>().len(), 930);
            let error = space.sample(sampling, 931, 3).unwrap_err().to_string();
            assert_eq!(error, "931 different designs were asked for where there are 930");
        }
    }

    #[test]
    fn halves_are_narrow_and_wide_in_every_layer() {
        let space = DesignSpace::published();
        let designs = space.sample_balanced(Sampling::LatinHypercube, 17, 0).unwrap();
        let wide = |design: &Design| design.layers().iter().filter(|layer| layer.heads.len() >= 8).count();
        assert!(designs[..9].iter().all(|design| wide(design) == 0));
        assert!(designs[9..].iter().all(|design| wide(design) == design.layers().len()));
        let narrow_only = DesignSpace { heads: vec![2], ..space };
        assert_eq!(narrow_only.sample_balanced(Sampling::Uniform, 3, 0).unwrap().len(), 3);
    }

    #[test]
    fn a_space_without_choices_has_no_designs() {
        let mut space = small();
        space.hidden.clear();
        assert!(space.sample(Sampling::Sobol, 1, 0).is_err());
        assert!(space.sample(Sampling::Sobol, 0, 0).unwrap().is_empty());
    }
}
