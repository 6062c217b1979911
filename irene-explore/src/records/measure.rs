use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

/// A measure of a design on a device: of one sequence in a forward pass, as ProTran takes three of them, or of one step of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Measure {
    /// Seconds a sequence.
    Latency,
    /// Joules a sequence.
    Energy,
    /// Watts, the largest sample.
    PeakPower,
    /// Seconds a step of training: forward pass with loss, backward pass and update, over the whole batch.
    TrainingLatency,
    /// Joules a step of training.
    TrainingEnergy,
    /// Watts, the largest sample while the design is trained.
    TrainingPeakPower,
}

/// The dimension of a [`Measure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dimension {
    /// Seconds.
    Time,
    /// Joules.
    Energy,
    /// Watts.
    Power,
}

impl Measure {
    /// How many there are.
    pub const COUNT: usize = Self::TrainingPeakPower as usize + 1;

    /// The measures of a forward pass, which the public records have.
    pub const INFERENCE: [Self; 3] = [Self::Latency, Self::Energy, Self::PeakPower];

    /// The measures of a training step.
    pub const TRAINING: [Self; 3] = [Self::TrainingLatency, Self::TrainingEnergy, Self::TrainingPeakPower];

    /// All of them.
    pub const ALL: [Self; Self::COUNT] = {
        let ([a, b, c], [d, e, f]) = (Self::INFERENCE, Self::TRAINING);
        [a, b, c, d, e, f]
    };

    /// Its name in files and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Energy => "energy",
            Self::PeakPower => "peak_power",
            Self::TrainingLatency => "training_latency",
            Self::TrainingEnergy => "training_energy",
            Self::TrainingPeakPower => "training_peak_power",
        }
    }

    /// The measure of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|measure| measure.name() == name)
    }

    /// The names of all, with commas between.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Whether it is of a step of training.
    pub fn is_training(self) -> bool {
        Self::TRAINING.contains(&self)
    }

    /// Whose figures these are, in words: `a sequence`, `a step of training`, or both.
    pub fn whose(measures: impl IntoIterator<Item = Self>) -> &'static str {
        let (training, inference): (Vec<_>, Vec<_>) = measures.into_iter().partition(|measure| measure.is_training());
        match (inference.is_empty(), training.is_empty()) {
            (_, true) => "a sequence",
            (true, false) => "a step of training",
            (false, false) => "a sequence, training of a step",
        }
    }

    /// Whether it is a time, which no power model is needed for.
    pub(crate) fn is_time(self) -> bool {
        self.dimension() == Dimension::Time
    }

    /// Its dimension.
    pub(crate) fn dimension(self) -> Dimension {
        match self {
            Self::Latency | Self::TrainingLatency => Dimension::Time,
            Self::Energy | Self::TrainingEnergy => Dimension::Energy,
            Self::PeakPower | Self::TrainingPeakPower => Dimension::Power,
        }
    }

    /// The symbol of its unit.
    pub fn unit(self) -> &'static str {
        match self.dimension() {
            Dimension::Time => "s",
            Dimension::Energy => "J",
            Dimension::Power => "W",
        }
    }

    /// Its field in a record; `of` stands between the name and the unit.
    fn field(self, of: &str) -> String {
        format!("{}{of}_{}", self.name(), self.unit())
    }
}

/// A figure of each measure, where there is one, in the measure's unit. In a file its fields are called as `latency_s` and
/// `training_energy_J`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measures([Option<f64>; Measure::COUNT]);

impl Measures {
    /// The figure of one.
    pub fn get(&self, measure: Measure) -> Option<f64> {
        self.0[measure as usize]
    }

    /// With a figure of one, or without.
    #[must_use]
    pub fn with(mut self, measure: Measure, figure: impl Into<Option<f64>>) -> Self {
        self.0[measure as usize] = figure.into();
        self
    }
}

impl Serialize for Measures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(self, "", serializer)
    }
}

impl<'de> Deserialize<'de> for Measures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(""))
    }
}

fn write<S: Serializer>(figures: &Measures, of: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer
        .collect_map(Measure::ALL.into_iter().filter_map(|measure| Some((measure.field(of), figures.get(measure)?))))
}

/// Half the confidence intervals of the measures, in fields as `latency_half_width_s`.
pub(super) mod half_widths {
    use super::{Deserializer, Fields, Measures, Serializer};

    const OF: &str = "_half_width";

    pub(in super::super) fn serialize<S: Serializer>(figures: &Measures, serializer: S) -> Result<S::Ok, S::Error> {
        super::write(figures, OF, serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Measures, D::Error> {
        deserializer.deserialize_map(Fields(OF))
    }
}

/// Reads figures from their fields among others.
struct Fields(&'static str);

impl<'de> Visitor<'de> for Fields {
    type Value = Measures;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with figures")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Measures, A::Error> {
        let mut figures = Measures::default();
        while let Some(field) = map.next_key::<Cow<'de, str>>()? {
            match Measure::ALL.into_iter().find(|measure| measure.field(self.0) == field) {
                Some(measure) => {
                    let named = |error: A::Error| A::Error::custom(format_args!("`{field}`: {error}"));
                    figures = figures.with(measure, map.next_value::<Option<f64>>().map_err(named)?);
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_stand_in_the_order_of_their_kind_and_are_found_by_name() {
        for (place, measure) in Measure::ALL.into_iter().enumerate() {
            assert_eq!(measure as usize, place);
            assert_eq!(Measure::find(measure.name()), Some(measure));
            assert_eq!(measure.is_training(), measure.name().starts_with("training_"));
        }
        assert_eq!(Measure::find("speed"), None);
    }

    #[test]
    fn figures_are_read_as_written_and_what_is_unknown_is_absent() {
        let figures = Measures::default().with(Measure::Latency, 0.5).with(Measure::TrainingEnergy, 3.0);
        let text = serde_json::to_string(&figures).unwrap();
        assert_eq!(text, r#"{"latency_s":0.5,"training_energy_J":3.0}"#);
        assert_eq!(serde_json::from_str::<Measures>(&text).unwrap(), figures);
        let others = r#"{"hash":"a","energy_J":null,"training_energy_J":3,"latency_s":0.5,"order":[1]}"#;
        assert_eq!(serde_json::from_str::<Measures>(others).unwrap(), figures);
        let wrong = serde_json::from_str::<Measures>(r#"{"training_latency_s":"1"}"#).unwrap_err().to_string();
        assert!(wrong.starts_with("`training_latency_s`: invalid type: string \"1\""), "{wrong}");
    }
}
