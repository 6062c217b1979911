//! Choosing by places.

use candle_core::{D, Result, Tensor};

/// The numbers of each row at its places, in every matrix of (batch, heads, rows, columns): places (rows, count).
pub(crate) fn columns(x: &Tensor, places: &Tensor) -> Result<Tensor> {
    let (batch, heads, rows, columns) = x.dims4()?;
    let count = places.dim(D::Minus1)?;
    // The matrices as rows of their own, so that one list of places is for all.
    let starts = Tensor::arange_step(0, (rows * columns) as i64, columns as i64, x.device())?.reshape((rows, 1))?;
    let places = places.broadcast_add(&starts)?.flatten_all()?;
    let matrices = x.contiguous()?.reshape((batch * heads, rows * columns))?;
    matrices.index_select(&places, 1)?.reshape((batch, heads, rows, count))
}

/// The row of each sequence (batch, tokens, width) at its place: places (batch).
pub(crate) fn tokens(x: &Tensor, places: &Tensor) -> Result<Tensor> {
    let (batch, tokens, width) = x.dims3()?;
    let starts = Tensor::arange_step(0, (batch * tokens) as i64, tokens as i64, x.device())?;
    x.contiguous()?.reshape((batch * tokens, width))?.index_select(&places.add(&starts)?, 0)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn each_row_is_picked_at_its_own_places() {
        let x = Tensor::arange(0f32, 12.0, &Device::Cpu).unwrap().reshape((1, 2, 2, 3)).unwrap();
        let places = Tensor::new(&[[2i64, 0], [1, 1]], &Device::Cpu).unwrap();
        let picked = columns(&x, &places).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(picked, [2.0, 0.0, 4.0, 4.0, 8.0, 6.0, 10.0, 10.0]);
        let rows = x.reshape((2, 2, 3)).unwrap();
        let picked = tokens(&rows, &Tensor::new(&[1i64, 0], &Device::Cpu).unwrap()).unwrap();
        assert_eq!(picked.to_vec2::<f32>().unwrap(), [[3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]);
    }
}
