//! The samples in powermetrics' two formats.

use crate::SocPart;

use super::super::log_time::{LogTime, asctime, iso};

/// The parts that have a power, with their keys in property lists and their names in text.
pub(super) const PARTS: [SocPart; 4] = [SocPart::All, SocPart::Cpu, SocPart::Gpu, SocPart::Ane];

const KEYS: [&str; PARTS.len()] = ["combined_power", "cpu_power", "gpu_power", "ane_power"];

const NAMES: [&str; PARTS.len()] = ["Combined Power (CPU + GPU + ANE)", "CPU Power", "GPU Power", "ANE Power"];

const MILLI: f64 = 1e-3;

const NANO: f64 = 1e-9;

/// A sample covers a shorter time, seconds.
const LONGEST: f64 = 3600.0;

/// The mean powers over a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// When it ended, in whole seconds since 1970.
    pub(super) time: f64,
    /// How long it lasted.
    pub(super) seconds: f64,
    /// By part, as in [`PARTS`].
    pub(super) watts: [Option<f64>; PARTS.len()],
}

/// The figures of a sample so far.
#[derive(Default)]
struct Partial {
    time: Option<f64>,
    seconds: Option<f64>,
    watts: [Option<f64>; PARTS.len()],
}

impl Partial {
    fn whole(&self) -> Option<Sample> {
        let (time, seconds) = (self.time?, self.seconds.filter(|seconds| *seconds > 0.0 && *seconds < LONGEST)?);
        let [all, cpu, gpu, ane] = self.watts;
        // Where the sum is not told it is that of all parts.
        let all = all.or_else(|| Some(cpu? + gpu? + ane?));
        let watts = [all, cpu, gpu, ane];
        watts.iter().any(Option::is_some).then_some(Sample { time, seconds, watts })
    }

    /// Takes a power of a part. The first of a name in a sample is the system's.
    fn take_power(&mut self, part: usize, watts: Option<f64>) {
        let watts = watts.filter(|watts| watts.is_finite() && *watts >= 0.0);
        self.watts[part] = self.watts[part].or(watts);
    }

    fn take_value(&mut self, key: Key, text: &str) {
        let number = || text.parse::<f64>().ok();
        match key {
            Key::Time => self.time = self.time.or(unix(iso(text))),
            Key::Elapsed => self.seconds = self.seconds.or(number().map(|nanoseconds| nanoseconds * NANO)),
            Key::Part(part) => self.take_power(part, number().map(|milliwatts| milliwatts * MILLI)),
        }
    }
}

/// Finds the samples in the lines of a file.
#[derive(Default)]
pub(super) struct Parser {
    /// The sample so far; None outside of one.
    partial: Option<Partial>,
    /// The key whose value comes next, where the two stand on two lines.
    key: Option<Key>,
    /// Whether a whole sample had no power.
    lacks_power: bool,
}

/// The keys that matter.
#[derive(Clone, Copy, PartialEq)]
enum Key {
    Time,
    Elapsed,
    Part(usize),
}

impl Key {
    fn of(name: &str) -> Option<Self> {
        match name {
            "timestamp" => Some(Self::Time),
            "elapsed_ns" => Some(Self::Elapsed),
            _ => KEYS.iter().position(|key| *key == name).map(Self::Part),
        }
    }
}

impl Parser {
    /// Whether whole samples had no power.
    pub(super) fn lacks_power(&self) -> bool {
        self.lacks_power
    }

    /// Takes a line; the sample that ends with it, if one does.
    pub(super) fn take_line(&mut self, line: &str) -> Option<Sample> {
        let line = line.trim_matches('\0').trim();
        if let Some(header) = line.strip_prefix("*** Sampled system activity (") {
            let before = self.partial.replace(Partial::default());
            self.take_header(header);
            return before.and_then(|partial| self.finish(&partial));
        }
        if line.contains("<plist") {
            (self.partial, self.key) = (Some(Partial::default()), None);
        }
        let ended = line.contains("</plist>");
        self.take_tags(line);
        self.take_text(line);
        // The sum is the last of the powers in text.
        let has_sum = line.starts_with(NAMES[0]);
        if ended || has_sum {
            return self.partial.take().and_then(|partial| self.finish(&partial));
        }
        None
    }

    fn finish(&mut self, partial: &Partial) -> Option<Sample> {
        let sample = partial.whole();
        self.lacks_power |= sample.is_none() && partial.time.is_some();
        sample
    }

    /// `Fri Sep 11 13:41:46 2026 -0700) (1002.90ms elapsed) ***`
    fn take_header(&mut self, header: &str) {
        let Some(partial) = &mut self.partial else { return };
        let Some((time, rest)) = header.split_once(')') else { return };
        partial.time = unix(asctime(time));
        let elapsed = rest.trim_start_matches([' ', '(']).split_once("ms").and_then(|(ms, _)| ms.parse::<f64>().ok());
        partial.seconds = elapsed.map(|milliseconds| milliseconds * MILLI);
    }

    /// `CPU Power: 823 mW`
    fn take_text(&mut self, line: &str) {
        let Some((name, power)) = line.split_once(':') else { return };
        let (Some(part), Some(partial)) = (NAMES.iter().position(|known| *known == name), &mut self.partial) else {
            return;
        };
        let digits = power.trim().trim_end_matches(char::is_alphabetic);
        let unit = match power.trim()[digits.len()..].trim() {
            "mW" => Some(MILLI),
            "W" => Some(1.0),
            _ => None,
        };
        partial.take_power(part, unit.and_then(|unit| Some(digits.trim().parse::<f64>().ok()? * unit)));
    }

    /// `<key>cpu_power</key><real>2978.45</real>`, several in a line, or the value in the next one.
    fn take_tags(&mut self, line: &str) {
        let mut rest = line;
        while let Some((tag, text, after)) = next_tag(rest) {
            rest = after;
            if tag == "key" {
                self.key = Key::of(text);
            } else if let (Some(key), Some(partial)) = (self.key.take(), &mut self.partial) {
                partial.take_value(key, text);
            }
        }
    }
}

/// The name and text of the next `<name>text</...>`, and what comes after its text. Tags without text (`<dict>`, `<true/>`) have an empty
/// one.
fn next_tag(text: &str) -> Option<(&str, &str, &str)> {
    let (_, text) = text.split_once('<')?;
    let (name, text) = text.split_once('>')?;
    if name.starts_with(['/', '?', '!']) {
        return next_tag(text);
    }
    let end = text.find('<').unwrap_or(text.len());
    Some((name, text[..end].trim(), &text[end..]))
}

/// powermetrics tells its zone.
fn unix(time: Option<LogTime>) -> Option<f64> {
    match time? {
        LogTime::Unix(time) => Some(time),
        LogTime::Local(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The samples in a text.
    fn samples(text: &str) -> Vec<Sample> {
        let mut parser = Parser::default();
        text.lines().filter_map(|line| parser.take_line(line)).collect()
    }

    const END: f64 = 1_700_000_000.0; // 2023-11-14 22:13:20 UTC

    #[test]
    fn text_has_its_unit_with_the_number_and_its_zone_with_the_time() {
        let text = "*** Sampled system activity (Tue Nov 14 15:13:20 2023 -0700) (1002.90ms elapsed) ***\n\
                    CPU Power: 750 mW\nGPU Power: 2.5W\nANE Power: 323 J\nCombined Power (CPU + GPU + ANE): 3500 mW\nGPU Power: 9 mW\n";
        let [sample] = samples(text)[..] else { unreachable!() };
        assert_eq!((sample.time, sample.watts), (END, [Some(3.5), Some(0.75), Some(2.5), None]));
        assert!((sample.seconds - 1.0029).abs() < 1e-12);
    }

    #[test]
    fn tags_may_share_a_line_or_stand_apart() {
        let list = "\0<?xml version=\"1.0\"?><plist version=\"1.0\"><dict><key>elapsed_ns</key><integer>500000000</integer>\n\
                    <key>timestamp</key>\n<date>2023-11-14T22:13:20Z</date><key>thermal</key><dict><key>cpu_power</key>\n\
                    <real>1500</real></dict><true/><key>cpu_power</key><real>9</real></dict></plist>\n";
        let expected = Sample { time: END, seconds: 0.5, watts: [None, Some(1.5), None, None] };
        assert_eq!(samples(list), [expected]);
    }

    #[test]
    fn a_sample_without_its_time_or_duration_is_none() {
        let text = "*** Sampled system activity (Tue Nov 14 22:13:20 2023 +0000) (1000ms elapsed) ***\nCPU Power: 5 mW\n\
                    Combined Power (CPU + GPU + ANE): 5 mW\n";
        assert_eq!(samples(text).len(), 1);
        for (from, to) in [
            ("+0000", ""),
            ("1000ms", "0ms"),
            ("1000ms", "elapsed"),
            ("(1000ms", "(9999999999ms"),
            ("1000ms", "3600000ms"),
            ("5 mW", "5"),
        ] {
            assert_eq!(samples(&text.replace(from, to)), [], "{to}");
        }
    }
}
