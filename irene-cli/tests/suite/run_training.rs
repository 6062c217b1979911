//! `irene run --train`: loss falls, what is printed, fine-tuning from files, and what is refused.

use serde_json::Value;

use crate::command::{Folder, Says, good, json, refused};

/// A folder with the config of a small model.
fn small(folder: &Folder, model_type: &str) -> String {
    folder.write(
        &format!("{model_type}/config.json"),
        &format!(
            r#"{{"model_type":"{model_type}","hidden_size":16,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":24,
            "vocab_size":40,"max_position_embeddings":20}}"#
        ),
    );
    folder.path(model_type)
}

fn losses(found: &Value) -> Vec<f64> {
    found["losses"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect()
}

#[test]
fn sequences_are_learned_and_every_step_is_told() {
    let folder = Folder::new("train");
    let (bert, llama) = (small(&folder, "bert"), small(&folder, "llama"));
    let few = ["--train", "--random-weights", "1", "-b", "2", "-s", "8", "--learning-rate", "0.02"];
    for (model, head, optimizer) in
        [(&bert, "lm", "adamw"), (&bert, "classification", "sgd-momentum"), (&llama, "lm", "adamw")]
    {
        let how = ["run", model, "--steps", "60", "--head", head, "--optimizer", optimizer, "--accumulate", "2"];
        let found = json(&[&how[..], &few[..]].concat());
        let losses = losses(&found);
        assert_eq!(losses.len(), 60);
        assert!(losses[59] < losses[0] / 2.0, "{model}, {head}: {} to {}", losses[0], losses[59]);
        assert_eq!((&found["head"], &found["training"]["optimizer"]), (&head.into(), &optimizer.into()));
        for phase in ["step_s", "forward_s", "backward_s", "update_s"] {
            assert_eq!(found[phase].as_array().unwrap().len(), 60);
        }
        assert_eq!(found["made_up_parameters"], Value::Null);
    }
    let text = good(&[&["run", &bert, "--steps", "3"], &few[..]].concat());
    let begins = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!((begins("step "), begins("loss "), begins("device             cpu, f32")), (3, 1, 1));
    text.says("random sequences by heart: hidden tokens, about one of seven (seed 1)");
}

#[test]
fn a_trunk_from_files_is_tuned_under_a_new_head() {
    let bert = concat!(env!("CARGO_MANIFEST_DIR"), "/../irene-models/tests/fixtures/bert");
    let found = json(&["run", bert, "--train", "--steps", "2", "-b", "2", "-s", "8", "--head", "classification"]);
    assert_eq!(found["made_up_parameters"], serde_json::json!(["classifier.weight", "classifier.bias"]));
    assert_eq!(losses(&found).len(), 2);
    let adapted = ["--head", "classification", "--lora-rank", "2"];
    let whole = found["trained_parameters"].as_u64().unwrap();
    let args = [&["run", bert, "--train", "--steps", "1", "-b", "2", "-s", "8"], &adapted[..]].concat();
    let adapted = json(&args)["trained_parameters"].as_u64().unwrap();
    assert!(adapted > 0 && 5 * adapted < whole, "{adapted} of {whole}");
}

#[test]
fn what_does_not_train_is_refused() {
    let folder = Folder::new("train-refused");
    let bert = small(&folder, "bert");
    let with = |code: i32, more: &[&str]| {
        refused(code, &[&["run", &bert, "--train", "--random-weights", "1", "-b", "2", "-s", "8"], more].concat())
    };
    with(1, &["--checkpoint", "layer"]).says("candle keeps all activations of a pass: only `none` runs");
    with(2, &["--head", "none"]).says("a loss is that of lm or of classification");
    with(2, &["--generate", "3"]).says("cannot be used with");
    with(2, &["--output", "out.safetensors"]).says("cannot be used with");
    with(1, &["--learning-rate", "-1"]).says("expected a finite number from 0 on, found -1");
    let huge = ["--learning-rate", "1e30", "--optimizer", "sgd", "--steps", "40", "--format", "json"];
    with(1, &huge).says("a lower --learning-rate may keep it finite");
    refused(2, &["run", &bert, "--steps", "3"]).says("--train");
    let long = ["run", &bert, "--train", "--random-weights", "1", "-b", "2", "-s", "21"];
    refused(1, &long).says("sequence length 21 is longer than the model's 20 positions");
}
