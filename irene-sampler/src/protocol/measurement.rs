use serde::{Deserialize, Serialize};

use super::{Estimate, Protocol};
use crate::{Provenance, Sampler, Unit, Window, WindowError};

/// What a closure costs, and everything that this rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Seconds of one run.
    pub latency: Estimate,
    /// Joules of one run, over the rounds in which the meter bore a figure; None if there is no such round.
    pub energy: Option<Estimate>,
    /// Where the energy comes from: estimated if any part of it is.
    pub provenance: Option<Provenance>,
    /// Why there is no energy, where there could be one.
    pub no_energy: Option<String>,
    /// Power before the first round, watts.
    pub idle_watts: Option<f64>,
    /// Runs in a round.
    pub repeats: u32,
    /// The rounds.
    pub rounds: Vec<Round>,
    /// Every channel over all rounds.
    pub channels: Vec<ChannelFigure>,
    /// Whether the intervals are as narrow as asked.
    pub reached_target: bool,
    /// Whether power was near idle power before every round, as far as both could be read.
    pub settled: bool,
    /// The settings.
    pub protocol: Protocol,
}

/// One round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Its duration.
    pub seconds: f64,
    /// Its energy.
    pub joules: Option<f64>,
    /// The peak of its power: the sum of the peaks of what makes up the energy, which need not come at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_watts: Option<f64>,
    /// The least number of readings that a part of the energy rests on.
    pub readings: Option<usize>,
}

/// A channel's mean over the rounds; a channel that had no readings in one is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelFigure {
    /// The channel's name.
    pub name: String,
    /// What the mean is counted in; of energy channels it is power in watts.
    pub unit: Unit,
    /// Mean over the rounds.
    pub mean: f64,
    /// Joules of one run, of energy channels.
    pub energy: Option<f64>,
    /// Whether it is part of the energy.
    pub is_total: bool,
}

impl Measurement {
    pub(super) fn new(protocol: &Protocol, sampler: &Sampler, repeats: u32, idle_watts: Option<f64>) -> Self {
        let provenance = sampler.look(|recording| {
            let channels = recording.channels().iter().filter(|channel| channel.is_total && channel.unit.is_energy());
            channels.map(|channel| channel.provenance).max()
        });
        Self {
            latency: Estimate { mean: f64::NAN, half_width: None },
            energy: None,
            provenance,
            no_energy: None,
            idle_watts,
            repeats,
            rounds: Vec::new(),
            channels: Vec::new(),
            reached_target: false,
            settled: true,
            protocol: protocol.clone(),
        }
    }

    /// Takes the round between two times into account.
    pub(super) fn add(&mut self, sampler: &Sampler, (start, end): (f64, f64), settled: bool) {
        let (channels, windows) = sampler.look(|recording| {
            let windows: Vec<_> =
                (0..recording.channels().len()).map(|place| recording.window(place, start, end)).collect();
            (recording.channels().to_vec(), windows)
        });
        self.settled &= settled;
        let energy = energy(&windows, &sampler.totals());
        if let Err((place, error)) = &energy {
            self.no_energy = Some(format!("{}, a round of {:.3} s: {error}", channels[*place].name, end - start));
        }
        let energy = energy.ok().flatten();
        let round = Round {
            seconds: end - start,
            joules: energy.map(|energy| energy.joules),
            peak_watts: energy.map(|energy| energy.peak_watts),
            readings: energy.map(|energy| energy.readings),
        };
        // Means over rounds, as far as a channel has been read in each.
        let done = self.rounds.len() as f64;
        let known = std::mem::take(&mut self.channels);
        for (channel, window) in channels.into_iter().zip(&windows) {
            let Ok(window) = window else { continue };
            let before = known.iter().find(|figure| figure.name == channel.name);
            if before.is_none() && done > 0.0 {
                continue;
            }
            let average = |so_far: f64, now: f64| (so_far * done + now) / (done + 1.0);
            let a_run = window.energy.map(|joules| joules / f64::from(self.repeats));
            self.channels.push(ChannelFigure {
                mean: average(before.map_or(0.0, |figure| figure.mean), window.mean),
                energy: a_run.map(|joules| average(before.and_then(|figure| figure.energy).unwrap_or(0.0), joules)),
                name: channel.name,
                unit: channel.unit,
                is_total: channel.is_total,
            });
        }
        self.rounds.push(round);
        self.summarise();
    }

    /// The peak of the power over all rounds that have an energy, watts. Its provenance is the energy's.
    pub fn peak_watts(&self) -> Option<f64> {
        self.rounds.iter().filter_map(|round| round.peak_watts).max_by(f64::total_cmp)
    }

    fn summarise(&mut self) {
        let repeats = f64::from(self.repeats);
        let latencies: Vec<f64> = self.rounds.iter().map(|round| round.seconds / repeats).collect();
        if let Some(latency) = Estimate::of(&latencies) {
            self.latency = latency;
        }
        // A round that a gap in the readings fell into tells the time and not the energy.
        let energies: Vec<f64> = self.rounds.iter().filter_map(|round| Some(round.joules? / repeats)).collect();
        self.energy = Estimate::of(&energies);
    }

    /// Whether time, and energy if there is a meter, are known to this share of their means.
    pub(super) fn is_within(&self, share: f64) -> bool {
        let has_meter = self.provenance.is_some();
        let energy = self.energy.map_or(!has_meter, |energy| energy.is_within(share));
        self.latency.is_within(share) && energy
    }

    pub(super) fn finished(mut self, protocol: &Protocol) -> Self {
        self.reached_target = self.rounds.len() >= protocol.least_rounds && self.is_within(protocol.target);
        if self.energy.is_some() {
            self.no_energy = None;
        }
        self
    }
}

/// What the meter's channels together say of a round.
#[derive(Clone, Copy)]
struct Metered {
    joules: f64,
    peak_watts: f64,
    /// The least that a part of them rests on.
    readings: usize,
}

/// Energy and power of a round; None without a meter.
fn energy(windows: &[Result<Window, WindowError>], totals: &[usize]) -> Result<Option<Metered>, (usize, WindowError)> {
    let mut sum: Option<Metered> = None;
    for &place in totals {
        let window = windows[place].map_err(|error| (place, error))?;
        let so_far = sum.unwrap_or(Metered { joules: 0.0, peak_watts: 0.0, readings: usize::MAX });
        sum = Some(Metered {
            joules: so_far.joules + window.energy.unwrap_or(0.0),
            peak_watts: so_far.peak_watts + window.peak.unwrap_or(0.0),
            readings: so_far.readings.min(window.readings),
        });
    }
    Ok(sum)
}
