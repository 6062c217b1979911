//! Numbers on the command line, each in a range: nothing that is made of it is infinite, and none takes hundreds of digits. A number
//! beyond is a slip.

use std::{ops::RangeInclusive, time::Duration};

use irene_tree::Format;

/// A whole number in a range.
pub(crate) fn whole<const LEAST: usize, const MOST: usize>(text: &str) -> Result<usize, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if (LEAST..=MOST).contains(&number) => Ok(number),
        Ok(number) if number < LEAST => Err(format!("expected a whole number of at least {LEAST}")),
        // Also one that is too long to be read.
        _ if is_number => Err(format!("expected a whole number of at most {MOST}")),
        _ => Err(format!("expected a whole number of at least {LEAST}")),
    }
}

/// No size is greater.
const MOST_TOKENS: usize = 1_000_000_000;

/// A size of at least one.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    whole::<1, MOST_TOKENS>(text)
}

/// A size that may be 0.
pub(crate) fn size_or_zero(text: &str) -> Result<usize, String> {
    whole::<0, MOST_TOKENS>(text)
}

/// A format of weights, or of a cache.
pub(crate) fn format(text: &str) -> Result<Format, String> {
    let found = text.parse().ok().filter(|format: &Format| format.holds_weights());
    found.ok_or_else(|| {
        let names = Format::all().filter(|format| format.holds_weights()).map(Format::name);
        format!("expected a number format of weights; there are {}", names.collect::<Vec<_>>().join(", "))
    })
}

/// A number of GPUs.
pub(crate) fn gpus(text: &str) -> Result<usize, String> {
    whole::<1, { irene_tree::Parallel::MOST }>(text)
}

/// A whole number of at least 1 that may be written as 1e9.
pub(crate) fn many(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.fract() == 0.0 && (1.0..=1e18).contains(number));
    number.ok_or_else(|| "expected a whole number of at least 1, such as 1000 or 1e9, and at most 1e18".into())
}

/// The numbers above 0 that somebody may mean.
const LEAST: f64 = 1e-9;
pub(crate) const MOST: f64 = 1e9;

/// Whether a number is 0, or one above it that somebody may mean.
pub(crate) fn is_not_negative(number: f64) -> bool {
    number == 0.0 || (LEAST..=MOST).contains(&number)
}

/// The words for such a number.
pub(crate) const NOT_NEGATIVE: &str = "a number of at least 0: 0, or from 1e-9 to 1e9";

pub(crate) fn not_negative(text: &str) -> Result<f64, String> {
    number(text, 0.0..=MOST, NOT_NEGATIVE)
}

/// A number in a range, with the words for what is expected. One as good as 0 is none.
pub(crate) fn number(text: &str, range: RangeInclusive<f64>, expected: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| is_not_negative(number.abs()) && range.contains(number));
    number.ok_or_else(|| format!("expected {expected}"))
}

/// A number above 0, with the words for what is expected.
fn above_0(text: &str, expected: &str) -> Result<f64, String> {
    number(text, LEAST..=MOST, &format!("{expected}, from 1e-9 to 1e9"))
}

pub(crate) fn positive(text: &str) -> Result<f64, String> {
    above_0(text, "a number above 0")
}

pub(crate) fn watts(text: &str) -> Result<f64, String> {
    above_0(text, "watts above 0")
}

/// A device's memory, GiB.
pub(crate) fn gib(text: &str) -> Result<f64, String> {
    above_0(text, "a number of GiB above 0, such as 11")
}

/// The time between two lines.
pub(crate) fn seconds_above_0(text: &str) -> Result<f64, String> {
    above_0(text, "seconds above 0")
}

/// A share that may be more than the whole.
#[cfg(feature = "candle")]
pub(crate) fn share_above_0(text: &str) -> Result<f64, String> {
    above_0(text, "a share above 0, such as 0.05")
}

/// A share of a whole.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    number(text, 0.0..=1.0, "a share from 0 to 1, such as 0.05")
}

/// A part of a whole, which leaves something.
pub(crate) fn part(text: &str) -> Result<f64, String> {
    number(text, LEAST..=1.0 - LEAST, "a share between 0 and 1")
}

/// A difference of two clocks, s.
pub(crate) fn ahead(text: &str) -> Result<f64, String> {
    number(text, -MOST..=MOST, "a number of seconds, from -1e9 to 1e9")
}

/// A time of less than a day.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|time| time.as_secs() < 86_400).ok_or_else(|| "expected seconds, less than a day".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_so_great_or_so_small_that_figures_made_of_it_are_infinite() {
        type Read = fn(&str) -> Result<f64, String>;
        let all: [Read; 8] = [positive, not_negative, watts, gib, seconds_above_0, share, part, ahead];
        for (place, read) in all.into_iter().enumerate() {
            for beyond in ["1e308", "-1e308", "1e-320", "-1e-320", "1e10", "inf", "nan", ""] {
                let refused = read(beyond).unwrap_err();
                assert!(refused.starts_with("expected ") && refused.len() < 80, "{place}, {beyond}: {refused}");
            }
            assert_eq!(read("0.5"), Ok(0.5), "{place}");
        }
        assert_eq!((not_negative("0"), share("1"), ahead("-3.5")), (Ok(0.0), Ok(1.0), Ok(-3.5)));
        assert!([positive("0"), watts("-1"), share("1.1"), part("1"), part("0")].iter().all(Result::is_err));
        assert_eq!((format("int4"), format("i64").is_err()), (Ok(Format::Int4), true));
        assert_eq!((many("1e9"), many("1.5").is_err(), many("1e19").is_err()), (Ok(1e9), true, true));
    }
}
