//! Every module's output against what Hugging Face transformers computed for the same tiny checkpoint in float32.
//!
//! The fixtures hold a config, weights under the family's public keys, and inputs with padding beside every module's output
//! as `out.<name>`.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor as Candle};
use irene_models::{Batch, Cx, Done, Label, OutputVisitor, Result, TaskHead, Tensor, Visitor};
use irene_tree::Size;

use crate::support::{difference, fixture, input, loaded, spec, tensors};

/// Largest absolute difference.
const TOLERANCE: f32 = 1e-5;

/// Where padding's own outputs, which mean nothing, are others than in transformers: DeBERTa there hides every key from padding, and
/// padding of ModernBERT may see nothing within its window.
const ONLY_TOKENS: [&str; 3] = ["deberta-v2", "deberta-v3", "modernbert"];

/// `encoder.layer.0.attention` is `root.encoder.0.attention`: scopes leave list containers out.
fn scope_of(name: &str) -> String {
    let mut scope = String::from("root");
    let lists = ["", "layer", "layers", "h", "sequential", "albert_layer_groups", "albert_layers"];
    for part in name.split('.').filter(|part| !lists.contains(part)) {
        scope = format!("{scope}.{part}");
    }
    scope
}

/// Whether it is a module in transformers and none here: activations are operations of their module, modules that pass their input on
/// are left out, and rotary angles come from a buffer.
fn is_no_module(name: &str) -> bool {
    let passes_on = ["out_drop", "0.attn_norm", "rotary_emb"];
    ["act", "activation", "act_fn"].iter().chain(&passes_on).any(|end| name.ends_with(end))
}

fn agrees_at_every_module(architecture: &str) {
    let dir = fixture(architecture);
    let (_, model) = loaded(&dir, TaskHead::None, DType::F32).unwrap();
    let io = tensors(&dir.join("io.safetensors"));
    let batch = input(&io);
    let mut outputs = OutputVisitor::default();
    let output = model.run(&mut Cx::visited(&mut outputs), &batch).unwrap();

    let tokens = io["attention_mask"].to_dtype(DType::F32).unwrap().unsqueeze(2).unwrap();
    let of_tokens = |x: &Candle| x.broadcast_mul(&tokens).unwrap();
    let compared_part = |x: &Candle| {
        let is_by_token = x.rank() > 2 && x.dims()[..2] == tokens.dims()[..2];
        if is_by_token && ONLY_TOKENS.contains(&architecture) { of_tokens(x) } else { x.clone() }
    };
    let agrees = |what: &str, found: &Candle, expected: &Candle| {
        let off = difference(found, expected);
        assert!(off <= TOLERANCE, "{architecture} {what}: differs by {off}");
    };

    let mut compared = 0;
    for (name, expected) in io.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("out.")?, tensor))) {
        let scope = scope_of(name);
        let Some(found) = outputs.outputs().get(&scope).and_then(Tensor::candle) else {
            assert!(is_no_module(name), "no node {scope}");
            continue;
        };
        let expected = expected.broadcast_as(found.shape()).unwrap();
        agrees(&scope, &compared_part(found), &compared_part(&expected));
        compared += 1;
    }
    assert!(compared > 10, "{architecture}: only {compared} modules compared");
    let last = output.last_hidden_state.candle().unwrap();
    agrees("last_hidden_state", &compared_part(last), &compared_part(&io["last_hidden_state"]));
    // Kernels see more or fewer of keys that are padding alone.
    let fused = model.run(&mut Cx::silent(), &batch).unwrap().last_hidden_state;
    agrees("fused", &of_tokens(fused.candle().unwrap()), &of_tokens(last));
    assert_eq!(output.pooler_output.is_some(), io.contains_key("pooler_output"));
    if let Some(pooled) = &output.pooler_output {
        agrees("pooler_output", pooled.candle().unwrap(), &io["pooler_output"]);
    }
}

macro_rules! fixtures {
    ($($(#[$about:meta])* $name:ident: $fixture:literal,)+) => {
        $($(#[$about])*
        #[test]
        fn $name() {
            agrees_at_every_module($fixture);
        })+
    };
}

fixtures! {
    bert: "bert",
    roberta: "roberta",
    xlm_roberta: "xlm-roberta",
    distilbert: "distilbert",
    electra: "electra",
    albert: "albert",
    mpnet: "mpnet",
    modernbert: "modernbert",
    nomic_bert: "nomic_bert",
    /// Version 3: positions in buckets, projected as content is.
    deberta_v3: "deberta-v3",
    /// Version 2 with positions by their own projections, absolute ones too, segments, narrow embeddings and a convolution.
    deberta_v2: "deberta-v2",
    /// transformers has no such model: an independent PyTorch script computed the fixture in float64.
    flexibert: "flexibert",
    gpt2: "gpt2",
    distilgpt2: "distilgpt2",
    openai_gpt: "openai-gpt",
}

/// The hub's code joins query, key and value, and has names of its own in configs and checkpoints.
#[test]
fn nomic_bert_is_read_by_the_hubs_names() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hubs_nomic_bert");
    std::fs::create_dir_all(&folder).unwrap();
    let own = fixture("nomic_bert");
    let mut weights = tensors(&own.join("model.safetensors"));
    for layer in 0..2 {
        let parts = ["q", "k", "v"]
            .map(|part| weights.remove(&format!("layers.{layer}.self_attn.{part}_proj.weight")).unwrap());
        weights.insert(format!("layers.{layer}.attn.Wqkv.weight"), Candle::cat(&parts, 0).unwrap());
    }
    let names = [
        ("embeddings.LayerNorm", "emb_ln"),
        ("self_attn.o_proj", "attn.out_proj"),
        ("up_proj", "fc11"),
        ("gate_proj", "fc12"),
        ("down_proj", "fc2"),
        ("post_attention_layernorm", "norm1"),
        ("post_mlp_layernorm", "norm2"),
        ("layers", "bert.encoder.layers"),
    ];
    let renamed = |key: String| names.iter().fold(key, |key, (own, hub)| key.replace(own, hub));
    let weights = weights.into_iter().map(|(key, tensor)| (renamed(key), tensor)).collect();
    candle_core::safetensors::save(&weights, folder.join("model.safetensors")).unwrap();
    let config = r#"{"model_type":"nomic_bert","auto_map":{"AutoConfig":"configuration_hf_nomic_bert.NomicBertConfig",
        "AutoModel":"nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"},"architectures":["NomicBertModel"],
        "n_embd":24,"n_head":3,"n_layer":2,"n_inner":40,"n_positions":64,"vocab_size":60,"activation_function":"swiglu",
        "layer_norm_epsilon":1e-5,"rotary_emb_base":1000,"rotary_emb_fraction":1.0,"rotary_emb_interleaved":false,
        "rotary_emb_scale_base":null,"rotary_scaling_factor":null,"qkv_proj_bias":false,"mlp_fc1_bias":false,
        "mlp_fc2_bias":false,"prenorm":false,"causal":false,"use_flash_attn":true,"fused_bias_fc":true}"#;
    std::fs::write(folder.join("config.json"), config).unwrap();

    let io = tensors(&own.join("io.safetensors"));
    let (_, model) = loaded(&folder, TaskHead::None, DType::F32).unwrap();
    let output = model.run(&mut Cx::silent(), &input(&io)).unwrap();
    let off = difference(output.last_hidden_state.candle().unwrap(), &io["last_hidden_state"]);
    assert!(off <= TOLERANCE, "differs by {off}");
}

#[test]
fn a_node_that_is_run_again_takes_the_inputs_it_saw() {
    #[derive(Default)]
    struct Rerun(usize);
    impl Visitor for Rerun {
        fn enter(&mut self, _label: &Label, _inputs: &[&Tensor]) -> Result<()> {
            Ok(())
        }
        fn exit(&mut self, _label: &Label, done: Done<'_>) -> Result<()> {
            self.0 += 1;
            (done.rerun)()
        }
    }
    let (spec, model) = loaded(&fixture("gpt2"), TaskHead::None, DType::F32).unwrap();
    let batch = Batch::of_ids(vec![0; 10], None, Size::new(2, 5), &Device::Cpu).unwrap();
    let mut visitor = Rerun::default();
    model.run(&mut Cx::visited(&mut visitor), &batch).unwrap();
    assert_eq!(visitor.0, spec.trace(Size::new(2, 5)).unwrap().nodes().len());
}

#[test]
fn a_checkpoint_of_another_shape_is_refused_by_tensor() {
    let dir = fixture("bert");
    let config =
        std::fs::read_to_string(dir.join("config.json")).unwrap().replace("\"vocab_size\": 96", "\"vocab_size\": 97");
    let weights = [dir.join("model.safetensors")];
    let error = spec(config).load(&weights, TaskHead::None, DType::F32, &Device::Cpu).err().unwrap().to_string();
    assert!(error.ends_with("tensor `embeddings.word_embeddings.weight`: expected 97x32, found 96x32"), "{error}");
}
