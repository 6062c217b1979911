use crate::Work;

/// A pass of a model, as one GPU has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// The kernels and how often each runs.
    pub works: Vec<(Work, f64)>,
    /// Sequences in it.
    pub sequences: f64,
    /// Layers of the model.
    pub layers: f64,
}

impl Pass {
    /// Both in one pass, whose products read their weights once.
    pub fn joined(&self, other: &Self) -> Self {
        let mut works = self.works.clone();
        for (work, times) in &other.works {
            let same = |(known, of_known): &&mut (Work, f64)| of_known == times && known.shares_weights(work);
            match works[..self.works.len()].iter_mut().find(same) {
                Some((known, _)) => *known = known.joined(work),
                None => works.push((*work, *times)),
            }
        }
        Self { works, sequences: self.sequences + other.sequences, layers: self.layers }
    }
}

/// The cost of one kernel on one GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkCost {
    /// Its time, s.
    pub seconds: f64,
    /// Its energy beyond what the device draws anyway, J.
    pub joules: f64,
}

/// The cost of a pass on one GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassCost {
    /// Its time, s.
    pub seconds: f64,
    /// Its energy, J.
    pub joules: f64,
    /// The part of the energy that the kernels' arithmetic and traffic take, J.
    pub dynamic_joules: f64,
    /// The part of the time that no kernel runs, s.
    pub idle_seconds: f64,
    /// How much longer kernels take because the device is at its power limit: at least 1.
    pub stretch: f64,
}
