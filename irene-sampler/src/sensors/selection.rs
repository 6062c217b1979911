//! Chooses the sensors to sample, and which of them are the meter.

use std::time::Duration;

use crate::{Channel, ChannelId, Clock, Findings, LeftOut, Need, Reach, Recorder, Resource, Total};

use super::{Choice, KINDS, Kind, Places, Sensor, Sensors, Unavailable, kind};

/// Sensors to sample, with the meter.
#[derive(Debug)]
pub struct Selection {
    /// All of them.
    pub sensors: Sensors,
    /// The names of the kinds that make up the meter; empty if there is no meter.
    pub meters: Vec<&'static str>,
    /// The kinds that this machine has and that would have come before the meter or beside it, each with the reason why not.
    pub passed_over: Vec<(&'static str, Unavailable)>,
}

/// Probes, which are sampled whatever the meter is.
const PROBES: [&str; 3] = ["utilisation", "nvml", "drm"];

/// The meters to choose from, the best first. Those of processors and of GPUs add up. A log can only be opened where it is named.
const CHOICES: [&[&str]; 6] = [&["log"], &["ipmi"], &["nvml", "drm", "rapl"], &["hwmon"], &["powermetrics"], &["tdp"]];

/// The logs of the whole computer.
const LOGS: [&str; 2] = ["log", "ipmi"];

/// Comes before every choice but the logs of the whole computer where it measures a whole computer module, of which a GPU is a part.
const MODULE: &[&str] = &["hwmon"];

/// The kinds whose sensors are tried before they are believed: counters inside the machine.
const TRIED: [&str; 4] = ["nvml", "drm", "rapl", "hwmon"];

type Opened = (&'static str, Box<dyn Sensor>);

impl Selection {
    /// The best meter of this machine: the log of an external meter if one is named, else the meters of processors and GPUs, else
    /// other power sensors, else the estimate from thermal design power if that is given, else none.
    ///
    /// Counters are read for a moment first: those that cannot be right are left out. It blocks meanwhile, up to three seconds where one
    /// stands still.
    pub fn automatic(places: &Places) -> Self {
        let is_candidate = |kind: &&Kind| PROBES.contains(&kind.name) || CHOICES.concat().contains(&kind.name);
        let (mut opened, mut passed_over): (Vec<Opened>, _) = (Vec::new(), Vec::new());
        for kind in KINDS.iter().filter(is_candidate) {
            match (kind.open)(places) {
                Ok(sensor) => opened.push((kind.name, sensor)),
                Err(why) if why.is_there => passed_over.push((kind.name, why)),
                Err(_) => {}
            }
        }
        let (opened, trial) = Trial::of(opened, Findings::default());
        let mut usable = Vec::new();
        for (name, sensor) in opened.iter().filter(|(_, sensor)| reads_energy(&**sensor)) {
            match trial.check(&**sensor) {
                Ok(()) => usable.push(*name),
                Err(reason) => passed_over.push((*name, reason)),
            }
        }
        let is_usable = |names: &[&str]| names.iter().any(|name| usable.contains(name));
        let is_module = |(name, sensor): &Opened| MODULE.contains(name) && sees_a_module(&**sensor);
        let module = Some(MODULE).filter(|names| is_usable(names) && opened.iter().any(is_module));
        let first = CHOICES.into_iter().find(|names| is_usable(names));
        let choice = first.filter(|names| LOGS.contains(&names[0])).or(module).or(first);
        // Sensors after the choice were not wanted.
        let rank = |name: &str| CHOICES.iter().position(|names| names.contains(&name));
        let chosen = choice.and_then(|names| rank(names[0]));
        passed_over.retain(|(name, _)| chosen.is_none_or(|chosen| rank(name).is_some_and(|rank| rank <= chosen)));
        let is_meter = |(name, _): &Opened| choice.unwrap_or_default().contains(name) && usable.contains(name);
        Self { passed_over, ..Self::new(opened, trial.findings.clone(), is_meter) }
    }

    /// These meters, and the probes of this machine. A meter is the name of a kind, or of a single sensor of a kind: `rapl:package-0`,
    /// `nvml:0`, `hwmon:corsairpsu/power-total`. It blocks while counters are read for a moment, as in [`automatic`](Self::automatic).
    ///
    /// # Errors
    /// [`Unavailable`] for an unknown name, a meter that cannot be opened or whose counters cannot be right, and meters that may overlap.
    pub fn of(meters: &[&str], places: &Places) -> Result<Self, Unavailable> {
        let mut names = Vec::new();
        let mut choices = Vec::new();
        for meter in meters {
            let (name, sensor) = meter.split_once(':').map_or((*meter, None), |(name, sensor)| (name, Some(sensor)));
            if kind(name).is_none() {
                return Err(unknown(meter));
            }
            names.push(name);
            if let Some(sensor) = sensor {
                choices.push(Choice::new(name, sensor).ok_or_else(|| unknown(meter))?);
            }
        }
        let opened = open_named(&names, places)?;
        let is_meter = |(name, _): &Opened| names.contains(name);
        for choice in &choices {
            choice.check(opened.iter().filter(|opened| is_meter(opened)).flat_map(|(_, sensor)| sensor.channels()))?;
        }
        let (opened, trial) = Trial::of(opened, Findings { choices, ..Findings::default() });
        for (name, sensor) in opened.iter().filter(|opened| is_meter(opened)) {
            trial.check(&**sensor).map_err(|why| of_kind(name, why))?;
        }
        let selection = Self::new(opened, trial.findings.clone(), is_meter);
        selection.check_overlaps()?;
        Ok(selection)
    }

    /// Parts what was opened into meters, probes and the rest, which is closed.
    fn new(opened: Vec<Opened>, findings: Findings, is_meter: impl Fn(&Opened) -> bool) -> Self {
        let sensors = Sensors { findings, ..Sensors::default() };
        let mut selection = Self { sensors, meters: Vec::new(), passed_over: Vec::new() };
        for opened in opened {
            if is_meter(&opened) {
                selection.meters.push(opened.0);
                selection.sensors.meters.push(opened.1);
            } else if PROBES.contains(&opened.0) {
                selection.sensors.probes.push(opened.1);
            }
        }
        selection
    }

    /// Refuses meters of which one would be left out because only the maker of the board knows whether they overlap.
    fn check_overlaps(&self) -> Result<(), Unavailable> {
        let total = self.sensors.total();
        let is_platform = |id: &ChannelId| matches!(id.resource, Resource::Platform(_));
        // The platform has its packages in its place.
        let unclear = total.sensors().find_map(|(id, left_out)| match left_out {
            Some(LeftOut::MayOverlap(other)) if !is_platform(id) => Some((id, other)),
            _ => None,
        });
        match unclear {
            Some((a, b)) => {
                Err(Unavailable::new(format!("{b} and {a} may overlap, which only the maker of the board knows"))
                    .fixed_by(
                        "name one of the two meters alone, or sensors that you know to be apart (hwmon:CHIP/LABEL)",
                    ))
            }
            None => Ok(()),
        }
    }
}

impl Sensors {
    /// The sensors that make up the total, as far as it is known before they are read.
    pub fn total(&self) -> Total {
        total_of(self.meters.iter().map(|meter| &**meter), &self.findings)
    }
}

fn total_of<'a>(meters: impl Iterator<Item = &'a dyn Sensor> + Clone, findings: &Findings) -> Total {
    let channels: Vec<Channel> = meters.clone().flat_map(Sensor::channels).cloned().collect();
    let missing: Vec<_> = meters.flat_map(Sensor::missing).cloned().collect();
    Total::of(&channels, 0, findings, &missing)
}

/// Opens the probes, and the meters by the names of their kinds.
fn open_named(names: &[&str], places: &Places) -> Result<Vec<Opened>, Unavailable> {
    let mut opened: Vec<Opened> = Vec::new();
    for kind in KINDS {
        let is_meter = names.contains(&kind.name);
        if !is_meter && !PROBES.contains(&kind.name) {
            continue;
        }
        match (kind.open)(places) {
            Ok(sensor) if is_meter && !reads_energy(&*sensor) => {
                return Err(Unavailable::new(format!("{}: reads no energy", kind.name)));
            }
            Ok(sensor) => opened.push((kind.name, sensor)),
            Err(why) if is_meter => return Err(of_kind(kind.name, why)),
            // The channels of a probe that cannot be opened are absent.
            Err(_) => {}
        }
    }
    Ok(opened)
}

fn of_kind(name: &str, why: Unavailable) -> Unavailable {
    Unavailable { reason: format!("{name}: {}", why.reason), ..why }
}

/// A short reading of the counters inside the machine.
struct Trial {
    findings: Findings,
    /// The counters that stood still, and for how long, seconds.
    still: Vec<(ChannelId, f64)>,
}

impl Trial {
    /// The time between samples.
    const PERIOD: Duration = Duration::from_millis(5);

    /// Readings of each channel that are kept: those of the longest trial.
    const READINGS: usize = 1 << 10;

    /// Reads the sensors whose kinds are tried, until their readings tell enough. Gives the sensors back in their order.
    fn of(opened: Vec<Opened>, findings: Findings) -> (Vec<Opened>, Self) {
        let is_tried = |(name, sensor): &Opened| TRIED.contains(name) && reads_energy(&**sensor);
        let (tried, rest): (Vec<Opened>, Vec<Opened>) = opened.into_iter().partition(is_tried);
        let (names, meters): (Vec<&str>, Vec<Box<dyn Sensor>>) = tried.into_iter().unzip();
        let sensors = Sensors { meters, findings, ..Sensors::default() };
        let mut recorder = Recorder::new(sensors, Self::READINGS);
        let clock = Clock::new();
        loop {
            recorder.sample_at(clock.stamp());
            let evidence = recorder.recording().evidence();
            if evidence.is_enough() || clock.now() > evidence.patience() + 2.0 * Self::PERIOD.as_secs_f64() {
                break;
            }
            std::thread::sleep(Self::PERIOD);
        }
        let recording = recorder.recording();
        let evidence = recording.evidence();
        let channels = recording.channels().iter().enumerate();
        let still = channels.filter_map(|(place, channel)| Some((channel.id.clone(), evidence.stands_still(place)?)));
        let trial = Self { findings: evidence.added_to(recording.findings()), still: still.collect() };
        let tried = names.into_iter().zip(recorder.into_sensors());
        let mut opened: Vec<Opened> = rest.into_iter().chain(tried).collect();
        opened.sort_by_key(|(name, _)| KINDS.iter().position(|kind| kind.name == *name));
        (opened, trial)
    }

    /// Why a sensor alone would give no total.
    fn check(&self, sensor: &dyn Sensor) -> Result<(), Unavailable> {
        let total = total_of(std::iter::once(sensor), &self.findings);
        if let Some(missing) = total.missing().iter().find(|missing| missing.need == Need::Essential) {
            return Err(missing.why.clone());
        }
        for (id, left_out) in total.sensors() {
            let still = self.still.iter().find(|(still, _)| still == id);
            if let (None, Some((_, seconds))) = (left_out, still) {
                return Err(Unavailable::new(format!("{id} {}", LeftOut::StandsStill(*seconds))));
            }
        }
        if total.taken().is_empty() {
            let left_out = total.sensors().find_map(|(id, left_out)| match left_out? {
                LeftOut::PartOf(_) | LeftOut::SameAs(_) | LeftOut::NotNamed => None,
                left_out => Some(format!("{id} {left_out}")),
            });
            let reason = left_out.unwrap_or_else(|| "no sensor of it counts".into());
            return Err(Unavailable::new(reason).fixed_by(
                "`irene doctor` lists its sensors; name those that count, such as rapl:package-0 or hwmon:CHIP/LABEL",
            ));
        }
        Ok(())
    }
}

fn reads_energy(sensor: &dyn Sensor) -> bool {
    sensor.channels().iter().any(|channel| channel.id.metric.is_energy())
}

fn sees_a_module(sensor: &dyn Sensor) -> bool {
    sensor.channels().iter().any(|channel| channel.reach == Reach::Module)
}

fn unknown(name: &str) -> Unavailable {
    let known: Vec<&str> = KINDS.iter().map(|kind: &Kind| kind.name).filter(|name| *name != PROBES[0]).collect();
    Unavailable::new(format!("`{name}` is no meter; there are {}", known.join(", ")))
}
