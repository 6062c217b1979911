//! How far off the law is on devices and models that it was not fitted on.

use std::collections::{BTreeMap, BTreeSet};

use irene_devices::{FigureSpread, Law, Vendor};
use irene_numerics::{NORMAL_90, rank_quantile};
use rayon::prelude::*;

use super::{Measured, fit_law};

/// Fewer residuals say nothing of a spread.
const LEAST: usize = 20;

/// The group of a measurement: the name of its device, or of its model.
pub type Key = fn(&Measured) -> &str;

/// Laws fitted with the measurements of one key at a time left out.
#[derive(Clone, Debug)]
pub struct LeftOut {
    key: Key,
    laws: BTreeMap<String, Law>,
}

impl LeftOut {
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
            let law = (!others.is_empty()).then(|| fit_law(&others, prior, start));
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

/// Absolute residuals of time, power and energy.
type Residuals = [Vec<f64>; 3];

/// The law with the spreads of its engines and of devices by other makers than NVIDIA, from the laws of what was left out.
pub fn with_spreads(mut law: Law, measured: &[&Measured], left_out: &[LeftOut]) -> Law {
    let (mut engines, mut makers) = (BTreeMap::<_, Residuals>::new(), BTreeMap::<_, Residuals>::new());
    for one in measured {
        for law in left_out.iter().filter_map(|laws| laws.law(one)) {
            let to = match one.device.vendor {
                Vendor::Nvidia => engines.entry((one.engine.name, one.is_served())).or_default(),
                _ => makers.entry(one.device.architecture.clone()).or_default(),
            };
            let [time, _, energy] = one.residuals(law);
            let power = time.zip(energy).map(|(time, energy)| energy - time);
            for (sizes, residual) in to.iter_mut().zip([time, power, energy]) {
                sizes.extend(residual.filter(|residual| residual.is_finite()).map(f64::abs));
            }
        }
    }
    for ((engine, is_served), residuals) in engines {
        let Some(modes) = law.engines.get_mut(engine) else { continue };
        let mode = if is_served { &mut modes.served } else { &mut modes.offline };
        if let Some(mode) = mode {
            mode.spread = spread(residuals, mode.spread);
        }
    }
    for (architecture, residuals) in makers {
        if let Some(maker) = law.makers.get_mut(&architecture) {
            maker.spread = spread(residuals, maker.spread);
        }
    }
    law
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
