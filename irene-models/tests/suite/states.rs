//! Layers with states: a token costs the same whatever came before it, and a prompt what its chunks do by hand.

use irene_models::{ModelSpec, Run, TaskHead};
use irene_tree::{Format, Kernels, Node, OpKind, Parallel, Precision, Quantity, Size};
use serde_json::{Value, json};

use crate::{
    published::config,
    support::{refused, spec},
};

const NEMOTRON: &str = r#"{"model_type":"nemotron_h","hidden_size":32,"num_hidden_layers":4,"num_attention_heads":4,
    "num_key_value_heads":2,"head_dim":8,"intermediate_size":24,"vocab_size":128,"hybrid_override_pattern":"M-*M","mamba_num_heads":8,
    "mamba_head_dim":4,"n_groups":2,"ssm_state_size":16,"chunk_size":8,"max_position_embeddings":4096}"#;

/// Layers with four heads of values and two of keys, of 8 numbers each, but for the last.
fn qwen_next() -> ModelSpec {
    let linear = json!({"head_dim": 8, "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_value_head_dim": 8,
        "linear_key_head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8,
        "shared_expert_intermediate_size": 8});
    spec(config("qwen3_next", [32, 4, 4, 2, 16, 64], linear))
}

/// A short convolution, and a layer of attention.
fn lfm2() -> ModelSpec {
    let layers = json!({"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": false});
    spec(config("lfm2", [32, 2, 4, 2, 24, 64], layers))
}

fn of_scope(spec: &ModelSpec, size: Size, scope: &str, quantity: Quantity) -> f64 {
    let tree = spec.trace(Run { kernels: Kernels::Fused, ..size.into() }).unwrap();
    tree.node(tree.find(scope).unwrap()).get(quantity).unwrap()
}

/// FLOPs of a prompt in one of the model's modules.
fn flops(spec: &ModelSpec, tokens: usize, scope: &str) -> f64 {
    (of_scope(spec, Size::new(1, tokens), scope, Quantity::Flops) * 1e6).round()
}

#[test]
fn a_state_costs_a_token_the_same_whatever_came_before() {
    let models: [(ModelSpec, &[&str], &str); 3] = [
        (spec(NEMOTRON), &["root.0", "root.1", "root.3"], "root.2"),
        (qwen_next(), &["root.0", "root.1", "root.2"], "root.3"),
        (lfm2(), &["root.0"], "root.1"),
    ];
    for (spec, of_states, attention) in models {
        let bytes =
            |past: usize, scope: &str| of_scope(&spec, Size::new(3, 1).after(past), scope, Quantity::MovedBytes);
        for &layer in of_states {
            assert_eq!(bytes(10, layer), bytes(1000, layer), "{} {layer}", spec.model_type());
        }
        assert!(bytes(1000, attention) > bytes(10, attention), "{}", spec.model_type());
    }
}

/// Keys and values of one layer grow with the tokens, the states of two do not. States have 32 bits and the tokens before them those of
/// activations, whatever the format of keys and values.
#[test]
fn a_cache_holds_states_beside_keys_and_values() {
    let states = 2 * (8 * 4 * 16 * 4 + 96 * 3 * 2);
    for cache in [Format::F8E4M3, Format::BF16, Format::F32] {
        let precision = Precision { cache, ..Precision::of(Format::BF16) };
        let bytes = |tokens| spec(NEMOTRON).cache_bytes(3, tokens, precision).unwrap().unwrap();
        let of_one = |tokens: u64| cache.bytes(tokens * 2 * 2 * 8) + states;
        assert_eq!([bytes(1), bytes(100)], [3 * of_one(1), 3 * of_one(100)], "{cache}");
    }
}

#[test]
fn a_prompt_of_whole_chunks_costs_its_tokens() {
    let nemotron = spec(NEMOTRON);
    let tree = nemotron.trace(Run { kernels: Kernels::Fused, ..Size::new(1, 8).into() }).unwrap();
    assert_eq!(tree.node(tree.find("root.0.mixer").unwrap()).instance_type(), "NemotronHMamba2Mixer");
    let prompt = |tokens: usize| flops(&nemotron, tokens, "root.0.mixer");
    assert_eq!(prompt(64), 8.0 * prompt(8));
    // A chunk of 8 tokens: ways out and in of 2 groups, states, results from the chunk and from the state before it.
    let products = 2 * (2 * 8 * 8 * 16) + 8 * (2 * 4 * 8 * 16) + 8 * (2 * 8 * (8 + 16) * 4);
    let projections = 2 * 8 * 32 * (32 + 96 + 8) + 2 * 8 * 32 * 32;
    let (convolution, norm, passing) = ((2 * 4 + 5) * 96 * 8, (4 + 5 + 1 + 1) * 32 * 8, 2 * 8 * 4 * 16);
    assert_eq!(prompt(8), f64::from(products + projections + convolution + norm + passing));
}

#[test]
fn a_prompt_of_deltanet_costs_its_chunks() {
    let prompt = |tokens: usize| flops(&qwen_next(), tokens, "root.0.linear_attn");
    assert_eq!(prompt(128), 2.0 * prompt(64));
    // A chunk of 64 tokens: the triangle of keys and its inverse, what they make of values and keys, what that leaves beside the state, the
    // state behind it, the queries' scores, and the results from the chunk and from the state.
    let (heads, chunk) = (4, 64);
    let triangles = 2 * (2 * heads * chunk * chunk * 8) + 2 * heads * chunk * chunk;
    let made = 2 * heads * chunk * chunk * (8 + 8);
    let left = heads * chunk * 8 * (2 * 8 + 1);
    let states = heads * 8 * 8 * (2 * chunk + 2);
    let results = 2 * heads * chunk * 8 * (chunk + 8);
    let projections = 2 * chunk * 32 * (64 + 32 + 8) + 2 * chunk * 32 * 32;
    let (convolution, norm) = ((2 * 4 + 5) * 64 * chunk, (4 + 5 + 1 + 1) * 32 * chunk);
    let all = triangles + made + left + states + results + projections + convolution + norm;
    assert_eq!(prompt(64), f64::from(all));
}

/// A field that is missing is its class's, and null asks for the hidden size times `mamba_expand`.
#[test]
fn inner_numbers_of_falcon_h1_are_those_of_its_class_where_a_config_says_nothing() {
    let parameters = |model_type: &str, inner: Option<Value>| {
        let mut fields = json!({"mamba_n_heads": 8, "mamba_d_state": 16, "mamba_expand": 4});
        inner.into_iter().for_each(|inner| fields["mamba_d_ssm"] = inner);
        spec(config(model_type, [32, 1, 4, 2, 40, 64], fields)).num_parameters(TaskHead::None).unwrap()
    };
    let falcon = |inner| parameters("falcon_h1", inner);
    assert_eq!(falcon(None), falcon(Some(json!(1024))));
    assert_eq!(falcon(Some(json!(null))), falcon(Some(json!(128))));
    assert_ne!(falcon(None), falcon(Some(json!(null))));
    // The others have no such field.
    for model_type in ["bamba", "granitemoehybrid"] {
        assert_eq!(parameters(model_type, Some(json!(1024))), parameters(model_type, None), "{model_type}");
    }
}

/// Two heads of keys and eight of states on four GPUs: each has a head of keys that another has too, and two of states.
#[test]
fn states_divide_over_more_gpus_than_there_are_heads_of_keys() {
    let states = json!({"mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 16});
    let shape = spec(config("falcon_h1", [32, 1, 4, 2, 40, 64], states)).cache(Kernels::Fused).unwrap().unwrap();
    let share = shape.shared_by(4).bytes(10, Precision::of(Format::BF16));
    let channels = (64 + 2 * 16) / 4;
    assert_eq!(share, 10 * 2 * 8 * 2 + 2 * 8 * 16 * 4 + 3 * channels * 2);
}

/// The embeddings, and in each layer states, attention and feed-forward part.
#[test]
fn states_beside_an_attention_are_summed_over_gpus_for_themselves() {
    let states = json!({"mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 16});
    let falcon = spec(config("falcon_h1", [32, 2, 4, 2, 40, 64], states));
    let parallel = Parallel { tensor: 2, ..Parallel::default() };
    let tree = falcon.trace(Run { parallel, kernels: Kernels::Fused, ..Size::new(3, 1).after(7).into() }).unwrap();
    let is_sum = |node: &&Node| node.operation.as_ref().is_some_and(|op| op.kind == OpKind::AllReduce);
    assert_eq!(tree.nodes().iter().filter(is_sum).count(), 1 + 2 * 3);
}

/// Both projections, the products with gates, and three taps.
#[test]
fn a_short_convolution_costs_its_taps() {
    let of_token = 2 * 32 * 96 + 2 * 32 * 32 + 2 * 32 + 2 * 3 * 32;
    assert_eq!(flops(&lfm2(), 5, "root.0.conv"), f64::from(5 * of_token));
}

#[test]
fn a_pattern_of_layers_that_is_not_followed_is_refused() {
    let refused = |from: &str, to: &str| refused(NEMOTRON.replace(from, to));
    assert!(refused("M-*M", "MXM*").contains("field `hybrid_override_pattern`: a layer is `X`"));
    assert!(refused("M-*M", "M-*").ends_with("field `hybrid_override_pattern`: names 3 of 4 layers"));
    assert!(refused(r#""n_groups":2"#, r#""n_groups":3"#).contains("3 groups do not divide 8 heads of states"));
}

#[test]
fn granite_has_heads_of_their_own_width_and_a_part_for_every_token_beside_the_experts() {
    let layers = json!({"shared_intermediate_size": 12, "num_local_experts": 4, "num_experts_per_tok": 2, "layer_types": ["attention"],
        "head_dim": 6});
    let granite = spec(config("granitemoehybrid", [32, 1, 4, 2, 24, 64], layers));
    let tree = granite.trace(Size::new(1, 3)).unwrap();
    let parameters = |scope: &str| tree.node(tree.find(scope).unwrap()).get(Quantity::NumParameters).unwrap();
    assert_eq!(parameters("root.0.shared_mlp.input_linear"), f64::from(32 * 2 * 12));
    assert_eq!(parameters("root.0.shared_mlp.output_linear"), f64::from(12 * 32));
    assert_eq!(parameters("root.0.self_attn.q_proj"), f64::from(32 * 4 * 6));
    assert_eq!(parameters("root.0.block_sparse_moe"), f64::from(4 * 32 + 4 * 3 * 24 * 32));
}

#[test]
fn falcon_h1_keeps_states_beside_its_keys_and_values() {
    let states = json!({"mamba_d_ssm": 24, "mamba_n_heads": 3, "mamba_d_head": 8, "mamba_d_state": 16});
    let falcon = spec(config("falcon_h1", [32, 2, 4, 2, 40, 64], states));
    let bytes = |tokens| falcon.cache_bytes(1, tokens, Precision::of(Format::BF16)).unwrap().unwrap();
    // In each layer keys and values of two heads of 8 numbers, in 16 bits.
    let of_token = 2 * 2 * 2 * 8 * 2;
    assert_eq!(bytes(11) - bytes(10), of_token);
    // A state of 24 x 16 numbers in 32 bits, and three tokens of 24 + 2 x 16 channels in 16.
    assert_eq!(bytes(10) - 10 * of_token, 2 * (24 * 16 * 4 + 3 * (24 + 2 * 16) * 2));
    // The way in to gates, channels and steps, the convolution, three numbers for each head, and the way out: there is no norm.
    let of_states = 32 * (24 + 56 + 3) + 56 * 5 + 3 * 3 + 24 * 32;
    for kernels in [Kernels::Eager, Kernels::Fused] {
        let tree = falcon.trace(Run { kernels, ..Size::new(3, 1).after(7).into() }).unwrap();
        let mamba = tree.node(tree.find("root.1.mamba").unwrap());
        assert_eq!(mamba.get(Quantity::NumParameters), Some(f64::from(of_states)));
    }
}
