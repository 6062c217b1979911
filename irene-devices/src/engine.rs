use irene_tree::Kernels;

use crate::{Error, Result};

/// A program that runs language models, of one generation: its kernels and its overhead decide as much as the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Engine {
    /// The name with the generation: `vllm-0.11`.
    pub name: &'static str,
    /// The program.
    pub program: &'static str,
    /// How it runs operations.
    pub kernels: Kernels,
    /// Whether it replaces sequences that have ended while others run.
    pub is_continuous: bool,
    /// Whether prompts run in the same pass as other sequences' tokens.
    pub mixes_prompts: bool,
}

const fn engine(
    name: &'static str,
    program: &'static str,
    kernels: Kernels,
    is_continuous: bool,
    mixes_prompts: bool,
) -> Engine {
    Engine { name, program, kernels, is_continuous, mixes_prompts }
}

/// Every engine, the newest generation of each program first.
const ENGINES: [Engine; 7] = [
    engine("vllm-0.11", "vllm", Kernels::Fused, true, true),
    engine("vllm-0.5", "vllm", Kernels::Fused, true, false),
    engine("tensorrt-llm", "tensorrt-llm", Kernels::Fused, true, false),
    engine("transformers", "transformers", Kernels::Eager, false, false),
    engine("llama.cpp", "llama.cpp", Kernels::Fused, false, false),
    engine("deepspeed", "deepspeed", Kernels::Fused, false, false),
    engine("candle", "candle", Kernels::Eager, false, false),
];

impl Engine {
    /// Every engine.
    pub fn all() -> &'static [Self] {
        &ENGINES
    }

    /// The engine of this name: `vllm` is the newest generation, `vllm-0.9.2` the newest that is no newer.
    ///
    /// # Errors
    /// [`Error::Engine`] with the names that there are.
    pub fn find(name: &str) -> Result<&'static Self> {
        let wanted = name.trim().to_lowercase().replace(['_', ' '], "-");
        let unknown = || Error::Engine { name: name.to_owned() };
        if let Some(exact) = ENGINES.iter().find(|engine| engine.name == wanted) {
            return Ok(exact);
        }
        let (program, version) = match wanted.rsplit_once('-') {
            Some((program, version)) if version.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()) => {
                (program, Some(version.trim_start_matches('v')))
            }
            _ => (wanted.as_str(), None),
        };
        let mut generations = ENGINES.iter().filter(|engine| engine.program == program);
        let Some(version) = version else { return generations.next().ok_or_else(unknown) };
        let oldest = generations.clone().next_back().ok_or_else(unknown)?;
        let is_no_newer = |engine: &&Self| numbers(engine.name.trim_start_matches(program)) <= numbers(version);
        Ok(generations.find(is_no_newer).unwrap_or(oldest))
    }
}

/// The numbers of a version: `-0.11` and `0.11.1` begin with 0 and 11.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_found_by_its_generation() {
        let found = |name: &str| Engine::find(name).map(|engine| engine.name).ok();
        assert_eq!(found("vLLM"), Some("vllm-0.11"));
        assert_eq!(found("vllm-0.11.1"), Some("vllm-0.11"));
        assert_eq!(found("vllm-0.5.x"), Some("vllm-0.5"));
        assert_eq!(found("vllm-0.9.2"), Some("vllm-0.5"));
        assert_eq!(found("vllm-0.2"), Some("vllm-0.5"));
        assert_eq!(found("TensorRT-LLM"), Some("tensorrt-llm"));
        assert_eq!(found("llama.cpp"), Some("llama.cpp"));
        assert_eq!(found("triton"), None);
    }
}
