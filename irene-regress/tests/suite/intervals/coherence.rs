//! Parents and children do not contradict each other.

use std::{collections::HashMap, sync::OnceLock};

use irene_models::{Config, ModelSpec, Run};
use irene_regress::{DeviceProfile, Track};
use irene_tree::{Level, NodeId, Quantity, Size, Tree};
use proptest::prelude::*;
use serde_json::json;

use super::off;
use crate::made_up::{data, model, predicted, train};

fn profiles() -> &'static [DeviceProfile] {
    static PROFILES: OnceLock<Vec<DeviceProfile>> = OnceLock::new();
    PROFILES.get_or_init(|| {
        let bundled = DeviceProfile::bundled_names().map(|name| DeviceProfile::bundled(name).unwrap());
        bundled.chain([train(&Track::Specs)]).collect()
    })
}

/// A parent's energy may be off by what each of its children may be, equal ones together, and reaches up to them; where one child is
/// nearly all of it, its interval says the same of it as that of the child.
fn is_coherent(tree: &Tree) -> Result<(), TestCaseError> {
    for parent in tree.ids().filter(|&id| !tree.is_leaf(id)) {
        let [energy, below, above] = off(tree.node(parent));
        let slack = 1e-9 * (energy + above);
        let mut alike: HashMap<[u64; 3], f64> = HashMap::new();
        let runs_operations = tree.children(parent).any(|child| tree.node(child).level() == Level::Math);
        for child in tree.children(parent) {
            *alike.entry(off(tree.node(child)).map(f64::to_bits)).or_default() += tree.node(child).times();
        }
        for (figures, times) in alike {
            let [of_child, down, up] = figures.map(f64::from_bits).map(|figure| times * figure);
            let what = format!(
                "{tree} {}: {energy} -{below} +{above} J, child {of_child} -{down} +{up} J",
                tree.node(parent).scope()
            );
            prop_assert!(below + slack >= down.min(energy) && above + slack >= up, "{what}");
            prop_assert!(energy + above + slack >= of_child + up, "{what}");
            let rest = 1.0 - of_child / energy;
            // Modules that run operations themselves are measured alone, and wait then for what the operations in them do not.
            if rest < 0.01 && !runs_operations {
                prop_assert!(above / energy <= up / of_child + 4.0 * rest + 1e-9, "{what}");
                prop_assert!(below / energy <= down / of_child + 4.0 * rest + 1e-9, "{what}");
            }
        }
    }
    Ok(())
}

/// A GPT or a BERT of any size, most of them far outside what the profiles know.
fn any_spec() -> impl proptest::strategy::Strategy<Value = ModelSpec> {
    (any::<bool>(), 1..40usize, 1..5usize, prop::sample::select(vec![32usize, 256, 1024]), 32..9000usize).prop_map(
        |(bert, layers, heads, width, inner)| {
            let hidden = heads * width;
            let config = if bert {
                json!({"model_type": "bert", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
                    "intermediate_size": inner, "vocab_size": 30_000, "max_position_embeddings": 4096})
            } else {
                json!({"model_type": "gpt2", "n_embd": hidden, "n_layer": layers, "n_head": heads, "n_inner": inner,
                    "vocab_size": 50_000, "n_positions": 4096})
            };
            ModelSpec::from_config("any", Config::from_json("any", config.to_string().as_bytes()).unwrap()).unwrap()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn intervals_of_parents_and_children_agree(
        spec in any_spec(), batch in 1..65usize, len in 1..1024usize, generate in prop::sample::select(vec![0usize, 0, 5, 300]),
        shows_math in any::<bool>(),
    ) {
        let size = Size::new(batch, len);
        let run = Run { generate, shows_math, ..size.into() };
        let tree = spec.trace(run).or_else(|_| spec.trace(Run { shows_math, ..size.into() })).unwrap();
        for profile in profiles() {
            let mut tree = tree.clone();
            profile.predict(&mut tree).unwrap();
            is_coherent(&tree)?;
            // Also as it is printed, with equal layers as one node.
            is_coherent(&tree.layers_folded())?;
        }
    }

    #[test]
    fn measured_nodes_agree_with_their_parents_even_where_the_parts_exceed_the_whole(
        place in 0..24usize, factor in 0.7..1.3f64,
    ) {
        for track in [Track::Measured, Track::Primitives] {
            let profile = train(&track);
            let mut tree = data()[place].clone();
            for quantity in [Quantity::Latency, Quantity::GpuEnergy] {
                let value = tree.root().get(quantity).unwrap();
                tree.node_mut(NodeId::ROOT).set(quantity, factor * value);
            }
            let tree = predicted(profile.predictor.as_ref(), &tree);
            for id in tree.ids().skip(1) {
                let ([parent, below, above], [child, down, up]) = (off(tree.node(tree.parent(id).unwrap())), off(tree.node(id)));
                prop_assert!(above + 1e-9 >= up && parent + above + 1e-9 >= child + up && below + 1e-9 >= down.min(parent));
            }
        }
    }
}

#[test]
fn an_interval_does_not_depend_on_whether_operations_are_shown() {
    for profile in profiles() {
        for (name, size) in [("bert-base-uncased", Size::new(8, 128)), ("gpt2", Size::new(2, 64))] {
            let mut shown = model(name).trace(size).unwrap();
            let mut plain = shown.without_math();
            profile.predict(&mut shown).unwrap();
            profile.predict(&mut plain).unwrap();
            for node in plain.nodes() {
                let other = off(shown.node(shown.find(node.scope()).unwrap()));
                for (one, other) in off(node).into_iter().zip(other) {
                    assert!((one - other).abs() <= 1e-6 * one.abs(), "{name} {}: {one} J, {other} J", node.scope());
                }
            }
        }
    }
}
