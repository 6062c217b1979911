use irene_numerics::nonnegative_least_squares;

use super::{Sample, Shape, adapt::Transferable};
use crate::{Result, Store};

/// The energy of one launch of a primitive, J:
///
/// E = P·t + f·F + b·B
///
/// with t its latency, F the MFLOP in tiles and B the MiB moved. P is drawn all the time, also while the GPU waits for a launch; FLOPs and
/// bytes cost energy on top. No coefficient is negative.
///
/// | coefficient | unit |
/// |---|---|
/// | `power` P | W |
/// | `per_mflop` f | J/MFLOP |
/// | `per_mib` b | J/MiB |
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct EnergyLaw {
    pub(crate) power: f64,
    pub(crate) per_mflop: f64,
    pub(crate) per_mib: f64,
}

impl EnergyLaw {
    /// Fits by non-negative least squares of the relative error, at the measured latencies; `figure` gives a sample's energy, ln J, and
    /// how many measurements it counts as.
    pub(crate) fn fit(samples: &[Sample], figure: impl Fn(&Sample) -> (f64, f64)) -> Self {
        let row = |sample: &Sample| {
            let (seconds, [flops, bytes, ..]) = (sample.log_time.exp(), sample.shape);
            let (log_energy, count) = figure(sample);
            let weight = count.sqrt() / log_energy.exp();
            [seconds, flops, bytes].map(|amount| weight * amount)
        };
        let rows: Vec<[f64; 3]> = samples.iter().map(row).collect();
        let targets: Vec<f64> = samples.iter().map(|sample| figure(sample).1.sqrt()).collect();
        let [power, per_mflop, per_mib] = nonnegative_least_squares(&rows, &targets);
        Self { power, per_mflop, per_mib }
    }

    /// The energy of a shape that takes so many seconds, J.
    pub(crate) fn joules(&self, shape: &Shape, seconds: f64) -> f64 {
        self.power * seconds + self.per_mflop * shape[0] + self.per_mib * shape[1]
    }

    pub(crate) fn write(&self, name: &str, store: &mut Store) {
        store.put(name, &[self.power, self.per_mflop, self.per_mib]);
    }

    pub(crate) fn read(name: &str, store: &Store) -> Result<Self> {
        let [power, per_mflop, per_mib] = store.take_coefficients(name)?;
        Ok(Self { power, per_mflop, per_mib })
    }
}

impl Transferable for EnergyLaw {
    fn coefficients(&self) -> [f64; 3] {
        [self.power, self.per_mflop, self.per_mib]
    }

    fn with([power, per_mflop, per_mib]: [f64; 3]) -> Self {
        Self { power, per_mflop, per_mib }
    }

    /// At the measured latency.
    fn at(&self, sample: &Sample) -> (f64, [f64; 3]) {
        let (seconds, [flops, bytes, ..]) = (sample.log_time.exp(), sample.shape);
        let joules = self.joules(&sample.shape, seconds);
        let share = |part: f64| if joules > 0.0 { part / joules } else { 0.0 };
        (joules, [self.power * seconds, self.per_mflop * flops, self.per_mib * bytes].map(share))
    }
}
