//! Passes that differ in the number of their sequences alone. Each count of each kernel (FLOPs, bytes, rows) grows by the same amount with every
//! sequence: a product of 8 GFLOP for 4 sequences and of 12 for 6 has 16 for 8. So two passes that were followed give all others, if a third that was
//! followed is as these two have it.

use std::sync::Arc;

use irene_devices::{Work, WorkKind};
use irene_tree::{OpKind, Operation, Size};

/// A pass that was followed: its kernels and how often each runs.
pub(super) struct Traced {
    pub(super) works: Vec<(Work, f64)>,
    sequences: usize,
    /// Tokens that a router sees.
    tokens: f64,
    /// The products of experts, by their place among the works.
    grouped: Vec<(usize, Grouped)>,
    /// How many of how many a router takes, of each router.
    choices: Vec<f64>,
}

/// A product of experts, and the size of its weights.
struct Grouped {
    operation: Operation,
    experts: f64,
    numbers_of_one: f64,
}

impl Grouped {
    fn of(operation: &Operation) -> Option<Self> {
        let dims = operation.inputs.get(1).filter(|_| operation.kind == OpKind::GroupedLinear)?.shape.dims();
        let numbers_of_one = dims.iter().skip(1).map(|&dim| dim as f64).product();
        Some(Self { operation: operation.clone(), experts: *dims.first()? as f64, numbers_of_one })
    }

    /// The numbers that are read where each token is sent to this share of the experts, as irene-models counts them.
    fn touched(&self, share: f64, tokens: f64) -> u64 {
        let expected = 1.0 - (1.0 - share).max(0.0).powf(tokens);
        (self.experts * expected * self.numbers_of_one).round() as u64
    }
}

impl Traced {
    pub(super) fn of(launches: &[(Operation, u64)], size: Size) -> Self {
        let works = launches.iter().map(|(operation, times)| (Work::of(operation), *times as f64)).collect();
        let grouped = launches.iter().enumerate();
        let grouped = grouped.filter_map(|(place, (operation, _))| Some((place, Grouped::of(operation)?))).collect();
        let choice = |(operation, _): &(Operation, u64)| {
            let of = operation.inputs.first().filter(|_| operation.kind == OpKind::TopK)?.shape.last();
            Some(operation.output.shape.last() as f64 / of as f64)
        };
        let choices = launches.iter().filter_map(choice).collect();
        Self { works, sequences: size.sequences, tokens: size.tokens() as f64, grouped, choices }
    }
}

/// All that is known of the passes that differ in their sequences alone.
pub(super) enum BatchSeries {
    /// The passes that were followed, two at most.
    Few(Vec<Arc<Traced>>),
    /// Two that were followed, which a third agrees with.
    Linear(Arc<Interpolated>),
    /// A third does not.
    NotLinear,
}

/// Two passes, and the share of the experts that each token is sent to, for each product of experts.
pub(super) struct Interpolated {
    ends: [Arc<Traced>; 2],
    shares: Vec<f64>,
}

impl BatchSeries {
    pub(super) fn add(&mut self, traced: &Arc<Traced>) {
        let Self::Few(found) = self else { return };
        if found.iter().all(|known| known.sequences != traced.sequences) {
            found.push(Arc::clone(traced));
        }
        if let [first, second, third] = &found[..] {
            let interpolated = Interpolated::of([first, second, third]);
            let agreeing = interpolated.filter(|known| known.at(third.sequences).as_ref() == Some(&third.works));
            *self = agreeing.map_or(Self::NotLinear, |known| Self::Linear(Arc::new(known)));
        }
    }
}

impl Interpolated {
    /// Between the first two, if some router's share explains what every product of experts reads in all three.
    fn of(found: [&Arc<Traced>; 3]) -> Option<Self> {
        let [first, second, _] = found;
        let share = |(nth, (place, _)): (usize, &(usize, Grouped))| {
            let explains = |share: &&f64| {
                found.iter().all(|traced| {
                    let grouped = traced.grouped.get(nth).filter(|(other, _)| other == place);
                    grouped.is_some_and(|(_, grouped)| {
                        grouped.touched(**share, traced.tokens) == grouped.operation.touched
                    })
                })
            };
            first.choices.iter().find(explains).copied()
        };
        // Where several routers choose, passes that read all experts do not tell whose share it is.
        let least = found.into_iter().min_by(|a, b| a.tokens.total_cmp(&b.tokens))?;
        let leaves_out = |(_, grouped): &(usize, Grouped)| {
            (grouped.operation.touched as f64) < 0.999 * grouped.experts * grouped.numbers_of_one
        };
        if first.choices.len() > 1 && !least.grouped.iter().all(leaves_out) {
            return None;
        }
        let shares = first.grouped.iter().enumerate().map(share).collect::<Option<_>>()?;
        Some(Self { ends: [Arc::clone(first), Arc::clone(second)], shares })
    }

    /// The kernels of so many sequences. Counts are whole numbers, so that nothing is rounded.
    pub(super) fn at(&self, sequences: usize) -> Option<Vec<(Work, f64)>> {
        let [a, b] = &self.ends;
        if a.works.len() != b.works.len() {
            return None;
        }
        let ends = [a.sequences, b.sequences].map(|sequences| sequences as f64);
        let between = a.works.iter().zip(&b.works);
        let mut works: Vec<(Work, f64)> =
            between.map(|(a, b)| interpolated(ends, a, b, sequences as f64)).collect::<Option<_>>()?;
        let tokens = a.tokens / ends[0] * sequences as f64;
        for ((place, grouped), share) in a.grouped.iter().zip(&self.shares) {
            let touched = grouped.touched(*share, tokens);
            spread(&mut works.get_mut(*place)?.0, &Operation { touched, ..grouped.operation.clone() });
        }
        Some(works)
    }
}

/// The kernel of `at` sequences, from those of two other numbers.
fn interpolated(
    [from, to]: [f64; 2],
    (a, times): &(Work, f64),
    (b, of_b): &(Work, f64),
    at: f64,
) -> Option<(Work, f64)> {
    let linear = |a: f64, b: f64| a + (b - a) / (to - from) * (at - from);
    let kind = |work: &Work| (work.kind, work.op, work.weights, work.activations);
    let work = Work {
        flops: linear(a.flops, b.flops),
        weight_bytes: linear(a.weight_bytes, b.weight_bytes),
        cache_bytes: linear(a.cache_bytes, b.cache_bytes),
        other_bytes: linear(a.other_bytes, b.other_bytes),
        link_bytes: linear(a.link_bytes, b.link_bytes),
        kernels: linear(a.kernels, b.kernels),
        batch: linear(a.batch, b.batch),
        rows: linear(a.rows, b.rows),
        inner: linear(a.inner, b.inner),
        columns: linear(a.columns, b.columns),
        ..*a
    };
    (times == of_b && kind(a) == kind(b)).then_some((work, *times))
}

/// Spreads the rows of a product of experts over those that are read, which this operation has.
fn spread(work: &mut Work, read: &Operation) {
    if work.kind != WorkKind::Grouped {
        return;
    }
    let rows = work.flops / (2.0 * work.inner * work.columns);
    work.weight_bytes = Work::of(read).weight_bytes;
    work.batch = (read.touched.div_ceil((work.inner * work.columns) as u64)).max(1) as f64;
    work.rows = (rows / work.batch).ceil();
}
