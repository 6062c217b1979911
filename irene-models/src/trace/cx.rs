use std::borrow::Cow;

use irene_tree::{Format, Kernels, Level, OpKind, Operation, Parallel};

use super::{Tensors, operations::label_of};
use crate::{Result, Tensor};

/// The label of a node in the trace: its name under its parent, its class and its level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The name, which is the last part of the scope and of the checkpoint's key; the model itself is `root`.
    pub name: Cow<'static, str>,
    /// The class in Hugging Face transformers.
    pub instance_type: &'static str,
    /// The level.
    pub level: Level,
}

/// A part of a model that is a node of the trace.
pub trait Labelled {
    /// Its node's label.
    fn label(&self) -> &Label;
}

/// Makes structs [`Labelled`] by their field `label`.
#[macro_export]
macro_rules! labelled {
    ($($module:ident $(<$parameter:ident>)?),+ $(,)?) => {
        $(impl $(<$parameter>)? $crate::Labelled for $module $(<$parameter>)? {
            fn label(&self) -> &$crate::Label {
                &self.label
            }
        })+
    };
}

/// A part of a model: a logic unit made of others, or a primitive.
pub trait Module: Labelled {
    /// The input of `forward`: references, so that the same node can be run again.
    type Input<'a>: Tensors + Copy;
    /// The output of `forward`.
    type Output: Tensors;

    /// Computes the output; every child and operation is entered through `cx`.
    ///
    /// # Errors
    /// Tensors that do not fit, or candle's error.
    fn forward(&self, cx: &mut Cx<'_>, input: Self::Input<'_>) -> Result<Self::Output>;

    /// For a primitive: its operation for this input and output.
    fn operation(&self, _input: Self::Input<'_>, _output: &Self::Output) -> Option<Operation> {
        None
    }
}

/// A node that has run, as a visitor sees it.
pub struct Done<'a> {
    /// The inputs.
    pub inputs: &'a [&'a Tensor],
    /// The outputs.
    pub outputs: &'a [&'a Tensor],
    /// The operation, for primitives and the math level.
    pub operation: Option<Operation>,
    /// Runs exactly this node again on the same inputs, and waits until the device is done.
    pub rerun: &'a mut dyn FnMut() -> Result<()>,
}

impl std::fmt::Debug for Done<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Done")
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}

/// Watches a forward pass.
pub trait Visitor {
    /// A node begins.
    ///
    /// # Errors
    /// Ends the forward pass with this error.
    fn enter(&mut self, label: &Label, inputs: &[&Tensor]) -> Result<()>;

    /// The node entered last ends.
    ///
    /// # Errors
    /// Ends the forward pass with this error.
    fn exit(&mut self, label: &Label, done: Done<'_>) -> Result<()>;

    /// The place of the next node, for a visitor that can [`repeat`](Self::repeat) what it sees from there on.
    fn place(&self) -> Option<usize> {
        None
    }

    /// A node that equals the one at a place, but for its label and its parameters, which come `later`; everything below it is equal
    /// too. As many as `of` follow.
    fn repeat(&mut self, _place: usize, _label: &Label, _later: u32, _of: usize) {}
}

/// The context of a forward pass: everything that a model does goes through it.
pub struct Cx<'v> {
    visitor: Option<&'v mut dyn Visitor>,
    how: How,
}

impl std::fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cx").field("how", &self.how).finish_non_exhaustive()
    }
}

/// How operations run.
#[derive(Clone, Copy, Debug)]
struct How {
    kernels: Kernels,
    cache_format: Option<Format>,
    parallel: Parallel,
    /// Tokens of each sequence.
    cache_room: usize,
    is_training: bool,
}

impl How {
    fn by(kernels: Kernels) -> Self {
        Self { kernels, cache_format: None, parallel: Parallel::default(), cache_room: 0, is_training: false }
    }
}

impl<'v> Cx<'v> {
    /// A context that only runs, with fused kernels where there are any.
    pub fn silent() -> Self {
        Self { visitor: None, how: How::by(Kernels::Fused) }
    }

    /// A context that tells the visitor of every node; kernels are eager.
    pub fn visited(visitor: &'v mut dyn Visitor) -> Self {
        Self { visitor: Some(visitor), how: How::by(Kernels::Eager) }
    }

    /// The same context with these kernels.
    pub fn with_kernels(self, kernels: Kernels) -> Self {
        Self { how: How { kernels, ..self.how }, ..self }
    }

    /// The same context with this cache format, for fused kernels followed by shape; otherwise the cache has the activations' format.
    pub(crate) fn with_cache_format(self, format: Format) -> Self {
        Self { how: How { cache_format: Some(format), ..self.how }, ..self }
    }

    /// From now on, gives the cache's memory room for at least this many tokens of each sequence where fused kernels allocate it.
    pub fn set_cache_room(&mut self, tokens: usize) {
        self.how.cache_room = tokens;
    }

    pub(super) fn cache_room(&self) -> usize {
        self.how.cache_room
    }

    /// The same context for one GPU of a run that is spread over several: followed by shape alone.
    pub fn with_parallel(self, parallel: Parallel) -> Self {
        Self { how: How { parallel, ..self.how }, ..self }
    }

    /// How the run is spread over GPUs.
    pub fn parallel(&self) -> Parallel {
        self.how.parallel
    }

    /// The same context for a pass whose gradients are wanted: dropout counts.
    pub fn in_training(self) -> Self {
        Self { how: How { is_training: true, ..self.how }, ..self }
    }

    /// Whether gradients of the pass are wanted.
    pub fn is_training(&self) -> bool {
        self.how.is_training
    }

    /// Runs something that no visitor hears of: numbers that engines look up in tables inside other kernels.
    pub(crate) fn untraced<T>(&self, run: impl FnOnce(&mut Cx<'_>) -> T) -> T {
        run(&mut Cx { visitor: None, how: self.how })
    }

    /// How operations become kernels.
    pub fn kernels(&self) -> Kernels {
        self.how.kernels
    }

    pub(crate) fn cache_format(&self) -> Option<Format> {
        self.how.cache_format
    }

    /// Runs a child module.
    ///
    /// # Errors
    /// The errors of its `forward` and of the visitor.
    #[inline]
    pub fn call<M: Module + ?Sized>(&mut self, module: &M, input: M::Input<'_>) -> Result<M::Output> {
        if self.visitor.is_none() { module.forward(self, input) } else { self.call_visited(module, input) }
    }

    /// Runs layers one after another on hidden states, each with the same second input.
    pub(crate) fn chain<M, S>(&mut self, layers: &[M], hidden: &Tensor, second: &S) -> Result<Tensor>
    where
        M: for<'a> Module<Input<'a> = (&'a Tensor, &'a S), Output = Tensor>,
    {
        let mut hidden = hidden.clone();
        for layer in layers {
            hidden = self.call(layer, (&hidden, second))?;
        }
        Ok(hidden)
    }

    fn call_visited<M: Module + ?Sized>(&mut self, module: &M, input: M::Input<'_>) -> Result<M::Output> {
        let mut inputs = Vec::new();
        input.list(&mut inputs);
        if let Some(visitor) = &mut self.visitor {
            visitor.enter(module.label(), &inputs)?;
        }
        let output = module.forward(self, input)?;
        let how = self.how;
        if let Some(visitor) = &mut self.visitor {
            let mut outputs = Vec::new();
            output.list(&mut outputs);
            let operation = module.operation(input, &output).map(|operation| match how.kernels {
                Kernels::Eager => operation,
                Kernels::Fused => operation.in_one_kernel(),
            });
            let rerun = &mut || finished(&module.forward(&mut Cx { visitor: None, how }, input)?);
            visitor.exit(module.label(), Done { inputs: &inputs, outputs: &outputs, operation, rerun })?;
        }
        Ok(output)
    }

    /// The place of the next node, if the visitor can repeat what it sees from there on.
    pub(crate) fn place(&self) -> Option<usize> {
        self.visitor.as_ref()?.place()
    }

    /// Tells the visitor that this child equals one that it has already seen (see [`Visitor::repeat`]).
    pub(crate) fn repeat(&mut self, place: usize, child: &impl Labelled, later: u32, of: usize) {
        if let Some(visitor) = &mut self.visitor {
            visitor.repeat(place, child.label(), later, of);
        }
    }

    /// Runs one operation; `describe` gives its description from its output.
    #[inline]
    pub(super) fn operate<T: Tensors>(
        &mut self,
        label: impl FnOnce() -> Label,
        inputs: &[&Tensor],
        run: impl Fn() -> Result<T>,
        describe: impl FnOnce(&T) -> Operation,
    ) -> Result<T> {
        let Some(visitor) = &mut self.visitor else { return run() };
        let label = label();
        visitor.enter(&label, inputs)?;
        let output = run()?;
        let operation = Some(describe(&output));
        let mut outputs = Vec::new();
        output.list(&mut outputs);
        let rerun = &mut || finished(&run()?);
        visitor.exit(&label, Done { inputs, outputs: &outputs, operation, rerun })?;
        Ok(output)
    }

    /// Runs several operations as one kernel, if kernels are fused and `run` has one for these tensors. The visitor hears of the node
    /// once that is known.
    #[inline]
    pub(super) fn fused(
        &mut self,
        label: impl FnOnce() -> Label,
        inputs: &[&Tensor],
        run: impl Fn() -> Option<Result<Tensor>>,
        describe: impl FnOnce(&Tensor) -> Option<Operation>,
    ) -> Option<Result<Tensor>> {
        if self.how.kernels == Kernels::Eager {
            return None;
        }
        let output = run()?;
        if self.visitor.is_none() {
            return Some(output);
        }
        Some(output.and_then(|output| {
            let Some(visitor) = &mut self.visitor else { return Ok(output) };
            let label = label();
            visitor.enter(&label, inputs)?;
            let operation = describe(&output);
            let rerun = &mut || run().map_or(Ok(()), |output| output?.synchronize());
            visitor.exit(&label, Done { inputs, outputs: &[&output], operation, rerun })?;
            Ok(output)
        }))
    }

    /// Runs operations that engines have one kernel for: one node, named by this kind, where kernels are fused.
    pub(crate) fn in_one_kernel<T: Tensors>(
        &mut self,
        kind: OpKind,
        inputs: &[&Tensor],
        run: impl Fn(&mut Cx<'_>) -> Result<T>,
        describe: impl FnOnce(&T) -> Operation,
    ) -> Result<T> {
        let how = self.how;
        match how.kernels {
            Kernels::Eager => run(self),
            Kernels::Fused => self.operate(|| label_of(kind), inputs, || run(&mut Cx { visitor: None, how }), describe),
        }
    }

    /// Tells the visitor of arithmetic that runs on the host, on numbers rather than tensors.
    #[inline]
    pub(super) fn on_host(
        &mut self,
        label: impl FnOnce() -> Label,
        operation: impl FnOnce() -> Operation,
    ) -> Result<()> {
        let Some(visitor) = &mut self.visitor else { return Ok(()) };
        let label = label();
        visitor.enter(&label, &[])?;
        let operation = Some(operation());
        visitor.exit(&label, Done { inputs: &[], outputs: &[], operation, rerun: &mut || Ok(()) })
    }
}

/// Waits until the device has computed these.
fn finished(outputs: &impl Tensors) -> Result<()> {
    let mut tensors = Vec::new();
    outputs.list(&mut tensors);
    tensors.first().map_or(Ok(()), |tensor| tensor.synchronize())
}
