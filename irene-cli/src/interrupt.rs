//! Ctrl-C and the request to end (SIGTERM), told to whoever wants to end in order.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use anyhow::{Context, Result};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag as set,
};

#[derive(Default)]
struct Ended {
    flag: Arc<AtomicBool>,
    /// The exit code of a command that a signal has ended: 128 and the signal's number.
    code: Arc<AtomicUsize>,
}

static ENDED: OnceLock<Ended> = OnceLock::new();

/// The exit code, if a signal was told to a command that ends in order.
pub(crate) fn exit_code() -> Option<u8> {
    let ended = ENDED.get().filter(|ended| ended.flag.load(Ordering::Relaxed))?;
    u8::try_from(ended.code.load(Ordering::Relaxed)).ok()
}

/// Becomes true at the first signal; the second ends the process at once.
pub(crate) fn flag() -> Result<&'static AtomicBool> {
    const SIGNALS: i32 = 128;
    let is_first = ENDED.get().is_none();
    let Ended { flag, code } = ENDED.get_or_init(Ended::default);
    for signal in [SIGINT, SIGTERM].into_iter().filter(|_| is_first) {
        let number = SIGNALS + signal;
        // The order counts: the first signal finds the flag unset, and sets it.
        set::register_conditional_shutdown(signal, number, Arc::clone(flag))
            .and_then(|_| set::register_usize(signal, Arc::clone(code), number as usize))
            .and_then(|_| set::register(signal, Arc::clone(flag)))
            .context("cannot listen to Ctrl-C")?;
    }
    Ok(flag)
}
