//! What the figures of a node consist of.

use irene_advice::Selection;
use irene_regress::Term;
use irene_tree::Quantity;

use crate::selections::{LOOKUP, batch, service};

/// The names of its terms, which have to make its figures.
fn terms(selection: &Selection, scope: &str) -> Vec<String> {
    let found = LOOKUP.explain(selection, scope).unwrap();
    let node = found.answer.tree.node(found.node);
    let of = [
        (Quantity::PredictedEnergy, &found.explanation.energy),
        (Quantity::PredictedLatency, &found.explanation.latency),
    ];
    for (quantity, terms) in of {
        let (sum, figure) = (terms.iter().map(Term::value).sum::<f64>(), node.get(quantity).unwrap());
        assert!((sum - figure).abs() <= 1e-6 * figure.abs(), "{selection}, {scope}: {terms:?} {figure}");
    }
    found.explanation.energy.iter().chain(&found.explanation.latency).map(|term| term.name.clone()).collect()
}

#[test]
fn the_terms_of_a_node_make_its_figures_on_every_device() {
    let scopes = ["root", "root.encoder.0", "root.encoder.0.attention.self", "root.encoder.0.attention.self.query"];
    for device in ["gtx-1080-ti", "l4", "mi300x"] {
        scopes.iter().for_each(|scope| drop(terms(&batch("bert-base-uncased", device, 8, 128), scope)));
    }
    for device in ["h100-sxm", "l40s"] {
        let selection = service("Llama-3.1-8B", device, 32);
        let answer = LOOKUP.answer(&Selection { shows_math: true, ..selection.clone() }).unwrap();
        let mut known = Vec::new();
        let passes = answer.tree.nodes().iter().filter(|node| node.size.is_some());
        for node in answer.tree.nodes().iter().step_by(41).chain(passes) {
            known.extend(terms(&selection, node.scope()));
        }
        for name in ["power while it runs", "launch", "FLOPs", "bytes moved", "the engine"] {
            assert!(known.iter().any(|known| known == name), "no {name} in {known:?}");
        }
    }
    let error = LOOKUP.explain(&batch("gpt2", "l4", 1, 8), "root.mlp").unwrap_err().to_string();
    assert!(error.contains("has no node `root.mlp`"), "{error}");
}

#[test]
fn a_limited_kernel_has_a_power_limit_and_no_calibration() {
    let names = terms(&batch("Llama-3.1-8B", "h100-sxm", 4, 512), "root.model.3.mlp.down_proj");
    assert!(names.iter().any(|name| name == "power limit"), "{names:?}");
}

#[test]
fn what_a_prompt_adds_to_a_kernel_of_others_is_explained_by_small_terms() {
    let selection = service("Llama-3.1-8B", "h100-sxm", 32);
    for scope in ["root.prefill.lm_head", "root.prefill.model.0.mlp.down_proj"] {
        let found = LOOKUP.explain(&selection, scope).unwrap();
        let energy = found.answer.tree.node(found.node).get(Quantity::PredictedEnergy).unwrap();
        assert!(terms(&selection, scope).iter().any(|name| name == "FLOPs"));
        for term in &found.explanation.energy {
            assert!(term.value().abs() < 3.0 * energy, "{scope}: {term:?} of {energy} J");
        }
    }
}
