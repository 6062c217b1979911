//! Messages to the person at the terminal, on stderr.

use std::io::Write;

use anstyle::AnsiColor;

/// Says something to the person at the terminal.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(anstream::stderr(), "{}", readable(&in_flags(text)));
}

/// One line for a failure, with its causes.
pub(crate) fn complain(error: &anyhow::Error) {
    let style = AnsiColor::Red.on_default().bold();
    // Some errors print their cause themselves.
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // candle's errors may carry a backtrace after their first line.
        let cause = cause.lines().next().unwrap_or_default().to_owned();
        // Some begin with the file that their context names.
        if cause.starts_with(&text) {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    let _ = writeln!(anstream::stderr(), "{style}error:{style:#} {}", readable(&in_flags(&text)));
}

/// Fields of what measures, as irene-sampler and irene-bench name them, and the flags that fill them; a longer name before its beginning.
const MEASURING: [(&str, &str); 9] = [
    ("FindOptions::model", "--served-model"),
    ("Places::ipmi_log", "--meter ipmi:ipmi.log"),
    ("Places::power_log_ahead", "--log-ahead"),
    ("Places::power_log", "--meter log:FILE"),
    ("Places::powermetrics_log", "--meter powermetrics:power.plist"),
    ("Places::tdp_watts", "--tdp-watts"),
    ("Setting::generate", "--generate"),
    ("Setting::prompt", "--prompt"),
    ("SheetFile::open with resume", "--resume"),
];

/// A message with flags in place of the fields that errors of libraries name: --tensor-parallel 2 rather than parallel.tensor 2.
pub(crate) fn in_flags(message: &str) -> String {
    let message = irene_advice::in_settings(message, flag);
    MEASURING.iter().fold(message, |message, (field, flag)| message.replace(field, flag))
}

/// The same of a reason in an answer, which names settings.
pub(crate) fn reason_in_flags(reason: &str) -> String {
    irene_advice::with_settings(reason, flag)
}

fn flag(setting: &str) -> String {
    format!("--{}", setting.replace('_', "-"))
}

/// A message as a person can read it: names that come from files may have megabytes and any characters, and some numbers hundreds of
/// digits.
pub(crate) fn readable(text: &str) -> String {
    const LINE: usize = 2000;
    let line = |line: &str| cut(&line.split_inclusive(' ').map(word).collect::<String>(), LINE);
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A word of a message: a long number in powers of ten, and of a long name its ends.
fn word(word: &str) -> String {
    const WORD: usize = 300;
    const DIGITS: usize = 24;
    let is_digit = |c: char| c.is_ascii_digit();
    let digits = word.find(is_digit).zip(word.rfind(is_digit)).map(|(first, last)| first..last + 1);
    if let Some(place) = digits.filter(|place| place.len() > DIGITS)
        && word[place.clone()].chars().all(|c| is_digit(c) || c == '.')
    {
        let digits = &word[place.clone()];
        let number = digits.parse().ok().filter(|number: &f64| number.is_finite());
        let number = number.map_or_else(|| cut(digits, DIGITS), |number| format!("{number:e}"));
        return format!("{}{number}{}", &word[..place.start], &word[place.end..]);
    }
    cut(word, WORD).chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The beginning and the end of a longer text.
fn cut(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let end = most / 3;
    text.chars().take(most - end).chain(['…']).chain(text.chars().skip(count - end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_what_measures_is_told_as_its_flag() {
        for (field, flag) in MEASURING {
            assert_eq!(in_flags(&format!("it; {field} 3 would do")), format!("it; {flag} 3 would do"));
        }
    }

    #[test]
    fn a_message_stays_readable_whatever_its_names_and_numbers_are() {
        let plain = "f.jsonl, line 3: batch size must be from 1 to 16777216, found 0.000123 (root.encoder.0-11)";
        assert_eq!(readable(plain), plain);
        assert_eq!(
            readable(&format!("power limit of {}W,\nthen `{}`: x", 1e308, 1e-320)),
            "power limit of 1e308W,\nthen `1e-320`: x"
        );
        let long = readable(&format!("f.jsonl, line 1: {}: no figure", "b".repeat(5_000_000)));
        assert!(
            long.starts_with("f.jsonl, line 1: bbb") && long.ends_with("b: no figure") && long.len() < 400,
            "{long}"
        );
        let columns = readable(&format!("the file has {}; give another", "a column, ".repeat(10_000)));
        assert!(columns.starts_with("the file has a column") && columns.ends_with("; give another"), "{columns}");
        assert!(columns.chars().count() <= 2001);
        assert_eq!(readable(&"9".repeat(400)).chars().count(), 25);
        assert_eq!(readable("o/a\u{1b}[2Jb\tc"), "o/a\u{fffd}[2Jb\u{fffd}c");
    }
}
