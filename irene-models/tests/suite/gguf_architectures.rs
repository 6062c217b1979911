//! GGUF files by their architecture: each tensor that llama.cpp's have is a parameter of the model that is followed.

use irene_models::{ModelSpec, ModelTask, Run, TaskHead};
use irene_tree::{Format, Size};

use crate::gguf_file::{File, MXFP4, tiny};

fn find(path: &str) -> ModelSpec {
    ModelSpec::find(path).unwrap()
}

type Tensors = &'static [(&'static str, &'static [usize])];

/// The experts of a tiny file, four of 32.
const EXPERTS: Tensors = &[
    (".ffn_gate_inp.weight", &[4, 64]),
    (".ffn_gate_exps.weight", &[4, 32, 64]),
    (".ffn_up_exps.weight", &[4, 32, 64]),
    (".ffn_down_exps.weight", &[4, 64, 32]),
];
/// The one that every token goes to.
const SHARED: Tensors = &[
    (".ffn_gate_shexp.weight", &[32, 64]),
    (".ffn_up_shexp.weight", &[32, 64]),
    (".ffn_down_shexp.weight", &[64, 32]),
];
/// Llama's attention and norms.
const ATTENTION: Tensors = &[
    ("output_norm.weight", &[64]),
    (".attn_norm.weight", &[64]),
    (".ffn_norm.weight", &[64]),
    (".attn_q.weight", &[64, 64]),
    (".attn_k.weight", &[32, 64]),
    (".attn_v.weight", &[32, 64]),
    (".attn_output.weight", &[64, 64]),
];
const DENSE: Tensors =
    &[(".ffn_gate.weight", &[256, 64]), (".ffn_up.weight", &[256, 64]), (".ffn_down.weight", &[64, 256])];
/// The parts of encoders beside attention and products, which have biases in BERT.
const ENCODER: Tensors = &[
    ("token_types.weight", &[2, 64]),
    ("token_embd_norm.weight", &[64]),
    ("token_embd_norm.bias", &[64]),
    (".attn_output_norm.weight", &[64]),
    (".attn_output_norm.bias", &[64]),
    (".layer_output_norm.weight", &[64]),
    (".layer_output_norm.bias", &[64]),
    (".attn_output.weight", &[64, 64]),
    (".ffn_up.weight", &[256, 64]),
    (".ffn_down.weight", &[64, 256]),
];
const BERT: Tensors = &[
    ("position_embd.weight", &[32, 64]),
    (".attn_q.weight", &[64, 64]),
    (".attn_k.weight", &[64, 64]),
    (".attn_v.weight", &[64, 64]),
    (".attn_q.bias", &[64]),
    (".attn_k.bias", &[64]),
    (".attn_v.bias", &[64]),
    (".attn_output.bias", &[64]),
    (".ffn_up.bias", &[256]),
    (".ffn_down.bias", &[64]),
];
const NOMIC: Tensors = &[(".attn_qkv.weight", &[192, 64]), (".ffn_gate.weight", &[256, 64])];
const GPT_OSS: Tensors = &[
    ("output_norm.weight", &[64]),
    (".attn_norm.weight", &[64]),
    (".post_attention_norm.weight", &[64]),
    (".attn_q.weight", &[64, 64]),
    (".attn_k.weight", &[32, 64]),
    (".attn_v.weight", &[32, 64]),
    (".attn_output.weight", &[64, 64]),
    (".attn_q.bias", &[64]),
    (".attn_k.bias", &[32]),
    (".attn_v.bias", &[32]),
    (".attn_output.bias", &[64]),
    (".attn_sinks.weight", &[4]),
    (".ffn_gate_inp.bias", &[4]),
    (".ffn_gate_exps.bias", &[4, 32]),
    (".ffn_up_exps.bias", &[4, 32]),
    (".ffn_down_exps.bias", &[4, 64]),
];
/// DeepSeek's attention but for the way up from the latent vectors of keys and values.
const LATENT: Tensors = &[
    ("output_norm.weight", &[64]),
    (".attn_norm.weight", &[64]),
    (".ffn_norm.weight", &[64]),
    (".attn_q_a.weight", &[32, 64]),
    (".attn_q_a_norm.weight", &[32]),
    (".attn_q_b.weight", &[160, 32]),
    (".attn_kv_a_mqa.weight", &[72, 64]),
    (".attn_kv_a_norm.weight", &[64]),
    (".attn_output.weight", &[64, 128]),
    (".exp_probs_b.bias", &[4]),
];
const APART: Tensors = &[(".attn_k_b.weight", &[4, 64, 32]), (".attn_v_b.weight", &[4, 32, 64])];
const JOINT: Tensors = &[(".attn_kv_b.weight", &[256, 64])];
const DEEPSEEK: &[(&str, u32)] = &[
    ("attention.head_count_kv", 1),
    ("attention.q_lora_rank", 32),
    ("attention.kv_lora_rank", 64),
    ("attention.key_length", 72),
    ("attention.value_length", 64),
    ("attention.key_length_mla", 40),
    ("attention.value_length_mla", 32),
    ("rope.dimension_count", 8),
    ("expert_count", 4),
    ("expert_used_count", 2),
    ("expert_shared_count", 1),
    ("expert_feed_forward_length", 32),
    ("expert_gating_func", 2),
];
const MIXTURE: &[(&str, u32)] = &[
    ("attention.head_count_kv", 2),
    ("expert_count", 4),
    ("expert_used_count", 2),
    ("expert_feed_forward_length", 32),
    ("feed_forward_length", 32),
];

#[test]
fn every_tensor_of_a_file_is_a_parameter_of_its_model() {
    for (architecture, model_type, head, sizes, tensors) in [
        ("smollm3", "smollm3", TaskHead::Lm, &[("attention.head_count_kv", 2)][..], [ATTENTION, DENSE].concat()),
        ("gpt-oss", "gpt_oss", TaskHead::Lm, MIXTURE, [GPT_OSS, EXPERTS].concat()),
        ("llama4", "llama4_text", TaskHead::Lm, MIXTURE, [ATTENTION, EXPERTS, SHARED].concat()),
        ("granitemoe", "granitemoe", TaskHead::Lm, MIXTURE, [ATTENTION, EXPERTS].concat()),
        ("deepseek2", "deepseek_v3", TaskHead::Lm, DEEPSEEK, [LATENT, APART, EXPERTS, SHARED].concat()),
        ("deepseek2", "deepseek_v3", TaskHead::Lm, DEEPSEEK, [LATENT, JOINT, EXPERTS, SHARED].concat()),
        ("bert", "bert", TaskHead::None, &[("pooling_type", 2)][..], [ENCODER, BERT].concat()),
        ("nomic-bert", "nomic_bert", TaskHead::None, &[("pooling_type", 1)][..], [ENCODER, NOMIC].concat()),
    ] {
        let mut file = tiny(architecture, sizes, &tensors);
        let mut format = Format::Q8_0;
        if architecture == "gpt-oss" {
            file.whole("gpt-oss.attention.sliding_window", 8);
            file.whole("gpt-oss.attention.key_length", 16);
            for name in ["gate", "up", "down"] {
                file.named(&format!("blk.0.ffn_{name}_exps.weight")).kind = MXFP4;
            }
            format = Format::Mxfp4;
        }
        if architecture == "llama4" {
            file.whole("llama4.attention.key_length", 16);
            file.whole("llama4.expert_used_count", 1);
        }
        let written = file.written(architecture);
        let spec = find(written.path());
        let precision = spec.config().precision().unwrap();
        assert_eq!((spec.model_type(), precision.weights), (model_type, format));
        let run = Run { head, precision, ..Size::new(2, 5).into() };
        assert!(spec.trace(run).is_ok(), "{architecture}");
        assert_eq!(spec.share_bytes(run).unwrap(), file.tensor_bytes(), "{architecture}");
        // Without one of them the file is no such model.
        let lacking = file.tensors.pop().unwrap();
        let written = file.written(architecture);
        let spec = find(written.path());
        let run = Run { precision: spec.config().precision().unwrap(), ..run };
        let found = spec.trace(run).unwrap_err().to_string();
        assert!(found.contains(&lacking.name) && !found.contains('\n'), "{found}");
    }
}

/// Qwen3-Embedding.
#[test]
fn a_decoder_whose_file_says_how_its_vectors_become_one_has_no_head() {
    for (pooling, task) in [(0, ModelTask::Decoder), (3, ModelTask::Embedder)] {
        let file = tiny("qwen3", &[("attention.head_count_kv", 2), ("pooling_type", pooling)], ATTENTION);
        assert_eq!(find(file.written("pooling").path()).task(), task);
    }
}

#[test]
fn what_only_some_files_of_an_architecture_have_is_refused_by_name() {
    let refused = |file: &File| {
        let written = file.written("some");
        ModelSpec::find(written.path()).unwrap_err().to_string()
    };
    let mut granite = tiny("granitemoe", MIXTURE, &[ATTENTION, EXPERTS].concat());
    granite.whole("granitemoe.expert_shared_feed_forward_length", 32);
    assert!(refused(&granite).contains("`granitemoe.expert_shared_feed_forward_length`: is an expert for every token"));
    let mut distilled = tiny("bert", &[], &[ENCODER, BERT].concat());
    distilled.tensors.retain(|tensor| tensor.name != "token_types.weight");
    assert!(
        refused(&distilled)
            .contains("field `token_types.weight`: is missing among the tensors: an encoder without segments")
    );
}

#[cfg(feature = "candle")]
#[test]
fn a_file_that_is_followed_alone_is_not_run() {
    use candle_core::{DType, Device};
    let written = tiny("gpt-oss", MIXTURE, &[GPT_OSS, EXPERTS].concat()).written("followed");
    let spec = find(written.path());
    let refused =
        spec.load(&[written.path().into()], TaskHead::Lm, DType::F32, &Device::Cpu).err().unwrap().to_string();
    assert!(
        refused.contains("a file of `gpt-oss` is followed by shape and not run: take the model's safetensors"),
        "{refused}"
    );
}
