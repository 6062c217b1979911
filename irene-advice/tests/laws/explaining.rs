//! The terms that make the figures of a node.

use irene_advice::{Lookup, LookupOptions, Selection};
use irene_predict::Host;
use irene_regress::Term;
use irene_tree::Quantity;

use crate::selections::{LOOKUP, batch, changes, service};

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

#[test]
fn the_energy_that_no_pass_takes_is_that_of_idling_and_of_the_machine_around() {
    let rare = service("Llama-3.1-8B", "h100-sxm", 1).changed(&changes("rate=0.01")).unwrap();
    assert!(terms(&rare, "root").iter().any(|name| name == "idle between requests"));
    let lookup = Lookup::new(LookupOptions { host: Some(Host::Watts(100.0)), ..LookupOptions::default() });
    let found = lookup.explain(&rare, "root").unwrap();
    let of = |name: &str| found.explanation.energy.iter().find(|term| term.name == name);
    // 100 W for the 100 s between two requests.
    let machine_j = of("the machine around the devices").unwrap().coefficient;
    assert!((machine_j / 1e4 - 1.0).abs() < 1e-9, "{machine_j}");
    assert!(of("idle between requests").is_some() && of("beside its parts").is_none(), "{:?}", found.explanation);
}
