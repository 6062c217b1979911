use irene_tree::Operation;

use super::{Done, Label, Visitor};
use crate::{Result, Tensor};

/// Collects the operations of a pass and how often each runs, without the tree: equal layers are followed once.
#[derive(Debug, Default)]
pub(crate) struct LaunchVisitor {
    /// Each operation that was followed, and how often.
    launches: Vec<(Operation, u64)>,
    /// Where each open module's operations begin.
    open: Vec<usize>,
    /// Where those of each closed module begin and end.
    closed: Vec<(usize, usize)>,
}

impl LaunchVisitor {
    /// Operations that differ in more than their parameters' identities, and how often each runs.
    pub(crate) fn finish(self) -> Vec<(Operation, u64)> {
        let mut distinct: Vec<(Operation, u64)> = Vec::with_capacity(self.launches.len());
        for (operation, count) in self.launches {
            match distinct.iter_mut().find(|(known, _)| *known == operation) {
                Some((_, times)) => *times += count,
                None => distinct.push((operation, count)),
            }
        }
        distinct
    }
}

impl Visitor for LaunchVisitor {
    fn enter(&mut self, label: &Label, _inputs: &[&Tensor]) -> Result<()> {
        if !label.level.is_leaf() {
            self.open.push(self.launches.len());
        }
        Ok(())
    }

    fn exit(&mut self, label: &Label, done: Done<'_>) -> Result<()> {
        if !label.level.is_leaf() {
            self.closed.extend(self.open.pop().map(|begin| (begin, self.launches.len())));
        } else if let Some(operation) = done.operation.filter(|operation| !operation.on_host) {
            self.launches.push((operation.without_identities(), 1));
        }
        Ok(())
    }

    fn place(&self) -> Option<usize> {
        Some(self.launches.len())
    }

    fn repeat(&mut self, place: usize, _label: &Label, _later: u32, _of: usize) {
        // The outermost of the modules that begin there was closed last.
        if let Some(&(begin, end)) = self.closed.iter().rev().find(|(begin, _)| *begin == place) {
            self.launches[begin..end].iter_mut().for_each(|(_, times)| *times += 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use irene_tree::{Kernels, Parallel, Size};

    use crate::{ModelSpec, Run, TaskHead};

    #[test]
    fn launches_are_the_leaves_of_the_tree() {
        let parallel = Parallel { tensor: 2, ..Parallel::default() };
        for (model, parallel, size) in [
            ("google/gemma-2-2b-it", Parallel::default(), Size::new(4, 1).after(5000)),
            ("meta-llama/Llama-3.1-70B", parallel, Size::new(1, 300)),
            ("deepseek-ai/DeepSeek-V3", Parallel::default(), Size::new(8, 1).after(64)),
        ] {
            let spec = ModelSpec::find(model).unwrap();
            for kernels in [Kernels::Eager, Kernels::Fused] {
                let run = Run { kernels, parallel, head: TaskHead::Lm, keeps_cache: true, ..size.into() };
                let mut leaves = HashMap::new();
                let tree = spec.trace(run).unwrap();
                for operation in tree.nodes().iter().filter_map(|node| node.operation.as_deref()) {
                    if !operation.on_host {
                        *leaves.entry(operation.clone().without_identities()).or_insert(0) += 1;
                    }
                }
                let launches: HashMap<_, _> = spec.launches(run).unwrap().into_iter().collect();
                assert_eq!(launches, leaves, "{model} {kernels:?}");
            }
        }
    }
}
