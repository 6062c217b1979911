//! A step of training beside what PyTorch counts, keeps and saves for the same models (tests/training/step.py).

use irene_models::{Config, ModelSpec, Run, TaskHead};
use irene_tree::{
    Checkpoint, Format, Kernels, NodeId, OpKind, Operation, Optimizer, Precision, Quantity, Size, Training, Tree,
};
use serde_json::Value;

/// One model with one head and one rank of LoRA.
struct Figure {
    spec: ModelSpec,
    run: Run,
    training: Training,
    fields: Value,
}

fn figures() -> Vec<Figure> {
    let file: Value = serde_json::from_str(include_str!("../training/step.json")).unwrap();
    let count = |fields: &Value, field: &str| usize::try_from(fields[field].as_u64().unwrap()).unwrap();
    let size = Size::new(count(&file, "batch_size"), count(&file, "seq_len"));
    let figure = |fields: &Value| {
        let name = fields["model"].as_str().unwrap();
        let config = Config::from_json(name, file["configs"][name].to_string().as_bytes()).unwrap();
        let head: TaskHead = serde_json::from_value(fields["head"].clone()).unwrap();
        let training = Training { lora_rank: count(fields, "lora_rank"), ..Training::default() };
        let spec = ModelSpec::from_config(name, config).unwrap();
        // Losses are of batches with a mask where transformers' tokenizers give one.
        Figure { spec, run: Run { head, ..size.into() }, training, fields: fields.clone() }
    };
    file["figures"].as_array().unwrap().iter().map(figure).collect()
}

impl Figure {
    fn name(&self) -> String {
        format!("{} {:?} rank {}", self.spec.name(), self.run.head, self.training.lora_rank)
    }

    fn traced(&self, kernels: Kernels, training: Training) -> Tree {
        self.spec.trace(Run { kernels, training: Some(training), ..self.run }).unwrap()
    }
}

/// FLOPs of what FlopCounterMode knows: products, convolutions, and attention in one kernel with every pair of query and key.
fn counted(operation: &Operation) -> f64 {
    let elements = |place: usize| operation.inputs[place].shape.elements() as f64;
    let last = |place: usize| operation.inputs[place].shape.last() as f64;
    let output = operation.output.shape;
    match (operation.kind, operation.is_gradient) {
        (OpKind::MatMul | OpKind::Linear | OpKind::Conv1D | OpKind::GroupedLinear, false) => {
            2.0 * output.elements() as f64 * last(0)
        }
        // Rows by inputs, and rows by outputs.
        (OpKind::GroupedLinear, true) => 2.0 * elements(0) * last(1),
        (OpKind::Convolution, false) => {
            let taps: usize = operation.inputs[1].shape.dims()[1..].iter().product();
            2.0 * output.elements() as f64 * taps as f64
        }
        (OpKind::Convolution, true) => {
            let taps: usize = output.dims()[1..].iter().product();
            2.0 * operation.inputs.last().unwrap().shape.elements() as f64 * taps as f64
        }
        (OpKind::Attention, is_gradient) => {
            let keys = operation.inputs[1].shape.dims()[2] as f64;
            2.0 * elements(0) * keys * if is_gradient { 5.0 } else { 2.0 }
        }
        _ => 0.0,
    }
}

/// FLOPs of products below a phase of the step.
fn products(tree: &Tree, phase: &str) -> f64 {
    let phase = tree.find(&format!("root.{phase}")).unwrap();
    let of_node = |id: NodeId| tree.node(id).operation.as_deref().map_or(0.0, counted) * tree.runs(id);
    tree.ids().skip(phase.index()).take(tree.subtree(phase).len()).map(of_node).sum()
}

#[test]
fn products_of_both_passes_are_those_that_pytorch_counts() {
    let mut wrong = Vec::new();
    let mut compared = 0;
    for figure in figures() {
        for pass in figure.fields["passes"].as_array().unwrap() {
            let kernels = if pass["attention"] == "sdpa" { Kernels::Fused } else { Kernels::Eager };
            let checkpoint: Checkpoint = serde_json::from_value(pass["checkpoint"].clone()).unwrap();
            let tree = figure.traced(kernels, Training { checkpoint, ..figure.training });
            // PyTorch takes the gradient of a depthwise convolution's weight for that of a whole one.
            for (phase, excess) in [("forward", 0.0), ("backward", pass["ungrouped"].as_f64().unwrap())] {
                let (ours, theirs) = (products(&tree, phase), pass[phase].as_f64().unwrap() - excess);
                if (ours / theirs - 1.0).abs() > 1e-4 {
                    wrong.push(format!(
                        "{} {kernels:?} {checkpoint:?} {phase}: {ours}, not {theirs} ({:+})",
                        figure.name(),
                        ours - theirs
                    ));
                }
                compared += 1;
            }
        }
    }
    assert!(wrong.is_empty() && compared > 50, "{}", wrong.join("\n"));
}

#[test]
fn states_of_optimizers_are_those_of_pytorch_to_the_byte() {
    let mut wrong = Vec::new();
    for figure in figures() {
        for optimizer in Optimizer::ALL {
            let training = Training { optimizer, ..figure.training };
            let memory = figure.spec.training_memory(Run { training: Some(training), ..figure.run }).unwrap();
            let theirs = figure.fields["states"][optimizer.name()].as_u64().unwrap();
            if memory.optimizer_states != theirs {
                wrong.push(format!("{} {optimizer:?}: {}, not {theirs}", figure.name(), memory.optimizer_states));
            }
            let trained = figure.fields["trained"].as_u64().unwrap();
            if memory.gradients != 4 * trained {
                wrong.push(format!("{} gradients: {}, not {}", figure.name(), memory.gradients, 4 * trained));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_saved_is_what_autograd_saves() {
    let (f32, bf16) = (Format::F32, Format::BF16);
    let ways = [
        ("float32", f32, Checkpoint::None),
        ("bfloat16", bf16, Checkpoint::None),
        ("checkpointed", f32, Checkpoint::Layer),
    ];
    let mut wrong = Vec::new();
    let mut compared = 0;
    for figure in figures() {
        for (way, format, checkpoint) in ways {
            let Some(theirs) = figure.fields[way].as_object() else { continue };
            let training = Some(Training { checkpoint, ..figure.training });
            let run = Run { precision: Precision::of(format), training, ..figure.run };
            let ours = figure.spec.training_memory(run).unwrap().activations;
            // Ids and masks are no activations here.
            let bytes = |field: &str| theirs[field].as_u64().unwrap();
            let theirs = bytes("saved") - bytes("ids") - bytes("masks");
            // In 16 bits transformers rounds the weights of a token's experts, and keeps half as many bytes of them.
            let is_rounded = format == bf16 && figure.spec.name() == "qwen3_moe";
            if ours.abs_diff(theirs) > if is_rounded { theirs / 500 } else { 0 } {
                wrong.push(format!(
                    "{} {way}: {ours}, not {theirs} ({:+})",
                    figure.name(),
                    ours as f64 - theirs as f64
                ));
            }
            compared += 1;
        }
    }
    assert!(wrong.is_empty() && compared > 25, "{}", wrong.join("\n"));
}

/// irene counts sums, norms and activations as well: a small share of the work of wide models.
#[test]
fn steps_of_wide_models_agree_within_a_percent() {
    let file: Value = serde_json::from_str(include_str!("../training/wide.json")).unwrap();
    let count = |fields: &Value, field: &str| usize::try_from(fields[field].as_u64().unwrap()).unwrap();
    let size = Size::new(count(&file, "batch_size"), count(&file, "seq_len"));
    let figures = file["figures"].as_array().unwrap();
    let off = figures.iter().map(|figure| {
        let spec = ModelSpec::builtin(figure["model"].as_str().unwrap()).unwrap();
        let checkpoint: Checkpoint = serde_json::from_value(figure["checkpoint"].clone()).unwrap();
        let training = Training { checkpoint, lora_rank: count(figure, "lora_rank"), ..Training::default() };
        let tree = spec.trace(Run { head: TaskHead::Lm, training: Some(training), ..size.into() }).unwrap();
        let of = |phase| tree.node(tree.find(phase).unwrap()).get(Quantity::Flops).unwrap() * 1e6;
        ((of("root.forward") + of("root.backward")) / figure["flops"].as_f64().unwrap() - 1.0, figure)
    });
    let wrong: Vec<_> = off.filter(|(off, _)| off.abs() > 0.01).collect();
    assert!(wrong.is_empty() && figures.len() >= 20, "{wrong:#?}");
}
