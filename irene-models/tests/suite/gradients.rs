//! Gradients on candle: those of PyTorch, and the slopes of the loss.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor as Candle};
use irene_models::{
    Batch, Checkpoint, Config, ModelSpec, ParameterSpec, RandomWeights, Result, Targets, TaskHead, Tensor, Trainer,
    WeightSource,
    flexibert::{Design, Head, LayerDesign},
};
use irene_tree::{Optimizer, Precision, Shape, Size, Training};
use proptest::{prelude::*, test_runner::RngSeed};

use crate::support::{self, Large, fixture, input, tensors};

const CPU: Device = Device::Cpu;

fn trainer(spec: &ModelSpec, source: &dyn WeightSource, head: TaskHead) -> Trainer {
    // SGD's step is the gradient itself.
    let training = Training { optimizer: Optimizer::Sgd, ..Training::default() };
    Trainer::new(spec, source, head, training, 0.5, 3).unwrap()
}

fn norm(x: &Candle) -> f64 {
    x.to_dtype(DType::F64).unwrap().sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap().sqrt()
}

fn numbers(x: &Candle) -> Vec<i64> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// The batch, the labels, the loss and the gradients of a fixture.
fn step(name: &str) -> (Batch, Targets, f64, HashMap<String, Candle>) {
    let mut step = tensors(&fixture("train").join(name).join("step.safetensors"));
    let batch = input(&step);
    let loss = f64::from(step["loss"].to_scalar::<f32>().unwrap());
    let targets = Targets::new(numbers(&step["labels"]));
    step.retain(|name, _| name.starts_with("grad."));
    (batch, targets, loss, step)
}

#[test]
fn every_gradient_is_pytorchs() {
    for (name, head) in [
        ("bert_mlm", TaskHead::Lm),
        ("bert_classification", TaskHead::Classification),
        ("gpt2", TaskHead::Lm),
        ("llama", TaskHead::Lm),
        ("qwen3_moe", TaskHead::Lm),
    ] {
        let dir = fixture("train").join(name);
        let spec = ModelSpec::find(dir.to_str().unwrap()).unwrap();
        let weights = Checkpoint::open(&[dir.join("model.safetensors")], "", DType::F32, &CPU).unwrap();
        let (batch, targets, expected, mut gradients) = step(name);
        let mut trainer = trainer(&spec, &weights, head);
        let loss = trainer.forward(&batch, &targets).unwrap();
        let value = loss.value().unwrap();
        assert!((value - expected).abs() < 1e-5 * expected, "{name}: loss {value}, PyTorch's {expected}");
        // Once more on the same graph.
        trainer.backward(&loss).unwrap();
        let found = trainer.backward(&loss).unwrap();
        for (key, gradient) in trainer.named(&found) {
            let expected = gradients.remove(&format!("grad.{key}")).unwrap_or_else(|| panic!("{name}: {key} is new"));
            let apart = norm(&(gradient - &expected).unwrap()) / norm(&expected);
            assert!(apart < 1e-4 || norm(&expected) < 1e-7, "{name}, {key}: {apart}");
        }
        assert!(gradients.is_empty(), "{name}: no gradients of {:?}", gradients.keys());
    }
}

/// Weights in 64 bits, large enough that every part of a model shows in its loss, some of them moved.
struct Moved<'a> {
    /// How far along the direction.
    step: f64,
    /// The parameter that is moved; all if there is none.
    key: Option<&'a str>,
}

/// Weights in 64 bits.
fn wide(seed: u64) -> Large {
    Large(RandomWeights { seed, dtype: DType::F64, device: CPU })
}

/// Numbers of a deviation of 1.
fn direction(spec: &ParameterSpec<'_>) -> Candle {
    wide(2).drawn(spec, 50.0).unwrap()
}

impl WeightSource for Moved<'_> {
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        let weight = wide(1).parameter(spec)?;
        if self.step == 0.0 || !spec.is_trained || self.key.is_some_and(|moved| moved != spec.key) {
            return Ok(weight);
        }
        Tensor::from_candle((weight.candle().unwrap() + (direction(spec) * self.step)?)?)
    }

    fn precision(&self) -> Precision {
        Precision::of(irene_tree::Format::F64)
    }
}

/// A batch with padding behind the second sequence's tokens.
fn batch(spec: &ModelSpec, size: Size) -> Batch {
    let ids = |batch: Batch| numbers(batch.input_ids.candle().unwrap());
    let mut mask = vec![1; size.tokens()];
    mask[2 * size.new - 2..].fill(0);
    Batch::of_ids(ids(Batch::made_up(spec, size, &CPU).unwrap()), Some(mask), size, &CPU).unwrap()
}

/// The loss with the weights moved, and the gradient's slope along the direction.
fn slope(spec: &ModelSpec, head: TaskHead, source: Moved<'_>) -> (f64, f64) {
    let batch = batch(spec, Size::new(2, 6));
    let targets = Targets::made_up(&batch, spec, head, 4).unwrap();
    let mut trainer = trainer(spec, &source, head);
    let loss = trainer.forward(&batch, &targets).unwrap();
    let gradients = trainer.backward(&loss).unwrap_or_else(|error| panic!("{}: {error}", spec.name()));
    let along = |(key, gradient): (&str, &Candle)| {
        let direction = direction(&ParameterSpec::new(key, Shape::new(gradient.dims()).unwrap()));
        (direction * gradient).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap()
    };
    let named = trainer.named(&gradients).filter(|(key, _)| source.key.is_none_or(|moved| moved == *key));
    (loss.value().unwrap(), named.map(along).sum())
}

/// Asserts that a gradient is the loss's slope, where a parameter or all of them move. Where a choice of experts changes on one side,
/// the other side's slope counts.
fn assert_slope(spec: &ModelSpec, head: TaskHead, key: Option<&str>, tolerance: f64) {
    const STEP: f64 = 1e-5;
    let loss = |step| slope(spec, head, Moved { step, key }).0;
    let (here, by_gradient) = slope(spec, head, Moved { step: 0.0, key });
    let [before, behind] = [loss(-STEP), loss(STEP)];
    let slopes = [(behind - before) / 2.0, here - before, behind - here].map(|difference| difference / STEP);
    let fits = |slope: &f64| (by_gradient - slope).abs() < tolerance * slope.abs().max(1e-2);
    let name = format!("{}, {}", spec.name(), key.unwrap_or("all"));
    assert!(slopes.iter().any(fits), "{name}: {by_gradient} by gradient, {slopes:?} by differences");
}

fn designs() -> Vec<ModelSpec> {
    let heads = [Head::ScaledDotProduct, Head::Weighted, Head::Dft, Head::Dct, Head::Convolution(3)];
    let of = |heads: Vec<Head>| LayerDesign { hidden: 4 * heads.len(), heads, feed_forward: vec![6, 5] };
    let alone = heads.map(|head| vec![of(vec![head; 2]), of(vec![head])]);
    let mixed = vec![of(heads.to_vec()), of(heads[2..].to_vec())];
    let spec = |layers: Vec<LayerDesign>| {
        let name = layers[0].heads.iter().map(Head::to_string).collect::<Vec<_>>().join(" ");
        let dict = serde_json::to_value(Design::new(layers).unwrap()).unwrap();
        let config = serde_json::json!({"model_type": "flexibert", "model_dict": dict, "vocab_size": 30,
            "max_position_embeddings": 12, "hidden_dropout_prob": 0.2});
        let config = Config::from_json(name.clone(), config.to_string().as_bytes()).unwrap();
        ModelSpec::from_config(name, config).unwrap()
    };
    alone.into_iter().chain([mixed]).map(spec).collect()
}

/// Dropout drops the same numbers at every step of the difference.
#[test]
fn gradients_of_designs_are_slopes_of_the_loss_at_every_parameter() {
    for spec in designs() {
        for head in [TaskHead::Lm, TaskHead::Classification] {
            let trainer = trainer(&spec, &Moved { step: 0.0, key: None }, head);
            assert!(trainer.keys().count() > 20 && trainer.keys().all(|key| !key.contains("position_embeddings")));
            for key in trainer.keys() {
                // candle's gradient of GELU has constants of six digits.
                assert_slope(&spec, head, Some(key), 1e-4);
            }
        }
    }
}

/// A step gives the model that its weights give when they are loaded: no layer keeps numbers from before.
fn assert_updated(spec: &ModelSpec, head: TaskHead) {
    let batch = batch(spec, Size::new(2, 6));
    let targets = Targets::made_up(&batch, spec, head, 4).unwrap();
    let mut stepped = trainer(spec, &Moved { step: 0.0, key: None }, head);
    let before = stepped.step(&batch, &targets).unwrap();
    let weights: HashMap<String, Candle> =
        stepped.weights().map(|(key, weight)| (key.to_owned(), weight.copy().unwrap())).collect();
    let mut loaded = trainer(spec, &Loaded(weights), head);
    // As many passes, so that the same numbers are dropped.
    loaded.forward(&batch, &targets).unwrap();
    let [stepped, loaded] =
        [&mut stepped, &mut loaded].map(|trainer| trainer.forward(&batch, &targets).unwrap().value().unwrap());
    assert!((stepped - loaded).abs() < 1e-9 * loaded.abs(), "{}: {stepped}, loaded {loaded}", spec.name());
    assert!(stepped != f64::from(before), "{}", spec.name());
}

struct Loaded(HashMap<String, Candle>);

impl WeightSource for Loaded {
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        match self.0.get(spec.key) {
            Some(weight) => Tensor::from_candle(weight.clone()),
            // Parameters that are not trained.
            None => Moved { step: 0.0, key: None }.parameter(spec),
        }
    }

    fn precision(&self) -> Precision {
        Precision::of(irene_tree::Format::F64)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::with_cases(30) })]

    #[test]
    fn gradients_of_decoders_are_slopes_of_the_loss(spec in crate::small_decoders::of(&crate::small_decoders::FAMILIES)) {
        for &head in spec.heads().iter().filter(|head| **head != TaskHead::None) {
            // Rotations and choices of experts are computed in 32 bits.
            assert_slope(&spec, head, None, 2e-2);
            assert_updated(&spec, head);
        }
    }

    #[test]
    fn gradients_of_encoders_are_slopes_of_the_loss(
        family in 0..5usize,
        (layers, heads, width, inner) in (1..3usize, 1..3usize, 2..4usize, 3..7usize),
        flags in any::<[bool; 8]>(),
    ) {
        let hidden = heads * width;
        let bert = format!(
            r#""hidden_size":{hidden},"num_hidden_layers":{layers},"num_attention_heads":{heads},"intermediate_size":{inner},
            "vocab_size":30,"max_position_embeddings":20"#
        );
        let spec = support::spec(crate::encoders::config(family, &bert, (layers, heads, width, inner), flags));
        for &head in spec.heads().iter().filter(|head| **head != TaskHead::None) {
            assert_slope(&spec, head, None, 1e-2);
            assert_updated(&spec, head);
        }
    }
}
