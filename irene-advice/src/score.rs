use std::sync::LazyLock;

use irene_models::BuiltinModel;
use serde::{Deserialize, Serialize};

use crate::shipped;

static SCORES: LazyLock<Vec<Score>> = LazyLock::new(|| shipped(include_str!("../data/scores.json")));

/// How well a built-in model does on a public benchmark, as its authors or others published it. Scores of one benchmark come from different
/// runs: a small difference means nothing.
///
/// ```
/// use irene_advice::Score;
/// let score = Score::of("Llama-3.1-8B", Some("MMLU")).expect("a published score");
/// assert_eq!((score.value, score.unit.as_str()), (66.7, "% accuracy"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// The built-in model.
    pub model: String,
    /// The benchmark: `SST-2`, `MTEB` or `MMLU`.
    pub benchmark: String,
    /// The score; more is better.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// Who published it.
    pub source: String,
    /// When, as year and month.
    pub date: String,
    /// How it was tested, where that differs from others of the benchmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Score {
    /// All known scores, by benchmark.
    pub fn all() -> &'static [Self] {
        &SCORES
    }

    /// The benchmarks with scores.
    pub fn benchmarks() -> Vec<&'static str> {
        let mut names: Vec<&str> = Vec::new();
        for score in Self::all() {
            if !names.contains(&score.benchmark.as_str()) {
                names.push(&score.benchmark);
            }
        }
        names
    }

    /// The score of a built-in model, or of a release of its shape, on a benchmark, or on any.
    pub fn of(model: &str, benchmark: Option<&str>) -> Option<&'static Self> {
        let name = BuiltinModel::find(model).map_or(model, BuiltinModel::name);
        let is_it = |score: &&Self| score.model == name && benchmark.is_none_or(|asked| score.benchmark == asked);
        Self::all().iter().find(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_score_is_of_a_built_in_model_and_says_who_published_it() {
        assert_eq!(Score::benchmarks(), ["MMLU", "SST-2", "MTEB"]);
        for score in Score::all() {
            let model = BuiltinModel::find(&score.model).unwrap();
            assert_eq!(model.name(), score.model);
            assert!((20.0..100.0).contains(&score.value) && score.source.len() > 8, "{score:?}");
            let (year, month) = score.date.split_once('-').unwrap();
            assert!((2018..2100).contains(&year.parse().unwrap()) && (1..=12).contains(&month.parse().unwrap()));
            assert_eq!(Score::of(&score.model, Some(&score.benchmark)), Some(score));
        }
    }
}
