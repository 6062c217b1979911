use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The number of dimensions a [`Shape`] can hold.
const MAX_RANK: usize = 6;

/// The dimensions of a tensor, outermost first, held inline.
///
/// ```
/// use irene_tree::Shape;
/// let scores = Shape::from([8, 12, 128, 128]);
/// assert_eq!(scores.elements(), 8 * 12 * 128 * 128);
/// assert_eq!(scores.to_string(), "8x12x128x128");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    dims: [usize; MAX_RANK],
    rank: u8,
}

impl Shape {
    /// The shape with these dimensions, or `None` if there are more than six.
    pub fn new(dims: &[usize]) -> Option<Self> {
        if dims.len() > MAX_RANK {
            return None;
        }
        let mut shape = Self { dims: [0; MAX_RANK], rank: dims.len() as u8 };
        shape.dims[..dims.len()].copy_from_slice(dims);
        Some(shape)
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank()]
    }

    /// The dimensions, to be changed in place.
    pub fn dims_mut(&mut self) -> &mut [usize] {
        let rank = self.rank();
        &mut self.dims[..rank]
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        usize::from(self.rank)
    }

    /// The number of elements; a scalar (rank 0) has one. Saturates rather than wraps.
    pub fn elements(&self) -> u64 {
        self.dims().iter().fold(1, |product, &dim| product.saturating_mul(dim as u64))
    }

    /// The innermost dimension; 1 for a scalar.
    pub fn last(&self) -> usize {
        self.dims().last().copied().unwrap_or(1)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        const { assert!(N <= MAX_RANK, "a shape has at most MAX_RANK dimensions") };
        let mut shape = Self { dims: [0; MAX_RANK], rank: N as u8 };
        shape.dims[..N].copy_from_slice(&dims);
        shape
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, dim) in self.dims().iter().enumerate() {
            let by = if i == 0 { "" } else { "x" };
            write!(f, "{by}{dim}")?;
        }
        if self.rank == 0 { f.write_str("scalar") } else { Ok(()) }
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.dims()).finish()
    }
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.dims())
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dims = Vec::<usize>::deserialize(deserializer)?;
        Shape::new(&dims)
            .ok_or_else(|| D::Error::custom(format!("a shape has at most {MAX_RANK} dimensions, found {}", dims.len())))
    }
}
