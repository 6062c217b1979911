//! The machine's power: the sum of the sensors that the [rules] leave.

pub(crate) mod rules;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Channel, ChannelId, Provenance, Recording, Resource, WindowError,
    sensors::{Choice, Unavailable},
};

/// Why a sensor is no part of the total.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LeftOut {
    /// This sensor includes it.
    PartOf(ChannelId),
    /// This channel tells the energy of the same resource.
    SameAs(ChannelId),
    /// Its readings are those of this sensor: both show one counter.
    Mirrors(ChannelId),
    /// It showed the same reading for so many seconds, while the power was not zero.
    StandsStill(f64),
    /// It reads less than sensors inside it.
    BelowItsParts {
        /// Its power, W.
        watts: f64,
        /// One of those sensors.
        part: ChannelId,
        /// The power of all of them, W.
        parts_watts: f64,
    },
    /// It may overlap with this sensor. Only the maker of the board knows.
    MayOverlap(ChannelId),
    /// The user named others.
    NotNamed,
}

impl LeftOut {
    /// Whether a reader would have expected the sensor to count.
    fn is_unexpected(&self) -> bool {
        !matches!(self, Self::PartOf(_) | Self::SameAs(_) | Self::NotNamed)
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PartOf(outer) => write!(f, "part of {outer}"),
            Self::SameAs(other) => write!(f, "{other} tells the same"),
            Self::Mirrors(other) => write!(f, "shows the counter of {other} again"),
            Self::StandsStill(seconds) => write!(f, "stands still: the same reading for {seconds:.1} s"),
            Self::BelowItsParts { watts, part, parts_watts } => {
                write!(f, "reads {watts:.1} W, which cannot be: {part} inside it reads {parts_watts:.1} W")
            }
            Self::MayOverlap(other) => write!(f, "may overlap with {other}, which only the maker of the board knows"),
            Self::NotNamed => f.write_str("others were named"),
        }
    }
}

/// A sensor that the machine has and that cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Missing {
    /// The resource.
    pub resource: Resource,
    /// The cause, and the way out.
    pub why: Unavailable,
    /// The consequence of its absence.
    pub need: Need,
}

/// The consequence for the total if a sensor is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// There is no total without it.
    Essential,
    /// The total is a partial one.
    Part,
    /// It would be no part of the total.
    Spare,
}

impl Missing {
    /// It is no loss beside sensors that include it. The platform is none beside packages.
    fn beside<'a>(&self, mut taken: impl Iterator<Item = &'a Resource>) -> Self {
        let is_spare = taken.any(|taken| {
            let is_platform = matches!((&self.resource, taken), (Resource::Platform(_), Resource::Package(_)));
            taken.covers(&self.resource) == Some(true) || is_platform
        });
        Self { need: if is_spare { Need::Spare } else { self.need }, ..self.clone() }
    }
}

/// Knowledge about sensors beside their resources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Sensors that are not believed, with the reason.
    pub left_out: Vec<(ChannelId, LeftOut)>,
    /// Single sensors that the user named. The user is believed to know that they do not overlap.
    pub choices: Vec<Choice>,
}

impl Findings {
    /// Whether the user named sensors of this kind, and not this one.
    fn excludes(&self, resource: &Resource) -> bool {
        let mut about = self.choices.iter().filter(|choice| choice.is_about(resource)).peekable();
        about.peek().is_some() && !about.any(|choice| choice.names(resource))
    }

    /// Whether the user named this very sensor.
    fn is_named(&self, resource: &Resource) -> bool {
        self.choices.iter().any(|choice| choice.is_single() && choice.names(resource))
    }

    fn reason(&self, id: &ChannelId) -> Option<LeftOut> {
        if self.excludes(&id.resource) {
            return Some(LeftOut::NotNamed);
        }
        self.left_out.iter().find(|(left_out, _)| left_out == id).map(|(_, reason)| reason.clone())
    }
}

/// The sensors that make up the machine's power, and those that do not, with the reasons.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Total {
    taken: Vec<usize>,
    sensors: Vec<(ChannelId, Option<LeftOut>)>,
    missing: Vec<Missing>,
}

impl Total {
    /// The total of these channels, of which the first few are probes and no part of it.
    ///
    /// A channel that another one covers is left out, and so are channels that may overlap. A resource whose energy is counted and
    /// whose power is read has its counter in the total.
    pub fn of(channels: &[Channel], probes: usize, findings: &Findings, missing: &[Missing]) -> Self {
        let energies: Vec<usize> =
            (probes..channels.len()).filter(|&place| channels[place].id.metric.is_energy()).collect();
        let reasons = rules::reasons(channels, &energies, findings);
        let taken: Vec<usize> = energies.iter().copied().filter(|&place| reasons[place].is_none()).collect();
        let missing = missing.iter().filter(|missing| !findings.excludes(&missing.resource));
        let missing = missing.map(|missing| missing.beside(taken.iter().map(|&place| &channels[place].id.resource)));
        Self {
            missing: missing.collect(),
            sensors: energies.iter().map(|&place| (channels[place].id.clone(), reasons[place].clone())).collect(),
            taken,
        }
    }

    /// The places of the channels whose energies add up to the total.
    pub fn taken(&self) -> &[usize] {
        &self.taken
    }

    /// Every channel of energy or power, with the reason if it is left out.
    pub fn sensors(&self) -> impl Iterator<Item = (&ChannelId, Option<&LeftOut>)> {
        self.sensors.iter().map(|(id, left_out)| (id, left_out.as_ref()))
    }

    /// The names of the sensors that are taken.
    pub fn names(&self) -> Vec<String> {
        self.sensors().filter(|(_, left_out)| left_out.is_none()).map(|(id, _)| id.to_string()).collect()
    }

    /// The sensors that the machine has and that cannot be read.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Warnings about the total, a line each: sensors that were not believed, and parts that it lacks.
    pub fn remarks(&self) -> Vec<String> {
        let unexpected = self.sensors().filter_map(|(id, left_out)| {
            left_out.filter(|left_out| left_out.is_unexpected()).map(|left_out| format!("{id} is left out: {left_out}"))
        });
        let lacking = self.lacking().map(|Missing { resource, why, .. }| format!("the total lacks {resource}: {why}"));
        unexpected.chain(lacking).collect()
    }

    /// The names of what the total lacks.
    pub fn lacks(&self) -> Vec<String> {
        self.lacking().map(|missing| missing.resource.to_string()).collect()
    }

    /// The parts that the total lacks, with the reasons.
    pub(crate) fn lacking(&self) -> impl Iterator<Item = &Missing> {
        self.missing.iter().filter(|missing| missing.need != Need::Spare)
    }

    /// Joules from the first readings to the newest, as [`Series::joules`](crate::Series::joules) counts them; None if no sensor is
    /// taken, or one of them was never read.
    pub fn joules(&self, recording: &Recording) -> Option<f64> {
        let mut parts = self.taken.iter().map(|&place| recording.series(place).joules());
        let first = parts.next()??;
        parts.try_fold(first, |sum, joules| Some(sum + joules?))
    }

    /// Where its energy comes from: it is estimated if any part of it is. None if no sensor is taken.
    pub fn provenance(&self, recording: &Recording) -> Option<Provenance> {
        self.taken.iter().map(|&place| recording.channels()[place].provenance).max()
    }

    /// The energy between two times; None if no sensor is taken.
    ///
    /// # Errors
    /// [`NoEnergy`] if one of the sensors has none: a part is not reported as the total.
    pub fn window(&self, recording: &Recording, from: f64, to: f64) -> Result<Option<TotalWindow>, NoEnergy> {
        let mut total: Option<TotalWindow> = None;
        for &place in &self.taken {
            let channel = &recording.channels()[place];
            let window =
                recording.window(place, from, to).map_err(|error| NoEnergy { id: channel.id.clone(), error })?;
            let part = TotalWindow {
                joules: window.energy.unwrap_or(f64::NAN),
                watts: window.mean,
                peak_watts: window.peak.unwrap_or(f64::NAN),
                readings: window.readings,
                provenance: channel.provenance,
            };
            total = Some(total.map_or(part, |total| total.with(part)));
        }
        Ok(total)
    }
}

/// The figures of the total between two times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TotalWindow {
    /// Energy, J.
    pub joules: f64,
    /// Mean power, W.
    pub watts: f64,
    /// The sum of the sensors' peak powers, W, which need not come at the same time.
    pub peak_watts: f64,
    /// The number of readings of the sensor that has the fewest.
    pub readings: usize,
    /// Where the energy comes from: it is estimated if any part of it is.
    pub provenance: Provenance,
}

impl TotalWindow {
    fn with(self, part: Self) -> Self {
        Self {
            joules: self.joules + part.joules,
            watts: self.watts + part.watts,
            peak_watts: self.peak_watts + part.peak_watts,
            readings: self.readings.min(part.readings),
            provenance: self.provenance.max(part.provenance),
        }
    }
}

/// Why the total has no energy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{id}: {error}")]
pub struct NoEnergy {
    /// The sensor that has none.
    pub id: ChannelId,
    /// The reason.
    pub error: WindowError,
}
