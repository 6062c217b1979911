use irene_models::flexibert::Design;

use crate::{
    Dataset, Result,
    learning::features::{DesignFeatures, FeatureTable},
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
    pub features: DesignFeatures,
}

impl Candidate {
    /// The embedding as numbers.
    pub fn coordinates(&self) -> Vec<f64> {
        self.embedding.coordinates()
    }
}

/// Makes candidates of the designs of one space.
pub struct Describer {
    space: DesignSpace,
    table: FeatureTable,
}

impl Describer {
    /// For this space.
    pub fn new(space: DesignSpace) -> Self {
        Self { space, table: FeatureTable::default() }
    }

    /// The space.
    pub fn space(&self) -> &DesignSpace {
        &self.space
    }

    /// A design as surrogates see it.
    ///
    /// # Errors
    /// [`Error::Outside`](crate::Error::Outside) if it is not in the space; what tracing says.
    pub fn describe(&self, design: Design) -> Result<Candidate> {
        let embedding = self.space.embed(&design)?;
        let features = self.table.features(&design)?;
        Ok(Candidate { design, embedding, features })
    }

    /// Every design of a device's records.
    ///
    /// # Errors
    /// As [`describe`](Self::describe), for the first that has one.
    pub fn describe_all(&self, data: &Dataset) -> Result<Vec<Candidate>> {
        data.records.iter().map(|record| self.describe(record.design.clone())).collect()
    }
}
