use std::{fmt, str::FromStr};

use irene_numerics::standard_normal;

use super::{criterion::Criterion, evaluation::Evaluation};
use crate::{Error, Result, learning::PredictedValue};

/// The bounds that a design must keep, as in `latency <= 20 ms, energy <= 3 J, accuracy >= 80%`; by default none, and every design will do.
///
/// A figure is judged where it stands `caution` standard deviations on its bad side: 0 takes it as predicted, 2 asks for a design that keeps
/// the bound even if the prediction is that much too good.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constraints {
    bounds: Vec<Bound>,
    caution: f64,
}

/// The most of a criterion, or the least of one that is sought to be large.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// The criterion.
    pub criterion: Criterion,
    /// In its unit, above 0.
    pub limit: f64,
}

impl Constraints {
    /// Judged so many standard deviations on the bad side.
    ///
    /// # Errors
    /// [`Error::Search`] if that is negative or not finite.
    pub fn with_caution(mut self, deviations: f64) -> Result<Self> {
        if !(deviations.is_finite() && deviations >= 0.0) {
            return Err(Error::Search(format!("caution of {deviations} standard deviations: use 0 or more")));
        }
        self.caution = deviations;
        Ok(self)
    }

    /// The bounds.
    pub fn bounds(&self) -> &[Bound] {
        &self.bounds
    }

    /// How far a design is from keeping them: the sum of what it is over each, as a share of the bound; 0 if it keeps all.
    ///
    /// # Errors
    /// [`Error::Search`] if a criterion is unknown.
    pub(super) fn violation(&self, evaluation: &Evaluation) -> Result<f64> {
        self.bounds.iter().map(|bound| Ok(bound.excess(self.judged(bound, evaluation)?).max(0.0))).sum()
    }

    /// The probability that a design keeps them all, its figures taken as independent and distributed as
    /// [their intervals](PredictedValue::interval) say.
    ///
    /// # Errors
    /// [`Error::Search`] if a criterion is unknown.
    pub fn feasibility(&self, evaluation: &Evaluation) -> Result<f64> {
        self.bounds.iter().map(|bound| Ok(bound.probability(evaluation.require(bound.criterion)?))).product()
    }

    fn judged(&self, bound: &Bound, evaluation: &Evaluation) -> Result<f64> {
        let prediction = evaluation.require(bound.criterion)?;
        Ok(prediction.at(if bound.criterion.is_sought() { -self.caution } else { self.caution }))
    }

    /// The figures of a design that breaks bounds, each beside its bound.
    pub(super) fn explain(&self, evaluation: &Evaluation) -> Result<String> {
        let mut broken = Vec::new();
        for bound in &self.bounds {
            let (judged, criterion) = (self.judged(bound, evaluation)?, bound.criterion);
            let excess = bound.excess(judged);
            if excess > 0.0 {
                let side = if criterion.is_sought() { "short" } else { "over" };
                let (has, limit) = (evaluation.require(criterion)?.value, criterion.show(bound.limit));
                let (has, judged) = (criterion.show(has), self.cautiously(&criterion.show(judged)));
                broken.push(format!("{criterion} {has}{judged} (bound {limit}, {:.1}% {side})", 100.0 * excess));
            }
        }
        Ok(broken.join(", "))
    }

    /// The words for how many deviations a figure is judged with; none if it is judged by itself.
    fn cautiously(&self, judged: &str) -> String {
        match self.caution {
            0.0 => String::new(),
            1.0 => format!(", {judged} with 1 deviation"),
            caution => format!(", {judged} with {caution} deviations"),
        }
    }
}

impl Bound {
    /// How far a value is beyond the bound, as a share of the bound.
    fn excess(&self, value: f64) -> f64 {
        let over = (value - self.limit) / self.limit;
        if self.criterion.is_sought() { -over } else { over }
    }

    fn probability(&self, prediction: PredictedValue) -> f64 {
        match prediction.deviations_to(self.limit) {
            Some(above) => standard_normal(if self.criterion.is_sought() { -above } else { above }).1,
            None => f64::from(u8::from(self.excess(prediction.value) <= 0.0)),
        }
    }
}

impl FromStr for Constraints {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut bounds: Vec<Bound> = Vec::new();
        for part in text.split(',').filter(|_| !text.trim().is_empty()) {
            let wrong = |reason: String| Error::Search(format!("constraint '{}': {reason}", part.trim()));
            let bound = bound(part).map_err(wrong)?;
            if bounds.iter().any(|earlier| earlier.criterion == bound.criterion) {
                return Err(wrong(format!("{} is bounded twice", bound.criterion)));
            }
            bounds.push(bound);
        }
        Ok(Self { bounds, caution: 0.0 })
    }
}

fn bound(part: &str) -> std::result::Result<Bound, String> {
    let sides = part.split_once("<=").or_else(|| part.split_once('≤')).map(|sides| (sides, "<="));
    let sides = sides.or_else(|| part.split_once(">=").or_else(|| part.split_once('≥')).map(|sides| (sides, ">=")));
    let Some(((name, amount), sign)) = sides else {
        return Err("it has to read latency <= 20 ms or accuracy >= 0.8".to_owned());
    };
    let criterion: Criterion = name.parse().map_err(|error: Error| error.to_string())?;
    let wanted = relation(criterion);
    if sign != wanted {
        return Err(format!(
            "{criterion} is bounded from the other side: write {criterion} {wanted} {}",
            amount.trim()
        ));
    }
    Ok(Bound { criterion, limit: criterion.amount(amount)? })
}

fn relation(criterion: Criterion) -> &'static str {
    if criterion.is_sought() { ">=" } else { "<=" }
}

impl fmt::Display for Constraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds: Vec<_> = self.bounds.iter().map(ToString::to_string).collect();
        f.write_str(&bounds.join(", "))
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{} {} {} {}", self.criterion, relation(self.criterion), self.limit, self.criterion.unit());
        f.write_str(text.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Measure;

    fn of(latency: f64, accuracy: f64, deviation: f64) -> Evaluation {
        Evaluation::new()
            .with(Measure::Latency, PredictedValue { value: latency, deviation })
            .with(Criterion::Accuracy, PredictedValue { value: accuracy, deviation })
    }

    #[test]
    fn bounds_are_read_with_their_units() {
        let text = "latency<=0.02, energy<=3 J, peak_power <= 20W, accuracy >= 80%, training_energy <= 2 kJ";
        let read: Constraints = text.parse().unwrap();
        let limits: Vec<_> = read.bounds().iter().map(|bound| bound.limit).collect();
        assert_eq!(limits, [0.02, 3.0, 20.0, 0.8, 2000.0]);
        assert_eq!(read.to_string().parse::<Constraints>().unwrap(), read);
        assert_eq!(" ".parse::<Constraints>().unwrap(), Constraints::default());
    }

    #[test]
    fn a_wrong_constraint_names_the_bad_part() {
        for (text, named) in [
            ("latency<=1, ", "constraint '': it has to read"),
            ("latency<1", "constraint 'latency<1'"),
            ("speed<=1", "'speed' is no criterion"),
            ("energy<=3 s", "'s' is no unit of energy"),
            ("latency>=1", "write latency <= 1"),
            ("accuracy<=1", "write accuracy >= 1"),
            ("latency<=1,latency<=2", "'latency<=2': latency is bounded twice"),
            ("latency<=-1", "above 0"),
        ] {
            let error = text.parse::<Constraints>().unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn violations_are_shares_of_the_bounds() {
        let constraints: Constraints = "latency<=2, accuracy>=0.8".parse().unwrap();
        assert_eq!(constraints.violation(&of(2.0, 0.8, 1.0)).unwrap(), 0.0);
        assert!((constraints.violation(&of(3.0, 0.6, 1.0)).unwrap() - 0.75).abs() < 1e-12);
        let careful = constraints.with_caution(2.0).unwrap();
        // Two deviations of the logarithm of each: 2.210 s is 10.5% over, 0.6236 is 22.0% short.
        assert!((careful.violation(&of(2.0, 0.8, 0.1)).unwrap() - 0.325_546_614_440_506_5).abs() < 1e-12);
        assert!(careful.clone().with_caution(f64::NAN).is_err());
        let text = careful.explain(&of(3.0, 0.9, 0.1)).unwrap();
        assert_eq!(
            text,
            "latency 3 s, 3.207 s with 2 deviations (bound 2 s, 60.3% over), \
             accuracy 0.9, 0.7212 with 2 deviations (bound 0.8, 9.9% short)"
        );
        let text = careful.with_caution(1.0).unwrap().explain(&of(0.1, 0.9, 11.0)).unwrap();
        assert!(text.contains(" with 1 deviation (bound"), "{text}");
    }

    #[test]
    fn feasibility_is_the_probability_that_the_interval_tells() {
        let constraints: Constraints = "latency<=2".parse().unwrap();
        for (latency, deviation, expected) in
            [(2.0, 1.0, 0.5), (1.0, 1.0, 0.797_452_017), (4.0, 1.0, 0.002_437_753), (1.0, 0.0, 1.0), (3.0, 0.0, 0.0)]
        {
            let probability = constraints.feasibility(&of(latency, 0.0, deviation)).unwrap();
            assert!((probability - expected).abs() < 2e-7, "{latency}: {probability}");
        }
        // At an end of a wide 90% interval it is 95%.
        let wide = PredictedValue { value: 0.09, deviation: 11.0 };
        let at_its_end = Bound { criterion: Measure::Latency.into(), limit: wide.interval().1 };
        assert!((at_its_end.probability(wide) - 0.95).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_constraints_panic(text in prop_oneof![".*", "((latency|energy|accuracy)(<=|>=|≤)[-a-zµ% .,0-9]*,?)*"]) {
            if let Ok(constraints) = text.parse::<Constraints>() {
                prop_assert!(constraints.bounds().iter().all(|bound| bound.limit > 0.0 && bound.limit.is_finite()));
            }
        }
    }
}
