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
    scaled(value, 1000.0, UNITY, &PREFIXES, unit)
}

const PREFIXES: [&str; 10] = ["n", "µ", "m", "", "k", "M", "G", "T", "P", "E"];
/// The place of no prefix.
const UNITY: usize = 3;

/// A smaller share of the other end is far from it.
const FAR: f64 = 0.1;

/// A range in one unit: `880 to 969 mJ`; in two where its ends are far apart: `3.40 mJ to 1.20 J`.
pub fn range(low: f64, high: f64, unit: &str) -> String {
    if high == 0.0 || low.abs() < FAR * high.abs() {
        return format!("{} to {}", si(low, unit), si(high, unit));
    }
    let index = prefix_index(high, 1000.0, UNITY, PREFIXES.len());
    let [low, high] = [low, high].map(|end| digits(shifted(end, 1000.0, UNITY, index)));
    format!("{low} to {high} {}{unit}", PREFIXES[index])
}

/// A range in the unit of the figure that it stands beside: `626 to 1291 J` beside `902 J`; in two units where its ends are far apart.
pub fn range_beside(figure: f64, low: f64, high: f64, unit: &str) -> String {
    let index = |value| prefix_index(value, 1000.0, UNITY, PREFIXES.len());
    let is_far = low.abs() < FAR * high.abs() && index(low) != index(high);
    if high == 0.0 || is_far {
        return format!("{} to {}", si(low, unit), si(high, unit));
    }
    let index = index(figure);
    let [low, high] = [low, high].map(|end| digits(shifted(end, 1000.0, UNITY, index)));
    format!("{low} to {high} {}{unit}", PREFIXES[index])
}

/// The number of bytes with three significant digits and a binary prefix: `10.6 GiB`.
pub fn bytes(value: f64) -> String {
    const PREFIXES: [&str; 6] = ["", "Ki", "Mi", "Gi", "Ti", "Pi"];
    scaled(value, 1024.0, 0, &PREFIXES, "B")
}

/// A quantity in its unit, with a prefix that keeps it readable.
pub fn quantity(quantity: Quantity, value: f64) -> String {
    in_unit(value, quantity.unit())
}

/// A number in a unit of quantities (`MFLOP`, `MiB`, `J`, `s`, `W`, none for counts ...), with a prefix that keeps it readable.
///
/// ```
/// use irene_tree::render::in_unit;
/// assert_eq!(in_unit(1208.7, "MFLOP"), "1.21 GFLOP");
/// assert_eq!(in_unit(2048.0, "MiB"), "2 GiB");
/// assert_eq!(in_unit(12.3, "%"), "12.3 %");
/// ```
pub fn in_unit(value: f64, unit: &str) -> String {
    match unit {
        "MFLOP" => si(value * 1e6, "FLOP"),
        "MiB" => bytes(value * 1024.0 * 1024.0),
        "J" | "s" | "W" | "Wh" => si(value, unit),
        "" => si(value, "").trim_end().to_owned(),
        unit => format!("{} {unit}", digits(value)),
    }
}

fn scaled(value: f64, base: f64, unity: usize, prefixes: &[&str], unit: &str) -> String {
    let index = prefix_index(value, base, unity, prefixes.len());
    format!("{} {}{unit}", digits(shifted(value, base, unity, index)), prefixes[index])
}

/// The place of the prefix that keeps a number readable.
fn prefix_index(value: f64, base: f64, unity: usize, count: usize) -> usize {
    let size = |index| shifted(value, base, unity, index).abs();
    let mut index = unity;
    // 999.5 prints as 1000: step up before that shows.
    while size(index) >= base * (1.0 - 5e-4) && index + 1 < count {
        index += 1;
    }
    while value != 0.0 && size(index) < 1.0 - 5e-4 && index > 0 {
        index -= 1;
    }
    index
}

/// The number of units with the prefix at this place.
fn shifted(value: f64, base: f64, unity: usize, index: usize) -> f64 {
    let up = (unity..index).fold(value, |number, _| number / base);
    (index..unity).fold(up, |number, _| number * base)
}

/// Three significant digits, without an exponent and without trailing zeros of whole numbers.
pub(super) fn digits(value: f64) -> String {
    let magnitude = value.abs();
    if value.fract() == 0.0 || magnitude >= 99.95 {
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
    fn a_range_has_one_unit_unless_its_ends_are_far_apart() {
        assert_eq!(range(0.880, 0.969, "J"), "880 to 969 mJ");
        assert_eq!(range(0.98, 1.02, "J"), "0.98 to 1.02 J");
        assert_eq!(range(0.0034, 1.2, "J"), "3.40 mJ to 1.20 J");
        assert_eq!(range(0.0, 0.0, "J"), "0 J to 0 J");
        assert_eq!(range(-0.2, 0.5, "J"), "-200 to 500 mJ");
        assert_eq!((range(20.0, 100.0, "J"), range(20.0, 1000.0, "J")), ("20 to 100 J".into(), "20 J to 1 kJ".into()));
    }

    #[test]
    fn a_range_beside_a_figure_has_the_unit_of_the_figure() {
        assert_eq!(range_beside(902.0, 626.4, 1291.0, "J"), "626 to 1291 J");
        assert_eq!(range_beside(1050.0, 630.0, 1290.0, "J"), "0.63 to 1.29 kJ");
        assert_eq!(range_beside(0.999, 0.98, 1.02, "J"), "980 to 1020 mJ");
        assert_eq!(range_beside(74.2, 15.0, 366.0, "J"), "15 to 366 J");
        assert_eq!(range_beside(0.29, 0.0587, 1.43, "J"), "58.7 mJ to 1.43 J");
        assert_eq!(range_beside(0.0, 0.0, 0.0, "J"), "0 J to 0 J");
    }

    #[test]
    fn binary_prefixes_step_at_1024() {
        assert_eq!(bytes(1023.0), "1023 B");
        assert_eq!(bytes(1024.0 * 1024.0), "1 MiB");
        assert_eq!(bytes(1500.0), "1.46 KiB");
    }

    #[test]
    fn a_number_has_three_digits_and_never_four() {
        let table = [
            (0.9994, "999 mJ"),
            (0.9995, "1.00 J"),
            (1.0002, "1.00 J"),
            (9.994, "9.99 J"),
            (9.995, "10.0 J"),
            (99.94, "99.9 J"),
            (99.95, "100 J"),
            (999.4, "999 J"),
            (999.5, "1.00 kJ"),
        ];
        for (value, text) in table {
            assert_eq!((si(value, "J"), si(-value, "J")), (text.into(), format!("-{text}")));
        }
        assert_eq!([1023.4, 1023.6, 1.0].map(bytes), ["1023 B", "1.00 KiB", "1 B"]);
    }

    #[test]
    fn extremes_do_not_fall_off_the_table() {
        assert_eq!(si(1e30, "J"), "1000000000000 EJ");
        assert_eq!(si(1e-12, "J"), "0.00 nJ");
    }

    #[test]
    fn a_unit_of_quantities_has_the_prefix_that_keeps_it_readable() {
        let of = [(1208.7, "MFLOP"), (2048.0, "MiB"), (0.0123, "J"), (1234.0, ""), (12.3, "%")];
        let texts = of.map(|(value, unit)| in_unit(value, unit));
        assert_eq!(texts, ["1.21 GFLOP", "2 GiB", "12.3 mJ", "1.23 k", "12.3 %"]);
        // A tenth of the other end is not far away.
        assert_eq!(range(0.1, 1.0, "J"), "0.10 to 1 J");
    }
}
