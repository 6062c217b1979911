use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use irene_sampler::{Promise, Provenance, Sampler, Step, Steps};

use crate::{
    Accounts, Error, Feed, Options, Request, RequestInfo,
    now::Now,
    request::{Entered, Live, Unmetered},
    running::Running,
    state::State,
};

/// Shares the energy of a source among requests. Copies of it are the same meter; it stops with the last of them.
#[derive(Clone, Debug)]
pub struct Meter {
    pub(crate) state: Arc<State>,
    _stop: Option<Arc<Stop>>,
}

/// Tells the meter's thread to stop.
#[derive(Debug)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Meter {
    /// Follows a sampler's meter from a thread of its own. If the sampler has none, shares come when requests end, and know no energy.
    ///
    /// # Errors
    /// [`Error::IdlePower`] if the options are wrong; [`Error::Thread`] if the system cannot start a thread.
    pub fn new(sampler: Arc<Sampler>, options: Options) -> Result<Self, Error> {
        let clock = sampler.clock();
        let now = move || billionths(clock.now());
        let Some(steps) = sampler.look(Steps::new) else {
            return Ok(Self::fed_from(now, None, options)?.0);
        };
        let (meter, feed) = Self::fed(now, steps.provenance(), options)?;
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stop);
        std::thread::Builder::new()
            .name("irene-attribution".into())
            .spawn(move || follow(&sampler, steps, feed, &theirs))?;
        Ok(Self { _stop: Some(Arc::new(Stop(stop))), ..meter })
    }

    /// Follows a source of energy that the caller [reads](Feed::reading). Times are nanoseconds of the clock that is given, which never
    /// goes back.
    ///
    /// # Errors
    /// [`Error::IdlePower`] if the options are wrong.
    pub fn fed(
        now: impl Fn() -> u64 + Send + Sync + 'static,
        provenance: Provenance,
        options: Options,
    ) -> Result<(Self, Feed), Error> {
        Self::fed_from(now, Some(provenance), options)
    }

    fn fed_from(
        now: impl Fn() -> u64 + Send + Sync + 'static,
        provenance: Option<Provenance>,
        options: Options,
    ) -> Result<(Self, Feed), Error> {
        options.idle_power.check()?;
        let state = Arc::new(State::new(Now::new(now), options, provenance));
        let feed = Feed::new(Arc::clone(&state));
        Ok((Self { state, _stop: None }, feed))
    }

    /// Begins a request.
    pub fn begin(&self, info: impl Into<RequestInfo>) -> Request {
        let (promise, share) = Promise::new();
        let live = Arc::new(Live::default());
        let mut entered = Entered { live: Arc::clone(&live), info: info.into(), promise, begin: 0 };
        let mut new = self.state.new_requests();
        // The time is that under the lock, so that no request begins in time that was settled.
        entered.begin = (self.state.now)();
        let unmetered = match &mut *new {
            Some(new) => {
                new.push(entered);
                None
            }
            None => {
                let running = Running::new(entered, &self.state.options);
                Some(Box::new(Unmetered { running, state: Arc::clone(&self.state) }))
            }
        };
        Request { live, now: self.state.now.clone(), share: Some(share), unmetered }
    }

    /// Where the energy went so far.
    pub fn accounts(&self) -> Accounts {
        self.state.accounts().clone()
    }
}

/// The longest time between two looks at what requests do.
const TICK: Duration = Duration::from_millis(10);

fn billionths(number: f64) -> u64 {
    (number * 1e9).round() as u64
}

fn follow(sampler: &Sampler, mut steps: Steps, mut feed: Feed, stop: &AtomicBool) {
    let mut found: Vec<Step> = Vec::new();
    // Less than a nanojoule, which the steps so far have left over.
    let mut rest = 0.0;
    let mut is_first = true;
    while !stop.load(Ordering::Relaxed) {
        sampler.wait_past(sampler.clock().now(), TICK);
        sampler.look(|recording| steps.advance(recording, |step| found.push(step)));
        for step in found.drain(..) {
            if std::mem::take(&mut is_first) {
                feed.start_at(billionths(step.from));
            }
            let energy = step.joules.map(|joules| {
                rest += joules;
                let whole = billionths(rest);
                rest -= whole as f64 * 1e-9;
                whole
            });
            feed.reading(billionths(step.to), energy);
        }
        feed.tick();
    }
}
