use std::collections::VecDeque;

/// Work over time, as far as it was reported.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// The pieces that are not settled, each piece after the one before.
    pieces: VecDeque<Piece>,
    /// The time of the newest report, or up to which it was settled without one, ns.
    newest: u64,
    /// When it may have been done already, ns: nobody looked between.
    earliest: u64,
    /// All before is settled, or before its begin, ns.
    settled: u64,
    /// A report may come so much later than its work, ns.
    delay: u64,
    /// The tokens of the newest report, and of the one before.
    tokens: [u64; 2],
    /// The work of a token.
    weight: u64,
}

/// The work between two reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Piece {
    /// ns.
    pub(crate) from: u64,
    /// ns.
    pub(crate) to: u64,
    /// The part that is left.
    pub(crate) work: u128,
    /// The part that was settled.
    settled: u128,
}

impl Timeline {
    pub(crate) fn new(weight: u64, start: u64, delay: u64) -> Self {
        Self { pieces: VecDeque::new(), newest: start, earliest: start, settled: start, delay, tokens: [0, 0], weight }
    }

    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        self.pieces.iter().copied()
    }

    /// Its work begins later than it was thought.
    pub(crate) fn start_at(&mut self, time: u64) {
        if self.tokens[0] == 0 {
            self.newest = self.newest.max(time);
            self.earliest = self.newest;
            self.settled = self.newest;
        }
    }

    fn work(&self, tokens: u64) -> u128 {
        u128::from(tokens.saturating_sub(self.tokens[1])) * u128::from(self.weight)
    }

    /// So many tokens were done up to this time, and less at an earlier look. Earlier reports and settled work stay.
    pub(crate) fn report(&mut self, looked: u64, time: u64, tokens: u64) {
        if tokens <= self.tokens[0] {
            return;
        }
        self.tokens = [tokens, self.tokens[0]];
        // A report about settled time is work of the next nanosecond.
        let to = time.max(self.newest + 1);
        let from = self.earliest.saturating_sub(self.delay).max(self.settled).min(to - 1);
        self.pieces.push_back(Piece { from, to, work: self.work(tokens), settled: 0 });
        self.earliest = looked.min(to).max(self.earliest);
        self.newest = to;
    }

    /// The tokens of the newest report were these, as far as it is not settled.
    pub(crate) fn correct(&mut self, tokens: u64) {
        let work = self.work(tokens);
        if let Some(piece) = self.pieces.back_mut() {
            self.tokens[0] = tokens;
            piece.work = work.saturating_sub(piece.settled);
        }
    }

    /// All up to this time is settled, and so much of each of the pieces across it, by their order.
    pub(crate) fn settle(&mut self, to: u64, works: &mut impl Iterator<Item = u128>) {
        self.pieces.retain(|piece| piece.to > to);
        for piece in self.pieces.iter_mut().filter(|piece| piece.from < to) {
            let work = works.next().unwrap_or(0);
            piece.from = to;
            piece.settled += work;
            piece.work = piece.work.saturating_sub(work);
        }
        self.settled = self.settled.max(to);
        self.newest = self.newest.max(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(timeline: &Timeline) -> Vec<(u64, u64, u128)> {
        timeline.pieces().map(|piece| (piece.from, piece.to, piece.work)).collect()
    }

    fn settle(timeline: &mut Timeline, to: u64, works: &[u128]) {
        timeline.settle(to, &mut works.iter().copied());
    }

    #[test]
    fn each_report_adds_the_work_since_the_one_before() {
        let mut timeline = Timeline::new(10, 100, 0);
        timeline.report(180, 200, 1);
        timeline.report(200, 250, 1);
        timeline.report(290, 300, 5);
        timeline.report(300, 310, 6);
        // The first token may have come at 180 already, and the work on the next begun.
        assert_eq!(left(&timeline), [(100, 200, 10), (180, 300, 40), (290, 310, 10)]);
        settle(&mut timeline, 190, &[4, 3]);
        assert_eq!(left(&timeline), [(190, 200, 6), (190, 300, 37), (290, 310, 10)]);
        settle(&mut timeline, 200, &[5]);
        assert_eq!((left(&timeline), timeline.newest()), (vec![(200, 300, 32), (290, 310, 10)], 310));
    }

    #[test]
    fn what_is_told_after_its_time_was_settled_is_work_of_the_time_since() {
        let mut timeline = Timeline::new(1, 0, 0);
        settle(&mut timeline, 100, &[]);
        timeline.report(190, 200, 8);
        settle(&mut timeline, 1000, &[]);
        timeline.report(290, 300, 9);
        assert_eq!(left(&timeline), [(1000, 1001, 1)]);
    }

    #[test]
    fn a_report_can_be_corrected_until_it_is_settled() {
        let mut timeline = Timeline::new(1, 0, 0);
        timeline.report(100, 100, 10);
        settle(&mut timeline, 50, &[5]);
        timeline.correct(20);
        assert_eq!(left(&timeline), [(50, 100, 15)]);
        timeline.correct(4);
        assert_eq!(left(&timeline), [(50, 100, 0)], "nothing is taken back");
        settle(&mut timeline, 100, &[]);
        timeline.correct(40);
        assert_eq!(left(&timeline), []);
    }

    #[test]
    fn work_may_be_older_than_its_report_by_a_delay() {
        let mut timeline = Timeline::new(1, 100, 30);
        timeline.report(140, 150, 1);
        timeline.report(200, 210, 2);
        assert_eq!(left(&timeline), [(100, 150, 1), (110, 210, 1)]);
    }

    #[test]
    fn its_start_moves_until_there_is_work() {
        let mut timeline = Timeline::new(1, 0, 0);
        timeline.start_at(100);
        timeline.report(200, 200, 10);
        timeline.start_at(205);
        timeline.report(210, 210, 11);
        assert_eq!(left(&timeline), [(100, 200, 10), (200, 210, 1)]);
    }
}
