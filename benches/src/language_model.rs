use candle_core::{Device, utils::barrier_pool};
use irene_models::{Batch, Cache, Config, Cx, Model, ModelOutput, ModelSpec};
use irene_tree::Size;

/// Tokens that are in the cache before a step.
const PAST: usize = 256;

/// The shape of Qwen2.5-0.5B: 494 million parameters, of which 136 are the table of tokens, which is also the head.
pub fn half_a_billion() -> ModelSpec {
    let config = r#"{"model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864,
        "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 32768,
        "rope_theta": 1000000.0, "rms_norm_eps": 1e-6, "hidden_act": "silu", "tie_word_embeddings": true}"#;
    ModelSpec::from_config("half a billion", Config::from_json("qwen2", config.as_bytes()).unwrap()).unwrap()
}

/// Parameters of [`half_a_billion`], each of which a step reads once.
pub const HALF_A_BILLION: usize = 494_032_768;

/// Token ids that compare_language_models.py has as well.
fn ids(count: usize) -> Vec<i64> {
    (0..count as i64).map(|place| place * 7919 % 150_000).collect()
}

/// A prompt of 8x128 tokens, of which the last of each sequence are scored.
pub fn prompt() -> Batch {
    let batch = Batch::of_ids(ids(8 * 128), None, Size::new(8, 128), &Device::Cpu).unwrap();
    batch.after(Cache::default()).scoring_last()
}

/// The next token of so many sequences, behind 256 others. The step can be run again: it writes to the same places of the cache.
pub fn next_token(model: &dyn Model, sequences: usize) -> Batch {
    let past = Batch::of_ids(ids(sequences * PAST), None, Size::new(sequences, PAST), &Device::Cpu).unwrap();
    let output = run(model, &past.after(Cache::default()).scoring_last());
    let next = Batch::of_ids(ids(sequences), None, Size::new(sequences, 1).after(PAST), &Device::Cpu).unwrap();
    next.after(output.cache.unwrap()).scoring_last()
}

/// Runs a pass with fused kernels.
pub fn run(model: &dyn Model, batch: &Batch) -> ModelOutput {
    model.run(&mut Cx::silent(), batch).unwrap()
}

/// Reads all numbers once, on all threads.
pub fn read_once(numbers: &[u64]) -> u64 {
    const PIECE: usize = 1 << 14;
    let sum = std::sync::atomic::AtomicU64::new(0);
    barrier_pool().execute_chunked(numbers.len().div_ceil(PIECE), |pieces| {
        let end = numbers.len().min(pieces.end * PIECE);
        let mut sums = [0u64; 64];
        for chunk in numbers[pieces.start * PIECE..end].chunks_exact(sums.len()) {
            sums.iter_mut().zip(chunk).for_each(|(sum, number)| *sum = sum.wrapping_add(*number));
        }
        sum.fetch_add(sums.iter().fold(0, |sum, x| sum ^ x), std::sync::atomic::Ordering::Relaxed);
    });
    sum.into_inner()
}
