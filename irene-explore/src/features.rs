use irene_models::flexibert::Design;

use crate::Result;

/// What a design's traced tree costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Features(Vec<f64>);

impl Features {
    /// Of a design.
    ///
    /// # Errors
    /// What tracing says.
    pub fn of(_design: &Design) -> Result<Self> {
        unimplemented!()
    }
}
