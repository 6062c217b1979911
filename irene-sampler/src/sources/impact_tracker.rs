//! The software baseline that IrEne is compared with: Strubell et al. (2019), as experiment-impact-tracker (Henderson et al. 2020)
//! measures it. Of what the packages, the memory and the GPUs use, the process is given its share of the busy processor time, of
//! the memory in use and of the busy multiprocessors, times the power usage effectiveness of a data centre.

use crate::{Channel, Counter, Provenance, Readings, Source, Step, Unit};

use super::{Kind, Places, Unavailable};

pub(super) const KIND: Kind =
    Kind { name: "impact-tracker", what: "estimate: this process's share of RAPL and GPUs, with a PUE of 1.58", open };

/// Average power usage effectiveness of data centres in 2018 (Strubell et al. 2019, section 3).
pub const PUE: f64 = 1.58;

#[cfg(target_os = "linux")]
fn open(places: &Places) -> Result<Box<dyn Source>, Unavailable> {
    Ok(Box::new(linux::ImpactTracker::open(places)?))
}

#[cfg(not(target_os = "linux"))]
fn open(_places: &Places) -> Result<Box<dyn Source>, Unavailable> {
    Err(Unavailable::new("shares of processes are read from /proc, which only Linux has"))
}

#[cfg(target_os = "linux")]
mod linux {
    #[cfg(feature = "nvml")]
    use super::super::gpu_share::GpuShare;
    use super::super::{rapl::Rapl, text_file::TextFile, utilisation::CpuTimes};
    use super::*;

    pub(super) struct ImpactTracker {
        channel: Channel,
        rapl: Rapl,
        /// What each domain is part of the total by.
        parts: Vec<Option<Part>>,
        /// Joules of each domain at the last sample.
        last_joules: Vec<f64>,
        #[cfg(feature = "nvml")]
        gpus: Option<GpuShare>,
        times: CpuTimes,
        process: TextFile,
        status: TextFile,
        meminfo: TextFile,
        /// Busy ticks of the machine, and of the process.
        last_ticks: Option<(f64, f64)>,
        joules: f64,
        counter: Counter,
    }

    /// What decides the process's share of a domain.
    #[derive(Clone, Copy, PartialEq)]
    enum Part {
        Memory,
        Processor,
    }

    impl Part {
        fn of(channel: &Channel) -> Option<Self> {
            let part = if channel.name.ends_with("dram") { Self::Memory } else { Self::Processor };
            channel.is_total.then_some(part)
        }
    }

    /// /proc files of a process are short but for names.
    const LEN: usize = 4096;

    impl ImpactTracker {
        pub(super) fn open(places: &Places) -> Result<Self, Unavailable> {
            let rapl = Rapl::open(places)?;
            let file = |name: &str| {
                let path = places.proc.join(name);
                TextFile::open(&path, LEN).map_err(|error| Unavailable::new(format!("{}: {error}", path.display())))
            };
            let mut channel = Channel::energy("impact-tracker", Unit::Joules);
            channel.provenance = Provenance::Estimated;
            Ok(Self {
                last_joules: vec![0.0; rapl.channels().len()],
                parts: rapl.channels().iter().map(Part::of).collect(),
                rapl,
                #[cfg(feature = "nvml")]
                gpus: GpuShare::open(places)?,
                times: CpuTimes::open(&places.proc)?,
                process: file("self/stat")?,
                status: file("self/status")?,
                meminfo: file("meminfo")?,
                last_ticks: None,
                joules: 0.0,
                counter: Counter::of(&channel, None),
                channel,
            })
        }

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
            let meminfo = self.meminfo.read().ok()?;
            let used = kilobytes(meminfo, "MemTotal")? - kilobytes(meminfo, "MemAvailable")?;
            (used > 0.0).then(|| (own / used).clamp(0.0, 1.0))
        }
    }

    /// User and system time of a process from its stat line, in ticks. The name before them may hold spaces.
    fn process_ticks(stat: &str) -> Option<f64> {
        let (_, fields) = stat.rsplit_once(')')?;
        let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<f64>);
        Some(times.next()?.ok()? + times.next()?.ok()?)
    }

    fn kilobytes(text: &str, field: &str) -> Option<f64> {
        let rest = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        rest.split_ascii_whitespace().next()?.parse().ok()
    }

    impl Source for ImpactTracker {
        fn channels(&self) -> &[Channel] {
            std::slice::from_ref(&self.channel)
        }

        fn sample(&mut self, readings: &mut Readings<'_>) {
            let first = self.last_ticks.is_none();
            let processor = self.processor_share();
            // Between ticks, or before they can be read, there is nothing to share out; the counters go on.
            if processor.is_none() && !(first && self.last_ticks.is_some()) {
                return;
            }
            let memory = self.memory_share();
            let mut used = Some(0.0);
            let (parts, last) = (&self.parts, &mut self.last_joules);
            self.rapl.read(readings.stamp().time, |domain, step| {
                let (Step::Total(total) | Step::Broken(total)) = step;
                let joules = total - std::mem::replace(&mut last[domain], total);
                if let Some(part) = parts[domain] {
                    // What is not known in all cannot be shared out; the first readings begin the count.
                    let share = if part == Part::Memory { memory } else { processor.or(first.then_some(0.0)) };
                    let share = share.filter(|_| matches!(step, Step::Total(_)));
                    used = used.zip(share).map(|(used, share)| used + joules * share);
                }
            });
            #[cfg(feature = "nvml")]
            if let Some(gpus) = &mut self.gpus {
                used = used.zip(gpus.read(readings.stamp().time)).map(|(used, joules)| used + joules);
            }
            self.joules += PUE * used.unwrap_or(0.0);
            match used {
                Some(_) => readings.count(0, &mut self.counter, self.joules),
                None => readings.put(0, Step::Broken(self.joules)),
            }
        }
    }
}
