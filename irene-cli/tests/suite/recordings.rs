//! A recording of `irene sample` ends in order, whatever ends it.
#![cfg(unix)]

use std::{process::Command, time::Duration};

use crate::{
    command::Folder,
    measuring::{irene, text},
};

#[test]
fn ctrl_c_ends_a_recording_with_130() {
    let child = irene(&["sample", "--meter", "none", "--duration", "60"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", text(&ended.stderr));
    assert!(text(&ended.stdout).contains(" recorded"), "what was read is shown");
}

/// A service manager asks by SIGTERM alone: the command is asked to end in turn, and no reading is lost.
#[test]
fn a_request_to_end_keeps_what_was_read_and_ends_the_command() {
    let folder = Folder::new("terminated");
    let (readings, ended) = (folder.path("readings.csv"), folder.path("ended"));
    let script = format!("trap 'touch {ended}; exit 0' TERM; while true; do sleep 0.1; done");
    let mut child = irene(&["sample", "--meter", "none", "-o", &readings, "--", "sh", "-c", &script])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(std::path::Path::new(&ended).exists(), "the command ended in order");
    let lines = std::fs::read_to_string(&readings).unwrap();
    assert!(lines.lines().count() > 2, "{lines}");
}

/// The reader of a pipe may have gone; the file is written all the same.
#[test]
fn readings_are_kept_where_nobody_reads_what_is_printed() {
    let folder = Folder::new("broken-pipe");
    let readings = folder.path("readings.csv");
    let mut child = irene(&["sample", "--meter", "none", "--format", "json", "--duration", "2", "-o", &readings])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(std::fs::read_to_string(&readings).unwrap().lines().count() > 2);
}
