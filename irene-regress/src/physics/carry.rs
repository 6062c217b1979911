//! All primitives of one machine carried over to another. The logarithm of each figure there is
//!
//! ln law(shape) + p · ln correction(shape) + what the samples there add to the correction
//!
//! by the law of this machine with [shifted](adapt) coefficients, and its correction to a power p: one of [`POWERS`], by which the laws fit best.

use std::collections::BTreeMap;

use super::{
    EnergyLaw, Primitive, Sample, TimeCurve,
    adapt::{self, Known, Shifts, Transferable, shifted},
    correction::Correction,
    without_formats,
};

/// Powers of the corrections that are tried on another machine: departures by tiles mostly hold where libraries are the same.
const POWERS: [f64; 3] = [1.0, 0.5, 0.0];

/// The least number of samples to learn a primitive that was never measured here; with fewer it is costed like an unknown one.
const LEAST_SAMPLES: usize = 4;

/// The figures of a launch, in the order of a correction's factors.
const TIME: usize = 0;
const ENERGY: usize = 1;
const GPU_ENERGY: usize = 2;

/// A primitive of this machine with its samples on the other.
struct Both<'a> {
    primitive: &'a Primitive,
    samples: &'a [Sample],
    /// The logarithms of its correction at the samples' shapes, for each figure.
    log_factors: Vec<Vec<f64>>,
}

/// The shifts of each law that lead to the other machine.
struct Machine {
    time: Shifts,
    energy: Shifts,
    gpu_energy: Option<Shifts>,
}

/// The primitives by name, and the one for all others, on the machine of the samples.
pub(crate) fn carried_over(
    primitives: &BTreeMap<String, Primitive>,
    any: &Primitive,
    samples: &BTreeMap<String, Vec<Sample>>,
) -> (BTreeMap<String, Primitive>, Primitive) {
    let primitives = &in_formats_of(primitives, samples);
    let both: BTreeMap<&str, Both<'_>> = primitives
        .iter()
        .filter_map(|(name, primitive)| {
            let samples = samples.get(name)?;
            let logs =
                |sample: &Sample| primitive.correction.at(&sample.shape).of.iter().map(|factor| factor.ln()).collect();
            Some((name.as_str(), Both { primitive, samples, log_factors: samples.iter().map(logs).collect() }))
        })
        .collect();
    let has_gpu_energy = samples.values().flatten().all(|sample| sample.log_gpu_energy.is_some())
        && primitives.values().all(|primitive| primitive.gpu_energy.is_some());
    let shifts = |power: f64| {
        let time = known(&both, power, TIME, |primitive| primitive.time, |sample| sample.log_time);
        let slower = adapt::scale(&time);
        // A machine that is slower as a whole may draw the same power, or spend the same for each FLOP and byte.
        let starts = [[0.0; 3], [0.0, slower, slower]];
        let energy = known(&both, power, ENERGY, |primitive| primitive.energy, |sample| sample.log_energy);
        let gpu_energy = has_gpu_energy.then(|| {
            let law = |primitive: &Primitive| primitive.gpu_energy.unwrap_or(primitive.energy);
            known(&both, power, GPU_ENERGY, law, |sample| sample.log_gpu_energy.unwrap_or_default())
        });
        Machine {
            time: adapt::fit(&time, &[[0.0; 3], [slower; 3]]),
            energy: adapt::fit(&energy, &starts),
            gpu_energy: gpu_energy.map(|known| adapt::fit(&known, &starts)),
        }
    };
    let tried = POWERS.map(|power| (shifts(power), power));
    let loss = |machine: &Machine| machine.time.loss + machine.energy.loss;
    let Some((machine, power)) = tried.into_iter().min_by(|(a, _), (b, _)| loss(a).total_cmp(&loss(b))) else {
        return (primitives.clone(), any.clone());
    };
    let indices: BTreeMap<&str, usize> = both.keys().enumerate().map(|(index, name)| (*name, index)).collect();
    let mut carried: BTreeMap<String, Primitive> = primitives
        .iter()
        .map(|(name, primitive)| {
            let mut carried = machine.primitive(primitive, indices.get(name.as_str()).copied(), power);
            if let Some(both) = both.get(name.as_str()) {
                carried.learn_correction(both.samples);
            }
            (name.clone(), carried)
        })
        .collect();
    for (name, samples) in samples.iter().filter(|(_, samples)| samples.len() >= LEAST_SAMPLES) {
        carried.entry(name.clone()).or_insert_with(|| Primitive::fit(samples));
    }
    (carried, machine.primitive(any, None, power))
}

/// The primitives, and copies of them in the formats that the samples are in.
fn in_formats_of(
    primitives: &BTreeMap<String, Primitive>,
    samples: &BTreeMap<String, Vec<Sample>>,
) -> BTreeMap<String, Primitive> {
    let mut all = primitives.clone();
    for key in samples.keys().filter(|key| !primitives.contains_key(*key)) {
        // That in 32-bit floats comes first.
        let like = primitives.iter().find(|(known, _)| without_formats(known) == without_formats(key));
        if let Some((_, like)) = like {
            all.insert(key.clone(), like.clone());
        }
    }
    all
}

/// Each primitive's law of one figure, with the targets of its samples.
fn known<'a, L: Transferable>(
    both: &'a BTreeMap<&str, Both<'_>>,
    power: f64,
    figure: usize,
    law: impl Fn(&Primitive) -> L,
    log_figure: impl Fn(&Sample) -> f64,
) -> Vec<Known<'a, L>> {
    let known = |both: &'a Both<'_>| {
        let log_factor = |logs: &Vec<f64>| logs.get(figure).copied().unwrap_or_default();
        let targets = both.samples.iter().zip(&both.log_factors);
        let targets = targets.map(|(sample, logs)| log_figure(sample) - power * log_factor(logs)).collect();
        let count = |sample: &Sample| if figure == ENERGY { sample.energy_count } else { sample.count };
        let counts = both.samples.iter().map(count).collect();
        Known { law: law(both.primitive), samples: both.samples, targets, counts }
    };
    both.values().map(known).collect()
}

impl Machine {
    /// A primitive with the machine's shifts, and its own if it was measured there (`index` among those that were).
    fn primitive(&self, primitive: &Primitive, index: Option<usize>, power: f64) -> Primitive {
        fn law<L: Transferable>(law: &L, shifts: &Shifts, index: Option<usize>) -> L {
            shifted(law, &shifts.shared, index.and_then(|index| shifts.own.get(index)).unwrap_or(&[0.0; 3]))
        }
        let time: TimeCurve = law(&primitive.time, &self.time, index);
        let energy: EnergyLaw = law(&primitive.energy, &self.energy, index);
        let gpu_energy = primitive.gpu_energy.zip(self.gpu_energy.as_ref());
        let gpu_energy = gpu_energy.map(|(gpu_energy, shifts)| law(&gpu_energy, shifts, index));
        let correction: Correction = primitive.correction.carried_over(power, 2 + usize::from(gpu_energy.is_some()));
        Primitive { time, energy, gpu_energy, correction, range: primitive.range.clone() }
    }
}

#[cfg(test)]
mod tests;
