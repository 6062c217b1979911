//! Steps of training on candle: loss falls, steps repeat, micro-batches are a batch, and what cannot run says so.

use candle_core::{DType, Device};
use irene_models::{Batch, ByHeart, Cache, Cx, ModelSpec, RandomWeights, Targets, TaskHead, Trainer, TreeVisitor};
use irene_tree::{Checkpoint, Kernels, Optimizer, Size, Training};

use crate::support::{self, difference, fixture, random};

const CPU: Device = Device::Cpu;

fn spec(model_type: &str, more: &str) -> ModelSpec {
    support::spec(format!(
        r#"{{"model_type":"{model_type}","hidden_size":16,"num_hidden_layers":2,"num_attention_heads":4,"intermediate_size":24,
        "vocab_size":40,"max_position_embeddings":20{more}}}"#
    ))
}

fn trainer_in(dtype: DType, spec: &ModelSpec, head: TaskHead, training: Training, rate: f64) -> Trainer {
    let weights = RandomWeights { seed: 1, dtype, device: CPU };
    Trainer::new(spec, &weights, head, training, rate, 7).unwrap()
}

fn trainer(spec: &ModelSpec, head: TaskHead, training: Training, rate: f64) -> Trainer {
    trainer_in(DType::F32, spec, head, training, rate)
}

fn by(optimizer: Optimizer) -> Training {
    Training { optimizer, ..Training::default() }
}

/// The losses of so many steps on sequences to be learned by heart.
fn losses(trainer: &mut Trainer, spec: &ModelSpec, head: TaskHead, steps: usize) -> Vec<f32> {
    let task = ByHeart::new(spec, head, Size::new(3, 8), 1, 5, &CPU).unwrap();
    (0..steps).map(|_| trainer.step_over(task.batches()).unwrap()).collect()
}

#[test]
fn a_few_sequences_are_learned_by_heart() {
    for (model_type, head) in
        [("bert", TaskHead::Lm), ("bert", TaskHead::Classification), ("llama", TaskHead::Lm), ("gemma", TaskHead::Lm)]
    {
        for (optimizer, rate) in [
            (Optimizer::Sgd, 0.3),
            (Optimizer::SgdMomentum, 0.05),
            (Optimizer::AdamW, 2e-2),
            (Optimizer::Adafactor, 1e-1),
        ] {
            let more = r#","hidden_dropout_prob":0.0,"attention_probs_dropout_prob":0.0"#;
            let spec =
                spec(model_type, if model_type == "bert" { more } else { r#","head_dim":4,"num_key_value_heads":4"# });
            let mut trainer = trainer(&spec, head, by(optimizer), rate);
            let losses = losses(&mut trainer, &spec, head, 100);
            let (first, last) = (losses[0], losses[99]);
            assert!(last < first / 2.0, "{model_type}, {head:?}, {}: {first} to {last}", optimizer.name());
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_steps_with_dropout_and_another_seed_others() {
    let spec = spec("bert", "");
    let run = |seed| {
        let mut trainer = Trainer::new(&spec, &random(1), TaskHead::Lm, Training::default(), 1e-2, seed).unwrap();
        losses(&mut trainer, &spec, TaskHead::Lm, 4)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

fn largest_difference(x: &Trainer, y: &Trainer) -> f32 {
    x.weights().zip(y.weights()).map(|((_, x), (_, y))| difference(&x, &y)).fold(0.0, f32::max)
}

#[test]
fn micro_batches_of_one_size_are_a_step_on_all_of_them() {
    let spec = spec("llama", "");
    let size = Size::new(2, 6);
    let task = ByHeart::new(&spec, TaskHead::Lm, size, 3, 5, &CPU).unwrap();
    let rows = |(batch, _): (&Batch, &Targets)| {
        batch.input_ids.candle().unwrap().flatten_all().unwrap().to_vec1::<i64>().unwrap()
    };
    let all: Vec<i64> = task.batches().flat_map(rows).collect();
    let whole = Batch::of_ids(all.clone(), None, Size::new(6, 6), &CPU).unwrap();
    let training = Training { accumulate: 3, ..by(Optimizer::Sgd) };
    let [mut in_parts, mut at_once] =
        [training, by(Optimizer::Sgd)].map(|training| trainer(&spec, TaskHead::Lm, training, 0.5));
    for _ in 0..3 {
        let parts = in_parts.step_over(task.batches()).unwrap();
        let once = at_once.step(&whole, &Targets::new(all.clone())).unwrap();
        assert!((parts - once).abs() < 1e-5, "{parts} and {once}");
    }
    assert!(largest_difference(&in_parts, &at_once) < 1e-6);
}

#[test]
fn weights_of_16_bits_learn_through_their_copies_in_32() {
    let spec = spec("bert", r#","hidden_dropout_prob":0.0,"attention_probs_dropout_prob":0.0"#);
    for dtype in [DType::BF16, DType::F16] {
        let mut with = trainer_in(dtype, &spec, TaskHead::Lm, Training::default(), 1e-2);
        let losses = losses(&mut with, &spec, TaskHead::Lm, 40);
        assert!(losses[39] < losses[0] / 2.0, "{dtype:?}: {} to {}", losses[0], losses[39]);
        assert!(with.weights().all(|(_, weight)| weight.dtype() == dtype));
        // Means of gradients and of their squares, in 32 bits, or as narrow as the weights.
        let numbers: usize = with.weights().map(|(_, weight)| weight.elem_count()).sum();
        assert_eq!(with.state_bytes(), 2 * 4 * numbers);
        let narrow = Training { master_weights: false, ..Training::default() };
        assert_eq!(trainer_in(dtype, &spec, TaskHead::Lm, narrow, 1e-2).state_bytes(), 2 * 2 * numbers);
    }
}

#[test]
fn adapters_alone_are_trained_and_begin_at_no_change() {
    for (model_type, head) in [("bert", TaskHead::Lm), ("llama", TaskHead::Lm), ("gemma", TaskHead::Lm)] {
        let spec = spec(model_type, if model_type == "bert" { "" } else { r#","num_key_value_heads":4"# });
        let batch = Batch::made_up(&spec, Size::new(2, 6), &CPU).unwrap();
        let logits = |trainer: &Trainer| {
            trainer.model().run(&mut Cx::silent(), &batch).unwrap().logits.unwrap().candle().unwrap().detach()
        };
        let training = Training { lora_rank: 2, ..Training::default() };
        let [mut adapted, whole] = [training, Training::default()].map(|training| trainer(&spec, head, training, 2e-2));
        assert!(adapted.keys().all(|key| key.ends_with("lora_A.weight") || key.ends_with("lora_B.weight")));
        assert!(adapted.keys().count() >= 2 * 2 * 6, "the linear layers of two layers");
        let before = logits(&adapted);
        assert!(difference(&before, &logits(&whole)) < 1e-5, "{model_type}");
        let losses = losses(&mut adapted, &spec, head, 100);
        assert!(losses[99] < 0.98 * losses[0], "{model_type}: {} to {}", losses[0], losses[99]);
        assert!(difference(&before, &logits(&adapted)) > 1e-3);
    }
}

#[test]
fn a_model_that_was_trained_runs_as_any_other() {
    let spec = spec("bert", "");
    let mut trainer = trainer(&spec, TaskHead::Lm, Training::default(), 1e-2);
    losses(&mut trainer, &spec, TaskHead::Lm, 2);
    let batch = Batch::made_up(&spec, Size::new(2, 6), &CPU).unwrap();
    let logits =
        |mut cx: Cx<'_>| trainer.model().run(&mut cx, &batch).unwrap().logits.unwrap().candle().unwrap().clone();
    let (fused, eager) = (logits(Cx::silent()), logits(Cx::silent().with_kernels(Kernels::Eager)));
    assert!(difference(&fused, &eager) < 1e-5);
}

#[test]
fn a_visitor_sees_the_nodes_of_the_forward_pass_with_dropout() {
    let spec = spec("bert", "");
    let mut trainer = trainer(&spec, TaskHead::Lm, Training::default(), 1e-2);
    let batch = Batch::made_up(&spec, Size::new(2, 6), &CPU).unwrap();
    let targets = Targets::made_up(&batch, &spec, TaskHead::Lm, 1).unwrap();
    let mut visitor = TreeVisitor::new(spec.name(), batch.size());
    trainer.forward_in(Cx::visited(&mut visitor), &batch, &targets).unwrap();
    let tree = visitor.finish().unwrap();
    assert!(tree.find("root.bert.encoder.0.attention.self.query").is_some());
    assert!(tree.nodes().iter().any(|node| node.instance_type() == "Dropout"));
}

#[test]
fn what_cannot_be_trained_is_refused_in_one_line() {
    let spec = spec("bert", "");
    let refused =
        |head, training, rate| Trainer::new(&spec, &random(1), head, training, rate, 7).err().unwrap().to_string();
    let checkpoint = Training { checkpoint: Checkpoint::Layer, ..Training::default() };
    assert_eq!(
        refused(TaskHead::Lm, checkpoint, 1e-2),
        "checkpoint: candle keeps all activations of a pass: only `none` runs"
    );
    assert!(refused(TaskHead::Lm, Training::default(), f64::NAN).contains("expected a finite number from 0 on"));

    let mut trainer = trainer(&spec, TaskHead::Lm, Training::default(), 1e-2);
    let batch = Batch::made_up(&spec, Size::new(2, 6), &CPU).unwrap();
    let mut error =
        |batch: &Batch, labels: Vec<i64>| trainer.forward(batch, &Targets::new(labels)).err().unwrap().to_string();
    assert_eq!(error(&batch, vec![1; 5]), "targets: expected 12 labels, found 5");
    assert_eq!(error(&batch, vec![40; 12]), "targets: label 40 at place 0 is beyond the 40 classes");
    assert!(error(&batch, vec![-100; 12]).ends_with("no position is labelled, so that there is no loss"));
    let cached = batch.clone().after(Cache::default());
    assert!(error(&cached, vec![1; 12]).ends_with("leave the cache out"));

    let targets = Targets::new(vec![1; 12]);
    let fused = trainer.forward_in(Cx::silent(), &batch, &targets).err().unwrap().to_string();
    assert_eq!(fused, "kernels: fused kernels have no gradients on candle: train with eager ones");
    let loss = trainer.forward(&batch, &targets).unwrap();
    let gradients = trainer.backward(&loss).unwrap();
    trainer.update(&gradients).unwrap();
    assert!(trainer.backward(&loss).err().unwrap().to_string().contains("the weights have changed"));

    let file = fixture("gguf/tiny-llama.q8_0.gguf");
    let spec = ModelSpec::find(file.to_str().unwrap()).unwrap();
    let blocks = spec.open_weights(&[file], TaskHead::Lm, DType::F32, &CPU).unwrap();
    let blocks = Trainer::new(&spec, blocks.as_ref(), TaskHead::Lm, Training::default(), 1e-2, 7).err().unwrap();
    assert!(blocks.to_string().contains("is stored in blocks, which have no gradient"), "{blocks}");
}
