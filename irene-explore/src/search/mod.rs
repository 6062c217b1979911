//! Searches of a design space: what is asked for ([`Objective`], [`Constraints`]), and ways to look for it within a budget of
//! evaluations ([`Evolution`], [`Climb`]).
//!
//! A search knows the space through [`Variation`] alone and scores designs through a closure that takes a batch, so that scoring can use all
//! cores. Equal seeds give equal outcomes where the closure does.
//!
//! ```
//! use irene_explore::{Measure, learning::PredictedValue, rand_pcg::{Pcg64Mcg, rand_core::Rng}, search::*};
//!
//! /// Whole numbers below 100, each next to two others.
//! struct Numbers;
//! impl Variation for Numbers {
//!     type Genome = u64;
//!     fn random(&self, rng: &mut Pcg64Mcg) -> Option<u64> {
//!         Some(rng.next_u64() % 100)
//!     }
//!     fn mutate(&self, n: &u64, rng: &mut Pcg64Mcg) -> u64 {
//!         (n + 99 + 2 * (rng.next_u64() % 2)) % 100
//!     }
//!     fn crossover(&self, a: &u64, b: &u64, _: &mut Pcg64Mcg) -> u64 {
//!         (a + b) / 2
//!     }
//!     fn neighbours(&self, n: &u64) -> Vec<u64> {
//!         [n.checked_sub(1), n.checked_add(1)].into_iter().flatten().filter(|&n| n < 100).collect()
//!     }
//! }
//!
//! let evaluate = |numbers: &[u64]| {
//!     let of = |&n: &u64| {
//!         let (slow, hungry) = (n as f64 + 1.0, 100.0 - n as f64);
//!         let exactly = |value| PredictedValue { value, deviation: 0.0 };
//!         Evaluation::new().with(Measure::Latency, exactly(slow)).with(Measure::Energy, exactly(hungry))
//!     };
//!     Ok(numbers.iter().map(of).collect())
//! };
//! let problem = Problem {
//!     variation: &Numbers,
//!     objective: &"pareto(latency, energy)".parse()?,
//!     constraints: &"latency <= 50 s, energy <= 60 J".parse()?,
//!     evaluate: &evaluate,
//!     starts: &[],
//! };
//! let outcome = Evolution { population: 10, ..Evolution::default() }.run(&problem, &SearchLimits::new(100, 0))?;
//! assert_eq!(outcome.front.len(), 10, "latencies of 41 to 50 s");
//! # Ok::<(), irene_explore::Error>(())
//! ```

mod archive;
mod constraint;
mod criterion;
mod designs;
mod evaluation;
mod evolution;
mod hypervolume;
mod ledger;
mod local;
mod objective;
mod outcome;
mod pareto;
mod parts;
mod predicted;
mod problem;
#[cfg(test)]
mod synthetic;
#[cfg(test)]
mod tests;
mod thinning;

pub use constraint::{Bound, Constraints};
pub use criterion::Criterion;
pub use evaluation::Evaluation;
pub use evolution::Evolution;
pub use ledger::{Ledger, Scored};
pub use local::Climb;
pub use objective::{Objective, Weight};
pub use outcome::{Outcome, Solution, TracePoint};
pub use parts::{PartDifference, differences, energy_tree};
pub use predicted::Predicted;
pub use problem::{Evaluate, Problem, Score, Search, SearchLimits, SearchProgress, Variation};
