//! A stretch of time and the meter's joules in it.

use irene_sampler::{ChannelId, NoEnergy, Recording, Silent, Total, WindowError};

use super::{processes::sum, summary};

/// The time that figures are about.
pub(super) struct Span {
    pub(super) start: f64,
    /// The start, or the time from which on all readings are kept.
    pub(super) from: f64,
    pub(super) end: f64,
    /// Joules of the meter in this time.
    pub(super) joules: Option<f64>,
    /// How often the energy between two readings was unknown, and is not in these joules.
    pub(super) gaps: u64,
    /// A sensor of the meter that had no reading of now, neither at the start nor at the end.
    pub(super) silent: Option<Silent>,
}

impl Span {
    /// Whether some readings of this time are no longer kept.
    pub(super) fn is_cut(&self) -> bool {
        self.from > self.start
    }

    /// The sensors whose energy is told: those that were counted from the start on, or where all readings are kept, those that these bear
    /// out.
    pub(super) fn total(&self, recording: &Recording) -> Total {
        let is_counted = self.is_cut() && self.joules.is_some();
        if is_counted { recording.total().clone() } else { recording.judged() }
    }

    /// Why a channel's figures are of no use.
    pub(super) fn trouble(&self, id: &ChannelId) -> Option<&str> {
        self.silent.as_ref().filter(|silent| silent.id == *id).map(|silent| silent.why.as_str())
    }

    /// The joules of these sensors in this time; None if there are no sensors.
    ///
    /// # Errors
    /// The sensor that has no figure, with the reason.
    pub(super) fn energy(&self, recording: &Recording, total: &Total) -> Result<Option<f64>, String> {
        let mut ids = total.taken().iter().map(|&place| &recording.channels()[place].id);
        if let Some((id, why)) = ids.clone().find_map(|id| Some((id, self.trouble(id)?))) {
            return Err(format!("{id}: {why}"));
        }
        let none = |id: &ChannelId, error| format!("{id}: {}", summary::reason(error));
        match (self.joules, ids.next()) {
            _ if !self.is_cut() => {
                let window = total.window(recording, self.start, self.end);
                Ok(window.map_err(|NoEnergy { id, error }| none(&id, error))?.map(|window| window.joules))
            }
            (None, Some(first)) => Err(none(first, WindowError::NotCovered)),
            (joules, _) => Ok(joules),
        }
    }
}

/// The meter's joules at the start, which are known once each sensor has a reading after it.
pub(super) struct Before {
    start: f64,
    joules: Vec<Option<f64>>,
}

impl Before {
    pub(super) fn new(start: f64, recording: &Recording) -> Self {
        Self { start, joules: vec![None; recording.totals().len()] }
    }

    /// Takes what is known by now. Later the readings around the start may be gone.
    pub(super) fn look(&mut self, recording: &Recording) {
        for (joules, &place) in self.joules.iter_mut().zip(recording.totals()) {
            *joules = joules.or_else(|| recording.series(place).joules_at(self.start));
        }
    }

    pub(super) fn is_known(&self) -> bool {
        self.joules.iter().all(Option::is_some)
    }

    /// Joules from the start to this time; None without a meter, or if a sensor's readings do not reach both.
    pub(super) fn until(&self, end: f64, recording: &Recording) -> Option<f64> {
        let used =
            |(before, &place): (&Option<f64>, &usize)| Some(recording.series(place).joules_at(end)? - (*before)?);
        sum(self.joules.iter().zip(recording.totals()).map(used))
    }
}

#[cfg(test)]
mod tests {
    use irene_sampler::{Channel, Metric, Readings, Recorder, Resource, Sensor, Stamp};

    use super::*;

    /// A meter that reads 200 W.
    struct Log([Channel; 1]);

    impl Sensor for Log {
        fn channels(&self) -> &[Channel] {
            &self.0
        }

        fn sample(&mut self, readings: &mut Readings<'_>) {
            readings.push(0, 200.0);
        }
    }

    #[test]
    fn joules_are_those_between_the_start_and_the_end_and_not_between_lines_of_a_log() {
        let log = Log([Channel::new(Resource::Meter("log".into()), Metric::Power)]);
        let mut recorder = Recorder::new(vec![Box::new(log) as Box<dyn Sensor>], 4);
        let mut before = Before::new(4.0, recorder.recording());
        assert_eq!(before.until(4.0, recorder.recording()), None, "nothing was read yet");
        for line in 0..8 {
            let time = 10.0 * f64::from(line);
            recorder.sample_at(Stamp { time, wall: time });
            before.look(recorder.recording());
            assert_eq!(before.is_known(), line > 0);
        }
        assert_eq!(before.until(66.0, recorder.recording()), Some(200.0 * 62.0));
        assert_eq!(before.until(71.0, recorder.recording()), None, "no line has come that reaches the end");
        let mut late = Before::new(4.0, recorder.recording());
        late.look(recorder.recording());
        assert_eq!(late.until(66.0, recorder.recording()), None, "the lines around the start are gone");
    }

    #[test]
    fn figures_that_rest_on_a_part_of_the_time_are_not_told_as_those_of_all() {
        let log = Log([Channel::new(Resource::Meter("log".into()), Metric::Power)]);
        let mut recorder = Recorder::new(vec![Box::new(log) as Box<dyn Sensor>], 8);
        (0..20).map(f64::from).for_each(|time| recorder.sample_at(Stamp { time, wall: time }));
        let recording = recorder.recording();
        let span = |from: f64, joules: Option<f64>| Span { start: 2.0, from, end: 18.0, joules, gaps: 0, silent: None };
        let energy = |span: Span| span.energy(recording, &span.total(recording));
        assert_eq!(energy(span(12.0, Some(3200.0))), Ok(Some(3200.0)));
        assert_eq!(energy(span(12.0, None)), Err("log: the readings do not cover it".into()));
        assert_eq!(energy(span(2.0, Some(3200.0))), Err("log: the readings do not cover it".into()));
    }
}
