//! Lists of models, devices and engines, and files that tell of their models.

use irene_devices::Catalogue;
use irene_viz::Limits;
use serde_json::{Value, json};

use crate::server::Running;

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap()
}

#[test]
fn devices_are_the_measured_machines_and_then_every_data_sheet_once() {
    let server = Running::start(Limits::default());
    let devices = server.get("/api/v1/devices").json()["devices"].clone();
    let kinds: Vec<&str> = devices.as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    let measured = kinds.iter().take_while(|kind| **kind == "measured").count();
    assert!(measured >= 2 && kinds[measured..].iter().all(|kind| *kind == "data_sheet"), "{kinds:?}");
    for sheet in Catalogue::all() {
        let entry = named(&devices, &sheet.name);
        let expected = (json!(sheet.title), json!(sheet.memory_gib), json!(sheet.tdp_w), json!(sheet.year));
        assert_eq!(
            (entry["title"].clone(), entry["memory_gib"].clone(), entry["tdp_w"].clone(), entry["year"].clone()),
            expected
        );
    }
    let mut names: Vec<&str> =
        devices.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(named(&devices, "gtx-1080-ti")["vendor"], "nvidia");
    assert_eq!(named(&devices, "h100-sxm")["class"], "datacenter");
}

#[test]
fn models_and_engines_say_what_they_are_for() {
    let server = Running::start(Limits::default());
    let models = server.get("/api/v1/models").json()["models"].clone();
    let of = |name: &str, field: &str| named(&models, name)[field].clone();
    assert_eq!((of("bert-base-uncased", "task"), of("gpt2", "task")), (json!("encoder"), json!("decoder")));
    assert_eq!(of("all-MiniLM-L6-v2", "task"), "embedder");
    let active = of("Mixtral-8x7B-v0.1", "active_parameters").as_f64().unwrap();
    assert!(active < of("Mixtral-8x7B-v0.1", "num_parameters").as_f64().unwrap());
    assert_eq!(of("gpt2", "series"), "GPT-2");
    let engines = server.get("/api/v1/engines").json()["engines"].clone();
    assert!(named(&engines, "vllm-0.11")["about"].as_str().unwrap().contains("continuous batching"));
    assert_eq!(named(&engines, "transformers")["is_continuous"], false);
}

/// A GGUF file's header: one word of metadata, no tensors.
fn gguf(architecture: &str) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let counts = [0u64.to_le_bytes(), 1u64.to_le_bytes()].concat();
    let entry = [text("general.architecture"), 8u32.to_le_bytes().to_vec(), text(architecture)].concat();
    [b"GGUF".to_vec(), 3u32.to_le_bytes().to_vec(), counts, entry].concat()
}

#[test]
fn the_first_bytes_of_a_file_say_what_its_model_is() {
    let server = Running::start(Limits::default());
    let read = |bytes: &[u8]| server.post_bytes("/api/v1/read", bytes);
    let config =
        json!({"model_type": "gpt2", "n_layer": 2, "n_embd": 64, "n_head": 2, "n_positions": 128, "vocab_size": 1000});
    let answer = read(config.to_string().as_bytes()).json();
    assert_eq!((&answer["kind"], &answer["config"]), (&json!("config"), &config));
    // The answer can be predicted as it is.
    let size = "/api/v1/predict?batch_size=1&seq_len=8";
    let predicted = server.post(size, &answer["config"].to_string());
    assert_eq!(predicted.status, 200, "{}", predicted.text);
    let parameters = &predicted.json()["tree"]["frontend_tree"]["num_parameters"];
    assert_eq!(parameters.as_f64().map(f64::round), answer["parameters"].as_f64());
    let header = json!({"w": {"dtype": "BF16", "shape": [3, 4], "data_offsets": [0, 24]}}).to_string();
    let safetensors = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    let answer = read(&safetensors).json();
    assert_eq!(
        (&answer["kind"], &answer["dtype"], &answer["parameters"]),
        (&json!("safetensors"), &json!("bf16"), &json!(12))
    );
    assert!(answer.get("config").is_none() && answer["note"].as_str().unwrap().contains("config.json"));
    read(&gguf("resnet\n\u{1}")).is_problem(422, "`resnet\\n\\u{1}` is not followed here");
    read(&gguf("llama")).is_problem(422, "token_embd.weight");
    read(&gguf("llama")[..30]).is_problem(422, "goes on beyond the 30 bytes that came");
    read(b"PK\x03\x04 something else").is_problem(422, "neither a config.json nor");
    server.post_bytes("/api/v1/read?x=1", b"{}").is_problem(400, "it takes none");
}

#[test]
fn bodies_of_files_have_a_bound_of_their_own() {
    let server = Running::start(Limits { body: 1000, file_head: 5000, ..Limits::default() });
    let config = |spaces: usize| {
        format!(
            r#"{{"model_type":"gpt2","n_layer":1,"n_embd":8,"n_head":1,"n_positions":16,"vocab_size":9}}{}"#,
            " ".repeat(spaces)
        )
    };
    assert_eq!(server.post_bytes("/api/v1/read", config(3000).as_bytes()).status, 200);
    server.post_bytes("/api/v1/read", config(5000).as_bytes()).is_problem(413, "more than 5000 bytes");
    server.post("/api/v1/predict?batch_size=1&seq_len=8", &config(3000)).is_problem(413, "more than 1000 bytes");
}
