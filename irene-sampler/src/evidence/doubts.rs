//! A self-check of the sensors over a stretch of time: counters against the powers of the same devices, wholes against their parts, and all
//! of them against physics.

use std::{fmt, time::Duration};

use super::Evidence;
use crate::{
    Averaging, Channel, ChannelId, Metric, Provenance, Reach, Recording, Resource, SocPart, total::rules::is_counter,
};

/// A counter and the power of its device may differ by this share.
const LARGEST_DIFFERENCE: f64 = 0.1;

/// A power that is a mean over an unknown time is taken to lag so far behind, seconds.
const UNKNOWN_LAG: f64 = 1.0;

/// A running device draws more, watts.
const LEAST_WATTS: f64 = 0.01;

/// The limits of devices hold for means over seconds; so many times the limit is too much for any.
const ABOVE_CAP: f64 = 1.25;

/// A whole may read this share of the sum of its parts: they are not read at the same moment.
const LEAST_SHARE: f64 = 0.9;

/// A processor with all its cores at work draws at least so many times what it draws at rest.
const LEAST_RISE: f64 = 1.1;

/// The load is one if the processors are busier by so many percent.
const LEAST_LOAD: f64 = 30.0;

/// The first part of a load is not judged: clocks and sensors follow it with a delay.
const LOAD_RAMP: Duration = Duration::from_millis(500);

/// Something about sensors that cannot be right, with what it means.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Doubt {
    /// A counter and the power of one device differ.
    Disagree {
        /// The counter.
        counter: ChannelId,
        /// Its count, J.
        joules: f64,
        /// The integral of the power, J.
        integral: f64,
    },
    /// A sensor of something that runs reads nothing.
    ReadsNothing {
        /// The sensor.
        id: ChannelId,
        /// For so many seconds.
        seconds: f64,
    },
    /// A sensor reads more than the device's own limit lets it draw.
    AboveLimit {
        /// The sensor.
        id: ChannelId,
        /// Its mean power, W.
        watts: f64,
        /// The limit, W.
        cap_watts: f64,
    },
    /// A whole reads less than its parts.
    BelowItsParts {
        /// The whole.
        id: ChannelId,
        /// Its mean power, W.
        watts: f64,
        /// The parts.
        parts: Vec<ChannelId>,
        /// The sum of theirs, W.
        parts_watts: f64,
    },
    /// A sensor of the processors does not see that they work.
    BlindToLoad {
        /// The sensor.
        id: ChannelId,
        /// Its mean power at rest, W.
        rest_watts: f64,
        /// Its mean power at work, W.
        work_watts: f64,
    },
    /// The machine was not at rest, so the load says nothing.
    NoRest {
        /// How busy it was before the load, percent.
        rest: f64,
        /// How busy it was under it, percent.
        work: f64,
    },
}

impl Doubt {
    /// The sensor in doubt, if it is one.
    pub fn id(&self) -> Option<&ChannelId> {
        match self {
            Self::Disagree { counter: id, .. }
            | Self::ReadsNothing { id, .. }
            | Self::AboveLimit { id, .. }
            | Self::BelowItsParts { id, .. }
            | Self::BlindToLoad { id, .. } => Some(id),
            Self::NoRest { .. } => None,
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disagree { counter, joules, integral } => write!(
                f,
                "{}: the counter says {joules:.1} J and the power sums up to {integral:.1} J: one of the two is wrong, and only \
                 another meter tells which",
                counter.resource
            ),
            Self::ReadsNothing { id, seconds } => write!(
                f,
                "{id} reads 0 W for {seconds:.1} s, and what runs draws power: the sensor is not connected or not supported"
            ),
            Self::AboveLimit { id, watts, cap_watts } => write!(
                f,
                "{id} reads {watts:.1} W on average, and the device's own limit is {cap_watts:.1} W: it counts in another unit, or more \
                 than the device"
            ),
            Self::BelowItsParts { id, watts, parts, parts_watts } => {
                let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "{id} reads {watts:.1} W, and {} inside it {parts_watts:.1} W: it does not count all that it is said to, or lags",
                    parts.join(" + ")
                )
            }
            Self::BlindToLoad { id, rest_watts, work_watts } => write!(
                f,
                "{id} reads {rest_watts:.1} W at rest and {work_watts:.1} W with all processors at work: it does not see them, or too \
                 late for windows of seconds"
            ),
            Self::NoRest { rest, work } => write!(
                f,
                "the processors were {rest:.0}% busy before the load and {work:.0}% under it: the load tells nothing; stop what else runs"
            ),
        }
    }
}

impl Recording {
    /// Readings between two times that cannot be right.
    pub fn doubts(&self, from: f64, to: f64) -> Vec<Doubt> {
        let check = Check { evidence: self.evidence(), recording: self };
        let places = check.measured();
        let mut doubts = check.disagreements(&places, from, to);
        for &place in &places {
            doubts.extend(check.doubt_of(place, from, to));
        }
        doubts.extend(places.iter().filter_map(|&place| check.below_its_parts(place, &places, from, to)));
        doubts
    }

    /// Readings of processors' sensors that cannot be right, by a stretch of rest and one in which all processors worked, each with its
    /// start and its end. The first half second of the work is left out.
    pub fn doubts_of_load(&self, rest: (f64, f64), work: (f64, f64)) -> Vec<Doubt> {
        let check = Check { evidence: self.evidence(), recording: self };
        let work = (work.0 + LOAD_RAMP.as_secs_f64(), work.1);
        if let (Some(rest), Some(work)) = (check.utilisation(rest), check.utilisation(work))
            && work - rest < LEAST_LOAD
        {
            return vec![Doubt::NoRest { rest, work }];
        }
        check.measured().into_iter().filter_map(|place| check.blind(place, rest, work)).collect()
    }
}

struct Check<'a> {
    evidence: Evidence<'a>,
    recording: &'a Recording,
}

impl Check<'_> {
    fn channel(&self, place: usize) -> &Channel {
        &self.recording.channels()[place]
    }

    fn id(&self, place: usize) -> ChannelId {
        self.channel(place).id.clone()
    }

    /// The sensors of energy and power, be they part of the meter or not.
    fn measured(&self) -> Vec<usize> {
        let channels = self.recording.channels().iter().enumerate();
        let is_measured =
            |channel: &Channel| channel.id.metric.is_energy() && channel.provenance == Provenance::Measured;
        channels.filter(|(_, channel)| is_measured(channel)).map(|(place, _)| place).collect()
    }

    fn watts(&self, place: usize, from: f64, to: f64) -> Option<f64> {
        Some(self.recording.window(place, from, to).ok()?.mean)
    }

    /// Percent of the processors.
    fn utilisation(&self, (from, to): (f64, f64)) -> Option<f64> {
        let is_it =
            |channel: &Channel| channel.id.resource == Resource::Host && channel.id.metric == Metric::Utilisation;
        let place = self.recording.channels().iter().position(is_it)?;
        self.watts(place, from, to)
    }

    /// Counters whose devices also tell their power, and another one.
    fn disagreements(&self, places: &[usize], from: f64, to: f64) -> Vec<Doubt> {
        let counters = places.iter().copied().filter(|&place| is_counter(self.channel(place)));
        let power_of = |counter: usize| {
            let is_its = |&place: &usize| {
                !is_counter(self.channel(place)) && self.channel(place).id.resource == self.channel(counter).id.resource
            };
            places.iter().copied().find(is_its)
        };
        counters.filter_map(|counter| self.disagreement(counter, power_of(counter)?, from, to)).collect()
    }

    fn disagreement(&self, counter: usize, power: usize, from: f64, to: f64) -> Option<Doubt> {
        let joules = self.recording.window(counter, from, to).ok()?.energy?;
        let window = self.recording.window(power, from, to).ok()?;
        let integral = window.energy?;
        // While the power changes, what lags shows what was before.
        let lag = match self.channel(power).averaging {
            Averaging::Unknown => UNKNOWN_LAG,
            averaging => averaging.seconds().max(self.recording.series(power).update_period().unwrap_or(0.0)),
        };
        let allowed = LARGEST_DIFFERENCE * joules.max(integral) + lag * (window.max - window.min);
        let differ = (joules - integral).abs() > allowed;
        differ.then(|| Doubt::Disagree { counter: self.id(counter), joules, integral })
    }

    /// A sensor alone against physics.
    fn doubt_of(&self, place: usize, from: f64, to: f64) -> Option<Doubt> {
        if self.is_always_on(place)
            && let Some(seconds) = self.reads_nothing(place, from, to)
        {
            return Some(Doubt::ReadsNothing { id: self.id(place), seconds });
        }
        let (watts, cap_watts) = (self.watts(place, from, to)?, self.channel(place).cap_watts?);
        let is_above = watts > ABOVE_CAP * cap_watts;
        is_above.then(|| Doubt::AboveLimit { id: self.id(place), watts, cap_watts })
    }

    /// For how long a sensor has read nothing, seconds.
    fn reads_nothing(&self, place: usize, from: f64, to: f64) -> Option<f64> {
        if is_counter(self.channel(place)) {
            return self.evidence.stands_still(place);
        }
        let window = self.recording.window(place, from, to).ok()?;
        (window.max < LEAST_WATTS).then_some(to - from)
    }

    /// Whether it measures something that draws power as long as the machine runs.
    fn is_always_on(&self, place: usize) -> bool {
        let channel = self.channel(place);
        let of_board = matches!(channel.reach, Reach::Computer | Reach::Processor);
        match channel.id.resource {
            Resource::Host | Resource::Meter(_) | Resource::Package(_) | Resource::Apu(_) => true,
            Resource::Gpu(_) | Resource::Card(_) | Resource::Soc(SocPart::All) => true,
            Resource::Board { .. } => of_board,
            _ => false,
        }
    }

    fn below_its_parts(&self, outer: usize, places: &[usize], from: f64, to: f64) -> Option<Doubt> {
        let parts = self.evidence.parts_of_any(outer, places);
        let watts = self.watts(outer, from, to)?;
        let known: Vec<(usize, f64)> =
            parts.into_iter().filter_map(|part| Some((part, self.watts(part, from, to)?))).collect();
        let parts_watts: f64 = known.iter().map(|(_, watts)| watts).sum();
        (watts < LEAST_SHARE * parts_watts).then(|| Doubt::BelowItsParts {
            id: self.id(outer),
            watts,
            parts: known.iter().map(|(part, _)| self.id(*part)).collect(),
            parts_watts,
        })
    }

    /// A sensor that ought to show the load and does not. The whole computer must not read less than at rest; nobody knows how much its
    /// processors are of it.
    fn blind(&self, place: usize, rest: (f64, f64), work: (f64, f64)) -> Option<Doubt> {
        let channel = self.channel(place);
        let least_rise = match (&channel.id.resource, &channel.reach) {
            (Resource::Package(_) | Resource::Cores(_) | Resource::Apu(_), _) => LEAST_RISE,
            (Resource::Board { .. }, Reach::Processor) => LEAST_RISE,
            (Resource::Host | Resource::Meter(_) | Resource::Platform(0), _) => 1.0,
            (Resource::Board { .. }, Reach::Computer | Reach::Module) => 1.0,
            _ => return None,
        };
        let (rest_watts, work_watts) = (self.watts(place, rest.0, rest.1)?, self.watts(place, work.0, work.1)?);
        (work_watts <= least_rise * rest_watts).then(|| Doubt::BlindToLoad {
            id: self.id(place),
            rest_watts,
            work_watts,
        })
    }
}
