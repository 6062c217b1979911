//! A whole generation as one tree: the prompt, and a few steps that stand for all.

use irene_tree::{Level, Size, Tree};

use crate::{Done, Label, ModelSpec, Result, Run, Tensor, TreeVisitor, Visitor};

/// A step of a generation, and how many steps it stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    /// Tokens in the cache.
    past: usize,
    times: f64,
}

/// The most steps that are followed.
const MOST_STEPS: usize = 4;

/// Steps that stand for `count` steps, one at each length of the past from `first` on: their times add up to `count`, with the same
/// mean length. So counts that grow linearly with the past, as FLOPs and bytes do, keep their sum.
fn steps(first: usize, count: usize) -> Vec<Step> {
    if count <= MOST_STEPS {
        return (0..count).map(|step| Step { past: first + step, times: 1.0 }).collect();
    }
    // Parts as equal as possible, each represented by its middle step.
    let bound = |part: usize| part * count / MOST_STEPS;
    let part = |part: usize| {
        let (from, to) = (bound(part), bound(part + 1));
        Step { past: first + (from + to - 1) / 2, times: (to - from) as f64 }
    };
    let mut steps: Vec<Step> = (0..MOST_STEPS).map(part).collect();
    // Middles between two lengths were rounded down: moving times from the first step to the last makes up for that.
    let wanted = (count * first + count * (count - 1) / 2) as f64;
    let lacking = wanted - steps.iter().map(|step| step.times * step.past as f64).sum::<f64>();
    let moved = lacking / (steps[MOST_STEPS - 1].past - steps[0].past) as f64;
    steps[0].times -= moved;
    steps[MOST_STEPS - 1].times += moved;
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
}

/// The tree of a generation: `prefill` reads the prompt and gives the first token, each step of `decode` one more.
///
/// # Errors
/// As [`ModelSpec::trace`].
pub(crate) fn trace(spec: &ModelSpec, run: Run) -> Result<Tree> {
    let mut tree = spec.visitor(run);
    let run = spec.share(run)?;
    let prompt = Run { generate: 0, keeps_cache: true, ..run };
    let model = spec.shapes(prompt)?;
    tree.open("root", "Generation", Level::Model);
    let follow = |tree: &mut TreeVisitor, name: String, run: Run, times| {
        spec.follow(model.as_ref(), run, &mut Below { tree, name, size: run.size, times, depth: 0 })
    };
    follow(&mut tree, "prefill".into(), prompt, 1.0)?;
    if run.generate > 1 {
        // The longest step may not be followed and still be too long for the model. What fits its positions is small.
        let longest = run.size.keys().saturating_add(run.generate - 2);
        spec.check_length(Size::new(run.size.sequences, 1).after(longest))?;
        tree.open("decode", "Decode", Level::Module);
        for Step { past, times } in steps(run.size.keys(), run.generate - 1) {
            let step = Run { size: Size::new(run.size.sequences, 1).after(past), ..prompt };
            follow(&mut tree, format!("past_{past}"), step, times)?;
        }
        tree.close();
    }
    tree.close();
    let mut tree = tree.finish()?;
    tree.generated = run.generate;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn steps_are_as_many_and_as_long_as_those_they_stand_for(first in 1..5000usize, count in 0..5000usize) {
            let steps = steps(first, count);
            prop_assert!(steps.len() <= MOST_STEPS && steps.iter().all(|step| step.times > 0.0));
            let number: f64 = steps.iter().map(|step| step.times).sum();
            prop_assert!((number - count as f64).abs() <= 1e-9 * number);
            let length: f64 = steps.iter().map(|step| step.times * step.past as f64).sum();
            let wanted: usize = (first..first + count).sum();
            prop_assert!((length - wanted as f64).abs() <= 1e-9 * length);
            prop_assert!(steps.windows(2).all(|pair| pair[0].past < pair[1].past));
        }
    }
}
