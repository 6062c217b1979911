use irene_models::flexibert::Design;

use crate::{
    Dataset, Record, Result,
    learning::features::{DesignFeatures, FeatureTable},
    space::{DesignSpace, Embedding},
};

/// Tokens in a sequence of records that do not say how many: ProTran pads to so many.
pub(crate) const PUBLISHED_SEQ_LEN: usize = 128;

/// A design with what surrogates look at.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The design.
    pub design: Design,
    /// The published embedding.
    pub embedding: Embedding,
    /// The costs of its tree at the length of its sequences.
    pub features: DesignFeatures,
}

impl Candidate {
    /// The embedding as numbers.
    pub fn coordinates(&self) -> Vec<f64> {
        self.embedding.coordinates()
    }
}

/// Makes candidates of the designs of one space.
#[derive(Debug)]
pub struct Describer {
    space: DesignSpace,
    seq_len: usize,
    table: FeatureTable,
}

impl Describer {
    /// For this space, at sequences of 128 tokens, as the papers measured.
    pub fn new(space: DesignSpace) -> Self {
        Self { space, seq_len: PUBLISHED_SEQ_LEN, table: FeatureTable::default() }
    }

    /// At sequences of this many tokens.
    #[must_use]
    pub(crate) fn with_seq_len(self, seq_len: usize) -> Self {
        Self { seq_len, ..self }
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
        self.describe_at(design, self.seq_len)
    }

    /// The same at another length.
    pub(crate) fn describe_at(&self, design: Design, seq_len: usize) -> Result<Candidate> {
        let embedding = self.space.embed(&design)?;
        let features = self.table.features(&design, seq_len)?;
        Ok(Candidate { design, embedding, features })
    }

    /// The design of a record, at the length that was measured; at the describer's where the record does not say.
    ///
    /// # Errors
    /// As [`describe`](Self::describe).
    pub(crate) fn describe_record(&self, record: &Record) -> Result<Candidate> {
        self.describe_at(record.design.clone(), record.conditions.seq_len.unwrap_or(self.seq_len))
    }

    /// Every design of a device's records.
    ///
    /// # Errors
    /// As [`describe`](Self::describe), for the first that has one.
    pub fn describe_all(&self, data: &Dataset) -> Result<Vec<Candidate>> {
        data.records.iter().map(|record| self.describe_record(record)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Measures,
        learning::{DesignFeature, DesignFeatures},
        space::Sampling,
    };

    #[test]
    fn a_record_is_described_at_the_length_that_was_measured() {
        let space = DesignSpace::find("small").unwrap();
        let design = space.sample(Sampling::Sobol, 1, 0).unwrap().remove(0);
        let mut record = Record::new(0, design.clone(), Measures::default());
        let describer = Describer::new(space.clone());
        for (stated, expected) in [(None, 128), (Some(16), 16), (Some(512), 512), (Some(128), 128)] {
            record.conditions.seq_len = stated;
            let features = describer.describe_record(&record).unwrap().features;
            assert_eq!(
                features.get(DesignFeature::Flops),
                at(&design, expected).get(DesignFeature::Flops),
                "{stated:?}"
            );
        }
        // Costs grow with the length, parameters do not.
        let (short, long) = (at(&design, 16), at(&design, 512));
        assert!(long.get(DesignFeature::Flops) > 30.0 * short.get(DesignFeature::Flops));
        assert_eq!(long.get(DesignFeature::Parameters), short.get(DesignFeature::Parameters));
        // Designs that are searched or predicted beside the records have their length too.
        let describer = describer.with_seq_len(16);
        assert_eq!(
            describer.describe(design.clone()).unwrap().features,
            describer.describe_at(design, 16).unwrap().features
        );
    }

    fn at(design: &Design, seq_len: usize) -> DesignFeatures {
        FeatureTable::default().features(design, seq_len).unwrap()
    }
}
