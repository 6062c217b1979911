use irene_tree::render;

use crate::{Error, Estimate, Result};

/// Bounds on the times of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// The most time to the first token, s.
    pub max_ttft_s: Option<f64>,
    /// The most median time between the tokens of a sequence, s.
    pub max_itl_s: Option<f64>,
    /// The most time of a request, or of a batch, s.
    pub max_latency_s: Option<f64>,
}

impl Bounds {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses bounds that are not times.
    ///
    /// # Errors
    /// [`Error::Setting`] with the bound's name.
    pub fn check(&self) -> Result<()> {
        let all =
            [("max_ttft_s", self.max_ttft_s), ("max_itl_s", self.max_itl_s), ("max_latency_s", self.max_latency_s)];
        match all.into_iter().find(|(_, bound)| bound.is_some_and(|bound| !(bound.is_finite() && bound > 0.0))) {
            Some((name, bound)) => {
                let found = bound.unwrap_or_default();
                Err(Error::setting(name, format!("expected seconds above 0, found {found}")))
            }
            None => Ok(()),
        }
    }

    /// The same, and bounds on the times of tokens where none are generated: nothing would break them.
    pub(crate) fn check_for(&self, generated: usize) -> Result<()> {
        self.check()?;
        let of_tokens = [("max_ttft_s", self.max_ttft_s), ("max_itl_s", self.max_itl_s)];
        match of_tokens.into_iter().find(|(_, bound)| generated == 0 && bound.is_some()) {
            Some((name, _)) => Err(Error::setting(name, "nothing is generated: bound the whole by max_latency_s")),
            None => Ok(()),
        }
    }

    /// The bound that an estimate breaks by most, in words, and by what factor.
    pub(crate) fn broken(&self, estimate: &Estimate) -> Option<(String, f64)> {
        let figures = &estimate.figures;
        let bounds = [
            ("the first token", figures.ttft_s, self.max_ttft_s),
            ("each further token", figures.itl_s, self.max_itl_s),
            ("a request", figures.latency_s, self.max_latency_s),
        ];
        let broken = bounds.into_iter().filter_map(|(what, found, bound)| {
            let (found, bound) = (found?, bound?);
            let text = || format!("{what} takes {}, more than {}", render::si(found, "s"), render::si(bound, "s"));
            (found > bound).then(|| (text(), found / bound))
        });
        broken.max_by(|(_, one), (_, other)| one.total_cmp(other))
    }
}
