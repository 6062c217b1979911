use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

const BETAS: (f64, f64) = (0.9, 0.999);
const EPSILON: f64 = 1e-8;
/// Below so many records, none are kept to validate on.
const FEW: usize = 10;

/// A network that [`train`] can fit.
pub(super) trait Network: Clone {
    /// Its parameters; [`refresh`](Self::refresh) after a change.
    fn parameters(&mut self) -> &mut Vec<f64>;

    /// Recomputes what follows from the parameters.
    fn refresh(&mut self) {}

    /// The loss of a record.
    fn loss(&self, row: &[f64], figure: f64) -> f64;

    /// Adds a record's gradient; with dropout where the network has it.
    fn descend(&self, row: &[f64], figure: f64, random: &mut Pcg64Mcg, gradient: &mut [f64]);
}

/// How to train.
#[derive(Clone, Copy, Debug)]
pub(super) struct Training {
    pub(super) epochs: usize,
    pub(super) batch: usize,
    pub(super) learning_rate: f64,
    pub(super) decay: f64,
    /// Stop after so many epochs without a better validation loss.
    pub(super) patience: usize,
}

/// Trains by AdamW on four fifths of the records and keeps the parameters with the least loss on the last fifth; on all, where
/// they are few.
pub(super) fn train<N: Network>(
    network: &mut N,
    rows: &[Vec<f64>],
    figures: &[f64],
    training: Training,
    random: &mut Pcg64Mcg,
) {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.shuffle(random);
    let split = if rows.len() < FEW { rows.len() } else { rows.len() * 4 / 5 };
    let validation = if split < rows.len() { order.split_off(split) } else { order.clone() };
    let mut adam = Adam::new(network.parameters().len(), training.learning_rate, training.decay);
    let mut gradient = vec![0.0; network.parameters().len()];
    let (mut best, mut least, mut waited) = (network.clone(), f64::INFINITY, 0);
    for _ in 0..training.epochs {
        order.shuffle(random);
        for batch in order.chunks(training.batch.max(1)) {
            gradient.fill(0.0);
            for &at in batch {
                network.descend(&rows[at], figures[at], random, &mut gradient);
            }
            gradient.iter_mut().for_each(|slope| *slope /= batch.len() as f64);
            adam.step(network.parameters(), &gradient);
            network.refresh();
        }
        let loss: f64 = validation.iter().map(|&at| network.loss(&rows[at], figures[at])).sum();
        if loss < least {
            (best, least, waited) = (network.clone(), loss, 0);
        } else {
            waited += 1;
        }
        if waited > training.patience || !loss.is_finite() {
            break;
        }
    }
    *network = best;
}

/// AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019).
struct Adam {
    learning_rate: f64,
    decay: f64,
    steps: i32,
    mean: Vec<f64>,
    square: Vec<f64>,
}

impl Adam {
    fn new(parameters: usize, learning_rate: f64, decay: f64) -> Self {
        Self { learning_rate, decay, steps: 0, mean: vec![0.0; parameters], square: vec![0.0; parameters] }
    }

    fn step(&mut self, parameters: &mut [f64], gradient: &[f64]) {
        self.steps += 1;
        let rate = self.learning_rate / (1.0 - BETAS.0.powi(self.steps));
        let correction = (1.0 - BETAS.1.powi(self.steps)).sqrt();
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((parameter, slope), (mean, square)) in parameters.iter_mut().zip(gradient).zip(moments) {
            *mean = BETAS.0 * *mean + (1.0 - BETAS.0) * slope;
            *square = BETAS.1 * *square + (1.0 - BETAS.1) * slope * slope;
            *parameter -= self.learning_rate * self.decay * *parameter;
            *parameter -= rate * *mean / (square.sqrt() / correction + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_the_learning_rate_and_decay_comes_apart() {
        let mut x = vec![1.0];
        Adam::new(1, 0.1, 0.0).step(&mut x, &[2.0]);
        assert!((x[0] - 0.9).abs() < 1e-6, "{x:?}");
        Adam::new(1, 0.1, 0.5).step(&mut x, &[0.0]);
        assert!((x[0] - 0.9 * 0.95).abs() < 1e-6, "{x:?}");
    }
}
