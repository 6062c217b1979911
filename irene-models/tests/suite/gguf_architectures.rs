//! GGUF files by their architecture: each tensor that llama.cpp's have is a parameter of the model that is followed.

use irene_models::{FileHead, ModelSpec, ModelTask, Run, TaskHead};
use irene_tree::{Format, Size};

use crate::gguf_file::{F32, File, IQ4_NL, MXFP4, Q8_0, Stored, tiny};

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
/// The norms of each head's queries and keys.
const HEAD_NORMS: Tensors = &[(".attn_q_norm.weight", &[16]), (".attn_k_norm.weight", &[16])];
/// The same of all heads at once.
const JOINT_NORMS: Tensors = &[(".attn_q_norm.weight", &[64]), (".attn_k_norm.weight", &[32])];
const BIASES: Tensors = &[(".attn_q.bias", &[64]), (".attn_k.bias", &[32]), (".attn_v.bias", &[32])];
/// Llama's attention with norms behind the branches alone.
const NORMS_BEHIND: Tensors = &[
    ("output_norm.weight", &[64]),
    (".post_attention_norm.weight", &[64]),
    (".post_ffw_norm.weight", &[64]),
    (".attn_q.weight", &[64, 64]),
    (".attn_k.weight", &[32, 64]),
    (".attn_v.weight", &[32, 64]),
    (".attn_output.weight", &[64, 64]),
];
/// GLM-4's norms behind its branches, and its feed-forward part.
const GLM4: Tensors = &[
    (".post_attention_norm.weight", &[64]),
    (".post_ffw_norm.weight", &[64]),
    (".ffn_up.weight", &[512, 64]),
    (".ffn_down.weight", &[64, 256]),
];
/// Seed-OSS calls the second norm otherwise.
const SEED_OSS: Tensors = &[
    ("output_norm.weight", &[64]),
    (".attn_norm.weight", &[64]),
    (".post_attention_norm.weight", &[64]),
    (".attn_q.weight", &[64, 64]),
    (".attn_k.weight", &[32, 64]),
    (".attn_v.weight", &[32, 64]),
    (".attn_output.weight", &[64, 64]),
];
const SEGMENTS: Tensors = &[("token_types.weight", &[2, 64])];
/// The parts of encoders beside attention and products, which have biases in BERT.
const ENCODER: Tensors = &[
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
/// The two layers of a reranker with one class.
const CLASSIFIER: Tensors =
    &[("cls.weight", &[64, 64]), ("cls.bias", &[64]), ("cls.output.weight", &[1, 64]), ("cls.output.bias", &[1])];
/// The first layer has no norm before its attention.
const MODERN: Tensors = &[
    ("token_embd_norm.weight", &[64]),
    ("output_norm.weight", &[64]),
    (".attn_qkv.weight", &[192, 64]),
    (".attn_output.weight", &[64, 64]),
    (".ffn_norm.weight", &[64]),
    (".ffn_up.weight", &[512, 64]),
    (".ffn_down.weight", &[64, 256]),
];
/// The head of its rerankers.
const NORMED_CLASSIFIER: Tensors = &[
    ("cls.weight", &[64, 64]),
    ("cls.norm.weight", &[64]),
    ("cls.output.weight", &[1, 64]),
    ("cls.output.bias", &[1]),
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
/// Both branches from one norm.
const PARALLEL: Tensors = &[
    ("output_norm.weight", &[64]),
    (".attn_norm.weight", &[64]),
    (".attn_q.weight", &[64, 64]),
    (".attn_k.weight", &[32, 64]),
    (".attn_v.weight", &[32, 64]),
    (".attn_output.weight", &[64, 64]),
];
const CORRECTION: Tensors = &[(".exp_probs_b.bias", &[4])];
/// A layer of gated DeltaNet but for what goes into its heads.
const DELTA: Tensors = &[
    ("output_norm.weight", &[64]),
    (".attn_norm.weight", &[64]),
    (".post_attention_norm.weight", &[64]),
    (".attn_qkv.weight", &[128, 64]),
    (".attn_gate.weight", &[64, 64]),
    (".ssm_conv1d.weight", &[128, 4]),
    (".ssm_dt.bias", &[4]),
    (".ssm_a", &[4]),
    (".ssm_norm.weight", &[16]),
    (".ssm_out.weight", &[64, 64]),
];
const STEPS: Tensors = &[(".ssm_ba.weight", &[8, 64])];
const STEPS_APART: Tensors = &[(".ssm_alpha.weight", &[4, 64]), (".ssm_beta.weight", &[4, 64])];
/// A layer of Mamba-2, whose norm is in the rows of its groups.
const MAMBA: Tensors = &[
    ("output_norm.weight", &[64]),
    (".attn_norm.weight", &[64]),
    (".ssm_in.weight", &[292, 64]),
    (".ssm_conv1d.weight", &[160, 4]),
    (".ssm_conv1d.bias", &[160]),
    (".ssm_dt.bias", &[4]),
    (".ssm_a", &[4, 1]),
    (".ssm_d", &[4, 1]),
    (".ssm_norm.weight", &[1, 128]),
    (".ssm_out.weight", &[64, 128]),
];
const FFN_NORM: Tensors = &[(".ffn_norm.weight", &[64])];
/// Nemotron's next layer, of a feed-forward part or of experts.
const NEXT_DENSE: Tensors =
    &[("blk.1.attn_norm.weight", &[64]), ("blk.1.ffn_up.weight", &[32, 64]), ("blk.1.ffn_down.weight", &[64, 32])];
const NEXT_EXPERTS: Tensors = &[
    ("blk.1.attn_norm.weight", &[64]),
    ("blk.1.ffn_gate_inp.weight", &[4, 64]),
    ("blk.1.exp_probs_b.bias", &[4]),
    ("blk.1.ffn_up_exps.weight", &[4, 32, 64]),
    ("blk.1.ffn_down_exps.weight", &[4, 64, 32]),
    ("blk.1.ffn_up_shexp.weight", &[32, 64]),
    ("blk.1.ffn_down_shexp.weight", &[64, 32]),
];
/// The gate of the expert that every token goes to, a single row.
const SHARED_GATE: Tensors = &[(".ffn_gate_inp_shexp.weight", &[64])];
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

const GROUPS: &[(&str, u32)] = &[("attention.head_count_kv", 2)];
const HALF_ROTATED: &[(&str, u32)] = &[("attention.head_count_kv", 2), ("rope.dimension_count", 8)];
const WINDOW: &[(&str, u32)] = &[("attention.head_count_kv", 2), ("attention.sliding_window", 4)];
const STATES: &[(&str, u32)] = &[
    ("attention.head_count_kv", 2),
    ("attention.key_length", 16),
    ("rope.dimension_count", 8),
    ("ssm.conv_kernel", 4),
    ("ssm.state_size", 16),
    ("ssm.group_count", 2),
    ("ssm.time_step_rank", 4),
    ("ssm.inner_size", 64),
];
const MAMBA_SIZES: &[(&str, u32)] = &[
    ("ssm.conv_kernel", 4),
    ("ssm.state_size", 16),
    ("ssm.group_count", 1),
    ("ssm.time_step_rank", 4),
    ("ssm.inner_size", 128),
    ("expert_shared_feed_forward_length", 32),
];
const RERANKS: &[(&str, u32)] = &[("pooling_type", 4)];

#[test]
fn every_tensor_of_a_file_is_a_parameter_of_its_model() {
    for (architecture, model_type, head, sizes, tensors) in [
        ("smollm3", "smollm3", TaskHead::Lm, GROUPS, [ATTENTION, DENSE].concat()),
        ("qwen2vl", "qwen2", TaskHead::Lm, GROUPS, [ATTENTION, BIASES, DENSE].concat()),
        ("qwen3vl", "qwen3", TaskHead::Lm, GROUPS, [ATTENTION, HEAD_NORMS, DENSE].concat()),
        ("qwen3vlmoe", "qwen3_moe", TaskHead::Lm, MIXTURE, [ATTENTION, HEAD_NORMS, EXPERTS].concat()),
        ("olmo2", "olmo2", TaskHead::Lm, GROUPS, [NORMS_BEHIND, JOINT_NORMS, DENSE].concat()),
        ("olmo2", "olmo3", TaskHead::Lm, WINDOW, [NORMS_BEHIND, JOINT_NORMS, DENSE].concat()),
        ("exaone4", "exaone4", TaskHead::Lm, WINDOW, [NORMS_BEHIND, HEAD_NORMS, DENSE].concat()),
        ("glm4", "glm4", TaskHead::Lm, HALF_ROTATED, [ATTENTION, BIASES, GLM4].concat()),
        ("seed_oss", "seed_oss", TaskHead::Lm, GROUPS, [SEED_OSS, BIASES, DENSE].concat()),
        ("ernie4_5", "ernie4_5", TaskHead::Lm, GROUPS, [ATTENTION, DENSE].concat()),
        ("mistral3", "mistral", TaskHead::Lm, GROUPS, [ATTENTION, DENSE].concat()),
        ("command-r", "cohere", TaskHead::Lm, GROUPS, [PARALLEL, DENSE].concat()),
        ("cohere2", "cohere2", TaskHead::Lm, WINDOW, [PARALLEL, DENSE].concat()),
        ("olmoe", "olmoe", TaskHead::Lm, MIXTURE, [ATTENTION, JOINT_NORMS, EXPERTS].concat()),
        ("minimax-m2", "minimax_m2", TaskHead::Lm, MIXTURE, [ATTENTION, JOINT_NORMS, CORRECTION, EXPERTS].concat()),
        ("qwen35", "qwen3_5_text", TaskHead::Lm, STATES, [DELTA, STEPS_APART, DENSE].concat()),
        ("gpt-oss", "gpt_oss", TaskHead::Lm, MIXTURE, [GPT_OSS, EXPERTS].concat()),
        ("llama4", "llama4_text", TaskHead::Lm, MIXTURE, [ATTENTION, EXPERTS, SHARED].concat()),
        ("granitemoe", "granitemoe", TaskHead::Lm, MIXTURE, [ATTENTION, EXPERTS].concat()),
        ("granitemoe", "granitemoeshared", TaskHead::Lm, MIXTURE, [ATTENTION, SHARED, EXPERTS].concat()),
        ("deepseek2", "deepseek_v3", TaskHead::Lm, DEEPSEEK, [LATENT, APART, EXPERTS, SHARED].concat()),
        ("deepseek2", "deepseek_v3", TaskHead::Lm, DEEPSEEK, [LATENT, JOINT, EXPERTS, SHARED].concat()),
        ("bert", "bert", TaskHead::None, &[("pooling_type", 2)][..], [SEGMENTS, ENCODER, BERT].concat()),
        ("bert", "bert", TaskHead::Classification, RERANKS, [SEGMENTS, ENCODER, BERT, CLASSIFIER].concat()),
        ("bert", "distilbert", TaskHead::None, &[("pooling_type", 1)][..], [ENCODER, BERT].concat()),
        ("bert", "distilbert", TaskHead::Classification, RERANKS, [ENCODER, BERT, CLASSIFIER].concat()),
        ("modern-bert", "modernbert", TaskHead::None, &[("attention.sliding_window", 8)][..], MODERN.to_vec()),
        ("modern-bert", "modernbert", TaskHead::Classification, RERANKS, [MODERN, NORMED_CLASSIFIER].concat()),
        ("nomic-bert", "nomic_bert", TaskHead::None, &[("pooling_type", 1)][..], [SEGMENTS, ENCODER, NOMIC].concat()),
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
        if model_type == "granitemoeshared" {
            file.whole("granitemoe.expert_shared_feed_forward_length", 32);
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
        let said: Vec<String> = spec.notes().iter().map(|note| note.replace(written.path(), "FILE")).collect();
        let expected: &[&str] = match head {
            TaskHead::Classification => &["FILE has a classifier, which head=classification adds"],
            _ => &[],
        };
        assert_eq!(said, expected, "{architecture}");
        // Without one of them the file is no such model.
        let lacking = file.tensors.pop().unwrap();
        let written = file.written(architecture);
        let spec = find(written.path());
        let run = Run { precision: spec.config().precision().unwrap(), ..run };
        let found = spec.trace(run).unwrap_err().to_string();
        assert!(found.contains(&lacking.name) && !found.contains('\n'), "{found}");
    }
}

/// Qwen3-Next and Qwen3.5's mixtures.
#[test]
fn layers_of_states_may_have_experts() {
    for (architecture, model_type, steps) in
        [("qwen3next", "qwen3_next", STEPS), ("qwen35moe", "qwen3_5_moe_text", STEPS_APART)]
    {
        let sizes = [STATES, MIXTURE, &[("expert_shared_feed_forward_length", 32)]].concat();
        let file = tiny(architecture, &sizes, &[DELTA, steps, SHARED_GATE, EXPERTS, SHARED].concat());
        let written = file.written(architecture);
        let spec = find(written.path());
        let run = Run { head: TaskHead::Lm, precision: spec.config().precision().unwrap(), ..Size::new(2, 5).into() };
        assert_eq!((spec.model_type(), spec.share_bytes(run).unwrap()), (model_type, file.tensor_bytes()));
        assert!(spec.notes().is_empty(), "{:?}", spec.notes());
    }
}

/// Granite 4, Nemotron-H and Nemotron 3, whose layers' kinds are in arrays of sizes.
#[test]
fn layers_of_states_have_no_heads_of_keys() {
    let dense: Tensors =
        &[(".ffn_gate.weight", &[32, 64]), (".ffn_up.weight", &[32, 64]), (".ffn_down.weight", &[64, 32])];
    let no_experts: &[(&str, u32)] = &[];
    for (architecture, model_type, sizes, feeds, tensors) in [
        ("granitehybrid", "granitemoehybrid", no_experts, &[32][..], [MAMBA, FFN_NORM, dense].concat()),
        ("granitehybrid", "granitemoehybrid", MIXTURE, &[32][..], [MAMBA, FFN_NORM, EXPERTS, SHARED].concat()),
        ("nemotron_h", "nemotron_h", no_experts, &[0, 32][..], [MAMBA, NEXT_DENSE].concat()),
        ("nemotron_h_moe", "nemotron_h", MIXTURE, &[0, 32][..], [MAMBA, NEXT_EXPERTS].concat()),
    ] {
        let mut file = tiny(architecture, &[MAMBA_SIZES, sizes].concat(), &tensors);
        file.whole(&format!("{architecture}.block_count"), feeds.len() as u32);
        file.whole(&format!("{architecture}.expert_shared_count"), 1);
        file.wholes(&format!("{architecture}.attention.head_count_kv"), &vec![0; feeds.len()]);
        file.wholes(&format!("{architecture}.feed_forward_length"), feeds);
        let written = file.written(architecture);
        let spec = find(written.path());
        let run = Run { head: TaskHead::Lm, precision: spec.config().precision().unwrap(), ..Size::new(2, 5).into() };
        assert_eq!((spec.model_type(), spec.share_bytes(run).unwrap()), (model_type, file.tensor_bytes()));
        assert!(spec.notes().is_empty(), "{:?}", spec.notes());
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
    let nomic = tiny("nomic-bert", &[], &[ENCODER, NOMIC].concat());
    assert!(refused(&nomic).contains("field `token_types.weight`: is missing among the tensors"));
    let plus = tiny("command-r", GROUPS, &[PARALLEL, HEAD_NORMS, DENSE].concat());
    assert!(refused(&plus).contains("field `use_qk_norm`: is true, which is not supported here"), "{}", refused(&plus));
    let mut seeing = tiny("glm4", HALF_ROTATED, &[ATTENTION, GLM4].concat());
    seeing.wholes("glm4.rope.dimension_sections", &[8, 12, 12, 0]);
    assert!(refused(&seeing).contains("`glm4.rope.dimension_sections`: is of a model that sees"));
}

/// Qwen3-Reranker.
#[test]
fn a_decoder_that_reranks_has_a_score() {
    const SCORE: Tensors = &[("cls.output.weight", &[2, 64])];
    let file = tiny("qwen3", &[GROUPS, RERANKS].concat(), &[ATTENTION, HEAD_NORMS, DENSE, SCORE].concat());
    let written = file.written("score");
    let spec = find(written.path());
    let precision = spec.config().precision().unwrap();
    let run = Run { head: TaskHead::Classification, precision, ..Size::new(2, 5).into() };
    assert_eq!(spec.share_bytes(run).unwrap(), file.tensor_bytes());
}

/// Mixtral's files of before April 2024.
#[test]
fn experts_may_have_a_tensor_each() {
    let mut file = tiny("llama", MIXTURE, &[ATTENTION, &EXPERTS[..1]].concat());
    for expert in 0..4 {
        for (name, dims) in [("gate", [32, 64]), ("up", [32, 64]), ("down", [64, 32])] {
            let name = format!("blk.0.ffn_{name}.{expert}.weight");
            file.tensors.push(Stored { name, dims: dims.to_vec(), kind: Q8_0 });
        }
    }
    let written = file.written("apart");
    let spec = find(written.path());
    let run = Run { head: TaskHead::Lm, precision: spec.config().precision().unwrap(), ..Size::new(2, 5).into() };
    assert!(spec.trace(run).is_ok());
    assert_eq!((spec.model_type(), spec.share_bytes(run).unwrap()), ("mixtral", file.tensor_bytes()));
    assert!(spec.notes().is_empty());
}

#[test]
fn blocks_that_no_kernel_here_multiplies_with_are_followed() {
    let mut file = tiny("llama", GROUPS, &[ATTENTION, DENSE].concat());
    file.named("blk.0.ffn_down.weight").kind = IQ4_NL;
    let written = file.written("iq4");
    let spec = find(written.path());
    let run = Run { head: TaskHead::Lm, precision: spec.config().precision().unwrap(), ..Size::new(2, 5).into() };
    assert_eq!(spec.share_bytes(run).unwrap(), file.tensor_bytes());
}

#[test]
fn tensors_that_a_plain_model_has_not_are_named() {
    let mut file = tiny("llama", GROUPS, &[ATTENTION, HEAD_NORMS, DENSE].concat());
    let said = |file: &File| {
        let written = file.written("left-out");
        find(written.path()).notes().concat().replace(written.path(), "FILE")
    };
    assert_eq!(said(&file), "FILE: a plain llama is followed, without tensor `blk.0.attn_k_norm.weight` and another");
    let note = FileHead::read("tiny.gguf", &file.header()).unwrap().note.unwrap();
    assert_eq!(note, "tiny.gguf: a plain llama is followed, without tensor `blk.0.attn_k_norm.weight` and another");
    file.tensors.retain(|tensor| tensor.name != "blk.0.attn_q_norm.weight");
    assert_eq!(said(&file), "FILE: a plain llama is followed, without tensor `blk.0.attn_k_norm.weight`");
    // A layer that guesses further tokens, frequencies, and scales of blocks are no layers of another model.
    file.named("blk.0.attn_k_norm.weight").name = "blk.0.attn_rot_embd.weight".into();
    for name in ["blk.1.nextn.eh_proj.weight", "blk.1.attn_norm.weight", "blk.0.ffn_up.scale"] {
        file.tensors.push(Stored { name: name.into(), dims: vec![64], kind: F32 });
    }
    assert_eq!(said(&file), "");
    // One bias makes them all parameters.
    file.tensors.push(Stored { name: "blk.0.attn_output.bias".into(), dims: vec![64], kind: F32 });
    let written = file.written("bias");
    let spec = find(written.path());
    let run = Run { precision: spec.config().precision().unwrap(), ..Size::new(1, 2).into() };
    assert!(spec.trace(run).unwrap_err().to_string().contains("no tensor `blk.0.attn_q.bias`"));
}

#[cfg(feature = "candle")]
#[test]
fn a_file_with_tensors_of_another_model_is_not_run() {
    use candle_core::{DType, Device};
    let written = tiny("llama", GROUPS, &[ATTENTION, HEAD_NORMS, DENSE].concat()).written("other");
    let spec = find(written.path());
    let refused =
        spec.load(&[written.path().into()], TaskHead::Lm, DType::F32, &Device::Cpu).err().unwrap().to_string();
    assert!(
        refused.contains(
            "field `blk.0.attn_k_norm.weight`: is no part of a plain llama, so that another model would be run"
        ),
        "{refused}"
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
