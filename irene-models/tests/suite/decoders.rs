//! Laws of every family of decoders: followed by shape it is the tree that ran; fused kernels, a cache, padding and the company of other
//! sequences change no logits.

use candle_core::{DType, Device, Tensor as Candle};
use irene_models::{Batch, Cache, Cx, Model, ModelSpec, RandomWeights, Run, TaskHead, Tensor, TreeVisitor};
use irene_tree::{Kernels, Node, Operation, Quantity, Role, Size, Tree};
use proptest::{prelude::*, test_runner::RngSeed};

use crate::support::{self, Large};

fn weights(seed: u64, dtype: DType) -> Large {
    Large(RandomWeights { seed, dtype, device: Device::Cpu })
}

/// Rows of ids, each with this many places of padding before it.
struct Prompts {
    ids: Vec<Vec<i64>>,
    padding: Vec<usize>,
}

impl Prompts {
    fn of(lengths: &[usize], seed: u64) -> Self {
        let longest = lengths.iter().max().copied().unwrap_or(0);
        let id = |row: usize, place: usize| ((seed as usize % 97) + 7 * row + 11 * place * (place + 3)) % 30;
        let ids = lengths.iter().enumerate().map(|(row, &length)| (0..length).map(|at| id(row, at) as i64).collect());
        Self { ids: ids.collect(), padding: lengths.iter().map(|length| longest - length).collect() }
    }

    fn len(&self) -> usize {
        self.ids[0].len() + self.padding[0]
    }

    /// The places from `from` to `to` as a batch, after those before them.
    fn batch(&self, from: usize, to: usize, cache: Cache) -> Batch {
        let padded = |row: usize| std::iter::repeat_n(0, self.padding[row]).chain(self.ids[row].iter().copied());
        let rows = 0..self.ids.len();
        let ids = rows.clone().flat_map(|row| padded(row).take(to).skip(from).collect::<Vec<_>>()).collect();
        let is_ragged = self.padding.iter().any(|padding| *padding > 0);
        let mask = |row: usize| (0..to).map(move |place| i64::from(place >= self.padding[row]));
        let all = is_ragged.then(|| rows.clone().flat_map(mask).collect::<Vec<_>>());
        let size = Size::new(self.ids.len(), to - from).after(from);
        let batch = Batch::of_ids(ids, all, size, &Device::Cpu).unwrap().after(cache);
        let position = |row: usize| (from..to).map(move |place| place.saturating_sub(self.padding[row]) as i64);
        let positions: Vec<i64> = rows.flat_map(position).collect();
        let positions = Candle::from_vec(positions, (self.ids.len(), to - from), &Device::Cpu).unwrap();
        let positions = Tensor::from_candle(positions).unwrap().with_role(Role::Ids);
        Batch { position_ids: is_ragged.then_some(positions), ..batch }
    }

    /// The logits of each row's own tokens, by passes that end at these places.
    fn logits(&self, model: &dyn Model, kernels: Kernels, ends: &[usize]) -> Vec<Vec<f32>> {
        let mut rows = vec![Vec::new(); self.ids.len()];
        let (mut cache, mut from) = (Cache::default(), 0);
        for &to in ends {
            let mut cx = Cx::silent().with_kernels(kernels);
            let output = model.run(&mut cx, &self.batch(from, to, cache)).unwrap();
            let logits = output.logits.unwrap().candle().unwrap().to_dtype(DType::F32).unwrap();
            let logits = logits.to_vec3::<f32>().unwrap();
            for (row, logits) in logits.into_iter().enumerate() {
                let own = logits.into_iter().enumerate().filter(|(place, _)| from + place >= self.padding[row]);
                rows[row].extend(own.flat_map(|(_, logits)| logits));
            }
            (cache, from) = (output.cache.unwrap(), to);
        }
        rows
    }
}

/// The largest difference, beside numbers near 1.
fn difference(left: &[Vec<f32>], right: &[Vec<f32>]) -> f32 {
    let pairs = left.iter().flatten().zip(right.iter().flatten());
    assert_eq!(left.iter().map(Vec::len).collect::<Vec<_>>(), right.iter().map(Vec::len).collect::<Vec<_>>());
    let off = |(a, b): (&f32, &f32)| (a - b).abs() / a.abs().max(1.0);
    pairs.map(off).fold(0.0, |most, one| if one.is_nan() { f32::INFINITY } else { most.max(one) })
}

const TOLERANCE: f32 = 1e-5;

fn kernels() -> impl Strategy<Value = Kernels> {
    prop::sample::select(vec![Kernels::Eager, Kernels::Fused])
}

/// Shows the first node that differs, not two trees. A run counts the experts that it touches, which are expected by shape.
fn same_tree(run: &Tree, followed: &Tree) -> Result<(), TestCaseError> {
    let described = |node: &Node| {
        let operation = node.operation.as_deref().map(|operation| Operation { touched: 0, ..operation.clone() });
        format!("{} {} {operation:?}", node.scope(), node.instance_type())
    };
    let described = |tree: &Tree| tree.nodes().iter().map(described).collect::<Vec<_>>();
    let (of_run, of_followed) = (described(run), described(followed));
    if let Some((run, followed)) = of_run.iter().zip(&of_followed).find(|(run, followed)| run != followed) {
        return Err(TestCaseError::fail(format!("ran {run}, followed {followed}")));
    }
    prop_assert_eq!(of_run.len(), of_followed.len());
    let has_experts = |node: &Node| node.operation.as_ref().is_some_and(|operation| operation.touched > 0);
    prop_assert!(run.nodes().iter().any(has_experts) || run == followed, "counts differ");
    Ok(())
}

fn logits_agree(spec: &ModelSpec, lengths: &[usize], seed: u64) -> Result<(), TestCaseError> {
    let model = spec.build_with_head(&weights(seed, DType::F32), TaskHead::Lm).unwrap();
    let prompts = Prompts::of(lengths, seed);
    let len = prompts.len();
    let whole = prompts.logits(model.as_ref(), Kernels::Eager, &[len]);
    let spread = whole.iter().flatten().fold(0f32, |most, logit| most.max(logit.abs()));
    prop_assert!(spread > 1e-3, "logits up to {} show nothing", spread);
    // Norms of small numbers make much of a sum's last digit: other orders of sums may do as much as 32 bits do to the model.
    let in_64_bits = spec.build_with_head(&weights(seed, DType::F64), TaskHead::Lm).unwrap();
    let exact = prompts.logits(in_64_bits.as_ref(), Kernels::Eager, &[len]);
    let tolerance = TOLERANCE.max(4.0 * difference(&whole, &exact));
    prop_assert!(tolerance < 1e-3, "32 bits are off by {}", tolerance / 4.0);
    let fused = difference(&prompts.logits(model.as_ref(), Kernels::Fused, &[len]), &whole);
    prop_assert!(fused <= tolerance, "fused kernels: off by {}", fused);
    let pieces: Vec<usize> = (len.div_ceil(2)..=len).collect();
    for kernels in [Kernels::Eager, Kernels::Fused] {
        let cached = difference(&prompts.logits(model.as_ref(), kernels, &pieces), &whole);
        prop_assert!(cached <= tolerance, "{:?} with a cache: off by {}", kernels, cached);
    }
    for (row, &length) in lengths.iter().enumerate() {
        let alone = Prompts { ids: vec![prompts.ids[row].clone()], padding: vec![0] };
        let alone = difference(&alone.logits(model.as_ref(), Kernels::Eager, &[length]), &[whole[row].clone()]);
        prop_assert!(alone <= tolerance, "sequence {} alone: off by {}", row, alone);
    }
    Ok(())
}

proptest! {
    // The same cases each time: a rare one that is ill-conditioned tells nothing of the code.
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::with_cases(160) })]

    #[test]
    fn a_pass_followed_by_shape_is_the_one_that_ran(
        spec in crate::small_decoders::of(&crate::small_decoders::FAMILIES), batch in 1..4usize, prompt in 1..12usize, seed: u64, kernels in kernels(),
        padded: bool, head in prop::sample::select(TaskHead::ALL.to_vec()),
    ) {
        let model = spec.build_with_head(&weights(seed, DType::F32), head).unwrap();
        let lengths: Vec<usize> = (0..batch).map(|row| if padded && row == 1 { prompt + 1 } else { prompt }).collect();
        let prompts = Prompts::of(&lengths, seed);
        let is_padded = prompts.padding.iter().any(|padding| *padding > 0);
        let (mut cache, mut from) = (Cache::default(), 0);
        for to in [prompts.len() - prompts.len() / 2, prompts.len()] {
            if to == from {
                continue;
            }
            let input = prompts.batch(from, to, cache).scoring_last();
            let run = Run { kernels, head, is_padded, keeps_cache: true, ..input.size().into() };
            let mut visitor = TreeVisitor::new(spec.name(), run.size).followed_in(run.precision, kernels);
            let output = model.run(&mut Cx::visited(&mut visitor).with_kernels(kernels), &input).unwrap();
            same_tree(&visitor.finish().unwrap(), &spec.trace(run).unwrap())?;
            (cache, from) = (output.cache.unwrap(), to);
        }
    }

    #[test]
    fn parameters_are_the_same_at_every_size(
        spec in crate::small_decoders::of(&crate::small_decoders::FAMILIES), batch in 1..4usize, tokens in 1..12usize, past in 0..4usize,
        kernels in kernels(),
    ) {
        let parameters = |size: Size| {
            let run = Run { kernels, head: TaskHead::Lm, ..size.into() };
            spec.trace(run).unwrap().root().get(Quantity::NumParameters)
        };
        prop_assert_eq!(parameters(Size::new(batch, tokens).after(past)), parameters(Size::new(1, 1)));
    }

    #[test]
    fn sequences_longer_than_a_window_that_stands_for_chunks_are_followed_and_not_run(seed: u64, kernels in kernels()) {
        let spec = support::spec(r#"{"model_type":"llama4_text","hidden_size":16,"num_hidden_layers":2,"num_attention_heads":2,
            "num_key_value_heads":2,"head_dim":8,"intermediate_size":8,"vocab_size":30,"num_local_experts":2,"attention_chunk_size":8}"#);
        let model = spec.build_with_head(&weights(seed, DType::F32), TaskHead::Lm).unwrap();
        let run = |tokens: usize| {
            let batch = Prompts::of(&[tokens], seed).batch(0, tokens, Cache::default());
            model.run(&mut Cx::silent().with_kernels(kernels), &batch).map(drop).map_err(|error| error.to_string())
        };
        prop_assert_eq!(run(8), Ok(()));
        prop_assert!(run(9).unwrap_err().contains("sequences of 9 tokens are followed by shape alone"));
        prop_assert!(spec.trace(Size::new(1, 9)).is_ok());
    }

    #[test]
    fn states_are_followed_and_not_run(seed: u64) {
        const MAMBA: &str = r#"{"model_type":"mamba","hidden_size":16,"num_hidden_layers":1,"state_size":4,"vocab_size":30}"#;
        const MAMBA_2: &str = r#"{"model_type":"nemotron_h","hidden_size":16,"num_hidden_layers":1,"num_attention_heads":2,
            "num_key_value_heads":2,"head_dim":8,"intermediate_size":8,"vocab_size":30,"hybrid_override_pattern":"M","mamba_num_heads":4,"mamba_head_dim":4,"n_groups":2}"#;
        const KIMI: &str = r#"{"model_type":"kimi_linear","hidden_size":16,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":8,
            "vocab_size":30,"kv_lora_rank":6,"qk_nope_head_dim":4,"qk_rope_head_dim":4,"v_head_dim":4,"num_experts":2,"num_experts_per_token":1,
            "moe_intermediate_size":8,"linear_attn_config":{"head_dim":4,"num_heads":2}}"#;
        for (json, name) in [(MAMBA, "Mamba"), (MAMBA_2, "Mamba-2"), (KIMI, "Kimi Delta Attention")] {
            let built = support::spec(json).build_with_head(&weights(seed, DType::F32), TaskHead::Lm);
            let error = built.map(drop).unwrap_err().to_string();
            let expected = format!("its {name} layers are followed by shape alone");
            prop_assert!(error.contains(&expected), "{}", error);
        }
    }

    #[test]
    fn several_streams_are_followed_and_not_run(seed: u64) {
        let spec = support::spec(r#"{"model_type":"deepseek_v4","hidden_size":16,"num_hidden_layers":1,"num_attention_heads":2,
            "head_dim":8,"moe_intermediate_size":8,"vocab_size":30,"o_groups":2,"o_lora_rank":4,"q_lora_rank":4,"n_routed_experts":2,
            "num_experts_per_tok":1,"qk_rope_head_dim":4,"layer_types":["sliding_attention"]}"#);
        let built = spec.build_with_head(&weights(seed, DType::F32), TaskHead::Lm);
        let error = built.map(drop).unwrap_err().to_string();
        prop_assert!(error.contains("its layers with several streams are followed by shape alone"), "{}", error);
    }

    #[test]
    fn kernels_caches_padding_and_company_change_no_logits(
        spec in crate::small_decoders::of(&crate::small_decoders::FAMILIES), lengths in prop::collection::vec(1..14usize, 1..4), seed: u64,
    ) {
        logits_agree(&spec, &lengths, seed)?;
    }
}
