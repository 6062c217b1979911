use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::{Format, Shape};

/// Identifies one of a model's parameters. Tied tensors have the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParameterId(NonZeroU32);

impl ParameterId {
    /// The parameter with this place in the order of loading, from 0.
    pub fn new(place: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(place))
    }

    /// The parameter this many places later.
    pub fn later(self, places: u32) -> Self {
        Self(self.0.saturating_add(places))
    }
}

/// The role of a tensor in the operation that reads or writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It is computed in this pass.
    #[default]
    Activation,
    /// It belongs to the model. Parameters without an id (older files) count as different.
    Parameter(Option<ParameterId>),
    /// It holds keys or values that later passes read.
    Cache,
    /// It holds token ids, positions or a mask.
    Ids,
}

/// A tensor as an operation sees it: shape, format and role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operand {
    /// The dimensions.
    pub shape: Shape,
    /// How its numbers are stored.
    pub format: Format,
    /// Its use in the operation.
    #[serde(default, skip_serializing_if = "is_activation")]
    pub role: Role,
}

fn is_activation(role: &Role) -> bool {
    *role == Role::Activation
}

impl Operand {
    /// A tensor with a role.
    pub fn new(shape: impl Into<Shape>, format: Format, role: Role) -> Self {
        Self { shape: shape.into(), format, role }
    }

    /// A tensor that is computed in this pass.
    pub fn activation(shape: impl Into<Shape>, format: Format) -> Self {
        Self::new(shape, format, Role::Activation)
    }

    /// A parameter without an id: no other operation is known to read it.
    pub fn parameter(shape: impl Into<Shape>, format: Format) -> Self {
        Self::new(shape, format, Role::Parameter(None))
    }

    /// Token ids, as 64-bit integers.
    pub fn ids(shape: impl Into<Shape>) -> Self {
        Self::new(shape, Format::I64, Role::Ids)
    }

    /// Bytes of the whole tensor.
    pub fn bytes(&self) -> u64 {
        self.format.bytes(self.shape.elements())
    }
}
