use super::Pair;

/// How well predictions order the configurations of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Rank {
    /// The model.
    pub model: String,
    /// Its configurations.
    pub count: usize,
    /// Kendall's rank correlation (tau-b): 1 for the same order, -1 for the reverse.
    pub tau: f64,
}

/// The rank correlation of each model that has one, in order of the models' first rows.
pub(super) fn by_model(pairs: &[Pair]) -> Vec<Rank> {
    let mut models: Vec<(&str, Vec<(f64, f64)>)> = Vec::new();
    for pair in pairs {
        let Some(model) = pair.model.as_deref() else { continue };
        match models.iter_mut().find(|(known, _)| *known == model) {
            Some((_, rows)) => rows.push((pair.truth, pair.predicted)),
            None => models.push((model, vec![(pair.truth, pair.predicted)])),
        }
    }
    let rank = |(model, rows): (&str, Vec<(f64, f64)>)| {
        Some(Rank { model: model.to_owned(), count: rows.len(), tau: kendall(&rows)? })
    };
    models.into_iter().filter_map(rank).collect()
}

/// Kendall's rank correlation of pairs: tau-b = (concordant - discordant) / √((n - ties in x)(n - ties in y)) over the n pairs of rows; None if
/// one of them is all ties.
pub fn kendall(rows: &[(f64, f64)]) -> Option<f64> {
    let (mut balance, mut ordered_x, mut ordered_y) = (0.0, 0.0_f64, 0.0_f64);
    for (place, (x, y)) in rows.iter().enumerate() {
        for (other_x, other_y) in &rows[..place] {
            let (dx, dy) = (sign(x - other_x), sign(y - other_y));
            balance += dx * dy;
            ordered_x += dx.abs();
            ordered_y += dy.abs();
        }
    }
    let scale = (ordered_x * ordered_y).sqrt();
    (scale > 0.0).then(|| balance / scale)
}

/// -1, 0 or 1; `signum` has no 0.
fn sign(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value.signum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_1_its_reverse_minus_1_and_ties_count_for_neither() {
        assert_eq!(kendall(&[(1.0, 10.0), (2.0, 20.0), (3.0, 30.0)]), Some(1.0));
        assert_eq!(kendall(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]), Some(-1.0));
        // Five pairs of rows are ordered in each, four of them alike and none contrary: 4 / √(5·5).
        let tied = kendall(&[(1.0, 1.0), (2.0, 1.0), (3.0, 2.0), (3.0, 3.0)]);
        assert!(tied.is_some_and(|tau| (tau - 0.8).abs() < 1e-12), "{tied:?}");
        assert_eq!((kendall(&[(1.0, 1.0)]), kendall(&[(1.0, 1.0), (1.0, 2.0)])), (None, None));
    }
}
