use std::{fmt, str::FromStr};

use super::{criterion::Criterion, evaluation::Evaluation};
use crate::{Error, Measure, Result};

/// The objective of a search.
///
/// | text | sought |
/// |---|---|
/// | a [`Measure`]'s name, as `latency` or `training_energy` | the least of it |
/// | `accuracy` | the most of it |
/// | `pareto(latency, energy)` | every best compromise of these criteria; `pareto` alone takes accuracy, latency, energy and peak power |
/// | `weights(accuracy=0.5, latency=0.2/1000 s)` | the least of [`Weight`]s' sum |
/// | `protran` | `weights(accuracy=0.5, latency=0.2/1000 s, energy=0.2/2000 J, peak_power=0.1/300 W)`, as published |
///
/// The published weights (Tuli and Jha, "EdgeTran: Device-Aware Co-Search of Transformers for Efficient Inference on Mobile Edge Platforms",
/// IEEE Transactions on Mobile Computing 23(6), 2024) go with latency in seconds and energy in joules, both of a sequence, watts, and a GLUE
/// score as a share of 1: the scales 1000, 2000 and 300 lie just above the largest figures (815 s, 1865 J, 240 W) of the 16 designs that were
/// measured on all seven devices.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Objective {
    /// One criterion, or every best compromise of several.
    Pareto(Vec<Criterion>),
    /// One figure of several criteria: 1 less the sum of what the [`Weight`]s earn.
    Weighted(Vec<Weight>),
}

/// The score of a criterion in [`Objective::Weighted`]: `weight * value / scale` if it is sought to be large, else
/// `weight * (1 - value / scale)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight {
    /// The criterion.
    pub criterion: Criterion,
    /// Its share, above 0.
    pub weight: f64,
    /// The value that counts as 1, above 0, in the criterion's unit.
    pub scale: f64,
}

impl Objective {
    /// The published objective.
    pub fn protran() -> Self {
        let of = |criterion, weight, scale| Weight { criterion, weight, scale };
        Self::Weighted(vec![
            of(Criterion::Accuracy, 0.5, 1.0),
            of(Measure::Latency.into(), 0.2, 1000.0),
            of(Measure::Energy.into(), 0.2, 2000.0),
            of(Measure::PeakPower.into(), 0.1, 300.0),
        ])
    }

    /// The criteria that every design needs a figure of.
    pub fn criteria(&self) -> Vec<Criterion> {
        match self {
            Self::Pareto(criteria) => criteria.clone(),
            Self::Weighted(weights) => weights.iter().map(|weight| weight.criterion).collect(),
        }
    }

    /// The number of costs.
    pub fn dimensions(&self) -> usize {
        match self {
            Self::Pareto(criteria) => criteria.len(),
            Self::Weighted(_) => 1,
        }
    }

    /// The costs of a design. A criterion sought to be large counts negative.
    ///
    /// # Errors
    /// [`Error::Search`] if a criterion is unknown.
    pub fn costs(&self, evaluation: &Evaluation) -> Result<Vec<f64>> {
        match self {
            Self::Pareto(criteria) => criteria.iter().map(|&criterion| cost(evaluation, criterion)).collect(),
            Self::Weighted(weights) => {
                let earned = weights.iter().map(|weight| weight.earned(evaluation)).sum::<Result<f64>>()?;
                Ok(vec![1.0 - earned])
            }
        }
    }
}

fn cost(evaluation: &Evaluation, criterion: Criterion) -> Result<f64> {
    let value = evaluation.require(criterion)?.value;
    Ok(if criterion.is_sought() { -value } else { value })
}

impl Weight {
    fn earned(&self, evaluation: &Evaluation) -> Result<f64> {
        let share = evaluation.require(self.criterion)?.value / self.scale;
        Ok(self.weight * if self.criterion.is_sought() { share } else { 1.0 - share })
    }
}

impl FromStr for Objective {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let wrong = |reason: String| Error::Search(format!("objective '{text}': {reason}"));
        let (name, arguments) = call(text).map_err(wrong)?;
        match (name, arguments) {
            ("protran", None) => Ok(Self::protran()),
            ("pareto", None) => Ok(Self::Pareto(Criterion::published())),
            ("pareto", Some(arguments)) => {
                let criteria = each(arguments, |part| part.parse().map_err(|error: Error| error.to_string()));
                distinct(criteria.map_err(wrong)?, |&criterion| criterion).map(Self::Pareto).map_err(wrong)
            }
            ("weights", Some(arguments)) => {
                let weights = each(arguments, weight).map_err(wrong)?;
                distinct(weights, |weight| weight.criterion).map(Self::Weighted).map_err(wrong)
            }
            ("weights", None) => Err(wrong("name them, as in weights(accuracy=0.5, latency=0.2/1000)".to_owned())),
            (name, None) if name.parse::<Criterion>().is_ok() => Ok(Self::Pareto(vec![name.parse()?])),
            _ => Err(wrong(format!(
                "'{name}' is no objective: use {}, accuracy, pareto, pareto(latency, energy), protran or \
                 weights(accuracy=0.5, latency=0.2/1000)",
                Measure::names()
            ))),
        }
    }
}

/// A name, and the arguments in parentheses after it, if there are any.
fn call(text: &str) -> std::result::Result<(&str, Option<&str>), String> {
    let Some((name, rest)) = text.split_once('(') else { return Ok((text, None)) };
    let arguments = rest.strip_suffix(')').ok_or("it has to end with the parenthesis that it opens")?;
    Ok((name.trim_end(), Some(arguments)))
}

fn each<T>(
    arguments: &str,
    read: impl Fn(&str) -> std::result::Result<T, String>,
) -> std::result::Result<Vec<T>, String> {
    arguments.split(',').map(read).collect()
}

fn distinct<T>(items: Vec<T>, of: impl Fn(&T) -> Criterion) -> std::result::Result<Vec<T>, String> {
    for (i, item) in items.iter().enumerate() {
        if items[..i].iter().any(|earlier| of(earlier) == of(item)) {
            return Err(format!("{} is there twice", of(item)));
        }
    }
    Ok(items)
}

/// `latency=0.2/1000 s`; without a scale, 1.
fn weight(part: &str) -> std::result::Result<Weight, String> {
    let Some((name, rest)) = part.split_once('=') else {
        return Err(format!("'{}' has to read criterion=weight or criterion=weight/scale", part.trim()));
    };
    let criterion: Criterion = name.parse().map_err(|error: Error| error.to_string())?;
    let (share, scale) = match rest.split_once('/') {
        Some((share, scale)) => {
            (share, criterion.amount(scale).map_err(|reason| format!("scale of {criterion}: {reason}"))?)
        }
        None => (rest, 1.0),
    };
    match share.trim().parse::<f64>() {
        Ok(weight) if weight.is_finite() && weight > 0.0 => Ok(Weight { criterion, weight, scale }),
        _ => Err(format!("the weight of {criterion}, '{}', is not a finite number above 0", share.trim())),
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pareto(criteria) if criteria.len() == 1 => write!(f, "{}", criteria[0]),
            Self::Pareto(criteria) => {
                let names: Vec<_> = criteria.iter().map(|criterion| criterion.name()).collect();
                write!(f, "pareto({})", names.join(", "))
            }
            Self::Weighted(weights) => {
                let terms: Vec<_> = weights.iter().map(ToString::to_string).collect();
                write!(f, "weights({})", terms.join(", "))
            }
        }
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}/{}{}", self.criterion, self.weight, self.scale, self.criterion.unit())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::learning::PredictedValue;

    fn evaluation(figures: [f64; 4]) -> Evaluation {
        let exactly = |value| PredictedValue { value, deviation: 0.0 };
        Criterion::ALL
            .into_iter()
            .zip(figures)
            .fold(Evaluation::new(), |of, (criterion, value)| of.with(criterion, exactly(value)))
    }

    #[test]
    fn the_published_objective_is_one_less_its_performance() {
        let figures = evaluation([0.8, 100.0, 400.0, 30.0]);
        let costs = "protran".parse::<Objective>().unwrap().costs(&figures).unwrap();
        assert!((costs[0] - (1.0 - (0.5 * 0.8 + 0.2 * 0.9 + 0.2 * 0.8 + 0.1 * 0.9))).abs() < 1e-12, "{costs:?}");
    }

    #[test]
    fn accuracy_counts_negative_in_a_front() {
        let objective: Objective = "pareto(energy, accuracy)".parse().unwrap();
        assert_eq!(objective.costs(&evaluation([0.8, 1.0, 2.0, 3.0])).unwrap(), [2.0, -0.8]);
    }

    #[test]
    fn an_objective_reads_what_it_writes() {
        for text in [
            "latency",
            "pareto",
            "pareto(latency, peak_power)",
            "protran",
            "weights(training_energy=1/20mJ, accuracy=2)",
        ] {
            let objective: Objective = text.parse().unwrap();
            assert_eq!(objective.to_string().parse::<Objective>().unwrap(), objective, "{objective}");
        }
    }

    #[test]
    fn a_wrong_objective_names_the_bad_part() {
        for (text, named) in [
            ("", "'' is no objective"),
            ("speed", "'speed' is no objective"),
            ("pareto(latency", "parenthesis"),
            ("pareto(latency, speed)", "'speed' is no criterion"),
            ("pareto(latency, latency)", "latency is there twice"),
            ("pareto()", "'' is no criterion"),
            ("weights", "name them"),
            ("weights(latency)", "'latency' has to read"),
            ("weights(latency=x)", "'x'"),
            ("weights(latency=0.5/3J)", "scale of latency: 'J' is no unit"),
            ("latency(energy)", "'latency' is no objective"),
        ] {
            let error = text.parse::<Objective>().unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_unknown_is_asked_for() {
        let error = Objective::protran().costs(&Evaluation::new()).unwrap_err().to_string();
        assert!(error.starts_with("accuracy is asked for"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_an_objective_panic(
            text in prop_oneof![".*", "(pareto|weights|protran|latency)[(][a-z_=/.,0-9µ% ]*[)]?"]
        ) {
            if let Ok(objective) = text.parse::<Objective>() {
                prop_assert!(objective.dimensions() > 0);
            }
        }
    }
}
