use std::fmt::Write;

use irene_explore::Measure;
use irene_numerics::median;

use super::MeanErrors;

/// The errors of surrogates after this many measured records.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) samples: usize,
    /// The errors, one a measure.
    pub(super) errors: Vec<MeanErrors>,
    /// The error that the surrogates themselves predict of the worst measure.
    pub(super) expected: f64,
}

/// One way, over its seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The way's name.
    pub name: String,
    /// The steps, by seed.
    pub(super) steps: Vec<Vec<Step>>,
    /// The first count of samples from which all measures stay converged, a seed each; nothing where they do not.
    pub converged: Vec<Option<usize>>,
}

/// Samples to converge, over seeds; a seed that does not converge counts with the most samples it was given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Samples {
    /// The mean: at least so many where `missed` is above 0.
    pub mean: f64,
    /// The median.
    pub median: f64,
    /// The most.
    pub most: usize,
    /// Seeds that did not converge.
    pub missed: usize,
}

/// The result of a replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// The device.
    pub device: String,
    /// Its records.
    pub records: usize,
    /// The measures.
    pub measures: Vec<Measure>,
    /// The squared error that counts as converged.
    pub error: f64,
    /// One curve a way.
    pub curves: Vec<Curve>,
}

impl Curve {
    /// Samples to converge.
    pub fn samples(&self) -> Samples {
        let last = |seed: usize| self.steps.get(seed).and_then(|steps| steps.last()).map_or(0, |step| step.samples);
        let all: Vec<usize> =
            self.converged.iter().enumerate().map(|(seed, samples)| samples.unwrap_or_else(|| last(seed))).collect();
        let missed = self.converged.iter().filter(|samples| samples.is_none()).count();
        let mean = all.iter().sum::<usize>() as f64 / all.len().max(1) as f64;
        let median = median(all.iter().map(|&samples| samples as f64)).unwrap_or_default();
        let most = all.iter().copied().max().unwrap_or_default();
        Samples { mean, median, most, missed }
    }

    /// Means over the seeds: samples, errors by measure, and the expected relative error of the worst measure.
    pub fn means(&self) -> Vec<(usize, Vec<MeanErrors>, f64)> {
        let longest = self.steps.iter().map(Vec::len).max().unwrap_or(0);
        (0..longest).filter_map(|at| mean(self.steps.iter().filter_map(|steps| steps.get(at)))).collect()
    }
}

fn mean<'a>(steps: impl Iterator<Item = &'a Step> + Clone) -> Option<(usize, Vec<MeanErrors>, f64)> {
    let first = steps.clone().next()?;
    let count = steps.clone().count() as f64;
    let of = |shown: &dyn Fn(&Step) -> f64| steps.clone().map(shown).sum::<f64>() / count;
    let measure = |at: usize| MeanErrors {
        squared: of(&|step| step.errors.get(at).map_or(0.0, |errors| errors.squared)),
        relative: of(&|step| step.errors.get(at).map_or(0.0, |errors| errors.relative)),
    };
    Some((first.samples, (0..first.errors.len()).map(measure).collect(), of(&|step| step.expected)))
}

impl Replay {
    /// The curves: a line for each way, count of samples and measure.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from(
            "device,way,samples,measure,normalised_squared_error,mean_absolute_percentage_error,expected_percentage_error\n",
        );
        for curve in &self.curves {
            for (samples, errors, expected) in curve.means() {
                for (measure, errors) in self.measures.iter().zip(&errors) {
                    let (device, way, measure) = (quoted(&self.device), quoted(&curve.name), measure.name());
                    let (relative, expected) = (100.0 * errors.relative, 100.0 * expected);
                    // Writing to a text cannot fail.
                    let _ = writeln!(
                        csv,
                        "{device},{way},{samples},{measure},{:.6},{relative:.3},{expected:.3}",
                        errors.squared
                    );
                }
            }
        }
        csv
    }

    /// Samples to converge: a line for each way and seed, empty where it did not.
    pub fn samples_csv(&self) -> String {
        let mut csv = String::from("device,way,seed,samples\n");
        for curve in &self.curves {
            for (seed, samples) in curve.converged.iter().enumerate() {
                let samples = samples.map_or_else(String::new, |samples| samples.to_string());
                let _ = writeln!(csv, "{},{},{seed},{samples}", quoted(&self.device), quoted(&curve.name));
            }
        }
        csv
    }

    /// A line a way: samples to converge.
    pub fn summary(&self) -> String {
        let width = self.curves.iter().map(|curve| curve.name.len()).max().unwrap_or(0);
        let mut text = format!("{}, {} records: samples until all stay at {}\n", self.device, self.records, self.error);
        for curve in &self.curves {
            let Samples { mean, median, most, missed } = curve.samples();
            let more = if missed > 0 { ">" } else { "" };
            let _ = write!(text, "{:width$}  mean {more}{mean:.1}, median {median}, most {more}{most}", curve.name);
            let _ = match missed {
                0 => writeln!(text),
                _ => writeln!(text, " ({missed} of {} seeds do not converge)", curve.converged.len()),
            };
        }
        text
    }
}

/// The first count of samples from which all errors stay at most `most`.
pub(super) fn converged_at(steps: &[Step], most: f64) -> Option<usize> {
    let is_low = |step: &&Step| step.errors.iter().all(|errors| errors.squared <= most);
    steps.iter().rev().take_while(is_low).last().map(|step| step.samples)
}

/// A field of CSV.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_that_do_not_converge_count_with_all_their_samples() {
        let step = |samples: usize| Step { samples, errors: Vec::new(), expected: 0.0 };
        let curve = |converged: &[Option<usize>]| {
            let seed: Vec<Step> = (4..=20).map(step).collect();
            Curve { name: "way".into(), steps: vec![seed; converged.len()], converged: converged.to_vec() }
        };
        let found = curve(&[Some(9), None, Some(6), Some(5)]).samples();
        assert_eq!(found, Samples { mean: 10.0, median: 7.5, most: 20, missed: 1 });
        assert_eq!(curve(&[]).samples(), Samples { mean: 0.0, median: 0.0, most: 0, missed: 0 });
    }

    #[test]
    fn errors_have_to_stay_low() {
        let of = |errors: &[[f64; 2]]| {
            let step = |(at, errors): (usize, &[f64; 2])| {
                let errors = errors.map(|squared| MeanErrors { squared, relative: 0.0 }).to_vec();
                Step { samples: at + 4, errors, expected: 0.0 }
            };
            converged_at(&errors.iter().enumerate().map(step).collect::<Vec<_>>(), 0.005)
        };
        assert_eq!(of(&[[1.0, 1.0], [0.001, 0.001], [0.001, 0.01], [0.005, 0.001], [0.001, 0.0]]), Some(7));
        assert_eq!(of(&[[0.0, 0.0], [0.001, 0.001]]), Some(4));
        assert_eq!(of(&[[0.0, 0.0], [0.001, 0.006]]), None);
        assert_eq!(of(&[[0.0, f64::NAN]]), None);
        assert_eq!(of(&[]), None);
    }
}
