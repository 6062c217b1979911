use std::collections::HashMap;

use super::{Done, Label, Visitor};
use crate::{Result, Tensor};

/// Keeps every node's first output by its scope; the second node of a scope (a module's second MatMul) as `scope#1`, and so on.
#[derive(Debug, Default)]
pub struct OutputVisitor {
    path: Vec<String>,
    outputs: HashMap<String, Tensor>,
}

impl OutputVisitor {
    /// The outputs seen so far.
    pub fn outputs(&self) -> &HashMap<String, Tensor> {
        &self.outputs
    }
}

impl Visitor for OutputVisitor {
    fn enter(&mut self, label: &Label, _inputs: &[&Tensor]) -> Result<()> {
        self.path.push(label.name.to_string());
        Ok(())
    }

    fn exit(&mut self, _label: &Label, done: Done<'_>) -> Result<()> {
        let scope = self.path.join(".");
        self.path.pop();
        if let Some(&output) = done.outputs.first() {
            let numbered = (1..).map(|place| format!("{scope}#{place}"));
            let free = std::iter::once(scope.clone()).chain(numbered).find(|key| !self.outputs.contains_key(key));
            self.outputs.insert(free.unwrap_or(scope), output.clone());
        }
        Ok(())
    }
}
