//! Surrogates of several devices at once: records of one device help to predict another.

mod evaluate;

pub use evaluate::{Transfer, TransferPoint, leave_one_device_out};
use irene_numerics::{CovarianceFactor, linear_and_matern52};
use nalgebra::DVector;

use crate::{
    Error, Result,
    learning::{
        features::DesignFeatures,
        law::{COORDINATES, are_figures, coordinates},
        standard::Standard,
        surrogate::PredictedValue,
    },
};

/// One surrogate of a measure for several devices, the device among its inputs: a Gaussian process over the logarithms of costs
/// whose covariance is what all devices share and what is a device's own (the intrinsic model of coregionalisation; Álvarez, Rosasco
/// and Lawrence, 2012, section 4.2).
pub(crate) struct MultiDevice {
    standard: Standard,
    centre: f64,
    records: Vec<Place>,
    weights: DVector<f64>,
    factor: CovarianceFactor,
    scales: Scales,
    /// The variance of the noise.
    variance: f64,
}

/// The records of one device.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceRecords<'a> {
    /// The features of each design.
    pub(crate) features: Vec<&'a DesignFeatures>,
    /// One a design, above 0.
    pub(crate) figures: Vec<f64>,
}

struct Place {
    device: usize,
    point: Vec<f64>,
}

/// Prior variances over the noise's.
#[derive(Clone, Copy, Debug)]
struct Scales {
    /// The variance of slopes and curves that all devices share.
    shared: f64,
    /// The variance of a device's own slopes and curves.
    own: f64,
}

/// The prior variance of a device's level: orders of magnitude lie between a small board and a large GPU.
const LEVEL: f64 = 4000.0;
const SHARED: [f64; 3] = [10.0, 40.0, 160.0];
const OWN: [f64; 4] = [0.3, 1.0, 4.0, 16.0];
/// The variance of the curved part, as a share of the slopes'.
const SMOOTH: f64 = 0.3;
const REACH: f64 = 1.5;
/// The least variance of the noise, in e-folds: equal figures are not known for certain.
const LEAST_VARIANCE: f64 = 1e-12;

impl Scales {
    fn covariance(self, x: &Place, y: &Place) -> f64 {
        let (linear, smooth) = linear_and_matern52(&x.point, &y.point, REACH);
        let shape = linear + SMOOTH * smooth;
        if x.device == y.device { LEVEL + (self.shared + self.own) * shape } else { self.shared * shape }
    }
}

impl MultiDevice {
    /// From the records of each device; a device without records is predicted by what the others share, up to its level.
    ///
    /// # Errors
    /// [`Error::Data`] if there are none, or a figure is not above 0.
    pub(crate) fn fit(devices: &[DeviceRecords<'_>]) -> Result<Self> {
        let count: usize = devices.iter().map(|device| device.figures.len()).sum();
        let matched = devices.iter().all(|device| device.features.len() == device.figures.len());
        if count == 0 || !matched {
            return Err(Error::Data(format!("expected records with a figure a design, found {count} figures")));
        }
        are_figures(devices.iter().flat_map(|device| &device.figures))?;
        let all = devices.iter().enumerate().flat_map(|(device, records)| {
            records
                .features
                .iter()
                .zip(&records.figures)
                .map(move |(features, figure)| ((device, coordinates(features)), figure.ln()))
        });
        let (points, logs): (Vec<(usize, _)>, Vec<f64>) = all.unzip();
        let standard = Standard::of(&points.iter().map(|(_, point)| *point).collect::<Vec<_>>());
        let place = |(device, point): &(usize, [f64; COORDINATES.len()])| Place {
            device: *device,
            point: standard.place(point),
        };
        let records: Vec<Place> = points.iter().map(place).collect();
        let centre = logs.iter().sum::<f64>() / count as f64;
        let left = DVector::from_iterator(count, logs.iter().map(|log| log - centre));
        let grid = SHARED.iter().flat_map(|&shared| OWN.map(|own| Scales { shared, own }));
        let fit = |scales: Scales| {
            let covariance = |i: usize, j: usize| scales.covariance(&records[i], &records[j]);
            let factor = CovarianceFactor::of(count, covariance, |_| 1.0)?;
            let weights = factor.solve(&left);
            let variance = (left.dot(&weights) / count as f64).max(LEAST_VARIANCE);
            let evidence = -0.5 * count as f64 * variance.ln() - factor.half_log_determinant();
            Some((evidence, scales, factor, weights, variance))
        };
        let best = grid.filter_map(fit).max_by(|a, b| a.0.total_cmp(&b.0));
        let (_, scales, factor, weights, variance) =
            best.ok_or_else(|| Error::Data("the records of the devices contradict each other".into()))?;
        Ok(Self { standard, centre, records, weights, factor, scales, variance })
    }

    /// The prediction for a design on a device, by the device's place among those that were fitted.
    pub(crate) fn predict(&self, device: usize, features: &DesignFeatures) -> PredictedValue {
        let place = Place { device, point: self.standard.place(&coordinates(features)) };
        let mut near = DVector::from_iterator(
            self.records.len(),
            self.records.iter().map(|record| self.scales.covariance(&place, record)),
        );
        let value = (self.centre + near.dot(&self.weights)).exp();
        let mut open = self.scales.covariance(&place, &place);
        self.factor.whiten(&mut near);
        open -= near.norm_squared();
        PredictedValue::of_log(value, (self.variance * (1.0 + open.max(0.0))).sqrt())
    }
}

#[cfg(test)]
mod tests;
