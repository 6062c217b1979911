//! Operations of one tensor, number by number or along its last dimension, and GELU in its forms.

use irene_tree::Format;

use super::Cx;
use crate::{Result, Tensor, tensor::Unary};

/// Makes operations of one tensor, and perhaps one more value.
macro_rules! unary_operations {
    ($($(#[$doc:meta])* $name:ident($($value:ident: $type:ty)?) = $operation:expr;)+) => {
        impl Cx<'_> {
            $($(#[$doc])*
            #[inline]
            pub fn $name(&mut self, x: &Tensor $(, $value: $type)?) -> Result<Tensor> {
                self.unary(x, $operation)
            })+
        }
    };
}

unary_operations! {
    /// Softmax over the last dimension.
    softmax() = Unary::Softmax;
    /// GELU with the error function: x · Φ(x).
    gelu() = Unary::Gelu;
    /// GELU by the tanh formula in one operation, as PyTorch's own kernel has it.
    gelu_tanh() = Unary::GeluTanh;
    /// Hyperbolic tangent.
    tanh() = Unary::Tanh;
    /// max(x, 0).
    relu() = Unary::Relu;
    /// x · sigmoid(x), which older configs call swish.
    silu() = Unary::Silu;
    /// 1 / (1 + e⁻ˣ).
    sigmoid() = Unary::Sigmoid;
    /// eˣ - 1.
    expm1() = Unary::Expm1;
    /// ln(1 + eˣ).
    softplus() = Unary::Softplus;
    /// -x.
    neg() = Unary::Neg;
    /// cos x.
    cos() = Unary::Cos;
    /// sin x.
    sin() = Unary::Sin;
    /// The sum over the last dimension, which becomes 1.
    sum() = Unary::Sum;
    /// 1 where x differs from the number, 0 elsewhere.
    not_equal(number: i64) = Unary::NotEqual(number);
    /// Running sum along the last dimension.
    cumsum() = Unary::CumSum;
    /// The same numbers in another element type.
    cast(dtype: Format) = Unary::Cast(dtype);
}

impl Cx<'_> {
    /// GELU by the tanh formula, operation by operation as GPT-2 runs it: 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))).
    pub fn gelu_new(&mut self, x: &Tensor) -> Result<Tensor> {
        let cube = self.unary(x, Unary::Pow(3.0))?;
        let scaled = self.mul_scalar(&cube, 0.044715)?;
        let sum = self.add(x, &scaled)?;
        let inner = self.mul_scalar(&sum, (2.0 / std::f64::consts::PI).sqrt())?;
        let tanh = self.tanh(&inner)?;
        let gate = self.add_scalar(&tanh, 1.0)?;
        let half = self.mul_scalar(x, 0.5)?;
        self.mul(&half, &gate)
    }

    /// GELU by the tanh formula in another order: 0.5 x (1 + tanh(√(2/π) x (1 + 0.044715 x x))).
    pub fn gelu_fast(&mut self, x: &Tensor) -> Result<Tensor> {
        let half = self.mul_scalar(x, 0.5)?;
        let scaled = self.mul_scalar(x, 0.797_884_560_8)?;
        let small = self.mul_scalar(x, 0.044715)?;
        let square = self.mul(&small, x)?;
        let sum = self.add_scalar(&square, 1.0)?;
        let inner = self.mul(&scaled, &sum)?;
        let tanh = self.tanh(&inner)?;
        let gate = self.add_scalar(&tanh, 1.0)?;
        self.mul(&half, &gate)
    }

    /// GELU with the error function, operation by operation: 0.5 x (1 + erf(x / √2)).
    pub fn gelu_python(&mut self, x: &Tensor) -> Result<Tensor> {
        let half = self.mul_scalar(x, 0.5)?;
        let inner = self.div_scalar(x, std::f64::consts::SQRT_2)?;
        let erf = self.unary(&inner, Unary::Erf)?;
        let gate = self.add_scalar(&erf, 1.0)?;
        self.mul(&half, &gate)
    }

    /// x · sigmoid(1.702 x), which is close to GELU.
    pub fn quick_gelu(&mut self, x: &Tensor) -> Result<Tensor> {
        let scaled = self.mul_scalar(x, 1.702)?;
        let gate = self.sigmoid(&scaled)?;
        self.mul(x, &gate)
    }
}
