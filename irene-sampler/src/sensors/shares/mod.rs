//! Energies shared out among processes: by processor time, by resident memory, by the time on a GPU's multiprocessors.

#[cfg_attr(not(feature = "nvml"), path = "no_gpu.rs")]
mod gpu;

use crate::{Channel, ChannelId, Reach, Recorder, Resource, Sensor, Stamp, sampler::PERIODS};

use self::gpu::GpuShare;
use super::{
    Places, Unavailable,
    text_file::TextFile,
    utilisation::{CpuTimes, HEAD, memory},
};

/// How the part of some processes in an energy is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ShareMethod {
    /// By their part of the processors' time.
    CpuTime,
    /// By their part of the memory.
    ResidentMemory,
    /// By their part of the time of a GPU's multiprocessors (SM).
    SmTime,
}

impl ShareMethod {
    /// Every method, in the order of the figures.
    pub(super) const ALL: [Self; 3] = [Self::CpuTime, Self::ResidentMemory, Self::SmTime];

    /// The word in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::CpuTime => "cpu-time",
            Self::ResidentMemory => "resident-memory",
            Self::SmTime => "sm-time",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// The method for a sensor's energy; None if nothing tells which process uses it.
    pub(super) fn of(channel: &Channel) -> Option<Self> {
        match (&channel.id.resource, &channel.reach) {
            (Resource::Dram(_), _) => Some(Self::ResidentMemory),
            (Resource::Gpu(_), _) => Some(Self::SmTime),
            (Resource::Processors | Resource::Platform(_) | Resource::Package(_), _) => Some(Self::CpuTime),
            (Resource::Cores(_) | Resource::Uncore(_), _) => Some(Self::CpuTime),
            (Resource::Board { .. }, Reach::Processor) => Some(Self::CpuTime),
            _ => None,
        }
    }
}

/// Who bears the energy of what is idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// By busy time and by the memory in use, so that the shares of all processes add up to the whole.
    #[default]
    Shared,
    /// Nobody: shares are of all time, and of all memory.
    Apart,
}

/// The use of some processes.
pub(super) trait Usage: Send {
    /// Their processor time so far, in ticks of 10 ms.
    fn ticks(&mut self, time: f64) -> Option<f64>;

    /// Kilobytes of memory that they hold.
    fn kilobytes(&mut self) -> Option<f64>;

    /// Whether this process is one of them.
    fn has(&mut self, pid: u32) -> bool;

    /// Why they will use nothing any more, if so.
    fn is_over(&self) -> Option<String> {
        None
    }
}

/// Energies, and what is known about the use of their sources.
pub(super) struct Sharing {
    recorder: Recorder,
    shared: Vec<Shared>,
    idle: Idle,
    times: CpuTimes,
    /// Where memory's energy is shared out.
    meminfo: Option<TextFile>,
    gpus: Option<GpuShare>,
    /// Ticks of the machine and of the processes when energy was last shared out.
    last_ticks: Option<[f64; 2]>,
}

/// An energy that is shared out.
struct Shared {
    place: usize,
    method: ShareMethod,
    gpu: Option<u32>,
    /// Joules and gaps of the readings when energy was last shared out.
    joules: f64,
    gaps: u64,
}

/// Joules by each method, None where the energy or the share is unknown.
pub(super) type Used = [Option<f64>; ShareMethod::ALL.len()];

impl Sharing {
    /// Shares out these channels of the sensors.
    pub(super) fn open(
        places: &Places,
        sensors: Vec<Box<dyn Sensor>>,
        ids: &[ChannelId],
        idle: Idle,
    ) -> Result<Self, Unavailable> {
        // Nobody says how often energy will be shared out.
        let recorder = Recorder::sampled_every(PERIODS[1], sensors, 2);
        let shared = |(place, channel): (usize, &Channel)| {
            let method = ShareMethod::of(channel).filter(|_| ids.contains(&channel.id))?;
            let gpu = if let Resource::Gpu(gpu) = channel.id.resource { Some(gpu) } else { None };
            Some(Shared { place, method, gpu, joules: 0.0, gaps: 0 })
        };
        let shared: Vec<Shared> = recorder.recording().channels().iter().enumerate().filter_map(shared).collect();
        let meminfo = || {
            let path = places.proc.join("meminfo");
            TextFile::open(&path, HEAD).map_err(|error| Unavailable::at(&path, error))
        };
        let has_memory = shared.iter().any(|shared| shared.method == ShareMethod::ResidentMemory);
        Ok(Self {
            gpus: GpuShare::open(places, shared.iter().filter_map(|shared| shared.gpu))?,
            meminfo: has_memory.then(meminfo).transpose()?,
            times: CpuTimes::open(&places.proc)?,
            recorder,
            shared,
            idle,
            last_ticks: None,
        })
    }

    /// Joules of these processes since the last call that gave any; 0 at the first.
    ///
    /// None if no tick has passed or ticks cannot be read: there is nothing to share out yet, and the energies go on.
    pub(super) fn advance(&mut self, stamp: Stamp, usage: &mut dyn Usage) -> Option<Used> {
        self.recorder.sample_at(stamp);
        let (is_first, processor) = (self.last_ticks.is_none(), self.processor_share(stamp.time, usage)?);
        let memory = if self.meminfo.is_some() { self.memory_share(usage) } else { None };
        let mut used = [Some(0.0); 3];
        for shared in &mut self.shared {
            let series = self.recorder.recording().series(shared.place);
            // A sensor that cannot be read now is read later.
            let joules = series.joules().unwrap_or(shared.joules);
            let is_known = series.gaps() == shared.gaps;
            let more = is_known.then_some(joules - shared.joules);
            (shared.joules, shared.gaps) = (joules, series.gaps());
            let share = match shared.method {
                ShareMethod::CpuTime => Some(processor),
                ShareMethod::ResidentMemory => memory,
                ShareMethod::SmTime => self
                    .gpus
                    .as_mut()
                    .zip(shared.gpu)
                    .and_then(|(gpus, gpu)| gpus.share(gpu, stamp.time, self.idle, &mut |pid| usage.has(pid))),
            };
            // The first readings begin the count.
            let share = if is_first { Some(0.0) } else { share };
            let sum = &mut used[shared.method as usize];
            *sum = sum.zip(more.zip(share)).map(|(sum, (joules, share))| sum + joules * share);
        }
        Some(used)
    }

    /// The processes' share of processor time since energy was last shared out.
    fn processor_share(&mut self, time: f64, usage: &mut dyn Usage) -> Option<f64> {
        let (busy, all) = self.times.read()?;
        let machine = if self.idle == Idle::Apart { all } else { busy };
        let own = usage.ticks(time)?;
        match self.last_ticks {
            Some([last, _]) if machine <= last => None,
            last => {
                self.last_ticks = Some([machine, own]);
                let share = |[last, last_own]: [f64; 2]| ((own - last_own) / (machine - last)).clamp(0.0, 1.0);
                Some(last.map_or(0.0, share))
            }
        }
    }

    /// The processes' share of the memory.
    fn memory_share(&mut self, usage: &mut dyn Usage) -> Option<f64> {
        let (used, total) = memory(self.meminfo.as_mut()?.read().ok()?)?;
        let whole = if self.idle == Idle::Apart { total } else { used };
        let own = usage.kilobytes()?;
        (whole > 0.0).then(|| (own / whole).clamp(0.0, 1.0))
    }
}
