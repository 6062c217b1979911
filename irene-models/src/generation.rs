//! A whole generation as one tree: the prompt, and a few steps that stand for all.

use irene_tree::{Level, Size, Tree};

use crate::{Done, Error, Label, ModelSpec, Result, Run, TaskHead, Tensor, TreeVisitor, Visitor};

/// A step of a generation, and how many steps it stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    /// Tokens in the cache.
    past: usize,
    times: f64,
}

/// The steps that are followed where nothing kinks; between two kinks there are never more.
const MOST_STEPS: usize = 4;

/// Steps that stand for `count` steps, one at each length of the past from `first` on. Between two kinks, where a sliding window fills,
/// their times add up to the steps', with the same mean length. So counts that grow linearly with the past there, as FLOPs and bytes
/// do, keep their sum.
fn steps(first: usize, count: usize, kinks: &[usize]) -> Vec<Step> {
    let end = first + count;
    let mut bounds: Vec<usize> = kinks.iter().copied().filter(|kink| (first + 1..end).contains(kink)).collect();
    bounds.extend([first, end]);
    bounds.sort_unstable();
    bounds.dedup();
    // Two steps are enough for a straight line; the others show how a node grows.
    let most = (MOST_STEPS / (bounds.len() - 1).max(1)).max(2);
    bounds.windows(2).flat_map(|pair| straight_steps(pair[0], pair[1] - pair[0], most)).collect()
}

/// `most` steps that stand for `count` steps from `first` on, or all of a few.
fn straight_steps(first: usize, count: usize, most: usize) -> Vec<Step> {
    if count <= MOST_STEPS {
        return (0..count).map(|step| Step { past: first + step, times: 1.0 }).collect();
    }
    // Parts as equal as possible, each represented by its middle step.
    let bound = |part: usize| part * count / most;
    let part = |part: usize| {
        let (from, to) = (bound(part), bound(part + 1));
        Step { past: first + (from + to - 1) / 2, times: (to - from) as f64 }
    };
    let mut steps: Vec<Step> = (0..most).map(part).collect();
    // Middles between two lengths were rounded down: moving times from the first step to the last makes up for that.
    let wanted = (count * first + count * (count - 1) / 2) as f64;
    let lacking = wanted - steps.iter().map(|step| step.times * step.past as f64).sum::<f64>();
    let moved = lacking / (steps[most - 1].past - steps[0].past) as f64;
    steps[0].times -= moved;
    steps[most - 1].times += moved;
    steps
}

/// Builds a model's tree below an open node, under another name.
struct Below<'v> {
    tree: &'v mut TreeVisitor,
    name: String,
    size: Size,
    times: f64,
    depth: usize,
}

impl Visitor for Below<'_> {
    fn enter(&mut self, label: &Label, inputs: &[&Tensor]) -> Result<()> {
        self.depth += 1;
        if self.depth > 1 {
            return self.tree.enter(label, inputs);
        }
        let node = self.tree.open(&self.name, label.instance_type, Level::Module);
        node.set_times(self.times);
        node.size = Some(self.size);
        Ok(())
    }

    fn exit(&mut self, label: &Label, done: Done<'_>) -> Result<()> {
        self.depth -= 1;
        self.tree.exit(label, done)
    }

    fn place(&self) -> Option<usize> {
        self.tree.place()
    }

    fn repeat(&mut self, place: usize, label: &Label, later: u32, of: usize) {
        self.tree.repeat(place, label, later, of);
    }
}

/// The tree of a generation: `prefill` reads the prompt and gives the first token, each step of `decode` one more.
///
/// # Errors
/// As [`ModelSpec::trace`].
pub(crate) fn trace(spec: &ModelSpec, run: Run) -> Result<Tree> {
    let size = spec.share(run)?.size;
    let mut passes = Vec::new();
    if run.generate > 1 {
        check(spec, size, run.generate)?;
        // A window is full when the past and the new token fill it.
        let windows = spec
            .cache(run.kernels)?
            .map_or(Vec::new(), |cache| cache.0.iter().filter_map(|layer| layer.window).collect());
        let kinks: Vec<usize> = windows.iter().map(|window| window.saturating_sub(1)).collect();
        let steps = steps(size.keys(), run.generate - 1, &kinks);
        passes.extend(steps.into_iter().map(|step| (Size::new(size.sequences, 1).after(step.past), step.times)));
    }
    trace_passes(spec, run, &[(size, 1.0)], &passes)
}

/// Refuses a generation that is longer than the model has positions: its longest step may not be followed and still be too long. A
/// generation that fits a model's positions is small.
pub(crate) fn check(spec: &ModelSpec, size: Size, generate: usize) -> Result<()> {
    if generate < 2 {
        return Ok(());
    }
    spec.check_length(size)?;
    let longest = Size::new(size.sequences, 1).after(size.keys().saturating_add(generate - 2));
    spec.check_length(longest).map_err(|error| with_way_out(error, size.keys(), generate))
}

/// The tree of a generation with these passes of one copy of the model, each with how often it runs.
///
/// # Errors
/// As [`ModelSpec::trace`].
pub(crate) fn trace_passes(spec: &ModelSpec, run: Run, prompts: &[(Size, f64)], steps: &[(Size, f64)]) -> Result<Tree> {
    let mut tree = spec.visitor(run);
    // No other head makes tokens.
    let head = if spec.heads().contains(&TaskHead::Lm) { TaskHead::Lm } else { run.head };
    let of_pass = |size: Size| Run { size, generate: 0, keeps_cache: true, head, ..run };
    let model = spec.model_of(of_pass(prompts.first().map_or(run.size, |(size, _)| *size)))?;
    tree.open("root", "Generation", Level::Model);
    let follow = |tree: &mut TreeVisitor, name: String, size: Size, times| {
        spec.follow(model.model.as_ref(), of_pass(size), &mut Below { tree, name, size, times, depth: 0 })
    };
    for (place, (size, times)) in prompts.iter().enumerate() {
        follow(&mut tree, name("prefill".into(), *size, &prompts[..place]), *size, *times)?;
    }
    if !steps.is_empty() {
        tree.open("decode", "Decode", Level::Module);
        // A step has about as many nodes as the prompt.
        tree.reserve(tree.place().unwrap_or_default() * steps.len());
        for (place, (size, times)) in steps.iter().enumerate() {
            follow(&mut tree, name(format!("past_{}", size.past), *size, &steps[..place]), *size, *times)?;
        }
        tree.close();
    }
    tree.close();
    let mut tree = tree.finish()?;
    tree.generated = run.generate;
    Ok(tree)
}

/// The name of a pass; where earlier ones have the same past, with its sequences.
fn name(usual: String, size: Size, earlier: &[(Size, f64)]) -> String {
    match earlier.iter().any(|(known, _)| known.past == size.past) {
        true => format!("{usual}_of_{}", size.sequences),
        false => usual,
    }
}

/// The error of the last step, with what makes it so long.
fn with_way_out(error: Error, prompt: usize, generate: usize) -> Error {
    match error {
        Error::Input { model, reason } => {
            let reason = format!("{reason}: {prompt} of the prompt and {generate} generated; shorten either");
            Error::Input { model, reason }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn steps_are_as_many_and_as_long_as_those_they_stand_for(
            first in 1..5000usize, count in 0..5000usize, kink in 0..8000usize,
        ) {
            let steps = steps(first, count, &[kink]);
            prop_assert!(steps.len() <= 2 * MOST_STEPS && steps.iter().all(|step| step.times > 0.0));
            prop_assert!(steps.windows(2).all(|pair| pair[0].past < pair[1].past));
            // On both sides of the kink, and so of any function that is linear there.
            for is_before in [true, false] {
                let all = (first..first + count).filter(|past| (*past < kink) == is_before);
                let (number, length) = all.fold((0.0, 0.0), |(number, length), past| (number + 1.0, length + past as f64));
                let ours = steps.iter().filter(|step| (step.past < kink) == is_before);
                let (times, sum) =
                    ours.fold((0.0, 0.0), |(times, sum), step| (times + step.times, sum + step.times * step.past as f64));
                prop_assert!((times - number).abs() <= 1e-9 * number && (sum - length).abs() <= 1e-9 * length);
            }
        }
    }
}
