//! Names of devices and engines as sheets have them.

use irene_devices::Catalogue;

use super::ASSUMED;
use crate::RequestRow;

/// The catalogue's name of a device that a driver, a benchmark or a person names; the name itself where the catalogue has no such device.
pub(super) fn device(name: &str) -> String {
    Catalogue::find(name).map_or_else(|_| name.trim().to_owned(), |device| device.name)
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
    fn a_device_that_is_not_in_the_catalogue_keeps_its_name() {
        assert_eq!((device("Tesla T4"), device(" SambaNova SN40L")), ("t4".into(), "SambaNova SN40L".into()));
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
