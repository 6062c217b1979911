use std::collections::BTreeMap;

use irene_numerics::{ConstantsFit, LevenbergMarquardt, NORMAL_90, Prior, rank_quantile};

use super::{constants_of, with_constants};
use crate::{Device, KernelLaw, Work};

/// A measured time of one kernel, or of several after each other.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelMeasurement {
    /// Its table and operation. Every group counts the same on each device.
    pub group: String,
    /// The kernels, and how often each ran.
    pub works: Vec<(Work, f64)>,
    /// Whether it is one kernel, for which the host waited.
    pub is_alone: bool,
    /// The time, s.
    pub seconds: f64,
    /// The device.
    pub device: Device,
}

impl KernelMeasurement {
    /// The time by a law, s.
    pub fn predicted(&self, law: &KernelLaw) -> f64 {
        let of_one =
            |work: &Work| if self.is_alone { law.time_alone(work, &self.device) } else { law.time(work, &self.device) };
        self.works.iter().map(|(work, times)| of_one(work).seconds * times).sum()
    }

    /// Whether it is a pass of training, to which no law is fitted.
    pub fn is_training(&self) -> bool {
        ["neusight forward", "neusight backward"].iter().any(|pass| self.group.starts_with(pass))
    }

    fn log_residual(&self, law: &KernelLaw) -> f64 {
        (self.predicted(law) / self.seconds).ln()
    }
}

/// The most measurements of a group on a device, evenly spaced.
const MOST_OF_A_GROUP: usize = 60;

/// Residuals beyond this size count by their absolute value, not its square.
const NOISE: f64 = 0.06;

/// The prior of a constant whose name starts so: the standard deviation of its logarithm. Others have [`SPREAD`].
const SPREADS: [(&str, f64); 14] = [
    ("spread.", 0.0),
    ("attention.", 0.0),
    ("memory.lost", 0.5),
    ("memory.kept_a_year", 0.1),
    ("scalar.share", 0.05),
    ("matrix.share", 0.05),
    ("scalar.gain_a_year", 0.02),
    ("matrix.gain_a_year", 0.02),
    ("scalar.memory_share", 0.1),
    ("matrix.memory_share", 0.05),
    ("row.memory_share", 0.03),
    ("row.norm_share", 0.1),
    ("matrix.gflop_a_joule", 0.2),
    ("amd.", 0.3),
];
const SPREAD: f64 = 0.5;

/// The groups of measurements that a spread is taken from.
const SPREAD_OF: [(&str, &[&str]); 6] = [
    ("spread.scalar", &["neusight linear", "neusight bmm"]),
    ("spread.matrix", &["vidur attn_p", "vidur mlp_up", "vidur mlp_down"]),
    ("spread.norm", &["neusight ln", "neusight softmax"]),
    (
        "spread.element_wise",
        &["neusight add", "neusight mul", "neusight div", "neusight pow", "neusight gelu", "vidur add"],
    ),
    ("spread.row", &["vidur attn_rope", "vidur mlp_act", "vidur emb", "vidur input_l", "vidur post_"]),
    ("spread.link", &["vidur all_reduce", "vidur send_recv"]),
];

/// The law that the measurements make likeliest, from [`KernelLaw::prior`]. Spreads come from fits that leave out one device at a time.
pub fn fit_kernels(measurements: &[KernelMeasurement]) -> KernelLaw {
    let sample = sample(&measurements.iter().collect::<Vec<_>>());
    let without = |device: String| {
        let others: Vec<_> = sample.iter().copied().filter(|measured| measured.device.name != device).collect();
        (device, of_sample(&others))
    };
    let laws = devices(&sample).into_iter().map(without).collect();
    with_kernel_spreads(of_sample(&sample), &sample, &laws)
}

/// The law with the spreads of measurements by laws, by name of the device, that were fitted without it.
pub fn with_kernel_spreads(
    law: KernelLaw,
    measurements: &[&KernelMeasurement],
    laws: &BTreeMap<String, KernelLaw>,
) -> KernelLaw {
    let residual = |measured: &KernelMeasurement| Some(measured.log_residual(laws.get(&measured.device.name)?).abs());
    let sample = sample(measurements);
    let spreads = SPREAD_OF.iter().filter_map(|(name, groups)| {
        let of_it = |measured: &&&KernelMeasurement| groups.iter().any(|start| measured.group.starts_with(start));
        let mut sizes: Vec<f64> = sample.iter().filter(of_it).filter_map(|measured| residual(measured)).collect();
        sizes.sort_by(f64::total_cmp);
        Some((*name, rank_quantile(&sizes, 0.9)? / NORMAL_90))
    });
    with_constants(&law, spreads).unwrap_or(law)
}

/// The constants that the measurements make likeliest, with the spreads of [`KernelLaw::prior`]: a fit of this alone is quick.
pub fn fit_kernel_constants(measurements: &[&KernelMeasurement]) -> KernelLaw {
    of_sample(&sample(measurements))
}

fn of_sample(sample: &[&KernelMeasurement]) -> KernelLaw {
    let prior = KernelLaw::prior();
    let known = constants_of(prior);
    let spread = |name: &str| SPREADS.iter().find(|(start, _)| name.starts_with(start)).map_or(SPREAD, |found| found.1);
    let priors: Vec<Prior> = known.iter().map(|(name, &value)| Prior { value, spread: spread(name) }).collect();
    let with = |values: &[f64]| with_constants(prior, known.keys().map(String::as_str).zip(values.iter().copied()));
    let weights = weights(sample);
    let residuals = |values: &[f64]| match with(values) {
        Some(law) => {
            let weighted =
                |(measured, weight): (&&KernelMeasurement, &f64)| weight * measured.log_residual(&law) / NOISE;
            sample.iter().zip(&weights).map(weighted).collect()
        }
        None => vec![f64::NAN; sample.len()],
    };
    let steps = LevenbergMarquardt { rounds: 40, tolerance: 1e-5, most_damping: 1e6 };
    let fit = ConstantsFit { steps, outlier: 1.0 };
    with(&fit.fit(&priors, residuals)).unwrap_or_else(|| prior.clone())
}

/// Measurements of a small group on a device count more, up to a limit.
fn weights(sample: &[&KernelMeasurement]) -> Vec<f64> {
    const MOST: f64 = 3.0;
    let key = |measured: &KernelMeasurement| (measured.group.clone(), measured.device.name.clone());
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    sample.iter().for_each(|measured| *counts.entry(key(measured)).or_default() += 1);
    let weight = |measured: &&KernelMeasurement| (MOST_OF_A_GROUP as f64 / counts[&key(measured)] as f64).sqrt();
    sample.iter().map(|measured| weight(measured).clamp(1.0, MOST)).collect()
}

/// Evenly spaced measurements of each group on each device.
fn sample<'a>(measurements: &[&'a KernelMeasurement]) -> Vec<&'a KernelMeasurement> {
    let mut groups: BTreeMap<(&str, &str), Vec<&KernelMeasurement>> = BTreeMap::new();
    for &measured in measurements {
        groups.entry((&measured.group, &measured.device.name)).or_default().push(measured);
    }
    let spaced = |group: Vec<&'a KernelMeasurement>| {
        let taken = group.len().min(MOST_OF_A_GROUP);
        (0..taken).map(|place| group[place * group.len() / taken]).collect::<Vec<_>>()
    };
    groups.into_values().flat_map(spaced).collect()
}

fn devices(sample: &[&KernelMeasurement]) -> Vec<String> {
    let names: std::collections::BTreeSet<&str> = sample.iter().map(|measured| measured.device.name.as_str()).collect();
    names.into_iter().map(str::to_owned).collect()
}
