use std::borrow::Cow;

use irene_tree::{Level, Operation};

use super::Tensors;
use crate::{Result, Tensor};

/// A module's place: its name under its parent, its class and its level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The name, which is the last part of the scope and of the checkpoint's key; the model itself is `root`.
    pub name: Cow<'static, str>,
    /// The class in Hugging Face transformers.
    pub instance_type: &'static str,
    /// The level.
    pub level: Level,
}

/// A part of a model: a logic unit made of others, or a primitive.
pub trait Module {
    /// What `forward` takes: references, so that the same node can be run again.
    type Input<'a>: Tensors + Copy;
    /// What it gives.
    type Output: Tensors;

    /// Where the module stands.
    fn node(&self) -> &Node;

    /// Computes the output; every child and operation is entered through `cx`.
    ///
    /// # Errors
    /// Tensors that do not fit, or what candle says.
    fn forward(&self, cx: &mut Cx<'_>, input: Self::Input<'_>) -> Result<Self::Output>;

    /// For a primitive: the operation it is, at this input and output.
    fn operation(&self, _input: Self::Input<'_>, _output: &Self::Output) -> Option<Operation> {
        None
    }
}

/// A node that has run, as a visitor sees it.
pub struct Done<'a> {
    /// What went in.
    pub inputs: &'a [&'a Tensor],
    /// What came out.
    pub outputs: &'a [&'a Tensor],
    /// The operation, for primitives and the math level.
    pub operation: Option<Operation>,
    /// Runs exactly this node again on the same inputs, and waits until the device is done.
    pub rerun: &'a mut dyn FnMut() -> Result<()>,
}

/// Watches a forward pass.
pub trait Visitor {
    /// A node begins.
    ///
    /// # Errors
    /// Ends the forward pass with this error.
    fn enter(&mut self, node: &Node, inputs: &[&Tensor]) -> Result<()>;

    /// The node entered last ends.
    ///
    /// # Errors
    /// Ends the forward pass with this error.
    fn exit(&mut self, node: &Node, done: Done<'_>) -> Result<()>;
}

/// The context of a forward pass: everything that a model does goes through it.
pub struct Cx<'v> {
    visitor: Option<&'v mut dyn Visitor>,
    fuses: bool,
}

impl<'v> Cx<'v> {
    /// A context that only runs, and may run several operations as one where that gives the same result.
    pub fn silent() -> Self {
        Self { visitor: None, fuses: true }
    }

    /// A context that only runs, operation by operation as a visited one does: what tracing costs is the difference.
    pub fn unfused() -> Self {
        Self { visitor: None, fuses: false }
    }

    /// Whether operations may run as one.
    pub(super) fn fuses(&self) -> bool {
        self.fuses
    }

    /// A context that tells the visitor of every node.
    pub fn visited(visitor: &'v mut dyn Visitor) -> Self {
        Self { visitor: Some(visitor), fuses: false }
    }

    /// Runs a child module.
    ///
    /// # Errors
    /// Those of its `forward`, and of the visitor.
    #[inline]
    pub fn call<M: Module + ?Sized>(&mut self, module: &M, input: M::Input<'_>) -> Result<M::Output> {
        if self.visitor.is_none() { module.forward(self, input) } else { self.call_visited(module, input) }
    }

    fn call_visited<M: Module + ?Sized>(&mut self, module: &M, input: M::Input<'_>) -> Result<M::Output> {
        let mut inputs = Vec::new();
        input.list(&mut inputs);
        if let Some(visitor) = &mut self.visitor {
            visitor.enter(module.node(), &inputs)?;
        }
        let output = module.forward(self, input)?;
        if let Some(visitor) = &mut self.visitor {
            let mut outputs = Vec::new();
            output.list(&mut outputs);
            let operation = module.operation(input, &output);
            let rerun = &mut || finished(&module.forward(&mut Cx::unfused(), input)?);
            visitor.exit(module.node(), Done { inputs: &inputs, outputs: &outputs, operation, rerun })?;
        }
        Ok(output)
    }

    /// Runs one operation; `describe` says what it is once its output is known.
    #[inline]
    pub(super) fn operate(
        &mut self,
        node: impl FnOnce() -> Node,
        inputs: &[&Tensor],
        run: impl Fn() -> Result<Tensor>,
        describe: impl FnOnce(&Tensor) -> Operation,
    ) -> Result<Tensor> {
        let Some(visitor) = &mut self.visitor else { return run() };
        let node = node();
        visitor.enter(&node, inputs)?;
        let output = run()?;
        let operation = Some(describe(&output));
        let rerun = &mut || run()?.synchronize();
        visitor.exit(&node, Done { inputs, outputs: &[&output], operation, rerun })?;
        Ok(output)
    }

    /// Tells the visitor of arithmetic that runs on the host, on numbers rather than tensors.
    #[inline]
    pub(super) fn on_host(&mut self, node: impl FnOnce() -> Node, operation: impl FnOnce() -> Operation) -> Result<()> {
        let Some(visitor) = &mut self.visitor else { return Ok(()) };
        let node = node();
        visitor.enter(&node, &[])?;
        let operation = Some(operation());
        visitor.exit(&node, Done { inputs: &[], outputs: &[], operation, rerun: &mut || Ok(()) })
    }
}

/// Waits until the device has computed these.
fn finished(outputs: &impl Tensors) -> Result<()> {
    let mut tensors = Vec::new();
    outputs.list(&mut tensors);
    tensors.first().map_or(Ok(()), |tensor| tensor.synchronize())
}
