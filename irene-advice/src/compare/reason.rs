//! Why a change changes nothing, and where it changes most. All of it is read off the two trees and their figures.

use std::collections::BTreeMap;

use irene_devices::Work;
use irene_models::Run;
use irene_tree::{Operation, Size, render};

use crate::{Answer, Change, Estimate, settings};

/// The kernels of the pass over one sequence, and how often each runs.
fn kernels(of: &Estimate) -> Vec<(Operation, u64)> {
    let Estimate { precision, kernels, selection, .. } = of;
    let size = Size::new(1, selection.prompt().max(1));
    of.model.launches(Run { precision: *precision, kernels: *kernels, ..size.into() }).unwrap_or_default()
}

/// Two kernels of the same place.
type Pair<'a> = (&'a (Operation, u64), &'a (Operation, u64));

/// Why nothing changes.
pub(super) fn of_nothing(a: &Answer, b: &Answer, change: &Change) -> String {
    let (before, after) = (kernels(&a.estimate), kernels(&b.estimate));
    let same_length = before.len() == after.len() && !before.is_empty();
    let changed: Vec<Pair<'_>> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
    let count: u64 = before.iter().map(|(_, runs)| runs).sum();
    let setting = settings::setting_name(&change.name);
    let of_machine = setting.and_then(|name| of_setting(name, a, b));
    let plain = || "the kernels differ, and their energies come to the same within a thousandth".to_owned();
    match (same_length, &changed[..]) {
        _ if of_machine.is_some() => of_machine.unwrap_or_else(plain),
        (true, []) if setting.is_none() => of_equal_models(a, b, change, count),
        (true, []) => {
            "both run the same kernels on the same shapes, and the law of the device gives them the same energy"
                .to_owned()
        }
        (true, changed) => of_other_arithmetic(changed).unwrap_or_else(plain),
        (false, _) => plain(),
    }
}

/// A setting of the machine or the load, where the figures tell why it does nothing.
fn of_setting(name: &str, a: &Answer, b: &Answer) -> Option<String> {
    let (of_a, of_b) = (&a.estimate, &b.estimate);
    match name {
        "power_limit_w" => {
            let gpus = of_b.selection.row.parallel.gpus() as f64;
            let drawn = of_a.figures.power_w? / gpus;
            let limit = of_b.selection.power_limit_w?;
            let text =
                format!("each GPU draws {} already, and the limit of {limit} W is above", render::si(drawn, "W"));
            (drawn <= limit).then_some(text)
        }
        "batch_size" | "concurrency" | "rate" => {
            let (ran, runs) = (of_a.running?, of_b.running?);
            let most = of_b.memory?.most_sequences;
            let text = format!(
                "the memory has room for {most} sequences, so that as many run at once as before: the others {}",
                if of_b.marks.contains(&"waves") { "run after them" } else { "wait" }
            );
            (ran == runs && runs >= most as f64).then_some(text)
        }
        "cache" if of_a.memory?.cache == 0.0 => Some("nothing is kept in a cache here".to_owned()),
        "engine" => {
            let (from, to) = (of_a.engine?, of_b.engine?);
            let text = format!("{} and {} run the same passes, and none was measured to take more", from.name, to.name);
            (from.name != to.name).then_some(text)
        }
        name => {
            let value = |of: &Estimate| of.value(name);
            let same = value(of_a).filter(|from| Some(from) == value(of_b).as_ref())?;
            Some(format!("{name} is {same} already"))
        }
    }
}

/// The same kernels on the same shapes: the field is not read, says the same, or changes numbers alone.
fn of_equal_models(a: &Answer, b: &Answer, change: &Change, count: u64) -> String {
    let name = &change.name;
    let (from, to) = (a.estimate.model.field(name), b.estimate.model.field(name));
    let same = format!("all {count} kernels keep their shapes");
    if from == to {
        return format!("`{name}` has this value already: {same}");
    }
    if !a.estimate.model.reads_field(name) {
        let family = a.estimate.model.model_type();
        return format!("the code of {family} reads no `{name}`, and nothing else depends on it: {same}");
    }
    format!("`{name}` changes numbers that are computed, and no shape: {same}")
}

/// Other operations of the same kind of kernel on the same bytes.
fn of_other_arithmetic(changed: &[Pair<'_>]) -> Option<String> {
    let mut pairs: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut bytes = 0.0;
    for ((a, of_a), (b, of_b)) in changed {
        let (before, after) = (Work::of(a), Work::of(b));
        let same = before.kind == after.kind && before.kernels == after.kernels && of_a == of_b;
        if !same || before.bytes() != after.bytes() {
            return None;
        }
        *pairs.entry(words(a, b)).or_default() += of_a;
        bytes += *of_a as f64 * before.bytes();
    }
    let texts: Vec<String> =
        pairs.into_iter().map(|((from, to), runs)| format!("{to} in place of {from} ({runs} times)")).collect();
    Some(format!(
        "{} moves the same {} in as many kernels; what is computed on the way takes no time of its own",
        texts.join(", "),
        render::bytes(bytes)
    ))
}

/// The operations that two kernels differ in: their own, or those that are computed in them on the way.
fn words(a: &Operation, b: &Operation) -> (String, String) {
    if a.kind != b.kind {
        return (a.kind.name().to_owned(), b.kind.name().to_owned());
    }
    let only = |of: &Operation, other: &Operation| {
        let names: Vec<&str> =
            of.fused.iter().filter(|kind| !other.fused.contains(kind)).map(|kind| kind.name()).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(" and ") }
    };
    (only(a, b), only(b, a))
}

/// Where a difference lies most.
pub(super) fn of_difference(a: &Answer, b: &Answer) -> Option<String> {
    let by = super::measure(&a.estimate, &b.estimate);
    let shares = [a.share_of_tree(by), b.share_of_tree(by)];
    let parts = super::pairs::components(&a.tree, &b.tree, shares);
    let whole: f64 = parts.iter().map(|part| part.difference_j).sum();
    let most = parts.iter().max_by(|x, y| x.difference_j.abs().total_cmp(&y.difference_j.abs()))?;
    let share = 100.0 * most.difference_j / whole;
    let sign = if most.difference_j < 0.0 { "−" } else { "+" };
    let joules = render::si(most.difference_j.abs(), "J");
    let part = most.component.replace('_', "-");
    let of_whole = if share.is_finite() && (0.0..=100.0).contains(&share) {
        format!(", {share:.0}% of the difference")
    } else {
        String::new()
    };
    Some(format!("most of it in {part}: {sign}{joules}{of_whole}"))
}

impl Estimate {
    /// A setting as it was answered, where the selection leaves it to what is usual.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        match settings::setting_name(name)? {
            "weights" => Some(self.precision.weights.name().to_owned()),
            "cache" => Some(self.precision.cache.name().to_owned()),
            "dtype" => Some(settings::formats(self.precision)),
            "kernels" => Some(self.kernels.name().to_owned()),
            "engine" => self.engine.map(|engine| engine.name.to_owned()),
            "device" => Some(self.device.clone()),
            "tensor_parallel" => Some(self.selection.row.parallel.tensor.to_string()),
            "pipeline_parallel" => Some(self.selection.row.parallel.pipeline.to_string()),
            "expert_parallel" => Some(self.selection.row.parallel.expert.to_string()),
            "data_parallel" => Some(self.selection.row.parallel.data.to_string()),
            "generate" => Some(self.selection.generated().to_string()),
            "past_len" => Some(self.selection.past.to_string()),
            name => self.selection.value(name),
        }
    }
}
