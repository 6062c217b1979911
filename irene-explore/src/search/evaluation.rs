use serde::{Serialize, Serializer, ser::SerializeMap};

use super::criterion::{CRITERIA, Criterion};
use crate::{Error, Result, learning::PredictedValue};

/// The predicted figures of a design; a criterion may be unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluation([Option<PredictedValue>; CRITERIA]);

impl Evaluation {
    /// Without figures.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the figure of a criterion, in its unit.
    #[must_use]
    pub fn with(mut self, criterion: impl Into<Criterion>, prediction: PredictedValue) -> Self {
        self.0[criterion.into().place()] = Some(prediction);
        self
    }

    /// The figure of a criterion.
    pub fn get(&self, criterion: impl Into<Criterion>) -> Option<PredictedValue> {
        self.0[criterion.into().place()]
    }

    /// The figure of a criterion that needs one.
    pub(super) fn require(&self, criterion: Criterion) -> Result<PredictedValue> {
        let missing = || {
            let reason = "is asked for by the objective or a constraint, but no figure of it was given";
            Error::Search(format!("{criterion} {reason}: supply one for every design, or ask for the other criteria"))
        };
        self.get(criterion).ok_or_else(missing)
    }
}

/// `{"latency_s": {"value": .., "deviation": ..}, ..}`, what is unknown left out.
impl Serialize for Evaluation {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for criterion in Criterion::ALL {
            if let Some(prediction) = self.get(criterion) {
                let unit = criterion.unit();
                let key = if unit.is_empty() { criterion.name().to_owned() } else { format!("{criterion}_{unit}") };
                map.serialize_entry(&key, &prediction)?;
            }
        }
        map.end()
    }
}
