//! The kernels as candle's custom operations, for contiguous 32-bit floats on the CPU. Other tensors use candle's own operations.

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, DType, Device, Layout, Result, Shape, Tensor, bail, utils::get_num_threads,
};

use super::{
    kernels::{self, Each, Pair},
    pieces::for_pieces_of,
    product::{Matrix, Tile},
};
use crate::tensor::{Binary, Scalar, Unary};

/// Whether the kernels can take it.
fn takes(tensor: &Tensor) -> bool {
    matches!(tensor.device(), Device::Cpu) && tensor.dtype() == DType::F32 && tensor.is_contiguous()
}

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((from, to))) => Ok(&values[from..to]),
        _ => bail!("expected contiguous 32-bit floats"),
    }
}

/// The kernel for this operation, if there is one.
pub(super) fn unary(x: &Tensor, op: Unary) -> Option<Result<Tensor>> {
    let map = match op {
        Unary::Pow(3.0) => Map::Each(Each::Cube),
        Unary::Softmax => Map::Softmax(*x.dims().last()?),
        Unary::Copy => return has_rows(x).then(|| x.apply_op1_no_bwd(&Map::Copy)),
        _ => Map::Each(activation(op)?),
    };
    applied(x, map)
}

/// The loop of an activation.
pub(super) fn activation(op: Unary) -> Option<Each> {
    match op {
        Unary::Gelu => Some(Each::Gelu),
        Unary::GeluTanh => Some(Each::GeluNew),
        Unary::Relu => Some(Each::Relu),
        Unary::Silu => Some(Each::Silu),
        Unary::Tanh => Some(Each::Tanh),
        _ => None,
    }
}

/// The same for an operation with a number.
pub(super) fn scalar(x: &Tensor, op: Scalar) -> Option<Result<Tensor>> {
    let (factor, term) = op.as_affine();
    applied(x, Map::Each(Each::Scale { factor: factor as f32, term: term as f32 }))
}

fn applied(x: &Tensor, map: Map) -> Option<Result<Tensor>> {
    (takes(x) && x.elem_count() > 0).then(|| x.apply_op1_no_bwd(&map))
}

enum Map {
    Each(Each),
    /// Softmax of rows of this width.
    Softmax(usize),
    /// A contiguous copy.
    Copy,
}

impl CustomOp1 for Map {
    fn name(&self) -> &'static str {
        "map"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let out = match *self {
            Self::Each(f) => kernels::each(f, slice(storage, layout)?),
            Self::Softmax(width) => kernels::softmax(slice(storage, layout)?, width),
            Self::Copy => {
                let (x, width, place) = rows(storage, layout)?;
                kernels::copy(layout.shape().elem_count(), width, x, place)
            }
        };
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

/// The kernel for two tensors, the second stretched if needed, if there is one.
pub(super) fn binary(x: &Tensor, op: Binary, y: &Tensor) -> Option<Result<Tensor>> {
    let f = match op {
        Binary::Add => Pair::Add,
        Binary::Mul => Pair::Mul,
        Binary::Sub | Binary::Div => return None,
    };
    let y = y.broadcast_as(x.shape()).ok()?;
    (takes(x) && has_rows(&y)).then(|| x.apply_op2_no_bwd(&y, &Two::Rows(f)))
}

enum Two {
    /// Takes a contiguous tensor, and rows that may lie anywhere.
    Rows(Pair),
    Products,
}

impl CustomOp2 for Two {
    fn name(&self) -> &'static str {
        "two"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        match *self {
            Self::Rows(f) => {
                let (y, width, place) = rows(y, y_layout)?;
                let out = kernels::pairs(f, slice(x, x_layout)?, width, y, place);
                Ok((CpuStorage::F32(out), x_layout.shape().clone()))
            }
            Self::Products => products((x, x_layout), (y, y_layout)),
        }
    }
}

/// Whether the elements of each row are neighbours.
fn has_rows(x: &Tensor) -> bool {
    matches!(x.device(), Device::Cpu) && x.dtype() == DType::F32 && x.stride().last() == Some(&1) && x.elem_count() > 0
}

/// Such a tensor's elements, the width of a row, and where each row starts.
fn rows<'a>(storage: &'a CpuStorage, layout: &'a Layout) -> Result<(&'a [f32], usize, impl Fn(usize) -> usize + 'a)> {
    let (CpuStorage::F32(values), Some((&width, outer)), [steps @ .., 1]) =
        (storage, layout.dims().split_last(), layout.stride())
    else {
        bail!("expected rows of 32-bit floats");
    };
    Ok((values, width, places(outer, steps, layout.start_offset())))
}

/// The place of an entry by its number, counted along dimensions with these steps.
fn places<'a>(dims: &'a [usize], steps: &'a [usize], start: usize) -> impl Fn(usize) -> usize + 'a {
    move |number| {
        let (mut rest, mut place) = (number, start);
        for (dim, step) in dims.iter().zip(steps).rev() {
            place += rest % dim * step;
            rest /= dim;
        }
        place
    }
}

/// The kernel for a batch of products of equal outer dimensions, if there is one: each on one thread, so that none waits.
pub(super) fn matmul(x: &Tensor, y: &Tensor) -> Option<Result<Tensor>> {
    let outer = x.rank().checked_sub(2)?;
    let fits = y.rank() == x.rank() && x.dims()[..outer] == y.dims()[..outer] && x.dims()[outer + 1] == y.dims()[outer];
    let matrices = has_rows(x) && (has_rows(y) || has_rows(&y.t().ok()?));
    let batches: usize = x.dims()[..outer].iter().product();
    (fits && matrices && batches >= get_num_threads()).then(|| x.apply_op2_no_bwd(y, &Two::Products))
}

fn products(x: (&CpuStorage, &Layout), y: (&CpuStorage, &Layout)) -> Result<(CpuStorage, Shape)> {
    let (x_dims, y_dims) = (x.1.dims(), y.1.dims());
    let outer = x_dims.len() - 2;
    let (rows, columns) = (x_dims[outer], y_dims[outer + 1]);
    let dims = [&x_dims[..outer], &[rows, columns]].concat();
    let (x, y) = (matrices(x.0, x.1)?, matrices(y.0, y.1)?);
    let mut out = vec![0.0; dims.iter().product()];
    let work = out.len() * x_dims[outer + 1];
    for_pieces_of(work, &mut out, rows * columns, |entry, out| {
        Tile::new(out, (rows, columns), columns).fill_with_product(x(entry), y(entry));
    });
    Ok((CpuStorage::F32(out), Shape::from(dims)))
}

/// The matrix of each batch entry, by the entry's number.
fn matrices<'a>(storage: &'a CpuStorage, layout: &'a Layout) -> Result<impl Fn(usize) -> Matrix<'a> + 'a> {
    let outer = layout.dims().len() - 2;
    let (CpuStorage::F32(values), &[rows, columns], &[row_step, column_step]) =
        (storage, &layout.dims()[outer..], &layout.stride()[outer..])
    else {
        bail!("expected matrices of 32-bit floats");
    };
    let place = places(&layout.dims()[..outer], &layout.stride()[..outer], layout.start_offset());
    Ok(move |entry| {
        let values = &values[place(entry)..];
        if column_step == 1 {
            Matrix::new(values, (rows, columns), row_step)
        } else {
            Matrix::new(values, (columns, rows), column_step).transposed()
        }
    })
}
