//! Waits for a command's end, or for the end of a time.

use std::{
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::commands::Exit;

/// The time that a command has to end by itself after its time is over.
const PATIENCE: Duration = Duration::from_secs(2);

/// Starts a command. Where lines of JSON go to standard output, the command's own go to standard error.
pub(super) fn start(command: &[String], is_output_taken: bool) -> Result<Option<Child>> {
    let Some((program, rest)) = command.split_first() else { return Ok(None) };
    let mut command = Command::new(program);
    if is_output_taken {
        command.stdout(Stdio::from(std::io::stderr()));
    }
    match command.args(rest).spawn() {
        Ok(child) => Ok(Some(child)),
        Err(error) => Err(Exit::not_run(format!("cannot run {program}: {error}"), &error)),
    }
}

/// Waits until the command ends, the time is over or a signal comes, and does something meanwhile; the command's status if it ended by
/// itself.
pub(super) fn watch(
    mut child: Option<Child>,
    pause: Duration,
    is_over: impl Fn() -> bool,
    is_stopped: impl Fn() -> bool,
    mut meanwhile: impl FnMut() -> Result<()>,
) -> Result<Option<ExitStatus>> {
    let pause = if child.is_some() { pause.min(Duration::from_millis(2)) } else { pause };
    loop {
        if let Some(status) = child.as_mut().and_then(|child| child.try_wait().transpose()).transpose()? {
            return Ok(Some(status));
        }
        let done = meanwhile();
        let is_stopped = is_stopped();
        if is_stopped || is_over() || done.is_err() {
            child.map_or(Ok(()), |child| end(child, is_stopped))?;
            return done.map(|()| None);
        }
        std::thread::sleep(pause);
    }
}

/// Lets a command end in order: by itself if the signal to this process, such as Ctrl-C, has reached it too; else it is asked to.
fn end(mut child: Child, is_told: bool) -> Result<()> {
    if !(is_told && ends_soon(&mut child)?) {
        ask_to_end(&child);
        if !ends_soon(&mut child)? {
            child.kill()?;
            child.wait()?;
        }
    }
    Ok(())
}

fn ends_soon(child: &mut Child) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(false)
}

/// Where there is no such signal, it is killed after a while.
fn ask_to_end(child: &Child) {
    #[cfg(unix)]
    if let Some(process) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // It may just have ended.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
    }
    #[cfg(not(unix))]
    let _ = child;
}

/// The code with which a shell would end after this.
pub(super) fn exit_code(status: ExitStatus) -> Option<u8> {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        const SIGNALS: i32 = 128;
        if let Some(signal) = status.signal() {
            return u8::try_from(SIGNALS + signal).ok();
        }
    }
    u8::try_from(status.code()?).ok()
}
