//! A server with continuous batching in scripted time: prompts one after the other, then a step in which each sequence gets a token.

use irene_attribution::{Options, Request, RequestInfo, Share, Weights};
use irene_sampler::Pending;

use crate::scripted_time::{MS, Scripted};

/// The energies and times of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    pub(crate) prompt_j: f64,
    pub(crate) token_j: f64,
    /// J of a step, whatever the number of sequences in it.
    pub(crate) step_j: f64,
    pub(crate) idle_w: f64,
    pub(crate) prompt_ns: u64,
    pub(crate) step_ns: u64,
    pub(crate) sequence_ns: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            prompt_j: 0.01,
            token_j: 0.2,
            step_j: 0.0,
            idle_w: 60.0,
            prompt_ns: 50_000,
            step_ns: 12 * MS,
            sequence_ns: 100_000,
        }
    }
}

/// A kind of request: the least and the greatest number of tokens of its prompt and of its answer.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    prompt: [u64; 2],
    generate: [u64; 2],
    /// Its client goes away before the end.
    is_cancelled: bool,
}

pub(crate) const KINDS: [Kind; 5] = [
    Kind { name: "chat", prompt: [400, 800], generate: [40, 80], is_cancelled: false },
    Kind { name: "long", prompt: [200, 400], generate: [150, 250], is_cancelled: false },
    Kind { name: "embedding", prompt: [600, 900], generate: [0, 0], is_cancelled: false },
    Kind { name: "cancelled", prompt: [400, 800], generate: [30, 60], is_cancelled: true },
    Kind { name: "refused", prompt: [0, 0], generate: [0, 0], is_cancelled: false },
];

/// A request to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Each sends its next request when the last one is over.
    pub(crate) clients: usize,
    pub(crate) requests: usize,
    /// The time between readings of the meter, which shows microjoules.
    pub(crate) period_ms: u64,
    /// Whether the meter is told when work on a prompt starts; who only forwards requests does not know it.
    pub(crate) tells_start: bool,
    pub(crate) seed: u64,
}

impl Default for Work {
    fn default() -> Self {
        Self { clients: 8, requests: 300, period_ms: 10, tells_start: true, seed: 1 }
    }
}

/// The true energy of a request, J.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Truth {
    pub(crate) kind: usize,
    pub(crate) prompt_j: f64,
    pub(crate) decode_j: f64,
    pub(crate) idle_j: f64,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Begin { prompt: u64 },
    Start,
    Token,
    End,
    Cancel,
}

/// The work of a server.
#[derive(Default)]
struct Script {
    /// Time in ns, request, event.
    events: Vec<(u64, usize, Event)>,
    /// Start and end in ns, J.
    energy: Vec<(u64, u64, f64)>,
    truths: Vec<Truth>,
    end: u64,
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn within(&mut self, [least, most]: [u64; 2]) -> u64 {
        least + self.next() % (most - least + 1)
    }
}

struct Sequence {
    request: usize,
    left: u64,
    is_cancelled: bool,
}

/// It stands idle for so long at first.
const STILL: u64 = 2000 * MS;

impl Script {
    fn of(server: &Server, work: &Work) -> Self {
        let mut script = Self::default();
        let mut random = Random(work.seed);
        let mut arrivals: Vec<u64> = (0..work.clients).map(|_| STILL + random.within([0, 50 * MS])).collect();
        let (mut now, mut running): (u64, Vec<Sequence>) = (0, Vec::new());
        loop {
            arrivals.sort_unstable_by(|a, b| b.cmp(a));
            while script.truths.len() < work.requests && arrivals.last().is_some_and(|&at| at <= now) {
                let arrived = arrivals.pop().unwrap();
                match script.begin(server, &mut random, arrived, &mut now) {
                    Some(sequence) => running.push(sequence),
                    None => arrivals.insert(0, now.max(arrived) + random.within([MS, 20 * MS])),
                }
                arrivals.sort_unstable_by(|a, b| b.cmp(a));
            }
            if !running.is_empty() {
                let ended = script.step(server, &mut running, &mut now);
                arrivals.extend((0..ended).map(|_| now + random.within([MS, 20 * MS])));
            } else if script.truths.len() < work.requests {
                now = *arrivals.last().unwrap();
            } else {
                script.end = now;
                script.events.sort_by_key(|event| event.0);
                return script;
            }
        }
    }

    /// Takes up a request: its prompt is worked on now. None if it is over then.
    fn begin(&mut self, server: &Server, random: &mut Random, arrived: u64, now: &mut u64) -> Option<Sequence> {
        let request = self.truths.len();
        let kind = [0, 0, 0, 1, 1, 2, 3, 4][random.within([0, 7]) as usize];
        let Kind { prompt, generate, is_cancelled, .. } = KINDS[kind];
        let (prompt, generate) = (random.within(prompt), random.within(generate));
        self.events.push((arrived, request, Event::Begin { prompt }));
        let prompt_j = prompt as f64 * server.prompt_j;
        self.truths.push(Truth { kind, prompt_j, ..Truth::default() });
        if prompt == 0 {
            self.events.push((arrived + MS, request, Event::End));
            return None;
        }
        self.events.push((*now, request, Event::Start));
        let over = *now + prompt * server.prompt_ns;
        self.energy.push((*now, over, prompt_j));
        *now = over;
        if generate == 0 {
            self.events.push((over, request, Event::End));
            return None;
        }
        Some(Sequence { request, left: generate, is_cancelled })
    }

    /// Each sequence gets a token; the number of those that are over.
    fn step(&mut self, server: &Server, running: &mut Vec<Sequence>, now: &mut u64) -> usize {
        let count = running.len();
        let (began, over) = (*now, *now + server.step_ns + count as u64 * server.sequence_ns);
        self.energy.push((began, over, count as f64 * server.token_j + server.step_j));
        *now = over;
        for sequence in &mut *running {
            self.truths[sequence.request].decode_j += server.token_j + server.step_j / count as f64;
            sequence.left -= 1;
            let event = match sequence.left {
                // The client goes away in the middle of a step, whose token nobody sees.
                0 if sequence.is_cancelled => (began.midpoint(over), sequence.request, Event::Cancel),
                _ => (over, sequence.request, Event::Token),
            };
            self.events.push(event);
            if sequence.left == 0 && !sequence.is_cancelled {
                self.events.push((over, sequence.request, Event::End));
            }
        }
        running.retain(|sequence| sequence.left > 0);
        count - running.len()
    }

    /// Adds what each had of the idle power, evenly at each moment.
    fn share_idle(&mut self, idle_w: f64) {
        let (mut running, mut last): (Vec<usize>, u64) = (Vec::new(), 0);
        for &(at, request, event) in &self.events {
            let each = idle_w * (at - last) as f64 * 1e-9 / running.len().max(1) as f64;
            running.iter().for_each(|&request| self.truths[request].idle_j += each);
            last = at;
            match event {
                Event::Begin { .. } => running.push(request),
                Event::Start | Event::Token => {}
                Event::End | Event::Cancel => running.retain(|&other| other != request),
            }
        }
    }
}

/// Readings of the meter: the time in ns, and the microjoules that it shows.
fn readings(script: &Script, server: &Server, period_ms: u64) -> Vec<(u64, u64)> {
    let (mut done, mut next) = (0.0, 0);
    let mut random = Random(period_ms);
    let mut at = 0;
    let mut readings = Vec::new();
    while at < script.end + 3 * period_ms * MS {
        // No thread wakes up on time.
        at += period_ms * MS + random.within([0, period_ms * MS / 20]);
        while script.energy.get(next).is_some_and(|piece| piece.1 <= at) {
            done += script.energy[next].2;
            next += 1;
        }
        let current = script.energy.get(next).filter(|piece| piece.0 < at);
        let part = current.map_or(0.0, |&(from, to, joules)| joules * (at - from) as f64 / (to - from) as f64);
        readings.push((at, ((done + part + server.idle_w * at as f64 * 1e-9) * 1e6) as u64));
    }
    readings
}

/// The meter's thread looks at the requests at least this often, ns.
const LOOK: u64 = 10 * MS;

pub(crate) fn weights_of(server: &Server) -> Weights {
    Weights::new(server.prompt_j, server.token_j).unwrap()
}

/// Serves, and shares; what each request took and what it was given.
pub(crate) fn serve(server: &Server, work: &Work, options: Options) -> Vec<(Truth, Share)> {
    let mut script = Script::of(server, work);
    script.share_idle(server.idle_w);
    let mut scripted = Scripted::new(options);
    let mut requests: Vec<Option<Request>> = script.truths.iter().map(|_| None).collect();
    let mut shares: Vec<Option<Pending<Share>>> = script.truths.iter().map(|_| None).collect();
    let mut events = script.events.iter().peekable();
    let (mut last, mut looked) = (0, 0);
    for (at, microjoules) in readings(&script, server, work.period_ms) {
        while let Some(&(time, place, event)) = events.next_if(|event| event.0 <= at) {
            while looked + LOOK <= time {
                looked += LOOK;
                scripted.at(looked);
                scripted.feed.tick();
            }
            scripted.at(time);
            match event {
                Event::Begin { prompt } => {
                    let request = scripted.begin(RequestInfo::from(KINDS[script.truths[place].kind].name));
                    request.prompt(prompt);
                    requests[place] = Some(request);
                }
                Event::Start if work.tells_start => requests[place].as_ref().unwrap().prompt_started(),
                Event::Start => {}
                Event::Token => requests[place].as_ref().unwrap().tokens(1),
                Event::End => shares[place] = requests[place].take().map(Request::end),
                Event::Cancel => shares[place] = requests[place].take().map(Request::cancel),
            }
        }
        scripted.reading(at, Some((microjoules - last) * 1000));
        last = microjoules;
    }
    let accounts = scripted.meter.accounts();
    assert_eq!(accounts.shared_nj() + accounts.nobody_nj, accounts.total_nj);
    assert_eq!(accounts.total_nj, u128::from(last) * 1000);
    drop(scripted.feed);
    script.truths.iter().zip(shares).map(|(truth, share)| (*truth, share.unwrap().try_get().unwrap())).collect()
}
