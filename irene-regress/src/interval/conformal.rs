//! Quantiles that hold for what is not in the sample.

use irene_numerics::conformal_quantile;

use super::CONFIDENCE;

/// The multiple that a share of [`CONFIDENCE`] of nodes like these does not exceed; None without any.
///
/// Nodes of one split are alike, and a new model is not among them. So the share is raised until its quantile over all splits but one
/// covers [`CONFIDENCE`] of the nodes of the splits left out.
pub(super) fn multiple(mut splits: Vec<Vec<f64>>) -> Option<f64> {
    const STEPS: u32 = 100;
    splits.retain(|scores| !scores.is_empty());
    splits.iter_mut().for_each(|scores| scores.sort_by(f64::total_cmp));
    let each = |(place, scores): (usize, &Vec<f64>)| scores.iter().map(|score| (*score, place)).collect::<Vec<_>>();
    let mut sorted: Vec<(f64, usize)> = splits.iter().enumerate().flat_map(each).collect();
    sorted.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let pooled = |without: Option<usize>| -> Vec<f64> {
        sorted.iter().filter(|(_, split)| Some(*split) != without).map(|(score, _)| *score).collect()
    };
    let others: Vec<Vec<f64>> = (0..splits.len()).map(|split| pooled(Some(split))).collect();
    let holds = |share: f64| {
        let covered = |(split, others): (&Vec<f64>, &Vec<f64>)| {
            let end = conformal_quantile(others, share)?;
            Some(split.partition_point(|score| *score <= end))
        };
        let covered: Option<usize> = splits.iter().zip(&others).map(covered).sum();
        covered.is_none_or(|covered| covered as f64 >= CONFIDENCE * sorted.len() as f64)
    };
    let shares = (0..=STEPS).map(|step| CONFIDENCE + (1.0 - CONFIDENCE) * f64::from(step) / f64::from(STEPS));
    let share = shares.into_iter().find(|&share| holds(share)).unwrap_or(1.0);
    conformal_quantile(&pooled(None), share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_that_are_alike_give_the_plain_quantile() {
        let split: Vec<f64> = (1..=1000).map(f64::from).collect();
        let found = multiple(vec![split.clone(), split.clone(), split]).unwrap();
        assert!((900.0..=903.0).contains(&found), "{found}");
    }

    #[test]
    fn splits_that_differ_widen_it() {
        let split = |scale: f64| (1..=100).map(|i| scale * f64::from(i)).collect::<Vec<f64>>();
        let (alike, differing) = (multiple(vec![split(1.0); 5]), multiple([0.5, 0.7, 1.0, 1.4, 2.0].map(split).into()));
        let pooled: Vec<f64> = [0.5, 0.7, 1.0, 1.4, 2.0].into_iter().flat_map(split).collect();
        let mut pooled = pooled;
        pooled.sort_by(f64::total_cmp);
        assert!(
            alike.unwrap() < 92.0 && differing > conformal_quantile(&pooled, CONFIDENCE),
            "{alike:?} {differing:?}"
        );
        assert_eq!(multiple(Vec::new()), None);
    }
}
