use std::{collections::VecDeque, sync::Arc};

use crate::{
    Idle,
    idle::IdleDraw,
    now::nanoseconds,
    placement::{Part, Spread, place},
    proportions::portion,
    request::Entered,
    running::Running,
    settle::{share_idle, share_work},
    state::State,
    timeline::Piece,
};

/// Gives a meter its readings, from one thread. Once it is dropped the meter has stopped: all shares are given as far as they are known.
#[derive(Debug)]
pub struct Feed {
    state: Arc<State>,
    running: Vec<Running>,
    /// Kept for its room.
    entered: Vec<Entered>,
    /// Readings that are not settled.
    intervals: VecDeque<Interval>,
    /// The number of the first of them past which all have reported.
    closed: usize,
    idle: IdleDraw,
    /// The time of the last reading.
    read_to: u64,
    /// The end of the last interval.
    fed_to: u64,
    settled_to: u64,
    /// All requests that began before it are among those running.
    seen: u64,
}

/// Intervals are kept back for at least so long, ns, and so many of them, if work goes on.
const KEPT: u64 = 200_000_000;
const KEPT_INTERVALS: usize = 3;

/// A time between two readings, ns.
#[derive(Clone, Copy, Debug)]
struct Interval {
    from: u64,
    to: u64,
    /// nJ; None if it is not known.
    energy: Option<u64>,
}

/// The sums of intervals.
#[derive(Debug, Default)]
struct Sums {
    total_nj: u128,
    nobody_nj: u128,
    unknown_ns: u64,
}

impl Feed {
    pub(crate) fn new(state: Arc<State>) -> Self {
        let (now, idle) = ((state.now)(), IdleDraw::new(state.options.idle_power));
        let (running, entered, intervals) = (Vec::new(), Vec::new(), VecDeque::new());
        Self {
            state,
            running,
            entered,
            intervals,
            closed: 0,
            idle,
            read_to: now,
            fed_to: now,
            settled_to: now,
            seen: now,
        }
    }

    /// The meter was read at this time, nanoseconds of the meter's clock: so many nanojoules were used since the last reading, or since
    /// the start. None if that is not known, as at the first reading of a counter. A reading that is not later than the last one adds to
    /// the energy of nobody.
    pub fn reading(&mut self, at: u64, nanojoules: Option<u64>) {
        let (from, to) = (self.read_to, at.max(self.read_to));
        self.read_to = to;
        let start = self.fed_to.max(from);
        // The time before was given up as unknown.
        let late = match nanojoules {
            Some(energy) if to <= start => energy,
            Some(energy) => portion(energy, u128::from(start - from), u128::from(to - from)),
            None => 0,
        };
        if late > 0 {
            let mut accounts = self.state.accounts();
            accounts.total_nj += u128::from(late);
            accounts.nobody_nj += u128::from(late);
        }
        if to > start {
            self.intervals.push_back(Interval { from: start, to, energy: nanojoules.map(|energy| energy - late) });
            self.fed_to = to;
        }
    }

    /// The reading before the first one was at this time. Energy before the meter began is nobody's.
    pub(crate) fn start_at(&mut self, at: u64) {
        self.read_to = at.min(self.read_to);
        self.reading(at, None);
    }

    /// Looks what the requests have done, and settles what can be settled. It should come at least as often as readings do.
    pub fn tick(&mut self) {
        self.seen = self.state.enter(&mut self.entered);
        self.take_up();
        let horizon = nanoseconds(self.state.options.horizon);
        if let Some(given_up) = self.seen.checked_sub(horizon).filter(|&to| to > self.fed_to) {
            self.intervals.push_back(Interval { from: self.fed_to, to: given_up, energy: None });
            self.fed_to = given_up;
        }
        let is_closed = |interval: &&Interval| {
            interval.to <= self.seen && (self.seen - interval.to >= horizon || !self.is_open(**interval))
        };
        // One that is closed stays so: whoever enters later does so after it.
        self.closed += self.intervals.iter().skip(self.closed).take_while(is_closed).count();
        self.settle(self.ready(), self.closed);
        self.finish(Running::is_settled);
    }

    /// Takes up the requests that have entered, and looks at all.
    fn take_up(&mut self) {
        if !self.entered.is_empty() {
            let mut accounts = self.state.accounts();
            self.entered.iter().for_each(|request| accounts.model(&request.info.model).running += 1);
        }
        let options = &self.state.options;
        self.running.extend(self.entered.drain(..).map(|entered| Running::new(entered, options)));
        self.running.iter_mut().for_each(|request| request.observe(self.seen));
    }

    fn is_open(&self, Interval { from, to, .. }: Interval) -> bool {
        self.running.iter().any(|request| request.is_present(from, to) && request.is_open(to))
    }

    /// The number of intervals to settle. The intervals after them tell where work across their ends belongs, so some are kept back while
    /// there is such work.
    fn ready(&self) -> usize {
        let closed = self.closed;
        let Some(last) = closed.checked_sub(1).map(|last| self.intervals[last].to) else { return 0 };
        if !self.running.iter().any(|request| request.is_present(last, u64::MAX)) {
            return closed;
        }
        let before = |time: u64| {
            let count = self.intervals.iter().take_while(|interval| interval.to <= time).count();
            let count = count.min(closed.saturating_sub(KEPT_INTERVALS));
            // Not one by one: each time all that are closed are looked at.
            if 2 * count >= (closed - count).max(KEPT_INTERVALS) { count } else { 0 }
        };
        let most = before(last.saturating_sub(KEPT));
        if most == 0 {
            return 0;
        }
        let across = self.running.iter().filter_map(|request| request.work_across(last)).min();
        let lookahead = last.saturating_sub(nanoseconds(self.state.options.lookahead));
        before(across.unwrap_or(last).max(lookahead)).min(most)
    }

    /// Settles the first intervals, by what is known of the first `closed` ones.
    fn settle(&mut self, count: usize, closed: usize) {
        if count == 0 {
            return;
        }
        let ends: Vec<u64> = self.intervals.iter().take(closed).map(|interval| interval.to).collect();
        let spreads = self.spreads(ends[closed - 1]);
        let parts = self.parts(&ends, &spreads, count);
        let before: Vec<[u64; 4]> = self.running.iter().map(|request| request.given.energies()).collect();
        let mut works = vec![[0_u128; 2]; self.running.len()];
        let mut placed = vec![0_u128; spreads.len()];
        let (mut sums, mut parts) = (Sums::default(), parts.into_iter().peekable());
        for (place, interval) in self.intervals.drain(..count).collect::<Vec<_>>().into_iter().enumerate() {
            works.fill([0, 0]);
            while let Some(part) = parts.next_if(|part| part.interval == place) {
                let owner = spreads[part.spread].owner;
                works[owner / 2][owner % 2] += part.work;
                placed[part.spread] += part.work;
            }
            self.settle_one(interval, &works, &mut sums);
        }
        self.closed = closed - count;
        self.book(&sums, before);
        let boundary = ends[count - 1];
        let is_across = |spread: &Spread| spread.from < boundary && spread.to > boundary;
        let mut across = spreads.iter().zip(placed).filter(|(spread, _)| is_across(spread)).map(|(_, work)| work);
        for timeline in self.running.iter_mut().flat_map(Running::timelines) {
            timeline.settle(boundary, &mut across);
        }
    }

    /// The parts of work in the first intervals, in the order of the intervals.
    fn parts(&self, ends: &[u64], spreads: &[Spread], count: usize) -> Vec<Part> {
        let mut idle = self.idle.clone();
        let active =
            |&Interval { from, to, energy }: &Interval| energy.map(|energy| energy - idle.take(energy, to - from));
        let energies: Vec<Option<u64>> = self.intervals.iter().take(ends.len()).map(active).collect();
        let mut parts = place(self.intervals[0].from, ends, &energies, spreads, count);
        parts.retain(|part| part.interval < count);
        parts.sort_unstable_by_key(|part| part.interval);
        parts
    }

    /// Work that is not settled; owners are requests, with their prompt before their tokens.
    fn spreads(&mut self, before: u64) -> Vec<Spread> {
        let timelines = self.running.iter_mut().flat_map(Running::timelines).enumerate();
        let spread = |owner, Piece { from, to, work, .. }| Spread { owner, from, to, work };
        let pieces = timelines.flat_map(|(owner, timeline)| timeline.pieces().map(move |piece| spread(owner, piece)));
        pieces.filter(|spread| spread.from < before).collect()
    }

    fn settle_one(&mut self, interval: Interval, works: &[[u128; 2]], sums: &mut Sums) {
        let Interval { from, to, energy } = interval;
        self.settled_to = to;
        let Some(energy) = energy else {
            sums.unknown_ns += to - from;
            return;
        };
        let (mut present, works): (Vec<&mut Running>, Vec<[u128; 2]>) =
            self.running.iter_mut().zip(works).filter(|(request, _)| request.is_present(from, to)).unzip();
        if present.is_empty() {
            self.idle.learn(energy, to - from);
        }
        let idle = self.idle.take(energy, to - from);
        sums.nobody_nj += u128::from(match self.state.options.idle {
            Idle::Shared => share_idle(&mut present, [from, to], idle),
            Idle::Apart => idle,
        });
        sums.nobody_nj += u128::from(share_work(&mut present, &works, [from, to], energy - idle));
        sums.total_nj += u128::from(energy);
        for request in present {
            request.given.covered_ns += request.time(from, to);
            request.given.intervals += 1;
            request.given.idle_watts = self.idle.watts();
        }
    }

    /// Adds to the accounts, at once, what was settled: whoever looks at them finds that they add up.
    fn book(&self, sums: &Sums, before: Vec<[u64; 4]>) {
        let mut accounts = self.state.accounts();
        // Energy that was taken by time and is not divided into prompt and tokens yet.
        let mut apart = 0;
        for (request, before) in self.running.iter().zip(before) {
            let given = request.given.energies();
            if given != before {
                let [prompt, decode, idle, by_time] = [0, 1, 2, 3].map(|kind| u128::from(given[kind] - before[kind]));
                apart += by_time;
                let account = accounts.model(request.model());
                account.prompt_nj += prompt;
                account.decode_nj += decode;
                account.idle_nj += idle;
            }
        }
        accounts.nobody_nj += sums.nobody_nj;
        accounts.total_nj += sums.total_nj - apart;
        accounts.unknown_ns += sums.unknown_ns;
        accounts.idle_watts = self.idle.watts();
    }

    /// Gives their shares to the requests that are through.
    fn finish(&mut self, is_through: impl Fn(&Running, u64) -> bool) {
        let settled_to = self.settled_to;
        let through: Vec<Running> = self.running.extract_if(.., |request| is_through(request, settled_to)).collect();
        if through.is_empty() {
            return;
        }
        let mut accounts = self.state.accounts();
        let provenance = self.state.provenance;
        let keep: Vec<_> =
            through.into_iter().map(|request| request.finish(self.seen, provenance, &mut accounts)).collect();
        // Whoever is woken may look at the accounts.
        drop(accounts);
        keep.into_iter().for_each(|keep| keep());
    }
}

impl Drop for Feed {
    /// Settles what was read; the time after the last reading stays unknown.
    fn drop(&mut self) {
        self.seen = self.state.close(&mut self.entered);
        self.take_up();
        self.settle(self.intervals.len(), self.intervals.len());
        self.finish(|_, _| true);
    }
}
