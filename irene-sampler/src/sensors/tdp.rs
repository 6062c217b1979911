//! An estimate for machines without a meter: thermal design power times the processors' load.

use crate::{Channel, Readings, Resource, Sensor};

use super::{Kind, Places, Unavailable, utilisation::CpuTimes};

pub(super) const KIND: Kind = Kind { name: "tdp", what: "estimate: thermal design power times processor load", open };

fn open(places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    let Some(watts) = places.tdp_watts else {
        return Err(Unavailable::new("the processor's thermal design power is not known")
            .fixed_by("give it in watts, from its data sheet, by Places::tdp_watts"));
    };
    if !(watts.is_finite() && watts > 0.0) {
        return Err(Unavailable::new(format!("{watts} W is no thermal design power")));
    }
    let times = CpuTimes::open(&places.proc)?;
    let channel = Channel::estimate(Resource::Processors);
    Ok(Box::new(Tdp { channel, watts, times, last: None, joules: 0.0 }))
}

/// It sums up energy at every sample, so that a window holds exactly its own load.
struct Tdp {
    channel: Channel,
    watts: f64,
    times: CpuTimes,
    /// Time of the sample, busy and all ticks.
    last: Option<(f64, f64, f64)>,
    joules: f64,
}

impl Sensor for Tdp {
    fn channels(&self) -> &[Channel] {
        std::slice::from_ref(&self.channel)
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        let (Some((busy, all)), time) = (self.times.read(), readings.stamp().time) else { return };
        match self.last {
            None => self.last = Some((time, busy, all)),
            // No tick has passed since the last sample.
            Some((_, _, last_all)) if all <= last_all => return,
            Some((last_time, last_busy, last_all)) => {
                let load = ((busy - last_busy) / (all - last_all)).clamp(0.0, 1.0);
                self.joules += self.watts * load * (time - last_time);
                self.last = Some((time, busy, all));
            }
        }
        readings.push(0, self.joules);
    }
}
