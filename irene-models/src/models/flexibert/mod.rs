//! FlexiBERT (Tuli et al., 2022): BERT's encoder with heterogeneous layers, each head its own operation.

mod design;

pub use design::{Design, Head, LayerDesign};
