use std::collections::{BTreeMap, BTreeSet};

use irene_devices::{KernelLaw, KernelMeasurement, fit_kernel_constants};
use irene_numerics::NORMAL_90;
use irene_requests::PercentErrors;
use rayon::prelude::*;

/// Laws of single kernels, each fitted without the measurements of one device.
#[derive(Clone, Debug)]
pub struct KernelsLeftOut(BTreeMap<String, KernelLaw>);

impl KernelsLeftOut {
    /// Fits a law without each device that has measurements, if another has some; tells of each fit that is done.
    pub fn each(measurements: &[KernelMeasurement], is_done: &(dyn Fn() + Sync)) -> Self {
        let devices = names(measurements);
        let without = |device: &str| {
            let others: Vec<_> = measurements.iter().filter(|one| one.device.name != device).collect();
            let law = fit_kernel_constants(&others);
            is_done();
            (device.to_owned(), law)
        };
        let devices: Vec<&str> = if devices.len() > 1 { devices.into_iter().collect() } else { Vec::new() };
        Self(devices.into_par_iter().map(without).collect())
    }

    /// The number of fits that [`each`](Self::each) makes.
    pub fn count(measurements: &[KernelMeasurement]) -> usize {
        Some(names(measurements).len()).filter(|count| *count > 1).unwrap_or(0)
    }

    /// The law that was fitted without the device of a measurement.
    pub fn law(&self, measured: &KernelMeasurement) -> Option<&KernelLaw> {
        self.0.get(&measured.device.name)
    }

    /// Predicted over measured time of measurements of one device that are counted as one.
    pub fn ratio(&self, together: &[&KernelMeasurement]) -> Option<f64> {
        let law = self.law(together.first()?)?;
        let sum = |of: &dyn Fn(&KernelMeasurement) -> f64| together.iter().map(|measured| of(measured)).sum::<f64>();
        Some(sum(&|measured| measured.predicted(law)) / sum(&|measured| measured.seconds))
    }

    /// The errors of measurements; those of one kernel have the interval of the shipped law.
    pub fn errors<'a>(&self, measured: impl IntoIterator<Item = &'a KernelMeasurement>) -> PercentErrors {
        let mut errors = PercentErrors::default();
        for one in measured {
            let Some(ratio) = self.ratio(&[one]) else { continue };
            match &one.works[..] {
                [(work, _)] => {
                    let spread = KernelLaw::shipped().spread(&one.device, work);
                    errors.add_with_interval(ratio, ratio.ln().abs() <= NORMAL_90 * spread);
                }
                _ => errors.add(ratio),
            }
        }
        errors
    }
}

fn names(measurements: &[KernelMeasurement]) -> BTreeSet<&str> {
    measurements.iter().map(|measured| measured.device.name.as_str()).collect()
}

/// The forward and the backward pass of each step of training among NeuSight's measurements of whole models.
pub fn training_steps(measurements: &[KernelMeasurement]) -> Vec<[&KernelMeasurement; 2]> {
    let passes: Vec<&KernelMeasurement> = measurements.iter().filter(|one| one.is_training()).collect();
    // A row gives one after the other.
    passes.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect()
}
