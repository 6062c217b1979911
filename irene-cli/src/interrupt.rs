//! Ctrl-C, told to whoever wants to end in order.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};

/// The exit code of a command that Ctrl-C has ended: 128 and the signal's number.
pub(crate) const ENDED_BY_CTRL_C: u8 = 130;

static FLAG: OnceLock<AtomicBool> = OnceLock::new();

/// Whether Ctrl-C was told to a command that ends in order.
pub(crate) fn happened() -> bool {
    FLAG.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Becomes true at the first Ctrl-C; the second ends the process at once.
pub(crate) fn flag() -> Result<&'static AtomicBool> {
    let is_first = FLAG.get().is_none();
    let flag = FLAG.get_or_init(AtomicBool::default);
    if is_first {
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(ENDED_BY_CTRL_C.into());
            }
        })
        .context("cannot listen to Ctrl-C")?;
    }
    Ok(flag)
}
