use irene_numerics::NORMAL_90;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{Candidate, Measure, Result, records::Dimension};

/// A predicted figure of a design, with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PredictedValue {
    /// The figure, in the measure's unit.
    pub value: f64,
    /// The standard deviation of what would be measured, in the measure's unit: the uncertainty of the surrogate and the spread of
    /// measurements together.
    pub deviation: f64,
}

impl PredictedValue {
    /// The 90% interval. The logarithm of the figure is taken as normally distributed. Some of the papers' learners predict values
    /// that are not above 0 or deviations without bound; there the figure itself is taken as normally distributed.
    pub fn interval(&self) -> (f64, f64) {
        let factor = (NORMAL_90 * self.log_deviation()).exp();
        if self.value > 0.0 && factor.is_finite() {
            return (self.value / factor, self.value * factor);
        }
        let reach = NORMAL_90 * self.deviation;
        (self.value - reach, self.value + reach)
    }

    /// The same for a measurement after those that were learned from. Devices change in steps between sessions (what else runs, how
    /// warm they are, what was updated), which earlier records do not foretell, so the interval is wider: by a reach of 0.25 e-folds
    /// for latency and 0.2 for energy. Peak power is that of full load before and after.
    #[must_use]
    pub fn later(self, measure: Measure) -> Self {
        let step = match measure.dimension() {
            Dimension::Time => 0.25 / NORMAL_90,
            Dimension::Energy => 0.2 / NORMAL_90,
            Dimension::Power => 0.0,
        };
        let log_deviation = self.log_deviation().hypot(step);
        if self.value > 0.0 && log_deviation.is_finite() {
            return Self::of_log(self.value, log_deviation);
        }
        Self { deviation: self.deviation.hypot(step * self.value), ..self }
    }

    /// The figure so many standard deviations above, as [`interval`](Self::interval) takes it to be distributed.
    pub(crate) fn at(&self, deviations: f64) -> f64 {
        match deviations {
            // The deviation may be without bound.
            0.0 => self.value,
            _ if self.is_log_normal() => self.value * (deviations * self.log_deviation()).exp(),
            _ => self.value + deviations * self.deviation,
        }
    }

    /// How many standard deviations another figure is above; None where the value is certain.
    pub(crate) fn deviations_to(&self, figure: f64) -> Option<f64> {
        let (distance, deviation) = if self.is_log_normal() {
            ((figure / self.value).ln(), self.log_deviation())
        } else {
            (figure - self.value, self.deviation)
        };
        (deviation > 0.0).then_some(distance / deviation)
    }

    fn is_log_normal(&self) -> bool {
        self.value > 0.0 && self.log_deviation().is_finite()
    }

    /// The standard deviation of the logarithm that goes with [`deviation`](Self::deviation).
    fn log_deviation(&self) -> f64 {
        (self.deviation / self.value).powi(2).ln_1p().sqrt()
    }

    /// A figure whose logarithm has this standard deviation.
    pub(super) fn of_log(value: f64, log_deviation: f64) -> Self {
        let log_deviation = log_deviation.min(WIDEST);
        Self { value, deviation: value * log_deviation.powi(2).exp_m1().sqrt() }
    }
}

/// A logarithm that is less certain than this says nothing: figures of 17 orders of magnitude are likely. Beyond, the deviation is no number.
const WIDEST: f64 = 25.0;

/// Predicts one measure of designs.
pub trait Surrogate: Send + Sync {
    /// The prediction for a design.
    fn predict(&self, candidate: &Candidate) -> PredictedValue;

    /// The surrogate as a file holds it; None if no file can hold it. A [`Reader`] reads it again.
    fn saved(&self) -> Option<Saved> {
        None
    }
}

/// A way to learn a [`Surrogate`].
pub trait Learner: Send + Sync {
    /// Its name in options and reports.
    fn name(&self) -> &'static str;

    /// Learns from designs and their figures (above 0, one a design).
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) if they are too few.
    fn fit(&self, candidates: &[&Candidate], figures: &[f64], seed: u64) -> Result<Box<dyn Surrogate>>;
}

/// A surrogate as a file holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// The name of its [`Reader`].
    pub kind: &'static str,
    /// Everything that it learned.
    pub fields: Map<String, Value>,
}

impl Saved {
    /// From a surrogate that serialises as a JSON object; None if it does not.
    pub fn of(kind: &'static str, surrogate: &impl Serialize) -> Option<Self> {
        match serde_json::to_value(surrogate) {
            Ok(Value::Object(fields)) => Some(Self { kind, fields }),
            _ => None,
        }
    }
}

/// Reads a surrogate of one kind from the JSON of its [fields](Saved::fields).
pub type Reader = fn(&str) -> serde_json::Result<Box<dyn Surrogate>>;

/// The [`Reader`] of a surrogate that deserialises from its fields.
///
/// # Errors
/// Whatever deserialising says.
pub fn read_as<S: Surrogate + DeserializeOwned + 'static>(json: &str) -> serde_json::Result<Box<dyn Surrogate>> {
    Ok(Box::new(serde_json::from_str::<S>(json)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_the_value_in_it_whatever_that_is() {
        let interval = |value, deviation| PredictedValue { value, deviation }.interval();
        let (low, high) = interval(2.0, 0.2);
        assert!(
            (low * high - 4.0).abs() < 1e-12 && (high / 2.0 - (NORMAL_90 * 1.01f64.ln().sqrt()).exp()).abs() < 1e-12
        );
        for (value, deviation) in [(0.0, 1.0), (-3.0, 1.0), (1e-300, 1.0), (2.0, 0.0), (0.0, 0.0)] {
            let (low, high) = interval(value, deviation);
            assert!(low.is_finite() && high.is_finite() && low <= value && value <= high, "{value}: {low} to {high}");
        }
        assert_eq!(interval(0.0, 1.0), (-NORMAL_90, NORMAL_90));
    }

    #[test]
    fn a_figure_so_many_deviations_above_is_as_far_as_the_interval_says() {
        for (value, deviation) in [(2.0, 0.2), (0.087, 11.0), (-3.0, 1.0), (0.0, 1.0)] {
            let predicted = PredictedValue { value, deviation };
            let (low, high) = predicted.interval();
            for (end, deviations) in [(low, -NORMAL_90), (high, NORMAL_90), (value, 0.0)] {
                assert!((predicted.at(deviations) - end).abs() <= 1e-12 * end.abs(), "{value}: {end}");
                let back = predicted.deviations_to(end).unwrap();
                assert!((back - deviations).abs() < 1e-9, "{value}: {back}");
            }
        }
        assert_eq!(PredictedValue { value: 2.0, deviation: 0.0 }.deviations_to(3.0), None);
        assert_eq!(PredictedValue { value: 2.0, deviation: f64::INFINITY }.at(0.0), 2.0);
    }

    #[test]
    fn an_interval_has_ends_however_uncertain_the_value_is() {
        for log_deviation in [1e3, 1e300, f64::INFINITY] {
            let predicted = PredictedValue::of_log(2.0, log_deviation);
            for (low, high) in [predicted.interval(), predicted.later(Measure::Energy).interval()] {
                assert!(low > 0.0 && low < 2.0 && high > 2.0 && high.is_finite(), "{low} to {high}");
            }
        }
    }

    #[test]
    fn a_later_measurement_is_less_certain_of_time_and_energy_and_as_certain_of_peak_power() {
        let now = PredictedValue::of_log(3.0, 0.1);
        let reach = |measure| (now.later(measure).interval().1 / 3.0).ln();
        assert!((reach(Measure::Latency) - (0.1 * NORMAL_90).hypot(0.25)).abs() < 1e-9);
        assert!((reach(Measure::Energy) - (0.1 * NORMAL_90).hypot(0.2)).abs() < 1e-9);
        assert!((reach(Measure::PeakPower) - 0.1 * NORMAL_90).abs() < 1e-9);
        for (training, of) in Measure::TRAINING.into_iter().zip(Measure::INFERENCE) {
            assert_eq!(reach(training), reach(of));
        }
        for value in [0.0, -3.0] {
            let odd = PredictedValue { value, deviation: 1.0 };
            assert!(odd.later(Measure::Latency).deviation >= 1.0 && odd.later(Measure::Latency).value == value);
        }
    }
}
