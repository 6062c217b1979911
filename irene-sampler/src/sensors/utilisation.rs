//! The utilisation of the processors and of the memory.

use std::path::Path;

use crate::{Channel, Metric, Readings, Resource, Sensor};

use super::{Kind, Places, Unavailable, text_file::TextFile};

pub(super) const KIND: Kind = Kind { name: "utilisation", what: "processor and memory utilisation", open };

fn channels() -> [Channel; 2] {
    [Metric::Utilisation, Metric::Memory].map(|metric| Channel::new(Resource::Host, metric))
}

#[cfg(target_os = "linux")]
fn open(places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    Ok(Box::new(linux::Utilisation::open(places)?))
}

#[cfg(not(target_os = "linux"))]
fn open(_places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    Ok(Box::new(elsewhere::Utilisation::default()))
}

/// This holds the first line of /proc/stat, and the lines of /proc/meminfo that matter.
pub(super) const HEAD: usize = 512;

/// Processor times are counted in ticks of 10 ms. A share of fewer than ten ticks is mostly rounding, and reading is the main cost of
/// sampling. A sample may come a little early, hence not 100 ms.
pub(super) const LEAST_PERIOD: f64 = 0.095;

/// The processors' ticks since the start of the system, as Linux counts them.
pub(super) struct CpuTimes {
    stat: TextFile,
}

impl CpuTimes {
    pub(super) fn open(proc: &Path) -> Result<Self, Unavailable> {
        let path = proc.join("stat");
        let stat = TextFile::open(&path, HEAD).map_err(|error| Unavailable::at(&path, error))?;
        let mut times = Self { stat };
        match times.read() {
            Some(_) => Ok(times),
            None => Err(Unavailable::at(&path, "no line of the times of all processors")),
        }
    }

    /// Busy ticks, and all.
    pub(super) fn read(&mut self) -> Option<(f64, f64)> {
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

/// The kilobytes of memory in use, and of all memory, by the text of /proc/meminfo.
pub(super) fn memory(meminfo: &str) -> Option<(f64, f64)> {
    let (total, available) = (kilobytes(meminfo, "MemTotal")?, kilobytes(meminfo, "MemAvailable")?);
    Some((total - available, total)).filter(|(_, total)| *total > 0.0)
}

/// The number of a line such as `VmRSS:   1000 kB`.
pub(crate) fn kilobytes(text: &str, field: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;

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
            // Without it the memory has no readings, and the processors still do.
            let meminfo = TextFile::open(&places.proc.join("meminfo"), HEAD).ok();
            Ok(Self { channels: channels(), times, last: None, last_time: f64::NEG_INFINITY, meminfo })
        }
    }

    impl Sensor for Utilisation {
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
                match self.last {
                    Some((last_busy, last_all)) if all > last_all => {
                        let share = (busy - last_busy) / (all - last_all);
                        readings.push(0, 100.0 * share.clamp(0.0, 1.0));
                        self.last = Some((busy, all));
                    }
                    // No tick has passed since the last sample: the next one will tell.
                    Some((_, last_all)) if all == last_all => {}
                    _ => self.last = Some((busy, all)),
                }
            }
            if let Some((used, total)) = self.meminfo.as_mut().and_then(|file| memory(file.read().ok()?)) {
                readings.push(1, 100.0 * (used / total).clamp(0.0, 1.0));
            }
        }
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

    impl Sensor for Utilisation {
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
