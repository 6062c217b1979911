use std::{
    borrow::Cow,
    cell::Cell,
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};

use irene_tree::{Format, Level, Parallel, ParameterId, Precision, Role, Shape};

use crate::{Label, Result, Tensor};

/// The use of a parameter, which decides how files store it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A matrix of products, or a vector.
    Weight,
    /// A table whose rows are looked up, which a quantisation of products leaves as it is.
    Table,
    /// LoRA's adapter, which files of weights do not have. Shapes give it the format of the activations, however other weights are stored.
    Adapter,
    /// Numbers of a checkpoint that nothing trains and that do not count as parameters.
    Buffer,
}

/// A parameter that a model asks its source for.
#[derive(Clone, Copy, Debug)]
pub struct ParameterSpec<'a> {
    /// Its key.
    pub key: &'a str,
    /// Keys that older checkpoints use for it.
    pub aliases: &'a [String],
    /// Its shape, exactly.
    pub shape: Shape,
    /// Its use.
    pub kind: ParameterKind,
    /// Whether a gradient comes to it in training: it is no buffer, and a result depends on it, by more than choices.
    pub is_trained: bool,
}

impl<'a> ParameterSpec<'a> {
    /// A weight that is trained, under one key.
    pub fn new(key: &'a str, shape: Shape) -> Self {
        Self { key, aliases: &[], shape, kind: ParameterKind::Weight, is_trained: true }
    }

    /// Its keys, its own first.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        std::iter::once(self.key).chain(self.aliases.iter().map(String::as_str))
    }
}

/// A source of a model's parameters: a checkpoint, or shapes alone.
pub trait WeightSource {
    /// The parameter.
    ///
    /// # Errors
    /// [`Error::Weight`](crate::Error::Weight) if it is missing or has another shape.
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor>;

    /// The formats of parameters, activations and cache.
    fn precision(&self) -> Precision;

    /// Whether there is a parameter with this key. Shapes and made-up weights have every one.
    fn has(&self, _key: &str) -> bool {
        true
    }

    /// Whether keys matter; if not, none is built.
    fn has_keys(&self) -> bool {
        true
    }
}

/// Parameters as shapes: no memory, whatever the model's size.
///
/// Only the weights of products and tables are stored in blocks or in whole numbers; vectors (biases, norms) stay in the activations'
/// format, as in every such checkpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShapesOnly(pub Precision);

impl WeightSource for ShapesOnly {
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        let Precision { weights, activations, .. } = self.0;
        let is_plain = spec.shape.rank() < 2 || spec.kind == ParameterKind::Adapter;
        Ok(Tensor::of_shape(spec.shape, if is_plain { activations } else { weights }))
    }

    fn precision(&self) -> Precision {
        self.0
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
    /// The number of parameters of the whole model loaded so far, which gives the next one its id.
    loaded: Rc<Cell<u32>>,
    /// A hash of the formats of those that were loaded since it was last asked for.
    formats: Rc<Cell<u64>>,
    key: String,
    name: Cow<'static, str>,
    parallel: Parallel,
    is_untrained: bool,
    lora: Lora,
}

impl std::fmt::Debug for Weights<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Weights").field("key", &self.key).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Adapters beside weights that are not trained (Hu et al. 2021).
#[derive(Clone, Copy, Default)]
struct Lora {
    /// Their inner width; 0 for none.
    rank: usize,
    /// Whether the layers that are loaded here get them: those of the trunk do.
    is_here: bool,
}

impl<'a> Weights<'a> {
    /// The whole model.
    pub fn root(source: &'a dyn WeightSource) -> Self {
        let (key, name) = (String::new(), Cow::Borrowed("root"));
        let (loaded, formats, parallel) = (Rc::default(), Rc::default(), Parallel::default());
        Self { source, loaded, formats, key, name, parallel, is_untrained: false, lora: Lora::default() }
    }

    /// The same place, with parameters that no gradient comes to: no result depends on them, choices alone do, or they are buffers.
    pub(crate) fn untrained(self) -> Self {
        Self { is_untrained: true, ..self }
    }

    /// The share that one of several GPUs has, in shapes alone.
    pub fn shared_by(self, parallel: Parallel) -> Self {
        Self { parallel, ..self }
    }

    /// The same with LoRA's adapters of this inner width for the layers of the trunk; 0 for none.
    pub(crate) fn with_lora(self, rank: usize) -> Self {
        Self { lora: Lora { rank, ..self.lora }, ..self }
    }

    /// The model's trunk, whose layers get adapters if any do.
    pub(crate) fn trunk(self) -> Self {
        Self { lora: Lora { is_here: true, ..self.lora }, ..self }
    }

    /// The inner width of the adapters of layers that are loaded here, if they get any.
    pub(crate) fn lora_rank(&self) -> Option<usize> {
        (self.lora.is_here && self.lora.rank > 0).then_some(self.lora.rank)
    }

    /// The number of parameters of the whole model loaded so far.
    pub(crate) fn loaded(&self) -> u32 {
        self.loaded.get()
    }

    /// A hash of the formats of the parameters that were loaded since this was last called.
    pub(crate) fn take_formats(&self) -> u64 {
        self.formats.take()
    }

    /// How the run is spread over GPUs.
    pub fn parallel(&self) -> Parallel {
        self.parallel
    }

    /// The formats of parameters, activations and cache.
    pub fn precision(&self) -> Precision {
        self.source.precision()
    }

    /// The format of activations.
    pub fn activations(&self) -> Format {
        self.precision().activations
    }

    fn below(&self, key: String, name: Cow<'static, str>) -> Self {
        let (loaded, formats) = (Rc::clone(&self.loaded), Rc::clone(&self.formats));
        let Self { source, parallel, is_untrained, lora, .. } = *self;
        Self { source, loaded, formats, key, name, parallel, is_untrained, lora }
    }

    /// The same place in another source, such as one that reads the keys of another code.
    pub(crate) fn through<'b>(&self, source: &'b dyn WeightSource) -> Weights<'b> {
        let (loaded, formats) = (Rc::clone(&self.loaded), Rc::clone(&self.formats));
        let (key, name) = (self.key.clone(), self.name.clone());
        let Self { parallel, is_untrained, lora, .. } = *self;
        Weights { source, loaded, formats, key, name, parallel, is_untrained, lora }
    }

    /// Where the parameters come from.
    pub(crate) fn source(&self) -> &'a dyn WeightSource {
        self.source
    }

    /// The child with this name.
    pub fn child(&self, name: &'static str) -> Self {
        self.below(self.key_of(name), Cow::Borrowed(name))
    }

    /// The child with a name that is not known before a file is read.
    pub(crate) fn child_of_file(&self, name: String) -> Self {
        self.below(self.key_of(&name), Cow::Owned(name))
    }

    /// The child with this name, which older checkpoints have under another key; `probe` is the key of a parameter in it.
    pub fn child_also(&self, name: &'static str, older: &'static str, probe: &str) -> Self {
        let is_older = older != name && self.source.has_keys() && {
            let has = |key: &str| self.source.has(&self.key_of(&format!("{key}.{probe}")));
            !has(name) && has(older)
        };
        self.below(self.key_of(if is_older { older } else { name }), Cow::Borrowed(name))
    }

    /// The child with this name and number, `conv_out_layer0`.
    pub fn numbered(&self, name: &'static str, number: usize) -> Self {
        let name = format!("{name}{number}");
        self.below(self.key_of(&name), Cow::Owned(name))
    }

    /// A part that is in the tree alone: in the checkpoint, its children are children of this module.
    pub fn part(&self, name: &'static str, number: usize) -> Self {
        self.below(self.key.clone(), Cow::Owned(format!("{name}{number}")))
    }

    /// A module of this name in the tree alone, which the checkpoint does not know.
    pub fn named(&self, name: &'static str) -> Self {
        self.below(self.key.clone(), Cow::Borrowed(name))
    }

    /// The element of a list of modules. The list's name is in the checkpoint's key and not in the scope, as IrEne has it.
    pub fn element(&self, list: &'static str, index: usize) -> Self {
        let name = index.to_string();
        let key = if self.source.has_keys() { format!("{}.{name}", self.key_of(list)) } else { String::new() };
        self.below(key, Cow::Owned(name))
    }

    /// The elements of a list, each loaded by `load`.
    ///
    /// # Errors
    /// The first error of `load`.
    pub fn list<T>(&self, list: &'static str, len: usize, load: impl Fn(&Self) -> Result<T>) -> Result<Vec<T>> {
        (0..len).map(|index| load(&self.element(list, index))).collect()
    }

    /// The label of a module that is loaded from here.
    pub fn label(&self, instance_type: &'static str, level: Level) -> Label {
        Label { name: self.name.clone(), instance_type, level }
    }

    /// A parameter of the module itself.
    ///
    /// # Errors
    /// [`Error::Weight`](crate::Error::Weight) if the checkpoint lacks it or has it in another shape.
    pub fn parameter(&self, name: &str, shape: impl Into<Shape>) -> Result<Tensor> {
        self.found(name, &[], shape.into(), ParameterKind::Weight)
    }

    /// The same, for a table whose rows are looked up.
    pub(crate) fn table(&self, name: &str, shape: impl Into<Shape>) -> Result<Tensor> {
        self.found(name, &[], shape.into(), ParameterKind::Table)
    }

    /// The same, for LoRA's adapters.
    pub(crate) fn adapter(&self, name: &str, shape: impl Into<Shape>) -> Result<Tensor> {
        self.found(name, &[], shape.into(), ParameterKind::Adapter)
    }

    /// Numbers that a checkpoint has and that are no parameter.
    pub(crate) fn buffer(&self, name: &str, shape: impl Into<Shape>) -> Result<Tensor> {
        let buffer = self.clone().untrained().found(name, &[], shape.into(), ParameterKind::Buffer)?;
        Ok(buffer.with_role(Role::Activation))
    }

    /// A parameter that older checkpoints know by another name.
    ///
    /// # Errors
    /// As [`parameter`](Self::parameter).
    pub fn parameter_also_named(&self, name: &str, older: &str, shape: impl Into<Shape>) -> Result<Tensor> {
        self.found(name, &[self.key_of(older)], shape.into(), ParameterKind::Weight)
    }

    fn found(&self, name: &str, aliases: &[String], shape: Shape, kind: ParameterKind) -> Result<Tensor> {
        let key = &self.key_of(name);
        let spec = ParameterSpec { key, aliases, shape, kind, is_trained: !self.is_untrained };
        self.identified(self.source.parameter(&spec)?)
    }

    /// Whether the source has a parameter of the module itself.
    pub fn has(&self, name: &str) -> bool {
        self.source.has(&self.key_of(name))
    }

    /// Gives the parameter an id of its own. To tie parameters, load one and give it to both.
    fn identified(&self, parameter: Tensor) -> Result<Tensor> {
        let place = self.loaded.replace(self.loaded.get() + 1);
        let mut hasher = DefaultHasher::new();
        (self.formats.get(), parameter.format()).hash(&mut hasher);
        self.formats.set(hasher.finish());
        Ok(parameter.with_role(Role::Parameter(Some(ParameterId::new(place)))))
    }

    fn key_of(&self, name: &str) -> String {
        match self.key.as_str() {
            _ if !self.source.has_keys() => String::new(),
            "" => name.to_owned(),
            key => format!("{key}.{name}"),
        }
    }
}
