//! Which model a name, a path or `-` means to the `irene` binary, and what it says of one that is none.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use crate::command::{Folder, Says, fixture, good, refused};

fn copy(folder: &Folder, from: &str, to: &str) {
    let to = folder.0.join(to);
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(fixture(from), to).unwrap();
}

/// The binary in a folder, with an empty Hugging Face cache and this on its standard input.
fn irene_in(folder: &Folder, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_irene"))
        .args(args)
        .current_dir(&folder.0)
        .env("HF_HUB_CACHE", folder.0.join("empty-cache"))
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input has closed it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn says(output: &Output) -> [String; 2] {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

const SIZE: [&str; 4] = ["-b", "1", "-s", "8"];

#[test]
fn a_folder_comes_before_a_built_in_model_of_its_name_and_a_word_says_so() {
    let folder = Folder::new("hidden");
    copy(&folder, "gpt2/config.json", "gpt2/config.json");
    let predicted =
        |name: &str| says(&irene_in(&folder, &[&["predict", name, "--depth", "0"], &SIZE[..]].concat(), ""));
    let ([by_name, word], [by_path, nothing]) = (predicted("gpt2"), predicted("./gpt2"));
    assert!(by_name.starts_with("./gpt2, batch 1") && by_name == by_path, "{by_name} {by_path}");
    assert!(word.starts_with("the path `gpt2` is taken, not the built-in model of that name\n"), "{word}");
    assert!(!nothing.contains("built-in"), "{nothing}");
    let whole = good(&[&["predict", "gpt2", "--depth", "0"], &SIZE[..]].concat());
    assert!(whole.starts_with("gpt2, batch 1") && whole != by_name, "{whole}");
    let [models, _] = says(&irene_in(&folder, &["models"], ""));
    assert_eq!(models, good(&["models"]));

    // The folder's own weights, for the folder's own sizes.
    let run = ["run", "gpt2", "-b", "1", "-s", "4"];
    let [_, error] = says(&irene_in(&folder, &run, ""));
    assert!(error.contains("gpt2: no model.safetensors and no model.safetensors.index.json"), "{error}");
    copy(&folder, "gpt2/model.safetensors", "gpt2/model.safetensors");
    let [printed, error] = says(&irene_in(&folder, &run, ""));
    assert!(printed.contains("last_hidden_state  1x4x32"), "{error}");
    // Without a config it is not the model, and its weights are not those of the built-in sizes.
    std::fs::remove_file(folder.0.join("gpt2/config.json")).unwrap();
    let [_, error] = says(&irene_in(&folder, &run, ""));
    assert!(error.starts_with("the built-in model gpt2 is taken: the folder `gpt2` has no config.json\n"), "{error}");
    assert!(error.contains("openai-community/gpt2: neither a path nor a model in"), "{error}");
}

#[test]
fn the_list_is_of_the_words_and_the_family_that_were_asked_for() {
    let listed = |args: &[&str]| -> Vec<String> {
        let csv = good(&[&["models", "--format", "csv"], args].concat());
        csv.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&["meta-llama/Llama-3.1-70B-Instruct"]), ["Llama-3.1-70B"]);
    assert_eq!(listed(&["LLAMA", "405b"]), ["Llama-3.1-405B"]);
    assert_eq!(listed(&["--family", "gpt2", "xl"]), ["gpt2-xl"]);
    let text = good(&["models", "--family", "mixtral"]);
    assert!(text.starts_with("mixtral\nmodel ") && text.contains("  46.7 G  12.9 G "), "{text}");
    refused(1, &["models", "gpt2", "mixtral"]).says("no built-in model has `gpt2`, `mixtral` in its name");
    refused(1, &["models", "--family", "starcoder3"]).says("did you mean `starcoder2`?");
}

#[test]
fn a_text_on_the_standard_input_is_no_config() {
    let folder = Folder::new("stdin");
    let [_, error] = says(&irene_in(&folder, &[&["predict", "-"], &SIZE[..]].concat(), "hello"));
    assert!(error.starts_with("error: stdin: no model's config: not a JSON object"), "{error}");
}

#[test]
fn a_path_that_is_no_model_says_so_with_its_own_name() {
    let folder = Folder::new("none");
    folder.write("t.txt", "the cat sat\n");
    folder.write("empty/note", "");
    let refuse = |args: &[&str]| {
        let output = irene_in(&folder, &[args, &SIZE[..]].concat(), "");
        let [printed, error] = says(&output);
        assert!(output.status.code() == Some(1) && printed.is_empty(), "{args:?}: {printed}");
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    };
    assert!(refuse(&["predict", "t.txt"]).starts_with("error: t.txt: no model's config"));
    assert_eq!(refuse(&["predict", "empty"]), "error: empty: no config.json\n");
    assert_eq!(refuse(&["trace", "nowhere/at/all"]), "error: nowhere/at/all: no such file or directory\n");
    assert_eq!(refuse(&["trace", "nowhere.json"]), "error: nowhere.json: no such file or directory\n");
    folder.write("gpt2.gguf", "GGUF\u{3}");
    assert_eq!(
        refuse(&["predict", "gpt2.gguf"]),
        "error: gpt2.gguf: ends in its header: the download broke off, repeat it\n"
    );
}

#[test]
fn a_gguf_file_alone_is_traced_predicted_and_run() {
    let folder = Folder::new("gguf");
    copy(&folder, "gguf/tiny-llama.q4_k_m.gguf", "tiny.gguf");
    let says = |args: &[&str]| {
        let [printed, error] = says(&irene_in(&folder, args, ""));
        assert!(!printed.is_empty(), "{error}");
        printed
    };
    says(&[&["trace", "tiny.gguf", "--format", "json", "--head", "lm"], &SIZE[..]].concat())
        .says(r#""weights":"q4_k""#)
        .says(r#""format":"q6_k""#);
    let other = says(&[&["trace", "tiny.gguf", "--format", "json", "--dtype", "bf16"], &SIZE[..]].concat());
    assert!(!other.contains("q4_k") && other.contains(r#""format":"bf16""#), "{other}");
    assert!(says(&[&["predict", "tiny.gguf"], &SIZE[..]].concat()).starts_with("tiny, batch "));
    says(&["run", "tiny.gguf", "--text", "the cat sat", "--generate", "3"])
        .says("\ntiny, batch 1, prompt 5, 3 generated\n");
}

#[test]
fn advice_names_config_json_alone_where_nothing_else_is_needed() {
    let folder = Folder::new("advice");
    let [_, error] = says(&irene_in(&folder, &[&["predict", "someone/model"], &SIZE[..]].concat(), ""));
    assert!(error.contains("`hf download someone/model config.json`"), "{error}");
    let [_, error] = says(&irene_in(&folder, &[&["run", "google-bert/bert-base-uncased"], &SIZE[..]].concat(), ""));
    assert!(error.contains("`hf download google-bert/bert-base-uncased`"), "{error}");
    let by_id = good(&[&["predict", "google-bert/bert-base-uncased"], &SIZE[..]].concat());
    assert_eq!(by_id, good(&[&["predict", "bert-base-uncased"], &SIZE[..]].concat()));
}

#[test]
fn configs_of_other_code_are_refused_and_those_of_the_same_code_taken() {
    for (name, field) in [("multi_query", "auto_map"), ("alibi_glu", "auto_map"), ("no-model_type", "model_type")] {
        let path = fixture(&format!("configs/{name}.json"));
        refused(1, &[&["predict", &path], &SIZE[..]].concat()).says(&format!("{name}.json, field `{field}`: "));
    }
    for name in ["xlm-roberta", "camembert", "gelu_fast", "gelu_python", "gelu_pytorch_tanh"] {
        let path = fixture(&format!("configs/{name}.json"));
        assert!(good(&[&["predict", &path, "--depth", "0"], &SIZE[..]].concat()).starts_with(&format!("{name}, ")));
    }
}

#[test]
fn pointers_and_half_files_are_named_by_every_reader() {
    const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:8ce2\nsize 880\n";
    let folder = Folder::new("pointers");
    let pointer = folder.write("trees.jsonl", POINTER);
    let fault = "trees.jsonl: is a Git LFS pointer in place of the file of 880 bytes: `git lfs pull`";
    assert!(refused(1, &["predict", &pointer]).contains(fault));
    let predict = [&["predict", "gpt2", "--predictor", &pointer], &SIZE[..]].concat();
    assert!(refused(1, &predict).contains(fault));
    assert!(refused(1, &["run", "gpt2", "--random-weights", "1", "--input", &pointer]).contains(fault));
    #[cfg(feature = "text")]
    assert!(refused(1, &["predict", "gpt2", "--text", "the", "--tokenizer", &pointer]).contains(fault));
    refused(1, &[&["run", "gpt2", "--weights", &folder.write("w.safetensors", POINTER)], &SIZE[..]].concat())
        .says("w.safetensors: is a Git LFS pointer");
}
