//! Fits of the law to requests that were measured.

mod measured;
mod spreads;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use irene_devices::{BusyTimes, EngineLaw, EngineModes, Law, MakerLaw, PassLaw, Vendor, constants_of, with_constants};
use irene_numerics::{ConstantsFit, LevenbergMarquardt, Prior};
pub use measured::Measured;
pub use spreads::{Key, LawsWithout, with_spreads};

pub(crate) use self::measured::{PassSeconds, Serving, longer};

/// The size of a residual of the logarithm that counts as one.
const NOISE: f64 = 0.1;

/// The spread of a constant's logarithm before anything is measured, by the end of its name; others have [`SPREAD`].
const SPREADS: [(&str, f64); 22] = [
    ("pass.overlap", 0.1),
    ("pass.grouped", 0.3),
    ("pass.narrow_kernels", 0.7),
    ("pass.int8_kernels", 0.7),
    ("pass.prompt_attention", 0.1),
    ("pass.query_share", 0.3),
    ("pass.cache_share", 0.03),
    ("pass.query_overlap", 0.05),
    ("power.loaded_share", 0.4),
    ("power.weight_pj", 0.3),
    ("power.cache_pj", 0.5),
    ("power.tile_rows", 0.7),
    ("power.grouped_tile_rows", 0.7),
    ("power.link_share", 1.0),
    // The units of products do attention's arithmetic too.
    ("power.attention", 0.3),
    // A byte of element-wise work goes through the same memory as others, and takes a multiple of its energy already.
    ("power.elementwise_pj", 0.25),
    ("power.limit_sharpness", 0.3),
    (".elementwise", 0.3),
    (".attention", 0.5),
    (".exchange_start", 0.7),
    (".several_gpus", 1.0),
    ("makers.", 0.5),
];
const SPREAD: f64 = 0.5;
/// The prior spread of an engine's times.
const OVERHEAD_SPREAD: f64 = 1.0;

/// The engine whose constants, but for several GPUs, stay at their prior. Its requests are of one laboratory, of 2024: fitted to them, starting
/// kernels takes eight times as long, and what others published for other devices comes out a third too slow. At the prior that is right in the
/// median.
const HELD: &str = "llama.cpp";

fn spread(name: &str) -> f64 {
    let of_held = name.strip_prefix("engines.").and_then(|rest| rest.strip_prefix(HELD));
    if of_held.is_some_and(|rest| !rest.ends_with(".several_gpus_s")) {
        return 0.0;
    }
    // An engine's kernels are those of the law: what they differ by is in the other constants.
    if name.contains(".spread.") || name.starts_with("engines.") && name.ends_with(".kernels") {
        return 0.0;
    }
    let known = |(part, _): &&(&str, f64)| name.starts_with(*part) || (part.starts_with('.') && name.ends_with(*part));
    match SPREADS.iter().find(known) {
        Some((_, spread)) => *spread,
        None if name.starts_with("engines.") => OVERHEAD_SPREAD,
        None => SPREAD,
    }
}

/// The law before anything was measured, with room for the engines and makers of these measurements.
pub fn prior_law(measured: &[&Measured]) -> Law {
    let mut law = Law { engines: BTreeMap::new(), makers: BTreeMap::new(), ..Law::prior() };
    for one in measured {
        let modes =
            law.engines.entry(one.engine.name.to_owned()).or_insert(EngineModes { offline: None, served: None });
        let mode = if one.is_served() { &mut modes.served } else { &mut modes.offline };
        mode.get_or_insert_with(EngineLaw::default);
        if one.device.vendor != Vendor::Nvidia {
            law.makers.entry(one.device.architecture.clone()).or_default();
        }
    }
    law
}

/// The likeliest law by measurements and a prior law. Serving engines on NVIDIA's devices fit the constants that all share; other engines
/// and devices get constants of their own beside these.
pub fn fit_law(measured: &[&Measured], prior: &Law, start: Option<&Law>) -> Law {
    let start = start.unwrap_or(prior);
    let is_core = |one: &&&Measured| one.device.vendor == Vendor::Nvidia && one.engine.is_continuous;
    let core: Vec<&Measured> = measured.iter().filter(is_core).copied().collect();
    let of_core = prior_law(&core);
    let law = fit_times(&core, &of_core, start, |_| true);
    let mut engines = prior.engines.clone();
    engines.extend(law.engines.clone());
    let known = constants_of(&of_core);
    let wider = Law { engines, makers: prior.makers.clone(), ..law };
    let is_left = |name: &str| name == "pass.int8_kernels" || !known.contains_key(name);
    let law = fit_times(measured, &wider, start, is_left);
    fit_power(measured, &with_makers(law, measured))
}

/// The law with what a maker's other architectures may be taken for: kernels half-way between no difference and the mean of those that were
/// measured. Starting kernels and several GPUs are a matter of each architecture's software: launches of one maker's two differ by a factor of
/// 26, and each is nearer to no difference than to the other.
fn with_makers(mut law: Law, measured: &[&Measured]) -> Law {
    for vendor in measured.iter().map(|one| one.device.vendor).filter(|vendor| *vendor != Vendor::Nvidia) {
        let of_vendor = measured.iter().filter(|one| one.device.vendor == vendor);
        let architectures: BTreeSet<&str> = of_vendor.map(|one| one.device.architecture.as_str()).collect();
        let known: Vec<MakerLaw> = architectures.iter().filter_map(|name| law.makers.get(*name).copied()).collect();
        let sum = known.iter().map(|maker| maker.kernels.ln()).sum::<f64>();
        let kernels = (0.5 * sum / known.len().max(1) as f64).exp();
        law.makers.insert(vendor.name().to_owned(), MakerLaw { kernels, ..MakerLaw::default() });
    }
    law
}

/// The times of kernels in passes, which only few constants change.
pub(crate) struct Busy<'a> {
    measured: &'a [&'a Measured],
    of: RefCell<Vec<(PassLaw, Vec<Vec<BusyTimes>>)>>,
}

impl<'a> Busy<'a> {
    pub(crate) fn of(measured: &'a [&'a Measured]) -> Self {
        Self { measured, of: RefCell::new(Vec::new()) }
    }

    pub(crate) fn with<T>(&self, law: &PassLaw, use_it: impl FnOnce(&[Vec<BusyTimes>]) -> T) -> T {
        let mut known = self.of.borrow_mut();
        if let Some((_, busy)) = known.iter().find(|(other, _)| other == law) {
            return use_it(busy);
        }
        let busy: Vec<_> = self.measured.iter().map(|one| one.serving.busy(law)).collect();
        let result = use_it(&busy);
        // The newest place in the search, and one beside it.
        known.truncate(1);
        known.insert(0, (*law, busy));
        result
    }
}

fn fit_times(measured: &[&Measured], prior: &Law, start: &Law, is_chosen: impl Fn(&str) -> bool) -> Law {
    let timed: Vec<&Measured> = measured.iter().copied().filter(|one| one.seconds.is_some()).collect();
    let busy = Busy::of(&timed);
    let residuals = |law: &Law| {
        busy.with(&law.pass, |busy| {
            let of = |(one, busy): (&&Measured, &Vec<BusyTimes>)| {
                let seconds = one.serving.seconds(&one.serving.times(law, busy));
                one.weight * (seconds / one.seconds.unwrap_or(f64::NAN)).ln() / NOISE
            };
            let first = |(one, busy): (&&Measured, &Vec<BusyTimes>)| {
                let measured = one.first_s?;
                let first_s = one.serving.first_seconds(&one.serving.times(law, busy))?;
                Some(one.weight * (first_s / measured).ln() / NOISE)
            };
            let whole = timed.iter().zip(busy).map(of);
            whole.chain(timed.iter().zip(busy).filter_map(first)).collect()
        })
    };
    fit(prior, start, |name| !name.starts_with("power.") && is_chosen(name), residuals)
}

fn fit_power(measured: &[&Measured], law: &Law) -> Law {
    let metered: Vec<&Measured> =
        measured.iter().copied().filter(|one| one.seconds.is_some() && one.watts.is_some()).collect();
    let times: Vec<Vec<PassSeconds>> = metered.iter().map(|one| one.measured_times(law)).collect();
    let residuals = |law: &Law| {
        let of = |(one, times): (&&Measured, &Vec<PassSeconds>)| {
            one.weight * (one.serving.power(law, times) / one.watts.unwrap_or(f64::NAN)).ln() / NOISE
        };
        metered.iter().zip(&times).map(of).collect()
    };
    let prior = Law { power: Law::prior().power, ..law.clone() };
    fit(&prior, &prior, |name| name.starts_with("power."), residuals)
}

/// Fits the constants whose names are chosen.
fn fit(prior: &Law, start: &Law, is_chosen: impl Fn(&str) -> bool, residuals: impl Fn(&Law) -> Vec<f64>) -> Law {
    let (known, started) = (constants_of(prior), constants_of(start));
    let names: Vec<&String> = known.keys().filter(|name| is_chosen(name) && !name.starts_with("host.")).collect();
    let priors: Vec<Prior> = names.iter().map(|name| Prior { value: known[*name], spread: spread(name) }).collect();
    let start: Vec<f64> = names.iter().map(|name| started.get(*name).copied().unwrap_or(known[*name])).collect();
    let with =
        |values: &[f64]| with_constants(prior, names.iter().map(|name| name.as_str()).zip(values.iter().copied()));
    let residuals = |values: &[f64]| with(values).map_or_else(|| vec![f64::NAN], |law| residuals(&law));
    let steps = LevenbergMarquardt { rounds: 60, tolerance: 1e-5, most_damping: 1e6 };
    let fit = ConstantsFit { steps, outlier: 1.0 };
    with(&fit.fit_from(&start, &priors, residuals)).unwrap_or_else(|| prior.clone())
}

impl Measured {
    /// The measured time, shared among passes, kernels and engine as the law has it.
    fn measured_times(&self, law: &Law) -> Vec<PassSeconds> {
        let times = self.serving.times_by(law);
        longer(&times, self.seconds.unwrap_or(f64::NAN) / self.serving.seconds(&times))
    }

    /// The logarithm of the predicted over the measured time to the first token, where that was measured beside the whole.
    pub fn residual_of_first_token(&self, law: &Law) -> Option<f64> {
        Some((self.serving.first_seconds(&self.serving.times_by(law))? / self.first_s?).ln())
    }

    /// Logarithms of predicted over measured figures: the time, the power at the measured time, the energy.
    pub fn residuals(&self, law: &Law) -> [Option<f64>; 3] {
        let times = self.serving.times_by(law);
        let predicted = self.serving.seconds(&times);
        let of_time = self.seconds.map(|seconds| (predicted / seconds).ln());
        let measured = self.watts.zip(self.seconds);
        let power = |seconds: f64| self.serving.power(law, &longer(&times, seconds / predicted));
        let of_power = measured.map(|(watts, seconds)| (power(seconds) / watts).ln());
        let joules = self.joules.or_else(|| measured.map(|(watts, seconds)| watts * seconds));
        let of_energy = joules.map(|joules| (self.serving.power(law, &times) * predicted / joules).ln());
        [of_time, of_power, of_energy]
    }
}
