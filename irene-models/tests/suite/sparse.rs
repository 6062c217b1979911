//! Sparse attention: an indexer scores all tokens before a query, and the attention reads those that it chose, as a hand counts them.

use irene_models::{ModelSpec, Run};
use irene_tree::{Format, Kernels, OpKind, Operation, Parallel, Precision, Quantity, Size, Tree};
use serde_json::{Value, json};

use crate::{
    published::config,
    support::{refused, spec},
};

/// Four heads over latent vectors of 12 numbers and rotated keys of 4; an indexer of 2 heads of 6 numbers chooses 16 tokens.
fn fields(layers: usize, model_type: &str, further: &Value) -> Value {
    let mut fields = json!({"q_lora_rank": 8, "kv_lora_rank": 12, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 6,
        "n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "n_group": 1, "topk_group": 1,
        "first_k_dense_replace": 1, "index_topk": 16, "index_n_heads": 2, "index_head_dim": 6});
    further.as_object().unwrap().iter().for_each(|(field, value)| fields[field] = value.clone());
    config(model_type, [32, layers as u64, 4, 4, 24, 64], fields)
}

fn deepseek() -> ModelSpec {
    spec(fields(2, "deepseek_v32", &json!({})))
}

fn glm(further: &Value) -> ModelSpec {
    spec(fields(4, "glm_moe_dsa", further))
}

fn fused(spec: &ModelSpec, size: Size) -> Tree {
    spec.trace(Run { kernels: Kernels::Fused, keeps_cache: true, ..size.into() }).unwrap()
}

fn operation(tree: &Tree, scope: &str) -> Operation {
    let node = tree.node(tree.find(scope).unwrap_or_else(|| panic!("no node {scope}")));
    node.operation.as_deref().unwrap().clone()
}

#[test]
fn a_token_is_scored_with_all_before_it_and_attends_to_those_chosen() {
    for past in [7, 15, 16, 1000] {
        let tree = fused(&deepseek(), Size::new(3, 1).after(past));
        let scores = operation(&tree, "root.0.self_attn.indexer.scores");
        assert_eq!((scores.pairs, scores.inputs[1].shape.dims()), (past as u64 + 1, &[3, 1, past + 1, 6][..]));
        let (chosen, attention) = ((past + 1).min(16), operation(&tree, "root.0.self_attn.attention"));
        assert_eq!(attention.pairs, chosen as u64);
        let read = |place: usize| attention.inputs[place].shape.dims().to_vec();
        assert_eq!([read(1), read(2)], [vec![3, 1, chosen, 4], vec![3, 1, chosen, 12]]);
        // Each of two layers reads the indexer's keys of all and the rest of those chosen, and writes the token's own.
        let numbers = 2 * 3 * (6 * (past + 1) + (4 + 12) * chosen + (4 + 12 + 6));
        let bytes = tree.root().get(Quantity::CacheBytes).unwrap() * 1024.0 * 1024.0;
        assert_eq!(bytes, 4.0 * numbers as f64);
    }
}

/// Queries of a prompt see 1, 2 ... 16 tokens, and then 16 each; every pair is scored.
#[test]
fn a_prompt_scores_every_pair_and_attends_to_those_chosen() {
    let (scored, chosen) = (40 * 41 / 2, 16 * 17 / 2 + 24 * 16);
    let tree = fused(&deepseek(), Size::new(1, 40));
    let pairs = |tree: &Tree, scope: &str| operation(tree, scope).pairs;
    assert_eq!(pairs(&tree, "root.0.self_attn.indexer.scores"), scored);
    assert_eq!(pairs(&tree, "root.0.self_attn.attention"), chosen);
    // A product of query and key, one with the head's weight, and 5 more FLOPs for each head and pair.
    let scores = tree.node(tree.find("root.0.self_attn.indexer.scores").unwrap());
    assert_eq!((scores.get(Quantity::Flops).unwrap() * 1e6).round(), (scored * 2 * (2 * (6 + 1) + 5)) as f64);
    let alone = deepseek().trace(Run { kernels: Kernels::Fused, ..Size::new(1, 40).into() }).unwrap();
    assert_eq!(pairs(&alone, "root.0.self_attn.attention"), chosen);
}

#[test]
fn the_cache_holds_the_keys_of_each_indexer() {
    let bytes = |spec: &ModelSpec| spec.cache_bytes(1, 10, Precision::of(Format::BF16)).unwrap().unwrap();
    assert_eq!(bytes(&deepseek()), 2 * 10 * 2 * (12 + 4 + 6));
    assert_eq!(bytes(&glm(&json!({"index_topk_freq": 2}))), 2 * 10 * (4 * (12 + 4) + 3 * 6));
    // Every GPU has all of it, and so have eager kernels.
    for kernels in [Kernels::Fused, Kernels::Eager] {
        let shape = deepseek().cache(kernels).unwrap().unwrap();
        assert_eq!(shape.shared_by(4).bytes(10, Precision::of(Format::BF16)), bytes(&deepseek()));
    }
}

/// At 100,000 tokens DeepSeek-V3.2 reads a quarter of the cache that V3 reads.
#[test]
fn deepseek_v3_2_reads_less_of_a_long_cache_than_v3() {
    let read = |name: &str| {
        let precision = Precision::of(Format::BF16);
        let run = Run { precision, kernels: Kernels::Fused, ..Size::new(1, 1).after(100_000).into() };
        let tree = ModelSpec::builtin(name).unwrap().trace(run).unwrap();
        tree.root().get(Quantity::CacheBytes).unwrap() * 1024.0 * 1024.0
    };
    assert_eq!(read("DeepSeek-V3"), 61.0 * 2.0 * (576.0 * 100_001.0 + 576.0));
    assert_eq!(read("DeepSeek-V3.2"), 61.0 * 2.0 * (128.0 * 100_001.0 + 576.0 * 2048.0 + 704.0));
}

#[test]
fn layers_share_a_choice_by_words_letters_or_a_step() {
    let size = Size::new(2, 1).after(30);
    let of_words = fused(&glm(&json!({"indexer_types": ["full", "full", "shared", "shared"]})), size);
    for same in [json!({"index_topk_pattern": "FFSS"}), json!({"index_topk_freq": 4}), json!({"index_topk_freq": 3})] {
        assert!(fused(&glm(&same), size) == of_words, "{same}");
    }
    assert!(of_words.find("root.1.self_attn.indexer").is_some());
    assert!(of_words.find("root.2.self_attn.indexer").is_none());
    assert_eq!(operation(&of_words, "root.3.self_attn.attention").pairs, 16);
}

/// The second stage begins with a layer that shares a choice: its places are sent beside the hidden states.
#[test]
fn a_shared_choice_is_sent_to_the_next_stage() {
    let sent = |further: &Value| {
        let parallel = Parallel { pipeline: 2, ..Parallel::default() };
        let run = Run { kernels: Kernels::Fused, parallel, ..Size::new(2, 20).into() };
        let tree = glm(further).trace(run).unwrap();
        let sent = tree.nodes().iter().filter_map(|node| node.operation.as_deref());
        let sent = sent.filter(|operation| operation.kind == OpKind::SendRecv);
        sent.filter(|operation| operation.output.shape.dims() == [40, 16]).count()
    };
    assert_eq!(sent(&json!({"index_topk_pattern": "FFSF"})), 1);
    assert_eq!(sent(&json!({"index_topk_pattern": "FSFS"})), 0);
}

#[test]
fn what_an_indexer_cannot_do_is_refused() {
    let why = |further: Value| refused(fields(4, "glm_moe_dsa", &further));
    let first = "expected `F` (full) or `S` (shared) for each of 4 layers, `F` for the first";
    for pattern in ["SFFF", "FSF", "FSXF"] {
        assert!(why(json!({"index_topk_pattern": pattern})).contains(first), "{pattern}");
    }
    assert!(why(json!({"indexer_types": ["full", "half", "full", "full"]})).contains("`half` is not supported here"));
    assert!(why(json!({"index_head_dim": 2})).contains("field `index_head_dim`: 2 numbers are fewer than the 4"));
    assert!(why(json!({"q_lora_rank": null})).contains("field `q_lora_rank`"));
    assert!(why(json!({"layer_types": vec!["full_attention"; 4]})).contains("field `layer_types`: `full_attention`"));
    assert!(why(json!({"scoring_func": "softmax"})).contains("field `scoring_func`"));
    assert!(why(json!({"topk_group": 9})).contains("field `topk_group`: 9 groups are chosen of 1"));
    // No head has this width.
    let traced = |further: Value| glm(&further).trace(Size::new(1, 2)).unwrap();
    assert_eq!(traced(json!({"head_dim": 192})), traced(json!({})));
}
