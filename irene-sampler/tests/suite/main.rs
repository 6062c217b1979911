//! Meters on machines made of files, and the protocol.
#![allow(clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

#[cfg(target_os = "linux")]
mod control_groups;
mod covers;
mod doubts;
#[cfg(target_os = "linux")]
mod drm;
mod evidence;
#[cfg(target_os = "linux")]
mod hwmon;
#[cfg(target_os = "linux")]
mod ipmi;
#[cfg(target_os = "linux")]
mod jetson;
#[path = "../machine/mod.rs"]
mod machine;
mod memory;
#[cfg(feature = "nvml")]
mod nvml;
mod power_log;
mod powercap;
#[cfg(target_os = "linux")]
mod powermetrics;
#[cfg(target_os = "linux")]
mod proc;
#[cfg(target_os = "linux")]
mod processes;
mod protocol;
mod sampler;
mod scripted;
#[cfg(target_os = "linux")]
mod selection;
mod span;
mod steps;
mod total;
mod windows;
mod world;
