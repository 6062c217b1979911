use std::fmt;

/// A warning for readers of a forecast.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Note {
    /// The device has no unit for a format, with what is done instead.
    Format(String),
    /// Requests wait because the cache has room for fewer.
    CacheFull {
        /// Sequences that run.
        running: f64,
        /// Requests that wait.
        waiting: f64,
    },
    /// A batch that the cache has no room for runs in parts, one after the other.
    Waves {
        /// Sequences that run at once.
        running: f64,
        /// How often, with the last that is not full.
        waves: f64,
    },
    /// Requests at once are at least one, and whole ones for an engine that runs them in batches.
    WholeRequests {
        /// Those that were asked for.
        asked: f64,
        /// Those that the figures are of.
        taken: f64,
    },
    /// One sequence fits the device's memory, though not the part of it that the engine usually takes.
    TightMemory {
        /// Bytes that it needs.
        needed: f64,
        /// Bytes that the engine usually takes.
        usable: f64,
    },
    /// The device's power when idle is not known, and a share of its TDP stands in for it.
    IdlePower {
        /// The assumed power of one device, W.
        watts: f64,
    },
    /// The energy is that of a meter at the wall.
    Host {
        /// The power of the machine around the devices, W.
        watts: f64,
    },
    /// The energy is that of the meter of the measurements behind it, which counts more than the devices.
    Meter {
        /// The meter.
        meter: String,
    },
}

impl Note {
    /// The word in the column `marks` of a sheet.
    pub fn mark(&self) -> &'static str {
        match self {
            Self::Format(_) => "format_fallback",
            Self::CacheFull { .. } => "cache_full",
            Self::Waves { .. } => "waves",
            Self::WholeRequests { .. } => "rounded",
            Self::TightMemory { .. } => "tight_memory",
            Self::IdlePower { .. } => "idle_assumed",
            Self::Host { .. } => "at_the_wall",
            Self::Meter { .. } => "whole_machine",
        }
    }
}

/// `1 sequence`, `2 sequences`.
fn counted(count: f64, what: &str) -> String {
    let count = count.round();
    format!("{count:.0} {what}{}", if count == 1.0 { "" } else { "s" })
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(reason) => f.write_str(reason),
            Self::CacheFull { running, waiting } => {
                let wait = if waiting.round() == 1.0 { "waits" } else { "wait" };
                let (running, waiting) = (counted(*running, "sequence"), counted(*waiting, "request"));
                write!(f, "the cache has room for {running}: {waiting} {wait}")
            }
            Self::Waves { running, waves } => {
                write!(
                    f,
                    "the cache has room for {}: the batch runs in {waves:.0} waves",
                    counted(*running, "sequence")
                )
            }
            Self::WholeRequests { asked, taken } => {
                let why = match *asked < 1.0 {
                    true => "while some run, one does at least",
                    false => "here requests run in batches of whole ones",
                };
                write!(f, "the figures are of {taken} at once, not of {asked}: {why}")
            }
            Self::TightMemory { needed, usable } => {
                let bytes = irene_tree::render::bytes;
                let (needed, usable) = (bytes(*needed), bytes(*usable));
                write!(f, "one sequence needs {needed}, more than the {usable} that the engine takes by default")
            }
            Self::Host { watts } => {
                write!(f, "energy and power are those at the wall: the machine around the devices draws {watts:.0} W")
            }
            Self::Meter { meter } => {
                write!(f, "energy and power are what the meter `{meter}` counts, which is more than the devices")
            }
            Self::IdlePower { watts } => {
                write!(
                    f,
                    "the idle power of the device is not published: {watts:.0} W, a usual share of its TDP, is assumed"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_told_in_the_plural() {
        let of = |note: Note| note.to_string();
        let full = of(Note::CacheFull { running: 1.0, waiting: 1.2 });
        assert_eq!(full, "the cache has room for 1 sequence: 1 request waits");
        let waves = of(Note::Waves { running: 31.0, waves: 2.0 });
        assert_eq!(waves, "the cache has room for 31 sequences: the batch runs in 2 waves");
    }
}
