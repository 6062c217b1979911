use irene_tree::Shape;

use crate::{Error, Result};

/// Dimensions and strides, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// The dimensions.
    pub shape: Shape,
    /// Elements between neighbours along each dimension.
    pub strides: Shape,
}

impl Layout {
    /// Rows after one another without gaps.
    pub fn contiguous(shape: Shape) -> Self {
        let mut strides = shape;
        let mut step = 1usize;
        for (stride, dim) in strides.dims_mut().iter_mut().zip(shape.dims()).rev() {
            *stride = step;
            step = step.saturating_mul(*dim);
        }
        Self { shape, strides }
    }

    /// Whether the elements lie after one another without gaps; a dimension of 1 may have any stride.
    pub(crate) fn is_contiguous(&self) -> bool {
        let expected = Self::contiguous(self.shape).strides;
        let dims = self.shape.dims().iter().zip(self.strides.dims()).zip(expected.dims());
        dims.into_iter().all(|((&dim, stride), expected)| dim <= 1 || stride == expected)
    }

    pub(super) fn transposed(mut self, first: usize, second: usize) -> Result<Self> {
        let rank = self.shape.rank();
        if first >= rank || second >= rank {
            return Err(mismatch("transpose", format!("dimensions {first} and {second} of {}", self.shape)));
        }
        self.shape.dims_mut().swap(first, second);
        self.strides.dims_mut().swap(first, second);
        Ok(self)
    }

    pub(super) fn narrowed(mut self, dim: usize, start: usize, len: usize) -> Result<Self> {
        match self.shape.dims_mut().get_mut(dim) {
            Some(size) if start.checked_add(len).is_some_and(|end| end <= *size) => {
                *size = len;
                Ok(self)
            }
            _ => Err(mismatch("narrow", format!("{start}..+{len} of dimension {dim} of {}", self.shape))),
        }
    }

    pub(super) fn squeezed(self, dim: usize) -> Result<Self> {
        let without = |mut shape: Shape| {
            shape.dims_mut()[dim..].rotate_left(1);
            Shape::new(&shape.dims()[..shape.rank() - 1]).unwrap_or_default()
        };
        match self.shape.dims().get(dim) {
            Some(1) => Ok(Self { shape: without(self.shape), strides: without(self.strides) }),
            _ => Err(mismatch("squeeze", format!("dimension {dim} of {}", self.shape))),
        }
    }

    pub(super) fn unsqueezed(self) -> Result<Self> {
        let with_one = |shape: Shape| Shape::new(&[&[1], shape.dims()].concat());
        match (with_one(self.shape), with_one(self.strides)) {
            (Some(shape), Some(strides)) => Ok(Self { shape, strides }),
            _ => Err(mismatch("unsqueeze", format!("{} has no room for another dimension", self.shape))),
        }
    }

    pub(super) fn expanded(mut self, shape: Shape) -> Result<Self> {
        let from = self.shape;
        let pairs = self.shape.dims_mut().iter_mut().zip(self.strides.dims_mut()).zip(shape.dims());
        let fits = from.rank() == shape.rank()
            && pairs.into_iter().all(|((dim, stride), &wanted)| {
                if *dim == 1 && wanted != 1 {
                    (*dim, *stride) = (wanted, 0);
                }
                *dim == wanted
            });
        if fits { Ok(self) } else { Err(mismatch("expand", format!("{from} to {shape}"))) }
    }

    pub(super) fn reshaped(self, shape: Shape) -> Result<Self> {
        if !self.is_contiguous() {
            return Err(mismatch("reshape", format!("{} is not contiguous", self.shape)));
        }
        if self.shape.elements() != shape.elements() {
            return Err(mismatch("reshape", format!("{} to {shape}", self.shape)));
        }
        Ok(Self::contiguous(shape))
    }
}

pub(super) fn mismatch(operation: &'static str, reason: String) -> Error {
    Error::Shape { operation, reason }
}

/// The shape of an operation on two operands whose dimensions of 1 stretch.
pub(super) fn broadcast(operation: &'static str, left: Shape, right: Shape) -> Result<Shape> {
    let (long, short) = if left.rank() >= right.rank() { (left, right) } else { (right, left) };
    let mut shape = long;
    let offset = long.rank() - short.rank();
    for (out, &dim) in shape.dims_mut()[offset..].iter_mut().zip(short.dims()) {
        match (*out, dim) {
            (a, b) if a == b => {}
            (1, b) => *out = b,
            (_, 1) => {}
            _ => return Err(mismatch(operation, format!("{left} and {right}"))),
        }
    }
    Ok(shape)
}

/// The shape of a batched product (.., m, n)(.., n, p).
pub(super) fn product(left: Shape, right: Shape) -> Result<Shape> {
    match (left.dims(), right.dims()) {
        ([outer_left @ .., _, n], [outer_right @ .., also_n, p]) if n == also_n && outer_left == outer_right => {
            let mut shape = left;
            if let Some(last) = shape.dims_mut().last_mut() {
                *last = *p;
            }
            Ok(shape)
        }
        _ => Err(mismatch("matmul", format!("{left} by {right}"))),
    }
}

/// The shape of two tensors one behind the other along a dimension.
pub(super) fn beside(first: Shape, second: Shape, dim: usize) -> Result<Shape> {
    let mut shape = first;
    let mut added = second;
    match (shape.dims_mut().get_mut(dim), added.dims_mut().get_mut(dim)) {
        (Some(sum), Some(more)) => {
            *sum = sum.saturating_add(std::mem::take(more));
            *more = *sum;
        }
        _ => return Err(mismatch("concat", format!("{first} and {second} along {dim}"))),
    }
    if shape == added { Ok(shape) } else { Err(mismatch("concat", format!("{first} and {second} along {dim}"))) }
}

/// The shape of activations whose last dimension a weight maps from `from` to `to`.
pub(super) fn mapped(operation: &'static str, x: Shape, from: usize, to: usize) -> Result<Shape> {
    let mut shape = x;
    match shape.dims_mut().last_mut() {
        Some(last) if *last == from => {
            *last = to;
            Ok(shape)
        }
        _ => Err(mismatch(operation, format!("{x} by a weight of {from} inputs"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_layout_is_not_contiguous_unless_a_dimension_is_one() {
        let heads = Layout::contiguous([8, 128, 12, 64].into());
        assert!(!heads.transposed(1, 2).unwrap().is_contiguous());
        let one_token = Layout::contiguous([8, 1, 12, 64].into());
        assert!(one_token.transposed(1, 2).unwrap().is_contiguous());
    }

    #[test]
    fn shapes_broadcast_from_the_right() {
        assert_eq!(broadcast("add", [8, 12, 5, 5].into(), [8, 1, 1, 5].into()).unwrap(), [8, 12, 5, 5].into());
        assert_eq!(broadcast("add", [5].into(), [8, 5].into()).unwrap(), [8, 5].into());
        assert!(broadcast("add", [8, 4].into(), [8, 5].into()).is_err());
    }
}
