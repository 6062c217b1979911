//! Which channels of energy and power count, and why the others do not. These are the rules, in the order in which they are asked:
//!
//! 1. The user named other sensors of its kind ([`NotNamed`](LeftOut::NotNamed)).
//! 2. Its readings cannot be right, as [evidence](crate::evidence) finds: it [stands still](LeftOut::StandsStill),
//!    [shows another's counter](LeftOut::Mirrors), or reads [less than its parts](LeftOut::BelowItsParts).
//! 3. Another one that is left [includes](covers) it ([`PartOf`](LeftOut::PartOf), the outermost).
//! 4. Another one that is left tells the energy of the same resource better ([`SameAs`](LeftOut::SameAs)): a counter
//!    before a power, the power of the moment before a mean.
//! 5. It may overlap with another one that is left, which only the maker of the board knows
//!    ([`MayOverlap`](LeftOut::MayOverlap)): the one of which it is less clear what it measures goes, both if it is
//!    equally clear. A single sensor that the user named is believed not to overlap. The parts of what goes may count
//!    now, so rules 3 to 5 are asked again, until none goes.
//!
//! All that are left then add up to the total.
//!
//! | channels | the total |
//! |---|---|
//! | a package, its cores, its memory | the package and its memory, which its counter leaves out |
//! | the same, and the platform (psys) | the platform |
//! | the same, and the platform's counter stands still | the package and its memory |
//! | a platform, a GPU, a package | the GPU and the package: the platform may count the GPU in |
//! | a package, a GPU | both |
//! | the counter of a GPU, its power | the counter |
//! | a package, an estimate for all processors | the package |
//! | a package, a processor with a GPU in it (APU) | the package |
//! | a package, a board's sensor of unknown reach | the package |
//! | two such sensors of boards | none |
//! | the log of a meter, the management controller, a package, a GPU | the log |

use super::{Findings, LeftOut};
use crate::{Channel, Metric, Reach, Resource};

/// Why each channel is left out; None for those of these energies that count, and for channels of other things.
pub(super) fn reasons(channels: &[Channel], energies: &[usize], findings: &Findings) -> Vec<Option<LeftOut>> {
    let mut settled: Vec<Option<LeftOut>> = channels.iter().map(|channel| findings.reason(&channel.id)).collect();
    loop {
        let reasons = covered(channels, energies, &settled);
        let tops: Vec<usize> = energies.iter().copied().filter(|&place| reasons[place].is_none()).collect();
        let overlapping = overlapping(channels, &tops, findings);
        if overlapping.is_empty() {
            return reasons;
        }
        // Their parts may now count.
        for (place, other) in overlapping {
            settled[place] = Some(LeftOut::MayOverlap(channels[other].id.clone()));
        }
    }
}

/// Whether the energy of one channel includes that of another. A part of a sensor is nowhere else than that sensor: what includes other
/// sensors of the same kind, such as another supply or module, does not include the part.
pub(crate) fn covers(channels: &[Channel], outer: usize, inner: usize) -> bool {
    let whole_of = |place: usize| match (&channels[place].id.resource, &channels[place].reach) {
        (Resource::Board { .. }, Reach::PartOf(whole)) => {
            channels.iter().position(|channel| channel.id.resource == *whole)
        }
        _ => None,
    };
    let mut around = inner;
    // No chain of parts is longer than that.
    for _ in channels {
        match whole_of(around) {
            Some(whole) if channels[whole].id.resource != channels[outer].id.resource => around = whole,
            _ => break,
        }
    }
    let is_apart = around != inner && channels[outer].covers(&channels[around]) == Some(false);
    channels[outer].covers(&channels[inner]) == Some(true) && !is_apart
}

/// Why each channel is left out: the reasons known so far, and for a channel that another one includes, that channel.
fn covered(channels: &[Channel], energies: &[usize], settled: &[Option<LeftOut>]) -> Vec<Option<LeftOut>> {
    let mut reasons = settled.to_vec();
    let candidates = || energies.iter().copied().filter(|&place| settled[place].is_none());
    // A counter misses nothing; a mean of the past tells of the past.
    let preference = |place: usize| (channels[place].id.metric, channels[place].averaging, place);
    let is_covered = |place: usize| candidates().any(|other| covers(channels, other, place));
    for place in candidates() {
        let id = &channels[place].id;
        let outer = candidates().filter(|&other| covers(channels, other, place));
        // The outermost one is the one that counts.
        if let Some(outer) = outer.min_by_key(|&outer| is_covered(outer)) {
            reasons[place] = Some(LeftOut::PartOf(channels[outer].id.clone()));
            continue;
        }
        let better = candidates()
            .find(|&other| channels[other].id.resource == id.resource && preference(other) < preference(place));
        reasons[place] = better.map(|better| LeftOut::SameAs(channels[better].id.clone()));
    }
    reasons
}

/// Pairs of channels that may overlap, so that only one may count: the one to drop, and the one to keep; both orders where neither is
/// clearer.
fn overlapping(channels: &[Channel], tops: &[usize], findings: &Findings) -> Vec<(usize, usize)> {
    let mut losers = Vec::new();
    for (i, &a) in tops.iter().enumerate() {
        for &b in &tops[i + 1..] {
            let [one, other] = [&channels[a], &channels[b]];
            let is_clear = one.covers(other).is_some() && other.covers(one).is_some();
            if is_clear || [one, other].iter().any(|channel| findings.is_named(&channel.id.resource)) {
                continue;
            }
            let order = clarity(one).cmp(&clarity(other));
            losers.extend(order.is_le().then_some((a, b)));
            losers.extend(order.is_ge().then_some((b, a)));
        }
    }
    losers
}

/// How well it is known what a channel measures.
fn clarity(channel: &Channel) -> u8 {
    match (&channel.id.resource, &channel.reach) {
        (Resource::Platform(_) | Resource::Apu(_), _) | (Resource::Board { .. }, Reach::Unknown) => 0,
        (Resource::Board { .. }, Reach::Gpu) => 1,
        (Resource::Board { .. }, _) => 2,
        _ => 3,
    }
}

/// Whether a channel counts energy.
pub(crate) fn is_counter(channel: &Channel) -> bool {
    channel.id.metric == Metric::Energy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Total;

    /// The channel of a resource's energy; of its power with a W after the name.
    fn channel(name: &str) -> Channel {
        let (name, metric) = name.strip_suffix(" W").map_or((name, Metric::Energy), |name| (name, Metric::Power));
        Channel::new(Resource::of_name(name), metric)
    }

    /// The names of those that count.
    fn taken<'a>(names: &[&'a str], findings: &Findings) -> Vec<&'a str> {
        let channels: Vec<Channel> = names.iter().map(|name| channel(name)).collect();
        Total::of(&channels, 0, findings, &[]).taken().iter().map(|&place| names[place]).collect()
    }

    #[test]
    fn the_table_of_cases_holds() {
        const PACKAGE: &str = "rapl.package-0";
        let parts = ["rapl.psys", PACKAGE, "rapl.package-0.core", "rapl.package-0.dram"];
        let cases: [(&[&str], &[&str]); 10] = [
            (&parts[1..], &[parts[1], parts[3]]),
            (&parts, &parts[..1]),
            (&["rapl.psys", "gpu0", PACKAGE], &["gpu0", PACKAGE]),
            (&[PACKAGE, "gpu0"], &[PACKAGE, "gpu0"]),
            (&["gpu0 W", "gpu0"], &["gpu0"]),
            (&["tdp", PACKAGE], &[PACKAGE]),
            (&["apu0", PACKAGE], &[PACKAGE]),
            (&["hwmon.nct6775.power1", PACKAGE], &[PACKAGE]),
            (&["hwmon.nct6775.power1", "hwmon.ina226.power1"], &[]),
            (&["gpu0", PACKAGE, "ipmi", "log"], &["log"]),
        ];
        for (names, expected) in cases {
            assert_eq!(taken(names, &Findings::default()), expected, "{names:?}");
        }
        let still = (channel("rapl.psys").id, LeftOut::StandsStill(3.0));
        let findings = Findings { left_out: vec![still], ..Findings::default() };
        assert_eq!(taken(&parts, &findings), [parts[1], parts[3]]);
    }
}
