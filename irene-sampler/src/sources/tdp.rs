//! An estimate where there is no meter: thermal design power times the share of time that processors are busy.

use crate::{Channel, Counter, Provenance, Readings, Source, Unit};

use super::{Kind, Places, Unavailable};

pub(super) const KIND: Kind = Kind { name: "tdp", what: "estimate: thermal design power times processor load", open };

#[cfg(target_os = "linux")]
fn open(places: &Places) -> Result<Box<dyn Source>, Unavailable> {
    let Some(watts) = places.tdp_watts else {
        return Err(Unavailable::new("the processor's thermal design power is not known")
            .fixed_by("give it in watts, from its data sheet, by --tdp-watts"));
    };
    if !(watts.is_finite() && watts > 0.0) {
        return Err(Unavailable::new(format!("{watts} W is no thermal design power")));
    }
    let times = super::utilisation::CpuTimes::open(&places.proc)?;
    let mut channel = Channel::energy("tdp", Unit::Joules);
    channel.provenance = Provenance::Estimated;
    Ok(Box::new(Tdp { watts, times, last: None, joules: 0.0, counter: Counter::of(&channel, None), channel }))
}

#[cfg(not(target_os = "linux"))]
fn open(_places: &Places) -> Result<Box<dyn Source>, Unavailable> {
    Err(Unavailable::new("the processors' times are read from /proc/stat, which only Linux has"))
}

/// Counted from the processors' busy times, so that a window holds just its own load.
#[cfg(target_os = "linux")]
struct Tdp {
    channel: Channel,
    watts: f64,
    times: super::utilisation::CpuTimes,
    /// Time of the sample, busy and all ticks.
    last: Option<(f64, f64, f64)>,
    joules: f64,
    counter: Counter,
}

#[cfg(target_os = "linux")]
impl Source for Tdp {
    fn channels(&self) -> &[Channel] {
        std::slice::from_ref(&self.channel)
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        let (Some((busy, all)), time) = (self.times.read(), readings.stamp().time) else { return };
        match self.last {
            None => self.last = Some((time, busy, all)),
            // Between ticks there is nothing new.
            Some((_, _, last_all)) if all <= last_all => return,
            Some((last_time, last_busy, last_all)) => {
                let load = ((busy - last_busy) / (all - last_all)).clamp(0.0, 1.0);
                self.joules += self.watts * load * (time - last_time);
                self.last = Some((time, busy, all));
            }
        }
        readings.count(0, &mut self.counter, self.joules);
    }
}
