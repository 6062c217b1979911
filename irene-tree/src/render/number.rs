use crate::Quantity;

/// The number with three significant digits and an SI prefix, from nano to exa: `si(0.0123, "J")` is `12.3 mJ`.
///
/// ```
/// use irene_tree::render::si;
/// assert_eq!(si(7.234, "J"), "7.23 J");
/// assert_eq!(si(0.0123, "J"), "12.3 mJ");
/// assert_eq!(si(358_817_517_568.0, "FLOP"), "359 GFLOP");
/// assert_eq!(si(0.0, "J"), "0 J");
/// ```
pub fn si(value: f64, unit: &str) -> String {
    const PREFIXES: [&str; 10] = ["n", "µ", "m", "", "k", "M", "G", "T", "P", "E"];
    scaled(value, 1000.0, 3, &PREFIXES, unit)
}

/// The number of bytes with three significant digits and a binary prefix: `10.6 GiB`.
pub fn bytes(value: f64) -> String {
    const PREFIXES: [&str; 6] = ["", "Ki", "Mi", "Gi", "Ti", "Pi"];
    scaled(value, 1024.0, 0, &PREFIXES, "B")
}

/// A quantity in its unit, with a prefix that keeps it readable.
pub fn quantity(quantity: Quantity, value: f64) -> String {
    match quantity.unit() {
        "MFLOP" => si(value * 1e6, "FLOP"),
        "MiB" => bytes(value * 1024.0 * 1024.0),
        "J" => si(value, "J"),
        "s" => si(value, "s"),
        "" => si(value, "").trim_end().to_owned(),
        unit => format!("{} {unit}", digits(value)),
    }
}

fn scaled(value: f64, base: f64, unity: usize, prefixes: &[&str], unit: &str) -> String {
    let mut index = unity;
    let mut number = value;
    // 999.5 prints as 1000: step up before that shows.
    while number.abs() >= base * (1.0 - 5e-4) && index + 1 < prefixes.len() {
        number /= base;
        index += 1;
    }
    while number != 0.0 && number.abs() < 1.0 - 5e-4 && index > 0 {
        number *= base;
        index -= 1;
    }
    format!("{} {}{unit}", digits(number), prefixes[index])
}

/// Three significant digits, without an exponent and without trailing zeros of whole numbers.
pub(super) fn digits(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || (magnitude < 1000.0 && value.fract() == 0.0) || magnitude >= 99.95 {
        return format!("{value:.0}");
    }
    let decimals = if magnitude >= 9.995 { 1 } else { 2 };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_rounds_up_takes_the_next_prefix() {
        assert_eq!(si(999.7, "J"), "1.00 kJ");
        assert_eq!(si(0.000_999_9, "J"), "1.00 mJ");
    }

    #[test]
    fn binary_prefixes_step_at_1024() {
        assert_eq!(bytes(1023.0), "1023 B");
        assert_eq!(bytes(1024.0 * 1024.0), "1 MiB");
        assert_eq!(bytes(1500.0), "1.46 KiB");
    }

    #[test]
    fn extremes_do_not_fall_off_the_table() {
        assert_eq!(si(1e30, "J"), "1000000000000 EJ");
        assert_eq!(si(1e-12, "J"), "0.00 nJ");
    }
}
