//! The part of some processes in the time of the GPUs' multiprocessors (SM).

use std::path::PathBuf;

use nvml_wrapper::{Device, Nvml, error::NvmlError};

use super::Idle;
use crate::sensors::{Places, Unavailable, nvml};

/// A driver renews a share within this time, seconds.
const RENEWED: f64 = 2.0;

/// NVML tells shares of time in percent.
const WHOLE: u32 = 100;

/// The cards whose energy is shared out.
pub(super) struct GpuShare {
    nvml: Nvml,
    proc: PathBuf,
    cards: Vec<Card>,
}

struct Card {
    index: u32,
    /// The driver's time of the newest utilisation so far, microseconds.
    seen: u64,
    /// The processes' share, None if unknown, and the time of it.
    share: (Option<f64>, f64),
}

impl GpuShare {
    /// None without any card.
    pub(super) fn open(places: &Places, indices: impl Iterator<Item = u32>) -> Result<Option<Self>, Unavailable> {
        let mut indices = indices.peekable();
        if indices.peek().is_none() {
            return Ok(None);
        }
        let Some(nvml) = nvml::library_if_any(places)? else { return Ok(None) };
        let mut cards = Vec::new();
        for index in indices {
            match nvml.device_by_index(index).and_then(|card| card.process_utilization_stats(0)) {
                // NotFound means that no process is using the card.
                Ok(_) | Err(NvmlError::NotFound) => {}
                Err(error) => return Err(nvml::refusal(&format!("GPU {index}, shares of processes"), &error)),
            }
            cards.push(Card { index, seen: 0, share: (Some(0.0), f64::NEG_INFINITY) });
        }
        Ok(Some(Self { nvml, proc: places.proc.clone(), cards }))
    }

    /// The share of some processes in a card; None if unknown.
    pub(super) fn share(
        &mut self,
        index: u32,
        time: f64,
        idle: Idle,
        is_own: &mut dyn FnMut(u32) -> bool,
    ) -> Option<f64> {
        let card = self.cards.iter_mut().find(|card| card.index == index)?;
        let device = self.nvml.device_by_index(index).ok()?;
        card.share(&device, time, idle, is_own, |pid| self.proc.join(pid.to_string()).exists())
    }
}

impl Card {
    fn share(
        &mut self,
        card: &Device<'_>,
        time: f64,
        idle: Idle,
        is_own: &mut dyn FnMut(u32) -> bool,
        is_process: impl Fn(u32) -> bool,
    ) -> Option<f64> {
        let samples = match card.process_utilization_stats(self.seen) {
            Err(NvmlError::NotFound) => Vec::new(),
            samples => samples.ok()?,
        };
        if samples.is_empty() {
            let (share, told) = self.share;
            return if time - told > RENEWED { Some(0.0) } else { share };
        }
        self.seen = samples.iter().map(|sample| sample.timestamp).fold(self.seen, u64::max);
        let all: u32 = samples.iter().map(|sample| sample.sm_util).sum();
        let own: u32 = samples.iter().filter(|sample| is_own(sample.pid)).map(|sample| sample.sm_util).sum();
        // The driver numbers processes as the host does: in a container with numbers of its own these processes cannot be found.
        let is_foreign = own == 0 && samples.iter().any(|sample| sample.sm_util > 0 && !is_process(sample.pid));
        let whole = if idle == Idle::Apart { all.max(WHOLE) } else { all };
        let share = if own == 0 { 0.0 } else { f64::from(own) / f64::from(whole) };
        self.share = ((!is_foreign).then_some(share), time);
        self.share.0
    }
}
