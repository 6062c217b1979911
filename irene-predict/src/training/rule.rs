//! The parameters of the rule of thumb that a step takes 6 FLOPs for each parameter and token.

use irene_models::{ModelSpec, Run};
use irene_tree::{OpKind, Parallel, Precision, Size};

use crate::Error;

/// Parameters that take part in a token, on average: all of them, but of a mixture's experts those that the token goes to.
pub(super) fn parameters(spec: &ModelSpec, run: Run) -> Result<f64, Error> {
    let all = spec.num_parameters(run.head)? as f64;
    let size = Size { sequences: 1, ..run.size };
    let pass = Run { size, precision: Precision::F32, parallel: Parallel::default(), training: None, ..run };
    let resting: f64 = spec
        .launches(pass)?
        .iter()
        .filter(|(operation, _)| operation.kind == OpKind::GroupedLinear)
        .map(|(operation, times)| {
            let (rows, weight) = (operation.inputs[0].shape, operation.inputs[1].shape);
            let experts = weight.dims().first().map_or(1.0, |&experts| experts as f64);
            let of_token = rows.elements() as f64 / rows.last() as f64 / size.tokens() as f64;
            *times as f64 * weight.elements() as f64 * (1.0 - of_token / experts)
        })
        .sum();
    Ok(all - resting)
}
