use std::cmp::Ordering;

use candle_core::{D, DType, Tensor as Candle};
use rand_pcg::{
    Pcg64Mcg,
    rand_core::{Rng, SeedableRng},
};

use crate::{Error, Result};

/// How the next token is chosen from its logits.
///
/// The `top_k` greatest of the probabilities softmax(logits / temperature) are kept, then the fewest that come to a share of `top_p`, and
/// one token is drawn from those.
///
/// | field | range | default |
/// |---|---|---|
/// | `temperature` | 0 or more; 0 takes the likeliest token | 0 |
/// | `top_k` | at least 1 | all |
/// | `top_p` | above 0, at most 1 | 1 |
/// | `seed` | any | 0 |
///
/// Equal seeds give equal tokens on every machine that computes equal logits. Sequence r of a batch draws from a generator of its own, PCG
/// XSL 128/64 (`Pcg64Mcg` of the crate rand_pcg) from the seed `seed + r * 0x9e3779b97f4a7c15` (modulo 2^64): its tokens do not depend
/// on the other sequences, and no other small seed has them in a batch.
///
/// ```
/// use irene_models::Sampling;
/// let sampling = Sampling { temperature: 0.7, top_p: 0.9, seed: 42, ..Sampling::default() };
/// assert!(sampling.check().is_ok());
/// assert!(Sampling { top_p: 0.0, ..sampling }.check().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f64,
    /// The most tokens that are drawn from.
    pub top_k: Option<usize>,
    /// The share of probability that is drawn from.
    pub top_p: f64,
    /// Decides every draw.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_k: None, top_p: 1.0, seed: 0 }
    }
}

impl Sampling {
    /// Refuses a setting outside its range.
    ///
    /// # Errors
    /// [`Error::Sampling`] naming it.
    pub fn check(self) -> Result<()> {
        let refuse = |setting, reason: String| Err(Error::Sampling { setting, reason });
        let Self { temperature, top_k, top_p, .. } = self;
        if !(temperature.is_finite() && temperature >= 0.0) {
            return refuse("temperature", format!("expected a number of at least 0, found {temperature}"));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return refuse("top-p", format!("expected a share above 0 and up to 1, found {top_p}"));
        }
        if top_k == Some(0) {
            return refuse("top-k", "expected at least 1 token, found 0".into());
        }
        Ok(())
    }
}

/// The step from the seed of one sequence of a batch to that of the next: 2^64 divided by the golden ratio. Multiples of it keep farthest
/// apart, so that a batch never shares a sequence with one of another small seed.
const SEED_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A token that may be drawn, and its probability as a multiple of the likeliest token's.
type Candidate = (f64, usize);

/// The likeliest first; of equally likely ones the first.
fn by_weight(one: &Candidate, other: &Candidate) -> Ordering {
    other.0.total_cmp(&one.0).then(one.1.cmp(&other.1))
}

/// Chooses the tokens of a batch.
pub(super) struct Sampler {
    sampling: Sampling,
    /// One for each sequence.
    random: Vec<Pcg64Mcg>,
    /// Memory for the tokens of one sequence.
    candidates: Vec<Candidate>,
    /// Tokens that are never chosen.
    excluded: Vec<i64>,
    /// Minus infinity at their places, 0 elsewhere.
    bias: Option<Candle>,
}

impl Sampler {
    pub(super) fn new(sampling: Sampling) -> Result<Self> {
        sampling.check()?;
        Ok(Self { sampling, random: Vec::new(), candidates: Vec::new(), excluded: Vec::new(), bias: None })
    }

    pub(super) fn with(self, sampling: Sampling) -> Result<Self> {
        sampling.check()?;
        Ok(Self { sampling, ..self })
    }

    pub(super) fn excluding(self, tokens: Vec<i64>) -> Self {
        Self { excluded: tokens, bias: None, ..self }
    }

    /// The logits without the tokens that are never chosen.
    fn allowed(&mut self, logits: &Candle) -> candle_core::Result<Candle> {
        if self.excluded.is_empty() {
            // The last of several positions lies in memory with gaps, which not every operation takes.
            return logits.contiguous();
        }
        let bias = match self.bias.take() {
            Some(bias) => bias,
            None => {
                let bias = |token| if self.excluded.contains(&token) { f32::NEG_INFINITY } else { 0.0 };
                let bias: Vec<f32> = (0..logits.dim(D::Minus1)? as i64).map(bias).collect();
                Candle::new(bias, logits.device())?.to_dtype(logits.dtype())?
            }
        };
        logits.broadcast_add(self.bias.insert(bias))
    }

    /// A token for each row of logits (sequences, vocabulary).
    pub(super) fn choose(&mut self, logits: &Candle, model: &str) -> Result<Vec<i64>> {
        let logits = self.allowed(logits)?;
        let refuse = |row: usize| Error::Input {
            model: model.to_owned(),
            reason: format!("the logits of sequence {row} are no finite numbers; another run.precision may hold them"),
        };
        if self.sampling.temperature == 0.0 {
            let likeliest = logits.argmax_keepdim(D::Minus1)?;
            let most = logits.gather(&likeliest, D::Minus1)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            most.iter().position(|logit| !logit.is_finite()).map_or(Ok(()), |row| Err(refuse(row)))?;
            return Ok(likeliest.flatten_all()?.to_dtype(DType::I64)?.to_vec1()?);
        }
        let rows = logits.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        while self.random.len() < rows.len() {
            let ahead = SEED_STEP.wrapping_mul(self.random.len() as u64);
            self.random.push(Pcg64Mcg::seed_from_u64(self.sampling.seed.wrapping_add(ahead)));
        }
        let drawn = rows.iter().enumerate().map(|(row, logits)| {
            self.weigh(logits);
            let token = draw(&self.candidates, &mut self.random[row]);
            token.map(|token| token as i64).ok_or_else(|| refuse(row))
        });
        drawn.collect()
    }

    /// Leaves the tokens that may be drawn as candidates.
    fn weigh(&mut self, logits: &[f32]) {
        let Self { sampling: Sampling { temperature, top_k, top_p, .. }, candidates, .. } = self;
        let most = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let weight = |&logit: &f32| ((f64::from(logit) - most) / *temperature).exp();
        candidates.clear();
        candidates.extend(logits.iter().map(weight).zip(0..));
        if let Some(most) = top_k.filter(|&most| most < candidates.len()) {
            candidates.select_nth_unstable_by(most - 1, by_weight);
            candidates.truncate(most);
        }
        if *top_p < 1.0 {
            keep_share(candidates, *top_p);
        }
    }
}

/// Keeps the fewest candidates, the likeliest first, that come to this share of all.
fn keep_share(candidates: &mut Vec<Candidate>, share: f64) {
    let total: f64 = candidates.iter().map(|candidate| candidate.0).sum();
    // Candidates below this weight come to less than what is left out, so they need not be sorted.
    let least = (1.0 - share) * total / candidates.len() as f64;
    candidates.retain(|candidate| candidate.0 >= least);
    candidates.sort_unstable_by(by_weight);
    let mut sum = 0.0;
    let reached = candidates.iter().position(|candidate| {
        sum += candidate.0;
        sum >= share * total
    });
    candidates.truncate(reached.map_or(candidates.len(), |place| place + 1));
}

/// A candidate with the probability of its weight; None if the weights are no finite numbers.
fn draw(candidates: &[Candidate], random: &mut Pcg64Mcg) -> Option<usize> {
    let total: f64 = candidates.iter().map(|candidate| candidate.0).sum();
    if !(total.is_finite() && total > 0.0) {
        return None;
    }
    // The upper 53 bits, from 0 to below 1.
    let mut point = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * total;
    let drawn = candidates.iter().find(|candidate| {
        point -= candidate.0;
        point < 0.0
    });
    // Rounding may leave a little of the total after the last one.
    drawn.or_else(|| candidates.iter().rev().find(|candidate| candidate.0 > 0.0)).map(|candidate| candidate.1)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn drawn(sampling: Sampling, logits: &[f32], draws: usize) -> Vec<i64> {
        let logits = Candle::new(logits, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let mut sampler = Sampler::new(sampling).unwrap();
        (0..draws).map(|_| sampler.choose(&logits, "model").unwrap()[0]).collect()
    }

    const LOGITS: [f32; 5] = [2.0, 0.0, 1.0, -1.0, 0.5];

    #[test]
    fn tokens_come_as_often_as_their_probability_says() {
        let temperature = 1.5;
        let weights: Vec<f64> = LOGITS.iter().map(|&logit| (f64::from(logit) / temperature).exp()).collect();
        let total: f64 = weights.iter().sum();
        const DRAWS: usize = 40_000;
        let tokens = drawn(Sampling { temperature, seed: 7, ..Sampling::default() }, &LOGITS, DRAWS);
        for (token, weight) in weights.iter().enumerate() {
            let (count, share) = (tokens.iter().filter(|&&drawn| drawn == token as i64).count(), weight / total);
            // Five standard deviations of a binomial count.
            let spread = 5.0 * (DRAWS as f64 * share * (1.0 - share)).sqrt();
            assert!((count as f64 - DRAWS as f64 * share).abs() < spread, "{token}: {count}, share {share}");
        }
    }

    #[test]
    fn top_k_and_top_p_leave_out_the_unlikeliest() {
        let only = |sampling: Sampling| {
            let mut tokens = drawn(Sampling { temperature: 1.0, ..sampling }, &LOGITS, 2000);
            tokens.sort_unstable();
            tokens.dedup();
            tokens
        };
        // Probabilities 0.53, 0.07, 0.20, 0.03, 0.12 leave shares of 0.58, 0.22, 0.13, 0.08 after each in order of weight.
        assert_eq!(only(Sampling::default()), [0, 1, 2, 3, 4]);
        assert_eq!(only(Sampling { top_k: Some(2), ..Sampling::default() }), [0, 2]);
        assert_eq!(only(Sampling { top_k: Some(9), ..Sampling::default() }), [0, 1, 2, 3, 4]);
        assert_eq!(only(Sampling { top_p: 0.5, ..Sampling::default() }), [0]);
        assert_eq!(only(Sampling { top_p: 0.8, ..Sampling::default() }), [0, 2, 4]);
        assert_eq!(only(Sampling { top_p: 0.8, top_k: Some(2), ..Sampling::default() }), [0, 2]);
        assert_eq!(only(Sampling { top_p: 1e-9, ..Sampling::default() }), [0]);
    }

    #[test]
    fn excluded_tokens_are_not_chosen() {
        let logits = Candle::new(&[LOGITS], &Device::Cpu).unwrap();
        for temperature in [0.0, 1.0] {
            let sampling = Sampling { temperature, ..Sampling::default() };
            let mut sampler = Sampler::new(sampling).unwrap().excluding(vec![0, 1, 3, 99]);
            let mut chosen: Vec<i64> = (0..200).map(|_| sampler.choose(&logits, "model").unwrap()[0]).collect();
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen, if temperature == 0.0 { vec![2] } else { vec![2, 4] });
        }
    }

    #[test]
    fn a_sequence_draws_the_same_alone_and_in_a_batch() {
        let rows = Candle::new(&[LOGITS, [0.0; 5], LOGITS], &Device::Cpu).unwrap();
        let sampling = Sampling { temperature: 1.0, seed: 3, ..Sampling::default() };
        let mut sampler = Sampler::new(sampling).unwrap();
        let batch: Vec<Vec<i64>> = (0..20).map(|_| sampler.choose(&rows, "model").unwrap()).collect();
        let third = SEED_STEP.wrapping_mul(2).wrapping_add(3);
        let alone = drawn(Sampling { seed: third, ..sampling }, &LOGITS, 20);
        assert_eq!(batch.iter().map(|row| row[2]).collect::<Vec<_>>(), alone);
    }

    #[test]
    fn no_sequence_of_a_seed_is_one_of_a_seed_nearby() {
        const ROWS: usize = 4;
        let rows = Candle::new(&[LOGITS; ROWS], &Device::Cpu).unwrap();
        let mut texts = Vec::new();
        for seed in 0..5 {
            let mut sampler = Sampler::new(Sampling { temperature: 1.0, seed, ..Sampling::default() }).unwrap();
            let steps: Vec<Vec<i64>> = (0..30).map(|_| sampler.choose(&rows, "model").unwrap()).collect();
            texts.extend((0..ROWS).map(|row| steps.iter().map(|step| step[row]).collect::<Vec<_>>()));
        }
        let drawn = texts.len();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), drawn);
    }

    #[test]
    fn the_last_of_several_positions_is_chosen_from_with_and_without_excluded_tokens() {
        let positions = Candle::new(&[[[9.0f32, 0.0], [0.0, 1.0]], [[0.0, 9.0], [2.0, 1.0]]], &Device::Cpu).unwrap();
        let last = positions.narrow(1, 1, 1).unwrap().squeeze(1).unwrap();
        for excluded in [vec![], vec![7]] {
            let mut sampler = Sampler::new(Sampling::default()).unwrap().excluding(excluded);
            assert_eq!(sampler.choose(&last, "model").unwrap(), [1, 0]);
        }
    }

    /// Tokens must not change with a new version of a crate.
    #[test]
    fn a_seed_gives_these_tokens() {
        let sampling = Sampling { temperature: 1.0, seed: 42, ..Sampling::default() };
        assert_eq!(drawn(sampling, &[0.0; 10], 8), [5, 1, 3, 2, 1, 3, 1, 8]);
    }

    #[test]
    fn what_cannot_be_drawn_from_is_refused() {
        for (sampling, setting) in [
            (Sampling { temperature: -1.0, ..Sampling::default() }, "temperature"),
            (Sampling { temperature: f64::NAN, ..Sampling::default() }, "temperature"),
            (Sampling { top_p: 1.1, ..Sampling::default() }, "top-p"),
            (Sampling { top_k: Some(0), ..Sampling::default() }, "top-k"),
        ] {
            assert!(sampling.check().unwrap_err().to_string().starts_with(setting));
        }
        for temperature in [0.0, 1.0] {
            let mut sampler = Sampler::new(Sampling { temperature, ..Sampling::default() }).unwrap();
            for logits in [[f32::NAN, 0.0], [f32::INFINITY, 0.0], [f32::NEG_INFINITY; 2]] {
                let logits = Candle::new(&[[1.0, 2.0], logits], &Device::Cpu).unwrap();
                let refused = sampler.choose(&logits, "model").unwrap_err().to_string();
                assert!(refused.contains("sequence 1 are no finite numbers"), "{refused}");
            }
        }
    }
}
