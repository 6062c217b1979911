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

/// Errors with this many own records.
#[derive(Clone, Debug, Serialize)]
pub struct TransferPoint {
    /// Own records.
    pub records: usize,
    /// With the other devices' records: mean absolute percentage error on the rest.
    pub with_others: f64,
    /// Without them, by ours; None where they are too few.
    pub alone: Option<f64>,
}

/// The numbers of own records to try.
const RECORDS: [usize; 5] = [1, 2, 4, 8, 16];
/// Draws of own records that errors are averaged over.
const DRAWS: u64 = 10;
/// The fewest own records to learn from alone.
const FEWEST_ALONE: usize = 4;

/// A device's name, its designs, and their figures.
type Device = (String, Vec<Candidate>, Vec<f64>);

/// Leaves each device out in turn, and gives it few of its own records back.
///
/// # Errors
/// An error of fitting the records.
pub fn leave_one_device_out(devices: &[Device]) -> Result<Vec<Transfer>> {
    (0..devices.len()).into_par_iter().map(|target| LeftOut { devices, target }.transfer()).collect()
}

/// One of several devices, left out.
struct LeftOut<'a> {
    devices: &'a [Device],
    target: usize,
}

impl LeftOut<'_> {
    fn transfer(&self) -> Result<Transfer> {
        let (device, candidates, figures) = &self.devices[self.target];
        let zero_shot = self.with_own(&[])?;
        let expected: Vec<f64> =
            candidates.iter().map(|candidate| zero_shot.predict(self.target, &candidate.features).value).collect();
        let fitting = RECORDS.into_iter().filter(|records| 2 * records <= figures.len());
        let points = fitting.map(|records| self.point(records)).collect::<Result<_>>()?;
        Ok(Transfer { device: device.clone(), rank_correlation: rank_correlation(&expected, figures), points })
    }

    /// The errors with this many own records, averaged over draws.
    fn point(&self, records: usize) -> Result<TransferPoint> {
        let (_, candidates, figures) = &self.devices[self.target];
        let (mut with_others, mut alone) = (Vec::new(), Vec::new());
        for draw in 0..DRAWS {
            let mut own = shuffled(figures.len(), draw);
            own.truncate(records);
            let several = self.with_own(&own)?;
            with_others.push(self.error(&own, &|features| several.predict(self.target, features)));
            if records >= FEWEST_ALONE {
                let features: Vec<&DesignFeatures> = own.iter().map(|&index| &candidates[index].features).collect();
                let own_figures: Vec<f64> = own.iter().map(|&index| figures[index]).collect();
                let law = CostLaw::fit(&features, &own_figures)?;
                alone.push(self.error(&own, &|features| law.predict(features)));
            }
        }
        Ok(TransferPoint { records, with_others: mean(&with_others).unwrap_or(f64::NAN), alone: mean(&alone) })
    }

    /// A surrogate of all devices, which learns these records alone of the one that is left out.
    fn with_own(&self, own: &[usize]) -> Result<MultiDevice> {
        let records = self.devices.iter().enumerate().map(|(device, (_, candidates, figures))| {
            let of = |index: usize| (&candidates[index].features, figures[index]);
            let (features, figures) = if device == self.target {
                own.iter().map(|&index| of(index)).unzip()
            } else {
                (0..figures.len()).map(of).unzip()
            };
            DeviceRecords { features, figures }
        });
        MultiDevice::fit(&records.collect::<Vec<_>>())
    }

    /// The mean absolute percentage error on the device's other records.
    fn error(&self, own: &[usize], predict: &dyn Fn(&DesignFeatures) -> PredictedValue) -> f64 {
        let (_, candidates, figures) = &self.devices[self.target];
        let rest = candidates.iter().zip(figures).enumerate().filter(|(index, _)| !own.contains(index));
        let errors =
            rest.map(|(_, (candidate, figure))| 100.0 * (predict(&candidate.features).value - figure).abs() / figure);
        mean(&errors.collect::<Vec<_>>()).unwrap_or(f64::NAN)
    }
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
