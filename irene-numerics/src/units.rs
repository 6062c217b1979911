/// Bytes of a gibibyte, the unit in which data sheets give a GPU's memory.
pub const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// Joules of a kilowatt-hour.
pub const JOULES_PER_KWH: f64 = 3.6e6;
