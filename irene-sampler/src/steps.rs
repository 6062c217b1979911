//! The energy of the total from one reading to the next.

use std::collections::VecDeque;

use crate::{Channel, Metric, Provenance, Recording, Series};

/// Follows the energy of a recording's total as its readings come.
///
/// Time is cut where the sensor with the fewest news has one, so that no step rests on less than a reading of each. The steps follow
/// each other without a gap, and their energies add up to the counters'. A counter that is read more often than it is renewed has news
/// when it changes, or when it has stood still for longer than it usually does.
#[derive(Clone, Debug)]
pub struct Steps {
    followed: Vec<Followed>,
    /// The end of the last step.
    cut: Option<f64>,
    provenance: Provenance,
}

/// The energy between two moments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Its start, s.
    pub from: f64,
    /// Its end, s.
    pub to: f64,
    /// Energy, J; None if the readings do not tell: after a reset, and over a gap in readings of power.
    pub joules: Option<f64>,
}

/// A channel of the total.
#[derive(Clone, Debug)]
struct Followed {
    place: usize,
    is_counter: bool,
    /// The number of readings that were followed.
    pushed: u64,
    /// The last of them.
    last: Option<(f64, f64)>,
    /// How long a counter usually stands still, s.
    usual: f64,
    news: VecDeque<News>,
}

/// A moment of which the energy is known.
#[derive(Clone, Copy, Debug)]
struct News {
    time: f64,
    /// J since the first one.
    joules: f64,
    /// Whether the energy since the one before is known.
    is_known: bool,
}

impl Steps {
    /// Begins with the newest readings; None if the recording has no meter.
    pub fn new(recording: &Recording) -> Option<Self> {
        let provenance = recording.total().provenance(recording)?;
        let follow = |place: usize| Followed::new(place, &recording.channels()[place], recording.series(place));
        let followed = recording.totals().iter().copied().map(follow).collect();
        Some(Self { followed, cut: None, provenance })
    }

    /// Where the energy comes from: it is estimated if any part of it is.
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }

    /// The steps that are known since the last call, in their order. The recording is that of the start, with more readings.
    pub fn advance(&mut self, recording: &Recording, mut step: impl FnMut(Step)) {
        for followed in &mut self.followed {
            followed.read(recording.series(followed.place));
        }
        let Some(horizon) = self.bound(VecDeque::back, f64::min) else { return };
        let Some(start) = self.cut.or_else(|| self.bound(VecDeque::front, f64::max)) else { return };
        self.cut = Some(start);
        let lead = self.followed.iter().min_by_key(|followed| followed.between(start, horizon).count());
        let cuts: Vec<f64> = lead.map_or_else(Vec::new, |lead| lead.between(start, horizon).collect());
        for to in cuts {
            let from = self.cut.replace(to).unwrap_or(to);
            // Each channel's part is looked up, known or not: what lies behind the step is forgotten.
            let parts: Vec<Option<f64>> = self.followed.iter_mut().map(|followed| followed.energy(from, to)).collect();
            let joules = parts.into_iter().sum();
            step(Step { from, to, joules });
        }
    }

    /// A time of some news of each channel, and of those one; None if a channel has no news.
    fn bound(&self, which: impl Fn(&VecDeque<News>) -> Option<&News>, one: impl Fn(f64, f64) -> f64) -> Option<f64> {
        let mut bound = None;
        for followed in &self.followed {
            let time = which(&followed.news)?.time;
            bound = Some(bound.map_or(time, |bound| one(bound, time)));
        }
        bound
    }
}

impl Followed {
    /// A counter of which nothing is told is taken to be renewed this often, s, until it shows better.
    const RENEWED: f64 = 0.1;

    /// No counter is waited for longer, s.
    const LONGEST: f64 = 10.0;

    /// So many news are kept while another channel has none.
    const MOST: usize = 1 << 14;

    fn new(place: usize, channel: &Channel, series: &Series) -> Self {
        Self {
            place,
            is_counter: channel.id.metric == Metric::Energy,
            pushed: series.pushed().saturating_sub(1),
            last: None,
            usual: channel.update_period.map_or(Self::RENEWED, |period| period.as_secs_f64()),
            news: VecDeque::new(),
        }
    }

    /// Takes the readings that are new.
    fn read(&mut self, series: &Series) {
        let new = usize::try_from(series.pushed() - self.pushed).unwrap_or(usize::MAX);
        self.pushed = series.pushed();
        let points = series.points();
        let old = points.len().saturating_sub(new);
        for (time, value) in points.skip(old) {
            match self.last {
                None => self.news.push_back(News {
                    time,
                    joules: if self.is_counter { value } else { 0.0 },
                    is_known: true,
                }),
                Some(last) if self.is_counter => self.count(last, (time, value), series),
                Some(last) => self.integrate(last, (time, value), series.longest_gap()),
            }
            self.last = Some((time, value));
        }
        if self.news.len() >= Self::MOST {
            self.thin();
        }
    }

    /// Keeps the first and every second of the news up to the last: a sensor that is silent for days must not fill the memory.
    fn thin(&mut self) {
        let (most, mut left, mut is_known) = (self.news.len(), self.news.len(), true);
        self.news.retain_mut(|news| {
            news.is_known &= is_known;
            let stays = left == most || left % 2 == 1;
            // The time before one that goes is part of the time before the next.
            is_known = stays || news.is_known;
            left -= 1;
            stays
        });
    }

    fn integrate(&mut self, (last, before): (f64, f64), (time, watts): (f64, f64), longest_gap: f64) {
        let joules = self.news.back().map_or(0.0, |news| news.joules) + (before + watts) / 2.0 * (time - last);
        self.news.push_back(News { time, joules, is_known: time - last <= longest_gap });
    }

    fn count(&mut self, (_, before): (f64, f64), (time, total): (f64, f64), series: &Series) {
        let Some(&News { time: newest, .. }) = self.news.back() else { return };
        let waited = time - newest;
        let is_broken = series.is_broken(newest, time);
        if total != before || is_broken {
            // It is slower than was thought, or stood still for once: that is told by more of them.
            self.usual = match waited > 3.0 * self.usual {
                true => (1.5 * self.usual).min(Self::LONGEST),
                false => self.usual + 0.2 * (waited - self.usual),
            };
            self.news.push_back(News { time, joules: total, is_known: !is_broken });
        } else if waited > 2.0 * self.usual {
            // Its energy since its last renewal is not shown yet.
            self.news.push_back(News { time: time - self.usual, joules: total, is_known: true });
        }
    }

    /// The times of its news after one moment and up to another.
    fn between(&self, from: f64, to: f64) -> impl Iterator<Item = f64> + '_ {
        self.news.iter().map(|news| news.time).filter(move |&time| time > from && time <= to)
    }

    /// Joules between two moments within the news; None if they are not known. It forgets the news before.
    fn energy(&mut self, from: f64, to: f64) -> Option<f64> {
        while self.news.get(1).is_some_and(|news| news.time <= from) {
            self.news.pop_front();
        }
        let (mut sum, mut is_known) = (0.0, true);
        for (left, right) in self.news.iter().zip(self.news.iter().skip(1)) {
            let inside = right.time.min(to) - left.time.max(from);
            if left.time >= to {
                break;
            }
            if inside > 0.0 {
                is_known &= right.is_known;
                sum += (right.joules - left.joules) * (inside / (right.time - left.time));
            }
        }
        is_known.then_some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Resource;

    #[test]
    fn while_another_sensor_is_silent_the_news_are_bounded_and_the_energy_is_whole() {
        let channel = Channel::new(Resource::Gpu(0), Metric::Power);
        let mut series = Series::new(&channel, 4);
        let mut followed = Followed::new(0, &channel, &series);
        let mut read = |followed: &mut Followed, time: usize| {
            series.push(time as f64, 10.0);
            followed.read(&series);
        };
        let end = 3 * Followed::MOST;
        // It was not read for a minute at the start.
        (0..5).chain(65..end + 1).for_each(|time| read(&mut followed, time));
        assert!(followed.news.len() < Followed::MOST);
        let end = end as f64;
        assert_eq!(followed.energy(0.0, end), None);
        assert!((followed.energy(200.0, end).unwrap() - 10.0 * (end - 200.0)).abs() < 1e-6);
    }
}
