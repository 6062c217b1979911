use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Operation, Quantity, Size, quantity::Values};

/// The level of a node in IrEne's hierarchy (Cao et al. 2021, section 3.1), with the single operations below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The root.
    Model,
    /// A logic unit such as `BertSelfAttention`.
    Module,
    /// A model-independent primitive: Linear, LayerNorm, MatMul ...
    Ml,
    /// A single tensor operation that a module runs itself.
    Math,
}

impl Level {
    /// The word in the interchange format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Module => "module",
            Self::Ml => "ml",
            Self::Math => "math",
        }
    }

    /// The level with this word; `ml-np` is the older word for an ML-level node without parameters.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "model" => Some(Self::Model),
            "module" => Some(Self::Module),
            "ml" | "ml-np" => Some(Self::Ml),
            "math" => Some(Self::Math),
            _ => None,
        }
    }

    /// Whether nodes of this level have no children: primitives and single operations.
    pub fn is_leaf(self) -> bool {
        matches!(self, Self::Ml | Self::Math)
    }
}

/// A warning about a predicted figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mark {
    /// The node lies outside the range that the predictor was trained on.
    Extrapolated,
    /// The predictor never saw such an operation; its energy follows from its FLOPs and bytes.
    UnseenOperation,
    /// The predicted energy is below zero: the predictor does not hold here.
    Implausible,
    /// The tree is in other number formats than the predictor's training data.
    OtherPrecision,
}

impl Mark {
    /// The word in the interchange format and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Extrapolated => "extrapolated",
            Self::UnseenOperation => "unseen_operation",
            Self::Implausible => "implausible",
            Self::OtherPrecision => "other_precision",
        }
    }
}

/// A set of [`Mark`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Marks(u8);

impl Marks {
    const EACH: [Mark; 4] = [Mark::Extrapolated, Mark::UnseenOperation, Mark::Implausible, Mark::OtherPrecision];

    /// Adds a mark.
    pub fn insert(&mut self, mark: Mark) {
        self.0 |= 1 << mark as u8;
    }

    /// Whether the mark is there.
    pub fn contains(self, mark: Mark) -> bool {
        self.0 & (1 << mark as u8) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The marks that are there.
    pub fn iter(self) -> impl Iterator<Item = Mark> {
        Self::EACH.into_iter().filter(move |&mark| self.contains(mark))
    }
}

impl Extend<Mark> for Marks {
    fn extend<I: IntoIterator<Item = Mark>>(&mut self, marks: I) {
        for mark in marks {
            self.insert(mark);
        }
    }
}

impl FromIterator<Mark> for Marks {
    fn from_iter<I: IntoIterator<Item = Mark>>(marks: I) -> Self {
        let mut set = Self::default();
        set.extend(marks);
        set
    }
}

/// One node of a [`Tree`](crate::Tree).
///
/// The tree decides a node's place (parent, depth, subtree); the node has its class, level and numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub(crate) scope: Box<str>,
    pub(crate) instance_type: Cow<'static, str>,
    pub(crate) level: Level,
    pub(crate) depth: u16,
    pub(crate) parent: u32,
    pub(crate) subtree_len: u32,
    pub(crate) values: Values,
    pub(crate) times: f64,
    /// GPUs that run it at the same time. Counts and latency are per GPU; energy is the sum over all of them.
    pub gpus: u32,
    /// The identifier in the interchange format; the position gives one if it is absent.
    pub id: Option<Box<str>>,
    /// The input size of the node and everything below it, where it differs from the node above: in a generation's steps.
    pub size: Option<Size>,
    /// The tensor operation behind a leaf, where it is known. Equal layers have one in common.
    pub operation: Option<Arc<Operation>>,
    /// Warnings about the predicted energy.
    pub marks: Marks,
    /// Fields of the interchange format that are not ours, kept as they were read.
    pub extra: Option<Box<Map<String, Value>>>,
}

impl Node {
    /// A node without numbers, whose place in the tree is not known yet.
    pub(crate) fn new(scope: impl Into<Box<str>>, instance_type: impl Into<Cow<'static, str>>, level: Level) -> Self {
        Self {
            scope: scope.into(),
            instance_type: instance_type.into(),
            level,
            depth: 0,
            parent: 0,
            subtree_len: 1,
            values: Values::default(),
            times: 1.0,
            gpus: 1,
            id: None,
            size: None,
            operation: None,
            marks: Marks::default(),
            extra: None,
        }
    }

    /// The path, e.g. `root.encoder.0.attention.self.query`. Two MatMuls of one module share theirs.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The last part of the scope.
    pub fn name(&self) -> &str {
        self.scope.rsplit('.').next().unwrap_or(&self.scope)
    }

    /// The class name, e.g. `BertSelfAttention`, `Linear`.
    pub fn instance_type(&self) -> &str {
        &self.instance_type
    }

    /// Whether the instance type is this one; case does not count (`MatMul`, `matmul`).
    pub fn is_instance_of(&self, instance_type: &str) -> bool {
        self.instance_type.eq_ignore_ascii_case(instance_type)
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Steps from the root, whose depth is 0.
    pub fn depth(&self) -> usize {
        usize::from(self.depth)
    }

    /// How often the node runs in one run of its parent: 1, or for a node that stands for several another number, which may be a
    /// fraction. A parent's energy, latency and counts are its own part plus the sum over its children of times x theirs.
    pub fn times(&self) -> f64 {
        self.times
    }

    /// Sets how often the node runs in one run of its parent.
    pub fn set_times(&mut self, times: f64) {
        self.times = times;
    }

    /// A quantity, if it is known.
    pub fn get(&self, quantity: Quantity) -> Option<f64> {
        self.values.get(quantity)
    }

    /// Sets a quantity. NaN makes it absent.
    pub fn set(&mut self, quantity: Quantity, value: f64) {
        self.values.set(quantity, value);
    }

    fn measurement(&self) -> Option<&Value> {
        self.extra.as_ref()?.get(Self::MEASUREMENT_FIELD)
    }

    /// Whether its energy is a power model's estimate rather than a meter's reading, as its `measurement` field says.
    pub fn is_energy_estimated(&self) -> bool {
        self.measurement().is_some_and(|measurement| measurement["energy_provenance"] == "estimated")
    }

    /// Half the 95% interval of its latency (s) or energy (J), as its `measurement` field says.
    pub fn half_width(&self, quantity: Quantity) -> Option<f64> {
        let field = match quantity {
            Quantity::Latency => "latency_half_width",
            Quantity::GroundTruthEnergy => "energy_half_width",
            _ => return None,
        };
        self.measurement()?[field].as_f64()
    }

    /// In how many rounds it was measured, as its `measurement` field says.
    pub fn measured_rounds(&self) -> Option<u64> {
        self.measurement()?["rounds"].as_u64()
    }

    /// Why it is extrapolated: the features outside the training range, each with the factor by which it lies beyond, farthest first.
    pub fn extrapolated(&self) -> Vec<(&str, f64)> {
        let factors =
            self.extra.as_ref().and_then(|extra| extra.get(Self::EXTRAPOLATED_FIELD)).and_then(Value::as_object);
        let factors = factors.into_iter().flatten();
        let mut factors: Vec<_> =
            factors.filter_map(|(feature, factor)| Some((feature.as_str(), factor.as_f64()?))).collect();
        factors.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        factors
    }

    /// The field of a measured node that says how it was measured.
    pub const MEASUREMENT_FIELD: &str = "measurement";

    /// The field of an extrapolated node that names the features outside the training range, each with the factor by which it lies
    /// beyond the nearest training value.
    pub const EXTRAPOLATED_FIELD: &str = "extrapolated";

    /// Makes a quantity absent.
    pub fn clear(&mut self, quantity: Quantity) {
        self.values.set(quantity, f64::NAN);
    }
}
