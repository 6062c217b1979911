use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use irene_sampler::{Mean, NoEnergy, Recording, Sampler};

use crate::{
    Energy, Error, Exchange, Mark, Measured, Prompts, Result, Server, Steady,
    load::Load,
    measured::{Traffic, parts},
    steady::{LEAST_ROUNDS, bounds, steady},
};

/// A load on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Setting {
    /// Tokens of a prompt.
    pub prompt: usize,
    /// Tokens to generate; 0 where a server generates none.
    pub generate: usize,
    /// Requests that run at once.
    pub concurrency: usize,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prompt, generate, concurrency } = self;
        write!(f, "prompt {prompt}, generate {generate}, {concurrency} at once")
    }
}

/// How long and how often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Requests that end before this time are left out; at least the first of each concurrent stream is.
    pub warm_up: Duration,
    /// The least length of the window.
    pub least: Duration,
    /// After this time a setting ends, steady or not.
    pub most: Duration,
    /// The most requests that are sent.
    pub most_requests: u64,
    /// The longest time that an answer may take.
    pub timeout: Duration,
    /// A setting has no figures if a greater share of its requests fails.
    pub most_failures: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            warm_up: Duration::from_secs(1),
            least: Duration::from_secs(10),
            most: Duration::from_secs(600),
            most_requests: 100_000,
            timeout: Duration::from_secs(120),
            most_failures: 0.1,
        }
    }
}

/// A window is so many times as long as the shortest that has an energy, which is two updates of the slowest sensor.
const SHORTEST_WINDOWS: f64 = 5.0;

/// Measures settings of a server, one after the other.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The server.
    pub server: &'a Server,
    /// The sensors; without a meter among them energies are absent.
    pub sampler: &'a Sampler,
    /// How long and how often.
    pub limits: Limits,
    /// The power before the first load, W.
    pub idle_w: Option<f64>,
    /// Whether the energy of idling is left out.
    pub subtracts_idle: bool,
    /// Set it to true to stop.
    pub stop: &'a AtomicBool,
}

impl Bench<'_> {
    /// The power of the meter over some time in which nothing runs, W; None without a meter, or with too few readings.
    ///
    /// Blocks for this time and until the readings are there: in an async program call it by `spawn_blocking`.
    ///
    /// # Errors
    /// [`Error::Stopped`] if `stop` becomes true.
    pub fn idle_power(sampler: &Sampler, time: Duration, stop: &AtomicBool) -> Result<Option<f64>> {
        let clock = sampler.clock();
        // The window begins with a reading.
        sampler.wait_past(clock.now(), LONGEST_PERIOD);
        let from = clock.now();
        let to = from + time.as_secs_f64();
        while clock.now() < to {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            std::thread::sleep(TICK);
        }
        sampler.wait_until_covered(from, to);
        Ok(sampler.look(|recording| Some(recording.total().window(recording, from, to).ok()??.watts)))
    }

    /// Keeps a load running until its steady part is long enough, and gives its figures.
    ///
    /// Blocks for seconds to minutes ([`Limits`]): in an async program call it by `spawn_blocking`.
    ///
    /// # Errors
    /// [`Error::Setting`] if too many requests fail, or too few are whole; [`Error::Stopped`] if `stop` becomes true.
    pub fn measure(&self, setting: Setting, prompts: &Prompts) -> Result<Measured> {
        let clock = self.sampler.clock();
        let start = clock.now();
        let load = Load::start(self.server, prompts, setting, self.limits, clock)?;
        let (window, is_steady) = self.wait(&load, setting, start)?;
        // The load goes on meanwhile, so that late readings are those of the load too.
        self.sampler.wait_until_covered(window.from(), window.to());
        let exchanges = load.finish(|| self.is_stopped());
        if self.is_stopped() {
            return Err(Error::Stopped);
        }
        self.refuse_failing(&exchanges, setting, window.from())?;
        let mut measured = self.figures(&exchanges, setting, &window, is_steady, start);
        measured.marks.extend(prompts.shares_prefix().then_some(Mark::SharedPrefix));
        Ok(measured)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits for a steady window, and says whether it is one: if the time or the requests are used up before, it takes
    /// what there is. Requests that end while none follows them are in neither.
    fn wait(&self, load: &Load, setting: Setting, start: f64) -> Result<(Steady, bool)> {
        let clock = self.sampler.clock();
        let (mut seen, mut next) = (0, start);
        loop {
            if self.is_stopped() {
                return Err(Error::Stopped);
            }
            let is_over = load.is_over() || clock.now() - start > self.limits.most.as_secs_f64();
            let exchanges = load.exchanges();
            // It may run on the machine that is measured: it must not look too often.
            let is_new = exchanges.len() > seen && clock.now() >= next || is_over;
            if is_new {
                (seen, next) = (exchanges.len(), clock.now() + PAUSE_S);
            }
            let least = self.least_window();
            let ends = || self.ends(&exchanges, start, load.ebbs_from());
            let found = is_new.then(|| steady(&ends(), setting.concurrency)).flatten();
            if let Some(found) = found.filter(|found| found.to() - found.from() >= least) {
                return Ok((found, true));
            }
            if is_over {
                return Ok((last_resort(&exchanges, &ends(), setting)?, false));
            }
            self.refuse_failing(&exchanges, setting, start)?;
            drop(exchanges);
            std::thread::sleep(TICK);
        }
    }

    /// The ends of whole answers after the warm-up, while each is followed by the next request.
    fn ends(&self, exchanges: &[Exchange], start: f64, ebb: f64) -> Vec<f64> {
        let firsts = exchanges.iter().filter(|one| one.is_first).map(|one| one.ended);
        let warm = firsts.fold(start + self.limits.warm_up.as_secs_f64(), f64::max);
        let good = exchanges.iter().filter(|one| one.is_good() && one.ended >= warm && one.ended <= ebb);
        good.map(|one| one.ended).collect()
    }

    /// The least length of a window, s: the sensors must have something new several times in it.
    fn least_window(&self) -> f64 {
        let shortest = self.sampler.look(|recording| recording.shortest_window().map_or(0.0, |(seconds, _)| seconds));
        self.limits.least.as_secs_f64().max(SHORTEST_WINDOWS * shortest)
    }

    fn refuse_failing(&self, exchanges: &[Exchange], setting: Setting, from: f64) -> Result<()> {
        /// So many tell whether many fail.
        const LEAST: usize = 20;
        let ended = || exchanges.iter().filter(|one| one.ended >= from);
        let (all, failed) = (ended().count(), ended().filter(|one| one.failure.is_some()).count());
        if all < LEAST.max(2 * setting.concurrency) || failed as f64 <= self.limits.most_failures * all as f64 {
            return Ok(());
        }
        let failure = ended().filter_map(|one| one.failure.as_ref()).next_back();
        let reason = failure.map_or_else(String::new, |failure| format!("; the last one: {failure}"));
        Err(Error::Setting { setting, reason: format!("{failed} of {all} requests failed{reason}") })
    }

    fn figures(
        &self,
        exchanges: &[Exchange],
        setting: Setting,
        window: &Steady,
        is_steady: bool,
        start: f64,
    ) -> Measured {
        let (from, to) = (window.from(), window.to());
        let traffic = Traffic::of(exchanges, (from, to));
        let energy = self.sampler.look(|recording| self.energy(recording, exchanges, window));
        let (energy, no_energy) = match energy {
            Ok(energy) => (energy, None),
            Err(no_energy) => (None, Some(no_energy.to_string())),
        };
        let mut figures = traffic.figures;
        let net = energy.as_ref().map(|energy| self.net(energy.joules, to - from));
        let above_0 = |joules: &f64| *joules > 0.0;
        figures.energy_per_request_j = net.map(|joules| joules / traffic.served()).filter(above_0);
        let generated = Some(traffic.generated).filter(|tokens| *tokens > 0.0);
        figures.energy_per_token_j =
            figures.energy_per_request_j.zip(generated).map(|(joules, tokens)| joules / tokens);
        figures.power_w = net.map(|joules| joules / (to - from)).filter(above_0);
        let stamp = self.sampler.clock().stamp();
        Measured {
            setting,
            prompt: traffic.prompt,
            generated: traffic.generated,
            concurrency: traffic.concurrency,
            whole: traffic.whole,
            broken: traffic.broken,
            work: traffic.work,
            requests: traffic.requests,
            window_s: to - from,
            began_unix_s: stamp.wall - stamp.time + from,
            warm_up_s: from - start,
            rounds: window.rounds(),
            figures,
            energy,
            no_energy,
            idle_w: self.idle_w,
            marks: self.marks(&traffic, setting, is_steady),
            errors: traffic.errors,
        }
    }

    /// The energy without that of idling, where it is to be left out.
    fn net(&self, joules: f64, seconds: f64) -> f64 {
        let idle = self.idle_w.filter(|_| self.subtracts_idle).unwrap_or(0.0);
        joules - idle * seconds
    }

    fn marks(&self, traffic: &Traffic, setting: Setting, is_steady: bool) -> Vec<Mark> {
        /// Tokens of a few answers may be lacking.
        const EARLY: f64 = 0.95;
        let all = [
            (Mark::NotSteady, !is_steady),
            (Mark::EndedEarly, traffic.generated < EARLY * setting.generate as f64),
            (Mark::PromptSampled, self.server.streams && !self.server.counts_in_stream),
            (Mark::Failures, !traffic.errors.is_empty()),
            (Mark::IdleSubtracted, self.subtracts_idle && self.idle_w.is_some()),
        ];
        all.into_iter().filter(|(_, is_so)| *is_so).map(|(mark, _)| mark).collect()
    }

    fn energy(
        &self,
        recording: &Recording,
        exchanges: &[Exchange],
        window: &Steady,
    ) -> Result<Option<Energy>, NoEnergy> {
        let (from, to) = (window.from(), window.to());
        let Some(total) = recording.total().window(recording, from, to)? else { return Ok(None) };
        let channels = recording.channels().iter().enumerate().filter_map(|(place, channel)| {
            Some((channel.id.to_string(), recording.window(place, from, to).ok()?.energy?))
        });
        let of_request = |part: (f64, f64)| {
            let joules = recording.total().window(recording, part.0, part.1).ok()??.joules;
            Some(self.net(joules, part.1 - part.0) / Traffic::of(exchanges, part).served())
        };
        let of_requests: Option<Vec<f64>> = parts(window).into_iter().map(of_request).collect();
        Ok(Some(Energy {
            joules: total.joules,
            provenance: total.provenance,
            readings: total.readings,
            channels: channels.collect(),
            request: of_requests.and_then(|values| Mean::of(&values)),
        }))
    }
}

/// The second half of a run that never became steady.
fn last_resort(exchanges: &[Exchange], ends: &[f64], setting: Setting) -> Result<Steady> {
    let mut bounds = bounds(ends, setting.concurrency);
    if bounds.len() < 2 {
        let failure = exchanges.iter().filter_map(|one| one.failure.as_ref()).next_back();
        let why = failure.map_or_else(String::new, |failure| format!(" (the last failure: {failure})"));
        let ended = exchanges.iter().filter(|one| one.is_good()).count();
        let reason = format!(
            "{} of {ended} whole answers came while {} requests ran, which is too few{why}; give it more time or requests",
            ends.len(),
            setting.concurrency
        );
        return Err(Error::Setting { setting, reason });
    }
    let left_out = (bounds.len() / 2).min(bounds.len().saturating_sub(LEAST_ROUNDS + 1));
    Ok(Steady { bounds: bounds.split_off(left_out) })
}

/// A sampler reads at least so often.
const LONGEST_PERIOD: Duration = Duration::from_secs(10);

/// How often it looks whether a window is steady.
const TICK: Duration = Duration::from_millis(20);

/// The least time between two searches for a steady window, s.
const PAUSE_S: f64 = 0.1;
