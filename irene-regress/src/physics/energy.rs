use irene_numerics::nonnegative_least_squares;

use super::{Sample, Shape, adapt::Transferable};

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

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{sample, shapes},
        *,
    };

    const LAW: EnergyLaw = EnergyLaw { power: 90.0, per_mflop: 3e-5, per_mib: 8e-4 };

    /// Latencies that do not follow from the work.
    fn samples() -> Vec<Sample> {
        let seconds = |i: usize| 1e-4 * (1.0 + (i * 7 % 5) as f64);
        shapes().enumerate().map(|(i, shape)| sample(shape, seconds(i), LAW.joules(&shape, seconds(i)))).collect()
    }

    fn close(found: [f64; 3], truth: [f64; 3], tolerance: f64) {
        for (found, truth) in found.into_iter().zip(truth) {
            assert!((found - truth).abs() <= tolerance * truth.abs(), "{found} {truth}");
        }
    }

    #[test]
    fn energy_is_power_for_the_time_and_more_for_flops_and_bytes() {
        assert_eq!(LAW.joules(&[0.0; 4], 2.0), 180.0);
        assert!((LAW.joules(&[1e5, 0.0, 0.0, 0.0], 2.0) - 183.0).abs() < 1e-9);
        assert!((LAW.joules(&[0.0, 1e4, 0.0, 0.0], 2.0) - 188.0).abs() < 1e-9);
    }

    #[test]
    fn the_fit_finds_the_coefficients_that_made_the_data() {
        let fit = EnergyLaw::fit(&samples(), |sample| (sample.log_energy, sample.energy_count));
        close(fit.coefficients(), LAW.coefficients(), 1e-6);
    }

    #[test]
    fn a_sample_that_counts_as_four_is_as_good_as_four() {
        let mut several = samples();
        several[3].log_energy += 0.3;
        let mut counted = several.clone();
        counted[3].energy_count = 4.0;
        several.extend([several[3]; 3]);
        let fit = |samples: &[Sample]| EnergyLaw::fit(samples, |sample| (sample.log_energy, sample.energy_count));
        close(fit(&counted).coefficients(), fit(&several).coefficients(), 1e-6);
        // The relative error is what is small: a sample of little energy pulls as much as any other.
        assert!((fit(&counted).power / LAW.power - 1.0).abs() > 1e-3);
    }

    #[test]
    fn the_shares_add_up_to_one_and_agree_with_finite_differences() {
        let of = sample([5e3, 300.0, 0.0, 1.0], 2e-3, 1.0);
        let (joules, shares) = LAW.at(&of);
        assert_eq!(joules, LAW.joules(&of.shape, of.log_time.exp()));
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for (place, share) in shares.into_iter().enumerate() {
            let moved = |by: f64| {
                let mut coefficients = LAW.coefficients();
                coefficients[place] *= by.exp();
                EnergyLaw::with(coefficients).at(&of).0.ln()
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((slope - share).abs() < 1e-8, "{place}: {slope} {share}");
        }
        assert_eq!(EnergyLaw::with([0.0; 3]).at(&of), (0.0, [0.0; 3]));
    }
}
