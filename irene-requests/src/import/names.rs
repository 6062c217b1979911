//! Names of devices, engines and models as sheets have them.

use super::{ASSUMED, SOURCE_MODEL};
use crate::RequestRow;

/// Words of makers' names that tell no card from another.
const IDLE: [&str; 24] = [
    "nvidia",
    "geforce",
    "tesla",
    "quadro",
    "amd",
    "instinct",
    "radeon",
    "intel",
    "habana",
    "apple",
    "sambanova",
    "data",
    "center",
    "gpu",
    "graphics",
    "generation",
    "corporation",
    "laptop",
    "cts",
    "hbm2",
    "hbm2e",
    "hbm3",
    "hbm3e",
    "oam",
];

/// Short names that others have for a board.
const BOARDS: [(&str, &str); 6] = [
    ("orin", "jetson-agx-orin"),
    ("agx-orin", "jetson-agx-orin"),
    ("orin-nx", "jetson-orin-nx"),
    ("agx-xavier", "jetson-agx-xavier"),
    ("xavier-nx", "jetson-xavier-nx"),
    ("pvc", "max-1550"),
];

/// The catalogue's way to name a device that a driver, a benchmark or a person names.
pub(super) fn device(name: &str) -> String {
    let lower = name.to_lowercase().replace("(r)", " ").replace("(tm)", " ");
    let words: Vec<&str> = lower.split([' ', '-', '_', ',', '/']).filter(|word| !word.is_empty()).collect();
    let gib = words.iter().find_map(|word| gib(word));
    let has = |part: &str| words.iter().any(|word| word.starts_with(part));
    let kept: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| !IDLE.contains(word) && self::gib(word).is_none() && !word.starts_with("sxm"))
        .collect();
    let form = |otherwise: &'static str| match () {
        () if has("pcie") => "pcie",
        () if has("nvl") => "nvl",
        () => otherwise,
    };
    match kept.iter().copied().find(|word| ["a100", "a800", "h100", "h800", "v100", "p100"].contains(word)) {
        Some(card @ ("a100" | "a800")) => {
            let form = form("sxm");
            let gib = gib.unwrap_or(if form == "pcie" { 40 } else { 80 });
            format!("{card}-{form}-{gib}gb")
        }
        Some(card @ ("h100" | "h800")) => format!("{card}-{}", form("sxm")),
        Some("v100") => format!("v100-{}{}", form("sxm2"), if gib == Some(32) { "-32gb" } else { "" }),
        Some("p100") => format!("p100-{}", if has("sxm") { "sxm2" } else { "pcie" }),
        _ => {
            let name = kept.join("-");
            BOARDS.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| (*long).to_owned())
        }
    }
}

/// The GiB of a word such as `80gb`.
fn gib(word: &str) -> Option<u32> {
    word.strip_suffix("gb").or_else(|| word.strip_suffix("gib"))?.parse().ok()
}

/// Engines by other names.
const ENGINES: [(&str, &str); 10] = [
    ("pegasus/hf-(2023)", "transformers"),
    ("pytorch", "transformers"),
    ("hf", "transformers"),
    ("huggingface", "transformers"),
    ("deepspeed-mii", "deepspeed"),
    ("trt-llm", "tensorrt-llm"),
    ("tensorrtllm", "tensorrt-llm"),
    ("llama-cpp", "llama.cpp"),
    ("llamacpp", "llama.cpp"),
    ("py-txi", "tgi"),
];

/// The sheet's name of an engine, which has two numbers of its version.
pub(super) fn engine(name: &str) -> String {
    let lower = name.trim().to_lowercase().replace(['_', ' '], "-");
    if let Some((_, known)) = ENGINES.iter().find(|(other, _)| *other == lower) {
        return (*known).to_owned();
    }
    let Some((program, version)) = lower.rsplit_once('-') else { return lower };
    let version = version.trim_start_matches('v');
    if !version.starts_with(|c: char| c.is_ascii_digit()) {
        return lower;
    }
    let generation: Vec<&str> = version.split('.').take(2).collect();
    format!("{program}-{}", generation.join("."))
}

/// Fine-tuned models of a shape that has a name of its own.
const TUNED: [(&str, &str); 17] = [
    ("lmsys/vicuna-7B", "huggyllama/llama-7b"),
    ("lmsys/vicuna-13B", "huggyllama/llama-13b"),
    ("metaai/llama-7B", "huggyllama/llama-7b"),
    ("metaai/llama-13B", "huggyllama/llama-13b"),
    ("tatsu-lab/alpaca-7B", "huggyllama/llama-7b"),
    ("BAIR/koala-7b", "huggyllama/llama-7b"),
    ("BAIR/koala-13b", "huggyllama/llama-13b"),
    ("project-baize/baize-v2-7B", "huggyllama/llama-7b"),
    ("camel-ai/CAMEL-13B-Combined-Data", "huggyllama/llama-13b"),
    ("nomic-ai/gpt4all-13b-snoozy", "huggyllama/llama-13b"),
    ("openaccess-ai-collective/manticore-13b-chat-pyg", "huggyllama/llama-13b"),
    ("h2oai/h2ogpt-gm-oasst1-en-2048-open-llama-7b-preview-300bt-v2", "huggyllama/llama-7b"),
    ("databricks/dolly-v2-12b", "EleutherAI/pythia-12b"),
    ("OpenAssistant/oasst-sft-1-pythia-12b", "EleutherAI/pythia-12b"),
    ("togethercomputer/RedPajama-INCITE-7B-Chat", "EleutherAI/pythia-6.9b"),
    ("google/codegemma-1.1-2b", "google/gemma-2b"),
    ("google/codegemma-7b", "google/gemma-7b"),
];

/// Sets the model: that of the same shape for a fine-tuned one, which is kept beside it, otherwise the name as it is.
pub(super) fn set_model(row: &mut RequestRow, name: Option<&str>) {
    let Some(name) = name else { return };
    match TUNED.iter().find(|(tuned, _)| tuned.eq_ignore_ascii_case(name)) {
        Some((_, shape)) => {
            row.model = Some((*shape).to_owned());
            row.set_further(SOURCE_MODEL, name);
        }
        None => row.model = Some(name.to_owned()),
    }
}

/// Marks a setting as one that the input does not say.
pub(super) fn assume(row: &mut RequestRow, setting: &str) {
    let earlier = row.further(ASSUMED).filter(|earlier| !earlier.is_empty());
    let all = earlier.map_or_else(|| setting.to_owned(), |earlier| format!("{earlier} {setting}"));
    row.set_further(ASSUMED, all);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_the_catalogues_names() {
        for (name, expected) in [
            ("NVIDIA A100-SXM4-40GB", "a100-sxm-40gb"),
            ("NVIDIA A100-SXM-80GB CTS", "a100-sxm-80gb"),
            ("NVIDIA A100-PCIE-40GB", "a100-pcie-40gb"),
            ("NVIDIA A100-PCIe", "a100-pcie-40gb"),
            ("NVIDIA A100 80GB PCIe", "a100-pcie-80gb"),
            ("H100 80GB HBM3", "h100-sxm"),
            ("NVIDIA H100 PCIe", "h100-pcie"),
            ("NVIDIA H100 NVL", "h100-nvl"),
            ("NVIDIA H200-SXM-141GB", "h200"),
            ("NVIDIA GH200 480GB", "gh200"),
            ("NVIDIA B200", "b200"),
            ("Tesla V100-SXM2-16GB", "v100-sxm2"),
            ("Tesla V100-SXM2-32GB", "v100-sxm2-32gb"),
            ("Tesla P100-PCIE-16GB", "p100-pcie"),
            ("Tesla T4", "t4"),
            ("NVIDIA L40S", "l40s"),
            ("NVIDIA A10", "a10"),
            ("NVIDIA GeForce RTX 4090", "rtx-4090"),
            ("NVIDIA GeForce GTX 1080 Ti", "gtx-1080-ti"),
            ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
            ("NVIDIA RTX A6000", "rtx-a6000"),
            ("NVIDIA Jetson AGX Orin", "jetson-agx-orin"),
            ("NVIDIA AGX Xavier", "jetson-agx-xavier"),
            ("AMD Instinct MI300X", "mi300x"),
            ("AMD MI250 GPU", "mi250"),
            ("Intel(R) Data Center GPU Max 1550", "max-1550"),
            ("Intel PVC GPU", "max-1550"),
            ("Habana Gaudi2", "gaudi2"),
            ("Apple M3 Max", "m3-max"),
        ] {
            assert_eq!(device(name), expected, "{name}");
        }
    }

    #[test]
    fn engines_have_their_generation() {
        for (name, expected) in [
            ("vllm-0.11.1", "vllm-0.11"),
            ("vllm-0.5.x", "vllm-0.5"),
            ("vLLM", "vllm"),
            ("TensorRT-LLM", "tensorrt-llm"),
            ("Deepspeed-MII", "deepspeed"),
            ("pegasus/HF (2023)", "transformers"),
            ("llama.cpp", "llama.cpp"),
        ] {
            assert_eq!(engine(name), expected, "{name}");
        }
    }
}
