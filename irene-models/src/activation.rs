use irene_tree::OpKind;

use crate::{
    Config, Cx, Result, Tensor,
    tensor::{Then, Unary},
};

/// An activation that a config names by a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// GELU by the error function, in one operation.
    Gelu,
    /// The same, operation by operation.
    GeluPython,
    /// GELU by the tanh formula, operation by operation.
    GeluNew,
    /// The same with its operations in another order.
    GeluFast,
    /// The same in one operation.
    GeluTanh,
    /// x · sigmoid(1.702 x), operation by operation.
    QuickGelu,
    /// max(x, 0).
    Relu,
    /// The square of max(x, 0).
    ReluSquared,
    /// x · sigmoid(x).
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
}

/// The words of transformers' common table, for every architecture whose code uses it.
const WORDS: [(&str, Activation); 13] = [
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::GeluPython),
    ("gelu_new", Activation::GeluNew),
    ("gelu_accurate", Activation::GeluNew),
    ("gelu_fast", Activation::GeluFast),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("quick_gelu", Activation::QuickGelu),
    ("relu", Activation::Relu),
    ("relu2", Activation::ReluSquared),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("tanh", Activation::Tanh),
    ("sigmoid", Activation::Sigmoid),
];

impl Activation {
    /// The activation that a config's field names; `gelu` is the erf form.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for an unknown word.
    pub fn from_config(config: &Config, field: &'static str, default: &str) -> Result<Self> {
        Self::from_words(&WORDS, config, field, default)
    }

    /// The same with a table of the architecture's own.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a word that is not in it.
    pub fn from_words(words: &[(&str, Self)], config: &Config, field: &'static str, default: &str) -> Result<Self> {
        let word = config.word_or(field, default)?;
        match words.iter().find(|(known, _)| *known == word) {
            Some((_, activation)) => Ok(*activation),
            None => {
                let known: Vec<_> = words.iter().map(|(known, _)| *known).collect();
                let reason = format!("`{word}` is not an activation that can be run; there are {}", known.join(", "));
                Err(config.error(field, reason))
            }
        }
    }

    /// Its operations when it is fused with a product.
    pub(crate) fn kinds(self) -> &'static [OpKind] {
        match self {
            Self::Gelu | Self::GeluPython | Self::GeluNew | Self::GeluFast | Self::GeluTanh => &[OpKind::Gelu],
            Self::QuickGelu => &[OpKind::Mul, OpKind::Silu],
            Self::Relu => &[OpKind::Relu],
            Self::ReluSquared => &[OpKind::Relu, OpKind::Pow],
            Self::Silu => &[OpKind::Silu],
            Self::Tanh => &[OpKind::Tanh],
            Self::Sigmoid => &[OpKind::Sigmoid],
        }
    }

    /// The form that runs in the pass that adds a bias, if there is one.
    pub(crate) fn after_bias(self) -> Option<Then> {
        match self {
            Self::Gelu | Self::GeluPython => Some(Then::Gelu),
            Self::GeluNew | Self::GeluFast | Self::GeluTanh => Some(Then::GeluNew),
            Self::Relu => Some(Then::Relu),
            Self::ReluSquared | Self::QuickGelu | Self::Silu | Self::Tanh | Self::Sigmoid => None,
        }
    }

    /// The single operation that computes it, if one does.
    pub(crate) fn in_one_pass(self) -> Option<Unary> {
        match self {
            Self::Gelu | Self::GeluPython => Some(Unary::Gelu),
            Self::GeluNew | Self::GeluFast | Self::GeluTanh => Some(Unary::GeluTanh),
            Self::Relu => Some(Unary::Relu),
            Self::Silu => Some(Unary::Silu),
            Self::Tanh => Some(Unary::Tanh),
            Self::Sigmoid => Some(Unary::Sigmoid),
            Self::QuickGelu | Self::ReluSquared => None,
        }
    }

    /// Applies it.
    ///
    /// # Errors
    /// As its operations.
    pub fn apply(self, cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Gelu => cx.gelu(x),
            Self::GeluPython => cx.gelu_python(x),
            Self::GeluNew => cx.gelu_new(x),
            Self::GeluFast => cx.gelu_fast(x),
            Self::GeluTanh => cx.gelu_tanh(x),
            Self::QuickGelu => cx.quick_gelu(x),
            Self::Relu => cx.relu(x),
            Self::ReluSquared => cx.relu_squared(x),
            Self::Silu => cx.silu(x),
            Self::Tanh => cx.tanh(x),
            Self::Sigmoid => cx.sigmoid(x),
        }
    }
}
