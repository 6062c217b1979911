//! The laws held against public measurements.

mod kernels;
mod neusight;
mod public;
mod requests;
mod servers;
mod trees;

pub use kernels::{KernelsLeftOut, training_steps};
pub use public::{PublicData, PublicFile};
pub use requests::{Order, RequestErrors, order_of_configurations, try_laws};
pub use servers::Server;
pub use trees::{TreeErrors, check_trees};
