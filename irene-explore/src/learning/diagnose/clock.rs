use serde::{Deserialize, Serialize};

/// A clock that ticks so coarsely that figures are multiples of its tick, but for an offset.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// In the measure's unit.
    pub tick: f64,
    /// In the measure's unit, from -tick/2 to tick/2.
    pub offset: f64,
    /// How well figures keep to the ticks: 1 if all do, near 0 if none.
    pub strength: f64,
}

impl Clock {
    /// The coarsest tick that figures keep to, if one shows.
    ///
    /// The figures are turned around a circle as long as the tick: where they keep to it, all point the same way, and the length of
    /// their mean is the strength (a periodogram of the figures; Mardia and Jupp, 2000, section 2.2).
    pub fn find(figures: &[f64]) -> Option<Self> {
        const FEWEST: usize = 12;
        /// A few figures may not keep to the ticks.
        const STRONG: f64 = 0.9;
        /// Ticks tried for each that the largest figure is long.
        const STEPS: f64 = 12.0;
        const FINEST: f64 = 200.0;
        const COARSEST: f64 = 4.0;
        let largest = figures.iter().copied().fold(0.0, f64::max);
        let smallest = figures.iter().copied().fold(f64::INFINITY, f64::min);
        if figures.len() < FEWEST || largest <= smallest {
            return None;
        }
        // A few far figures must not decide how fine the ticks are tried.
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let long = sorted[sorted.len() * 9 / 10];
        let steps = (STEPS * (FINEST - COARSEST)) as usize;
        let ticks = (0..=steps).map(|step| long / (COARSEST + step as f64 / STEPS));
        let tried = ticks.map(|tick| Self::of(tick, figures));
        let mut best: Option<Self> = None;
        for clock in tried.filter(|clock| clock.strength > STRONG) {
            // From coarse to fine: the first peak counts, what follows are its fractions.
            match best {
                Some(found) if clock.tick < 0.9 * found.tick => break,
                Some(found) if found.strength >= clock.strength => {}
                _ => best = Some(clock),
            }
        }
        // All figures within one tick say nothing of it.
        best.filter(|clock| long - smallest > 2.0 * clock.tick)
    }

    fn of(tick: f64, figures: &[f64]) -> Self {
        let turn = std::f64::consts::TAU / tick;
        let (mut x, mut y) = (0.0, 0.0);
        for figure in figures {
            let (sin, cos) = (turn * figure).sin_cos();
            x += cos;
            y += sin;
        }
        Self { tick, offset: y.atan2(x) / turn, strength: x.hypot(y) / figures.len() as f64 }
    }

    /// The figure as the clock shows it: the nearest tick, and one at least.
    pub fn shown(&self, figure: f64) -> f64 {
        self.offset + ((figure - self.offset) / self.tick).round().max(1.0) * self.tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tick_of_coarse_figures_is_found_and_of_smooth_ones_not() {
        let smooth: Vec<f64> = (0..60).map(|i| 4.0 * 1.05f64.powi(i)).collect();
        assert_eq!(Clock::find(&smooth), None);
        let coarse: Vec<f64> = smooth.iter().map(|figure| (figure / 0.802).round() * 0.802 + 0.003).collect();
        let clock = Clock::find(&coarse).unwrap();
        assert!((clock.tick - 0.802).abs() < 0.01, "{clock:?}");
        assert!(clock.strength > 0.95, "{clock:?}");
        let shown = clock.shown(8.3);
        assert!((shown - 8.02).abs() < 0.1, "{shown}");
    }

    #[test]
    fn too_few_or_equal_figures_have_no_clock() {
        assert_eq!(Clock::find(&[1.0, 2.0, 3.0]), None);
        assert_eq!(Clock::find(&[2.0; 40]), None);
    }
}
