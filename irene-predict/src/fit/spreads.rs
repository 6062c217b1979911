//! How far off the law is on devices and models that it was not fitted on.

use std::collections::{BTreeMap, BTreeSet};

use irene_devices::{FigureSpread, Law, MakerLaw, Vendor};
use irene_numerics::{NORMAL_90, rank_quantile};
use rayon::prelude::*;

use super::{HELD, Measured, fit_law};

/// Fewer residuals say nothing of a spread.
const LEAST: usize = 20;

/// The group of a measurement: the name of its device, or of its model.
pub type Key = fn(&Measured) -> &str;

/// Laws fitted with the measurements of one key at a time left out.
#[derive(Clone, Debug)]
pub struct LawsWithout {
    key: Key,
    laws: BTreeMap<String, Law>,
}

impl LawsWithout {
    /// Fits the laws, and tells of each that is done; measurements with an empty key are never left out, and no law is fitted to nothing.
    ///
    /// A start is quicker. It may keep what it knows of a constant that only the measurements that are left out decide, so that none is
    /// given where that can be: for devices.
    pub fn each(
        key: Key,
        measured: &[&Measured],
        prior: &Law,
        start: Option<&Law>,
        is_done: &(dyn Fn() + Sync),
    ) -> Self {
        let without = |name: &str| {
            let others: Vec<&Measured> = measured.iter().copied().filter(|one| key(one) != name).collect();
            let law = (!others.is_empty()).then(|| of_known_makers(fit_law(&others, prior, start), &others));
            is_done();
            Some((name.to_owned(), law?))
        };
        let names: Vec<&str> = Self::names(key, measured).into_iter().collect();
        Self { key, laws: names.into_par_iter().filter_map(without).collect() }
    }

    /// The keys that [`each`](Self::each) leaves out.
    pub fn names<'a>(key: Key, measured: &[&'a Measured]) -> BTreeSet<&'a str> {
        measured.iter().map(|one| key(one)).filter(|name| !name.is_empty()).collect()
    }

    /// The law fitted without the measurements of this one's key.
    pub fn law(&self, one: &Measured) -> Option<&Law> {
        self.laws.get((self.key)(one))
    }
}

/// The law as others get it, in which devices of an architecture without measurements are any of their maker's.
fn of_known_makers(mut law: Law, measured: &[&Measured]) -> Law {
    let is_of =
        |name: &str, one: &Measured| [one.device.architecture.as_str(), one.device.vendor.name()].contains(&name);
    law.makers.retain(|name, _| measured.iter().any(|one| is_of(name, one)));
    law
}

/// Absolute residuals of time, power and energy.
type Residuals = [Vec<f64>; 3];

/// How far off a law is on a measurement that it was not fitted to.
struct Off<'a> {
    one: &'a Measured,
    /// Whether it was fitted to others of the device's architecture.
    knows_architecture: bool,
    /// Absolute residuals of time, power and energy.
    sizes: [Option<f64>; 3],
}

impl<'a> Off<'a> {
    fn each(measured: &[&'a Measured], left_out: &[LawsWithout]) -> Vec<Self> {
        let mut all = Vec::new();
        for laws in left_out {
            let names: BTreeSet<(&str, &str)> =
                measured.iter().map(|one| (one.device.architecture.as_str(), (laws.key)(one))).collect();
            for &one in measured {
                let Some(law) = laws.law(one) else { continue };
                let (architecture, left_out) = (one.device.architecture.as_str(), (laws.key)(one));
                let [time, _, energy] = one.residuals(law);
                let power = time.zip(energy).map(|(time, energy)| energy - time);
                let size = |residual: Option<f64>| residual.filter(|size| size.is_finite()).map(f64::abs);
                all.push(Self {
                    one,
                    knows_architecture: names.iter().any(|(of, name)| *of == architecture && *name != left_out),
                    sizes: [time, power, energy].map(size),
                });
            }
        }
        all
    }
}

impl LawsWithout {
    /// The same laws, each with the spreads ([`with_spreads`]) of what it was fitted to alone: what is left out decides no interval of its own.
    #[must_use]
    pub fn with_spreads(self, measured: &[&Measured], left_out: &[Self]) -> Self {
        let all = Off::each(measured, left_out);
        let with = |(name, law): (String, Law)| {
            let law = spread_by(law, all.iter().filter(|off| (self.key)(off.one) != name));
            (name, law)
        };
        Self { key: self.key, laws: self.laws.into_iter().map(with).collect() }
    }
}

/// The law with the spreads of its engines and of devices by other makers than NVIDIA, from the laws of what was left out. An architecture
/// that was measured is taken to be as far off as its models were when each was left out; one that was not, as far off as its maker's
/// measured architectures were when each was left out.
pub fn with_spreads(law: Law, measured: &[&Measured], left_out: &[LawsWithout]) -> Law {
    spread_by(law, Off::each(measured, left_out).iter())
}

fn spread_by<'a>(mut law: Law, all: impl Iterator<Item = &'a Off<'a>>) -> Law {
    let mut engines = BTreeMap::<_, Residuals>::new();
    // By maker and architecture: those that the law did not know, and those that it knew.
    let mut architectures = BTreeMap::<(&str, &str), [Residuals; 2]>::new();
    for Off { one, knows_architecture, sizes } in all {
        let to = match one.device.vendor {
            Vendor::Nvidia => engines.entry((one.engine.name, one.is_served())).or_default(),
            vendor => {
                let of = architectures.entry((vendor.name(), one.device.architecture.as_str())).or_default();
                &mut of[usize::from(*knows_architecture)]
            }
        };
        to.iter_mut().zip(sizes).for_each(|(to, size)| to.extend(*size));
    }
    for ((engine, is_served), residuals) in engines {
        let Some(modes) = law.engines.get_mut(engine) else { continue };
        let mode = if is_served { &mut modes.served } else { &mut modes.offline };
        if let Some(mode) = mode {
            let found = spread(residuals, mode.spread);
            // Prior constants are as little known as those of an engine without measurements.
            mode.spread = if engine == HELD { wider(found, FigureSpread::default()) } else { found };
        }
    }
    let mut makers = BTreeMap::<&str, FigureSpread>::new();
    for ((maker, architecture), [unknown, known]) in architectures {
        let unknown = spread(unknown, MakerLaw::default().spread);
        if let Some(maker) = law.makers.get_mut(architecture) {
            maker.spread = spread(known, unknown);
        }
        // The next one may be as unlike its maker's others as any of them was.
        makers.entry(maker).and_modify(|widest| *widest = wider(*widest, unknown)).or_insert(unknown);
    }
    for (maker, spread) in makers {
        if let Some(maker) = law.makers.get_mut(maker) {
            maker.spread = spread;
        }
    }
    law
}

fn wider(a: FigureSpread, b: FigureSpread) -> FigureSpread {
    FigureSpread { time: a.time.max(b.time), power: a.power.max(b.power), energy: a.energy.max(b.energy) }
}

fn spread(residuals: Residuals, unknown: FigureSpread) -> FigureSpread {
    let [time, power, energy] = residuals.map(|mut sizes| {
        sizes.sort_by(f64::total_cmp);
        rank_quantile(&sizes, 0.9).filter(|_| sizes.len() >= LEAST).map(|bound| bound / NORMAL_90)
    });
    let time = time.unwrap_or(unknown.time);
    let power = power.unwrap_or(unknown.power);
    FigureSpread { time, power, energy: energy.unwrap_or_else(|| time.hypot(power)) }
}

#[cfg(test)]
mod tests {
    use irene_requests::{Figures, Load, RequestRow};

    use super::*;
    use crate::{Service, ServiceOptions};

    /// Requests of a device, which take what the law says.
    fn as_predicted(device: &str, engine: &str) -> Vec<Measured> {
        let service = Service::new(ServiceOptions::default());
        let of = |(model, place): (&str, usize)| {
            let asked = RequestRow {
                model: Some(model.into()),
                device: Some(device.into()),
                engine: Some(engine.into()),
                load: Some(Load::Sequences(1)),
                prompt: Some(64.0 * (place + 1) as f64),
                generated: Some(32.0),
                ..RequestRow::default()
            };
            let predicted = Figures::from(service.setting(&asked).unwrap().forecast().unwrap().figures);
            let figures = Figures { latency_s: predicted.latency_s, ..Figures::default() };
            Measured::of("", &RequestRow { figures, ..asked }, &service).unwrap()
        };
        let models = ["Llama-3.1-8B", "gemma-2-2b"];
        models.into_iter().flat_map(|model| (0..LEAST).map(move |place| (model, place))).map(of).collect()
    }

    fn slowed(architecture: &str, factor: f64) -> Law {
        let mut law = Law::shipped().clone();
        let maker = law.makers.get_mut(architecture).unwrap();
        (maker.kernels, maker.launches) = (factor * maker.kernels, factor * maker.launches);
        law
    }

    fn left_out<const N: usize>(key: Key, laws: [(&str, &Law); N]) -> LawsWithout {
        LawsWithout { key, laws: laws.into_iter().map(|(name, law)| (name.to_owned(), law.clone())).collect() }
    }

    #[test]
    fn a_maker_s_unmeasured_devices_are_as_far_off_as_its_measured_ones_when_they_are_left_out() {
        let measured = as_predicted("mi250", "llama.cpp");
        let measured: Vec<&Measured> = measured.iter().collect();
        let architecture = measured[0].device.architecture.as_str();
        let devices = left_out(|one| &one.device.name, [("mi250", &slowed(architecture, 4.0))]);
        let near = slowed(architecture, 1.1);
        let models =
            left_out(|one| &one.model, [(measured[0].model.as_str(), &near), (measured[LEAST].model.as_str(), &near)]);
        let law = with_spreads(Law::shipped().clone(), &measured, &[devices, models]);
        let (unmeasured, of_architecture) = (law.makers["amd"].spread.time, law.makers[architecture].spread.time);
        assert!((NORMAL_90 * unmeasured - 4f64.ln()).abs() < 0.1, "{unmeasured}");
        assert!((NORMAL_90 * of_architecture - 1.1f64.ln()).abs() < 0.01, "{of_architecture}");
    }

    #[test]
    fn what_is_left_out_decides_no_interval_of_its_own() {
        let measured: Vec<Measured> =
            [as_predicted("h100-sxm", "vllm-0.5"), as_predicted("a100-sxm-40gb", "vllm-0.5")].concat();
        let measured: Vec<&Measured> = measured.iter().collect();
        let mut far = Law::shipped().clone();
        far.engines.get_mut("vllm-0.5").unwrap().offline.as_mut().unwrap().kernels = 30.0;
        let (off, right) = ("h100-sxm", "a100-sxm-40gb");
        let devices = left_out(|one| &one.device.name, [(off, &far), (right, Law::shipped())]);
        let nested = devices.clone().with_spreads(&measured, &[devices]);
        let spread = |device: &str| {
            let one = measured.iter().find(|one| one.device.name == device).unwrap();
            one.spread(nested.law(one).unwrap()).time
        };
        assert!(spread(off) < 0.01 && spread(right) > 0.5, "{} {}", spread(off), spread(right));
    }
}
