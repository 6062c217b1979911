//! Figures at the wall: the machine around the devices joins them.

use irene_devices::{Device, HostLaw, Law};
use irene_numerics::NORMAL_90;

use super::{Forecast, Note};
use crate::{Error, Figures, interval};

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
    /// [`Error::NoHost`] for a usual machine around a device that is no card; [`Error::Request`] for watts that no machine draws.
    pub(crate) fn watts(self, law: &HostLaw, device: &Device, count: f64) -> Result<f64, Error> {
        let machines = (count / OF_MACHINE as f64).ceil();
        match self {
            Self::Watts(watts) if watts.is_finite() && watts >= 0.0 => Ok(watts),
            Self::Watts(watts) => {
                Err(Error::Request { field: "host", reason: format!("expected watts of at least 0, found {watts}") })
            }
            Self::Usual => law
                .watts(device, count / machines)
                .map(|watts| machines * watts)
                .ok_or_else(|| Error::NoHost { device: device.name.clone(), class: device.class.name() }),
        }
    }
}

impl Forecast {
    /// The forecast of a meter at the wall, with the usual machines around the devices, or one of so many watts.
    ///
    /// # Errors
    /// [`Error::NoHost`] for a usual machine around a device that is no card; [`Error::Request`] for watts that no machine draws.
    pub fn at_the_wall(self, host: Host, device: &Device, law: &Law) -> Result<Self, Error> {
        let watts = host.watts(&law.host, device, self.request.parallel.gpus() as f64)?;
        let (of_gpus, ends) = (self.figures, self.interval);
        let mut wall = self.with_machine(watts);
        let host_share = watts / wall.figures.power_w;
        let (figures, of_host) = ([&of_gpus, &wall.figures], NORMAL_90 * law.host.spread);
        wall.interval = at_the_wall(&ends, figures, host_share, of_host, wall.rate.is_some());
        wall.notes.push(Note::Host { watts });
        Ok(wall)
    }

    /// The forecast by a meter that counts `watts` beside the devices, by a law that knows how far off the whole is.
    #[must_use]
    pub(crate) fn by_meter(self, watts: f64, meter: String) -> Self {
        let of_gpus = self.figures;
        let mut whole = self.with_machine(watts);
        let energy = whole.figures.energy_per_request_j / of_gpus.energy_per_request_j;
        let power = whole.figures.power_w / of_gpus.power_w;
        for end in &mut whole.interval {
            end.energy_per_request_j *= energy;
            end.energy_per_token_j = end.energy_per_token_j.map(|joules| energy * joules);
            end.power_w *= power;
        }
        whole.notes.push(Note::Meter { meter });
        whole
    }

    /// The forecast and its parts with a machine around the devices, whose interval is still theirs.
    fn with_machine(mut self, watts: f64) -> Self {
        let of_prompts: f64 = self.schedule.prompts.iter().map(|runs| runs.times).sum();
        let steps: f64 = self.schedule.token_passes().map(|(.., runs)| runs.times).sum();
        self.prompt.joules += watts * self.prompt.seconds * of_prompts / self.schedule.requests;
        if let Some(token) = &mut self.token {
            token.joules += watts * token.seconds * steps / (self.schedule.requests * self.schedule.gaps);
        }
        let devices_j = self.figures.energy_per_request_j;
        self.figures = with_host(&self.figures, watts);
        self.machine_j += self.figures.energy_per_request_j - devices_j;
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

/// The ends of the devices' figures as those of the wall's, of which the host has a share. At a rate of arrivals all energy follows from the power.
fn at_the_wall(
    ends: &[Figures; 2],
    [of_gpus, wall]: [&Figures; 2],
    host_share: f64,
    of_host: f64,
    has_rate: bool,
) -> [Figures; 2] {
    [(-1.0, &ends[0]), (1.0, &ends[1])].map(|(sign, end): (f64, &Figures)| {
        let width = |of: fn(&Figures) -> f64| interval::width(of(of_gpus), of(end));
        let time = if has_rate { 0.0 } else { width(|figures| figures.latency_s) };
        let widths = [width(|figures| figures.energy_per_request_j), width(|figures| figures.power_w), time];
        let [energy, power] = interval::at_the_wall(host_share, widths, of_host).map(|width| (sign * width).exp());
        Figures {
            energy_per_request_j: energy * wall.energy_per_request_j,
            energy_per_token_j: wall.energy_per_token_j.map(|joules| joules * energy),
            power_w: power * wall.power_w,
            ..*end
        }
    })
}

#[cfg(test)]
mod tests {
    use irene_devices::Catalogue;

    use super::*;

    #[test]
    fn a_machine_that_draws_nothing_changes_no_interval() {
        let figures = |joules: f64, watts: f64, seconds: f64| Figures {
            energy_per_request_j: joules,
            energy_per_token_j: Some(joules / 10.0),
            power_w: watts,
            ttft_s: None,
            itl_s: None,
            latency_s: seconds,
            tokens_per_s: None,
        };
        // The upper end of power is cut at a limit.
        let (middle, ends) = (figures(10.0, 600.0, 1.0), [figures(7.0, 450.0, 0.8), figures(14.0, 700.0, 1.3)]);
        let same = at_the_wall(&ends, [&middle, &middle], 0.0, 0.5, false);
        for (same, end) in same.iter().zip(&ends) {
            assert!((same.power_w / end.power_w - 1.0).abs() < 1e-12, "{same:?} {end:?}");
            assert!((same.energy_per_request_j / end.energy_per_request_j - 1.0).abs() < 1e-12, "{same:?} {end:?}");
        }
        let wall = with_host(&middle, 100.0);
        let [_, high] = at_the_wall(&ends, [&middle, &wall], 1.0 / 7.0, 0.0, false);
        assert!(high.power_w <= 800.0, "{high:?}");
    }

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

    #[test]
    fn watts_that_no_machine_draws_are_refused() {
        let (law, h100) = (&Law::shipped().host, Catalogue::find("h100-sxm").unwrap());
        for watts in [-300.0, f64::NAN, f64::INFINITY] {
            let said = Host::Watts(watts).watts(law, &h100, 1.0).unwrap_err().to_string();
            assert_eq!(said, format!("host: expected watts of at least 0, found {watts}"));
        }
    }
}
