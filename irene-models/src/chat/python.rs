//! The parts of Python and transformers that templates expect.

use std::{
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use minijinja::{
    Environment, Error, ErrorKind, Value,
    value::{Kwargs, ValueKind},
};

pub(super) fn add_to(environment: &mut Environment<'_>) {
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> { Err(refused(message)) });
    environment.add_function("strftime_now", |format: String| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        strftime(now.as_secs(), &format)
    });
}

/// The template without the marks around an assistant's words, which tell training alone what to learn from.
pub(super) fn without_marks(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        let Some((inside, after)) = tag.split_once("%}") else { break };
        out.extend([before, "{%"]);
        // A block that always runs keeps the tag's trimming of space.
        match inside.trim_matches(['-', '+', ' ', '\t', '\n', '\r']) {
            "generation" => out += &inside.replace("generation", "if true"),
            "endgeneration" => out += &inside.replace("endgeneration", "endif"),
            _ => out += inside,
        }
        out += "%}";
        rest = after;
    }
    out + rest
}

/// `tojson` indents by so many spaces at most, and follows lists in lists so far: what templates need, and no more than memory and stack
/// have.
const MOST_INDENT: usize = 16;
const DEEPEST: usize = 64;

fn refused(reason: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// JSON as Python's `json.dumps(value, ensure_ascii=False, indent=indent)` writes it.
fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    if let Some(indent) = indent.filter(|indent| *indent > MOST_INDENT) {
        return Err(refused(format!("tojson indents by at most {MOST_INDENT} spaces, not {indent}")));
    }
    let mut out = String::new();
    write_json(&mut out, value, indent, 0)?;
    Ok(out)
}

fn write_json(out: &mut String, value: &Value, indent: Option<usize>, depth: usize) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(refused(format!("tojson writes at most {DEEPEST} lists and maps inside each other")));
    }
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&value.to_string()),
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            let write = |out: &mut String, item: &Value| write_json(out, item, indent, depth + 1);
            write_items(out, ['[', ']'], &items, indent, depth, write)?;
        }
        ValueKind::Map => {
            let keys: Vec<Value> = value.try_iter()?.collect();
            write_items(out, ['{', '}'], &keys, indent, depth, |out, key| {
                out.push_str(&quoted(&key.to_string()));
                out.push_str(": ");
                write_json(out, &value.get_item(key)?, indent, depth + 1)
            })?;
        }
        _ => out.push_str(&quoted(&value.to_string())),
    }
    Ok(())
}

fn write_items(
    out: &mut String,
    [open, close]: [char; 2],
    items: &[Value],
    indent: Option<usize>,
    depth: usize,
    mut write: impl FnMut(&mut String, &Value) -> Result<(), Error>,
) -> Result<(), Error> {
    let new_line = |out: &mut String, depth: usize| {
        if let Some(indent) = indent.filter(|_| !items.is_empty()) {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    out.push(open);
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push_str(if indent.is_some() { "," } else { ", " });
        }
        new_line(out, depth + 1);
        write(out, item)?;
    }
    new_line(out, depth);
    out.push(close);
    Ok(())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// 1 January 1970 was the first of these.
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// The time so many seconds after 1970 in UTC, as Python's `strftime` writes it.
fn strftime(seconds: u64, format: &str) -> Result<String, Error> {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let (year, month, day) = date(days);
    let (month_name, day_name) = (MONTHS[month as usize - 1], DAYS[days as usize % 7]);
    let mut out = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let written = match letters.next() {
            Some('Y') => write!(out, "{year}"),
            Some('y') => write!(out, "{:02}", year % 100),
            Some('m') => write!(out, "{month:02}"),
            Some('d') => write!(out, "{day:02}"),
            Some('B') => write!(out, "{month_name}"),
            Some('b') => write!(out, "{}", &month_name[..3]),
            Some('A') => write!(out, "{day_name}"),
            Some('a') => write!(out, "{}", &day_name[..3]),
            Some('H') => write!(out, "{hour:02}"),
            Some('I') => write!(out, "{:02}", (hour + 11) % 12 + 1),
            Some('p') => write!(out, "{}", if hour < 12 { "AM" } else { "PM" }),
            Some('M') => write!(out, "{minute:02}"),
            Some('S') => write!(out, "{second:02}"),
            Some('%') => write!(out, "%"),
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(refused(format!("strftime_now does not know %{other} here")));
            }
        };
        written.map_err(|_| Error::from(ErrorKind::WriteFailure))?;
    }
    Ok(out)
}

/// Year, month and day of so many days after 1970. Years are counted from March on, so that a leap day is a year's last.
fn date(days: u64) -> (u64, u64, u64) {
    // Days since 1 March of the year 0, in spans of 400 years.
    let days = days + 719_468;
    let (span, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let is_next_year = month >= 10;
    (400 * span + year + u64::from(is_next_year), if is_next_year { month - 9 } else { month + 3 }, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let written = |seconds| strftime(seconds, "%Y-%m-%d %d %b %Y %A %H:%M:%S %I%p %y %B %a 100%%").unwrap();
        assert_eq!(written(0), "1970-01-01 01 Jan 1970 Thursday 00:00:00 12AM 70 January Thu 100%");
        // A leap day, the last second of a year, and the day after the leap day that 2100 does not have.
        assert!(written(1_709_164_800).starts_with("2024-02-29 29 Feb 2024 Thursday"));
        assert!(written(1_767_225_599).starts_with("2025-12-31 31 Dec 2025 Wednesday 23:59:59 11PM"));
        assert!(written(4_107_542_400).starts_with("2100-03-01 01 Mar 2100 Monday"));
        assert!(strftime(0, "%Q").unwrap_err().to_string().contains("%Q"));
        assert!(strftime(0, "%").is_err());
    }

    #[test]
    fn marks_of_training_go_and_all_else_stays() {
        let source = "a{%- generation -%} b {%- endgeneration %}{% if x %}generation{% endif %}{% open";
        let expected = "a{%- if true -%} b {%- endif %}{% if x %}generation{% endif %}{% open";
        assert_eq!(without_marks(source), expected);
    }
}
