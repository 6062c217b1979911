//! The forms in which files hold operations.

use serde::Deserialize;

use super::{OpKind, Operation};
use crate::{Format, Operand, Role, Shape};

#[derive(Deserialize)]
pub(super) struct Stored {
    kind: OpKind,
    inputs: Vec<StoredOperand>,
    output: StoredOperand,
    #[serde(default)]
    fused: Vec<OpKind>,
    #[serde(default)]
    pairs: u64,
    #[serde(default)]
    touched: u64,
    #[serde(default)]
    gpus: u64,
    #[serde(default)]
    is_gradient: bool,
    #[serde(default)]
    on_host: bool,
    /// Only in older files, which have shapes in place of operands.
    dtype: Option<Format>,
    /// Only in the same files: numbers in the last operands, which are parameters.
    #[serde(default)]
    num_parameters: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum StoredOperand {
    Shape(Shape),
    Operand(Operand),
}

impl StoredOperand {
    fn operand(self, format: Format) -> Operand {
        match self {
            Self::Shape(shape) => Operand::activation(shape, format),
            Self::Operand(operand) => operand,
        }
    }
}

impl From<Stored> for Operation {
    fn from(stored: Stored) -> Self {
        let format = stored.dtype.unwrap_or(Format::F32);
        let output = stored.output.operand(format);
        let mut inputs: Vec<_> = stored.inputs.into_iter().map(|input| input.operand(format)).collect();
        let mut left = stored.num_parameters;
        for input in inputs.iter_mut().rev() {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(input.shape.elements());
            input.role = Role::Parameter(None);
        }
        if let (OpKind::Embedding, Some(ids)) = (stored.kind, inputs.first_mut())
            && ids.role == Role::Activation
        {
            (ids.role, ids.format) = (Role::Ids, Format::I64);
        }
        let Stored { kind, fused, pairs, touched, gpus, is_gradient, on_host, .. } = stored;
        Self { kind, inputs, output, fused, pairs, touched, gpus, is_gradient, on_host }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_older_files_read_on() {
        let json = r#"{"kind":"linear","inputs":[[8,4],[2,4],[2]],"output":[8,2],"dtype":"f32","num_parameters":10}"#;
        let op: Operation = serde_json::from_str(json).unwrap();
        assert_eq!(op.inputs[0], Operand::activation([8, 4], Format::F32));
        assert_eq!(op.parameters().collect::<Vec<_>>(), [(None, 8), (None, 2)]);
        let json = r#"{"kind":"embedding","inputs":[[8,4],[9,2]],"output":[8,4,2],"dtype":"f32","num_parameters":18}"#;
        let op: Operation = serde_json::from_str(json).unwrap();
        assert_eq!((op.inputs[0].role, op.inputs[0].format), (Role::Ids, Format::I64));
        let again: Operation = serde_json::from_str(&serde_json::to_string(&op).unwrap()).unwrap();
        assert_eq!(again, op);
    }
}
