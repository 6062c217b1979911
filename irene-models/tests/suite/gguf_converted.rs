//! Checkpoints of transformers' under llama.cpp's names: the files give what transformers computed.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use candle_core::{DType, Device, Tensor as Candle};
use irene_models::{Batch, Cx, ModelSpec, TaskHead};
use irene_tree::Size;
use serde_json::Value;

use crate::{
    gguf::{distance, logits},
    gguf_file::{F32, File, Written},
};

/// Modules of transformers, and tensors by llama.cpp's tables.
const NAMES: &[(&str, &str)] = &[
    ("embed_tokens", "token_embd"),
    ("norm", "output_norm"),
    ("lm_head", "output"),
    ("embeddings.word_embeddings", "token_embd"),
    ("embeddings.position_embeddings", "position_embd"),
    ("embeddings.token_type_embeddings", "token_types"),
    ("embeddings.LayerNorm", "token_embd_norm"),
    ("input_layernorm", "attn_norm"),
    ("post_self_attn_layernorm", "post_attention_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
    ("post_mlp_layernorm", "post_ffw_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("block_sparse_moe.gate", "ffn_gate_inp"),
    ("attention.self.query", "attn_q"),
    ("attention.self.key", "attn_k"),
    ("attention.self.value", "attn_v"),
    ("attention.output.dense", "attn_output"),
    ("attention.output.LayerNorm", "attn_output_norm"),
    ("intermediate.dense", "ffn_up"),
    ("output.dense", "ffn_down"),
    ("output.LayerNorm", "layer_output_norm"),
    ("attention.q_lin", "attn_q"),
    ("attention.k_lin", "attn_k"),
    ("attention.v_lin", "attn_v"),
    ("attention.out_lin", "attn_output"),
    ("sa_layer_norm", "attn_output_norm"),
    ("ffn.lin1", "ffn_up"),
    ("ffn.lin2", "ffn_down"),
    ("output_layer_norm", "layer_output_norm"),
    ("embeddings.tok_embeddings", "token_embd"),
    ("embeddings.norm", "token_embd_norm"),
    ("final_norm", "output_norm"),
    ("attn_norm", "attn_norm"),
    ("attn.Wqkv", "attn_qkv"),
    ("attn.Wo", "attn_output"),
    ("mlp_norm", "ffn_norm"),
    ("mlp.Wi", "ffn_up"),
    ("mlp.Wo", "ffn_down"),
    ("mlp.gate", "ffn_gate_inp"),
    ("mlp.shared_experts.gate_proj", "ffn_gate_shexp"),
    ("mlp.shared_experts.up_proj", "ffn_up_shexp"),
    ("mlp.shared_experts.down_proj", "ffn_down_shexp"),
    ("final_layernorm", "output_norm"),
    ("self_attn.dense", "attn_output"),
    ("mlp.fc1", "ffn_up"),
    ("mlp.fc2", "ffn_down"),
];

/// The projections of an expert.
const EXPERT: &[(&str, &str)] = &[
    ("w1", "ffn_gate"),
    ("w3", "ffn_up"),
    ("w2", "ffn_down"),
    ("gate_proj", "ffn_gate"),
    ("up_proj", "ffn_up"),
    ("down_proj", "ffn_down"),
];

/// Sizes by llama.cpp's names and those of configs.
const SIZES: &[(&str, &[&str])] = &[
    ("embedding_length", &["hidden_size", "dim"]),
    ("block_count", &["num_hidden_layers", "n_layers"]),
    ("attention.head_count", &["num_attention_heads", "n_heads"]),
    ("attention.head_count_kv", &["num_key_value_heads"]),
    ("feed_forward_length", &["intermediate_size", "hidden_dim"]),
    ("context_length", &["max_position_embeddings"]),
    ("attention.key_length", &["head_dim"]),
    ("attention.sliding_window", &["sliding_window", "local_attention"]),
    ("expert_count", &["num_local_experts", "num_experts", "n_routed_experts"]),
    ("expert_used_count", &["num_experts_per_tok"]),
    ("expert_feed_forward_length", &["moe_intermediate_size"]),
    ("expert_shared_count", &["n_shared_experts"]),
    ("expert_group_count", &["n_group"]),
    ("expert_group_used_count", &["topk_group"]),
    ("leading_dense_block_count", &["first_k_dense_replace"]),
];

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn safetensors(path: PathBuf) -> HashMap<String, Candle> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

/// The tensor of a parameter, and the number of its expert; none for those that the file does not have.
fn named(key: &str, after_attention: &str) -> Option<(String, Option<usize>)> {
    let key = ["model.", "bert.", "distilbert."].iter().find_map(|prefix| key.strip_prefix(prefix)).unwrap_or(key);
    let (module, kind) = key.rsplit_once('.')?;
    let kind = match kind {
        "gamma" => "weight",
        "beta" => "bias",
        kind => kind,
    };
    let lists = ["layers.", "encoder.layer.", "transformer.layer."];
    let Some(inside) = lists.iter().find_map(|list| module.strip_prefix(list)) else {
        let (_, name) = NAMES.iter().find(|(known, _)| *known == module)?;
        return Some((format!("{name}.{kind}"), None));
    };
    let (layer, inner) = inside.split_once('.')?;
    if kind == "e_score_correction_bias" {
        return Some((format!("blk.{layer}.exp_probs_b.bias"), None));
    }
    let (name, expert) = match inner.split_once(".experts.").and_then(|(_, expert)| expert.split_once('.')) {
        Some((expert, projection)) => {
            (EXPERT.iter().find(|(known, _)| *known == projection)?.1, Some(expert.parse().ok()?))
        }
        None if inner == "post_attention_layernorm" => (after_attention, None),
        None => (NAMES.iter().find(|(known, _)| *known == inner)?.1, None),
    };
    Some((format!("blk.{layer}.{name}.{kind}"), expert))
}

/// A config's sizes and positions as llama.cpp's converter writes them.
fn described(architecture: &str, config: &Value) -> File {
    let mut file = File::new(architecture);
    let key = |key: &str| format!("{architecture}.{key}");
    for (name, fields) in SIZES {
        if let Some(size) = fields.iter().find_map(|field| config[*field].as_u64()) {
            file.whole(&key(name), size as u32);
        }
    }
    let local = &config["rope_parameters"]["sliding_attention"]["rope_theta"];
    let rope = &config["rope_parameters"];
    let rope = if rope["full_attention"].is_object() { &rope["full_attention"] } else { rope };
    for (name, value) in [
        ("attention.layer_norm_rms_epsilon", &config["rms_norm_eps"]),
        ("attention.layer_norm_epsilon", &config["layer_norm_eps"]),
        ("attention.layer_norm_rms_epsilon", &config["norm_eps"]),
        ("attention.temperature_scale", &rope["llama_4_scaling_beta"]),
        ("expert_weights_scale", &config["routed_scaling_factor"]),
        ("logit_scale", &config["logit_scale"]),
        ("rope.freq_base_swa", local),
        ("rope.freq_base", if rope.is_object() { &rope["rope_theta"] } else { &config["rope_theta"] }),
        ("rope.scaling.factor", &rope["factor"]),
    ] {
        if let Some(number) = value.as_f64() {
            file.number(&key(name), number as f32);
        }
    }
    let of_heads = || Some(config["hidden_size"].as_f64()? / config["num_attention_heads"].as_f64()?);
    let width = config["head_dim"].as_f64().or_else(of_heads);
    if let (Some(share), Some(width)) = (rope["partial_rotary_factor"].as_f64(), width) {
        file.whole(&key("rope.dimension_count"), (share * width) as u32);
    }
    if rope["rope_type"] == "yarn" {
        file.text(&key("rope.scaling.type"), "yarn");
        let original = rope["original_max_position_embeddings"].as_u64().unwrap();
        file.whole(&key("rope.scaling.original_context_length"), original as u32);
    }
    if let Some(kinds) = config["layer_types"].as_array() {
        let slides: Vec<bool> = kinds.iter().map(|kind| kind == "sliding_attention").collect();
        file.flags(&key("attention.sliding_window_pattern"), &slides);
    }
    file
}

/// Rows of queries or keys as llama.cpp turns them: the halves of each head alternate.
fn alternating(rows: &Candle, heads: usize) -> Candle {
    let (all, columns) = rows.dims2().unwrap();
    let halves = rows.reshape((heads, 2, all / heads / 2, columns)).unwrap().transpose(1, 2).unwrap();
    halves.contiguous().unwrap().reshape((all, columns)).unwrap()
}

/// The tensor as a file has it, and the place in it where it has several: experts, which files of before April 2024 have one by one (Llama's
/// here), and the projections that Phi-2's first files have in one.
fn stored(architecture: &str, tensor: &str, expert: Option<usize>) -> (String, Option<usize>) {
    const PROJECTIONS: [&str; 3] = ["attn_q.", "attn_k.", "attn_v."];
    let projection = PROJECTIONS.iter().position(|part| architecture == "phi2" && tensor.contains(part));
    match (expert, projection) {
        (Some(expert), _) if architecture == "llama" => (tensor.replace(".weight", &format!(".{expert}.weight")), None),
        (Some(expert), _) => (tensor.replace(".weight", "_exps.weight"), Some(expert)),
        (None, Some(place)) => (tensor.replace(PROJECTIONS[place], "attn_qkv."), Some(place)),
        (None, None) => (tensor.to_owned(), None),
    }
}

/// The file of a fixture's checkpoint.
fn converted(name: &str, architecture: &str, after_attention: &str) -> Written {
    let config: Value = serde_json::from_slice(&std::fs::read(fixture(name).join("config.json")).unwrap()).unwrap();
    let mut file = described(architecture, &config);
    let mut tensors = BTreeMap::<String, BTreeMap<usize, Candle>>::new();
    let alternates = ["llama", "mistral3"].contains(&architecture);
    for (key, values) in safetensors(fixture(name).join("model.safetensors")) {
        let Some((tensor, expert)) = named(&key, after_attention) else { continue };
        let heads = |field: &str| config[field].as_u64().unwrap() as usize;
        let values = match tensor.rsplit('.').nth(1) {
            Some("attn_q") if alternates => alternating(&values, heads("num_attention_heads")),
            Some("attn_k") if alternates => alternating(&values, heads("num_key_value_heads")),
            _ => values,
        };
        let (tensor, place) = stored(architecture, &tensor, expert);
        // Experts are stacked, and projections follow each other.
        let values = if expert.and(place).is_some() { values.unsqueeze(0).unwrap() } else { values };
        tensors.entry(tensor).or_default().insert(place.unwrap_or(0), values);
    }
    let mut numbers = HashMap::new();
    for (tensor, parts) in tensors {
        let values = Candle::cat(&parts.into_values().collect::<Vec<_>>(), 0).unwrap();
        file.tensor(tensor.clone(), values.dims(), F32);
        numbers.insert(tensor, values.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1().unwrap());
    }
    Written::new(architecture, |path| file.write_with(path, &numbers))
}

#[test]
fn decoders_give_the_logits_of_their_checkpoints() {
    for (name, architecture, after_attention) in [
        ("olmo3", "olmo2", "post_attention_norm"),
        ("exaone4", "exaone4", "post_attention_norm"),
        ("seed_oss", "seed_oss", "post_attention_norm"),
        ("glm4", "glm4", "ffn_norm"),
        ("ernie4_5", "ernie4_5", "ffn_norm"),
        ("mixtral", "llama", "ffn_norm"),
        ("ministral3", "mistral3", "ffn_norm"),
        ("cohere", "command-r", "ffn_norm"),
        ("cohere2", "cohere2", "ffn_norm"),
        ("glm4_moe", "glm4moe", "post_attention_norm"),
        ("olmoe", "olmoe", "ffn_norm"),
        ("minimax_m2", "minimax-m2", "ffn_norm"),
        ("phi", "phi2", "ffn_norm"),
    ] {
        let written = converted(&format!("llm/{name}"), architecture, after_attention);
        let spec = ModelSpec::find(written.path()).unwrap();
        assert_eq!(spec.model_type(), name);
        assert!(spec.notes().is_empty(), "{name}: {:?}", spec.notes());
        let io = safetensors(fixture(&format!("llm/{name}/io.safetensors")));
        // Row 1 is padded.
        for row in [0, 2] {
            let of_row = |tensor: &str| io[tensor].get(row).unwrap().flatten_all().unwrap();
            let expected = of_row("logits").to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
            let found = logits(written.path().as_ref(), &of_row("input_ids").to_vec1().unwrap());
            assert!(distance(&found, &expected) < 1e-5, "{name}: {} apart", distance(&found, &expected));
        }
    }
}

#[test]
fn encoders_give_the_hidden_states_of_their_checkpoints() {
    for (name, architecture) in [("bert", "bert"), ("distilbert", "bert"), ("modernbert", "modern-bert")] {
        let written = converted(name, architecture, "");
        let spec = ModelSpec::find(written.path()).unwrap();
        assert_eq!(spec.model_type(), name);
        assert!(spec.notes().is_empty(), "{name}: {:?}", spec.notes());
        let model = spec.load(&[written.path().into()], TaskHead::None, DType::F32, &Device::Cpu).unwrap();
        let io = safetensors(fixture(name).join("io.safetensors"));
        let ids = |tensor: &str| io[tensor].flatten_all().unwrap().to_vec1::<i64>().unwrap();
        let (rows, columns) = io["input_ids"].dims2().unwrap();
        let mask = ids("attention_mask");
        let batch = Batch::of_ids(ids("input_ids"), Some(mask.clone()), Size::new(rows, columns), &Device::Cpu);
        let output = model.run(&mut Cx::silent(), &batch.unwrap()).unwrap();
        // Outputs of padding mean nothing.
        let tokens = |hidden: &Candle| -> Vec<f64> {
            let width = hidden.dims()[2];
            let numbers = hidden.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
            let tokens = numbers.chunks(width).zip(&mask).filter(|(_, mask)| **mask != 0);
            tokens.flat_map(|(token, _)| token.to_vec()).collect()
        };
        let found = tokens(output.last_hidden_state.candle().unwrap());
        let apart = distance(&found, &tokens(&io["last_hidden_state"]));
        assert!(apart < 1e-5, "{name}: {apart} apart");
    }
}
