/// Places of so many points of a front, chosen by dropping, one at a time, the point whose nearest neighbour is the nearest (of two such, the
/// one whose second is), distances in shares of the front's ranges (the truncation of SPEA2: Zitzler, Laumanns and Thiele, TIK report 103,
/// ETH Zürich, 2001). With three costs and more it spreads a front better than dropping the smallest crowding distances at once. The least
/// of each cost goes last.
pub(super) fn spread_out(points: &[&[f64]], count: usize) -> Vec<usize> {
    let mut thinning = Thinning::of(points);
    while thinning.kept.len() > count {
        thinning.drop_one();
    }
    thinning.kept
}

struct Thinning {
    /// In shares of the ranges.
    points: Vec<Vec<f64>>,
    /// Places of the points that are left, growing.
    kept: Vec<usize>,
    /// Of each point, its two nearest among those left.
    nearest: Vec<[Neighbour; 2]>,
    /// Whether a point is the least in a cost.
    least: Vec<bool>,
}

#[derive(Clone, Copy)]
struct Neighbour {
    distance: f64,
    place: usize,
}

const NOBODY: Neighbour = Neighbour { distance: f64::INFINITY, place: usize::MAX };

impl Thinning {
    fn of(points: &[&[f64]]) -> Self {
        let mut scaled = vec![Vec::new(); points.len()];
        let mut least = vec![false; points.len()];
        for cost in 0..points.first().map_or(0, |point| point.len()) {
            let of = |i: usize| points[i][cost];
            let by_cost = |&i: &usize, &j: &usize| of(i).total_cmp(&of(j));
            let ends = (0..points.len()).min_by(by_cost).zip((0..points.len()).max_by(by_cost));
            let Some((low, high)) = ends else { break };
            least[low] = true;
            let range = of(high) - of(low);
            for (i, point) in scaled.iter_mut().enumerate() {
                point.push(if range > 0.0 { (of(i) - of(low)) / range } else { 0.0 });
            }
        }
        let kept = (0..points.len()).collect();
        let mut thinning = Self { points: scaled, kept, nearest: Vec::new(), least };
        thinning.nearest = (0..points.len()).map(|i| thinning.nearest_of(i)).collect();
        thinning
    }

    fn nearest_of(&self, i: usize) -> [Neighbour; 2] {
        let mut nearest = [NOBODY; 2];
        for &place in self.kept.iter().filter(|&&place| place != i) {
            let squares = self.points[i].iter().zip(&self.points[place]).map(|(a, b)| (a - b) * (a - b));
            let neighbour = Neighbour { distance: squares.sum(), place };
            if neighbour.distance < nearest[0].distance {
                nearest = [neighbour, nearest[0]];
            } else if neighbour.distance < nearest[1].distance {
                nearest[1] = neighbour;
            }
        }
        nearest
    }

    fn drop_one(&mut self) {
        let key = |i: usize| (self.least[i], self.nearest[i][0].distance, self.nearest[i][1].distance);
        let order = |&i: &usize, &j: &usize| {
            let (a, b) = (key(i), key(j));
            a.0.cmp(&b.0).then_with(|| a.1.total_cmp(&b.1)).then_with(|| a.2.total_cmp(&b.2))
        };
        let Some(dropped) = self.kept.iter().copied().min_by(order) else { return };
        self.kept.retain(|&i| i != dropped);
        for at in 0..self.kept.len() {
            let i = self.kept[at];
            if self.nearest[i].iter().any(|neighbour| neighbour.place == dropped) {
                self.nearest[i] = self.nearest_of(i);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_crowded_goes_first_and_the_ends_stay() {
        let points: [&[f64]; 6] = [&[0.0, 10.0], &[0.1, 9.9], &[5.0, 5.0], &[5.2, 4.8], &[7.5, 2.5], &[10.0, 0.0]];
        assert_eq!(spread_out(&points, 5), [0, 2, 3, 4, 5]);
        assert_eq!(spread_out(&points, 2), [0, 5]);
        assert_eq!(spread_out(&points, 9).len(), 6);
        assert!(spread_out(&points, 0).is_empty() && spread_out(&[], 3).is_empty());
    }
}
