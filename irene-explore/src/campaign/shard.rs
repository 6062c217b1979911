use std::str::FromStr;

use crate::{Error, Result};

/// A part of a campaign: one of several that run by themselves, on machines of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The part with this number, from 0, of this many.
    ///
    /// # Errors
    /// [`Error::Data`] for a number that is not below their count.
    pub fn new(index: usize, count: usize) -> Result<Self> {
        if index < count {
            return Ok(Self { index, count });
        }
        Err(Error::Data(format!("there is no part {index} of {count}; parts count from 0")))
    }

    /// Whether it measures the design of this order. With an even number of parts each row of orders starts with another part, so
    /// that what alternates in a plan does in every part.
    pub fn has(self, order: usize) -> bool {
        let shift = if self.count.is_multiple_of(2) { order / self.count } else { 0 };
        (order + shift) % self.count == self.index
    }
}

/// `i/n`, the `i`th of `n` from 0.
impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        let (index, count) = parts.ok_or("expected i/n, such as 0/4 for the first of four")?;
        Self::new(index, count).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_disjoint_and_complete_and_each_has_of_what_alternates() {
        for count in 1..=7 {
            let shards: Vec<Shard> = (0..count).map(|index| Shard::new(index, count).unwrap()).collect();
            let owners = |order: usize| shards.iter().filter(|shard| shard.has(order)).count();
            assert!((0..100).all(|order| owners(order) == 1));
            for shard in shards {
                let odd = (0..4 * count).filter(|&order| shard.has(order) && order % 2 == 1).count();
                assert_eq!(odd, 2, "{odd} of 4 in {shard:?}");
            }
        }
    }

    #[test]
    fn a_shard_that_is_none_is_refused() {
        assert_eq!("2/5".parse(), Shard::new(2, 5).map_err(|error| error.to_string()));
        for text in ["", "3", "a/2", "-1/2", "1/2/3"] {
            assert!(text.parse::<Shard>().unwrap_err().starts_with("expected i/n"), "{text}");
        }
        for text in ["2/2", "0/0"] {
            assert!(text.parse::<Shard>().unwrap_err().starts_with("there is no part"), "{text}");
        }
    }
}
