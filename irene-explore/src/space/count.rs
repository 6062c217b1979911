use std::fmt;

/// How many designs there are, exactly: they are too many for any number of the machine's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Groups of nine decimal digits, lowest first, the highest not 0.
    groups: Vec<u32>,
}

const GROUP: u128 = 1_000_000_000;

impl Count {
    /// The sum of a base's powers to these exponents.
    pub(super) fn sum_of_powers(base: u64, exponents: &[usize]) -> Self {
        let mut sum = Self { groups: Vec::new() };
        let mut power = Self { groups: vec![1] };
        for exponent in 0..=exponents.iter().copied().max().unwrap_or(0) {
            for _ in exponents.iter().filter(|it| **it == exponent) {
                sum.add(&power);
            }
            power.multiply(base);
        }
        sum
    }

    fn add(&mut self, other: &Self) {
        self.groups.resize(self.groups.len().max(other.groups.len()), 0);
        let mut carry = 0;
        for (index, group) in self.groups.iter_mut().enumerate() {
            carry += u128::from(*group) + other.groups.get(index).copied().map_or(0, u128::from);
            *group = (carry % GROUP) as u32;
            carry /= GROUP;
        }
        self.carry(carry);
    }

    fn multiply(&mut self, factor: u64) {
        let mut carry = 0;
        for group in &mut self.groups {
            carry += u128::from(*group) * u128::from(factor);
            *group = (carry % GROUP) as u32;
            carry /= GROUP;
        }
        self.carry(carry);
        while self.groups.last() == Some(&0) {
            self.groups.pop();
        }
    }

    fn carry(&mut self, mut carry: u128) {
        while carry > 0 {
            self.groups.push((carry % GROUP) as u32);
            carry /= GROUP;
        }
    }

    /// Its decimal logarithm, minus infinity of none.
    pub fn log10(&self) -> f64 {
        let leading = self.groups.iter().fold(0.0, |value, group| value / 1e9 + f64::from(*group));
        leading.log10() + 9.0 * self.groups.len().saturating_sub(1) as f64
    }

    /// The number, if it is one of 64 bits.
    pub fn as_u64(&self) -> Option<u64> {
        let highest_first = self.groups.iter().rev();
        highest_first
            .copied()
            .try_fold(0_u64, |value, group| value.checked_mul(GROUP as u64)?.checked_add(group.into()))
    }
}

/// All its digits.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((highest, lower)) = self.groups.split_last() else { return f.pad("0") };
        let lower = lower.iter().rev().map(|group| format!("{group:09}"));
        f.pad(&[highest.to_string()].into_iter().chain(lower).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::DesignSpace;

    #[test]
    fn the_published_space_has_its_published_size() {
        let count = DesignSpace::published().count();
        // Python's own whole numbers give the same.
        let exact = "16858908734132497780908867493333806257614075489378357347998921892214947867599639413377600";
        assert_eq!(count.to_string(), exact);
        assert!((count.log10() - 88.226_829_459_607_66).abs() < 1e-12);
        assert_eq!(count.as_u64(), None);
    }

    #[test]
    fn small_numbers_are_themselves() {
        let of = |base, exponents: &[usize]| Count::sum_of_powers(base, exponents);
        assert_eq!(of(10, &[9, 0, 0]).as_u64(), Some(1_000_000_002));
        assert_eq!(of(10, &[9, 18]).to_string(), "1000000001000000000");
        assert_eq!(of(2, &[63, 63]).as_u64(), None);
        assert_eq!(of(u64::MAX, &[1]).as_u64(), Some(u64::MAX));
        assert_eq!(
            (of(0, &[3]).to_string(), of(5, &[]).as_u64(), of(0, &[2]).log10()),
            ("0".into(), Some(0), f64::NEG_INFINITY)
        );
    }
}
