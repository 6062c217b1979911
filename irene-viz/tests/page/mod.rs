//! A person at the page, by subject.

mod answer;
mod fold;
mod history;
mod icicle;
mod layout;
mod report;
mod tree;
mod uploads;

use serde_json::Value;

/// A selection of a measured machine.
pub(crate) const BERT: &str = "?model=bert-base-uncased&device=gtx-1080-ti&batch=8&seq=128";

/// Another, of a decoder.
pub(crate) const GPT2: &str = "?model=gpt2&device=gtx-1080-ti&batch=4&seq=64";

/// A service on a data sheet.
pub(crate) const LLAMA: &str = "?model=Llama-3.1-8B&device=h100-sxm&concurrency=32&seq=512&generate=256";

pub(crate) fn root(prediction: &Value) -> &Value {
    &prediction["tree"]["frontend_tree"]
}

pub(crate) fn energy(node: &Value) -> f64 {
    node["predicted_energy"].as_f64().unwrap()
}

pub(crate) fn scope(node: &Value) -> &str {
    node["scope"].as_str().unwrap()
}

pub(crate) fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node["child_nodes_obj"].as_array().into_iter().flatten()
}

pub(crate) fn find<'a>(node: &'a Value, scope: &str) -> Option<&'a Value> {
    if node["scope"] == scope { Some(node) } else { children(node).find_map(|child| find(child, scope)) }
}

/// The first node this far below that has nodes below it.
pub(crate) fn first_at_depth(node: &Value, depth: usize) -> &Value {
    fn search(node: &Value, depth: usize) -> Option<&Value> {
        if depth == 0 {
            return children(node).next().map(|_| node);
        }
        children(node).find_map(|child| search(child, depth - 1))
    }
    search(node, depth).unwrap()
}

/// A `data-joules` and the number it stands for.
pub(crate) fn assert_close(shown: &Value, expected: f64) {
    let number: f64 = shown.as_str().unwrap().parse().unwrap();
    assert!((number - expected).abs() <= 1e-12 * expected.abs(), "{number} is shown for {expected}");
}
