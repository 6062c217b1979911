//! The answers, as the OpenAPI document has them.

mod lists;
mod many;
mod prediction;
mod tree;

pub(crate) use lists::{DataSheet, DeviceEntry, DeviceKind, Devices, EngineEntry, Engines, Grids, Model, Models};
pub(crate) use many::{Cell, CellLeftOut, Entry, Figures, Leaderboard, ModelLeftOut, Point, Sweep, Tradeoff};
pub(crate) use prediction::{Prediction, Predictions, TreePrediction};
pub(crate) use tree::{Trace, TreeLine, energy, raw};
