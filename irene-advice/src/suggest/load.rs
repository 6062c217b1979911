//! More at once, up to a bound on latency.

use irene_requests::Load;

use super::{Advice, Idea, Kind};
use crate::{Bounds, Change, Estimate, fields::told};

/// Where nothing is said of latency, a request may take so many times as long.
const SLOWER: f64 = 2.0;

/// More than anyone runs at once: where memory sets no bound, the search ends.
const MOST: usize = 1 << 14;

/// A number at once, and what it takes.
type Tried = (usize, Estimate);

/// A number at once, and the bound that it breaks.
type Refused = (usize, String);

impl Advice<'_> {
    pub(super) fn load(&mut self) {
        match self.a.selection.row.load {
            Some(Load::Sequences(now)) => self.grow(Kind::Batch, "batch_size", now),
            Some(Load::Concurrency(now)) => self.grow(Kind::Concurrency, "concurrency", now.round().max(1.0) as usize),
            _ => self.leave_out(Kind::Concurrency, "as many run at once as arrivals bring: it follows from the rate"),
        }
    }

    /// As many at once as the bounds and the memory allow, and of those the number that takes the least energy.
    fn grow(&mut self, kind: Kind, name: &str, now: usize) {
        let (bounds, assumed) = self.bounds_of_load();
        let room = self.a.memory.map_or(MOST, |memory| memory.most_sequences).min(MOST);
        if now >= room {
            return self.leave_out(kind, format!("the memory has room for {room} at once, and as many are asked for"));
        }
        match self.most(name, [now, room], bounds) {
            (Some((count, estimate)), _) => {
                let title = match kind {
                    Kind::Batch => format!("Batches of {count} instead of {now}"),
                    _ => format!("Serve {count} at once instead of {now}"),
                };
                let why =
                    "the weights are read once for more sequences, and the power that flows anyway is shared by them";
                let idea = Idea::new(kind, vec![Change::new(name, count.to_string())], title, why);
                self.take_up(Idea { assumed, ..idea }, &estimate);
            }
            (None, Some((count, reason))) => self.leave_out(kind, format!("{count} at once: {reason}")),
            (None, None) => self.leave_out(kind, "nothing larger fits"),
        }
    }

    /// Doubles the number until a bound is broken, and then searches between.
    fn most(&self, name: &str, [now, room]: [usize; 2], bounds: Bounds) -> (Option<Tried>, Option<Refused>) {
        let tried = |count: usize| {
            let estimate = self.estimate(&[Change::new(name, count.to_string())]).map_err(|error| told(&error))?;
            bounds.broken(&estimate).map_or(Ok(estimate), |(broken, _)| Err(broken))
        };
        let (mut best, mut refused): (Option<Tried>, Option<Refused>) = (None, None);
        let (mut low, mut step) = (now, 2 * now);
        while low < room && refused.is_none() {
            let count = step.min(room);
            match tried(count) {
                Ok(estimate) => (low, best) = (count, self.better(best, (count, estimate))),
                Err(reason) => refused = Some((count, reason)),
            }
            step *= 2;
        }
        let mut high = refused.as_ref().map_or(low, |(count, _)| *count);
        while high - low > (low / 16).max(1) {
            let middle = low.midpoint(high);
            match tried(middle) {
                Ok(estimate) => (low, best) = (middle, self.better(best, (middle, estimate))),
                Err(_) => high = middle,
            }
        }
        (best, refused)
    }

    /// The one with less energy.
    fn better(&self, best: Option<Tried>, new: Tried) -> Option<Tried> {
        match best {
            Some(best) if self.energy(&best.1) <= self.energy(&new.1) => Some(best),
            _ => Some(new),
        }
    }

    /// The bounds that are given, or a usual one with the words for it.
    fn bounds_of_load(&self) -> (Bounds, Option<String>) {
        if !self.bounds.is_empty() {
            return (self.bounds, None);
        }
        let figures = &self.a.figures;
        let slower = |seconds: Option<f64>| seconds.map(|seconds| SLOWER * seconds);
        let is_one_by_one = matches!(self.a.selection.row.load, Some(Load::Concurrency(_))) && figures.itl_s.is_some();
        let bounds = if is_one_by_one {
            Bounds { max_itl_s: slower(figures.itl_s), ..Bounds::default() }
        } else {
            Bounds { max_latency_s: slower(figures.latency_s), ..Bounds::default() }
        };
        let what = if is_one_by_one { "the time between tokens" } else { "the time of a batch" };
        (bounds, Some(format!("{what} may be up to {SLOWER} times as long as now, where no bound is given")))
    }
}
