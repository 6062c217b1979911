use serde::{Deserialize, Serialize};

use super::{MOST_RETRIES, Mean, MeasuringProtocol};
use crate::{ChannelId, NoEnergy, Provenance, Recording, Sampler};

/// A closure's cost in time and energy, with how it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measurement {
    /// Seconds of one run.
    pub latency: Mean,
    /// Joules of one run, over the rounds in which the meter gave an energy; None if there is no such round.
    pub energy: Option<Mean>,
    /// Where the energy comes from: it is estimated if any part of it is.
    pub provenance: Option<Provenance>,
    /// Why there is no energy, if there is a meter.
    pub no_energy: Option<String>,
    /// Power before the first round, watts.
    pub idle_watts: Option<f64>,
    /// Runs in a round.
    pub repeats: u32,
    /// The rounds.
    pub rounds: Vec<Round>,
    /// The mean of each channel over all rounds.
    pub channels: Vec<ChannelFigure>,
    /// Whether the intervals are as narrow as the protocol asks.
    pub reached_target: bool,
    /// Whether power was near idle power before every round, where both could be read.
    pub settled: bool,
    /// How often it began again, because the meter turned out to need longer rounds.
    #[serde(default)]
    pub restarts: usize,
    /// The settings.
    pub protocol: MeasuringProtocol,
}

/// One round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Round {
    /// Its duration.
    pub seconds: f64,
    /// Its energy.
    pub joules: Option<f64>,
    /// Its peak power: the sum of the peaks of the meter's channels, which need not come at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_watts: Option<f64>,
    /// The number of readings of the meter's channel that has the fewest.
    pub readings: Option<usize>,
}

/// A channel's mean over the rounds. A channel without readings in one of them is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChannelFigure {
    /// The channel.
    #[serde(flatten)]
    pub id: ChannelId,
    /// Mean over the rounds, in the channel's unit; for energy it is power in watts.
    pub mean: f64,
    /// Joules of one run, for power and energy.
    pub energy: Option<f64>,
    /// Whether it is part of the energy.
    pub is_total: bool,
}

impl Measurement {
    pub(super) fn new(protocol: &MeasuringProtocol, sampler: &Sampler, repeats: u32, idle_watts: Option<f64>) -> Self {
        let provenance = sampler.look(|recording| recording.total().provenance(recording));
        Self {
            latency: Mean { mean: f64::NAN, half_width: None },
            energy: None,
            provenance,
            no_energy: None,
            idle_watts,
            repeats,
            rounds: Vec::new(),
            channels: Vec::new(),
            reached_target: false,
            settled: true,
            restarts: 0,
            protocol: protocol.clone(),
        }
    }

    /// Adds the round between two times.
    pub(super) fn add(&mut self, sampler: &Sampler, (start, end): (f64, f64), settled: bool) {
        self.settled &= settled;
        let round = sampler.look(|recording| {
            self.average(recording, start, end);
            Round::metered(recording, start, end)
        });
        self.rounds.push(round.unwrap_or_else(|NoEnergy { id, error }| {
            self.no_energy = Some(format!("{id}, a round of {:.3} s: {error}", end - start));
            Round::of(end - start)
        }));
        self.summarise();
    }

    /// Begins again, a few times at most, if a round is shorter than the meter needs, seconds, which was not known
    /// then: it has no energy, or one that rests on too few readings.
    pub(super) fn begin_again_if_short(&mut self, shortest: f64) -> bool {
        let is_short = |round: &Round| round.seconds < shortest;
        if self.restarts == MOST_RETRIES || !self.rounds.iter().any(is_short) {
            return false;
        }
        self.rounds.clear();
        self.channels.clear();
        (self.energy, self.no_energy, self.settled) = (None, None, true);
        self.restarts += 1;
        true
    }

    /// Takes a round into the means of the channels that were read in every round.
    fn average(&mut self, recording: &Recording, start: f64, end: f64) {
        let done = self.rounds.len() as f64;
        let known = std::mem::take(&mut self.channels);
        for (place, channel) in recording.channels().iter().enumerate() {
            let Ok(window) = recording.window(place, start, end) else { continue };
            let before = known.iter().find(|figure| figure.id == channel.id);
            if before.is_none() && done > 0.0 {
                continue;
            }
            let average = |so_far: Option<f64>, now: f64| (so_far.unwrap_or(0.0) * done + now) / (done + 1.0);
            let a_run = window.energy.map(|joules| joules / f64::from(self.repeats));
            self.channels.push(ChannelFigure {
                id: channel.id.clone(),
                mean: average(before.map(|figure| figure.mean), window.mean),
                energy: a_run.map(|joules| average(before.and_then(|figure| figure.energy), joules)),
                is_total: recording.totals().contains(&place),
            });
        }
    }

    /// The peak power of all rounds that have an energy, watts. Its provenance is that of the energy.
    pub fn peak_watts(&self) -> Option<f64> {
        self.rounds.iter().filter_map(|round| round.peak_watts).max_by(f64::total_cmp)
    }

    fn summarise(&mut self) {
        let repeats = f64::from(self.repeats);
        let latencies: Vec<f64> = self.rounds.iter().map(|round| round.seconds / repeats).collect();
        if let Some(latency) = Mean::of(&latencies) {
            self.latency = latency;
        }
        // A round with a gap in the readings has a time and no energy.
        let energies: Vec<f64> = self.rounds.iter().filter_map(|round| Some(round.joules? / repeats)).collect();
        self.energy = Mean::of(&energies);
    }

    /// Whether time, and energy if there is a meter, are known to this share of their means.
    pub(super) fn is_within(&self, share: f64) -> bool {
        let has_meter = self.provenance.is_some();
        let energy = self.energy.map_or(!has_meter, |energy| energy.is_within(share));
        self.latency.is_within(share) && energy
    }

    pub(super) fn finished(mut self, protocol: &MeasuringProtocol) -> Self {
        self.reached_target = self.rounds.len() >= protocol.least_rounds && self.is_within(protocol.target);
        if self.energy.is_some() {
            self.no_energy = None;
        }
        self
    }
}

impl Round {
    /// A round without an energy.
    fn of(seconds: f64) -> Self {
        Self { seconds, joules: None, peak_watts: None, readings: None }
    }

    /// The round between two times, with the energy of the meter if there is one.
    fn metered(recording: &Recording, start: f64, end: f64) -> Result<Self, NoEnergy> {
        let total = recording.total().window(recording, start, end)?;
        Ok(total.map_or(Self::of(end - start), |total| Self {
            joules: Some(total.joules),
            peak_watts: Some(total.peak_watts),
            readings: Some(total.readings),
            ..Self::of(end - start)
        }))
    }
}
