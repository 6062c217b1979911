//! Figures at the wall: the machine around the devices joins them.

use irene_devices::{Device, HostLaw};

use super::{Forecast, Note};
use crate::{Error, Figures};

/// The power of the machine around the devices, where a forecast is of the wall's meter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Host {
    /// That of a machine of the device's class.
    Usual,
    /// One's own, W.
    Watts(f64),
}

impl Host {
    /// Its power with so many devices, W.
    ///
    /// # Errors
    /// [`Error::NoHost`] for a usual machine around a device that is no card.
    pub(crate) fn watts(self, law: &HostLaw, device: &Device, count: f64) -> Result<f64, Error> {
        match self {
            Self::Watts(watts) => Ok(watts),
            Self::Usual => law
                .watts(device, count)
                .ok_or_else(|| Error::NoHost { device: device.name.clone(), class: device.class.name() }),
        }
    }
}

impl Forecast {
    /// The forecast of a meter at the wall, with a machine of so many watts around the devices: their standard deviation is `spread`, in
    /// logarithms.
    #[must_use]
    pub fn at_the_wall(mut self, watts: f64, spread: f64) -> Self {
        let passes = |passes: &[(irene_devices::Pass, f64)]| passes.iter().map(|(_, times)| times).sum::<f64>();
        let of_prompts = passes(&self.schedule.prompts);
        let steps = passes(&self.schedule.steps) + if self.schedule.is_mixed { of_prompts } else { 0.0 };
        self.prompt.joules += watts * self.prompt.seconds * of_prompts / self.schedule.requests;
        if let Some(token) = &mut self.token {
            token.joules += watts * token.seconds * steps / (self.schedule.requests * self.schedule.gaps);
        }
        let seconds = seconds_of_request(&self.figures);
        if let Some(ends) = &mut self.interval {
            for (end, sign) in ends.iter_mut().zip([-1.0, 1.0]) {
                let time = end.latency_s / self.figures.latency_s;
                *end = with_host(end, watts * (sign * super::NORMAL_90 * spread).exp(), time * seconds);
            }
        }
        self.figures = with_host(&self.figures, watts, seconds);
        self.notes.push(Note::Host { watts });
        self
    }
}

/// The time that a machine spends on each request, s.
fn seconds_of_request(figures: &Figures) -> f64 {
    figures.energy_per_request_j / figures.power_w
}

fn with_host(figures: &Figures, watts: f64, seconds: f64) -> Figures {
    let energy_per_request_j = figures.energy_per_request_j + watts * seconds;
    let share = energy_per_request_j / figures.energy_per_request_j;
    Figures {
        energy_per_request_j,
        energy_per_token_j: figures.energy_per_token_j.map(|joules| share * joules),
        power_w: figures.power_w + watts,
        ..*figures
    }
}
