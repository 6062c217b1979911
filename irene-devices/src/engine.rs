use irene_tree::Kernels;

use crate::{Error, Law, Result};

/// A program that runs language models, of one generation: its kernels and its overhead decide as much as the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Engine {
    /// The name with the generation: `vllm-0.11`.
    pub name: &'static str,
    /// The program.
    pub program: &'static str,
    /// The first version of the program that it stands for.
    pub since: &'static str,
    /// The engine that it is most like, where it was not measured itself.
    pub like: &'static str,
    /// How it runs operations.
    pub kernels: Kernels,
    /// Whether it replaces sequences that have ended while others run.
    pub is_continuous: bool,
    /// Whether prompts run in the same pass as other sequences' tokens.
    pub mixes_prompts: bool,
}

/// Every engine, the newest generation of each program first.
const ENGINES: [Engine; 8] = [
    // The engine "V1" of vLLM is that of all versions since 0.8: prompts in the same pass as tokens, kernels started from graphs.
    Engine { mixes_prompts: true, since: "0.8", ..serving("vllm-0.11", "vllm", "vllm-0.5") },
    Engine { since: "0.5", ..serving("vllm-0.5", "vllm", "vllm-0.11") },
    serving("vllm-0.2", "vllm", "vllm-0.5"),
    serving("tensorrt-llm", "tensorrt-llm", "vllm-0.11"),
    Engine { kernels: Kernels::Eager, ..batching("transformers", "vllm-0.5") },
    batching("llama.cpp", "vllm-0.11"),
    batching("deepspeed", "vllm-0.5"),
    Engine { kernels: Kernels::Eager, ..batching("candle", "llama.cpp") },
];

const fn serving(name: &'static str, program: &'static str, like: &'static str) -> Engine {
    Engine { name, program, since: "", like, kernels: Kernels::Fused, is_continuous: true, mixes_prompts: false }
}

const fn batching(name: &'static str, like: &'static str) -> Engine {
    Engine { is_continuous: false, ..serving(name, name, like) }
}

impl Engine {
    /// Whether its host starts one kernel after another while earlier ones run, as libraries have them: nothing is joined or replayed.
    pub fn starts_kernels_ahead(&self) -> bool {
        self.kernels == Kernels::Eager
    }

    /// How it runs requests, in a line.
    pub fn about(&self) -> String {
        let batches = match (self.is_continuous, self.mixes_prompts) {
            (true, true) => "continuous batching, prompts in the same pass as other sequences' tokens",
            (true, false) => "continuous batching, prompts in passes of their own",
            (false, _) => "one batch after another",
        };
        let kernels = match self.kernels {
            Kernels::Fused => "fused kernels",
            Kernels::Eager => "a kernel for each operation",
        };
        format!("{batches}; {kernels}")
    }

    /// An engine of your own, which runs requests as another one does: with the kernels and the batching of that one, and until a calibration
    /// is made of its requests also with the constants of that one, in wider intervals. The fields that say how it runs may be changed.
    ///
    /// ```
    /// use irene_devices::{Catalogue, Engine, Law};
    ///
    /// let like = Engine::find("vllm")?;
    /// let mine = Engine::named("mistral.rs", like);
    /// let h100 = Catalogue::find("h100-sxm")?;
    /// let spread = |engine: &Engine| Law::shipped().on(&h100, engine, true).spread().time;
    /// assert!(spread(&mine) > spread(like));
    /// # Ok::<(), irene_devices::Error>(())
    /// ```
    pub fn named(name: &'static str, like: &Self) -> Self {
        let is_measured = Law::shipped().engines.contains_key(like.name);
        Self { name, program: name, since: "", like: if is_measured { like.name } else { like.like }, ..*like }
    }

    /// Every engine.
    pub fn all() -> &'static [Self] {
        &ENGINES
    }

    /// The engine of this name: `vllm` is the newest generation, `vllm-0.9.2` the one that stands for that version.
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
        let is_no_newer = |engine: &&Self| numbers(engine.since) <= numbers(version);
        Ok(generations.find(is_no_newer).unwrap_or(oldest))
    }
}

/// The numbers of a version: `0.11` and `0.11.1` begin with 0 and 11.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalogue;

    #[test]
    fn engines_say_how_they_run_requests() {
        let about = |name: &str| Engine::find(name).map(Engine::about).unwrap();
        assert_eq!(
            about("vllm"),
            "continuous batching, prompts in the same pass as other sequences' tokens; fused kernels"
        );
        assert_eq!(about("transformers"), "one batch after another; a kernel for each operation");
    }

    #[test]
    fn an_engine_of_ones_own_has_the_constants_of_the_one_that_it_is_like() {
        let h100 = Catalogue::find("h100-sxm").unwrap();
        // Nobody measured candle: what stands in for it stands in for what is like it.
        for (like, constants) in [("vllm", "vllm-0.11"), ("candle", "llama.cpp")] {
            let mine = Engine::named("mine", Engine::find(like).unwrap());
            assert_eq!((mine.name, mine.program, mine.like), ("mine", "mine", constants));
            assert_eq!(mine.about(), Engine::find(like).unwrap().about());
            let pass_s = |engine: &Engine| Law::shipped().on(&h100, engine, true).engine().pass_s;
            assert_eq!(pass_s(&mine), pass_s(Engine::find(like).unwrap()), "{like}");
        }
    }

    #[test]
    fn an_engine_is_found_by_its_generation() {
        let found = |name: &str| Engine::find(name).map(|engine| engine.name).ok();
        assert_eq!(found("vLLM"), Some("vllm-0.11"));
        assert_eq!(found("vllm-0.11.1"), Some("vllm-0.11"));
        assert_eq!(found("vllm-0.5.x"), Some("vllm-0.5"));
        assert_eq!((found("vllm-0.9.2"), found("vllm-0.8")), (Some("vllm-0.11"), Some("vllm-0.11")));
        assert_eq!((found("vllm-0.7.3"), found("vllm-0.4")), (Some("vllm-0.5"), Some("vllm-0.2")));
        assert_eq!((found("vllm-0.2.7"), found("vllm-0.1")), (Some("vllm-0.2"), Some("vllm-0.2")));
        assert_eq!(found("TensorRT-LLM"), Some("tensorrt-llm"));
        assert_eq!(found("llama.cpp"), Some("llama.cpp"));
        assert_eq!(found("triton"), None);
    }
}
