use std::collections::BTreeMap;

use irene_numerics::median;
use irene_requests::Figures;
use irene_sampler::{Mean, Provenance};

use crate::{Exchange, Setting, Steady};

/// A setting with its figures.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Measured {
    /// The setting.
    pub setting: Setting,
    /// Mean tokens of a prompt.
    pub prompt: f64,
    /// Mean tokens that were generated for a request.
    pub generated: f64,
    /// Mean number of requests that ran.
    pub concurrency: f64,
    /// Requests in the window; those across its edges count in part.
    pub whole: f64,
    /// Failed requests, each as the share of a whole request that it got done.
    pub broken: f64,
    /// The work in the window.
    pub work: Work,
    /// Whole answers that ended in the window.
    pub requests: usize,
    /// Failures that came in the window, by their kind.
    pub errors: BTreeMap<String, usize>,
    /// The length of the window, s.
    pub window_s: f64,
    /// When the window began, seconds since 1970.
    pub began_unix_s: f64,
    /// Time from the first request to the window, s.
    pub warm_up_s: f64,
    /// Rounds of the window.
    pub rounds: usize,
    /// Its figures; energies are absent where there is none.
    pub figures: Figures,
    /// Its energy.
    pub energy: Option<Energy>,
    /// Why it has no energy, if there is a meter.
    pub no_energy: Option<String>,
    /// The power before the first load, W.
    pub idle_w: Option<f64>,
    /// Remarks.
    pub marks: Vec<Mark>,
}

/// The work in a window, as far as tokens came back, also of requests that failed later.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Requests whose prompts were read.
    pub requests: f64,
    /// Tokens of those prompts.
    pub prompt: f64,
    /// Tokens that came.
    pub generated: f64,
}

/// The energy of a window.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Energy {
    /// J, idling included.
    pub joules: f64,
    /// Where it comes from.
    pub provenance: Provenance,
    /// Readings of the sensor that has the fewest.
    pub readings: usize,
    /// J of each channel that has an energy, also of those that are no part of the whole.
    pub channels: Vec<(String, f64)>,
    /// Energy of a request over parts of the window, with its 95% interval.
    pub request: Option<Mean>,
}

/// A warning for readers of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mark {
    /// The throughput was not steady when the time or the requests were used up.
    NotSteady,
    /// Answers ended before they had as many tokens as were asked for.
    EndedEarly,
    /// The tokens of the prompts were counted in a few of them, not in each.
    PromptSampled,
    /// Some requests failed.
    Failures,
    /// The energy of idling is left out.
    IdleSubtracted,
    /// All prompts begin the same.
    SharedPrefix,
}

impl Mark {
    /// The word in sheets.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotSteady => "not_steady",
            Self::EndedEarly => "ended_early",
            Self::PromptSampled => "prompt_sampled",
            Self::Failures => "failures",
            Self::IdleSubtracted => "idle_subtracted",
            Self::SharedPrefix => "shared_prefix",
        }
    }
}

/// The requests between two times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) whole: f64,
    pub(crate) broken: f64,
    pub(crate) work: Work,
    pub(crate) requests: usize,
    pub(crate) errors: BTreeMap<String, usize>,
    pub(crate) prompt: f64,
    pub(crate) generated: f64,
    pub(crate) concurrency: f64,
    pub(crate) figures: Figures,
}

/// The part of the time between two moments that lies inside a window.
fn overlap((from, to): (f64, f64), (start, end): (f64, f64)) -> f64 {
    (to.min(end) - from.max(start)).max(0.0)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

impl Work {
    /// Tokens are spread over the time from the first to the last. The work on a prompt is spread over the time before its first token that
    /// the fastest prompt takes: the rest of it is waiting.
    fn of(exchanges: &[Exchange], window: (f64, f64)) -> Self {
        let mut work = Self::default();
        let waits = exchanges.iter().filter_map(|one| Some(one.first? - one.started));
        let shortest = waits.fold(f64::INFINITY, f64::min);
        for one in exchanges {
            let share = |from: f64, to: f64| overlap(window, (from, to)) / (to - from).max(1e-9);
            let (read, generated) = match (one.first, one.last) {
                (Some(first), Some(last)) => {
                    let is_inside = first > window.0 && first <= window.1;
                    let later = (one.generated - 1.0).max(0.0) * share(first, last);
                    (share(one.started.max(first - shortest), first), later + f64::from(u8::from(is_inside)))
                }
                _ if one.failure.is_none() => {
                    let share = share(one.started, one.ended);
                    (share, share * one.generated)
                }
                _ => continue,
            };
            work.requests += read;
            work.prompt += read * one.prompt;
            work.generated += generated;
        }
        work
    }
}

impl Traffic {
    /// The requests of a window. A request that reaches over an edge counts with the part of its time that lies inside.
    pub(crate) fn of(exchanges: &[Exchange], window: (f64, f64)) -> Self {
        let (from, to) = window;
        let inside = |time: f64| time > from && time <= to;
        let share = |one: &Exchange| overlap(window, (one.started, one.ended)) / (one.ended - one.started).max(1e-9);
        let good = || exchanges.iter().filter(|one| one.is_good());
        let ended = || good().filter(|one| inside(one.ended));
        let whole: f64 = good().map(share).sum();
        let weighted = |of: fn(&Exchange) -> f64| good().map(|one| share(one) * of(one)).sum::<f64>() / whole;
        let (prompt, generated) = (weighted(|one| one.prompt), weighted(|one| one.generated));
        let gap = |one: &Exchange| Some((one.last? - one.first?) / (one.generated - 1.0)).filter(|gap| *gap > 0.0);
        let firsts = good().filter(|one| one.first.is_some_and(inside));
        let figures = Figures {
            ttft_s: mean(firsts.filter_map(|one| Some(one.first? - one.started))),
            itl_s: median(ended().filter(|one| one.generated > 1.0).filter_map(gap)),
            latency_s: mean(ended().map(|one| one.last.unwrap_or(one.ended) - one.started)),
            tokens_per_s: Some(whole * generated / (to - from)).filter(|rate| *rate > 0.0),
            ..Figures::default()
        };
        let failed = || exchanges.iter().filter(|one| one.failure.is_some());
        let mut errors = BTreeMap::new();
        for failure in failed().filter(|one| inside(one.ended)).filter_map(|one| one.failure.as_ref()) {
            *errors.entry(failure.kind()).or_default() += 1;
        }
        // One that stalls is not worked on after its last token.
        let busy_end = |one: &Exchange| if one.failure.is_some() { one.last.unwrap_or(one.started) } else { one.ended };
        let busy: f64 = exchanges.iter().map(|one| overlap(window, (one.started, busy_end(one)))).sum();
        let broken = failed().map(|one| {
            let length = (busy_end(one) - one.started).max(1e-9);
            one.progress(&figures) * overlap(window, (one.started, busy_end(one))) / length
        });
        Self {
            whole,
            broken: broken.sum(),
            work: Work::of(exchanges, window),
            requests: ended().count(),
            errors,
            prompt,
            generated,
            concurrency: busy / (to - from),
            figures,
        }
    }

    /// Requests that share the window's energy: whole ones, and failed ones by the part that was answered.
    pub(crate) fn served(&self) -> f64 {
        self.whole + self.broken
    }
}

impl Exchange {
    /// How far a failed request came, as the share of a whole one's time at which a whole one is as far.
    fn progress(&self, whole: &Figures) -> f64 {
        if self.first.is_none() {
            return 0.0;
        }
        let [ttft, itl, latency] = [whole.ttft_s, whole.itl_s, whole.latency_s].map(|figure| figure.unwrap_or(0.0));
        let time = ttft + (self.generated - 1.0).max(0.0) * itl;
        if latency > 0.0 { (time / latency).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// The energy of a request in each of a few parts of a window, by whole rounds.
pub(crate) fn parts(steady: &Steady) -> Vec<(f64, f64)> {
    const PARTS: usize = 8;
    let (rounds, count) = (steady.rounds(), steady.rounds().min(PARTS));
    let bound = |part: usize| steady.bounds[part * rounds / count];
    (0..count).map(|part| (bound(part), bound(part + 1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Failure;

    fn exchange(started: f64, ended: f64) -> Exchange {
        Exchange {
            started,
            first: Some(started + 0.2),
            last: Some(ended),
            ended,
            prompt: 100.0,
            generated: 9.0,
            failure: None,
            is_first: false,
        }
    }

    #[test]
    fn requests_at_the_edges_count_by_their_part_inside() {
        let exchanges: Vec<Exchange> = (0..10).map(|place| exchange(f64::from(place), f64::from(place + 1))).collect();
        let traffic = Traffic::of(&exchanges, (2.5, 6.5));
        let Work { requests, prompt, generated } = traffic.work;
        assert!((requests - 4.0).abs() < 1e-9 && (prompt - 400.0).abs() < 1e-6 && (generated - 36.0).abs() < 1e-6);
        assert!((traffic.whole - 4.0).abs() < 1e-9 && (traffic.concurrency - 1.0).abs() < 1e-9);
        assert_eq!((traffic.requests, traffic.prompt, traffic.generated), (4, 100.0, 9.0));
        assert!((traffic.figures.ttft_s.unwrap() - 0.2).abs() < 1e-9);
        assert!((traffic.figures.itl_s.unwrap() - 0.1).abs() < 1e-9);
        assert!((traffic.figures.tokens_per_s.unwrap() - 9.0).abs() < 1e-9);
    }

    #[test]
    fn a_failed_request_is_no_work_and_takes_the_energy_of_what_came_of_it() {
        let mut exchanges: Vec<Exchange> =
            (0..10).map(|place| exchange(f64::from(place), f64::from(place + 1))).collect();
        // Half of its tokens came, then it stalled for 3 s.
        let stalled = Exchange {
            last: Some(2.6),
            ended: 5.6,
            generated: 5.0,
            failure: Some(Failure::Timeout),
            ..exchange(2.0, 5.6)
        };
        let refused = Exchange {
            first: None,
            last: None,
            generated: 0.0,
            failure: Some(Failure::Status(500, String::new())),
            ..exchange(3.0, 3.1)
        };
        exchanges.extend([stalled, refused]);
        let traffic = Traffic::of(&exchanges, (1.0, 9.0));
        assert!((traffic.whole - 8.0).abs() < 1e-9);
        // 0.2 s to the first token and four gaps of 0.1 s, of 1 s.
        assert!((traffic.broken - 0.6).abs() < 1e-9, "{traffic:?}");
        assert!((traffic.concurrency - 1.075).abs() < 1e-9);
        assert_eq!(traffic.errors, BTreeMap::from([("status_500".into(), 1), ("timeout".into(), 1)]));
        assert_eq!(traffic.requests, 8);
        let Work { requests, prompt, generated } = traffic.work;
        assert!((requests - 9.0).abs() < 1e-9 && (prompt - 900.0).abs() < 1e-6 && (generated - 77.0).abs() < 1e-6);
    }
}
