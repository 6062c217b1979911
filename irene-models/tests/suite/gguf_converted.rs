//! Checkpoints of transformers' under llama.cpp's names: the files give what transformers computed.

use std::{collections::HashMap, path::PathBuf};

use candle_core::{DType, Device, Tensor as Candle};
use irene_models::{Batch, Cx, ModelSpec, TaskHead};
use irene_tree::Size;
use serde_json::Value;

use crate::{
    gguf::{distance, logits},
    gguf_file::{F32, File, Written},
};

/// Modules of transformers, and tensors by llama.cpp's tables.
const NAMES: [(&str, &str); 38] = [
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
];

/// The projections of an expert, which files of before April 2024 have one by one.
const EXPERT: [(&str, &str); 3] = [("w1", "ffn_gate"), ("w3", "ffn_up"), ("w2", "ffn_down")];

/// Sizes by llama.cpp's names and those of configs.
const SIZES: [(&str, &[&str]); 10] = [
    ("embedding_length", &["hidden_size", "dim"]),
    ("block_count", &["num_hidden_layers", "n_layers"]),
    ("attention.head_count", &["num_attention_heads", "n_heads"]),
    ("attention.head_count_kv", &["num_key_value_heads"]),
    ("feed_forward_length", &["intermediate_size", "hidden_dim"]),
    ("context_length", &["max_position_embeddings"]),
    ("attention.key_length", &["head_dim"]),
    ("attention.sliding_window", &["sliding_window"]),
    ("expert_count", &["num_local_experts"]),
    ("expert_used_count", &["num_experts_per_tok"]),
];

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn safetensors(path: PathBuf) -> HashMap<String, Candle> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

/// The tensor of a parameter; none for those that the file does not have.
fn named(key: &str, after_attention: &str) -> Option<String> {
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
        return Some(format!("{name}.{kind}"));
    };
    let (layer, inner) = inside.split_once('.')?;
    let name = match inner.strip_prefix("block_sparse_moe.experts.").and_then(|expert| expert.split_once('.')) {
        Some((expert, projection)) => {
            let (_, name) = EXPERT.iter().find(|(known, _)| *known == projection)?;
            format!("{name}.{expert}")
        }
        None if inner == "post_attention_layernorm" => after_attention.to_owned(),
        None => NAMES.iter().find(|(known, _)| *known == inner)?.1.to_owned(),
    };
    Some(format!("blk.{layer}.{name}.{kind}"))
}

/// A config's sizes and positions as llama.cpp's converter writes them.
fn described(architecture: &str, config: &Value) -> File {
    let mut file = File::new(architecture);
    let key = |key: &str| format!("{architecture}.{key}");
    for (name, fields) in SIZES {
        if let Some(size) = fields.iter().find_map(|field| config[field].as_u64()) {
            file.whole(&key(name), size as u32);
        }
    }
    let rope = &config["rope_parameters"];
    let rope = if rope["full_attention"].is_object() { &rope["full_attention"] } else { rope };
    for (name, value) in [
        ("attention.layer_norm_rms_epsilon", &config["rms_norm_eps"]),
        ("attention.layer_norm_epsilon", &config["layer_norm_eps"]),
        ("rope.freq_base", if rope.is_object() { &rope["rope_theta"] } else { &config["rope_theta"] }),
        ("rope.scaling.factor", &rope["factor"]),
    ] {
        if let Some(number) = value.as_f64() {
            file.number(&key(name), number as f32);
        }
    }
    if let (Some(share), Some(width)) = (rope["partial_rotary_factor"].as_f64(), config["head_dim"].as_f64()) {
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

/// The file of a fixture's checkpoint.
fn converted(name: &str, architecture: &str, after_attention: &str) -> Written {
    let config: Value = serde_json::from_slice(&std::fs::read(fixture(name).join("config.json")).unwrap()).unwrap();
    let mut file = described(architecture, &config);
    let mut numbers = HashMap::new();
    for (key, values) in safetensors(fixture(name).join("model.safetensors")) {
        let Some(tensor) = named(&key, after_attention) else { continue };
        let heads = |field: &str| config[field].as_u64().unwrap() as usize;
        let values = match tensor.rsplit('.').nth(1) {
            Some("attn_q") if architecture == "llama" => alternating(&values, heads("num_attention_heads")),
            Some("attn_k") if architecture == "llama" => alternating(&values, heads("num_key_value_heads")),
            _ => values,
        };
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
    for name in ["bert", "distilbert"] {
        let written = converted(name, "bert", "");
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
