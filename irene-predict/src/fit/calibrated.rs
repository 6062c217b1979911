//! The law of one engine on one device, moved by a few requests that were measured there.

use irene_devices::{EngineModes, FigureSpread, Law, MakerLaw, constants_of, with_constants};
use irene_numerics::{ConstantsFit, LevenbergMarquardt, Prior};

use super::{Busy, Measured};

fn env(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// How far a constant of one device and engine lies from the law's, in standard deviations of its logarithm, by the end of its name.
fn spreads() -> Vec<(&'static str, f64)> {
    let t = env("S_TIME", 1.0);
    let p = env("S_POWER", 1.0);
    vec![
    (".spread.time", 0.0),
    (".spread.power", 0.0),
    (".spread.energy", 0.0),
    (".kernels", t * env("S_KERNELS", 0.15)),
    (".launches", t * env("S_LAUNCHES", 0.3)),
    ("_s", t * env("S_OVERHEAD", 0.3)),
    (".elementwise", t * env("S_EW", 0.2)),
    (".attention", t * env("S_ATT", 0.3)),
    (".exchange", t * env("S_EXCH", 0.3)),
    ("pass.grouped", t * env("S_GROUPED", 0.15)),
    ("pass.narrow_kernels", t * env("S_PASS", 0.2)),
    ("pass.int8_kernels", t * env("S_PASS", 0.2)),
    ("pass.query_share", t * env("S_PASS", 0.2)),
    ("power.loaded_share", p * env("S_LOADED", 0.3)),
    ("power.running_share", p * env("S_RUNNING", 0.3)),
    ("power.arithmetic_share", p * env("S_ARITH", 0.2)),
    ("power.weight_pj", p * env("S_BYTE", 0.2)),
    ("power.cache_pj", p * env("S_CACHE", 0.2)),
    ("power.elementwise_pj", p * env("S_BYTE", 0.2)),
    ("power.link_share", p * env("S_LINK", 0.3)),
    ("power.tile_rows", p * env("S_TILE", 0.3)),
    ("power.grouped_tile_rows", p * env("S_TILE", 0.3)),
    ]
}

fn spread(name: &str) -> f64 {
    let known = spreads().into_iter().find(|(end, _)| name.ends_with(end) && (!end.starts_with("power") || name == *end));
    if name.starts_with("power.") {
        return spreads().into_iter().find(|(end, _)| name == *end).map_or(0.0, |(_, spread)| spread);
    }
    known.map_or(0.0, |(_, spread)| spread)
}

/// The part of a law that one engine on one device needs, with constants of its own for both.
fn law_of(law: &Law, one: &Measured) -> Law {
    let on = law.on(&one.device, one.engine, one.is_served());
    let modes = match one.is_served() {
        true => EngineModes { served: Some(on.engine()), offline: None },
        false => EngineModes { offline: Some(on.engine()), served: None },
    };
    Law {
        engines: [(one.engine.name.to_owned(), modes)].into(),
        makers: [(one.device.architecture.clone(), on.maker())].into(),
        ..law.clone()
    }
}

/// The law that requests of one engine on one device make likeliest, which others are not to be predicted with.
pub fn calibrated(law: &Law, measured: &[&Measured]) -> Law {
    let Some(first) = measured.first() else { return law.clone() };
    let law = law_of(law, first);
    let noise_t = env("N_TIME", 0.1);
    let noise_p = env("N_POWER", 0.07);
    let busy = Busy::of(measured);
    let residuals = |law: &Law| {
        busy.with(&law.pass, |busy| {
            let mut all = Vec::new();
            for (one, passes) in measured.iter().zip(busy) {
                let times = one.times(law, passes);
                let predicted = times[0] + times[1];
                if let Some(seconds) = one.seconds {
                    all.push((predicted / seconds).ln() / noise_t);
                }
                if let Some(watts) = one.watts {
                    // Power depends on the time that it is drawn in.
                    let shared = one.seconds.map_or(1.0, |seconds| seconds / predicted);
                    all.push((one.power(law, times.map(|time| shared * time)) / watts).ln() / noise_p);
                } 
            }
            all
        })
    };
    let known = constants_of(&law);
    let names: Vec<&str> = known.keys().map(String::as_str).filter(|name| spread(name) > 0.0).collect();
    let priors: Vec<Prior> = names.iter().map(|name| Prior { value: known[*name], spread: spread(name) }).collect();
    let with = |values: &[f64]| with_constants(&law, names.iter().copied().zip(values.iter().copied()));
    let steps = LevenbergMarquardt { rounds: 30, tolerance: 1e-4, most_damping: 1e6 };
    let fit = ConstantsFit { steps, outlier: env("OUTLIER", 2.0) };
    let found = fit.fit(&priors, |values| with(values).map_or_else(|| vec![f64::NAN], |law| residuals(&law)));
    with(&found).unwrap_or(law)
}
