//! Chooses the sensors to sample, and which of them are the meter.

use crate::{Channel, ChannelId, totals};

use super::{KINDS, Kind, Places, Sensor, Sensors, Unavailable, kind};

/// Sensors to sample, with the meter.
pub struct Selection {
    /// All of them.
    pub sensors: Sensors,
    /// The names of the kinds that make up the meter; empty if there is no meter.
    pub meters: Vec<&'static str>,
}

/// Probes, which are sampled whatever the meter is.
const PROBES: [&str; 2] = ["utilisation", "nvml"];

/// The meters to choose from, the best first. Those of processors and of GPUs add up.
const CHOICES: [&[&str]; 4] = [&["log"], &["nvml", "rapl"], &["hwmon"], &["tdp"]];

type Opened = (&'static str, Box<dyn Sensor>);

impl Selection {
    /// The best meter of this machine: the log of an external meter if one is named, else the meters of processors and GPUs, else
    /// other power sensors, else the estimate from thermal design power if that is given, else none.
    pub fn automatic(places: &Places) -> Self {
        let is_candidate = |kind: &&Kind| PROBES.contains(&kind.name) || CHOICES.concat().contains(&kind.name);
        let open = |kind: &Kind| Some((kind.name, (kind.open)(places).ok()?));
        let opened: Vec<Opened> = KINDS.iter().filter(is_candidate).filter_map(open).collect();
        let is_meter = |names: &[&str], (name, sensor): &Opened| names.contains(name) && reads_energy(&**sensor);
        let choice = CHOICES.into_iter().find(|names| opened.iter().any(|opened| is_meter(names, opened)));
        Self::new(opened, |opened| is_meter(choice.unwrap_or_default(), opened))
    }

    /// These meters, by the names of their kinds, and the probes of this machine.
    ///
    /// # Errors
    /// [`Unavailable`] for an unknown name, a meter that cannot be opened, and meters that may overlap.
    pub fn of(meters: &[&str], places: &Places) -> Result<Self, Unavailable> {
        if let Some(name) = meters.iter().find(|name| kind(name).is_none()) {
            return Err(unknown(name));
        }
        let mut opened: Vec<Opened> = Vec::new();
        for kind in KINDS {
            let is_meter = meters.contains(&kind.name);
            if !is_meter && !PROBES.contains(&kind.name) {
                continue;
            }
            match (kind.open)(places) {
                Ok(sensor) if is_meter && !reads_energy(&*sensor) => {
                    return Err(Unavailable::new(format!("{}: reads no energy", kind.name)));
                }
                Ok(sensor) => opened.push((kind.name, sensor)),
                Err(Unavailable { reason, fix }) if is_meter => {
                    return Err(Unavailable { reason: format!("{}: {reason}", kind.name), fix });
                }
                // The channels of a probe that cannot be opened are absent.
                Err(_) => {}
            }
        }
        let selection = Self::new(opened, |(name, _)| meters.contains(name));
        selection.check_overlaps()?;
        Ok(selection)
    }

    /// Parts what was opened into meters, probes and the rest, which is closed.
    fn new(opened: Vec<Opened>, is_meter: impl Fn(&Opened) -> bool) -> Self {
        let mut selection = Self { sensors: Sensors::default(), meters: Vec::new() };
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

    /// Refuses meters that would be added although only the maker of the board knows whether they overlap.
    fn check_overlaps(&self) -> Result<(), Unavailable> {
        let channels: Vec<Channel> = self.sensors.meters.iter().flat_map(|meter| meter.channels()).cloned().collect();
        let added: Vec<&ChannelId> = totals(&channels).into_iter().map(|place| &channels[place].id).collect();
        let is_unclear = |(a, b): &(&ChannelId, &ChannelId)| a.resource.covers(&b.resource).is_none();
        match added.iter().flat_map(|a| added.iter().map(move |b| (*a, *b))).find(is_unclear) {
            Some((a, b)) => {
                Err(Unavailable::new(format!("{a} and {b} may overlap, which only the maker of the board knows"))
                    .fixed_by("name one of the two meters alone"))
            }
            None => Ok(()),
        }
    }
}

fn reads_energy(sensor: &dyn Sensor) -> bool {
    sensor.channels().iter().any(|channel| channel.id.metric.is_energy())
}

fn unknown(name: &str) -> Unavailable {
    let known: Vec<&str> = KINDS.iter().map(|kind: &Kind| kind.name).filter(|name| *name != PROBES[0]).collect();
    Unavailable::new(format!("`{name}` is no meter; there are {}", known.join(", ")))
}
