use irene_numerics::{CovarianceFactor, drawn};
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::{are_divisors, are_usable, log_evidence};
use crate::learning::{
    covariance::{KernelScales, kernels},
    standard::Standard,
};

/// A Gaussian process over standardised coordinates, with a linear and a Matérn 5/2 kernel (Rasmussen and Williams, 2006, section
/// 4.2) of fixed reach: what a [`Surface`](super::surface::Surface) is too stiff for. The evidence chooses the scales.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Process {
    #[serde(flatten)]
    standard: Standard,
    centre: f64,
    /// Where the training data is, standardised, a row a point.
    points: Vec<f64>,
    weights: Vec<f64>,
    scales: KernelScales,
}

/// The least and the greatest of each coordinate of the training data, standardised.
#[derive(Clone, Debug)]
pub(super) struct Range(Vec<(f64, f64)>);

/// The most records that one rests on: its memory grows with their square, its time with their cube.
const MOST: usize = 1024;

/// The scales that are tried.
const LINEAR: f64 = 4.0;
const SMOOTH: [f64; 4] = [0.3, 1.0, 2.0, 4.0];
/// A coordinate further outside the training data than this many deviations counts as this far.
const FARTHEST: f64 = 10.0;

struct Fit {
    evidence: f64,
    scales: KernelScales,
    factor: CovarianceFactor,
}

impl Process {
    /// Fits weighted records, with scales that were chosen before or by the evidence.
    pub(super) fn fit<P: AsRef<[f64]>>(
        points: &[P],
        heights: &[f64],
        centre: f64,
        weights: &DVector<f64>,
        scales: Option<KernelScales>,
    ) -> Self {
        // A campaign has designs of few heads and of many in turn: every second one would be of one kind.
        let some = drawn(points.len(), MOST);
        let points: Vec<&P> = some.iter().map(|&place| &points[place]).collect();
        let heights: Vec<f64> = some.iter().map(|&place| heights[place]).collect();
        let weights = DVector::from_iterator(some.len(), some.iter().map(|&place| weights[place]));
        let standard = Standard::of(&points);
        let (count, size) = (heights.len(), standard.means.len());
        let places = points.iter().flat_map(|point| standard.within_reach(point.as_ref())).collect();
        let none = KernelScales { linear: 1.0, smooth: 1.0 };
        let mut process = Self { standard, centre, points: places, weights: Vec::new(), scales: none };
        let point = |index: usize| &process.points[size * index..size * (index + 1)];
        // The kernels do not depend on the scales: they are computed once.
        let (mut linear, mut smooth) = (DMatrix::zeros(count, count), DMatrix::zeros(count, count));
        for i in 0..count {
            for j in 0..=i {
                (linear[(i, j)], smooth[(i, j)]) = kernels(point(i), point(j));
            }
        }
        let left = DVector::from_iterator(count, heights.iter().map(|height| height - centre));
        let noise = weights.map(|weight| 1.0 / weight);
        let tried = match scales {
            Some(scales) => vec![scales],
            None => SMOOTH.map(|smooth| KernelScales { linear: LINEAR, smooth }).to_vec(),
        };
        let fits = tried.into_iter().filter_map(|scales| Fit::new(&linear, &smooth, &noise, &left, scales));
        if let Some(fit) = fits.max_by(|a, b| a.evidence.total_cmp(&b.evidence)) {
            process.weights = fit.factor.solve(&left).as_slice().to_vec();
            process.scales = fit.scales;
        }
        process
    }

    /// Whether it has this many coordinates, and finite numbers.
    pub(super) fn is_sound(&self, coordinates: usize) -> bool {
        let sizes = [self.standard.means.len(), self.standard.deviations.len(), self.points.len()];
        let KernelScales { linear, smooth } = &self.scales;
        sizes == [coordinates, coordinates, coordinates * self.weights.len()]
            && !self.weights.is_empty()
            && are_usable(self.standard.means.iter().chain(&self.points).chain(&self.weights))
            && are_usable([&self.centre, linear, smooth])
            && are_divisors(&self.standard.deviations)
    }

    pub(super) fn scales(&self) -> KernelScales {
        self.scales
    }

    /// Where its training data is.
    pub(super) fn range(&self) -> Range {
        let mut sides = vec![(f64::INFINITY, f64::NEG_INFINITY); self.standard.means.len()];
        for point in self.points.chunks_exact(sides.len().max(1)) {
            for ((low, high), value) in sides.iter_mut().zip(point) {
                (*low, *high) = (low.min(*value), high.max(*value));
            }
        }
        Range(sides)
    }

    /// How far outside that range a point is: the squared distance, in standard deviations of the training data.
    pub(super) fn beyond(&self, Range(sides): &Range, point: &[f64]) -> f64 {
        let outside = |(value, (low, high)): (f64, &(f64, f64))| value - value.clamp(*low, *high);
        let distances = self.standard.place(point).into_iter().zip(sides).map(outside);
        // A coordinate that is the same in all training data has no standard deviation.
        distances.map(|distance| distance.clamp(-FARTHEST, FARTHEST).powi(2)).sum()
    }

    pub(super) fn height(&self, point: &[f64]) -> f64 {
        let point = self.standard.within_reach(point);
        let rise: f64 = self
            .points
            .chunks_exact(point.len().max(1))
            .zip(&self.weights)
            .map(|(other, weight)| weight * self.scales.covariance(kernels(&point, other)))
            .sum();
        self.centre + rise
    }
}

impl Fit {
    fn new(
        linear: &DMatrix<f64>,
        smooth: &DMatrix<f64>,
        noise: &DVector<f64>,
        left: &DVector<f64>,
        scales: KernelScales,
    ) -> Option<Self> {
        let mut covariance = linear.zip_map(smooth, |linear, smooth| scales.covariance((linear, smooth)));
        for (record, noise) in noise.iter().enumerate() {
            covariance[(record, record)] += noise;
        }
        let factor = CovarianceFactor::new(covariance)?;
        let mut whitened = left.clone();
        factor.whiten(&mut whitened);
        let evidence = log_evidence(whitened.norm_squared(), left.len(), &factor);
        Some(Self { evidence, scales, factor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_records_it_rests_on_some_from_the_whole_campaign() {
        let points: Vec<[f64; 1]> = (0..3 * MOST).map(|at| [at as f64 / MOST as f64]).collect();
        let heights: Vec<f64> = points.iter().map(|[x]| (2.0 * x).sin()).collect();
        let weights = DVector::from_element(points.len(), 1e4);
        let scales = KernelScales { linear: LINEAR, smooth: 1.0 };
        let process = Process::fit(&points, &heights, 0.0, &weights, Some(scales));
        assert!(process.points.len() == MOST && process.is_sound(1));
        for x in [0.3, 1.5, 2.9_f64] {
            assert!((process.height(&[x]) - (2.0 * x).sin()).abs() < 1e-2, "{x}: {}", process.height(&[x]));
        }
    }
}
