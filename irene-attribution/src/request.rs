use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use irene_sampler::{Pending, Promise};

use crate::{RequestInfo, Share, now::Now, running::Running, state::State};

/// A time that has not come.
const NEVER: u64 = u64::MAX;

/// A request that runs. It may be shared by threads; dropping it cancels it, and its work so far counts.
#[derive(Debug)]
pub struct Request {
    pub(crate) live: Arc<Live>,
    pub(crate) now: Now,
    /// None once it has ended.
    pub(crate) share: Option<Pending<Share>>,
    /// Where no meter's thread takes it up.
    pub(crate) unmetered: Option<Box<Unmetered>>,
}

/// A request that gives its share itself, when it ends: nothing will be known of its energy.
#[derive(Debug)]
pub(crate) struct Unmetered {
    pub(crate) running: Running,
    pub(crate) state: Arc<State>,
}

impl Unmetered {
    fn finish(mut self, now: u64) {
        self.running.observe(now);
        let told = self.running.finish(now, self.state.provenance, &mut self.state.accounts());
        told();
    }
}

/// The reports of a request, without a lock.
#[derive(Debug)]
pub(crate) struct Live {
    prompt: AtomicU64,
    cached: AtomicU64,
    tokens: AtomicU64,
    prompt_started: AtomicU64,
    /// The time of the first report of tokens.
    first_token: AtomicU64,
    ended: AtomicU64,
    is_cancelled: AtomicBool,
}

/// A request that has begun, until the meter's thread takes it up.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) live: Arc<Live>,
    pub(crate) info: RequestInfo,
    pub(crate) promise: Promise<Share>,
    pub(crate) begin: u64,
}

/// The reports of a request so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) prompt: u64,
    pub(crate) cached: u64,
    pub(crate) tokens: u64,
    pub(crate) prompt_started: Option<u64>,
    pub(crate) first_token: Option<u64>,
    pub(crate) ended: Option<u64>,
    pub(crate) is_cancelled: bool,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            prompt: AtomicU64::new(0),
            cached: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            prompt_started: AtomicU64::new(NEVER),
            first_token: AtomicU64::new(NEVER),
            ended: AtomicU64::new(NEVER),
            is_cancelled: AtomicBool::new(false),
        }
    }
}

impl Told {
    /// Tokens of the prompt that were computed.
    pub(crate) fn computed(&self) -> u64 {
        self.prompt.saturating_sub(self.cached)
    }
}

impl Live {
    /// The end is read first: all that was told before it is seen then.
    pub(crate) fn told(&self) -> Told {
        let time = |time: u64| (time != NEVER).then_some(time);
        let ended = time(self.ended.load(Ordering::Acquire));
        Told {
            ended,
            first_token: time(self.first_token.load(Ordering::Relaxed)),
            tokens: self.tokens.load(Ordering::Relaxed),
            prompt: self.prompt.load(Ordering::Relaxed),
            cached: self.cached.load(Ordering::Relaxed),
            prompt_started: time(self.prompt_started.load(Ordering::Relaxed)),
            is_cancelled: self.is_cancelled.load(Ordering::Relaxed),
        }
    }
}

impl Request {
    /// Reports the tokens of its prompt, at any time, those that a [cache](Self::prompt_cached) had too. The last call counts, as far as that
    /// time is not settled.
    pub fn prompt(&self, tokens: u64) {
        self.live.prompt.store(tokens, Ordering::Relaxed);
    }

    /// Reports how many of its prompt's tokens a prefix cache had, at any time. They count among the [prompt](Self::prompt)'s, and are no
    /// work. The last call counts, as far as that time is not settled.
    pub fn prompt_cached(&self, tokens: u64) {
        self.live.cached.store(tokens, Ordering::Relaxed);
    }

    /// Reports that work on the prompt begins now. Without this it begins with the request, which may have waited in a queue.
    pub fn prompt_started(&self) {
        self.live.prompt_started.store((self.now)(), Ordering::Relaxed);
    }

    /// Reports newly generated tokens. All but the first call are one atomic addition.
    pub fn tokens(&self, more: u64) {
        if self.live.tokens.fetch_add(more, Ordering::Relaxed) == 0 && more > 0 {
            self.live.first_token.store((self.now)(), Ordering::Relaxed);
        }
    }

    /// It leaves. Its share comes when the meter's readings have passed it, and every request that ran beside it has reported past it.
    /// This never waits.
    pub fn end(mut self) -> Pending<Share> {
        self.leave(false)
    }

    /// Ends the request as cancelled. Dropping it does the same.
    pub fn cancel(mut self) -> Pending<Share> {
        self.leave(true)
    }

    fn leave(&mut self, is_cancelled: bool) -> Pending<Share> {
        self.live.is_cancelled.store(is_cancelled, Ordering::Relaxed);
        let now = (self.now)();
        self.live.ended.store(now, Ordering::Release);
        if let Some(unmetered) = self.unmetered.take() {
            unmetered.finish(now);
        }
        match self.share.take() {
            Some(share) => share,
            None => unreachable!("only a request that runs can leave"),
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.share.is_some() {
            drop(self.leave(true));
        }
    }
}
