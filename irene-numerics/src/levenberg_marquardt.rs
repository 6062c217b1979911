/// Damped Gauss-Newton steps (Levenberg and Marquardt). A step that lowers the loss is taken, and the next is damped less; any other is
/// tried again with more damping.
///
/// ```
/// use irene_numerics::LevenbergMarquardt;
///
/// // The x with eˣ = 5, by ½(eˣ - 5)².
/// let miss = |x: &f64| x.exp() - 5.0;
/// let step = |x: &f64, damping: f64| Some(x - miss(x) * x.exp() / (x.exp().powi(2) * (1.0 + damping)));
/// let fit = LevenbergMarquardt { rounds: 100, tolerance: 1e-12, most_damping: 1e12 };
/// let x = fit.minimise(0.0, |x| miss(x).powi(2), step);
/// assert!((x - 5f64.ln()).abs() < 1e-6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevenbergMarquardt {
    /// The most steps that are tried.
    pub rounds: usize,
    /// The search ends when a step lowers the loss by less than this share of it.
    pub tolerance: f64,
    /// The highest damping; its inverse is the lowest.
    pub most_damping: f64,
}

impl LevenbergMarquardt {
    /// The state with the least loss that was reached. `stepped` gives the state after a step with a damping; None ends the search.
    pub fn minimise<S>(&self, start: S, loss: impl Fn(&S) -> f64, mut stepped: impl FnMut(&S, f64) -> Option<S>) -> S {
        let (mut least, mut state, mut damping) = (loss(&start), start, 1e-3);
        for _ in 0..self.rounds {
            let Some(next) = stepped(&state, damping) else { break };
            let next_loss = loss(&next);
            if next_loss < least {
                let settled = least - next_loss < self.tolerance * least;
                (state, least) = (next, next_loss);
                damping = (damping * 0.3).max(self.most_damping.recip());
                if settled {
                    break;
                }
            } else {
                damping *= 5.0;
                if damping > self.most_damping {
                    break;
                }
            }
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIT: LevenbergMarquardt = LevenbergMarquardt { rounds: 50, tolerance: 1e-12, most_damping: 1e9 };

    #[test]
    fn a_step_that_makes_it_worse_is_not_taken() {
        let from_0 = FIT.minimise(0.0, |x: &f64| x.abs(), |x, damping| Some(x + 1.0 / (1.0 + damping)));
        assert_eq!(from_0, 0.0);
        let stays = FIT.minimise(3.0, |x: &f64| x.abs(), |_, _| None);
        assert_eq!(stays, 3.0);
    }

    #[test]
    fn the_best_that_damping_can_reach_is_found() {
        // Undamped steps go three times too far.
        let step = |x: &f64, damping: f64| Some(x - 3.0 * (x - 2.0) / (1.0 + damping));
        let found = FIT.minimise(10.0, |x: &f64| (x - 2.0).powi(2), step);
        assert!((found - 2.0).abs() < 1e-4, "{found}");
    }
}
