//! Decoders that go on from a cache: against what Hugging Face transformers generated with the same tiny checkpoint, followed by shape
//! against run, and a whole generation's tree against all of its steps.

use irene_models::{ModelSpec, Run, TaskHead};
use irene_tree::{Kernels, Precision, Quantity, Size, Tree};
use proptest::prelude::*;

use crate::support;

/// A small decoder of either architecture.
fn spec(is_gpt2: bool, layers: usize, heads: usize, width: usize) -> ModelSpec {
    let model_type = if is_gpt2 { "gpt2" } else { "openai-gpt" };
    support::spec(format!(
        r#"{{"model_type":"{model_type}","n_embd":{},"n_layer":{layers},"n_head":{heads},"n_positions":4000,"vocab_size":30}}"#,
        heads * width
    ))
}

/// GPT-2, OpenAI-GPT, and decoders whose layers attend to a window that fills in the middle, every other one or all.
fn any_decoder() -> impl Strategy<Value = ModelSpec> {
    let windowed = |model_type: &str, window: usize| {
        support::spec(format!(
            r#"{{"model_type":"{model_type}","hidden_size":8,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,
            "head_dim":4,"intermediate_size":6,"vocab_size":30,"max_position_embeddings":4000,"sliding_window":{window}}}"#
        ))
    };
    (0..4usize, 2..100usize).prop_map(move |(which, window)| match which {
        0 | 1 => spec(which == 0, 1, 2, 4),
        2 => windowed("mistral", window),
        _ => windowed("gemma2", window),
    })
}

fn kernels() -> impl Strategy<Value = Kernels> {
    prop::sample::select(vec![Kernels::Eager, Kernels::Fused])
}

/// These quantities are in proportion to the past, and so have to add up. Whole tiles are not.
const ADDED: [Quantity; 7] = [
    Quantity::Flops,
    Quantity::MemBytes,
    Quantity::MovedBytes,
    Quantity::CopiedBytes,
    Quantity::ParameterBytes,
    Quantity::CacheBytes,
    Quantity::Kernels,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_generation_comes_to_the_sum_of_its_steps(
        spec in any_decoder(), batch in 1..4usize, prompt in 1..70usize, generate in 1..150usize, kernels in kernels(), padded: bool,
        dtype in prop::sample::select(vec!["f32", "bf16", "q4_k,f16,f8_e4m3"]), head in prop::sample::select(vec![TaskHead::None, TaskHead::Lm]),
    ) {
        let precision: Precision = dtype.parse().unwrap();
        let run = Run { precision, kernels, head: TaskHead::Lm, is_padded: padded, ..Size::new(batch, prompt).into() };
        // Its tokens come from the language model's head, whatever head is asked for.
        let whole = spec.trace(Run { generate, head, ..run }).unwrap();
        prop_assert!(whole.check().is_ok(), "{}", whole.check().unwrap_err());
        prop_assert_eq!(whole.tokens(), batch * generate);

        let prefill = spec.trace(Run { keeps_cache: true, ..run }).unwrap();
        let steps = (prompt..prompt + generate - 1).map(|past| {
            spec.trace(Run { size: Size::new(batch, 1).after(past), ..run }).unwrap()
        });
        let all: Vec<Tree> = std::iter::once(prefill).chain(steps).collect();
        for quantity in ADDED {
            let explicit: f64 = all.iter().map(|tree| tree.root().get(quantity).unwrap()).sum();
            let found = whole.root().get(quantity).unwrap();
            prop_assert!((found - explicit).abs() <= 1e-9 * explicit, "{quantity}: {found}, step by step {explicit}");
        }
        // The model is there once.
        prop_assert_eq!(whole.root().get(Quantity::NumParameters), all[0].root().get(Quantity::NumParameters));
    }
}

#[test]
fn a_tied_head_adds_no_parameters_and_its_flops_are_said_when_it_is_left_out() {
    let gpt2 = ModelSpec::find("gpt2").unwrap();
    let run = Run::from(Size::new(8, 128));
    let parameters = |head| gpt2.trace(Run { head, ..run }).unwrap().root().get(Quantity::NumParameters);
    assert_eq!(parameters(TaskHead::Lm), parameters(TaskHead::None));
    assert_eq!(parameters(TaskHead::Classification), Some(124_439_808.0 + 2.0 * 768.0));
    let share = gpt2.left_out_head(run).unwrap().unwrap();
    assert!((0.43..0.46).contains(&share), "{share}");
    assert_eq!(gpt2.left_out_head(Run { head: TaskHead::Lm, ..run }).unwrap(), None);
    assert_eq!(gpt2.left_out_head(Run { generate: 4, ..run }).unwrap(), None);
    assert_eq!(ModelSpec::find("bert-base-uncased").unwrap().left_out_head(run).unwrap(), None);
}

#[test]
fn fused_kernels_are_fewer_and_keep_no_scores() {
    let gpt2 = ModelSpec::find("gpt2").unwrap();
    let tree = |kernels| gpt2.trace(Run { kernels, ..Size::new(1, 512).into() }).unwrap();
    let (eager, fused) = (tree(Kernels::Eager), tree(Kernels::Fused));
    let get = |tree: &Tree, quantity| tree.root().get(quantity).unwrap();
    assert!(get(&fused, Quantity::Kernels) < 0.4 * get(&eager, Quantity::Kernels));
    assert!(get(&fused, Quantity::MovedBytes) < 0.5 * get(&eager, Quantity::MovedBytes));
    assert_eq!(get(&fused, Quantity::NumParameters), get(&eager, Quantity::NumParameters));
    let types: Vec<&str> = fused.nodes().iter().map(irene_tree::Node::instance_type).collect();
    assert_eq!(types.iter().filter(|&&class| class == "FusedAttention").count(), 12);
    assert!(!types.contains(&"Softmax") && !types.contains(&"MatMul") && !types.contains(&"copy"));
}

#[test]
fn bytes_follow_the_formats() {
    let gpt2 = ModelSpec::find("gpt2").unwrap();
    let step = |dtype: &str| {
        let run =
            Run { precision: dtype.parse().unwrap(), kernels: Kernels::Fused, ..Size::new(1, 1).after(512).into() };
        let tree = gpt2.trace(run).unwrap();
        [Quantity::ParameterBytes, Quantity::CacheBytes].map(|quantity| tree.root().get(quantity).unwrap())
    };
    let ([weights, cache], [half_weights, half_cache]) = (step("f32"), step("bf16"));
    assert_eq!((half_weights, half_cache), (weights / 2.0, cache / 2.0));
    // 12 layers of keys and values of 768 numbers, 513 tokens read and one written.
    assert_eq!(half_cache * 1024.0 * 1024.0, 12.0 * 2.0 * 768.0 * (513.0 + 1.0) * 2.0);
    let [quantised, eighth] = step("q4_k,f16,f8_e4m3");
    assert_eq!(eighth, cache / 4.0);
    // 4.5 bits a weight; vectors stay in 16.
    assert!((0.28..0.30).contains(&(quantised / half_weights)), "{}", quantised / half_weights);
    let whole = gpt2.trace(Size::new(1, 4)).unwrap();
    assert_eq!(whole.root().get(Quantity::CacheBytes), Some(0.0));
}

#[test]
fn what_a_model_cannot_go_on_from_is_refused() {
    let refused = |name: &str, run: Run| ModelSpec::find(name).unwrap().trace(run).unwrap_err().to_string();
    let step: Run = Size::new(1, 1).after(8).into();
    assert!(refused("bert-base-uncased", step).contains("keeps no keys and values: leave size.past out"));
    let generating = Run { keeps_cache: true, ..Size::new(1, 8).into() };
    assert!(refused("bert-base-uncased", generating).contains("keys and values: leave run.generate out"));
    assert!(refused("gpt2", Size::new(1, 1).after(1024).into()).contains("1 after 1024 tokens is longer than"));
    let long = Run { generate: 1000, ..Size::new(1, 100).into() };
    assert!(refused("gpt2", long).contains("longer than the model's 1024 positions"));
    assert!(refused("distilgpt2", Run { head: TaskHead::Lm, ..Size::new(0, 1).into() }).contains("batch size"));
}

#[cfg(feature = "candle")]
mod run {
    use candle_core::{DType, Device};
    use irene_models::{Batch, Cx, Generator, Model, Sampling, TreeVisitor};

    use super::*;
    use crate::support::{difference, fixture, loaded, random};

    fn made_up(spec: &ModelSpec, seed: u64) -> Box<dyn Model> {
        spec.build_with_head(&random(seed), TaskHead::Lm).unwrap()
    }

    fn batch(ids: &[i64]) -> Batch {
        Batch::of_ids(ids.to_vec(), None, Size::new(1, ids.len()), &Device::Cpu).unwrap()
    }

    fn chosen(tokens: &[Option<i64>]) -> Vec<i64> {
        tokens.iter().map(|token| token.unwrap()).collect()
    }

    #[test]
    fn prompts_are_padded_on_the_left() {
        let spec = spec(true, 1, 1, 2);
        let model = made_up(&spec, 1);
        let prompts = |mask| Batch::of_ids(vec![1; 6], Some(mask), Size::new(2, 3), &Device::Cpu).unwrap();
        let new = |mask| Generator::new(model.as_ref(), prompts(mask));
        assert!(new(vec![0, 1, 1, 1, 1, 1]).is_ok());
        let error = new(vec![1, 1, 1, 1, 1, 0]).err().unwrap().to_string();
        assert!(error.contains("prompt 1 is padded on the right"), "{error}");
    }

    /// The tokens that each of these prompts is given, alone or as a batch.
    fn generated(
        spec: &ModelSpec,
        prompts: &[Vec<i64>],
        sampling: Sampling,
        ends: &[i64],
        steps: usize,
    ) -> Vec<Vec<i64>> {
        let model = made_up(spec, 5);
        let prompts = Batch::of_prompts(prompts, &Device::Cpu).unwrap();
        let mut rows = vec![Vec::new(); prompts.sequences()];
        let generator = Generator::new(model.as_ref(), prompts).unwrap().with_sampling(sampling).unwrap();
        let mut generator = generator.ending_at(ends.iter().copied());
        for _ in 0..steps {
            if generator.has_ended() {
                break;
            }
            let step = generator.step(&mut Cx::silent()).unwrap();
            rows.iter_mut().zip(step.tokens).for_each(|(row, token): (&mut Vec<i64>, _)| row.extend(token));
        }
        rows
    }

    /// Draws tell sequences apart where the likeliest token of made-up weights is often the same.
    #[test]
    fn ragged_prompts_are_given_what_each_is_given_alone() {
        let prompts = [vec![1, 2, 3, 4, 5], vec![7], vec![9, 8, 7]];
        for is_gpt2 in [true, false] {
            let spec = spec(is_gpt2, 2, 2, 4);
            let sampling = Sampling { temperature: 1.0, top_p: 0.9, seed: 11, ..Sampling::default() };
            let batch = generated(&spec, &prompts, sampling, &[], 12);
            for (row, prompt) in prompts.iter().enumerate() {
                let ahead = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(row as u64);
                let alone = Sampling { seed: ahead.wrapping_add(sampling.seed), ..sampling };
                assert_eq!(generated(&spec, std::slice::from_ref(prompt), alone, &[], 12)[0], batch[row], "row {row}");
            }
            assert_eq!(generated(&spec, &prompts, sampling, &[], 12), batch, "a seed gives the same again");
            assert_ne!(generated(&spec, &prompts, Sampling { seed: 12, ..sampling }, &[], 12), batch);
        }
    }

    /// Windows of a few tokens move through the cache's memory many times.
    #[test]
    fn every_checkpoint_generates_alike_with_and_without_room_eager_fused_and_alone() {
        const STEPS: usize = 40;
        let prompts: [Vec<i64>; 3] = [(3..16).collect(), vec![7], vec![9, 8, 7, 30]];
        let mut compared = 0;
        // LongRoPE turns every token anew when the batch outgrows its first angles, and so earlier beside a longer prompt; Llama 4's
        // queries grow with places that count padding.
        let is_meant = |dir: &std::path::PathBuf| {
            dir.is_dir() && !["phi3_long", "phimoe", "llama4"].iter().any(|other| dir.ends_with(other))
        };
        for dir in std::fs::read_dir(fixture("llm")).unwrap().map(|entry| entry.unwrap().path()).filter(is_meant) {
            let place = dir.display();
            let (spec, model) = loaded(&dir, TaskHead::Lm, DType::F32).unwrap();
            let tokens = |prompts: &[Vec<i64>], room: usize, kernels: Kernels| {
                let prompts = Batch::of_prompts(prompts, &Device::Cpu).unwrap();
                let mut generator = Generator::new(model.as_ref(), prompts).unwrap().with_room(room);
                let mut cx = Cx::silent().with_kernels(kernels);
                let steps: Vec<_> = (0..STEPS).map(|_| chosen(&generator.step(&mut cx).unwrap().tokens)).collect();
                (steps, generator.next().cache.as_ref().unwrap().bytes())
            };
            let room = 13 + STEPS;
            let (whole, bytes) = tokens(&prompts, room, Kernels::Fused);
            assert_eq!(tokens(&prompts, 0, Kernels::Fused).0, whole, "{place}: without room");
            assert_eq!(tokens(&prompts, 0, Kernels::Eager).0, whole, "{place}: eager");
            for (row, prompt) in prompts.iter().enumerate() {
                let alone: Vec<i64> = tokens(std::slice::from_ref(prompt), room, Kernels::Fused).0.concat();
                assert_eq!(alone, whole.iter().map(|step| step[row]).collect::<Vec<_>>(), "{place}: row {row} alone");
            }
            // A window keeps up to twice its tokens, or the prompt's.
            let most = spec.cache_bytes(prompts.len(), room, Precision::F32).unwrap().unwrap();
            assert!((most / 2..=4 * most).contains(&bytes), "{place}: {bytes} bytes, {most} by shape");
            compared += 1;
        }
        assert!(compared > 20, "{compared}");
    }

    #[test]
    fn a_sequence_ends_with_its_first_end_token_and_the_others_go_on() {
        let spec = spec(true, 1, 2, 4);
        let prompts = [vec![1, 2], vec![3], vec![4, 5, 6]];
        let sampling = Sampling { temperature: 1.0, seed: 2, ..Sampling::default() };
        let whole = generated(&spec, &prompts, sampling, &[], 40);
        let ends: Vec<i64> = (0..4).collect();
        let ended = generated(&spec, &prompts, sampling, &ends, 40);
        let until = |row: &Vec<i64>| row.iter().position(|token| ends.contains(token)).map_or(40, |place| place + 1);
        let expected: Vec<Vec<i64>> = whole.iter().map(|row| row[..until(row)].to_vec()).collect();
        assert_eq!(ended, expected);
        let lens: Vec<usize> = ended.iter().map(Vec::len).collect();
        assert!(lens.iter().any(|&len| len < lens.iter().copied().max().unwrap()), "all ended together: {lens:?}");
    }

    /// Fused kernels write behind the tokens in place; a copy goes on by itself.
    #[test]
    fn a_copied_cache_goes_on_in_two_ways() {
        let spec = spec(true, 1, 2, 2);
        let model = made_up(&spec, 1);
        let run = |ids: &[i64], cache| model.run(&mut Cx::silent(), &batch(ids).after(cache)).unwrap();
        let keys = |output: &irene_models::ModelOutput| {
            output.cache.as_ref().unwrap().layers[0].key.candle().unwrap().contiguous().unwrap()
        };
        let first = run(&[1, 2, 3], Default::default()).cache.unwrap();
        let one = run(&[4], first.copied().unwrap());
        let before = keys(&one);
        run(&[5], first);
        assert_eq!(difference(&keys(&one), &before), 0.0);
    }

    /// A prompt in one piece, and in two with a cache between them.
    #[test]
    fn a_prompt_in_pieces_comes_to_the_same() {
        let spec = spec(true, 2, 2, 4);
        let model = made_up(&spec, 1);
        let ids: Vec<i64> = (0..9).collect();
        for kernels in [Kernels::Eager, Kernels::Fused] {
            let run = |ids: &[i64], cache| {
                model.run(&mut Cx::silent().with_kernels(kernels), &batch(ids).after(cache)).unwrap()
            };
            let logits = |output: &irene_models::ModelOutput| output.logits.as_ref().unwrap().candle().unwrap().clone();
            let whole = logits(&run(&ids, Default::default()));
            let first = run(&ids[..4], Default::default());
            let second = run(&ids[4..], first.cache.clone().unwrap());
            assert_eq!(second.cache.as_ref().unwrap().past, 9);
            let off = difference(&logits(&second), &whole.narrow(1, 4, 5).unwrap());
            assert!(off <= 1e-5, "{kernels:?}: differs by {off}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_step_followed_by_shape_is_the_one_that_ran(
            is_gpt2: bool, layers in 1..3usize, heads in 1..4usize, width in 1..5usize, batch in 1..3usize, prompt in 1..9usize,
            steps in 1..4usize, kernels in kernels(), padded: bool, seed: u64,
        ) {
            let spec = spec(is_gpt2, layers, heads, width);
            let model = made_up(&spec, seed);
            let ids = (0..batch * prompt).map(|token| token as i64 % 30).collect();
            let mask = padded.then(|| (0..batch * prompt).map(|token| i64::from(token % prompt + 1 >= prompt / 2)).collect());
            let prompts = Batch::of_ids(ids, mask, Size::new(batch, prompt), &Device::Cpu).unwrap();
            let mut generator = Generator::new(model.as_ref(), prompts).unwrap();
            for _ in 0..=steps {
                let run = Run {
                    kernels,
                    head: TaskHead::Lm,
                    is_padded: padded,
                    keeps_cache: true,
                    ..generator.next().size().into()
                };
                let mut visitor = TreeVisitor::new(spec.name(), run.size).followed_in(run.precision, kernels);
                generator.step(&mut Cx::visited(&mut visitor).with_kernels(kernels)).unwrap();
                prop_assert_eq!(visitor.finish().unwrap(), spec.trace(run).unwrap());
            }
        }
    }
}
