//! Ctrl-C and the request to end (SIGTERM), told to whoever wants to end in order.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
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

/// The temporary files that there are.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary file, which goes if a signal ends the process before this is dropped.
pub(crate) struct Unfinished(PathBuf);

impl Unfinished {
    pub(crate) fn new(path: &Path) -> Self {
        #[cfg(unix)]
        watch();
        unfinished().push(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        unfinished().retain(|path| *path != self.0);
    }
}

/// Removes the temporary files at the signal that ends the process, unless the command ends in order.
#[cfg(unix)]
fn watch() {
    static WATCH: std::sync::Once = std::sync::Once::new();
    WATCH.call_once(|| {
        // Without it the files stay, which is no reason to write nothing.
        let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]) else { return };
        std::thread::spawn(move || {
            for signal in signals.forever().filter(|_| ENDED.get().is_none()) {
                unfinished().iter().for_each(|path| drop(std::fs::remove_file(path)));
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        });
    });
}
