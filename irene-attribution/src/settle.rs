//! An interval's energy among the requests that ran in it.

use crate::{
    proportions::{portion, split},
    running::Running,
};

/// Shares the idle energy of an interval evenly among those that run, at each moment; what nobody gets.
pub(crate) fn share_idle(present: &mut [&mut Running], [from, to]: [u64; 2], idle: u64) -> u64 {
    let ends = present.iter().flat_map(|request| <[u64; 2]>::from(request.span()));
    let mut cuts: Vec<u64> = ends.filter(|&time| time > from && time < to).chain([from, to]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let (mut given, mut nobody) = (0, 0);
    for cut in cuts.windows(2) {
        let by_then = portion(idle, u128::from(cut[1] - from), u128::from(to - from));
        let pot = by_then - std::mem::replace(&mut given, by_then);
        let runs = |request: &Running| request.time(cut[0], cut[1]) > 0;
        let count = present.iter().filter(|request| runs(request)).count() as u64;
        let each = pot.checked_div(count).unwrap_or(0);
        nobody += pot - each * count;
        present.iter_mut().filter(|request| runs(request)).for_each(|request| request.given.idle_nj += each);
    }
    nobody
}

/// Shares the rest of an interval's energy by the work that was done in it; what nobody gets.
pub(crate) fn share_work(present: &mut [&mut Running], works: &[[u128; 2]], [from, to]: [u64; 2], active: u64) -> u64 {
    let works = works.as_flattened();
    let mut left = active;
    if present.iter().any(|request| request.counts_by_time(to)) {
        // They get the share of their time, and all if nobody else tells of work.
        let time = |request: &Running| u128::from(request.time(from, to));
        let open = present.iter().map(|request| if request.counts_by_time(to) { time(request) } else { 0 });
        let open: Vec<u128> = open.collect();
        let all: u128 = present.iter().map(|request| time(request)).sum();
        let is_alone = works.iter().all(|&work| work == 0);
        let pot = if is_alone { active } else { portion(active, open.iter().sum(), all) };
        left -= pot;
        left += split(pot, open.into_iter(), |place, share| present[place].take_by_time(share));
    }
    split(left, works.iter().copied(), |place, share| {
        let given = &mut present[place / 2].given;
        *(if place % 2 == 0 { &mut given.prompt_nj } else { &mut given.decode_nj }) += share;
    })
}
