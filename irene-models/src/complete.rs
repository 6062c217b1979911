//! Trees of others, completed from the model's own code.

use irene_features::{join_specs, missing_counts};
use irene_tree::{Quantity, Tree};

use crate::{ModelSpec, Result, Run};

/// Adds the counts that a tree lacks (parameters, FLOPs, bytes, kernels), from the code of the model that it names, at its own size, in its
/// own precision and with its own kernels. Gives the counts that were added; none for a tree that has all.
///
/// ```
/// use irene_tree::{Quantity, Size};
/// # fn main() -> irene_models::Result<()> {
/// let mut tree = irene_models::ModelSpec::find("gpt2")?.trace(Size::new(8, 32))?.without_math();
/// tree.nodes_mut().iter_mut().for_each(|node| node.clear(Quantity::MovedBytes));
/// assert_eq!(irene_models::complete(&mut tree)?, [Quantity::MovedBytes]);
/// assert!(tree.root().get(Quantity::MovedBytes).is_some());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`ModelSpec::find`] and [`ModelSpec::trace`]; [`Error::Tree`](crate::Error::Tree) for a tree whose nodes are not the model's.
/// The tree is then as it was.
pub fn complete(tree: &mut Tree) -> Result<Vec<Quantity>> {
    let missing = missing_counts(tree);
    if missing.is_empty() {
        return Ok(missing);
    }
    let spec = match ModelSpec::builtin(&tree.model_name) {
        Some(spec) => spec,
        None => ModelSpec::find(&tree.model_name)?,
    };
    let run = Run {
        precision: tree.precision,
        kernels: tree.kernels,
        parallel: tree.parallel,
        generate: tree.generated,
        ..tree.size.into()
    };
    // A tree does not say which head it has. Most have none, and that gives the error.
    let mut first = None;
    for &head in spec.heads() {
        let joined = spec.trace(Run { head, ..run }).and_then(|traced| Ok(join_specs(tree, &traced)?));
        match joined {
            Ok(()) => return Ok(missing),
            Err(error) => first = first.or(Some(error)),
        }
    }
    first.map_or(Ok(missing), Err)
}
