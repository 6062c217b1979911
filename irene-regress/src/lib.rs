//! Predictors of what every node of a model tree costs in energy.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ablation;
mod adam;
mod bottleneck;
mod crossvalidate;
mod error;
mod evaluate;
mod least_squares;
mod nnls;
mod paper;
mod predictor;
mod specs;
mod store;
mod table;

pub use ablation::{Ablation, PUBLISHED_BY_PRIMITIVE, Published, ablations};
pub use bottleneck::{Bottleneck, bottlenecks, kwh_per_million};
pub use crossvalidate::{CrossValidation, Fold, Protocol, crossvalidate};
pub use error::{Error, Result};
pub use evaluate::{Errors, Evaluation, evaluate};
pub use paper::{PaperPredictor, PaperTrainer, Strategy};
pub use predictor::{Predictor, Profile, Provenance, Trainer};
pub use specs::{SpecsPredictor, SpecsTrainer};
pub use store::Store;
