use std::fmt;

/// The numbers that a node can have: spec features, resource features and energies.
///
/// `name` is the field in the interchange format, `unit` its unit. An unknown quantity is absent from a node, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Quantity {
    /// Parameters of the node and everything below it.
    NumParameters,
    /// Floating point operations by IrEne's counting rules, in millions.
    Flops,
    /// Memory traffic by IrEne's counting rules, MiB.
    MemBytes,
    /// Memory traffic with every operand moved once and copies counted, MiB.
    MovedBytes,
    /// The part of the bytes moved that makes strided tensors contiguous, MiB.
    CopiedBytes,
    /// The part of the bytes moved that are the model's parameters, MiB.
    ParameterBytes,
    /// The part of the bytes moved that are cached keys and values, MiB.
    CacheBytes,
    /// Kernels launched.
    Kernels,
    /// Floating point operations of a machine that computes products in whole tiles of 64 by 64 outputs, in millions.
    TiledFlops,
    /// Bytes that one GPU sends to others, MiB; it receives as many. Only a run on several GPUs has any.
    LinkBytes,
    /// CPU utilisation, percent.
    Cpu,
    /// Memory utilisation, percent.
    Mem,
    /// GPU utilisation, percent.
    Gpu,
    /// GPU memory utilisation, percent.
    GpuMem,
    /// GPU streaming multiprocessor clock, MHz.
    GpuClk,
    /// GPU memory clock, MHz.
    GpuMemClk,
    /// Mean latency of one run, seconds.
    Latency,
    /// Energy of one run as the GPU's driver reports it, joules.
    GpuEnergy,
    /// Energy of one run at the wall, joules.
    GroundTruthEnergy,
    /// Predicted energy of one run, joules.
    PredictedEnergy,
    /// The lower end of the interval that the energy lies in with a probability of 90%, joules.
    PredictedLow,
    /// The upper end of that interval, joules.
    PredictedHigh,
    /// The share of the predicted energy that the node's children do not account for, joules.
    OwnEnergy,
    /// Predicted latency of one run, seconds.
    PredictedLatency,
    /// Predicted mean power of one run, watts: the predicted energy over the predicted latency.
    PredictedPower,
    /// Predicted energy of one run as the GPU's driver would report it, joules.
    PredictedGpuEnergy,
}

struct Definition {
    quantity: Quantity,
    name: &'static str,
    unit: &'static str,
}

const fn define(quantity: Quantity, name: &'static str, unit: &'static str) -> Definition {
    Definition { quantity, name, unit }
}

/// In the order of the enum, which is the order of writing.
const DEFINITIONS: [Definition; Quantity::COUNT] = [
    define(Quantity::NumParameters, "num_parameters", ""),
    define(Quantity::Flops, "flops", "MFLOP"),
    define(Quantity::MemBytes, "mem_bytes", "MiB"),
    define(Quantity::MovedBytes, "moved_bytes", "MiB"),
    define(Quantity::CopiedBytes, "copied_bytes", "MiB"),
    define(Quantity::ParameterBytes, "parameter_bytes", "MiB"),
    define(Quantity::CacheBytes, "cache_bytes", "MiB"),
    define(Quantity::Kernels, "kernels", "launches"),
    define(Quantity::TiledFlops, "tiled_flops", "MFLOP"),
    define(Quantity::LinkBytes, "link_bytes", "MiB"),
    define(Quantity::Cpu, "cpu", "%"),
    define(Quantity::Mem, "mem", "%"),
    define(Quantity::Gpu, "gpu", "%"),
    define(Quantity::GpuMem, "gpu_mem", "%"),
    define(Quantity::GpuClk, "gpu_clk", "MHz"),
    define(Quantity::GpuMemClk, "gpu_mem_clk", "MHz"),
    define(Quantity::Latency, "times_mean", "s"),
    define(Quantity::GpuEnergy, "gpu_energy_mean", "J"),
    define(Quantity::GroundTruthEnergy, "ground_truth_energy", "J"),
    define(Quantity::PredictedEnergy, "predicted_energy", "J"),
    define(Quantity::PredictedLow, "predicted_energy_low", "J"),
    define(Quantity::PredictedHigh, "predicted_energy_high", "J"),
    define(Quantity::OwnEnergy, "own_energy", "J"),
    define(Quantity::PredictedLatency, "predicted_times_mean", "s"),
    define(Quantity::PredictedPower, "predicted_power", "W"),
    define(Quantity::PredictedGpuEnergy, "predicted_gpu_energy_mean", "J"),
];

impl Quantity {
    /// How many quantities there are.
    pub(crate) const COUNT: usize = Self::PredictedGpuEnergy as usize + 1;

    /// The quantities that a predictor sets.
    pub const PREDICTED: [Self; 7] = [
        Self::PredictedEnergy,
        Self::PredictedLow,
        Self::PredictedHigh,
        Self::OwnEnergy,
        Self::PredictedLatency,
        Self::PredictedPower,
        Self::PredictedGpuEnergy,
    ];

    /// Every quantity, in the order of writing.
    pub fn all() -> impl Iterator<Item = Self> {
        DEFINITIONS.iter().map(|definition| definition.quantity)
    }

    /// The field's name in the interchange format.
    pub const fn name(self) -> &'static str {
        DEFINITIONS[self as usize].name
    }

    /// The unit; empty for plain counts.
    pub fn unit(self) -> &'static str {
        DEFINITIONS[self as usize].unit
    }

    /// The quantity with this field name.
    pub fn from_name(name: &str) -> Option<Self> {
        DEFINITIONS.iter().find(|definition| definition.name == name).map(|definition| definition.quantity)
    }

    /// Whether several runs add up: joules, seconds and counts do, shares, clocks and powers do not.
    pub(crate) fn adds_up(self) -> bool {
        !matches!(self.unit(), "%" | "MHz" | "W")
    }

    /// Counts of things, written without a decimal point.
    pub(crate) fn is_count(self) -> bool {
        matches!(self, Self::NumParameters | Self::Kernels)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The quantities of one node. Absent is NaN inside and `None` outside.
#[derive(Clone, Copy)]
pub(crate) struct Values([f64; Quantity::COUNT]);

impl Default for Values {
    fn default() -> Self {
        Self([f64::NAN; Quantity::COUNT])
    }
}

impl Values {
    pub(crate) fn get(&self, quantity: Quantity) -> Option<f64> {
        let value = self.0[quantity as usize];
        (!value.is_nan()).then_some(value)
    }

    pub(crate) fn set(&mut self, quantity: Quantity, value: f64) {
        self.0[quantity as usize] = value;
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(Quantity::all().filter_map(|q| Some((q.name(), self.get(q)?)))).finish()
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        Quantity::all().all(|q| self.get(q) == other.get(q))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_in_the_order_of_the_enum() {
        for (i, definition) in DEFINITIONS.iter().enumerate() {
            assert_eq!(definition.quantity as usize, i, "{}", definition.name);
        }
    }

    #[test]
    fn joules_seconds_and_counts_add_up_and_shares_clocks_and_powers_do_not() {
        let not: Vec<_> = Quantity::all().filter(|quantity| !quantity.adds_up()).map(Quantity::name).collect();
        assert_eq!(not, ["cpu", "mem", "gpu", "gpu_mem", "gpu_clk", "gpu_mem_clk", "predicted_power"]);
        let counts: Vec<_> = Quantity::all().filter(|quantity| quantity.is_count()).collect();
        assert_eq!(counts, [Quantity::NumParameters, Quantity::Kernels]);
    }

    #[test]
    fn names_read_back() {
        for quantity in Quantity::all() {
            assert_eq!(Quantity::from_name(quantity.name()), Some(quantity));
            assert_eq!(quantity.to_string(), quantity.name());
        }
        assert_eq!(Quantity::from_name("colour"), None);
    }

    #[test]
    fn values_are_equal_if_they_know_the_same_numbers() {
        let mut values = Values::default();
        assert_eq!(values, Values::default());
        values.set(Quantity::Flops, 2.0);
        assert_eq!((values.get(Quantity::Flops), values.get(Quantity::Mem)), (Some(2.0), None));
        assert_ne!(values, Values::default());
        assert_eq!(format!("{values:?}"), r#"{"flops": 2.0}"#);
        values.set(Quantity::Flops, f64::NAN);
        assert_eq!(values, Values::default());
    }
}
