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
    /// In shares of the ranges, one point after the other.
    scaled: Vec<f64>,
    dimensions: usize,
    /// Places of the points that are left, growing.
    kept: Vec<usize>,
    /// The nearest neighbours of each point among those left.
    nearest: Vec<Nearest>,
    /// Whether a point is the least in a cost.
    least: Vec<bool>,
}

/// Neighbours remembered: two to compare, the others so that distances are rarely taken again.
const REMEMBERED: usize = 6;

#[derive(Clone, Copy)]
struct Neighbour {
    distance: f64,
    place: usize,
}

const NOBODY: Neighbour = Neighbour { distance: f64::INFINITY, place: usize::MAX };

/// Neighbours by distance, nobody after them.
#[derive(Clone, Copy)]
struct Nearest([Neighbour; REMEMBERED]);

impl Nearest {
    fn offer(&mut self, neighbour: Neighbour) {
        let further = self.0.iter().position(|one| neighbour.distance < one.distance);
        if let Some(at) = further {
            self.0[at..].rotate_right(1);
            self.0[at] = neighbour;
        }
    }

    /// Whether that leaves too few to compare.
    fn forget(&mut self, place: usize) -> bool {
        if let Some(at) = self.0.iter().position(|one| one.place == place) {
            self.0[at..].rotate_left(1);
            self.0[REMEMBERED - 1] = NOBODY;
            return self.0[1].place == NOBODY.place;
        }
        false
    }
}

impl Thinning {
    fn of(points: &[&[f64]]) -> Self {
        let dimensions = points.first().map_or(0, |point| point.len());
        let mut scaled = vec![0.0; points.len() * dimensions];
        let mut least = vec![false; points.len()];
        for cost in 0..dimensions {
            let of = |i: usize| points[i][cost];
            let by_cost = |&i: &usize, &j: &usize| of(i).total_cmp(&of(j));
            let ends = (0..points.len()).min_by(by_cost).zip((0..points.len()).max_by(by_cost));
            let Some((low, high)) = ends else { break };
            least[low] = true;
            let range = of(high) - of(low);
            for i in 0..points.len() {
                scaled[i * dimensions + cost] = if range > 0.0 { (of(i) - of(low)) / range } else { 0.0 };
            }
        }
        let nearest = vec![Nearest([NOBODY; REMEMBERED]); points.len()];
        let mut thinning = Self { scaled, dimensions, kept: (0..points.len()).collect(), nearest, least };
        for i in 0..points.len() {
            for j in 0..i {
                let distance = thinning.distance(i, j);
                thinning.nearest[i].offer(Neighbour { distance, place: j });
                thinning.nearest[j].offer(Neighbour { distance, place: i });
            }
        }
        thinning
    }

    /// Its square.
    fn distance(&self, i: usize, j: usize) -> f64 {
        let of = |i: usize| &self.scaled[i * self.dimensions..(i + 1) * self.dimensions];
        of(i).iter().zip(of(j)).map(|(a, b)| (a - b) * (a - b)).sum()
    }

    fn drop_one(&mut self) {
        let key = |i: usize| (self.least[i], self.nearest[i].0[0].distance, self.nearest[i].0[1].distance);
        let order = |&i: &usize, &j: &usize| {
            let (a, b) = (key(i), key(j));
            a.0.cmp(&b.0).then_with(|| a.1.total_cmp(&b.1)).then_with(|| a.2.total_cmp(&b.2))
        };
        let Some(dropped) = self.kept.iter().copied().min_by(order) else { return };
        self.kept.retain(|&i| i != dropped);
        for at in 0..self.kept.len() {
            let i = self.kept[at];
            if self.nearest[i].forget(dropped) {
                self.remember(i);
            }
        }
    }

    fn remember(&mut self, i: usize) {
        let mut nearest = Nearest([NOBODY; REMEMBERED]);
        for &place in self.kept.iter().filter(|&&place| place != i) {
            nearest.offer(Neighbour { distance: self.distance(i, place), place });
        }
        self.nearest[i] = nearest;
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

    use super::*;

    #[test]
    fn what_is_crowded_goes_first_and_the_ends_stay() {
        let points: [&[f64]; 6] = [&[0.0, 10.0], &[0.1, 9.9], &[5.0, 5.0], &[5.2, 4.8], &[7.5, 2.5], &[10.0, 0.0]];
        assert_eq!(spread_out(&points, 5), [0, 2, 3, 4, 5]);
        assert_eq!(spread_out(&points, 2), [0, 5]);
        assert_eq!(spread_out(&points, 9).len(), 6);
        assert!(spread_out(&points, 0).is_empty() && spread_out(&[], 3).is_empty());
    }

    /// The same, all distances taken anew for each point that goes.
    fn plainly(points: &[&[f64]], count: usize) -> Vec<usize> {
        let scaled = Thinning::of(points);
        let mut kept: Vec<_> = (0..points.len()).collect();
        while kept.len() > count {
            let key = |&i: &usize| {
                let mut others: Vec<_> = kept.iter().filter(|&&j| j != i).map(|&j| scaled.distance(i, j)).collect();
                others.sort_by(f64::total_cmp);
                others.resize(2, f64::INFINITY);
                (scaled.least[i], others)
            };
            let dropped = kept.iter().copied().min_by(|i, j| key(i).partial_cmp(&key(j)).unwrap()).unwrap();
            kept.retain(|&i| i != dropped);
        }
        kept
    }

    #[test]
    fn remembered_neighbours_change_nothing() {
        let mut rng = Pcg64Mcg::seed_from_u64(3);
        for dimensions in 1..=4 {
            let points: Vec<Vec<f64>> =
                (0..60).map(|_| (0..dimensions).map(|_| f64::from(rng.random_range(0..20))).collect()).collect();
            let points: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
            for count in [0, 1, 5, 30, 59] {
                assert_eq!(spread_out(&points, count), plainly(&points, count));
            }
        }
    }
}
