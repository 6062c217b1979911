//! A clock and a meter that a test turns by hand.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use irene_attribution::{Feed, Meter, Options, Request, RequestInfo, Share};
use irene_sampler::{Pending, Provenance};

pub(crate) const MS: u64 = 1_000_000;

pub(crate) struct Scripted {
    clock: Arc<AtomicU64>,
    pub(crate) meter: Meter,
    pub(crate) feed: Feed,
}

impl Scripted {
    pub(crate) fn new(options: Options) -> Self {
        let clock = Arc::new(AtomicU64::new(0));
        let theirs = Arc::clone(&clock);
        let now = move || theirs.load(Ordering::Relaxed);
        let (meter, feed) = Meter::fed(now, Provenance::Measured, options).unwrap();
        Self { clock, meter, feed }
    }

    pub(crate) fn at(&self, time: u64) -> &Self {
        self.clock.store(time, Ordering::Relaxed);
        self
    }

    /// A look at the requests at this time; what they tell next was done after it.
    pub(crate) fn look(&mut self, time: u64) {
        self.at(time);
        self.feed.tick();
    }

    pub(crate) fn begin(&self, info: impl Into<RequestInfo>) -> Request {
        self.meter.begin(info)
    }

    /// A reading at this time, and a look at the requests.
    pub(crate) fn reading(&mut self, time: u64, nanojoules: Option<u64>) {
        self.at(time);
        self.feed.reading(time, nanojoules);
        self.feed.tick();
    }
}

/// The share that is known now.
pub(crate) fn share(pending: &Pending<Share>) -> Share {
    pending.try_get().unwrap()
}

pub(crate) fn all(share: &Share) -> u64 {
    share.prompt_nj + share.decode_nj + share.idle_nj
}
