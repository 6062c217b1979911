use std::cmp::Ordering;

use irene_numerics::dominates;

/// No worse in every cost.
pub(super) fn covers(one: &[f64], other: &[f64]) -> bool {
    one.iter().zip(other).all(|(a, b)| a <= b)
}

/// By the first cost that differs.
pub(super) fn lexicographic(one: &[f64], other: &[f64]) -> Ordering {
    let differing = one.iter().zip(other).map(|(a, b)| a.total_cmp(b)).find(|ordering| ordering.is_ne());
    differing.unwrap_or(Ordering::Equal)
}

fn in_order(points: &[&[f64]]) -> Vec<usize> {
    let mut order: Vec<_> = (0..points.len()).collect();
    order.sort_by(|&i, &j| lexicographic(points[i], points[j]));
    order
}

/// Indices of the points by front: first the points that no other dominates, then those that none of the rest dominates, and so on.
///
/// A point enters the first front that has nothing to dominate it, in lexicographic order, in which no later point dominates an earlier one
/// (efficient non-dominated sort with sequential search: Zhang, Tian, Cheng and Jin, IEEE Transactions on Evolutionary Computation 19(2), 2015).
pub(super) fn sort_by_dominance(points: &[&[f64]]) -> Vec<Vec<usize>> {
    let mut fronts: Vec<Vec<usize>> = Vec::new();
    for i in in_order(points) {
        // From the back, as a near neighbour in the order is the likeliest to dominate.
        let free = |front: &Vec<usize>| !front.iter().rev().any(|&j| dominates(points[j], points[i]));
        match fronts.iter().position(free) {
            Some(rank) => fronts[rank].push(i),
            None => fronts.push(vec![i]),
        }
    }
    fronts
}

/// How far the points of one front are from their neighbours: the sum over costs of the gap between the two neighbours as a share of the
/// front's range; infinite at the ends (Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II",
/// IEEE Transactions on Evolutionary Computation 6(2), 2002).
pub(super) fn crowding_distances(points: &[&[f64]]) -> Vec<f64> {
    let mut distances = vec![0.0; points.len()];
    for cost in 0..points.first().map_or(0, |point| point.len()) {
        let mut order: Vec<_> = (0..points.len()).collect();
        order.sort_by(|&i, &j| points[i][cost].total_cmp(&points[j][cost]));
        let (first, last) = (order[0], order[order.len() - 1]);
        let range = points[last][cost] - points[first][cost];
        distances[first] = f64::INFINITY;
        distances[last] = f64::INFINITY;
        if range > 0.0 {
            for gap in order.windows(3) {
                distances[gap[1]] += (points[gap[2]][cost] - points[gap[0]][cost]) / range;
            }
        }
    }
    distances
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slices(points: &[Vec<f64>]) -> Vec<&[f64]> {
        points.iter().map(Vec::as_slice).collect()
    }

    #[test]
    fn crowding_is_the_gap_between_neighbours() {
        let points = [vec![0.0, 4.0], vec![1.0, 2.0], vec![4.0, 0.0]];
        assert_eq!(crowding_distances(&slices(&points)), [f64::INFINITY, 2.0, f64::INFINITY]);
        assert!(crowding_distances(&[]).is_empty());
    }

    fn grid(dimensions: usize) -> impl Strategy<Value = Vec<Vec<f64>>> {
        proptest::collection::vec(proptest::collection::vec((0..6).prop_map(f64::from), dimensions), 0..40)
    }

    proptest! {
        #[test]
        fn each_front_is_what_peeling_leaves(points in (1..5usize).prop_flat_map(grid)) {
            let mut left: Vec<_> = (0..points.len()).collect();
            for mut found in sort_by_dominance(&slices(&points)) {
                let peeled: Vec<_> = left.iter().copied().filter(|&i| !left.iter().any(|&j| dominates(&points[j], &points[i]))).collect();
                found.sort_unstable();
                prop_assert_eq!(&found, &peeled);
                left.retain(|i| !peeled.contains(i));
            }
            prop_assert!(left.is_empty());
        }
    }
}
