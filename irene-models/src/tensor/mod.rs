//! One tensor in two forms: a shape to be followed, or candle's tensor to be run.

mod affine;
#[cfg(feature = "candle")]
mod attention;
#[cfg(feature = "candle")]
mod convolution;
#[cfg(feature = "candle")]
mod kernels;
mod layout;
#[cfg(feature = "candle")]
mod on_candle;
#[cfg(feature = "candle")]
mod on_cpu;
#[cfg(feature = "candle")]
mod panels;
#[cfg(feature = "candle")]
mod product;
mod raw;
#[cfg(feature = "candle")]
mod transforms;

pub(crate) use affine::Weight;
use irene_tree::{DType, Shape};
pub use layout::Layout;
#[cfg(feature = "candle")]
pub(crate) use on_candle::{candle_dtype, known_dtype};
pub(crate) use raw::{Binary, Scalar, Then, Transform, Unary};

/// A tensor: its shape alone, or real data on a candle device.
///
/// Operations on it go through [`Cx`](crate::Cx), so that none escapes the trace.
#[derive(Clone, Debug)]
pub struct Tensor(Form);

#[derive(Clone, Debug)]
enum Form {
    Shape(Layout, DType),
    #[cfg(feature = "candle")]
    Candle(candle_core::Tensor),
}

impl Tensor {
    /// A tensor that is only followed by its shape, contiguous in memory.
    pub fn of_shape(shape: impl Into<Shape>, dtype: DType) -> Self {
        Self(Form::Shape(Layout::contiguous(shape.into()), dtype))
    }

    /// Dimensions and strides.
    pub fn layout(&self) -> Layout {
        match &self.0 {
            Form::Shape(layout, _) => *layout,
            #[cfg(feature = "candle")]
            Form::Candle(tensor) => on_candle::layout(tensor),
        }
    }

    /// The dimensions.
    pub fn shape(&self) -> Shape {
        self.layout().shape
    }

    /// Waits until this tensor's device has done what it was given; at once for a CPU and for a shape.
    ///
    /// # Errors
    /// What the device says.
    pub fn synchronize(&self) -> crate::Result<()> {
        match &self.0 {
            Form::Shape(..) => Ok(()),
            #[cfg(feature = "candle")]
            Form::Candle(tensor) => Ok(tensor.device().synchronize()?),
        }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match &self.0 {
            Form::Shape(_, dtype) => *dtype,
            #[cfg(feature = "candle")]
            Form::Candle(tensor) => on_candle::dtype(tensor),
        }
    }

    /// The dimension at this place, counted from the outermost; 1 if there is none.
    pub fn dim(&self, place: usize) -> usize {
        self.shape().dims().get(place).copied().unwrap_or(1)
    }
}
