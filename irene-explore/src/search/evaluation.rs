use serde::{Serialize, Serializer, ser::SerializeMap};

use super::quantity::{QUANTITIES, Quantity};
use crate::{Error, Result, surrogate::Prediction};

/// What is expected of a design: the figures that are known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluation([Option<Prediction>; QUANTITIES]);

impl Evaluation {
    /// Without figures.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the figure of a quantity, in its unit.
    #[must_use]
    pub fn with(mut self, quantity: Quantity, prediction: Prediction) -> Self {
        self.0[quantity as usize] = Some(prediction);
        self
    }

    /// The figure of a quantity.
    pub fn get(&self, quantity: Quantity) -> Option<Prediction> {
        self.0[quantity as usize]
    }

    /// The same, where there has to be one.
    pub(super) fn require(&self, quantity: Quantity) -> Result<Prediction> {
        let missing = || {
            let reason = "is asked for by the objective or a constraint, but no figure of it was given";
            Error::Search(format!("{quantity} {reason}: supply one for every design, or ask for the other quantities"))
        };
        self.get(quantity).ok_or_else(missing)
    }
}

/// `{"latency_s": {"value": .., "deviation": ..}, ..}`, what is unknown left out.
impl Serialize for Evaluation {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Figure {
            value: f64,
            deviation: f64,
        }
        let mut map = serializer.serialize_map(None)?;
        for quantity in Quantity::ALL {
            if let Some(Prediction { value, deviation }) = self.get(quantity) {
                let unit = quantity.unit();
                let key = if unit.is_empty() { quantity.name().to_owned() } else { format!("{quantity}_{unit}") };
                map.serialize_entry(&key, &Figure { value, deviation })?;
            }
        }
        map.end()
    }
}
