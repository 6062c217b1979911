use std::collections::{BTreeMap, BTreeSet};

use irene_devices::{KernelLaw, KernelMeasurement, fit_kernel_constants, with_kernel_spreads};
use irene_numerics::NORMAL_90;
use irene_requests::PercentErrors;
use rayon::prelude::*;

/// Laws of single kernels, each fitted without the measurements of one device. Its spreads come from the others, each by the law without it.
#[derive(Clone, Debug)]
pub struct KernelsLeftOut(BTreeMap<String, KernelLaw>);

impl KernelsLeftOut {
    /// Fits a law without each device that has measurements, if another has some; tells of each fit that is done.
    pub fn each(measurements: &[KernelMeasurement], is_done: &(dyn Fn() + Sync)) -> Self {
        let others = |device: &str| measurements.iter().filter(|one| one.device.name != device).collect::<Vec<_>>();
        let without = |device: &str| {
            let law = fit_kernel_constants(&others(device));
            is_done();
            (device.to_owned(), law)
        };
        let devices: Vec<&str> = left_out(measurements).into_iter().collect();
        let laws: BTreeMap<String, KernelLaw> = devices.into_par_iter().map(without).collect();
        let with = |(device, law): (&String, &KernelLaw)| {
            (device.clone(), with_kernel_spreads(law.clone(), &others(device), &laws))
        };
        Self(laws.iter().map(with).collect())
    }

    /// The number of fits that [`each`](Self::each) makes.
    pub fn count(measurements: &[KernelMeasurement]) -> usize {
        left_out(measurements).len()
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

    /// The errors of measurements; those of one kernel have an interval.
    pub fn errors<'a>(&self, measured: impl IntoIterator<Item = &'a KernelMeasurement>) -> PercentErrors {
        let mut errors = PercentErrors::default();
        for one in measured {
            let Some((law, ratio)) = self.law(one).zip(self.ratio(&[one])) else { continue };
            match &one.works[..] {
                [(work, _)] => {
                    errors.add_with_interval(ratio, ratio.ln().abs() <= NORMAL_90 * law.spread(&one.device, work));
                }
                _ => errors.add(ratio),
            }
        }
        errors
    }
}

/// The devices that are left out in turn: all, if there are others to fit to.
fn left_out(measurements: &[KernelMeasurement]) -> BTreeSet<&str> {
    let all: BTreeSet<&str> = measurements.iter().map(|measured| measured.device.name.as_str()).collect();
    if all.len() > 1 { all } else { BTreeSet::new() }
}

/// The forward and the backward pass of each step of training among NeuSight's measurements of whole models.
pub fn training_steps(measurements: &[KernelMeasurement]) -> Vec<[&KernelMeasurement; 2]> {
    let passes: Vec<&KernelMeasurement> = measurements.iter().filter(|one| one.is_training()).collect();
    // A row gives one after the other.
    passes.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect()
}

#[cfg(test)]
mod tests {
    use irene_devices::{Catalogue, Work};
    use irene_tree::{Format, OpKind, Operand, Operation, Shape};

    use super::*;

    /// An addition that takes so many times what the law says.
    fn measured(device: &str, times: f64) -> KernelMeasurement {
        let tensor = Operand::activation(Shape::new(&[4096, 4096]).unwrap(), Format::F32);
        let work = Work::of(&Operation::new(OpKind::Add, &[tensor; 2], tensor));
        let (group, device) = ("neusight add".to_owned(), Catalogue::find(device).unwrap());
        let one = KernelMeasurement { group, works: vec![(work, 1.0)], is_alone: false, seconds: 1.0, device };
        KernelMeasurement { seconds: times * one.predicted(KernelLaw::prior()), ..one }
    }

    #[test]
    fn a_device_that_is_left_out_decides_no_interval_of_its_own() {
        let all = [("a100-sxm-40gb", 1.0), ("a100-pcie-40gb", 1.0), ("a100-sxm-80gb", 8.0)];
        let all = all.map(|(device, times)| measured(device, times));
        let laws = KernelsLeftOut::each(&all, &|| ());
        let [near, _, far] = all.each_ref().map(|one| laws.law(one).unwrap().spread(&one.device, &one.works[0].0));
        assert!(NORMAL_90 * near > 8f64.ln() - 0.01 && far < near, "{near} {far}");
    }
}
