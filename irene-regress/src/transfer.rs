//! How well a profile of one machine predicts another, from no, one or a few trees that were measured there.

use std::collections::BTreeMap;

use irene_tree::{Level, Tree};
use rand_pcg::{
    Pcg64Mcg,
    rand_core::{Rng, SeedableRng},
};
use rayon::prelude::*;

use crate::{CrossValidation, DeviceProfile, HeldOut, Result};

/// The errors of a profile that was carried over from so many trees.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// Trees of the other machine that it was carried over from; 0 is the profile as it is.
    pub trees: usize,
    /// Choices of these trees.
    pub choices: usize,
    /// By level, the mean over the choices of the errors on all other trees, %, and their standard deviation; none over a single choice.
    pub errors: BTreeMap<Level, (f64, Option<f64>)>,
}

/// Carries a profile over from each number of trees, chosen at random several times, as [`DeviceProfile::calibrated`] does, and predicts the
/// trees that were not chosen. A choice's error is the mean over the nodes of a model, then over the models.
///
/// # Errors
/// As [`DeviceProfile::calibrated`] and [`DeviceProfile::predict`].
pub fn transfer(
    profile: &DeviceProfile,
    there: &[Tree],
    counts: &[usize],
    choices: usize,
    seed: u64,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Transfer>> {
    let transfer = |&count: &usize| {
        let choices = if count == 0 { 1 } else { choices };
        let one = |choice: usize| carried_over(profile, there, count, seed + choice as u64).inspect(|_| done());
        let runs: Vec<CrossValidation> = (0..choices).into_par_iter().map(one).collect::<Result<_>>()?;
        let errors = |level| {
            let means: Option<Vec<f64>> = runs.iter().map(|run| run.mean(level)).collect();
            Some((level, spread(&means?)))
        };
        let errors = [Level::Ml, Level::Module, Level::Model].into_iter().filter_map(errors).collect();
        Ok(Transfer { trees: count, choices, errors })
    };
    counts.iter().map(transfer).collect()
}

fn carried_over(profile: &DeviceProfile, there: &[Tree], count: usize, seed: u64) -> Result<CrossValidation> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..there.len()).collect();
    order.sort_by_cached_key(|_| random.next_u64());
    let (few, rest) = order.split_at(count.min(order.len()));
    let few: Vec<Tree> = few.iter().map(|&place| there[place].clone()).collect();
    let carried = if few.is_empty() { None } else { Some(profile.calibrated(&few, "another machine")?) };
    let mut by_model: BTreeMap<&str, Vec<Tree>> = BTreeMap::new();
    for &place in rest {
        let mut tree = there[place].clone();
        carried.as_ref().unwrap_or(profile).predict(&mut tree)?;
        by_model.entry(&there[place].model_name).or_default().push(tree);
    }
    let held_out = by_model.into_iter().map(|(model, trees)| HeldOut { left_out: model.to_owned(), trees });
    CrossValidation::of(&held_out.collect::<Vec<_>>())
}

/// The mean, and the standard deviation of more than one.
fn spread(values: &[f64]) -> (f64, Option<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_choice_has_no_spread() {
        assert_eq!(spread(&[2.0]), (2.0, None));
        assert_eq!(spread(&[1.0, 3.0]), (2.0, Some(2f64.sqrt())));
    }
}
