//! The software baseline of the IrEne paper: Strubell et al. (2019), as experiment-impact-tracker (Henderson et al. 2020) measures it.
//! This process gets its share of the packages' energy by busy processor time, of the memory's by memory in use and of the GPUs' by
//! busy multiprocessors, times the power usage effectiveness of a data centre.

use crate::{Channel, Findings, LeftOut, Need, Readings, Resource, Sensor, Total, counter::Counter};

#[cfg(feature = "nvml")]
use super::gpu_share::GpuShare;
use super::{
    Kind, Places, Unavailable,
    rapl::Rapl,
    text_file::TextFile,
    utilisation::{CpuTimes, kilobytes, memory},
};

pub(super) const KIND: Kind =
    Kind { name: "impact-tracker", what: "estimate: this process's share of RAPL and GPUs, with a PUE of 1.58", open };

/// Average power usage effectiveness of data centres in 2018 (Strubell et al. 2019, section 3).
pub const PUE: f64 = 1.58;

/// The files of a process in /proc are short but for names.
const LEN: usize = 4096;

struct ImpactTracker {
    channel: Channel,
    rapl: Rapl,
    counters: Vec<SharedCounter>,
    #[cfg(feature = "nvml")]
    gpus: Option<GpuShare>,
    times: CpuTimes,
    process: TextFile,
    status: TextFile,
    meminfo: TextFile,
    /// Busy ticks of the machine, and of the process.
    last_ticks: Option<(f64, f64)>,
    joules: f64,
}

/// A counter of RAPL.
struct SharedCounter {
    counter: Counter,
    /// Whether it is part of the total.
    is_total: bool,
    /// Whether it is shared out by memory in use, else by processor time.
    is_memory: bool,
}

fn open(places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    let mut rapl = Rapl::open(places)?;
    let totals = shared(&mut rapl)?;
    let counters = rapl.channels().iter().enumerate().map(|(place, channel)| SharedCounter {
        counter: Counter::of(channel),
        is_total: totals.contains(&place),
        is_memory: matches!(channel.id.resource, Resource::Dram(_)),
    });
    let file = |name: &str| {
        let path = places.proc.join(name);
        TextFile::open(&path, LEN).map_err(|error| Unavailable::new(format!("{}: {error}", path.display())))
    };
    Ok(Box::new(ImpactTracker {
        channel: Channel::estimate(Resource::Process),
        counters: counters.collect(),
        rapl,
        #[cfg(feature = "nvml")]
        gpus: GpuShare::open(places)?,
        times: CpuTimes::open(&places.proc)?,
        process: file("self/stat")?,
        status: file("self/status")?,
        meminfo: file("meminfo")?,
        last_ticks: None,
        joules: 0.0,
    }))
}

/// The places of the counters that are shared out: packages and memory, as in the papers, and the platform only where there is nothing else.
fn shared(rapl: &mut Rapl) -> Result<Vec<usize>, Unavailable> {
    let raw: Vec<Option<f64>> = rapl.read().collect();
    let channels = rapl.channels();
    let is_platform = |channel: &Channel| matches!(channel.id.resource, Resource::Platform(_));
    let has_packages = channels.iter().any(|channel| matches!(channel.id.resource, Resource::Package(_)));
    let mut findings = Findings::default();
    for (place, channel) in channels.iter().enumerate() {
        if has_packages && is_platform(channel) {
            findings.left_out.push((channel.id.clone(), LeftOut::NotNamed));
        } else if let Some(first) = (0..place).find(|&first| is_mirror(channels, &raw, first, place)) {
            findings.left_out.push((channel.id.clone(), LeftOut::Mirrors(channels[first].id.clone())));
        }
    }
    let total = Total::of(channels, 0, &findings, rapl.missing());
    match total.missing().iter().find(|missing| missing.need == Need::Essential) {
        Some(missing) => Err(missing.why.clone()),
        None => Ok(total.taken().to_vec()),
    }
}

/// Whether two dies of one socket show one counter: their counts differ by less than a joule since the machine was started.
fn is_mirror(channels: &[Channel], raw: &[Option<f64>], first: usize, second: usize) -> bool {
    const AT_ONCE: f64 = 1.0;
    let dies = |place: usize| match channels[place].id.resource {
        Resource::Package(package) => Some((package.socket, false)).filter(|_| package.die.is_some()),
        Resource::Dram(package) => Some((package.socket, true)).filter(|_| package.die.is_some()),
        _ => None,
    };
    let is_close = raw[first].zip(raw[second]).is_some_and(|(a, b)| (a - b).abs() < AT_ONCE);
    is_close && dies(first).is_some() && dies(first) == dies(second)
}

impl ImpactTracker {
    /// The process's share of busy processor time since the last sample.
    fn processor_share(&mut self) -> Option<f64> {
        let (busy, _) = self.times.read()?;
        let own = process_ticks(self.process.read().ok()?)?;
        let Some((last_busy, last_own)) = self.last_ticks else {
            self.last_ticks = Some((busy, own));
            return None;
        };
        if busy <= last_busy {
            return None;
        }
        self.last_ticks = Some((busy, own));
        Some(((own - last_own) / (busy - last_busy)).clamp(0.0, 1.0))
    }

    /// The process's share of the memory in use.
    fn memory_share(&mut self) -> Option<f64> {
        let own = kilobytes(self.status.read().ok()?, "VmRSS")?;
        let (used, _) = memory(self.meminfo.read().ok()?)?;
        (used > 0.0).then(|| (own / used).clamp(0.0, 1.0))
    }
}

/// User and system time of a process from its stat line, in ticks. The name before them may contain spaces.
fn process_ticks(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<f64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

impl Sensor for ImpactTracker {
    fn channels(&self) -> &[Channel] {
        std::slice::from_ref(&self.channel)
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        let first = self.last_ticks.is_none();
        let processor = self.processor_share();
        // If no tick has passed or ticks cannot be read, there is nothing to share out yet; the counters go on.
        if processor.is_none() && !(first && self.last_ticks.is_some()) {
            return;
        }
        let memory = self.memory_share();
        let time = readings.stamp().time;
        let mut used = Some(0.0);
        for (shared, joules) in self.counters.iter_mut().zip(self.rapl.read()) {
            // A counter that cannot be read now is read later.
            let Some(joules) = joules else { continue };
            let joules = shared.counter.advance(time, joules);
            if shared.is_total {
                // The first readings begin the count.
                let share = if shared.is_memory { memory } else { processor.or(first.then_some(0.0)) };
                used = used.zip(joules.zip(share)).map(|(used, (joules, share))| used + joules * share);
            }
        }
        #[cfg(feature = "nvml")]
        if let Some(gpus) = &mut self.gpus {
            used = used.zip(gpus.read(time)).map(|(used, joules)| used + joules);
        }
        self.joules += PUE * used.unwrap_or(0.0);
        match used {
            Some(_) => readings.push(0, self.joules),
            None => readings.push_after_break(0, self.joules),
        }
    }
}
