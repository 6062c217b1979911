//! The software baseline of the IrEne paper: Strubell et al. (2019), as experiment-impact-tracker (Henderson et al. 2020) measures it.
//! This process gets its share of the packages' energy by busy processor time, of the memory's by memory in use and of the GPUs' by
//! busy multiprocessors, times the power usage effectiveness of a data centre.

use crate::{
    Channel, ChannelId, Findings, LeftOut, Metric, Readings, Recorder, Recording, Resource, Sensor, Stamp, Total,
};

#[cfg(feature = "nvml")]
use super::nvml;
use super::{
    Kind, Places, Unavailable,
    process_tree::{UTIME, stat_fields},
    rapl,
    shares::{Idle, Sharing, Usage},
    text_file::TextFile,
    utilisation::kilobytes,
};

pub(super) const KIND: Kind =
    Kind { name: "impact-tracker", what: "estimate: this process's share of RAPL and GPUs, with a PUE of 1.58", open };

/// Average power usage effectiveness of data centres in 2018 (Strubell et al. 2019, section 3).
pub const PUE: f64 = 1.58;

/// The files of a process in /proc are short but for names.
const LEN: usize = 4096;

struct ImpactTracker {
    channel: Channel,
    sharing: Sharing,
    process: ThisProcess,
    joules: f64,
}

fn open(places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    let mut sensors = vec![(rapl::KIND.open)(places)?];
    #[cfg(feature = "nvml")]
    if nvml::library_if_any(places)?.is_some() {
        sensors.push((nvml::KIND.open)(places)?);
    }
    let shared = chosen(&mut sensors)?;
    Ok(Box::new(ImpactTracker {
        channel: Channel::estimate(Resource::Process),
        sharing: Sharing::open(places, sensors, &shared, Idle::Shared)?,
        process: ThisProcess::open(places)?,
        joules: 0.0,
    }))
}

/// The channels that are shared out: packages, memory and GPUs, as in the papers, and the platform only where there is nothing else.
fn chosen(sensors: &mut Vec<Box<dyn Sensor>>) -> Result<Vec<ChannelId>, Unavailable> {
    let missing: Vec<_> = sensors.iter().flat_map(|sensor| sensor.missing()).cloned().collect();
    let mut recorder = Recorder::new(std::mem::take(sensors), 2);
    recorder.sample_at(Stamp { time: 0.0, wall: 0.0 });
    let recording = recorder.recording();
    let channels = recording.channels();
    let id = |place: usize| channels[place].id.clone();
    let left_out = (0..channels.len()).filter(|&place| is_left_out(recording, place));
    let left_out = left_out.map(|place| (id(place), LeftOut::NotNamed)).collect();
    let total = Total::of(channels, 0, &Findings { left_out, ..Findings::default() }, &missing);
    if let Some(missing) = total.lacking().next() {
        return Err(missing.why.clone());
    }
    let shared = total.taken().iter().map(|&place| id(place)).collect();
    *sensors = recorder.into_sensors();
    Ok(shared)
}

/// Whether other channels tell more: the packages of a platform, the first of two dies that show one counter, the power of a GPU whose
/// counter was never fed and shows 0 for ever.
fn is_left_out(recording: &Recording, place: usize) -> bool {
    let (channels, own) = (recording.channels(), &recording.channels()[place].id);
    let has = |is: &dyn Fn(&ChannelId) -> bool| channels.iter().any(|channel| is(&channel.id));
    match own.resource {
        Resource::Platform(_) => has(&|other| matches!(other.resource, Resource::Package(_))),
        Resource::Gpu(_) if own.metric == Metric::Energy => {
            let is_fed = recording.series(place).counter_reading() != Some(0.0);
            !is_fed && has(&|other| other.resource == own.resource && other.metric == Metric::Power)
        }
        _ => (0..place).any(|first| is_mirror(recording, first, place)),
    }
}

/// Whether two dies of one socket show one counter: their counts differ by less than a joule since the machine was started.
fn is_mirror(recording: &Recording, first: usize, second: usize) -> bool {
    const AT_ONCE: f64 = 1.0;
    let die = |place: usize| match recording.channels()[place].id.resource {
        Resource::Package(package) => Some((package.socket, false)).filter(|_| package.die.is_some()),
        Resource::Dram(package) => Some((package.socket, true)).filter(|_| package.die.is_some()),
        _ => None,
    };
    let reading = |place: usize| recording.series(place).counter_reading();
    let is_close = reading(first).zip(reading(second)).is_some_and(|(a, b)| (a - b).abs() < AT_ONCE);
    is_close && die(first).is_some() && die(first) == die(second)
}

/// The process that irene itself is.
struct ThisProcess {
    stat: TextFile,
    status: TextFile,
}

impl ThisProcess {
    fn open(places: &Places) -> Result<Self, Unavailable> {
        let file = |name: &str| {
            let path = places.proc.join("self").join(name);
            TextFile::open(&path, LEN).map_err(|error| Unavailable::at(&path, error))
        };
        Ok(Self { stat: file("stat")?, status: file("status")? })
    }
}

impl Usage for ThisProcess {
    fn ticks(&mut self, _time: f64) -> Option<f64> {
        let mut times = stat_fields(self.stat.read().ok()?)?.skip(UTIME).map(str::parse::<f64>);
        Some(times.next()?.ok()? + times.next()?.ok()?)
    }

    fn kilobytes(&mut self) -> Option<f64> {
        kilobytes(self.status.read().ok()?, "VmRSS")
    }

    fn has(&mut self, pid: u32) -> bool {
        pid == std::process::id()
    }
}

impl Sensor for ImpactTracker {
    fn channels(&self) -> &[Channel] {
        std::slice::from_ref(&self.channel)
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        let Some(used) = self.sharing.advance(readings.stamp(), &mut self.process) else { return };
        let used = used.into_iter().try_fold(0.0, |sum, joules| Some(sum + joules?));
        self.joules += PUE * used.unwrap_or(0.0);
        match used {
            Some(_) => readings.push(0, self.joules),
            None => readings.push_after_break(0, self.joules),
        }
    }
}
