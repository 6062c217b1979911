//! One tensor in two forms: a shape to be followed, or candle's tensor to be run.

mod affine;
mod kinds;
mod layout;
mod picking;
mod raw;
mod routing;
mod value;

pub(crate) use affine::Weight;
use irene_tree::{Format, Operand, Role, Shape};
pub(crate) use kinds::{Binary, Scalar, Then, Transform, Unary};
pub use layout::Layout;
pub(crate) use value::Value;

#[cfg(feature = "candle")]
use crate::candle::{operations, quantised::Quantised};

/// A tensor: its shape alone, or real data on a candle device.
///
/// Operations on it go through [`Cx`](crate::Cx), so that none escapes the trace.
#[derive(Clone, Debug)]
pub struct Tensor {
    form: Form,
    role: Role,
    value: Value,
}

#[derive(Clone, Debug)]
enum Form {
    Shape(Layout, Format),
    #[cfg(feature = "candle")]
    Candle(candle_core::Tensor),
    /// A matrix in blocks that share scales, to be multiplied with or to take rows from. The layout is its own or the transposed one.
    #[cfg(feature = "candle")]
    Blocks(Quantised, Layout),
}

/// Computed tensors are activations.
impl From<Form> for Tensor {
    fn from(form: Form) -> Self {
        Self { form, role: Role::Activation, value: Value::new() }
    }
}

impl Tensor {
    /// A tensor that is only followed by its shape, contiguous in memory.
    pub fn of_shape(shape: impl Into<Shape>, format: Format) -> Self {
        Form::Shape(Layout::contiguous(shape.into()), format).into()
    }

    /// The same tensor in another role.
    pub fn with_role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// The tensor as an operand.
    pub fn operand(&self) -> Operand {
        Operand::new(self.shape(), self.format(), self.role)
    }

    /// The identity of its numbers; a view has that of the tensor that it shows.
    pub(crate) fn value(&self) -> Value {
        self.value
    }

    /// Dimensions and strides.
    pub fn layout(&self) -> Layout {
        match &self.form {
            Form::Shape(layout, _) => *layout,
            #[cfg(feature = "candle")]
            Form::Candle(tensor) => operations::layout(tensor),
            #[cfg(feature = "candle")]
            Form::Blocks(_, layout) => *layout,
        }
    }

    /// The dimensions.
    pub fn shape(&self) -> Shape {
        self.layout().shape
    }

    /// The same numbers in memory of their own; a shape has none.
    pub(crate) fn copied(&self) -> crate::Result<Self> {
        let form = match &self.form {
            Form::Shape(layout, format) => Form::Shape(Layout::contiguous(layout.shape), *format),
            #[cfg(feature = "candle")]
            Form::Candle(tensor) => Form::Candle(tensor.force_contiguous()?),
            #[cfg(feature = "candle")]
            Form::Blocks(matrix, layout) => Form::Blocks(matrix.clone(), *layout),
        };
        Ok(Self { form, role: self.role, value: Value::new() })
    }

    /// The same numbers in 32 bits, for parameters that a model keeps so in every precision.
    pub(crate) fn kept_in_f32(self) -> crate::Result<Self> {
        let form = match self.form {
            Form::Shape(layout, format) if format != Format::F64 => Form::Shape(layout, Format::F32),
            #[cfg(feature = "candle")]
            Form::Candle(tensor) if tensor.dtype() != candle_core::DType::F64 => {
                Form::Candle(tensor.to_dtype(candle_core::DType::F32)?)
            }
            form => form,
        };
        Ok(Self { form, role: self.role, value: Value::new() })
    }

    /// Waits until this tensor's device has finished its work; returns at once for a CPU and for a shape.
    ///
    /// # Errors
    /// The device's error.
    pub fn synchronize(&self) -> crate::Result<()> {
        match &self.form {
            Form::Shape(..) => Ok(()),
            #[cfg(feature = "candle")]
            Form::Candle(tensor) => Ok(tensor.device().synchronize()?),
            #[cfg(feature = "candle")]
            Form::Blocks(matrix, _) => Ok(matrix.device().synchronize()?),
        }
    }

    /// Whether it is a shape alone.
    pub(crate) fn is_shape(&self) -> bool {
        matches!(self.form, Form::Shape(..))
    }

    /// How its numbers are stored.
    pub fn format(&self) -> Format {
        match &self.form {
            Form::Shape(_, format) => *format,
            #[cfg(feature = "candle")]
            Form::Candle(tensor) => operations::format(tensor),
            #[cfg(feature = "candle")]
            Form::Blocks(matrix, _) => matrix.format(),
        }
    }

    /// The dimension at this place, counted from the outermost; 1 if there is none.
    pub fn dim(&self, place: usize) -> usize {
        self.shape().dims().get(place).copied().unwrap_or(1)
    }
}

#[cfg(feature = "candle")]
impl Tensor {
    /// A tensor of candle's, to be run. Element types that the models do not use are refused.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for more dimensions than a [`Shape`] holds or an element type that has no counterpart.
    pub fn from_candle(tensor: candle_core::Tensor) -> crate::Result<Self> {
        let refuse = |reason| Err(crate::Error::Shape { operation: "from_candle", reason });
        if Shape::new(tensor.dims()).is_none() {
            return refuse(format!("{} dimensions are too many", tensor.rank()));
        }
        if operations::known_format(tensor.dtype()).is_none() {
            return refuse(format!("element type {:?} has no counterpart", tensor.dtype()));
        }
        Ok(Form::Candle(tensor).into())
    }

    /// Candle's tensor, if this one has data.
    pub fn candle(&self) -> Option<&candle_core::Tensor> {
        match &self.form {
            Form::Candle(tensor) => Some(tensor),
            Form::Shape(..) | Form::Blocks(..) => None,
        }
    }

    /// A matrix in blocks.
    pub(crate) fn quantised(matrix: Quantised) -> Self {
        let layout = Layout::contiguous(matrix.dims().into());
        Form::Blocks(matrix, layout).into()
    }

    /// Whether it is a matrix in blocks, which most operations do not take.
    fn is_in_blocks(&self) -> bool {
        matches!(self.form, Form::Blocks(..))
    }
}
