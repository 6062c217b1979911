//! Surrogates: predictions of unmeasured designs, learned from a few measured ones.
//!
//! A [`Learner`] makes a [`Surrogate`] of one measure from [`Candidate`](crate::Candidate)s and their figures. [`CostLawLearner`] is ours.
//! [`Surrogates`] is the file of a device. [`crossvalidate`] and [`Protocol`] tell how well a learner does, [`diagnose`] what is wrong with records,
//! [`leave_one_device_out`] what the records of other devices are worth, and [`most_open`] which design to measure next.
//!
//! The traits are open: a learner from outside this crate is evaluated, saved and searched by like ours.
//!
//! ```
//! use irene_explore::{
//!     Candidate, Describer, Measure, Result,
//!     learning::{DesignFeature, Learner, PredictedValue, Reader, Saved, Surrogate, Surrogates, read_as},
//!     space::{DesignSpace, Sampling},
//! };
//! use serde::{Deserialize, Serialize};
//!
//! /// A figure in proportion to a design's FLOPs.
//! #[derive(Serialize, Deserialize)]
//! struct PerFlop {
//!     price: f64,
//! }
//!
//! impl Surrogate for PerFlop {
//!     fn predict(&self, candidate: &Candidate) -> PredictedValue {
//!         let value = self.price * candidate.features.get(DesignFeature::Flops);
//!         PredictedValue { value, deviation: 0.2 * value }
//!     }
//!
//!     fn saved(&self) -> Option<Saved> {
//!         Saved::of("per-flop", self)
//!     }
//! }
//!
//! struct PerFlopLearner;
//!
//! impl Learner for PerFlopLearner {
//!     fn name(&self) -> &'static str {
//!         "per-flop"
//!     }
//!
//!     fn fit(&self, candidates: &[&Candidate], figures: &[f64], _seed: u64) -> Result<Box<dyn Surrogate>> {
//!         let flops: f64 = candidates.iter().map(|one| one.features.get(DesignFeature::Flops)).sum();
//!         Ok(Box::new(PerFlop { price: figures.iter().sum::<f64>() / flops }))
//!     }
//! }
//!
//! /// The list that a program hands to [`Surrogates::read_with`] to read its files.
//! const READERS: &[(&str, Reader)] = &[("per-flop", read_as::<PerFlop>)];
//!
//! # fn main() -> Result<()> {
//! let space = DesignSpace::find("small")?;
//! let describer = Describer::new(space.clone());
//! let designs = space.sample(Sampling::Sobol, 4, 0)?.into_iter();
//! let candidates: Vec<Candidate> = designs.map(|design| describer.describe(design)).collect::<Result<_>>()?;
//! let latencies = [0.011, 0.012, 0.013, 0.014]; // s, measured
//! let surrogate = PerFlopLearner.fit(&candidates.iter().collect::<Vec<_>>(), &latencies, 0)?;
//! let measures = [(Measure::Latency, surrogate)].into();
//! let learned = Surrogates { device: "mine".into(), records: 4, space, seq_len: 128, estimated: false, measures };
//!
//! let read = Surrogates::parse_with("mine.surrogates.json", &learned.to_json()?, READERS)?;
//! assert_eq!(read.predict(Measure::Latency, &candidates[0]), learned.predict(Measure::Latency, &candidates[0]));
//! # Ok(())
//! # }
//! ```

pub(crate) mod candidate;
mod covariance;
mod devices;
mod diagnose;
mod evaluate;
mod features;
mod law;
mod open_variance;
mod protocol;
mod standard;
mod surrogate;
mod surrogates;

pub use self::{
    devices::{Transfer, TransferPoint, leave_one_device_out},
    diagnose::{Clock, Diagnosis, Drift, InCampaign, Outlier, crossvalidate_in_campaign, diagnose},
    evaluate::{HeldOutRecord, SurrogateErrors, crossvalidate, shuffled},
    features::{DesignFeature, DesignFeatures},
    law::CostLawLearner,
    open_variance::most_open,
    protocol::Protocol,
    surrogate::{Learner, PredictedValue, Reader, Saved, Surrogate, read_as},
    surrogates::Surrogates,
};
