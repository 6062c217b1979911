use std::collections::{BTreeMap, BTreeSet, HashSet};

use irene_numerics::rank;
use irene_tree::{Level, Quantity, Tree};

use super::{Correction, EnergyLaw, SHAPE, Shape, TimeCurve, adapt::Transferable, keys, shape};
use crate::{
    Explanation, Result, Store, Term, TreeSource,
    noise::{self, NOISE},
    prediction::PredictedCost,
    range::Range,
};

/// One measured shape of a primitive: the mean logarithms of its measurements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) shape: Shape,
    /// ln s.
    pub(crate) log_time: f64,
    /// ln J at the wall.
    pub(crate) log_energy: f64,
    /// ln J by the GPU's driver, if that is known throughout.
    pub(crate) log_gpu_energy: Option<f64>,
    /// How many measurements there are; one with a wide interval of its own counts less.
    pub(crate) count: f64,
    /// The same of the energies at the wall.
    pub(crate) energy_count: f64,
}

/// The measured shapes of each primitive by its first key.
pub(crate) type Samples = BTreeMap<String, Vec<Sample>>;

/// The most shapes of a primitive: of more, those of the least ranks are kept.
const MOST_SHAPES: usize = 1 << 13;

/// The bits of a shape.
type Bits = [u64; SHAPE.len()];

/// The measurements of one shape: for latency, energy and GPU energy the sum of their logarithms, each as often as it counts, and of how
/// often.
type Sums = [[f64; 2]; 3];

/// The measurements of one primitive's shapes.
#[derive(Default)]
pub(super) struct Measurements {
    of: BTreeMap<Bits, Sums>,
    /// The shapes by their ranks.
    ranks: BTreeSet<(u64, Bits)>,
}

impl Measurements {
    /// The sums of a shape; None for one that is not kept.
    fn at(&mut self, shape: Bits) -> Option<&mut Sums> {
        if !self.of.contains_key(&shape) {
            self.ranks.insert((rank(&shape), shape));
            self.of.insert(shape, Sums::default());
            if self.ranks.len() > MOST_SHAPES {
                let (_, refused) = self.ranks.pop_last()?;
                self.of.remove(&refused);
            }
        }
        self.of.get_mut(&shape)
    }

    /// Adds the figures of a measurement, each as often as it counts; those of a shape that is not kept are left out.
    pub(super) fn add(&mut self, shape: &Shape, figures: [f64; 3], worths: [f64; 3]) {
        let Some(sums) = self.at(shape.map(f64::to_bits)) else { return };
        for ([logs, count], (figure, worth)) in sums.iter_mut().zip(figures.into_iter().zip(worths)) {
            *logs += worth * figure.ln();
            *count += worth;
        }
    }

    pub(super) fn samples(self) -> Vec<Sample> {
        let sample = |(shape, sums): (Bits, Sums)| {
            let [log_time, log_energy, log_gpu_energy] = sums.map(|[logs, count]| logs / count);
            let log_gpu_energy = Some(log_gpu_energy).filter(|log| log.is_finite());
            let [[_, count], [_, energy_count], _] = sums;
            Sample { shape: shape.map(f64::from_bits), log_time, log_energy, log_gpu_energy, count, energy_count }
        };
        self.of.into_iter().map(sample).collect()
    }
}

/// The measured shapes of each primitive by its first key. A shape that several models or layers share is one sample. A node without
/// latency or energy is left out.
pub(crate) fn samples(trees: &dyn TreeSource) -> Result<Samples> {
    let mut measured: BTreeMap<String, Measurements> = BTreeMap::new();
    trees.each(&mut |tree| add_samples(tree, &mut measured))?;
    Ok(measured.into_iter().map(|(name, measurements)| (name, measurements.samples())).collect())
}

fn add_samples(tree: &Tree, measured: &mut BTreeMap<String, Measurements>) -> Result<()> {
    // Layers repeat their measurement; models measure anew.
    let mut of_tree = HashSet::new();
    for id in tree.ids().filter(|&id| tree.node(id).level() == Level::Ml) {
        let shape = shape(tree, id)?;
        let Some([seconds, joules]) = crate::measured(tree, id)? else { continue };
        // One that is absent or not above 0 leaves its shape without a finite logarithm.
        let figures = [seconds, joules, tree.node(id).get(Quantity::GpuEnergy).unwrap_or(f64::NAN)];
        let Some(name) = keys(tree, id).next() else { continue };
        if of_tree.insert((name.clone(), shape.map(f64::to_bits), figures.map(f64::to_bits))) {
            measured.entry(name).or_default().add(&shape, figures, noise::worths(tree.node(id), NOISE));
        }
    }
    Ok(())
}

/// A primitive's laws, and how it departs from them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Primitive {
    pub(crate) time: TimeCurve,
    pub(crate) energy: EnergyLaw,
    /// For the energy by the GPU's driver; None if the training data has none.
    pub(crate) gpu_energy: Option<EnergyLaw>,
    pub(crate) correction: Correction,
    pub(crate) range: Range<{ SHAPE.len() }>,
}

/// A figure by a law and the correction on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Corrected {
    /// The figure by the law.
    pub(crate) law: f64,
    /// The correction, which multiplies it.
    pub(crate) factor: f64,
}

impl Corrected {
    pub(crate) fn value(self) -> f64 {
        self.law * self.factor
    }
}

/// The predicted figures of one launch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch {
    /// s.
    pub(crate) latency: Corrected,
    /// J.
    pub(crate) energy: Corrected,
    /// J.
    pub(crate) gpu_energy: Option<Corrected>,
    /// How far off the latency may be, in e-folds.
    pub(crate) deviation: f64,
}

impl Launch {
    pub(crate) fn cost(&self) -> PredictedCost {
        PredictedCost {
            latency: Some(self.latency.value()),
            energy: self.energy.value(),
            gpu_energy: self.gpu_energy.map(Corrected::value),
        }
    }
}

impl Primitive {
    /// Fits a primitive to its samples, of which there is at least one.
    pub(crate) fn fit(samples: &[Sample]) -> Self {
        Self::with_time(samples, TimeCurve::fit(samples))
    }

    /// The same with a law of latency that was fitted to them.
    pub(crate) fn with_time(samples: &[Sample], time: TimeCurve) -> Self {
        let mut primitive = Self { time, ..Self::of_laws(samples) };
        primitive.learn_correction(samples);
        primitive
    }

    /// Fits the laws alone, without a correction.
    pub(crate) fn of_laws(samples: &[Sample]) -> Self {
        let time = TimeCurve::fit(samples);
        let energy = EnergyLaw::fit(samples, |sample| (sample.log_energy, sample.energy_count));
        let logs: Option<Vec<f64>> = samples.iter().map(|sample| sample.log_gpu_energy).collect();
        let gpu_energy = logs
            .as_ref()
            .map(|_| EnergyLaw::fit(samples, |sample| (sample.log_gpu_energy.unwrap_or_default(), sample.count)));
        Self {
            time,
            energy,
            gpu_energy,
            correction: Correction::none(2 + usize::from(gpu_energy.is_some())),
            range: Range::of(samples.iter().map(|sample| sample.shape)),
        }
    }

    /// The number of figures of a launch.
    fn figure_count(&self) -> usize {
        2 + usize::from(self.gpu_energy.is_some())
    }

    /// Learns a correction from the samples' departures from the laws, on top of the correction so far.
    pub(crate) fn learn_correction(&mut self, samples: &[Sample]) {
        self.correction = std::mem::replace(&mut self.correction, Correction::none(0)).with_room_for(samples.len());
        let launches: Vec<Vec<f64>> = samples.iter().map(|sample| self.logs(sample)).collect();
        let mut residuals = vec![Vec::with_capacity(samples.len()); self.figure_count()];
        for (sample, logs) in samples.iter().zip(launches) {
            let measured = [sample.log_time, sample.log_energy, sample.log_gpu_energy.unwrap_or_default()];
            for ((residuals, measured), log) in residuals.iter_mut().zip(measured).zip(logs) {
                residuals.push(measured - log);
            }
        }
        let before = std::mem::replace(&mut self.correction, Correction::none(0));
        self.correction = if before.is_empty() {
            Correction::fit(samples, &residuals)
        } else {
            let on_top = before.refitted(samples, &residuals);
            before.with(on_top)
        };
        self.range = self.range.union(&Range::of(samples.iter().map(|sample| sample.shape)));
    }

    /// The logarithms of a sample's predicted latency, and of its energies at the measured latency.
    fn logs(&self, sample: &Sample) -> Vec<f64> {
        let laws = [Some(self.energy), self.gpu_energy].into_iter().flatten();
        let energies = laws.map(|law| law.joules(&sample.shape, sample.log_time.exp()));
        let figures = [self.time.seconds(&sample.shape)].into_iter().chain(energies);
        let factors = self.correction.at(&sample.shape).of;
        figures.zip(factors).map(|(figure, factor)| figure.max(f64::MIN_POSITIVE).ln() + factor.ln()).collect()
    }

    /// Predicts one launch.
    pub(crate) fn launch(&self, shape: &Shape) -> Launch {
        let factors = self.correction.at(shape);
        let corrected =
            |law: f64, figure: usize| Corrected { law, factor: factors.of.get(figure).copied().unwrap_or(1.0) };
        let latency = corrected(self.time.seconds(shape), 0);
        let seconds = latency.value();
        Launch {
            latency,
            energy: corrected(self.energy.joules(shape, seconds), 1),
            gpu_energy: self.gpu_energy.map(|law| corrected(law.joules(shape, seconds), 2)),
            deviation: factors.deviation,
        }
    }

    /// Explains one launch.
    pub(crate) fn explain(&self, shape: &Shape) -> Explanation {
        let launch = self.launch(shape);
        let [flops, bytes, ..] = *shape;
        let corrected = |mut terms: Vec<Term>, figure: Corrected, unit| {
            terms.retain(|term| term.value() > 0.0);
            if figure.factor != 1.0 {
                terms.push(Term::new("departure from the law, as measured", figure.law, unit, figure.factor - 1.0));
            }
            terms
        };
        let energy = vec![
            Term::new("latency", launch.latency.value(), "s", self.energy.power),
            Term::new("FLOPs in tiles", flops, "MFLOP", self.energy.per_mflop),
            Term::new("bytes moved", bytes, "MiB", self.energy.per_mib),
        ];
        let [of_launch, of_flops, of_bytes] = self.time.shares(shape);
        let each = |share: f64, amount: f64| if amount > 0.0 { share * launch.latency.law / amount } else { 0.0 };
        let latency = vec![
            Term::new("launch", 1.0, "launch", each(of_launch, 1.0)),
            Term::new("FLOPs in tiles", flops, "MFLOP", each(of_flops, flops)),
            Term::new("bytes moved", bytes, "MiB", each(of_bytes, bytes)),
        ];
        Explanation { energy: corrected(energy, launch.energy, "J"), latency: corrected(latency, launch.latency, "s") }
    }

    pub(crate) fn write(&self, name: &str, store: &mut Store) {
        self.time.write(&format!("{name}.time"), store);
        self.energy.write(&format!("{name}.energy"), store);
        if let Some(law) = &self.gpu_energy {
            law.write(&format!("{name}.gpu_energy"), store);
        }
        self.correction.write(&format!("{name}.correction"), store);
        self.range.write(&format!("{name}.range"), store);
    }

    pub(crate) fn read(name: &str, store: &Store) -> Result<Self> {
        let gpu_energy = format!("{name}.gpu_energy");
        let gpu_energy = if store.has(&gpu_energy) { Some(EnergyLaw::read(&gpu_energy, store)?) } else { None };
        Ok(Self {
            time: TimeCurve::read(&format!("{name}.time"), store)?,
            energy: EnergyLaw::read(&format!("{name}.energy"), store)?,
            correction: Correction::read(&format!("{name}.correction"), 2 + usize::from(gpu_energy.is_some()), store)?,
            gpu_energy,
            range: Range::read(&format!("{name}.range"), store)?,
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
