//! More at once, up to a bound on latency.

use irene_requests::Load;

use super::{Advice, Idea, Kind};
use crate::{Bounds, Change, Estimate};

/// Where nothing is said of latency, a request may take so many times as long.
const SLOWER: f64 = 2.0;

/// More than anyone runs at once: where memory sets no bound, the search ends.
const MOST: usize = 1 << 14;

impl Advice<'_> {
    pub(super) fn load(&mut self) {
        match self.a.selection.row.load {
            Some(Load::Sequences(now)) => self.grow(Kind::Batch, "batch_size", now),
            Some(Load::Concurrency(now)) => self.grow(Kind::Concurrency, "concurrency", now.round().max(1.0) as usize),
            _ => self.leave_out(Kind::Concurrency, "as many run at once as arrivals bring: it follows from the rate"),
        }
    }

    /// The most at once that saves within the bounds: doubled until a bound is broken, and then between.
    fn grow(&mut self, kind: Kind, name: &str, now: usize) {
        let (bounds, assumed) = self.bounds_of_load();
        let room = self.a.memory.map_or(MOST, |memory| memory.most_sequences).min(MOST);
        if now >= room {
            return self.leave_out(kind, format!("the memory has room for {room} at once, and as many are asked for"));
        }
        let tried = |count: usize| {
            let estimate = self.estimate(&[Change::new(name, count.to_string())]).map_err(|error| error.to_string())?;
            match bounds.broken_by(&estimate) {
                Some(broken) => Err(broken),
                None => Ok(estimate),
            }
        };
        let (mut best, mut refused): (Option<(usize, Estimate)>, Option<(usize, String)>) = (None, None);
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
        match (best, refused) {
            (Some((count, estimate)), _) => {
                let title = format!("Serve {count} at once instead of {now}");
                let title = if kind == Kind::Batch { format!("Batches of {count} instead of {now}") } else { title };
                let why =
                    "the weights are read once for more sequences, and the power that flows anyway is shared by them";
                let mut idea = Idea::new(kind, vec![Change::new(name, count.to_string())], title, why);
                idea.assumed = assumed;
                self.take_up(idea, &estimate);
            }
            (None, Some((count, reason))) => self.leave_out(kind, format!("{count} at once: {reason}")),
            (None, None) => self.leave_out(kind, "nothing larger fits"),
        }
    }

    /// The one with less energy.
    fn better(&self, best: Option<(usize, Estimate)>, new: (usize, Estimate)) -> Option<(usize, Estimate)> {
        let energy = |of: &Estimate| of.energy_j(self.by()).unwrap_or(f64::INFINITY);
        match best {
            Some(best) if energy(&best.1) <= energy(&new.1) => Some(best),
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
