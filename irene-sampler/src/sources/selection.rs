//! Choosing what is sampled, and which of it is the meter.

use super::{KINDS, Kind, Places, Source, Unavailable, kind};
use crate::{Channel, Readings};

/// Sources to sample, of which some are the meter: only those have channels that are totals.
pub struct Selection {
    /// All of them.
    pub sources: Vec<Box<dyn Source>>,
    /// The names of those that are the meter; none if there is none.
    pub meters: Vec<&'static str>,
}

/// Probes, which are sampled whatever the meter is.
const PROBES: [&str; 2] = ["utilisation", "nvml"];

/// Meters of the processor and of GPUs: what they measure adds up.
const COMPONENTS: [&str; 2] = ["rapl", "nvml"];

impl Selection {
    /// The best that this machine has: the log of an external meter if one is named, else the meters of processors and GPUs, else
    /// other power sensors, else the estimate from thermal design power if that is given, else none.
    pub fn automatic(places: &Places) -> Self {
        // A meter that reads no energy is none: a GPU that tells only its utilisation.
        let reads_energy = |kind: &Kind| (kind.open)(places).is_ok_and(|source| has_total(&*source));
        let has = |name: &&str| kind(name).is_some_and(reads_energy);
        let choices: [&[&'static str]; 4] = [&["log"], &COMPONENTS, &["hwmon"], &["tdp"]];
        let available = |choice: &[&'static str]| choice.iter().copied().filter(has).collect::<Vec<_>>();
        let meters = choices.into_iter().map(available).find(|meters| !meters.is_empty()).unwrap_or_default();
        // It may be gone by now.
        Self::of(&meters, places).or_else(|_| Self::of(&[], places)).unwrap_or(Self { sources: Vec::new(), meters })
    }

    /// These meters, by the names of their kinds, and the probes that there are.
    ///
    /// # Errors
    /// [`Unavailable`] for a name that is no kind's, or a meter that cannot be had.
    pub fn of(meters: &[&str], places: &Places) -> Result<Self, Unavailable> {
        let mut selection = Self { sources: Vec::new(), meters: Vec::new() };
        for kind in KINDS {
            let is_meter = meters.contains(&kind.name);
            if !is_meter && !PROBES.contains(&kind.name) {
                continue;
            }
            match (kind.open)(places) {
                Ok(source) if is_meter => {
                    if !has_total(&*source) {
                        return Err(Unavailable::new(format!("{}: reads no energy", kind.name)));
                    }
                    selection.meters.push(kind.name);
                    selection.sources.push(source);
                }
                Ok(source) => selection.sources.push(Box::new(Probe::new(source))),
                Err(Unavailable { reason, fix }) if is_meter => {
                    return Err(Unavailable { reason: format!("{}: {reason}", kind.name), fix });
                }
                // A probe that is not there leaves its channels absent.
                Err(_) => {}
            }
        }
        match meters.iter().find(|name| kind(name).is_none()) {
            Some(name) => Err(unknown(name)),
            None => Ok(selection),
        }
    }
}

fn has_total(source: &dyn Source) -> bool {
    source.channels().iter().any(|channel| channel.is_total && channel.unit.is_energy())
}

fn unknown(name: &str) -> Unavailable {
    let known: Vec<&str> = KINDS.iter().map(|kind: &Kind| kind.name).filter(|name| *name != PROBES[0]).collect();
    Unavailable::new(format!("`{name}` is no meter; there are {}", known.join(", ")))
}

/// A source whose energies are read and are not the meter's.
struct Probe {
    source: Box<dyn Source>,
    channels: Vec<Channel>,
}

impl Probe {
    fn new(source: Box<dyn Source>) -> Self {
        let channels =
            source.channels().iter().cloned().map(|channel| Channel { is_total: false, ..channel }).collect();
        Self { source, channels }
    }
}

impl Source for Probe {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        self.source.sample(readings);
    }
}
