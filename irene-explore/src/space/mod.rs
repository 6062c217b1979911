//! The FlexiBERT design space.

use irene_models::flexibert::{Design, Head};

use crate::Result;

/// Numbers in an embedding: the count of layers, and three a layer.
pub const EMBEDDING: usize = 37;

/// The published embedding of a design, index by index; what is beyond its layers is 0.
pub type Embedding = [u16; EMBEDDING];

/// The choices that a design makes.
#[derive(Clone, Debug, PartialEq)]
pub struct DesignSpace {
    /// Numbers of layers.
    pub layers: Vec<usize>,
    /// Hidden sizes of a layer.
    pub hidden: Vec<usize>,
    /// Numbers of heads.
    pub heads: Vec<usize>,
    /// What a head may do.
    pub operations: Vec<Head>,
    /// Widths of a feed-forward linear.
    pub feed_forward: Vec<usize>,
    /// Numbers of stacked feed-forward linears.
    pub stacks: Vec<usize>,
}

impl DesignSpace {
    /// The published embedding.
    ///
    /// # Errors
    /// [`Error::Outside`](crate::Error::Outside) if a choice of the design is not in the space.
    pub fn embed(&self, _design: &Design) -> Result<Embedding> {
        unimplemented!()
    }
}
