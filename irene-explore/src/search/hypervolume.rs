use super::pareto::{covers, lexicographic};

/// The volume that points dominate below a reference, exactly; what is not below the reference in every cost dominates none of it.
///
/// Points are taken in the order of their last cost, and each adds what it alone dominates in the others, as in Zitzler's slicing and the
/// exclusive volumes of WFG (While, Bradstreet and Barone, "A fast way of calculating exact hypervolumes", IEEE Transactions on Evolutionary
/// Computation 16(1), 2012). For n points: n log n with two costs, at worst n² with three and n² log n with four, one more factor n for each
/// further cost. A point or reference that is not a number counts for nothing.
pub(super) fn hypervolume(points: &[&[f64]], reference: &[f64]) -> f64 {
    let below = |point: &&&[f64]| point.len() == reference.len() && point.iter().zip(reference).all(|(a, b)| a < b);
    let points: Vec<Vec<f64>> = points.iter().filter(below).map(|point| point.to_vec()).collect();
    volume(points, reference)
}

fn volume(mut points: Vec<Vec<f64>>, reference: &[f64]) -> f64 {
    match reference {
        [] => 0.0,
        &[end] => points.iter().map(|point| end - point[0]).fold(0.0, f64::max),
        &[x_end, y_end] => area(&mut points, x_end, y_end),
        &[x_end, y_end, z_end] => swept(&mut points, x_end, y_end, z_end),
        [rest @ .., end] => sliced(&mut points, rest, *end),
    }
}

fn area(points: &mut [Vec<f64>], x_end: f64, y_end: f64) -> f64 {
    points.sort_by(|a, b| lexicographic(a, b));
    let (mut sum, mut lowest) = (0.0, y_end);
    for point in points {
        if point[1] < lowest {
            sum += (x_end - point[0]) * (lowest - point[1]);
            lowest = point[1];
        }
    }
    sum
}

/// A sweep along the third cost, over the staircase of the points met so far: by growing first and falling second cost.
fn swept(points: &mut [Vec<f64>], x_end: f64, y_end: f64, z_end: f64) -> f64 {
    points.sort_by(|a, b| a[2].total_cmp(&b[2]));
    let mut stairs: Vec<(f64, f64)> = Vec::new();
    let mut sum = 0.0;
    for point in points {
        let (x, y, z) = (point[0], point[1], point[2]);
        let from = stairs.partition_point(|stair| stair.0 < x);
        let left = if from == 0 { y_end } else { stairs[from - 1].1 };
        let covered = left <= y || stairs.get(from).is_some_and(|stair| stair.0 <= x && stair.1 <= y);
        if covered {
            continue;
        }
        let to = from + stairs[from..].partition_point(|stair| stair.1 >= y);
        let (mut start, mut top, mut gained) = (x, left, 0.0);
        for stair in &stairs[from..to] {
            gained += (stair.0 - start) * (top - y);
            (start, top) = *stair;
        }
        let end = stairs.get(to).map_or(x_end, |stair| stair.0);
        gained += (end - start) * (top - y);
        stairs.splice(from..to, [(x, y)]);
        sum += gained * (z_end - z);
    }
    sum
}

/// Slices along the last cost: each point, from its last cost to the end, adds what it alone dominates in the others.
fn sliced(points: &mut [Vec<f64>], rest: &[f64], end: f64) -> f64 {
    let last = rest.len();
    points.sort_by(|a, b| a[last].total_cmp(&b[last]));
    let mut met: Vec<&[f64]> = Vec::new();
    let mut sum = 0.0;
    for point in &*points {
        let (head, depth) = (&point[..last], end - point[last]);
        if met.iter().any(|other| covers(other, head)) {
            continue;
        }
        let limited = met.iter().map(|other| other.iter().zip(head).map(|(a, b)| a.max(*b)).collect()).collect();
        let whole: f64 = rest.iter().zip(head).map(|(a, b)| a - b).product();
        sum += (whole - volume(undominated(limited), rest)) * depth;
        met.retain(|other| !covers(head, other));
        met.push(head);
    }
    sum
}

/// Drops the points that another covers, which add no volume.
fn undominated(mut points: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    // The sweep over three costs drops them at no cost of its own.
    if points.first().is_none_or(|point| point.len() <= 3) {
        return points;
    }
    points.sort_by(|a, b| lexicographic(a, b));
    let mut kept: Vec<Vec<f64>> = Vec::new();
    for point in points {
        if !kept.iter().any(|other| covers(other, &point)) {
            kept.push(point);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::RngExt;
    use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

    use super::*;

    fn slices(points: &[Vec<f64>]) -> Vec<&[f64]> {
        points.iter().map(Vec::as_slice).collect()
    }

    /// The sum over subsets of the volume that all of the subset dominate, odd sizes added and even ones taken away.
    fn by_inclusion_exclusion(points: &[Vec<f64>], reference: &[f64]) -> f64 {
        let mut sum = 0.0;
        for subset in 1..1_u32 << points.len() {
            let members = points.iter().enumerate().filter(|(i, _)| subset >> i & 1 == 1).map(|(_, point)| point);
            let corner = members.fold(vec![f64::NEG_INFINITY; reference.len()], |corner, point| {
                corner.iter().zip(point).map(|(a, b)| a.max(*b)).collect()
            });
            let shared: f64 = reference.iter().zip(&corner).map(|(a, b)| (a - b).max(0.0)).product();
            sum += if subset.count_ones() % 2 == 1 { shared } else { -shared };
        }
        sum
    }

    fn clouds() -> impl Strategy<Value = Vec<Vec<f64>>> {
        let cost = prop_oneof![(0..8).prop_map(|step| f64::from(step) / 7.0), 0.0..1.2];
        (1..6usize).prop_flat_map(move |costs| {
            proptest::collection::vec(proptest::collection::vec(cost.clone(), costs), 1..10)
        })
    }

    proptest! {
        #[test]
        fn the_volume_is_that_of_inclusion_and_exclusion(points in clouds()) {
            let reference = vec![1.0; points[0].len()];
            let expected = by_inclusion_exclusion(&points, &reference);
            let found = hypervolume(&slices(&points), &reference);
            prop_assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
        }

        #[test]
        fn a_further_point_never_takes_volume_away(points in clouds()) {
            let reference = vec![1.0; points[0].len()];
            let (all, fewer) = (hypervolume(&slices(&points), &reference), hypervolume(&slices(&points[1..]), &reference));
            prop_assert!(all >= fewer - 1e-12);
        }
    }

    #[test]
    fn the_volume_of_many_points_is_what_darts_hit() {
        let mut rng = Pcg64Mcg::seed_from_u64(7);
        for costs in 2..=4 {
            let points: Vec<Vec<f64>> =
                (0..200).map(|_| (0..costs).map(|_| rng.random::<f64>().sqrt()).collect()).collect();
            let darts = 100_000;
            let hit = |dart: &Vec<f64>| points.iter().any(|point| covers(point, dart));
            let hits = (0..darts).map(|_| (0..costs).map(|_| rng.random::<f64>()).collect()).filter(hit).count();
            let (found, expected) = (hypervolume(&slices(&points), &vec![1.0; costs]), hits as f64 / f64::from(darts));
            assert!((found - expected).abs() < 0.008, "{costs} costs: {found} for {expected}");
        }
    }

    #[test]
    fn nothing_below_the_reference_has_no_volume() {
        assert_eq!(hypervolume(&[], &[1.0, 1.0]), 0.0);
        assert_eq!(hypervolume(&[&[f64::NAN, 0.0], &[2.0, 0.0], &[0.0]], &[1.0, 1.0]), 0.0);
    }
}
