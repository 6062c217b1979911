use std::sync::{Mutex, MutexGuard, PoisonError};

use irene_sampler::Provenance;

use crate::{Accounts, Options, now::Now, request::Entered};

/// The state that requests share with the thread that settles.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) now: Now,
    pub(crate) options: Options,
    /// None without a meter.
    pub(crate) provenance: Option<Provenance>,
    /// Requests that have begun since the last look; None once the meter has stopped. The lock is held to add one or to take all.
    new: Mutex<Option<Vec<Entered>>>,
    accounts: Mutex<Accounts>,
}

impl State {
    pub(crate) fn new(now: Now, options: Options, provenance: Option<Provenance>) -> Self {
        Self { now, options, provenance, new: Mutex::new(Some(Vec::new())), accounts: Mutex::default() }
    }

    pub(crate) fn new_requests(&self) -> MutexGuard<'_, Option<Vec<Entered>>> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the requests that have begun since the last look into an empty list. All that begin later do so after the time that is returned.
    pub(crate) fn enter(&self, list: &mut Vec<Entered>) -> u64 {
        let mut new = self.new_requests();
        if let Some(new) = &mut *new {
            std::mem::swap(new, list);
        }
        (self.now)()
    }

    /// As [`enter`](Self::enter), and no request begins any more.
    pub(crate) fn close(&self, list: &mut Vec<Entered>) -> u64 {
        let mut new = self.new_requests();
        *list = new.take().unwrap_or_default();
        (self.now)()
    }
}
