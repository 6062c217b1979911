//! How busy the processors are, and how full the memory is.

use crate::{Channel, Readings, Source, Unit};

use super::{Kind, Places, Unavailable};

pub(super) const KIND: Kind = Kind { name: "utilisation", what: "processor and memory utilisation", open };

fn channels() -> [Channel; 2] {
    [Channel::gauge("cpu", Unit::Percent), Channel::gauge("mem", Unit::Percent)]
}

#[cfg(target_os = "linux")]
fn open(places: &Places) -> Result<Box<dyn Source>, Unavailable> {
    Ok(Box::new(linux::Utilisation::open(places)?))
}

#[cfg(not(target_os = "linux"))]
fn open(_places: &Places) -> Result<Box<dyn Source>, Unavailable> {
    Ok(Box::new(elsewhere::Utilisation::default()))
}

#[cfg(target_os = "linux")]
pub(super) use linux::CpuTimes;

#[cfg(target_os = "linux")]
mod linux {
    use std::path::Path;

    use super::super::text_file::TextFile;
    use super::*;

    /// The first line of /proc/stat, and the lines of /proc/meminfo that matter, stand within this.
    const HEAD: usize = 512;

    /// Processor times are counted in ticks of 10 ms: a share of fewer than ten is mostly rounding, and reading is what
    /// sampling costs. A little less than the 100 ms, for samples that come a little early.
    const LEAST_PERIOD: f64 = 0.095;

    /// Ticks that the processors were busy and in all, since the start of the system.
    pub(in super::super) struct CpuTimes {
        stat: TextFile,
    }

    impl CpuTimes {
        pub(in super::super) fn open(proc: &Path) -> Result<Self, Unavailable> {
            let path = proc.join("stat");
            let mut times = match TextFile::open(&path, HEAD) {
                Ok(stat) => Self { stat },
                Err(error) => return Err(Unavailable::new(format!("{}: {error}", path.display()))),
            };
            match times.read() {
                Some(_) => Ok(times),
                None => Err(Unavailable::new(format!("{}: no line of the times of all processors", path.display()))),
            }
        }

        /// Busy and all.
        pub(in super::super) fn read(&mut self) -> Option<(f64, f64)> {
            let line = self.stat.read().ok()?.lines().next()?.strip_prefix("cpu ")?;
            // user nice system idle iowait irq softirq steal; guest times are part of user's.
            let (mut idle, mut all) = (0.0, 0.0);
            let mut count = 0;
            for (place, ticks) in line.split_ascii_whitespace().take(8).enumerate() {
                let ticks: f64 = ticks.parse().ok()?;
                all += ticks;
                idle += if place == 3 || place == 4 { ticks } else { 0.0 };
                count += 1;
            }
            (count >= 4).then_some((all - idle, all))
        }
    }

    pub(super) struct Utilisation {
        channels: [Channel; 2],
        times: CpuTimes,
        last: Option<(f64, f64)>,
        last_time: f64,
        meminfo: Option<TextFile>,
    }

    impl Utilisation {
        pub(super) fn open(places: &Places) -> Result<Self, Unavailable> {
            let times = CpuTimes::open(&places.proc)?;
            // Without it there is no memory utilisation, and the processors' is still there.
            let meminfo = TextFile::open(&places.proc.join("meminfo"), HEAD).ok();
            Ok(Self { channels: channels(), times, last: None, last_time: f64::NEG_INFINITY, meminfo })
        }
    }

    impl Source for Utilisation {
        fn channels(&self) -> &[Channel] {
            &self.channels
        }

        fn sample(&mut self, readings: &mut Readings<'_>) {
            let time = readings.stamp().time;
            if time - self.last_time < LEAST_PERIOD {
                return;
            }
            self.last_time = time;
            if let Some((busy, all)) = self.times.read() {
                // Ticks of 10 ms: a sample in which none passed says nothing, and the next will.
                match self.last {
                    Some((last_busy, last_all)) if all > last_all => {
                        let share = (busy - last_busy) / (all - last_all);
                        readings.push(0, 100.0 * share.clamp(0.0, 1.0));
                        self.last = Some((busy, all));
                    }
                    Some((_, last_all)) if all == last_all => {}
                    _ => self.last = Some((busy, all)),
                }
            }
            if let Some(used) = self.meminfo.as_mut().and_then(|file| memory(file.read().ok()?)) {
                readings.push(1, used);
            }
        }
    }

    /// Percent of the memory that is not available, as /proc/meminfo says.
    fn memory(meminfo: &str) -> Option<f64> {
        let field = |name: &str| {
            let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            rest.split_ascii_whitespace().next()?.parse::<f64>().ok()
        };
        let (total, available) = (field("MemTotal")?, field("MemAvailable")?);
        (total > 0.0).then(|| 100.0 * (1.0 - available / total).clamp(0.0, 1.0))
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::*;

    pub(super) struct Utilisation {
        channels: [Channel; 2],
        system: sysinfo::System,
    }

    impl Default for Utilisation {
        fn default() -> Self {
            Self { channels: channels(), system: sysinfo::System::new() }
        }
    }

    impl Source for Utilisation {
        fn channels(&self) -> &[Channel] {
            &self.channels
        }

        fn sample(&mut self, readings: &mut Readings<'_>) {
            self.system.refresh_cpu_usage();
            self.system.refresh_memory();
            readings.push(0, f64::from(self.system.global_cpu_usage()));
            let (total, used) = (self.system.total_memory() as f64, self.system.used_memory() as f64);
            if total > 0.0 {
                readings.push(1, 100.0 * used / total);
            }
        }
    }
}
