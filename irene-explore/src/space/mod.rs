//! The FlexiBERT design space (Tuli et al., 2022, arXiv 2205.11656) as ProTran (Tuli and Jha, 2023) embeds, hashes and samples
//! it, and others of its form.
//!
//! A design chooses a number of layers, and in each layer a hidden size, a list of feed-forward widths and a multiset of heads.
//! Every design has one [`Embedding`], and every embedding one design in canonical form (heads in the space's order).
//!
//! ```
//! use irene_explore::space::{DesignSpace, ModelHash, Sampling};
//! # fn main() -> irene_explore::Result<()> {
//! let space = DesignSpace::published();
//! assert_eq!(format!("{:.3}", space.count().log10()), "88.227"); // 1.686e88 designs
//! let design = &space.sample(Sampling::Sobol, 16, 0)?[3];
//! let embedding = space.embed(design)?;
//! assert_eq!(&space.design_of(&embedding)?, design);
//! println!("{} {} {embedding}", ModelHash::of(design), space.model_type(design));
//! # Ok(())
//! # }
//! ```

mod choices;
mod count;
mod embedding;
mod hash;
mod model_type;
mod moves;
mod points;
mod sample;
mod yaml;

use irene_models::flexibert::Head;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{count::Count, embedding::Embedding, hash::ModelHash, model_type::ModelType, points::Sampling};

/// The choices that a design makes. Numbers ascend, and nothing is there twice: what [`DesignSpace::from_yaml`] makes sure of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Value", into = "serde_json::Value")]
#[non_exhaustive]
pub struct DesignSpace {
    /// Numbers of layers.
    pub layers: Vec<usize>,
    /// Hidden sizes of a layer.
    pub hidden: Vec<usize>,
    /// Numbers of heads.
    pub heads: Vec<usize>,
    /// Kinds of heads.
    pub operations: Vec<Head>,
    /// Widths of a feed-forward linear.
    pub feed_forward: Vec<usize>,
    /// Numbers of stacked feed-forward linears.
    pub stacks: Vec<usize>,
}

/// The spaces that come with the crate, by name: the published one first.
const BUILTIN: [(&str, &str); 2] =
    [("flexibert", include_str!("../../spaces/flexibert.yaml")), ("small", include_str!("../../spaces/small.yaml"))];

impl DesignSpace {
    /// The published space: 2 to 12 layers of 4 hidden sizes, 258 feed-forward lists and 21,805 multisets of heads.
    pub fn published() -> Self {
        let (name, text) = BUILTIN[0];
        Self::from_yaml(name, text).expect("the spaces that come with the crate are read by its tests")
    }

    /// A space that comes with the crate, by its name, or one from a file.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) for what is neither; as [`Self::read`].
    pub fn find(name_or_path: &str) -> crate::Result<Self> {
        if let Some((name, text)) = BUILTIN.iter().find(|(name, _)| *name == name_or_path) {
            return Self::from_yaml(name, text);
        }
        if !std::path::Path::new(name_or_path).exists() {
            let names = BUILTIN.map(|(name, _)| name).join(", ");
            let reason = format!("is neither a file nor a design space that comes along ({names})");
            return Err(crate::Error::File { origin: name_or_path.to_owned(), reason });
        }
        Self::read(name_or_path)
    }

    /// The space that comes with the crate and has this digest, if one has.
    pub fn with_digest(digest: &str) -> Option<Self> {
        let mut spaces = BUILTIN.iter().filter_map(|(name, text)| Self::from_yaml(name, text).ok());
        spaces.find(|space| space.digest() == digest)
    }

    /// The MD5 sum of its choices, which records of a campaign state.
    pub fn digest(&self) -> String {
        let sum = Md5::digest(Value::from(self.clone()).to_string());
        sum.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
