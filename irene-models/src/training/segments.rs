use std::ops::Range;

use irene_tree::{Checkpoint, OpKind};

use super::tape::{Event, Leaf};

/// A module whose forward pass runs again before its backward pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its events, from its beginning to its end.
    pub(super) events: Range<usize>,
    /// What runs again: the events within, as far as something is kept of them.
    pub(super) again: Range<usize>,
}

/// The segments of a tape.
pub(super) fn segments(events: &[Event], checkpoint: Checkpoint) -> Vec<Segment> {
    let modules = match checkpoint {
        Checkpoint::None => Vec::new(),
        Checkpoint::Layer => outermost(events, 0..events.len(), |range| is_layer(&events[range.start])),
        Checkpoint::Full => outermost(events, 0..events.len(), |range| !has_layer(&events[range.start + 1..range.end])),
    };
    let segments = modules.into_iter().map(|range| Segment { again: again(events, &range), events: range });
    segments.filter(|segment| !segment.again.is_empty()).collect()
}

/// Elements of a list of modules have its places for names.
fn is_layer(event: &Event) -> bool {
    matches!(event, Event::Enter(label) if label.name.bytes().all(|byte| byte.is_ascii_digit()))
}

fn has_layer(events: &[Event]) -> bool {
    events.iter().any(is_layer)
}

/// The modules that are it and are in no other that is.
fn outermost(events: &[Event], within: Range<usize>, is_it: impl Fn(&Range<usize>) -> bool) -> Vec<Range<usize>> {
    let (mut found, mut open): (Vec<Range<usize>>, Vec<usize>) = (Vec::new(), Vec::new());
    for place in within {
        match &events[place] {
            Event::Enter(_) => open.push(place),
            Event::Exit(_) => {
                let Some(begin) = open.pop() else { continue };
                let whole = begin..place + 1;
                if is_it(&whole) {
                    found.retain(|inner| inner.start < begin);
                    found.push(whole);
                }
            }
            Event::Leaf(_) => {}
        }
    }
    found
}

/// PyTorch's checkpoint that is not reentrant ends the second pass as soon as all that was kept is there again.
fn again(events: &[Event], module: &Range<usize>) -> Range<usize> {
    let inside = module.start + 1..module.end.saturating_sub(1);
    let last = inside.clone().rev().find_map(|place| match &events[place] {
        Event::Leaf(leaf) if keeps(leaf) => Some((place, leaf)),
        _ => None,
    });
    let mut end = match last {
        // What it reads is there before it runs.
        Some((place, leaf)) if reads_alone(leaf) => place,
        Some((place, _)) => place + 1,
        None => inside.start,
    };
    // A module in which nothing runs does not begin.
    while end > inside.start && matches!(events[end - 1], Event::Enter(_)) {
        end -= 1;
    }
    inside.start..end
}

/// Whether anything is kept of an operation: a product keeps its weight, though that is there anyway.
fn keeps(leaf: &Leaf) -> bool {
    let kept = leaf.kept();
    let is_product =
        matches!(leaf.operation.kind, OpKind::Linear | OpKind::Conv1D | OpKind::MatMul | OpKind::GroupedLinear);
    !kept.inputs.is_empty() || !reads_alone(leaf) || (is_product && leaf.is_passed())
}

fn reads_alone(leaf: &Leaf) -> bool {
    let kept = leaf.kept();
    kept.outputs.is_empty() && kept.beside == 0
}
