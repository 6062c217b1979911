use crate::IdlePower;

/// The machine's power while nothing runs.
#[derive(Clone, Debug)]
pub(crate) struct IdleDraw {
    power: IdlePower,
    /// The learned mean in watts, and the seconds behind it.
    learned: (f64, f64),
    /// Nanojoules that earlier intervals had less than the idle energy: a counter that is late shows them in one of the next.
    lacking: u64,
}

impl IdleDraw {
    /// Less time tells nothing, s.
    const LEAST: f64 = 0.5;

    /// Lacking idle energy is remembered for so long, ns.
    const LATE: f64 = 1e9;

    /// Older time is forgotten, s.
    const MOST: f64 = 60.0;

    pub(crate) fn new(power: IdlePower) -> Self {
        Self { power, learned: (0.0, 0.0), lacking: 0 }
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

    /// The idle part of the energy of the next interval.
    pub(crate) fn take(&mut self, nanojoules: u64, nanoseconds: u64) -> u64 {
        let watts = self.watts().unwrap_or(0.0);
        let idle = ((watts * nanoseconds as f64).round() as u64).saturating_add(self.lacking);
        let part = nanojoules.min(idle);
        // No counter is late for longer.
        self.lacking = (idle - part).min((watts * Self::LATE) as u64);
        part
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
        assert_eq!((idle.watts(), idle.take(9, SECOND)), (None, 0), "too little time to tell");
        idle.learn(16 * SECOND, SECOND);
        assert!((idle.watts().unwrap() - 16.4 / 1.1).abs() < 1e-9);
        (0..600).for_each(|_| idle.learn(10 * SECOND, SECOND));
        assert!((idle.watts().unwrap() - 10.0).abs() < 0.01, "what is long ago is forgotten");
    }

    #[test]
    fn it_is_no_more_than_the_energy_and_a_late_counter_makes_up_for_it() {
        let mut idle = IdleDraw::new(IdlePower::Given(10.0));
        assert_eq!(idle.take(30 * SECOND, 2 * SECOND), 20 * SECOND);
        assert_eq!(idle.take(15 * SECOND, 2 * SECOND), 15 * SECOND);
        assert_eq!(idle.take(40 * SECOND, SECOND), 15 * SECOND);
        assert_eq!(idle.take(0, 100 * SECOND), 0);
        assert_eq!(idle.take(100 * SECOND, SECOND), 20 * SECOND, "no more than a second's");
    }
}
