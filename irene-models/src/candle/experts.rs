//! Mixtures of experts: the choice of experts, and rows sorted by them. The choices are few numbers and are made on the host.

use candle_core::{D, DType, Result, Tensor};

use crate::trace::Order;

/// The greatest numbers of each row, greatest first, and their places; of equal numbers the first place wins.
pub(crate) fn top_k(x: &Tensor, count: usize) -> Result<(Tensor, Tensor)> {
    let rows = x.to_dtype(DType::F32)?.to_vec2::<f32>()?;
    let mut places: Vec<i64> = Vec::with_capacity(rows.len() * count);
    for row in &rows {
        let mut order: Vec<i64> = (0..row.len() as i64).collect();
        order.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
        places.extend(&order[..count]);
    }
    let places = Tensor::from_vec(places, (rows.len(), count), x.device())?;
    Ok((x.contiguous()?.gather(&places, D::Minus1)?, places))
}

/// Rows of tokens (tokens, hidden) for their experts' places (tokens, count), sorted by expert and then by token.
pub(crate) fn routed(x: &Tensor, places: &Tensor, experts: usize) -> Result<(Tensor, Order)> {
    let per_token = places.dim(1)?;
    let places = places.flatten_all()?.to_vec1::<i64>()?;
    let mut choices: Vec<u32> = (0..places.len() as u32).collect();
    choices.sort_by_key(|&choice| places[choice as usize]);
    let mut counts = vec![0; experts];
    places.iter().for_each(|&expert| counts[expert as usize] += 1);
    let tokens: Vec<u32> = choices.iter().map(|choice| choice / per_token.max(1) as u32).collect();
    let tokens = Tensor::from_vec(tokens, choices.len(), x.device())?;
    Ok((x.contiguous()?.index_select(&tokens, 0)?, Order { choices, counts }))
}

/// The sum of each token's rows, each weighed by its choice's weight (tokens, count).
pub(crate) fn summed_by_token(rows: &Tensor, weights: &Tensor, choices: &[u32]) -> Result<Tensor> {
    let (tokens, count) = weights.dims2()?;
    let mut places = vec![0u32; choices.len()];
    for (place, &choice) in choices.iter().enumerate() {
        places[choice as usize] = place as u32;
    }
    let places = Tensor::from_vec(places, choices.len(), rows.device())?;
    let by_token = rows.index_select(&places, 0)?.reshape((tokens, count, rows.dim(1)?))?;
    by_token.broadcast_mul(&weights.to_dtype(rows.dtype())?.unsqueeze(2)?)?.sum(1)
}

/// 1 where a number of a row is no further below the row's greatest (rows, 1) than this share of the larger of that and its own size.
pub(crate) fn near(x: &Tensor, greatest: &Tensor, share: f64) -> Result<Tensor> {
    let (x, greatest) = (x.detach(), greatest.detach());
    let allowed = x.abs()?.broadcast_maximum(&greatest)?.affine(share, 0.0)?;
    greatest.broadcast_sub(&x)?.le(&allowed)
}

/// 1 at each row's places of `columns`, 0 elsewhere.
pub(crate) fn marks(places: &Tensor, columns: usize) -> Result<Tensor> {
    let rows = places.to_vec2::<i64>()?;
    let mut marks = vec![0u8; rows.len() * columns];
    for (row, places) in rows.iter().enumerate() {
        places.iter().for_each(|&place| marks[row * columns + place as usize] = 1);
    }
    Tensor::from_vec(marks, (rows.len(), columns), places.device())
}
