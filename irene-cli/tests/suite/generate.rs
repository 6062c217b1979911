//! `irene run --generate`: against what transformers generated, text in and out, ends, sampling, chat templates, and what is refused.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor, safetensors};
use serde_json::{Value, json};

use crate::command::{Folder, Says, good, refused};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../irene-models/tests/fixtures")
}

/// A GPT-2 of 96 tokens and 64 positions.
fn gpt2() -> PathBuf {
    fixtures().join("gpt2_generation")
}

/// Folders of checkpoints with what transformers gave.
fn checkpoints() -> Vec<PathBuf> {
    let below = |dir: &Path| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let mut dirs: Vec<PathBuf> = below(&fixtures()).into_iter().filter(|path| path.is_dir()).collect();
    let deeper: Vec<PathBuf> = dirs.iter().flat_map(|dir| below(dir)).filter(|path| path.is_dir()).collect();
    dirs.extend(deeper);
    dirs.retain(|dir| {
        ["config.json", "io.safetensors", "model.safetensors"].iter().all(|file| dir.join(file).is_file())
    });
    dirs
}

fn load(path: &Path) -> HashMap<String, Tensor> {
    safetensors::load(path, &Device::Cpu).unwrap()
}

/// The largest difference, relative to numbers above 1; `mask` leaves out padding.
fn difference(found: &Tensor, expected: &Tensor, mask: Option<&Tensor>) -> f32 {
    let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let width = expected.dim(2).unwrap();
    let counts = mask.map(|mask| mask.flatten_all().unwrap().to_vec1::<i64>().unwrap());
    let pairs = numbers(found).into_iter().zip(numbers(expected)).enumerate();
    let pairs = pairs.filter(|(place, _)| counts.as_ref().is_none_or(|counts| counts[place / width] == 1));
    pairs.map(|(_, (x, y))| (x - y).abs() / y.abs().max(1.0)).fold(0.0, f32::max)
}

/// Decoders' row 1 is padded on the left. Where there are no generated tokens, the model runs a single pass.
#[test]
fn every_checkpoint_gives_what_transformers_gives() {
    let folder = Folder::new("checkpoints");
    let mut generations = 0;
    for dir in checkpoints() {
        let (model, input) = (dir.display().to_string(), dir.join("io.safetensors"));
        let expected = load(&input);
        let steps = expected.get("generated").map(|tokens| tokens.dim(1).unwrap().to_string());
        let (input, out) = (input.display().to_string(), folder.path("out.safetensors"));
        let generate: Vec<&str> = steps.iter().flat_map(|steps| ["--generate", steps]).collect();
        good(&[&["run", &model, "--input", &input, "--output", &out], &generate[..]].concat());
        let found = load(Path::new(&out));
        let mut names = vec![("last_hidden_state", Some("attention_mask"))];
        if steps.is_some() {
            names.extend([("logits", Some("attention_mask")), ("step_logits", None)]);
            let tokens = |tensors: &HashMap<String, Tensor>| tensors["generated"].to_vec2::<i64>().unwrap();
            assert_eq!(tokens(&found), tokens(&expected), "{model}");
            assert_eq!(found.len(), 4, "{model}");
            generations += 1;
        }
        for (name, mask) in names {
            assert_eq!(
                (found[name].dims(), found[name].dtype()),
                (expected[name].dims(), DType::F32),
                "{model} {name}"
            );
            let off = difference(&found[name], &expected[name], mask.map(|mask| &expected[mask]));
            assert!(off <= 1e-5, "{model}: {name} differs by {off}");
        }
    }
    assert!(generations > 16, "only {generations} generations");
}

/// The prompt's last logits choose the first token; a decoder's positions are the same without --generate.
#[test]
fn a_prompt_is_read_alike_with_and_without_generation() {
    let folder = Folder::new("prompt");
    let (model, io) = (gpt2().display().to_string(), gpt2().join("io.safetensors").display().to_string());
    let [one, two] = ["one", "two"].map(|name| folder.path(name));
    good(&["run", &model, "--input", &io, "--generate", "2", "--output", &one, "--all"]);
    good(&["run", &model, "--input", &io, "--output", &two, "--all"]);
    let [one, two] = [one, two].map(|path| load(Path::new(&path)));
    let mask = &load(Path::new(&io))["attention_mask"];
    assert!(difference(&one["last_hidden_state"], &two["last_hidden_state"], Some(mask)) <= 1e-5);
    assert!(difference(&one["out.root.transformer.1"], &two["out.root.1"], Some(mask)) <= 1e-5);
    let last = one["logits"].narrow(1, 12, 1).unwrap();
    assert_eq!(difference(&one["step_logits"].narrow(1, 0, 1).unwrap(), &last, None), 0.0);
}

#[test]
fn a_mask_of_other_numbers_than_0_and_1_is_refused() {
    let folder = Folder::new("mask");
    let (model, input) = (gpt2().display().to_string(), folder.path("in.safetensors"));
    let row = |numbers: [i64; 3]| Tensor::new(&[numbers], &Device::Cpu).unwrap();
    let write = |mask: [i64; 3]| {
        let tensors = HashMap::from([("input_ids", row([5, 7, 20])), ("attention_mask", row(mask))]);
        safetensors::save(&tensors, &input).unwrap();
    };
    write([0, 1, 1]);
    good(&["run", &model, "--input", &input]);
    for wrong in [2, -1] {
        write([0, 1, wrong]);
        refused(1, &["run", &model, "--input", &input])
            .says(&format!("tensor `attention_mask`: expected 0 and 1, found {wrong}"));
    }
}

#[test]
fn an_input_that_is_not_read_is_refused() {
    let folder = Folder::new("unread");
    let (model, input) = (gpt2().display().to_string(), folder.path("in.safetensors"));
    let row = |numbers: [i64; 2]| Tensor::new(&[numbers], &Device::Cpu).unwrap();
    let tensors = HashMap::from([("input_ids", row([5, 7])), ("token_type_ids", row([0, 1]))]);
    safetensors::save(&tensors, &input).unwrap();
    refused(1, &["run", &model, "--input", &input]).says("tensor `token_type_ids`: it is not read");
}

/// Truth values, numbers of other types, and segments that are all the first.
#[test]
fn an_input_is_read_as_tokenizers_write_it() {
    let folder = Folder::new("written");
    let (model, input) = (gpt2().display().to_string(), folder.path("in.safetensors"));
    let row = |numbers: [i64; 3]| Tensor::new(&[numbers], &Device::Cpu).unwrap();
    let (ids, mask) = (row([5, 7, 20]), row([0, 1, 1]));
    let hidden = |name: &str| {
        let out = folder.path(name);
        good(&["run", &model, "--input", &input, "--output", &out]);
        load(Path::new(&out)).remove("last_hidden_state").unwrap()
    };
    let save = |tensors: &HashMap<&str, Tensor>| safetensors::save(tensors, &input).unwrap();
    let mut tensors = HashMap::from([("input_ids", ids.clone()), ("attention_mask", mask.clone())]);
    save(&tensors);
    let expected = hidden("plain.safetensors");
    tensors.insert("token_type_ids", row([0, 0, 0]));
    for (place, [of_ids, of_mask]) in [[DType::I32, DType::F32], [DType::U32, DType::U8]].into_iter().enumerate() {
        tensors.insert("input_ids", ids.to_dtype(of_ids).unwrap());
        tensors.insert("attention_mask", mask.to_dtype(of_mask).unwrap());
        save(&tensors);
        assert_eq!(difference(&hidden(&format!("{place}.safetensors")), &expected, None), 0.0);
    }
    // The last mask is of bytes, as truth values are.
    let bytes = std::fs::read(&input).unwrap();
    let word = bytes.windows(4).position(|word| word == br#""U8""#).unwrap();
    let bytes = [&bytes[..word], br#""BOOL""#, &bytes[word + 4..]].concat();
    let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) + 2;
    std::fs::write(&input, [&len.to_le_bytes()[..], &bytes[8..]].concat()).unwrap();
    assert_eq!(difference(&hidden("bool.safetensors"), &expected, None), 0.0);

    tensors.insert("attention_mask", Tensor::new(&[[0.0, 0.5, 1.0]], &Device::Cpu).unwrap());
    save(&tensors);
    refused(1, &["run", &model, "--input", &input]).says("tensor `attention_mask`: expected whole numbers, found 0.5");
}

#[test]
fn flags_of_another_way_to_run_are_refused() {
    let model = gpt2().display().to_string();
    for (flags, complaint) in [
        (&["--train", "--steps", "1", "--temperature", "nan"][..], "--temperature works only with --generate"),
        (&["--generate", "3", "--learning-rate", "nan"], "--learning-rate works only with --train"),
        (&["--generate", "3", "--lora-rank", "2"], "--lora-rank works only with --train"),
        (&["--system", "x"], "--chat"),
    ] {
        refused(2, &[&["run", &model, "-b", "1", "-s", "4"][..], flags].concat()).says(complaint);
    }
}

/// The fixture's model with a word for each token, w0 to w95.
fn with_words(folder: &Folder) -> String {
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(gpt2().join(file), folder.0.join(file)).unwrap();
    }
    let words: serde_json::Map<String, Value> = (0..96).map(|id| (format!("w{id}"), id.into())).collect();
    let tokenizer = json!({"version": "1.0", "added_tokens": [], "normalizer": null, "post_processor": null,
        "decoder": null, "truncation": null, "padding": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "w0"}});
    folder.write("tokenizer.json", &tokenizer.to_string());
    folder.path("")
}

fn generated(model: &str, args: &[&str]) -> Value {
    serde_json::from_str(&good(&[&["run", model, "--format", "json", "--generate"], args].concat())).unwrap()
}

fn tokens(outcome: &Value) -> Vec<Vec<u64>> {
    let of = |sequence: &Value| sequence["tokens"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    outcome["sequences"].as_array().unwrap().iter().map(of).collect()
}

fn words(tokens: &[u64]) -> String {
    tokens.iter().map(|id| format!("w{id}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn text_goes_in_and_comes_out() {
    let folder = Folder::new("words");
    let model = with_words(&folder);
    let one = generated(&model, &["6", "--text", "w5 w7 w20"]);
    let expected = words(&tokens(&one)[0]);
    assert_eq!((tokens(&one)[0].len(), one["sequences"][0]["text"].as_str()), (6, Some(expected.as_str())));
    assert_eq!(one["sequences"][0]["prompt_tokens"], 3);
    assert_eq!(one["token_s"].as_array().unwrap().len(), 5);
    for figure in ["first_token_s", "mean_token_s", "tokens_per_s", "weight_bytes", "cache_bytes"] {
        assert!(one[figure].as_f64().unwrap() > 0.0, "{figure}");
    }
    let printed = good(&["run", &model, "--text", "w5 w7 w20", "--generate", "6"]);
    assert!(printed.starts_with(&format!("{expected}\n\n")), "{printed}");
    for line in ["first token ", "a token after it ", "tokens per second ", "weights ", "cache "] {
        assert!(printed.contains(&format!("\n{line}")), "{printed}");
    }

    // Prompts of several lengths, by flag and by file, are given what each is given alone.
    let prompts = ["w5 w7 w20", "w9", "w1 w2 w3 w4 w5"];
    let flags: Vec<&str> = prompts.iter().flat_map(|prompt| ["--text", prompt]).collect();
    let batch = generated(&model, &[&["6"], &flags[..]].concat());
    let file = folder.write("prompts.txt", &prompts.join("\n"));
    assert_eq!(tokens(&generated(&model, &["6", "--text-file", &file])), tokens(&batch));
    for (row, prompt) in prompts.iter().enumerate() {
        assert_eq!(tokens(&generated(&model, &["6", "--text", prompt]))[0], tokens(&batch)[row], "{prompt}");
    }
    good(&[&["run", &model, "--generate", "6"], &flags[..]].concat())
        .says(&format!("1: {}\n", words(&tokens(&batch)[1])));
}

#[test]
fn a_seed_draws_the_same_and_copies_draw_apart() {
    let model = gpt2().display().to_string();
    let drawn = |seed: &str, sequences: &str| {
        let args = ["20", "--prompt", "4", "--sequences", sequences, "--temperature", "1", "--top-k", "40"];
        tokens(&generated(&model, &[&args[..], &["--top-p", "0.95", "--seed", seed]].concat()))
    };
    assert_eq!(drawn("1", "2"), drawn("1", "2"));
    assert_ne!(drawn("1", "2"), drawn("3", "2"));
    let folder = Folder::new("copies");
    let words = with_words(&folder);
    let copies = ["8", "--text", "w5 w7", "--sequences", "3", "--temperature", "2", "--ignore-eos"];
    let copies = tokens(&generated(&words, &copies));
    assert_eq!(copies.len(), 3);
    assert_ne!(copies[0], copies[1]);
}

#[test]
fn a_text_ends_with_an_end_token_of_either_config() {
    let folder = Folder::new("ends");
    let model = with_words(&folder);
    let prompt = ["9", "--text", "w5 w7 w20"];
    let whole = tokens(&generated(&model, &prompt)).remove(0);
    let end = whole[3];
    let until = whole.iter().position(|&token| token == end).unwrap() + 1;
    let ends = |args: &[&str]| {
        let outcome = generated(&model, args);
        (tokens(&outcome).remove(0).len(), outcome["sequences"][0]["ended"].as_bool().unwrap())
    };
    let config = std::fs::read_to_string(gpt2().join("config.json")).unwrap();
    folder.write("config.json", &config.replace("\"eos_token_id\": 2", &format!("\"eos_token_id\": {end}")));
    assert_eq!(ends(&prompt), (until, true));
    let printed = good(&["run", &model, "--generate", "9", "--text", "w5 w7 w20"]);
    assert!(printed.starts_with(&format!("{}\n", words(&whole[..until - 1]))), "the end is no text: {printed}");
    assert!(printed.contains("1 of 1 by an end-of-sequence token"), "{printed}");
    assert_eq!(ends(&[&prompt[..], &["--ignore-eos"]].concat()), (9, false));

    // That of the generation's config counts, one or several.
    folder.write("generation_config.json", "{\"eos_token_id\": 95}");
    assert_eq!(ends(&prompt), (9, whole.contains(&95)));
    folder.write("generation_config.json", &format!("{{\"eos_token_id\": [95, {end}]}}"));
    assert_eq!(ends(&prompt), (until, true));
    folder.write("generation_config.json", "{\"eos_token_id\": \"w2\"}");
    refused(1, &["run", &model, "--generate", "9", "--text", "w5"])
        .says("generation_config.json, field `eos_token_id`");
}

/// Before their billions of weights are made.
#[test]
fn models_that_are_followed_by_shape_alone_are_refused() {
    for (model, layers) in [("falcon-mamba-7b", "Mamba layers"), ("DeepSeek-V4-Flash", "layers with several streams")] {
        for generate in [&["--generate", "2"][..], &[]] {
            refused(
                1,
                &[&["run", model, "--random-weights", "1", "--sequences", "1", "--prompt", "4"], generate].concat(),
            )
            .says(&format!("its {layers} are followed by shape alone, and cannot be run"));
        }
    }
}

#[test]
fn a_chat_template_makes_the_prompt() {
    let folder = Folder::new("chat");
    let model = with_words(&folder);
    refused(1, &["run", &model, "--generate", "3", "--chat", "--text", "w5"])
        .says("no chat template in tokenizer_config.json");
    let config = |template: &str| {
        folder.write("tokenizer_config.json", &json!({"bos_token": "w1", "chat_template": template}).to_string())
    };
    config(
        "{{ bos_token }}{% for m in messages %} {{ 'w3' if m.role == 'user' else 'w4' }} {{ m['content'].strip() }}{% endfor %} w9",
    );
    let chat = generated(&model, &["5", "--chat", "--text", " w5 w6 "]);
    assert_eq!(tokens(&chat), tokens(&generated(&model, &["5", "--text", "w1 w3 w5 w6 w9"])));
    let system = generated(&model, &["5", "--chat", "--system", "w7", "--text", "w5 w6"]);
    assert_eq!(tokens(&system), tokens(&generated(&model, &["5", "--text", "w1 w4 w7 w3 w5 w6 w9"])));
    config("{{ raise_exception('Speak first') }}");
    refused(1, &["run", &model, "--generate", "3", "--chat", "--text", "w5"])
        .says("tokenizer_config.json: the chat template fails: Speak first (line 1)");
    config("{% for %}");
    refused(1, &["run", &model, "--generate", "3", "--chat", "--text", "w5"]);
    // It is not asked, so that it may fail.
    good(&["run", &model, "--generate", "3", "--text", "w5"]);
}

#[test]
fn what_does_not_fit_is_one_line_with_the_way_out() {
    let folder = Folder::new("fit");
    let model = gpt2().display().to_string();
    let run = |args: &[&'static str]| [&["run", model.as_str(), "--generate"], args].concat();
    refused(1, &run(&["40", "--prompt", "30"]))
        .says("the model's 64 positions: 30 of the prompt and 40 generated; shorten either");
    refused(1, &run(&["1", "--prompt", "65"])).says("sequence length 65 is longer than the model's 64 positions");

    // A machine with 250 KiB of free memory.
    folder.write("proc/meminfo", "MemTotal: 8192 kB\nMemAvailable: 250 kB\n");
    let with_memory =
        |args: &[&str]| crate::command::command(args).env("IRENE_PROC", folder.path("proc")).output().unwrap();
    assert!(with_memory(&run(&["9", "--prompt", "10"])).status.success());
    let full = with_memory(&run(&["9", "--prompt", "10", "--sequences", "20"]));
    let said = String::from_utf8_lossy(&full.stderr).into_owned();
    assert_eq!((full.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("the cache of 20 sequences of 18 tokens takes 180 KiB beside 120 KiB of weights"), "{said}");

    let encoder = fixtures().join("bert").display().to_string();
    refused(1, &["run", &encoder, "--generate", "2", "--prompt", "4"]).says("keeps no keys and values");
    let usage = |args: &[&'static str], said: &str| {
        refused(2, &run(args)).says(said);
    };
    usage(&["2", "--prompt", "4", "--top-p", "0.9"], "--temperature <T>");
    usage(&["2", "--prompt", "4", "--temperature", "-1"], "--temperature");
    usage(&["2", "--prompt", "4", "--temperature", "1", "--top-p", "0"], "--top-p: expected a share above 0");
    usage(&["2", "--prompt", "4", "--temperature", "1", "--top-k", "0"], "--top-k: expected at least 1");
    usage(&["2", "--prompt", "4", "--temperature", "1", "--output", "x"], "cannot be used with");
    usage(&["2", "--prompt", "4", "--chat"], "cannot be used with");
    usage(&["2"], "give --text, --text-file, --input");
}

/// The words of `irene run` are those of tracing and predicting too.
#[test]
fn prompt_and_sequences_are_sizes_that_are_followed() {
    for command in ["trace", "predict"] {
        let csv = |args: &[&str]| good(&[&[command, "gpt2", "--format", "csv"], args].concat());
        let generation = ["--generate", "5"];
        let short = csv(&[&["-b", "2", "-s", "8"], &generation[..]].concat());
        assert_eq!(csv(&[&["--sequences", "2", "--prompt", "8"], &generation[..]].concat()), short);
        assert_eq!(csv(&["--sequences", "3", "--past", "20"]), csv(&["-b", "3", "-s", "1", "--past", "20"]));
    }
}
