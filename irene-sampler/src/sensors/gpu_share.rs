//! This process's part of the GPUs' energy, by its share of their multiprocessors' (SM) time.

use std::path::PathBuf;

use nvml_wrapper::{Device, Nvml, error::NvmlError};

use crate::{Metric, counter::Counter};

use super::{Places, Unavailable, nvml};

/// A driver renews a share within this time, seconds.
const RENEWED: f64 = 2.0;

/// The cards that this process sees.
pub(super) struct GpuShare {
    nvml: Nvml,
    proc: PathBuf,
    cards: Vec<Card>,
}

struct Card {
    index: u32,
    meter: Meter,
    /// The driver's time of the newest utilisation so far, microseconds.
    seen: u64,
    /// This process's share, None if unknown, and the time of it.
    share: (Option<f64>, f64),
}

enum Meter {
    Counter(Counter),
    /// For cards without a counter, with time and watts of the last reading.
    Power(Option<(f64, f64)>),
}

impl GpuShare {
    /// None if there is no GPU.
    pub(super) fn open(places: &Places) -> Result<Option<Self>, Unavailable> {
        let Some((nvml, indices)) = nvml::library_if_any(places)? else { return Ok(None) };
        let mut cards = Vec::new();
        for index in indices {
            let meter = nvml.device_by_index(index).and_then(|card| Meter::of(&card, index));
            let meter = meter.map_err(|error| nvml::refusal(&format!("GPU {index}, shares of processes"), &error))?;
            cards.push(Card { index, meter, seen: 0, share: (Some(0.0), f64::NEG_INFINITY) });
        }
        Ok(Some(Self { nvml, proc: places.proc.clone(), cards }))
    }

    /// Joules of this process since the last call; None if unknown.
    pub(super) fn read(&mut self, time: f64) -> Option<f64> {
        let mut known = Some(0.0);
        for card in &mut self.cards {
            let device = self.nvml.device_by_index(card.index);
            let joules = device.as_ref().ok().and_then(|device| {
                let used = card.meter.read(device, time);
                Some(used? * card.share(device, time, |pid| self.proc.join(pid.to_string()).exists())?)
            });
            known = known.zip(joules).map(|(known, joules)| known + joules);
        }
        known
    }
}

impl Meter {
    fn of(card: &Device<'_>, index: u32) -> Result<Self, NvmlError> {
        match card.process_utilization_stats(0) {
            // NotFound means that no process is using the card.
            Ok(_) | Err(NvmlError::NotFound) => {}
            Err(error) => return Err(error),
        }
        match card.total_energy_consumption() {
            // A counter that was never fed shows 0 for ever.
            Ok(0) if card.power_usage().is_ok() => Ok(Self::Power(None)),
            Ok(_) => Ok(Self::Counter(Counter::of(&nvml::channel(card, index, Metric::Energy)))),
            Err(NvmlError::NotSupported) => card.power_usage().map(|_| Self::Power(None)),
            Err(error) => Err(error),
        }
    }

    /// Joules of the card since the last reading; 0 at the first.
    fn read(&mut self, card: &Device<'_>, time: f64) -> Option<f64> {
        match self {
            Self::Counter(counter) => counter.advance(time, card.total_energy_consumption().ok()? as f64 / nvml::MILLI),
            Self::Power(last) => {
                let watts = f64::from(card.power_usage().ok()?) / nvml::MILLI;
                let (last_time, last_watts) = last.replace((time, watts)).unwrap_or((time, watts));
                Some((watts + last_watts) / 2.0 * (time - last_time))
            }
        }
    }
}

impl Card {
    /// This process's share of the multiprocessors' busy time; 0 if nobody uses the card.
    fn share(&mut self, card: &Device<'_>, time: f64, is_process: impl Fn(u32) -> bool) -> Option<f64> {
        let samples = match card.process_utilization_stats(self.seen) {
            Err(NvmlError::NotFound) => Vec::new(),
            samples => samples.ok()?,
        };
        if samples.is_empty() {
            let (share, told) = self.share;
            return if time - told > RENEWED { Some(0.0) } else { share };
        }
        self.seen = samples.iter().map(|sample| sample.timestamp).fold(self.seen, u64::max);
        let busy = |of: &dyn Fn(u32) -> bool| -> u32 {
            samples.iter().filter(|sample| of(sample.pid)).map(|sample| sample.sm_util).sum()
        };
        let (own, all) = (busy(&|pid| pid == std::process::id()), busy(&|_| true));
        // The driver numbers processes as the host does: in a container with numbers of its own this process cannot be found.
        let foreign = own == 0 && samples.iter().any(|sample| sample.sm_util > 0 && !is_process(sample.pid));
        let share = if all == 0 { 0.0 } else { f64::from(own) / f64::from(all) };
        self.share = ((!foreign).then_some(share), time);
        self.share.0
    }
}
