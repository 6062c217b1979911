//! Answers questions about a model, how it runs and where: what if it were another, what would save energy, which machines can serve it.
//!
//! A [`Selection`] names the model, how it runs and where; a [`Change`] alters one setting. [`Lookup`] looks every name up once.
//! [`Lookup::answer`] gives the [`Answer`] of a selection: figures with their intervals, memory, and the tree with the energy of every node.
//! [`Lookup::what_if`] compares a selection with a changed one, [`Lookup::suggest`] ranks changes that save energy, and [`Lookup::plan`] finds
//! machines for a rate of requests.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod answer;
mod bounds;
mod change;
mod compare;
mod error;
mod explain;
mod fields;
mod generation;
mod grid;
mod hire;
mod interval;
mod lookup;
mod plan;
mod ranking;
mod score;
mod selection;
mod settings;
mod suggest;
mod whole;

pub use answer::{Answer, Basis, By, Estimate};
pub use bounds::Bounds;
pub use change::Change;
pub use compare::{
    Comparison, ComponentPair, Direction, Effect, EnergyDifference, LatencyDifference, MemoryDifference, NodePair,
    TypePair, compare,
};
pub use error::{Error, Result};
pub use explain::Explained;
pub use fields::{in_settings, with_settings};
pub use generation::{Generation, GenerationOptions, GenerationPhase, GenerationPoint, NextTurn, TurnCost};
pub use grid::Grid;
pub use hire::Hire;
pub use lookup::{Lookup, LookupOptions};
pub use plan::{LeftOutDevice, Plan, PlanOptions, PlanRow, hire_prices};
pub use ranking::{RankFilter, Ranked, Ranking, rank};
pub use score::Score;
pub use selection::Selection;
pub use suggest::{Accuracy, Kind, LeftOut, Price, Suggestion, Suggestions};
pub use whole::{ComponentShare, Degrees, FigureSet, MemoryBytes, Settings, Whole};

/// The entries of a shipped table. The tests read it; one that could not be read would have no entries, not stop the program.
fn shipped<T: serde::de::DeserializeOwned>(json: &str) -> Vec<T> {
    serde_json::from_str(json).unwrap_or_default()
}

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
