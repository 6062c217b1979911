use std::borrow::Cow;

use irene_tree::{DType, Level, Shape};

use crate::{Node, Result, Tensor};

/// Where a model's parameters come from: a checkpoint, or shapes alone.
pub trait WeightSource {
    /// The parameter with this key, in exactly this shape. `aliases` are keys that older checkpoints use for it.
    ///
    /// # Errors
    /// [`Error::Weight`](crate::Error::Weight) if it is missing or has another shape.
    fn parameter(&self, key: &str, aliases: &[String], shape: Shape) -> Result<Tensor>;

    /// The element type that parameters are given in.
    fn dtype(&self) -> DType;

    /// Whether keys matter; they are not put together if not.
    fn has_keys(&self) -> bool {
        true
    }
}

/// Parameters as shapes: no memory, whatever the model's size.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShapesOnly;

impl WeightSource for ShapesOnly {
    fn parameter(&self, _key: &str, _aliases: &[String], shape: Shape) -> Result<Tensor> {
        Ok(Tensor::of_shape(shape, DType::F32))
    }

    fn dtype(&self) -> DType {
        DType::F32
    }

    fn has_keys(&self) -> bool {
        false
    }
}

/// A place in a checkpoint, and the name of the module that is loaded from it.
///
/// A child's name is written once, here: it is both the node's name in the tree and the next part of the checkpoint's key.
#[derive(Clone)]
pub struct Weights<'a> {
    source: &'a dyn WeightSource,
    key: String,
    name: Cow<'static, str>,
}

impl<'a> Weights<'a> {
    /// The whole model.
    pub fn root(source: &'a dyn WeightSource) -> Self {
        Self { source, key: String::new(), name: Cow::Borrowed("root") }
    }

    /// The element type of the parameters, and so of what is computed with them.
    pub fn dtype(&self) -> DType {
        self.source.dtype()
    }

    /// The child with this name.
    pub fn child(&self, name: &'static str) -> Self {
        Self { source: self.source, key: self.key_of(name), name: Cow::Borrowed(name) }
    }

    /// The child with this name and number, `conv_out_layer0`.
    pub fn numbered(&self, name: &'static str, number: usize) -> Self {
        let name = format!("{name}{number}");
        Self { source: self.source, key: self.key_of(&name), name: Cow::Owned(name) }
    }

    /// A part that only the tree knows: in the checkpoint, what is below it is below this module itself.
    pub fn part(&self, name: &'static str, number: usize) -> Self {
        Self { source: self.source, key: self.key.clone(), name: Cow::Owned(format!("{name}{number}")) }
    }

    /// The element of a list of modules. The list's name is in the checkpoint's key and not in the scope, as IrEne has it.
    pub fn element(&self, list: &'static str, index: usize) -> Self {
        let name = index.to_string();
        let key = if self.source.has_keys() { format!("{}.{name}", self.key_of(list)) } else { String::new() };
        Self { source: self.source, key, name: Cow::Owned(name) }
    }

    /// The elements of a list, each loaded by `load`.
    ///
    /// # Errors
    /// The first that `load` gives.
    pub fn list<T>(&self, list: &'static str, len: usize, load: impl Fn(&Self) -> Result<T>) -> Result<Vec<T>> {
        (0..len).map(|index| load(&self.element(list, index))).collect()
    }

    /// The node of a module that is loaded from here.
    pub fn node(&self, instance_type: &'static str, level: Level) -> Node {
        Node { name: self.name.clone(), instance_type, level }
    }

    /// A parameter of the module itself.
    ///
    /// # Errors
    /// [`Error::Weight`](crate::Error::Weight) if the checkpoint lacks it or has it in another shape.
    pub fn parameter(&self, name: &str, shape: impl Into<Shape>) -> Result<Tensor> {
        self.source.parameter(&self.key_of(name), &[], shape.into())
    }

    /// A parameter that older checkpoints know by another name.
    ///
    /// # Errors
    /// As [`parameter`](Self::parameter).
    pub fn parameter_also_named(&self, name: &str, older: &str, shape: impl Into<Shape>) -> Result<Tensor> {
        self.source.parameter(&self.key_of(name), &[self.key_of(older)], shape.into())
    }

    fn key_of(&self, name: &str) -> String {
        match self.key.as_str() {
            _ if !self.source.has_keys() => String::new(),
            "" => name.to_owned(),
            key => format!("{key}.{name}"),
        }
    }
}
