use irene_numerics::mean;
use rayon::prelude::*;
use serde::Serialize;

use super::{DeviceRecords, MultiDevice};
use crate::{
    Candidate, Result,
    learning::{evaluate::shuffled, features::DesignFeatures, law::CostLaw, surrogate::PredictedValue},
};

/// How well the records of other devices predict one, by how many records of its own there are.
#[derive(Clone, Debug, Serialize)]
pub struct Transfer {
    /// The device that was left out.
    pub device: String,
    /// Rank correlation of predictions without any record of the device (Spearman); None where predictions or figures are all equal.
    pub rank_correlation: Option<f64>,
    /// By number of own records.
    pub points: Vec<TransferPoint>,
}

/// Errors with so many own records.
#[derive(Clone, Debug, Serialize)]
pub struct TransferPoint {
    /// Own records.
    pub records: usize,
    /// With the other devices' records: mean absolute percentage error on the rest.
    pub with_others: f64,
    /// Without them, by ours; None where they are too few.
    pub alone: Option<f64>,
}

/// Numbers of own records that are tried.
const RECORDS: [usize; 5] = [1, 2, 4, 8, 16];
/// Draws of own records that errors are averaged over.
const DRAWS: u64 = 10;
/// Fewer records say little on their own.
const FEWEST_ALONE: usize = 4;

/// Leaves each device out in turn, and gives it few of its own records back.
///
/// # Errors
/// An error of fitting the records.
pub fn leave_one_device_out(devices: &[(String, Vec<Candidate>, Vec<f64>)]) -> Result<Vec<Transfer>> {
    devices.par_iter().enumerate().map(|(target, _)| transfer(devices, target)).collect()
}

fn transfer(devices: &[(String, Vec<Candidate>, Vec<f64>)], target: usize) -> Result<Transfer> {
    let (name, candidates, figures) = &devices[target];
    let with_own = |own: &[usize]| {
        let records = devices.iter().enumerate().map(|(device, (_, candidates, figures))| {
            let of = |index: usize| (&candidates[index].features, figures[index]);
            let (features, figures) = if device == target {
                own.iter().map(|&index| of(index)).unzip()
            } else {
                (0..figures.len()).map(of).unzip()
            };
            DeviceRecords { features, figures }
        });
        MultiDevice::fit(&records.collect::<Vec<_>>())
    };
    let zero_shot = with_own(&[])?;
    let expected: Vec<f64> =
        candidates.iter().map(|candidate| zero_shot.predict(target, &candidate.features).value).collect();
    let mut points = Vec::new();
    for records in RECORDS.into_iter().filter(|records| 2 * records <= figures.len()) {
        let (mut with_others, mut alone) = (Vec::new(), Vec::new());
        for draw in 0..DRAWS {
            let mut own = shuffled(figures.len(), draw);
            own.truncate(records);
            let rest = || (0..figures.len()).filter(|index| !own.contains(index));
            let error = |predict: &dyn Fn(&DesignFeatures) -> PredictedValue| {
                let errors = rest().map(|index| {
                    100.0 * (predict(&candidates[index].features).value - figures[index]).abs() / figures[index]
                });
                errors.sum::<f64>() / rest().count() as f64
            };
            let several = with_own(&own)?;
            with_others.push(error(&|features| several.predict(target, features)));
            if records >= FEWEST_ALONE {
                let features: Vec<&DesignFeatures> = own.iter().map(|&index| &candidates[index].features).collect();
                let own_figures: Vec<f64> = own.iter().map(|&index| figures[index]).collect();
                let law = CostLaw::fit(&features, &own_figures)?;
                alone.push(error(&|features| law.predict(features)));
            }
        }
        points.push(TransferPoint {
            records,
            with_others: mean(&with_others).unwrap_or(f64::NAN),
            alone: mean(&alone),
        });
    }
    Ok(Transfer { device: name.clone(), rank_correlation: rank_correlation(&expected, figures), points })
}

/// Spearman's: the correlation of ranks; None where one side has no order.
pub(crate) fn rank_correlation(one: &[f64], other: &[f64]) -> Option<f64> {
    let (one, other) = (ranks(one), ranks(other));
    let middle = (one.len() as f64 - 1.0) / 2.0;
    let sum =
        |pairs: &mut dyn Iterator<Item = (f64, f64)>| -> f64 { pairs.map(|(a, b)| (a - middle) * (b - middle)).sum() };
    let both = sum(&mut one.iter().copied().zip(other.iter().copied()));
    let each = |ranks: &[f64]| sum(&mut ranks.iter().copied().zip(ranks.iter().copied()));
    let spread = (each(&one) * each(&other)).sqrt();
    (spread > 0.0).then(|| both / spread)
}

/// Equal values get the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let alike = order[first..].iter().take_while(|&&index| values[index] == values[order[first]]).count();
        let rank = first as f64 + (alike as f64 - 1.0) / 2.0;
        order[first..first + alike].iter().for_each(|&index| ranks[index] = rank);
        first += alike;
    }
    ranks
}
