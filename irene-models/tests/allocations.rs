//! A context without a visitor allocates nothing beyond what it runs.
#![allow(clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

use std::borrow::Cow;

use allocation_counter::measure;
use irene_models::{
    Batch, Cache, Config, Cx, Label, Labelled, ModelSpec, Module, Result, Run, ShapesOnly, TaskHead, Tensor,
};
#[cfg(feature = "candle")]
use irene_models::{Generator, RandomWeights};
use irene_tree::{Format, Level, Size};

/// A module that does nothing: what is left is the call.
struct Identity(Label);

impl Labelled for Identity {
    fn label(&self) -> &Label {
        &self.0
    }
}

impl Module for Identity {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, _cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
    }
}

const CALLS: u64 = 1_000_000;

#[test]
fn a_million_calls_of_modules_and_operations_allocate_nothing() {
    let identity = Identity(Label { name: Cow::Borrowed("identity"), instance_type: "Identity", level: Level::Module });
    let mut x = Tensor::of_shape([8, 128, 768], Format::F32);
    let mut cx = Cx::silent();
    let count = measure(|| {
        for _ in 0..CALLS {
            x = cx.call(&identity, &x).unwrap();
            x = cx.gelu(&x).unwrap();
            x = cx.add(&x, &x).unwrap();
        }
    });
    assert_eq!(count.count_total, 0);
}

#[cfg(feature = "candle")]
#[test]
fn an_operation_on_candle_allocates_what_candle_does() {
    let plain = candle_core::Tensor::zeros((2, 3), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
    let x = Tensor::from_candle(plain.clone()).unwrap();
    let mut cx = Cx::silent();
    let calls = CALLS / 100;
    let ours = measure(|| (0..calls).for_each(|_| drop(cx.relu(&x).unwrap())));
    let candles = measure(|| (0..calls).for_each(|_| drop(plain.relu().unwrap())));
    assert!(candles.count_total >= calls);
    assert_eq!(ours.count_total, candles.count_total);
    assert_eq!(ours.bytes_total, candles.bytes_total);
}

/// A decoder of one layer.
fn decoder(positions: usize) -> ModelSpec {
    let json = format!(
        r#"{{"model_type":"gpt2","n_embd":16,"n_layer":1,"n_head":2,"n_positions":{positions},"vocab_size":30}}"#
    );
    ModelSpec::from_config("small", Config::from_json("small", json.as_bytes()).unwrap()).unwrap()
}

#[test]
fn a_million_steps_by_shape_take_the_memory_of_one() {
    let spec = decoder(CALLS as usize + 1);
    let model = spec.build_with_head(&ShapesOnly::default(), TaskHead::Lm).unwrap();
    let mut cache = Cache::default();
    let mut steps = |count: u64| {
        measure(|| {
            for _ in 0..count {
                let batch = Batch::of_shape(Size::new(2, 1)).after(std::mem::take(&mut cache));
                cache = model.run(&mut Cx::silent(), &batch).unwrap().cache.unwrap();
            }
        })
    };
    steps(1);
    let (one, all) = (steps(1), steps(CALLS - 2));
    assert_eq!((all.bytes_max, all.bytes_current), (one.bytes_max, 0));
    assert_eq!(cache.past as u64, CALLS);

    // The tree of a generation is as large for a million tokens.
    let trace = |generate| measure(|| drop(spec.trace(Run { generate, ..Size::new(2, 1).into() }).unwrap()));
    assert!(trace(CALLS as usize).bytes_max < 2 * trace(10).bytes_max);
}

/// On a thread of the pool that operations are spread over, so that every allocation is seen.
#[cfg(feature = "candle")]
#[test]
fn a_generation_keeps_nothing_more_for_more_tokens() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let llama = r#"{"model_type":"mistral","hidden_size":16,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,
        "intermediate_size":24,"vocab_size":30,"max_position_embeddings":2000,"sliding_window":WINDOW}"#;
    let of =
        |json: &str| ModelSpec::from_config("small", Config::from_json("small", json.as_bytes()).unwrap()).unwrap();
    let specs = [decoder(2000), of(&llama.replace("WINDOW", "null")), of(&llama.replace("WINDOW", "30"))];
    for spec in specs {
        for prompts in [vec![vec![1, 2, 3, 4]; 3], vec![vec![1, 2, 3, 4], vec![5], vec![6, 7]]] {
            pool.install(|| keeps_nothing_more(&spec, &prompts));
        }
    }
}

#[cfg(feature = "candle")]
fn keeps_nothing_more(spec: &ModelSpec, prompts: &[Vec<i64>]) {
    use candle_core::{DType, Device};
    // The window of the third model is copied back to the beginning of its memory in every thirtieth of these.
    const STEPS: u64 = 1020;
    const ROOM: usize = 2000;
    let weights = RandomWeights { seed: 1, dtype: DType::F32, device: Device::Cpu };
    let model = spec.build_with_head(&weights, TaskHead::Lm).unwrap();
    let batch = Batch::of_prompts(prompts, &Device::Cpu).unwrap();
    let is_ragged = batch.attention_mask.is_some();
    let mut generator = Generator::new(model.as_ref(), batch).unwrap().with_room(ROOM);
    let mut steps = |count| measure(|| (0..count).for_each(|_| drop(generator.step(&mut Cx::silent()).unwrap())));
    steps(100);
    let (first, all, last) = (steps(1), steps(STEPS - 1), steps(1));
    // The mask of ragged prompts is an input of the model.
    let mask = if is_ragged { 3 * size_of::<i64>() as u64 } else { 0 };
    let what = format!("{}, ragged: {is_ragged}", spec.model_type());
    // Beside the mask, the scratch memory of this thread grows until it holds the scores of one piece of the keys.
    const SCRATCH: i64 = 4096;
    let kept = all.bytes_current - (mask * (STEPS - 1)) as i64;
    assert!((0..=SCRATCH).contains(&kept), "{what}: {kept} bytes");
    assert_eq!(first.count_total, last.count_total, "{what}");
    // For a moment one layer has a score of every key, its mask as numbers, and keys and values repeated for heads that share them.
    let more = last.bytes_max.saturating_sub(first.bytes_max);
    let token = spec.cache_bytes(3, 1, irene_tree::Precision::F32).unwrap().unwrap();
    assert!(more <= STEPS * 3 * token, "{what}: {more} bytes more");
    let cache = generator.next().cache.as_ref().unwrap().bytes();
    assert!(
        cache <= spec.cache_bytes(3, ROOM, irene_tree::Precision::F32).unwrap().unwrap().max(60 * 3 * 64),
        "{what}: {cache}"
    );
}
