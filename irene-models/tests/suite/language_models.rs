//! Every module of the decoders against what Hugging Face transformers 5.24 computed for the same tiny checkpoint in float32: a prompt
//! whose second row is padded on the left, its logits, and nine greedy tokens with the cache.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use candle_core::{DType, Tensor as Candle};
use irene_models::{Batch, Cx, Generator, Model, OutputVisitor, TaskHead, Tensor};
use irene_tree::{Kernels, Size};

use crate::support::{difference, fixture, input, loaded, tensors};

/// Largest absolute difference.
const TOLERANCE: f64 = 1e-5;

struct Fixture {
    name: String,
    io: HashMap<String, Candle>,
    model: Box<dyn Model>,
    mask: Vec<i64>,
    size: Size,
    /// The token that ends a sequence.
    end: i64,
}

impl Fixture {
    fn load(name: &str) -> Self {
        Self::at(&fixture("llm").join(name))
    }

    fn at(dir: &Path) -> Self {
        Self::in_format(dir, DType::F32)
    }

    fn in_format(dir: &Path, dtype: DType) -> Self {
        let name = dir.file_name().unwrap().to_str().unwrap();
        let (spec, model) = loaded(dir, TaskHead::Lm, dtype).unwrap();
        let io = tensors(&dir.join("io.safetensors"));
        let mask = io["attention_mask"].flatten_all().unwrap().to_vec1().unwrap();
        let end = spec.config().token_or("eos_token_id", usize::MAX).unwrap() as i64;
        Self { name: name.to_owned(), size: input(&io).size(), io, model, mask, end }
    }

    fn prompts(&self) -> Batch {
        input(&self.io)
    }

    /// The largest difference at tokens that are no padding.
    fn difference(&self, found: &Candle, expected: &Candle) -> f64 {
        let Size { sequences, new, .. } = self.size;
        assert_eq!(found.elem_count(), expected.elem_count(), "{}: {found:?} {expected:?}", self.name);
        // Tokens may lie in one list, and behind heads.
        let dims = match *expected.dims() {
            [rows, heads, tokens, width] if tokens == new && rows == sequences => vec![rows, heads, tokens, width],
            _ => vec![sequences, 1, new, expected.elem_count() / (sequences * new)],
        };
        let numbers = |tensor: &Candle| {
            let tensor = tensor.reshape(dims.as_slice()).unwrap().transpose(1, 2).unwrap();
            tensor.contiguous().unwrap().flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap()
        };
        let (found, expected) = (numbers(found), numbers(expected));
        let width = found.len() / self.mask.len();
        let tokens = found.chunks(width).zip(expected.chunks(width)).zip(&self.mask).filter(|(_, mask)| **mask != 0);
        let differences =
            tokens.flat_map(|((found, expected), _)| found.iter().zip(expected).map(|(a, b)| (a - b).abs()));
        differences.fold(0.0, |most, one| if one.is_nan() { f64::INFINITY } else { f64::max(most, one) })
    }

    fn agrees_at_every_module(&self) {
        // Positions count real tokens, as in a generation.
        let batch = self.prompts().with_counted_positions().unwrap();
        let mut outputs = OutputVisitor::default();
        let output = self.model.run(&mut Cx::visited(&mut outputs), &batch).unwrap();
        let mut compared = 0;
        for (name, expected) in self.io.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("out.")?, tensor))) {
            let scope = scope_of(name);
            let Some(found) = outputs.outputs().get(&scope).and_then(Tensor::candle) else {
                // Classes of their own in transformers, and operations of their module here, or nothing: activations, dropout, and the
                // angles of a model that does not rotate. Llama 4 has one norm where queries and keys have one each here.
                let activation = ["act", "activation", "_fn", "gelu_impl", "dropout", "drop", "rotary_emb", "qk_norm"]
                    .iter()
                    .any(|end| name.ends_with(end));
                assert!(activation, "{}: no node {scope}", self.name);
                continue;
            };
            let off = self.difference(found, expected);
            assert!(off <= TOLERANCE, "{} {scope}: differs by {off}", self.name);
            compared += 1;
        }
        assert!(compared > 10, "{}: only {compared} modules compared", self.name);
        for (found, name) in
            [(&output.last_hidden_state, "last_hidden_state"), (output.logits.as_ref().unwrap(), "logits")]
        {
            let off = self.difference(found.candle().unwrap(), &self.io[name]);
            assert!(off <= TOLERANCE, "{} {name}: differs by {off}", self.name);
        }
        let fused = self.model.run(&mut Cx::silent(), &batch).unwrap();
        let off = self.difference(fused.logits.unwrap().candle().unwrap(), &self.io["logits"]);
        assert!(off <= TOLERANCE, "{}: fused logits differ by {off}", self.name);
    }

    /// The fixture's generation goes on for nine tokens: the end of a sequence is no choice.
    fn generates_the_same(&self, kernels: Kernels) {
        let mut generator = Generator::new(self.model.as_ref(), self.prompts()).unwrap().excluding([self.end]);
        for step in 0..self.io["generated"].dim(1).unwrap() {
            let column = |name: &str| self.io[name].narrow(1, step, 1).unwrap().squeeze(1).unwrap();
            let generated = generator.step(&mut Cx::silent().with_kernels(kernels)).unwrap();
            let off = f64::from(difference(generated.logits.candle().unwrap(), &column("step_logits")));
            assert!(off <= TOLERANCE, "{} step {step}, {kernels:?}: logits differ by {off}", self.name);
            let tokens: Vec<i64> = generated.tokens.into_iter().flatten().collect();
            let expected = column("generated").to_vec1::<i64>().unwrap();
            assert_eq!(tokens, expected, "{} step {step}, {kernels:?}", self.name);
        }
    }
}

/// `model.layers.0.mlp` is `root.model.0.mlp`: scopes leave list containers out.
fn scope_of(name: &str) -> String {
    let parts = name.split('.').filter(|part| !["", "layers", "h", "blocks"].contains(part));
    std::iter::once("root").chain(parts).collect::<Vec<_>>().join(".")
}

macro_rules! fixtures {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            let fixture = Fixture::load(stringify!($name));
            fixture.agrees_at_every_module();
            fixture.generates_the_same(Kernels::Eager);
            fixture.generates_the_same(Kernels::Fused);
        })+
    };
}

fixtures!(
    bloom,
    cohere,
    cohere2,
    deepseek_v2,
    deepseek_v3,
    deepseek_v32,
    ernie4_5,
    exaone4,
    falcon,
    falcon_new,
    falcon_rw,
    gemma,
    gemma2,
    gemma3_text,
    gemma4_moe,
    gemma4_text,
    glm,
    glm4,
    glm4_moe,
    glm4_moe_lite,
    glm_moe_dsa,
    gpt_neox,
    gpt_oss,
    gptj,
    granite,
    granitemoe,
    granitemoeshared,
    llama,
    llama4,
    llama4_plain,
    llama_llama3,
    llama_yarn,
    minimax_m2,
    ministral3,
    mistral,
    mistral_window,
    mixtral,
    olmo2,
    olmo3,
    olmoe,
    opt,
    opt_350m,
    phi,
    phi3,
    phi3_long,
    phi_qk,
    arcee,
    cwm,
    gpt_bigcode,
    helium,
    hunyuan_v1_dense,
    ministral,
    mpt,
    nemotron,
    olmo,
    stablelm,
    vaultgemma,
    qwen2,
    qwen2_moe,
    qwen3,
    qwen3_moe,
    seed_oss,
    smollm3,
    starcoder2,
    flex_olmo,
    ernie4_5_moe,
    hunyuan_v1_moe,
    dots1,
    solar_open,
    exaone_moe,
    mistral4,
    mimo_v2_flash,
    hy_v3,
    phimoe,
    dbrx,
    apertus,
    gpt_neo,
);

#[test]
fn gpt2_generates_what_transformers_does() {
    let gpt2 = Fixture::at(&fixture("gpt2_generation"));
    gpt2.generates_the_same(Kernels::Eager);
    gpt2.generates_the_same(Kernels::Fused);
}

/// A copy of a fixture with these fields in its config.
fn with_fields(name: &str, copy: &str, fields: &[(&str, &str)]) -> PathBuf {
    let (from, to) = (fixture("llm").join(name), PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(copy));
    std::fs::create_dir_all(&to).unwrap();
    for file in ["model.safetensors", "io.safetensors"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let config = std::fs::read(from.join("config.json")).unwrap();
    let mut config: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&config).unwrap();
    config.extend(fields.iter().map(|(field, word)| ((*field).to_owned(), (*word).into())));
    std::fs::write(to.join("config.json"), serde_json::to_vec(&config).unwrap()).unwrap();
    to
}

/// transformers reads the word of Google's first configs so.
#[test]
fn gelu_in_a_gemma_config_means_the_tanh_formula() {
    Fixture::at(&with_fields("gemma", "gemma_of_2024", &[("hidden_act", "gelu")])).agrees_at_every_module();
}

/// Checkpoints of text and images or sounds have the text model below other keys, by their family and by the age of the code.
#[test]
fn the_text_model_is_found_in_a_checkpoint_of_a_larger_one() {
    let layouts = [
        ("language_model.model", "language_model.lm_head"),
        ("model.language_model", "lm_head"),
        ("model.text_model", "lm_head"),
        ("thinker.model", "thinker.lm_head"),
    ];
    for (place, (trunk, head)) in layouts.into_iter().enumerate() {
        let folder = with_fields("mistral", &format!("text_inside_{place}"), &[]);
        let file = folder.join("model.safetensors");
        let renamed = |key: String| match key.strip_prefix("model.") {
            Some(rest) => format!("{trunk}.{rest}"),
            None => key.replace("lm_head", head),
        };
        let tensors: HashMap<_, _> = tensors(&file).into_iter().map(|(key, tensor)| (renamed(key), tensor)).collect();
        candle_core::safetensors::save(&tensors, &file).unwrap();
        Fixture::at(&folder).agrees_at_every_module();
    }
}

/// 8 bits, added up over layers; a mixture may choose other experts for some tokens.
#[test]
fn every_family_runs_in_bf16() {
    const SHARE: f32 = 0.25;
    for dir in std::fs::read_dir(fixture("llm")).unwrap().map(|entry| entry.unwrap().path()).filter(|dir| dir.is_dir())
    {
        let fixture = Fixture::in_format(&dir, DType::BF16);
        let batch = fixture.prompts().with_counted_positions().unwrap();
        let mask = fixture.io["attention_mask"].to_dtype(DType::F32).unwrap().unsqueeze(2).unwrap();
        let size = |x: &Candle| {
            x.broadcast_mul(&mask).unwrap().sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt()
        };
        let expected = &fixture.io["logits"];
        for kernels in [Kernels::Eager, Kernels::Fused] {
            let output = fixture.model.run(&mut Cx::silent().with_kernels(kernels), &batch).unwrap();
            let found = output.logits.unwrap().candle().unwrap().to_dtype(DType::F32).unwrap();
            let off = size(&(found - expected).unwrap()) / size(expected);
            assert!(off <= SHARE, "{}, {kernels:?}: off by {off}", fixture.name);
        }
    }
}

/// Further checkpoints, as `fixtures/llm/make.py` writes them: those of the folder in IRENE_CHECKPOINTS, otherwise the fixtures again.
#[test]
#[ignore = "repeats the fixtures, unless IRENE_CHECKPOINTS names another folder"]
fn checkpoints_of_a_folder_agree() {
    let folder = std::env::var_os("IRENE_CHECKPOINTS").unwrap_or_else(|| fixture("llm").into_os_string());
    let mut failed = Vec::new();
    let mut dirs: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    dirs.sort();
    for dir in dirs.iter().filter(|dir| dir.join("io.safetensors").exists()) {
        let check = || {
            let fixture = Fixture::at(dir);
            fixture.agrees_at_every_module();
            fixture.generates_the_same(Kernels::Eager);
            fixture.generates_the_same(Kernels::Fused);
        };
        if std::panic::catch_unwind(check).is_err() {
            failed.push(dir.file_name().unwrap().to_owned());
        }
    }
    assert!(failed.is_empty() && !dirs.is_empty(), "{failed:?} of {} differ", dirs.len());
}
