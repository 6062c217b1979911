use irene_numerics::Adam;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

/// Below so many records, none are kept to validate on.
const FEW: usize = 10;

/// A network that [`train`] can fit.
pub(super) trait Network: Clone {
    /// Its parameters; [`refresh`](Self::refresh) after a change.
    fn parameters(&mut self) -> &mut Vec<f64>;

    /// Recomputes the values derived from the parameters.
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
    let mut adam = Adam::new(network.parameters().len(), training.learning_rate).with_decay(training.decay);
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
