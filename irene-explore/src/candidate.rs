use irene_models::flexibert::Design;

use crate::{
    Result,
    features::Features,
    space::{DesignSpace, Embedding},
};

/// A design with what surrogates look at.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The design.
    pub design: Design,
    /// The published embedding.
    pub embedding: Embedding,
    /// What its traced tree costs.
    pub features: Features,
}

impl Candidate {
    /// Of a design in the space.
    ///
    /// # Errors
    /// [`Error::Outside`](crate::Error::Outside) if it is not.
    pub fn new(space: &DesignSpace, design: Design) -> Result<Self> {
        let embedding = space.embed(&design)?;
        let features = Features::of(&design)?;
        Ok(Self { design, embedding, features })
    }

    /// The embedding as numbers.
    pub fn coordinates(&self) -> Vec<f64> {
        self.embedding.coordinates()
    }
}
