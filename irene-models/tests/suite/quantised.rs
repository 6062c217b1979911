//! Where a checkpoint says how its weights are quantised, and what that makes of its bytes.

use irene_models::{Config, ModelSpec, Run, TaskHead};
use irene_tree::{Format, Size};

use crate::support::{Folder, spec};

/// A Llama of two layers.
const LLAMA: &str = r#"{"model_type":"llama","hidden_size":64,"num_hidden_layers":2,"num_attention_heads":1,
    "num_key_value_heads":1,"intermediate_size":128,"vocab_size":32,"max_position_embeddings":64"#;

/// Numbers in a layer's products, in the table and in the head, and in all norms.
const ATTENTION: u64 = 4 * 64 * 64;
const FEED_FORWARD: u64 = 3 * 64 * 128;
const DOWN: u64 = 64 * 128;
const TABLE: u64 = 32 * 64;
const NORMS: u64 = 5 * 64;

fn llama(field: &str) -> String {
    format!("{LLAMA},{field}}}")
}

/// Bytes of the model with its head, in its own formats.
fn bytes(spec: &ModelSpec) -> u64 {
    let precision = spec.config().precision().unwrap();
    spec.share_bytes(Run { head: TaskHead::Lm, precision, ..Size::new(1, 1).into() }).unwrap()
}

#[test]
fn a_list_leaves_its_modules_in_16_bits_however_it_names_them() {
    let fp8 = |list: &str| {
        llama(&format!(
            r#""torch_dtype":"bfloat16","quantization_config":{{"quant_method":"fp8","ignored_layers":[{list}]}}"#
        ))
    };
    let wide = |numbers: u64| 2 * (2 * TABLE + NORMS) + 2 * (ATTENTION + FEED_FORWARD) + numbers;
    assert_eq!(bytes(&spec(fp8(""))), wide(0));
    for (list, numbers) in [
        (r#""model.layers.1.mlp.down_proj""#, DOWN),
        (r#""language_model.model.layers.0.mlp.down_proj","model.language_model.layers.1.mlp.down_proj""#, 2 * DOWN),
        (r#""model.layers.*.mlp.down_proj""#, 2 * DOWN),
        (r#""model.layers.0*""#, ATTENTION + FEED_FORWARD),
        (r#""*mlp*""#, 2 * FEED_FORWARD),
        (r#""re:.*mlp\\.(gate|up)_proj""#, 2 * (FEED_FORWARD - DOWN)),
        (r#""model.layers.0.mlp.gate_up_proj""#, FEED_FORWARD - DOWN),
    ] {
        assert_eq!(bytes(&spec(fp8(list))), wide(numbers), "{list}");
    }
}

#[test]
fn mlx_quantises_tables_and_heads_too() {
    let older = spec(llama(r#""quantization":{"group_size":64,"bits":4}"#));
    let both = r#""quantization":{"group_size":64,"bits":4},"quantization_config":{"group_size":64,"bits":4}"#;
    let whole = Format::Mlx4.bytes(2 * TABLE + 2 * (ATTENTION + FEED_FORWARD)) + 2 * NORMS;
    assert_eq!([bytes(&older), bytes(&spec(llama(both)))], [whole; 2]);
    // The text model of one of text and images is quantised as the whole.
    let text = llama("\"torch_dtype\":null");
    let images =
        format!(r#"{{"model_type":"other","quantization":{{"group_size":64,"bits":4}},"text_config":{text}}}"#);
    assert_eq!(bytes(&spec(images)), whole);
}

#[test]
fn quantised_weights_are_beside_activations_of_16_bits() {
    let precision = |fields: &str| {
        let config = Config::from_json("config.json", format!("{{{fields}}}").as_bytes()).unwrap();
        config.precision().unwrap().to_string()
    };
    assert_eq!(precision(r#""quantization_config":{"quant_method":"mxfp4"}"#), "mxfp4 weights, bf16 activations");
    // A type that is chosen when a model is loaded is none.
    let auto = r#""dtype":"auto","quantization_config":{"quant_method":"mxfp4"}"#;
    assert_eq!(precision(auto), "mxfp4 weights, bf16 activations");
    assert_eq!(precision(r#""torch_dtype":"auto""#), precision(""));
    assert_eq!(
        precision(r#""dtype":"float32","quantization_config":{"quant_method":"fp8"}"#),
        "f8_e4m3 weights, f32 activations"
    );
}

#[test]
fn a_file_beside_a_config_says_how_its_weights_are_quantised() {
    let folder = Folder::new("quantised");
    let write = |name: &str, text: &str| folder.write(name, text);
    let found = |file: &str| ModelSpec::find(folder.0.join(file).to_str().unwrap()).unwrap();
    let weights = || found("").config().precision().map(|own| own.weights);
    let (plain, own) = (llama("\"dtype\":\"bfloat16\""), r#""quantization_config":{"quant_method":"fp8"}"#);
    write("config.json", &plain);
    write("mine.json", &plain);
    assert_eq!(weights().unwrap(), Format::BF16);
    write("quant_config.json", r#"{"calibration":"minmax"}"#);
    assert_eq!(weights().unwrap(), Format::BF16);
    write("quant_config.json", r#"{"zero_point":true,"q_group_size":64,"w_bit":4,"version":"GEMM"}"#);
    assert_eq!(weights().unwrap(), Format::Int4G64);
    write("quantize_config.json", r#"{"bits":4,"group_size":128,"desc_act":false,"sym":true}"#);
    assert_eq!(weights().unwrap(), Format::Int4);
    let modelopt = |fields: &str| format!(r#"{{"producer":{{"name":"modelopt"}},"quantization":{{{fields}}}}}"#);
    // Keys and values alone.
    write("hf_quant_config.json", &modelopt(r#""quant_algo":null,"kv_cache_quant_algo":"FP8""#));
    assert_eq!(weights().unwrap(), Format::Int4);
    write("hf_quant_config.json", &modelopt(r#""quant_algo":"NVFP4","exclude_modules":["lm_head","model.layers.0*"]"#));
    let whole = Format::Nvfp4.bytes(ATTENTION + FEED_FORWARD) + 2 * (ATTENTION + FEED_FORWARD + 2 * TABLE + NORMS);
    assert_eq!((weights().unwrap(), bytes(&found(""))), (Format::Nvfp4, whole));
    write("hf_quant_config.json", &modelopt(r#""quant_algo":"MIXED_PRECISION""#));
    let refused = weights().unwrap_err().to_string();
    assert!(
        refused.contains("`modelopt, quant_algo MIXED_PRECISION` of hf_quant_config.json is unknown here"),
        "{refused}"
    );
    // The config's own comes first, and a file that is named itself has nothing beside it.
    write("config.json", &llama(own));
    assert_eq!(weights().unwrap(), Format::F8E4M3);
    assert_eq!(found("mine.json").config().precision().unwrap().weights, Format::BF16);
}
