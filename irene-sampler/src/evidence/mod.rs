//! Doubts that readings raise about their sensors: counters that stand still, that show another one's count, or that count
//! less than their parts.

mod doubts;

pub use doubts::Doubt;

use crate::{
    Channel, ChannelId, Findings, LeftOut, Resource, Series,
    total::rules::{covers, is_counter},
};

/// A counter that shows the same reading for so long stands still, seconds.
const PATIENCE: f64 = 1.0;

/// The same for a counter whose update period is not known, seconds.
const LONG_PATIENCE: f64 = 3.0;

/// The same in update periods.
const PERIODS_OF_PATIENCE: f64 = 10.0;

/// A sensor and its parts are compared over at least so many seconds.
const LEAST_COMPARED: f64 = 0.5;

/// A counter may show this share of its parts: the two are not read at the same moment.
const LEAST_SHARE_COUNTED: f64 = 0.9;

/// The same for a power, which some sensors average over many seconds.
const LEAST_SHARE_AVERAGED: f64 = 0.5;

/// Two readings of one counter may lie so many seconds apart.
const SKEW: f64 = 0.1;

/// The readings of some channels; the first few channels are probes.
pub(crate) struct Evidence<'a> {
    pub(crate) channels: &'a [Channel],
    pub(crate) probes: usize,
    pub(crate) series: &'a [Series],
}

impl Evidence<'_> {
    /// The findings so far, and what these readings add.
    pub(crate) fn added_to(&self, findings: &Findings) -> Findings {
        let mut findings = findings.clone();
        for rule in [Self::still, Self::mirrors, Self::below_their_parts] {
            let left: Vec<usize> = self.energies().filter(|&place| !is_left_out(&findings, self.id(place))).collect();
            findings.left_out.extend(rule(self, &left).into_iter().map(|(place, why)| (self.id(place).clone(), why)));
        }
        findings
    }

    /// Whether more readings would not add to the evidence soon.
    pub(crate) fn is_enough(&self) -> bool {
        let energies: Vec<usize> = self.energies().collect();
        energies.iter().all(|&place| {
            let is_known = self.is_alive(place) || self.stands_still(place).is_some();
            let is_spare = || {
                energies.iter().any(|&outer| self.covers(outer, place) && self.is_alive(outer))
                    || !is_counter(&self.channels[place])
            };
            (is_known || is_spare()) && self.is_compared(place, &energies)
        })
    }

    /// How long a counter must stand still until that is evidence, for the slowest of them, seconds.
    pub(crate) fn patience(&self) -> f64 {
        self.energies().map(|place| patience(&self.channels[place])).fold(PATIENCE, f64::max)
    }

    /// How long a counter has shown the same reading, if that is long enough to tell, seconds.
    pub(crate) fn stands_still(&self, place: usize) -> Option<f64> {
        let [first, last] = self.series[place].span()?;
        let is_still = is_counter(&self.channels[place]) && self.series[place].counted() == 0.0;
        Some(last - first).filter(|&seconds| is_still && seconds >= patience(&self.channels[place]))
    }

    fn energies(&self) -> impl Iterator<Item = usize> + '_ {
        (self.probes..self.channels.len()).filter(|&place| self.channels[place].id.metric.is_energy())
    }

    fn id(&self, place: usize) -> &ChannelId {
        &self.channels[place].id
    }

    fn covers(&self, outer: usize, inner: usize) -> bool {
        covers(self.channels, outer, inner)
    }

    fn is_alive(&self, place: usize) -> bool {
        let series = &self.series[place];
        if is_counter(&self.channels[place]) { series.counted() > 0.0 } else { series.pushed() > 0 }
    }

    /// Counters that stand still although the power of the same resource, or of a part of it, is there.
    fn still(&self, left: &[usize]) -> Vec<(usize, LeftOut)> {
        let has_other = |place: usize| {
            left.iter().any(|&other| {
                let is_same = other != place && self.id(other).resource == self.id(place).resource;
                (is_same || self.covers(place, other)) && self.is_alive(other)
            })
        };
        let still = left.iter().filter_map(|&place| Some((place, self.stands_still(place)?)));
        still.filter(|&(place, _)| has_other(place)).map(|(place, time)| (place, LeftOut::StandsStill(time))).collect()
    }

    /// Dies of one package that show one counter, all but the first.
    fn mirrors(&self, left: &[usize]) -> Vec<(usize, LeftOut)> {
        let mut mirrors: Vec<(usize, LeftOut)> = Vec::new();
        for (i, &first) in left.iter().enumerate() {
            for &second in &left[i + 1..] {
                let is_new = mirrors.iter().all(|(place, _)| ![first, second].contains(place));
                if is_new && self.are_dies_of_one_socket(first, second) && self.is_one_counter(first, second) {
                    mirrors.push((second, LeftOut::Mirrors(self.id(first).clone())));
                }
            }
        }
        mirrors
    }

    fn are_dies_of_one_socket(&self, a: usize, b: usize) -> bool {
        match (&self.id(a).resource, &self.id(b).resource) {
            (Resource::Package(a), Resource::Package(b)) | (Resource::Dram(a), Resource::Dram(b)) => {
                a.socket == b.socket && a.die != b.die
            }
            _ => false,
        }
    }

    /// Whether two counters that move show the same reading, as far as they are read at the same moment.
    fn is_one_counter(&self, a: usize, b: usize) -> bool {
        let [one, other] = [&self.series[a], &self.series[b]];
        let (Some([first, last]), Some(left), Some(right)) =
            (one.span(), one.counter_reading(), other.counter_reading())
        else {
            return false;
        };
        let [counted, counted_too] = [one.counted(), other.counted()];
        let tolerance = SKEW * counted.max(counted_too) / (last - first).max(SKEW);
        let mut apart = (left - right).abs();
        if let Some(end) = self.channels[a].wraps_at {
            apart = apart.min((end - apart).abs());
        }
        counted.min(counted_too) > 0.0 && apart <= tolerance && (counted - counted_too).abs() <= tolerance
    }

    /// Sensors that show less than the sensors inside them.
    fn below_their_parts(&self, left: &[usize]) -> Vec<(usize, LeftOut)> {
        left.iter().filter_map(|&outer| Some((outer, self.below_its_parts(outer, left)?))).collect()
    }

    fn below_its_parts(&self, outer: usize, left: &[usize]) -> Option<LeftOut> {
        let parts = self.parts(outer, left);
        let [from, to] = self.common(&parts, outer)?;
        if to - from < LEAST_COMPARED {
            return None;
        }
        let joules = |place: usize| self.series[place].window(from, to).ok()?.energy;
        let own = joules(outer)?;
        let sum: f64 = parts.iter().filter_map(|&part| joules(part)).sum();
        let share = if is_counter(&self.channels[outer]) { LEAST_SHARE_COUNTED } else { LEAST_SHARE_AVERAGED };
        let [watts, parts_watts] = [own, sum].map(|joules| joules / (to - from));
        (own < share * sum).then(|| LeftOut::BelowItsParts { watts, part: self.id(parts[0]).clone(), parts_watts })
    }

    /// The parts of a platform or a board's sensor that are no parts of one another, and each resource once.
    fn parts(&self, outer: usize, left: &[usize]) -> Vec<usize> {
        if !matches!(self.id(outer).resource, Resource::Platform(_) | Resource::Board { .. }) {
            return Vec::new();
        }
        self.parts_of_any(outer, left)
    }

    /// The parts of any sensor that are no parts of one another, and each resource once. It has nothing to say of what may lie behind the
    /// sensor beside it: one of several supplies has a part of the processors' power, and one of several modules some of the GPUs.
    fn parts_of_any(&self, outer: usize, left: &[usize]) -> Vec<usize> {
        let is_beside = |other: usize| {
            let is_other = self.id(other).resource != self.id(outer).resource;
            is_other && !self.covers(outer, other) && !self.covers(other, outer)
        };
        let beside: Vec<usize> = left.iter().copied().filter(|&other| is_beside(other)).collect();
        let is_its = |place: usize| {
            let is_shared = beside.iter().any(|&other| self.covers(other, place));
            self.covers(outer, place) && !is_shared && self.is_alive(place)
        };
        let inner: Vec<usize> = left.iter().copied().filter(|&place| is_its(place)).collect();
        let is_top = |&place: &usize| {
            inner.iter().all(|&other| {
                let is_same = self.id(other).resource == self.id(place).resource;
                !self.covers(other, place) && (!is_same || other >= place)
            })
        };
        inner.iter().copied().filter(is_top).collect()
    }

    /// The time over which a sensor and its parts were all read.
    fn common(&self, parts: &[usize], outer: usize) -> Option<[f64; 2]> {
        let spans: Option<Vec<[f64; 2]>> =
            parts.iter().chain([&outer]).map(|&place| self.series[place].span()).collect();
        let spans = spans.filter(|spans| spans.len() > 1)?;
        let span = |[from, to]: [f64; 2], [start, end]: &[f64; 2]| [from.max(*start), to.min(*end)];
        Some(spans.iter().fold([f64::NEG_INFINITY, f64::INFINITY], span))
    }

    /// Whether a sensor has parts, as far as they move, that were read long enough to compare.
    fn is_compared(&self, place: usize, energies: &[usize]) -> bool {
        let span = self.common(&self.parts(place, energies), place);
        span.is_none_or(|[from, to]| to - from >= LEAST_COMPARED)
    }
}

fn is_left_out(findings: &Findings, id: &ChannelId) -> bool {
    findings.left_out.iter().any(|(left_out, _)| left_out == id)
}

fn patience(channel: &Channel) -> f64 {
    match channel.update_period {
        _ if !is_counter(channel) => 0.0,
        Some(period) => PATIENCE.max(PERIODS_OF_PATIENCE * period.as_secs_f64()),
        None => LONG_PATIENCE,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Metric, Package};

    /// The patience with channels, and whether their readings are enough: they are a tenth of a second apart, and two are kept.
    fn ask(sensors: &[(Channel, &[f64])]) -> (f64, bool) {
        let channels: Vec<Channel> = sensors.iter().map(|(channel, _)| channel.clone()).collect();
        let read = |(channel, values): &(Channel, &[f64])| {
            let mut series = Series::new(channel, 2);
            values.iter().zip(1..).for_each(|(value, tenth)| series.push(f64::from(tenth) / 10.0, *value));
            series
        };
        let series: Vec<Series> = sensors.iter().map(read).collect();
        let evidence = Evidence { channels: &channels, probes: 0, series: &series };
        (evidence.patience(), evidence.is_enough())
    }

    fn counter(resource: Resource) -> Channel {
        Channel::new(resource, Metric::Energy)
    }

    const PACKAGE: Resource = Resource::Package(Package { socket: 0, die: None });

    #[test]
    fn the_slowest_counter_sets_the_patience() {
        let with = |milliseconds: Option<u64>| Channel {
            update_period: milliseconds.map(Duration::from_millis),
            ..counter(Resource::Gpu(0))
        };
        let power = Channel { update_period: Some(Duration::from_secs(9)), ..Channel::new(PACKAGE, Metric::Power) };
        let patience = |channels: &[Channel]| {
            let sensors: Vec<_> = channels.iter().map(|channel| (channel.clone(), &[][..])).collect();
            ask(&sensors).0
        };
        assert_eq!([patience(&[]), patience(std::slice::from_ref(&power)), patience(&[with(Some(50))])], [1.0; 3]);
        assert_eq!(patience(&[with(Some(200)), power, with(Some(20))]), 2.0);
        assert_eq!(patience(&[with(Some(200)), with(None)]), 3.0);
    }

    #[test]
    fn it_is_enough_when_each_counter_has_moved_or_is_not_needed() {
        let is_enough = |sensors: &[(Channel, &[f64])]| ask(sensors).1;
        let gpu = |number| counter(Resource::Gpu(number));
        let power = Channel::new(Resource::Gpu(0), Metric::Power);
        assert!(is_enough(&[]) && is_enough(&[(gpu(0), &[5.0, 7.0])]));
        assert!(is_enough(&[(power, &[])]), "a power may be silent for a while");
        assert!(!is_enough(&[(gpu(0), &[5.0])]));
        assert!(!is_enough(&[(gpu(0), &[5.0, 7.0, 7.0])]), "as far as readings are kept");
        assert!(!is_enough(&[(gpu(0), &[5.0, 7.0]), (gpu(1), &[5.0, 5.0])]));
        let cores = counter(Resource::Cores(Package { socket: 0, die: None }));
        assert!(is_enough(&[(counter(PACKAGE), &[5.0, 7.0]), (cores.clone(), &[5.0, 5.0])]), "part of one that moves");
        assert!(!is_enough(&[(counter(PACKAGE), &[5.0, 5.0]), (cores, &[5.0, 7.0])]));
        let platform = counter(Resource::Platform(0));
        assert!(!is_enough(&[(counter(PACKAGE), &[5.0, 7.0]), (platform, &[5.0, 8.0])]), "too short to compare");
    }
}
