use crate::IdlePower;

/// What the machine draws while nothing runs.
#[derive(Debug)]
pub(crate) struct IdleDraw {
    power: IdlePower,
    /// The learned mean in watts, and the seconds behind it.
    learned: (f64, f64),
}

impl IdleDraw {
    /// Less time tells nothing, s.
    const LEAST: f64 = 0.5;

    /// Older time is forgotten, s.
    const MOST: f64 = 60.0;

    pub(crate) fn new(power: IdlePower) -> Self {
        Self { power, learned: (0.0, 0.0) }
    }

    /// Watts, if they are known.
    pub(crate) fn watts(&self) -> Option<f64> {
        match self.power {
            IdlePower::Given(watts) => Some(watts),
            IdlePower::Learned => (self.learned.1 >= Self::LEAST).then_some(self.learned.0),
        }
    }

    /// Takes an interval in which nothing ran.
    pub(crate) fn learn(&mut self, nanojoules: u64, nanoseconds: u64) {
        let (seconds, watts) = (nanoseconds as f64 * 1e-9, nanojoules as f64 / nanoseconds as f64);
        let (mean, so_far) = &mut self.learned;
        *so_far = (*so_far + seconds).min(Self::MOST);
        *mean += (watts - *mean) * (seconds / *so_far).min(1.0);
    }

    /// The idle part of the energy of an interval.
    pub(crate) fn part(&self, nanojoules: u64, nanoseconds: u64) -> u64 {
        let idle = self.watts().map_or(0.0, |watts| watts * nanoseconds as f64).round();
        nanojoules.min(idle as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn it_is_the_mean_of_the_newest_minute() {
        let mut idle = IdleDraw::new(IdlePower::Learned);
        idle.learn(4 * SECOND / 10, SECOND / 10);
        assert_eq!((idle.watts(), idle.part(9, SECOND)), (None, 0), "too little time to tell");
        idle.learn(16 * SECOND, SECOND);
        assert!((idle.watts().unwrap() - 16.4 / 1.1).abs() < 1e-9);
        (0..600).for_each(|_| idle.learn(10 * SECOND, SECOND));
        assert!((idle.watts().unwrap() - 10.0).abs() < 0.01, "what is long ago is forgotten");
    }

    #[test]
    fn it_is_no_more_than_the_energy() {
        let idle = IdleDraw::new(IdlePower::Given(10.0));
        assert_eq!(idle.part(30 * SECOND, 2 * SECOND), 20 * SECOND);
        assert_eq!(idle.part(15 * SECOND, 2 * SECOND), 15 * SECOND);
    }
}
