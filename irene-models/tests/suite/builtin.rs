//! The built-in models: their sizes are the published ones, and their names the hub's.

use irene_models::{BuiltinModel, ModelSpec, Run, TaskHead};
use irene_tree::{Format, OpKind, Operation, Precision, Quantity, Role, Size};

/// The parameters of a model with a language model's head where its checkpoints have one.
fn counted(name: &str) -> Result<f64, String> {
    let spec = ModelSpec::builtin(name).ok_or("is not built")?;
    let generates = spec.cache(irene_tree::Kernels::Eager).map_err(|error| error.to_string())?.is_some();
    let head = if generates { TaskHead::Lm } else { TaskHead::None };
    let tree = spec.trace(Run { head, ..Size::new(1, 1).into() }).map_err(|error| error.to_string())?;
    tree.root().get(Quantity::NumParameters).ok_or("has no parameters".to_owned())
}

#[test]
fn parameters_are_those_that_are_listed() {
    let wrong: Vec<String> = BuiltinModel::all()
        .iter()
        .filter_map(|model| {
            let (listed, counted) = (model.parameters() as f64, counted(model.name()));
            (counted != Ok(listed)).then(|| format!("{}: {listed} listed, {counted:?} counted", model.name()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A figure such as `1.56B` and one unit of its last digit.
fn rounded(figure: &str) -> (f64, f64) {
    let (digits, scale) = match figure.split_at(figure.len() - 1) {
        (digits, "M") => (digits, 1e6),
        (digits, "B") => (digits, 1e9),
        (digits, "T") => (digits, 1e12),
        _ => panic!("{figure}: neither millions, billions nor trillions"),
    };
    let places = digits.split_once('.').map_or(0, |(_, places)| places.len());
    (digits.parse::<f64>().unwrap() * scale, scale / 10_f64.powi(i32::try_from(places).unwrap()))
}

#[test]
fn parameters_are_those_that_were_published() {
    for model in BuiltinModel::all() {
        let (name, parameters) = (model.name(), model.parameters() as f64);
        match model.source().split_once(": ") {
            None => assert!(["hub", "paper", "card", "class"].contains(&model.source()), "{name}: {}", model.source()),
            Some(("card", figure)) => {
                let (published, unit) = rounded(figure);
                assert!((parameters - published).abs() <= unit, "{name}: {parameters} beside {figure}");
            }
            Some(("hub, which counts the tied head twice", total)) => {
                let spec = ModelSpec::builtin(name).unwrap();
                let head = spec.vocab_size().unwrap() * model.width().unwrap();
                assert_eq!(parameters + head as f64, total.parse::<f64>().unwrap(), "{name}");
            }
            Some(_) => panic!("{name}: {}", model.source()),
        }
        assert!(model.active_parameters().is_none_or(|active| active < model.parameters()), "{name}");
    }
}

#[test]
fn every_name_and_id_finds_its_model() {
    for model in BuiltinModel::all() {
        for name in model.names() {
            let spec = ModelSpec::builtin(name).unwrap_or_else(|| panic!("{name} is not built"));
            assert_eq!(spec.name(), name);
            assert!(std::ptr::eq(BuiltinModel::find(&name.to_uppercase()).unwrap(), model), "{name}");
        }
    }
}

#[test]
fn releases_have_the_shape_of_the_listed_model() {
    let is = |release: &str, name: &str, listed: &str| {
        let spec = ModelSpec::find(release).unwrap();
        assert_eq!((spec.name(), spec.is_builtin()), (name, true));
        assert_eq!(BuiltinModel::find(release).unwrap().name(), listed);
    };
    is("openai-community/gpt2-xl", "gpt2-xl", "gpt2-xl");
    is("openai-community/openai-gpt", "openai-gpt", "openai-gpt");
    is("google-bert/bert-base-uncased", "bert-base-uncased", "bert-base-uncased");
    is("distilbert/distilbert-base-uncased", "distilbert-base-uncased", "distilbert-base-uncased");
    is("FacebookAI/roberta-base", "roberta-base", "roberta-base");
    is("distilbert/distilgpt2", "distilgpt2", "distilgpt2");
    is("meta-llama/Llama-3.1-70B-Instruct", "Llama-3.1-70B-Instruct", "Llama-3.1-70B");
    is("meta-llama/Llama-3.3-70B-Instruct", "Llama-3.3-70B-Instruct", "Llama-3.1-70B");
    is("Llama-2-7b", "Llama-2-7b-hf", "Llama-2-7b-hf");
    is("meta-llama/Llama-2-13b-chat-hf", "Llama-2-13b-chat-hf", "Llama-2-13b-hf");
    is("codellama/CodeLlama-7b-Instruct-hf", "CodeLlama-7b-Instruct-hf", "CodeLlama-7b-hf");
    is("google/gemma-3-27b-it", "gemma-3-27b-it", "gemma-3-27b-pt");
    is("google/codegemma-1.1-7b-it", "codegemma-1.1-7b-it", "gemma-7b");
    is("openai/gpt-oss-120b", "gpt-oss-120b", "gpt-oss-120b");
    is("Qwen/Qwen3-14B", "Qwen3-14B", "Qwen3-14B");
    is("Qwen/Qwen3-30B-A3B-Thinking-2507", "Qwen3-30B-A3B-Thinking-2507", "Qwen3-30B-A3B-Instruct-2507");
    is("mistralai/Mistral-7B-Instruct-v0.1", "Mistral-7B-Instruct-v0.1", "Mistral-7B-v0.1");
    is("mistralai/Mistral-7B-Instruct-v0.3", "Mistral-7B-Instruct-v0.3", "Mistral-7B-v0.3");
    is("mistralai/Mistral-Nemo-Instruct-2407", "Mistral-Nemo-Instruct-2407", "Mistral-Nemo-Base-2407");
    is("mistralai/Mistral-Large-Instruct-2411", "Mistral-Large-Instruct-2411", "Mistral-Large-Instruct-2407");
    is("microsoft/Phi-3-mini-4k-instruct", "Phi-3-mini-4k-instruct", "Phi-3-mini-4k-instruct");
    is("deepseek-ai/DeepSeek-R1-0528", "DeepSeek-R1-0528", "DeepSeek-V3");
    is("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "Llama-3.1-8B");
    is("tiiuae/falcon-40b-instruct", "falcon-40b-instruct", "falcon-40b");
    // An encoder's suffixes are other models.
    for other in [
        "DeepSeek-V4",
        "meta-llama/Mistral-7B-v0.1",
        "Yi-6B-200K",
        "bert-base",
        "bert-base-uncased-chat",
        "someone/gpt2",
        "gpt2-tiny",
        "google/gpt2",
    ] {
        assert!(ModelSpec::builtin(other).is_none(), "{other}");
    }
}

/// Names as public measurements have them: ML.ENERGY's leaderboards, LLM-Inference-Bench and Vidur's profiles.
const MEASURED: [&str; 78] = [
    "nvidia/NVIDIA-Nemotron-Nano-9B-v2",
    "nvidia/NVIDIA-Nemotron-Nano-12B-v2",
    "meta-llama/Llama-4-Scout-17B-16E-Instruct",
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
    "Qwen/Qwen3-30B-A3B-Instruct-2507",
    "Qwen/Qwen3-30B-A3B-Thinking-2507",
    "Qwen/Qwen3-235B-A22B-Instruct-2507",
    "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8",
    "Qwen/Qwen3-235B-A22B-Thinking-2507",
    "Qwen/Qwen3-235B-A22B-Thinking-2507-FP8",
    "Qwen/Qwen3-Coder-30B-A3B-Instruct",
    "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8",
    "Qwen/Qwen3-8B",
    "Qwen/Qwen3-14B",
    "Qwen/Qwen3-32B",
    "openai/gpt-oss-20b",
    "openai/gpt-oss-120b",
    "google/gemma-3-12b-it",
    "google/gemma-3-27b-it",
    "google/gemma-2-2b-it",
    "google/gemma-2-9b-it",
    "google/gemma-2-27b-it",
    "google/gemma-7b",
    "google/codegemma-1.1-2b",
    "google/codegemma-7b",
    "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "mistralai/Mixtral-8x22B-Instruct-v0.1",
    "mistralai/Mistral-7B-v0.1",
    "mistralai/Mistral-7B-Instruct-v0.3",
    "mistralai/Mistral-Nemo-Instruct-2407",
    "mistralai/Mistral-Large-Instruct-2407",
    "meta-llama/Meta-Llama-3.1-8B-Instruct",
    "meta-llama/Meta-Llama-3.1-70B-Instruct",
    "meta-llama/Meta-Llama-3.1-405B-Instruct",
    "meta-llama/Llama-3.1-405B-Instruct-FP8",
    "meta-llama/Llama-3.3-70B-Instruct",
    "meta-llama/Llama-3.2-3B",
    "meta-llama/Meta-Llama-3-8B",
    "meta-llama/Meta-Llama-3-70B",
    "meta-llama/Llama-2-7b-hf",
    "meta-llama/Llama-2-70b-hf",
    "microsoft/Phi-3-mini-4k-instruct",
    "microsoft/Phi-3-small-8k-instruct",
    "microsoft/Phi-3-medium-4k-instruct",
    "microsoft/phi-2",
    "bigcode/starcoder2-3b",
    "bigcode/starcoder2-7b",
    "bigcode/starcoder2-15b",
    "codellama/CodeLlama-7b-hf",
    "codellama/CodeLlama-13b-hf",
    "codellama/CodeLlama-34b-Instruct-hf",
    "codellama/CodeLlama-70b-hf",
    "deepseek-ai/DeepSeek-V3.1",
    "Qwen/Qwen-72B",
    "Qwen/Qwen1.5-7B",
    "Qwen/Qwen2-7B",
    "Qwen/Qwen2-72B",
    "internlm/internlm-20b",
    "Deci/DeciLM-7B",
    "BAAI/Aquila-7B",
    "bigscience/bloom-7b1",
    "EleutherAI/gpt-j-6b",
    "facebook/opt-6.7b",
    "huggyllama/llama-7b",
    "metaai/llama-7B",
    "lmsys/vicuna-7B",
    "lmsys/vicuna-13B",
    "tatsu-lab/alpaca-7B",
    "BAIR/koala-7b",
    "camel-ai/CAMEL-13B-Combined-Data",
    "project-baize/baize-v2-7B",
    "nomic-ai/gpt4all-13b-snoozy",
    "openaccess-ai-collective/manticore-13b-chat-pyg",
    "databricks/dolly-v2-12b",
    "OpenAssistant/oasst-sft-1-pythia-12b",
    "togethercomputer/RedPajama-INCITE-7B-Chat",
    "StabilityAI/stablelm-tuned-alpha-7b",
    "Salesforce/xgen-7b-8k-inst",
];

#[test]
fn models_of_public_measurements_are_known() {
    let missing: Vec<_> = MEASURED.iter().filter(|name| ModelSpec::builtin(name).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let said = ModelSpec::builtin("Deci/DeciLM-7B").unwrap().notes().concat();
    assert!(said.contains("heads of keys and values differ by layer"), "{said}");
}

#[test]
fn quantised_releases_say_how_their_weights_are_stored() {
    let weights = |name: &str| ModelSpec::builtin(name).unwrap().config().precision().unwrap().weights;
    assert_eq!(weights("Qwen/Qwen3-235B-A22B"), Format::BF16);
    assert_eq!(weights("Qwen/Qwen3-235B-A22B-FP8"), Format::F8E4M3);
    assert_eq!(weights("Qwen/Qwen2.5-7B-Instruct-AWQ"), Format::Int4);
    assert_eq!(weights("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8"), Format::Int8);
    assert_eq!(weights("openai/gpt-oss-20b"), Format::Mxfp4);
}

/// The weights of products are quantised: tables, whatever their names, and experts' biases stay in the format of the activations.
#[test]
fn tables_and_biases_of_quantised_models_are_not_quantised() {
    let precision: Precision = "int8,bf16".parse().unwrap();
    for name in ModelSpec::builtin_names() {
        let tree = ModelSpec::builtin(&name).unwrap().trace(Run { precision, ..Size::new(1, 2).into() }).unwrap();
        for operation in tree.nodes().iter().filter_map(|node| node.operation.as_deref()) {
            let wide = match operation.kind {
                OpKind::Embedding => 1..2,
                OpKind::GroupedLinear => 2..operation.inputs.len(),
                _ => continue,
            };
            let is_quantised = operation.inputs[wide].iter().any(|operand| operand.format == Format::Int8);
            assert!(!is_quantised, "{name}: {operation:?}");
        }
    }
}

/// Mistral 7B's first release has a sliding window, and its third another vocabulary.
#[test]
fn releases_that_differ_have_configs_of_their_own() {
    let config = |name: &str| ModelSpec::builtin(name).unwrap();
    assert_eq!(config("Mistral-7B-Instruct-v0.1").config().size("sliding_window").unwrap(), 4096);
    assert!(config("Mistral-7B-Instruct-v0.2").config().size("sliding_window").is_err());
    let vocabularies = ["v0.1", "v0.2", "v0.3"].map(|version| config(&format!("Mistral-7B-{version}")).vocab_size());
    assert_eq!(vocabularies.map(Result::unwrap), [32000, 32000, 32768]);
}

/// A token meets the experts that it is sent to, and no others.
#[test]
fn active_parameters_leave_out_the_experts_that_a_token_is_not_sent_to() {
    for model in BuiltinModel::all() {
        let spec = ModelSpec::builtin(model.name()).unwrap();
        let tree = spec.trace(Size::new(1, 1)).unwrap();
        let experts = tree.nodes().iter().filter_map(|node| node.operation.as_ref());
        let idle: f64 = experts
            .filter(|operation| operation.kind == OpKind::GroupedLinear)
            .map(|operation| idle_parameters(operation))
            .sum();
        let active = (idle > 0.0).then(|| model.parameters() as f64 - idle);
        assert_eq!(model.active_parameters().map(|active| active as f64), active, "{}", model.name());
    }
}

fn idle_parameters(operation: &Operation) -> f64 {
    let stored: Vec<f64> = operation
        .inputs
        .iter()
        .filter(|input| matches!(input.role, Role::Parameter(_)))
        .map(|input| input.shape.elements() as f64)
        .collect();
    // The weight comes first; a bias is read for the same experts.
    stored.iter().sum::<f64>() * (1.0 - operation.touched as f64 / stored[0])
}
