//! The built-in models: their sizes are the published ones, and their names the hub's.
#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot be set up should stop, and say so

use irene_models::{BuiltinModel, ModelSpec, Run, TaskHead};
use irene_tree::{Quantity, Size};

/// The parameters of a model with a language model's head where its checkpoints have one.
fn counted(spec: &ModelSpec) -> f64 {
    let generates = spec.cache().unwrap().is_some() && spec.heads().contains(&TaskHead::Lm);
    let head = if generates { TaskHead::Lm } else { TaskHead::None };
    let tree = spec.trace(Run { head, shows_math: false, ..Size::new(1, 1).into() }).unwrap();
    tree.root().get(Quantity::NumParameters).unwrap()
}

#[test]
fn parameters_are_those_that_are_listed() {
    let wrong: Vec<String> = BuiltinModel::all()
        .iter()
        .filter_map(|model| {
            let spec = ModelSpec::builtin(model.name()).unwrap_or_else(|| panic!("{} is not built", model.name()));
            let (listed, counted) = (model.parameters() as f64, counted(&spec));
            (listed != counted).then(|| format!("{}: {listed} listed, {counted} counted", model.name()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A figure such as `1.56B` and one unit of its last digit.
fn rounded(figure: &str) -> (f64, f64) {
    let (digits, scale) = match figure.split_at(figure.len() - 1) {
        (digits, "M") => (digits, 1e6),
        (digits, "B") => (digits, 1e9),
        _ => panic!("{figure}: neither millions nor billions"),
    };
    let places = digits.split_once('.').map_or(0, |(_, places)| places.len());
    (digits.parse::<f64>().unwrap() * scale, scale / 10_f64.powi(i32::try_from(places).unwrap()))
}

#[test]
fn parameters_are_those_that_were_published() {
    for model in BuiltinModel::all() {
        let (name, parameters) = (model.name(), model.parameters() as f64);
        match model.source().split_once(": ") {
            None => assert!(["hub", "paper", "card", "class"].contains(&model.source()), "{name}: {}", model.source()),
            Some(("card", figure)) => {
                let (published, unit) = rounded(figure);
                assert!((parameters - published).abs() <= unit, "{name}: {parameters} beside {figure}");
            }
            Some(("hub, which counts the tied head twice", total)) => {
                let spec = ModelSpec::builtin(name).unwrap();
                let head = spec.vocab_size().unwrap() * model.width().unwrap();
                assert_eq!(parameters + head as f64, total.parse::<f64>().unwrap(), "{name}");
            }
            Some(_) => panic!("{name}: {}", model.source()),
        }
        assert!(model.active_parameters().is_none_or(|active| active < model.parameters()), "{name}");
    }
}

#[test]
fn every_name_and_id_finds_its_model() {
    for model in BuiltinModel::all() {
        for name in model.names() {
            let spec = ModelSpec::builtin(name).unwrap_or_else(|| panic!("{name} is not built"));
            assert_eq!(spec.name(), name);
            assert!(std::ptr::eq(BuiltinModel::find(&name.to_uppercase()).unwrap(), model), "{name}");
        }
    }
}

#[test]
fn releases_have_the_shape_of_the_listed_model() {
    let is = |release: &str, name: &str, listed: &str| {
        let spec = ModelSpec::builtin(release).unwrap_or_else(|| panic!("{release} is not built in"));
        assert_eq!(spec.name(), name);
        assert_eq!(BuiltinModel::find(release).unwrap().name(), listed);
    };
    is("openai-community/gpt2-xl", "gpt2-xl", "gpt2-xl");
    is("gpt2-large-chat-2411", "gpt2-large-chat-2411", "gpt2-large");
    // An encoder's suffixes are other models.
    for other in ["bert-base", "bert-base-uncased-chat", "someone/gpt2", "gpt2-tiny", "google/gpt2"] {
        assert!(ModelSpec::builtin(other).is_none(), "{other}");
    }
}
