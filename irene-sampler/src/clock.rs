use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Counts seconds from a common start and never goes backwards. All times of a recording are of one clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

/// One moment by two clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stamp {
    /// Seconds since the clock's start.
    pub time: f64,
    /// Seconds since 1970 by the system's clock, which somebody may set.
    pub wall: f64,
}

impl Clock {
    /// A clock that starts now.
    #[allow(clippy::new_without_default)] // two clocks are not equal, which a default would suggest
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Seconds since the start.
    pub fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// This moment by both clocks.
    pub fn stamp(&self) -> Stamp {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
        Stamp { time: self.now(), wall }
    }
}
