use crate::Quantity;

/// A unit of a measured quantity: its symbol, and how many of the interchange format's units it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    pub(super) symbol: &'static str,
    pub(super) factor: f64,
}

const fn unit(symbol: &'static str, factor: f64) -> Unit {
    Unit { symbol, factor }
}

const ENERGY: &[Unit] = &[
    unit("J", 1.0),
    unit("mJ", 1e-3),
    unit("uJ", 1e-6),
    unit("µJ", 1e-6),
    unit("nJ", 1e-9),
    unit("kJ", 1e3),
    unit("MJ", 1e6),
    unit("Wh", 3.6e3),
    unit("mWh", 3.6),
    unit("kWh", 3.6e6),
    unit("Ws", 1.0),
    unit("mWs", 1e-3),
];
const TIME: &[Unit] =
    &[unit("s", 1.0), unit("ms", 1e-3), unit("us", 1e-6), unit("µs", 1e-6), unit("ns", 1e-9), unit("min", 60.0)];
const SHARE: &[Unit] = &[unit("%", 1.0), unit("fraction", 100.0)];
const CLOCK: &[Unit] = &[unit("MHz", 1.0), unit("GHz", 1e3), unit("kHz", 1e-3), unit("Hz", 1e-6)];

/// The units that a quantity may be in, the interchange format's first.
pub(super) fn units(quantity: Quantity) -> &'static [Unit] {
    match quantity {
        Quantity::Latency => TIME,
        Quantity::GpuClk | Quantity::GpuMemClk => CLOCK,
        Quantity::GroundTruthEnergy | Quantity::GpuEnergy => ENERGY,
        _ => SHARE,
    }
}

/// The unit with this symbol. A symbol in the wrong case counts if only one unit has these letters, or one with a small first letter:
/// `mj` are millijoules.
pub(super) fn find(quantity: Quantity, symbol: &str) -> Option<Unit> {
    let units = units(quantity);
    // The Greek letter and the micro sign look the same.
    let symbol = symbol.trim().replace('μ', "µ");
    let exact = units.iter().find(|unit| unit.symbol == symbol);
    exact.or_else(|| units.iter().find(|unit| unit.symbol.eq_ignore_ascii_case(&symbol))).copied()
}

/// The unit that a column's title ends with: `Energy (mJ)`, `latency [ms]`, `latency_ms`, `time in us`.
pub(super) fn of_title(quantity: Quantity, title: &str) -> Option<Unit> {
    let is_part = |c: char| !(c.is_alphanumeric() || c == '%');
    let mut words = title.split(is_part).filter(|word| !word.is_empty());
    let first = words.next()?;
    // A title of one word is a name: `s` of a column alone, or `min` for the least.
    let last = words.next_back().or_else(|| first.ends_with('%').then_some("%"))?;
    find(quantity, last).filter(|unit| unit.symbol != "min")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_by_symbol_and_in_titles() {
        let energy = |symbol| find(Quantity::GroundTruthEnergy, symbol).map(|unit| unit.factor);
        let known = [("J", 1.0), ("mJ", 1e-3), ("mj", 1e-3), ("MJ", 1e6), ("kwh", 3.6e6), ("Wh", 3600.0), ("μJ", 1e-6)];
        for (symbol, factor) in known {
            assert_eq!(energy(symbol), Some(factor), "{symbol}");
        }
        assert_eq!(energy("ms"), None);
        let time = |title| of_title(Quantity::Latency, title).map(|unit| unit.symbol);
        assert_eq!(
            ["Latency (ms)", "latency_us", "t [s]", "time in µs"].map(time),
            [Some("ms"), Some("us"), Some("s"), Some("µs")]
        );
        assert_eq!(["latency", "s", "latency_mean", "latency min", "ms_mean"].map(time), [None; 5]);
        assert_eq!(of_title(Quantity::Cpu, "CPU %").map(|unit| unit.symbol), Some("%"));
        assert_eq!(of_title(Quantity::GpuClk, "clock (GHz)").map(|unit| unit.factor), Some(1e3));
    }
}
