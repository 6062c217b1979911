//! Figures at the wall: the machine around the devices joins them.

use irene_devices::{Device, HostLaw};
use irene_numerics::NORMAL_90;

use super::{Forecast, Note};
use crate::{Error, Figures};

/// The machine around the devices, for a forecast at the wall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Host {
    /// The power of a machine of the device's class.
    Usual,
    /// One's own, W.
    Watts(f64),
}

/// Devices of the largest usual machine.
pub(crate) const OF_MACHINE: usize = 8;

impl Host {
    /// The power of as many usual machines as so many devices need, or of one's own, W.
    ///
    /// # Errors
    /// [`Error::NoHost`] for a usual machine around a device that is no card.
    pub(crate) fn watts(self, law: &HostLaw, device: &Device, count: f64) -> Result<f64, Error> {
        let machines = (count / OF_MACHINE as f64).ceil();
        match self {
            Self::Watts(watts) => Ok(watts),
            Self::Usual => law
                .watts(device, count / machines)
                .map(|watts| machines * watts)
                .ok_or_else(|| Error::NoHost { device: device.name.clone(), class: device.class.name() }),
        }
    }
}

impl Forecast {
    /// The forecast at the wall, with a machine that draws `watts` around the devices; `spread` is the standard deviation of their
    /// logarithm.
    #[must_use]
    pub fn at_the_wall(mut self, watts: f64, spread: f64) -> Self {
        let of_prompts: f64 = self.schedule.prompts.iter().map(|runs| runs.times).sum();
        let steps: f64 = self.schedule.token_passes().map(|(.., runs)| runs.times).sum();
        self.prompt.joules += watts * self.prompt.seconds * of_prompts / self.schedule.requests;
        if let Some(token) = &mut self.token {
            token.joules += watts * token.seconds * steps / (self.schedule.requests * self.schedule.gaps);
        }
        let of_gpus = self.figures;
        self.figures = with_host(&of_gpus, watts);
        if let Some(ends) = &mut self.interval {
            let host_share = watts / self.figures.power_w;
            *ends = at_the_wall(ends, &self.figures, host_share, NORMAL_90 * spread);
        }
        self.notes.push(Note::Host { watts });
        self
    }
}

/// With a machine of so many watts around the devices.
fn with_host(figures: &Figures, watts: f64) -> Figures {
    let share = 1.0 + watts / figures.power_w;
    Figures {
        energy_per_request_j: share * figures.energy_per_request_j,
        energy_per_token_j: figures.energy_per_token_j.map(|joules| share * joules),
        power_w: figures.power_w + watts,
        ..*figures
    }
}

/// The ends of the devices' figures as those of the wall's, of which the host has a share: its power errs by itself, the time with the devices'.
fn at_the_wall(ends: &[Figures; 2], wall: &Figures, host_share: f64, of_host: f64) -> [Figures; 2] {
    let width = |of: fn(&Figures) -> f64| (of(&ends[1]) / of(&ends[0])).ln() / 2.0;
    let [energy, power, time] =
        [width(|end| end.energy_per_request_j), width(|end| end.power_w), width(|end| end.latency_s)];
    let whole = |of_gpus: f64, of_host: f64| ((1.0 - host_share) * of_gpus).hypot(host_share * of_host);
    let (energy, power) = (whole(energy, of_host.hypot(time)), whole(power, of_host));
    let token = |end: f64| wall.energy_per_token_j.map(|joules| joules * end);
    [-1.0, 1.0].map(|sign: f64| {
        let [energy, power] = [energy, power].map(|width| (sign * width).exp());
        let devices = if sign < 0.0 { &ends[0] } else { &ends[1] };
        Figures {
            energy_per_request_j: energy * wall.energy_per_request_j,
            energy_per_token_j: token(energy),
            power_w: power * wall.power_w,
            ..*devices
        }
    })
}

#[cfg(test)]
mod tests {
    use irene_devices::{Catalogue, Law};

    use super::*;

    #[test]
    fn more_devices_than_a_machine_holds_need_several_whole_machines() {
        let (law, h100) = (&Law::shipped().host, Catalogue::find("h100-sxm").unwrap());
        let watts = |count: f64| Host::Usual.watts(law, &h100, count).unwrap();
        assert_eq!((watts(16.0), watts(64.0)), (2.0 * watts(8.0), 8.0 * watts(8.0)));
        // A second machine draws power of its own, however few devices are in it.
        assert_eq!(watts(12.0), 2.0 * watts(6.0));
        assert!(watts(9.0) > watts(8.0) + law.server_w, "{} {}", watts(9.0), watts(8.0));
        assert_eq!(Host::Watts(300.0).watts(law, &h100, 16.0).unwrap(), 300.0);
    }
}
