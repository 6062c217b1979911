use std::ops::Range;

use irene_tree::{Checkpoint, OpKind};

use super::tape::{Event, Leaf};

/// A module whose forward pass runs again before its backward pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its events, from its beginning to its end.
    pub(super) events: Range<usize>,
    /// The events within that run again, as far as something is kept of them.
    pub(super) again: Range<usize>,
}

/// The segments of a tape.
pub(super) fn segments(events: &[Event], checkpoint: Checkpoint) -> Vec<Segment> {
    let modules = match checkpoint {
        Checkpoint::None => Vec::new(),
        Checkpoint::Layer => outermost(events, |range| is_layer(&events[range.start])),
        Checkpoint::Full => outermost(events, |range| !has_layer(&events[range.start + 1..range.end])),
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

/// The outermost modules for which the test holds.
fn outermost(events: &[Event], holds: impl Fn(&Range<usize>) -> bool) -> Vec<Range<usize>> {
    let (mut found, mut open): (Vec<Range<usize>>, Vec<usize>) = (Vec::new(), Vec::new());
    for (place, event) in events.iter().enumerate() {
        match event {
            Event::Enter(_) => open.push(place),
            Event::Exit(_) => {
                let Some(begin) = open.pop() else { continue };
                let whole = begin..place + 1;
                if holds(&whole) {
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
    let ends = inside.clone().rev().find_map(|place| match &events[place] {
        Event::Leaf(leaf) => ends(leaf).map(|after| place + after),
        _ => None,
    });
    let mut end = ends.unwrap_or(inside.start);
    // A module in which nothing runs does not begin.
    while end > inside.start && matches!(events[end - 1], Event::Enter(_)) {
        end -= 1;
    }
    inside.start..end
}

/// Where a recomputed segment may end if this operation keeps something: before the operation (0) if it keeps its input, after it (1) if
/// it keeps its result. A product keeps its weight, though that is there anyway.
fn ends(leaf: &Leaf) -> Option<usize> {
    let kept = leaf.kept();
    let is_product =
        matches!(leaf.operation.kind, OpKind::Linear | OpKind::Conv1D | OpKind::MatMul | OpKind::GroupedLinear);
    match () {
        () if !kept.outputs.is_empty() || kept.beside > 0 => Some(1),
        () if !kept.inputs.is_empty() || (is_product && leaf.is_passed()) => Some(0),
        () => None,
    }
}
