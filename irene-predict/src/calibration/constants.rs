//! The constants of a law that measurements of one engine on one device move, and how far.

use irene_devices::{
    Device, Engine, EngineLaw, EngineModes, FigureSpread, Law, MakerLaw, constants_of, with_constants,
};

use super::likeness::Freedom;

/// The standard deviation of a constant's logarithm among devices with the same data sheet and engine, where the law is known as well as is typical.
const SPREAD: f64 = 0.12;
/// The spread of the overhead of an engine that the law was not fitted to.
const UNKNOWN_OVERHEAD: f64 = 0.5;
/// The spread of the power beside the devices, of which the measurements give a first guess.
const BESIDE: f64 = 0.5;

/// Constants of kernels and of power that devices and engines differ in; those of an engine and of a maker do so all.
const SHARED: [&str; 14] = [
    "pass.grouped",
    "pass.narrow_kernels",
    "pass.int8_kernels",
    "pass.query_share",
    "power.loaded_share",
    "power.running_share",
    "power.arithmetic_share",
    "power.attention",
    "power.tile_rows",
    "power.grouped_tile_rows",
    "power.weight_pj",
    "power.cache_pj",
    "power.elementwise_pj",
    "power.link_share",
];

/// The part of a law that one engine on one device needs, with constants of its own for both, and the spreads of those that move.
pub(super) fn law_for_engine(
    law: &Law,
    (device, engine, is_served): (&Device, &Engine, bool),
    beside_w: Option<f64>,
    freedom: Freedom,
) -> (Law, Vec<(String, f64)>) {
    let on = law.on(device, engine, is_served);
    let own = Some(EngineLaw { beside_w, ..on.engine() });
    let modes = match is_served {
        true => EngineModes { served: own, offline: None },
        false => EngineModes { offline: own, served: None },
    };
    let is_measured = law.engines.contains_key(engine.name);
    let own_law = Law {
        engines: [(engine.name.to_owned(), modes)].into(),
        makers: [(device.architecture.clone(), on.maker())].into(),
        ..law.clone()
    };
    let [time, power] = freedom.scale.map(|scale| scale * SPREAD);
    let spread = |name: &str| match name {
        name if name.contains(".spread.") => None,
        name if name.ends_with(".beside_w") => Some(BESIDE),
        // No maker's kernels are faster than the law's; those of your own machine may be.
        name if name.starts_with("makers.") => {
            (name.ends_with(".launches") || name.ends_with(".several_gpus")).then_some(time)
        }
        name if name.starts_with("engines.") && name.ends_with("_s") && !is_measured => Some(UNKNOWN_OVERHEAD),
        name if name.starts_with("engines.") => Some(time),
        name if name.starts_with("power.") => SHARED.contains(&name).then_some(power),
        name => SHARED.contains(&name).then_some(time),
    };
    let spread = |name: String| {
        let spread = freedom.constants * spread(&name)?;
        Some((name, spread))
    };
    let spreads = constants_of(&own_law).into_keys().filter_map(spread).collect();
    (own_law, spreads)
}

/// The law with some constants multiplied by the exponentials of these.
pub(super) fn perturbed<'a>(law: &Law, logarithms: impl IntoIterator<Item = (&'a str, f64)>) -> Option<Law> {
    let known = constants_of(law);
    let moved: Vec<(&str, f64)> = logarithms
        .into_iter()
        .map(|(name, logarithm)| Some((name, known.get(name)? * logarithm.exp())))
        .collect::<Option<_>>()?;
    with_constants(law, moved)
}

/// The law of a part ([`law_for_engine`]) with all times and all power multiplied, and with other spreads.
pub(super) fn scaled(law: &Law, [time, power]: [f64; 2], spread: FigureSpread) -> Law {
    let mut law = law.clone();
    for maker in law.makers.values_mut() {
        *maker = MakerLaw {
            launches: time * maker.launches,
            several_gpus: time * maker.several_gpus,
            spread: FigureSpread { time: 0.0, power: 0.0, energy: 0.0 },
            ..*maker
        };
    }
    for engine in law.engines.values_mut().flat_map(|modes| [&mut modes.offline, &mut modes.served]).flatten() {
        engine.kernels *= time;
        engine.power *= power;
        engine.beside_w = engine.beside_w.map(|watts| power * watts);
        engine.spread = spread;
        engine.covers_encoders = true;
    }
    law
}
