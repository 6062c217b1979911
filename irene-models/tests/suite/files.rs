//! Where a model's files are found: directories, shards, the local Hugging Face cache.

use std::{path::Path, process::Command};

use irene_models::{ModelFiles, ModelSpec};
use serde_json::{Map, Value, json};

use crate::support::Folder;

#[cfg(feature = "candle")]
#[test]
fn shards_give_what_one_file_gives_and_a_missing_one_is_named() {
    use std::collections::HashMap;

    use crate::{
        places::run,
        support::{difference, fixture, tensors},
    };
    let folder = Folder::new("shards");
    folder.copy("bert/config.json", "config.json");
    let (mut shards, mut map) = ([HashMap::new(), HashMap::new()], Map::new());
    for (place, (key, tensor)) in tensors(&fixture("bert/model.safetensors")).into_iter().enumerate() {
        map.insert(key.clone(), format!("part-{}.safetensors", place % 2).into());
        shards[place % 2].insert(key, tensor);
    }
    for (number, shard) in shards.iter().enumerate() {
        candle_core::safetensors::save(shard, folder.0.join(format!("part-{number}.safetensors"))).unwrap();
    }
    let index = |text: &str| folder.write("model.safetensors.index.json", text);
    index(&json!({"weight_map": map}).to_string());
    let hidden = |place: &str| run(place).unwrap().last_hidden_state.candle().unwrap().clone();
    assert_eq!(difference(&hidden(&folder.place()), &hidden(fixture("bert").to_str().unwrap())), 0.0);

    let error = || run(&folder.place()).err().unwrap().to_string();
    std::fs::remove_file(folder.0.join("part-1.safetensors")).unwrap();
    assert!(error().contains("part-1.safetensors: No such file"), "{}", error());
    index(r#"{"weight_map": {"a": "../../etc/passwd"}}"#);
    assert!(error().contains("`../../etc/passwd` is not a file beside it"), "{}", error());
    index("{");
    assert!(error().contains("model.safetensors.index.json: EOF"), "{}", error());
}

/// A safetensors file's header, without the numbers behind it.
fn header_of(tensors: &[(&str, &str)]) -> Vec<u8> {
    let entry = |(name, dtype): &(&str, &str)| {
        ((*name).to_owned(), json!({"dtype": dtype, "shape": [1], "data_offsets": [0, 0]}))
    };
    let entries: Map<String, Value> = tensors.iter().map(entry).collect();
    let text = serde_json::to_vec(&entries).unwrap();
    [&(text.len() as u64).to_le_bytes()[..], &text].concat()
}

const SIZES: &str = r#""hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":8,"vocab_size":9,
    "max_position_embeddings":16"#;

#[test]
fn weights_say_the_dtype_of_a_config_that_says_none() {
    let folder = Folder::new("dtype");
    let write = |name: &str, bytes: &[u8]| folder.write(name, bytes);
    let config = |dtype: &str| folder.write("config.json", format!(r#"{{"model_type":"bert",{SIZES}{dtype}}}"#));
    let precision = |place: &Path| {
        let spec = ModelSpec::find(place.to_str().unwrap()).unwrap();
        (spec.config().precision().unwrap().to_string(), spec.config().has_precision())
    };
    config("");
    assert_eq!(precision(&folder.0), ("f32".to_owned(), false));
    write("model.safetensors", &header_of(&[("a.ids", "I64"), ("b.scale", "F8_E4M3"), ("c", "BF16"), ("d", "F32")]));
    assert_eq!(precision(&folder.0), ("bf16".to_owned(), true));
    config(r#","dtype":"auto""#);
    assert_eq!(precision(&folder.0).0, "bf16");
    config(r#","torch_dtype":"float16""#);
    assert_eq!(precision(&folder.0).0, "f16");
    config(r#","quantization_config":{"quant_method":"fp8"}"#);
    assert_eq!(precision(&folder.0).0, "f8_e4m3 weights, bf16 activations");
    config("");
    // Weights beside a config of another name belong to another.
    std::fs::copy(folder.0.join("config.json"), folder.0.join("other.json")).unwrap();
    assert_eq!(precision(&folder.0.join("other.json")), ("f32".to_owned(), false));
    // A damaged file says nothing, until it is loaded.
    write("model.safetensors", b"PK");
    assert_eq!(precision(&folder.0), ("f32".to_owned(), false));
    std::fs::remove_file(folder.0.join("model.safetensors")).unwrap();
    write("model.safetensors.index.json", br#"{"weight_map":{"x":"2.safetensors","y":"1.safetensors"}}"#);
    assert_eq!(precision(&folder.0), ("f32".to_owned(), false));
    write("1.safetensors", &header_of(&[("y", "F16")]));
    assert_eq!(precision(&folder.0), ("f16".to_owned(), true));
}

/// Those of the first BERTs on the hub; transformers goes by the name.
#[test]
fn a_config_without_a_type_is_taken_by_its_weights_or_its_name() {
    let folder = Folder::new("no-type");
    let place = |name: &str, config: &str| {
        let dir = folder.0.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("config.json"), config).unwrap();
        dir
    };
    let taken = |dir: &Path| {
        let spec = ModelSpec::find(dir.to_str().unwrap()).unwrap();
        (spec.model_type(), spec.notes().join("; "))
    };
    let plain = format!("{{{SIZES}}}");
    let (model_type, note) = taken(&place("xlm-roberta-mine", &plain));
    assert_eq!(model_type, "xlm-roberta");
    assert!(
        note.ends_with("config.json has no `model_type`: taken for xlm-roberta, as the model's name says"),
        "{note}"
    );
    assert_eq!(taken(&place("Bert_uncased", &plain)).0, "bert");
    // The keys say more than the name.
    let weights = header_of(&[("electra.embeddings.word_embeddings.weight", "F32")]);
    std::fs::write(place("bert-of-ours", &plain).join("model.safetensors"), weights).unwrap();
    let (model_type, note) = taken(&folder.0.join("bert-of-ours"));
    assert!(model_type == "electra" && note.ends_with("as the keys of its weights say"), "{note}");
    // A part of a word is another word, and other sizes are those of another model.
    for (name, config) in
        [("mobilebert", plain.as_str()), ("gpt2", plain.as_str()), ("bert-other", r#"{"hidden_size":8}"#)]
    {
        let error = ModelSpec::find(place(name, config).to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("field `model_type`: is missing"), "{name}: {error}");
    }
    // Those that are named read all its fields.
    let of_llama = place("other", &format!("{{{SIZES},\"rms_norm_eps\":1e-6,\"rope_theta\":1e4}}"));
    let error = ModelSpec::find(of_llama.to_str().unwrap()).unwrap_err().to_string();
    assert!(error.contains("the fields are those of llama, mistral, "), "{error}");
}

#[test]
fn a_directory_without_weights_or_tokenizer_says_so() {
    let folder = Folder::new("empty");
    let files = ModelFiles::find(&folder.place()).unwrap();
    let error = files.weights().unwrap_err().to_string();
    assert!(error.contains("no model.safetensors and no model.safetensors.index.json"), "{error}");
    assert!(files.tokenizer().unwrap_err().to_string().ends_with("no tokenizer.json"));
    for older in ["tokenizer.model", "vocab.txt"] {
        folder.write(older, "");
        let error = files.tokenizer().unwrap_err().to_string();
        assert!(error.contains(&format!("no tokenizer.json; there is {older}, of which one is made")), "{error}");
        assert!(error.ends_with(&format!("').save_pretrained('{}')`", folder.place())), "{error}");
    }
}

#[test]
fn shards_without_an_index_are_taken_if_all_are_there() {
    let folder = Folder::new("no-index");
    let shard = |place: usize| folder.0.join(format!("model-{place:05}-of-00003.safetensors"));
    let weights = |place: &Path| ModelFiles::find(place.to_str().unwrap()).unwrap().weights();
    std::fs::write(shard(3), header_of(&[])).unwrap();
    std::fs::write(shard(1), header_of(&[])).unwrap();
    let error = weights(&folder.0).unwrap_err().to_string();
    assert!(error.ends_with("; of 3 shards it lacks model-00002-of-00003.safetensors"), "{error}");
    std::fs::write(shard(2), header_of(&[])).unwrap();
    assert_eq!(weights(&folder.0).unwrap(), [1, 2, 3].map(shard));
    let error = weights(&shard(2)).unwrap_err().to_string();
    assert!(error.ends_with("model-00002-of-00003.safetensors: is a part of 3: name its folder"), "{error}");
    // One that is the whole.
    let whole = folder.0.join("model-00001-of-00001.safetensors");
    std::fs::write(&whole, header_of(&[])).unwrap();
    let found = weights(&whole).unwrap();
    assert_eq!(found, [whole]);
}

/// The cache's place comes from the environment, which a test may not change for its neighbours: it runs itself again.
#[test]
fn the_hugging_face_cache_is_found_by_id() {
    const ROLE: &str = "IRENE_TEST_CACHE_ROLE";
    if std::env::var_os(ROLE).is_some() {
        let files = ModelFiles::find("someone/tiny-bert").unwrap();
        assert!(files.config().unwrap().ends_with("snapshots/abc123/config.json"));
        assert_eq!(files.weights().unwrap().len(), 1);
        assert_eq!(ModelSpec::find("someone/tiny-bert").unwrap().model_type(), "bert");
        // Another id of a built-in model may be the one in the cache.
        let weights = ModelSpec::find("distilbert/distilgpt2").unwrap().files().unwrap().weights().unwrap();
        assert!(weights[0].ends_with("models--distilgpt2/snapshots/abc123/model.safetensors"), "{weights:?}");
        let error = ModelSpec::find("gpt2").unwrap().files().unwrap().weights().unwrap_err().to_string();
        assert!(
            error.starts_with("openai-community/gpt2") && error.contains("`hf download openai-community/gpt2"),
            "{error}"
        );
        let error = ModelFiles::find("someone/tiny-bert").unwrap().tokenizer().unwrap_err().to_string();
        assert!(error.contains("`hf download someone/tiny-bert tokenizer.json`"), "{error}");
        let error = ModelSpec::find("someone/else").unwrap_err().to_string();
        assert!(error.contains("`hf download someone/else config.json`"), "{error}");
        return;
    }
    let folder = Folder::new("cache");
    for (id, files) in [("someone--tiny-bert", "bert"), ("distilgpt2", "distilgpt2")] {
        let model = folder.0.join(format!("hub/models--{id}"));
        std::fs::create_dir_all(model.join("snapshots/abc123")).unwrap();
        std::fs::create_dir_all(model.join("refs")).unwrap();
        std::fs::write(model.join("refs/main"), "abc123\n").unwrap();
        for file in ["config.json", "model.safetensors"] {
            folder.copy(&format!("{files}/{file}"), &format!("hub/models--{id}/snapshots/abc123/{file}"));
        }
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["files::the_hugging_face_cache_is_found_by_id", "--exact"])
        .env(ROLE, "child")
        .env("HF_HOME", &folder.0)
        .env("HF_HUB_OFFLINE", "1")
        .env_remove("HF_HUB_CACHE")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A hub on loopback that has one file of one model; it answers as the real one does, and counts requests for the file.
#[cfg(feature = "hub")]
fn serve_hub(listener: std::net::TcpListener, config: Vec<u8>) {
    use std::io::{BufRead, BufReader, Write};
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let head: Vec<String> = BufReader::new(&stream)
            .lines()
            .map_while(std::io::Result::ok)
            .take_while(|line| !line.is_empty())
            .collect();
        let common = "x-repo-commit: abc123\r\netag: \"tag\"\r\nconnection: close\r\n";
        let answer = if !head[0].contains("/someone/tiny-bert/resolve/main/config.json ") {
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec()
        } else {
            let part = if head.iter().any(|line| line.ends_with("bytes=0-0")) { &config[..1] } else { &config[..] };
            let range = format!("content-range: bytes 0-{}/{}\r\n", part.len() - 1, config.len());
            let head = format!("HTTP/1.1 206 Partial Content\r\n{common}{range}content-length: {}\r\n\r\n", part.len());
            [head.as_bytes(), part].concat()
        };
        stream.write_all(&answer).unwrap();
    }
}

/// The hub's address comes from the environment too.
#[cfg(feature = "hub")]
#[test]
fn what_the_cache_lacks_is_downloaded_unless_offline() {
    const ROLE: &str = "IRENE_TEST_HUB_ROLE";
    match std::env::var(ROLE).as_deref() {
        Ok("online") => {
            let files = ModelFiles::find("someone/tiny-bert").unwrap();
            assert_eq!(ModelSpec::find("someone/tiny-bert").unwrap().model_type(), "bert");
            let error = files.weights().unwrap_err().to_string();
            assert!(error.contains("no model.safetensors and no model.safetensors.index.json"), "{error}");
            let error = ModelSpec::find("someone/else").unwrap_err().to_string();
            assert!(error.contains("someone/else: neither a path nor a model in"), "{error}");
        }
        Ok("offline") => {
            assert_eq!(ModelSpec::find("someone/tiny-bert").unwrap().model_type(), "bert");
            let error = ModelSpec::find("someone/else").unwrap_err().to_string();
            assert!(error.contains("someone/else/config.json: not in the cache, and HF_HUB_OFFLINE is set"), "{error}");
        }
        Ok(_) => {
            let error = ModelSpec::find("someone/else").unwrap_err().to_string();
            assert!(error.contains("someone/else/config.json: not in the cache, and downloading it failed"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        Err(_) => {
            let folder = Folder::new("hub");
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let config = std::fs::read(crate::support::fixture("bert").join("config.json")).unwrap();
            std::thread::spawn(move || serve_hub(listener, config));
            let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            for (role, address) in [("online", address), ("offline", address), ("unreachable", nobody)] {
                let output = Command::new(std::env::current_exe().unwrap())
                    .args(["files::what_the_cache_lacks_is_downloaded_unless_offline", "--exact"])
                    .env(ROLE, role)
                    .env("HF_HUB_OFFLINE", if role == "offline" { "1" } else { "" })
                    .env("HF_ENDPOINT", format!("http://{address}"))
                    .env("HF_HOME", &folder.0)
                    .env_remove("HF_HUB_CACHE")
                    .output()
                    .unwrap();
                assert!(output.status.success(), "{role}: {}", String::from_utf8_lossy(&output.stdout));
            }
        }
    }
}
