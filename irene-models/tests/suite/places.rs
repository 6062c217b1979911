//! Files as they lie around: which one a path means, and what is said of one that is not what its name says.

use std::{collections::HashMap, path::Path};

use candle_core::{DType, Device};
use irene_models::{Batch, Cx, ModelFiles, ModelOutput, ModelSpec, Result, TaskHead};
use irene_tree::{Quantity, Size};

use crate::support::{Folder, difference, fixture, loaded, tensors};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:8ce2252b\nsize 880\n";
const BROUGHT: &str = "is a Git LFS pointer in place of the file of 880 bytes: `git lfs pull` in its folder brings it";

/// The output of the model at a path for a few tokens.
pub(crate) fn run(place: &str) -> Result<ModelOutput> {
    let (_, model) = loaded(Path::new(place), TaskHead::None, DType::F32)?;
    let batch = Batch::of_ids(vec![3; 8], None, Size::new(2, 4), &Device::Cpu)?;
    model.run(&mut Cx::silent(), &batch)
}

fn refused<T>(result: Result<T>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn a_named_file_is_read_whatever_its_suffix() {
    let folder = Folder::new("named");
    folder.copy("bert/config.json", "config.json");
    let parameters = |path: &str| {
        let tree = ModelSpec::find(path).unwrap().trace(Size::new(1, 1)).unwrap();
        tree.root().get(Quantity::NumParameters).unwrap()
    };
    for name in ["gpt2-xl.cfg", "m.JSON", "config", "gpt2-xl.json", "with.two.dots"] {
        let path = folder.copy("configs/gpt2-xl.cfg", name);
        assert_eq!(parameters(&path), 1_557_611_200.0, "{name}");
    }
    assert_eq!(ModelSpec::find(&folder.copy("bert/config.json", "tiny.cfg")).unwrap().name(), "tiny");
    // Weights stand for the model that they are beside.
    let weights = folder.copy("bert/model.safetensors", "model.safetensors");
    assert_eq!(ModelSpec::find(&weights).unwrap().model_type(), "bert");
    let text = folder.write("t.txt", "the cat sat\n");
    let error = refused(ModelSpec::find(&text));
    assert!(error.starts_with(&format!("{text}: no model's config: not a JSON object (")), "{error}");
    let missing = folder.0.join("nowhere.json").display().to_string();
    assert_eq!(refused(ModelSpec::find(&missing)), format!("{missing}: no such file or directory"));
}

/// A config of another name has no claim on the weights and the tokenizer of config.json.
#[test]
fn a_named_config_does_not_take_its_neighbours_files() {
    let folder = Folder::new("neighbours");
    for file in ["config.json", "model.safetensors"] {
        folder.copy(&format!("bert/{file}"), file);
    }
    let other = folder.copy("bert/config.json", "other.json");
    let error = refused(ModelSpec::find(&other).unwrap().files().unwrap().weights());
    assert!(error.starts_with(&format!("{other}: no safetensors file")), "{error}");
    assert!(run(&folder.place()).is_ok() && run(&folder.0.join("config.json").display().to_string()).is_ok());
    let bin = folder.write("pytorch_model.bin", "PK");
    let error = refused(ModelFiles::find(&bin).unwrap().weights());
    assert!(error.contains("pytorch_model.bin: PyTorch's, which is not read: convert it to safetensors"), "{error}");
}

/// The weights of the BERT fixture with another header.
fn with_header(change: impl Fn(&mut serde_json::Map<String, serde_json::Value>)) -> Vec<u8> {
    let bytes = std::fs::read(fixture("bert/model.safetensors")).unwrap();
    let (len, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (text, numbers) = rest.split_at(u64::from_le_bytes(*len) as usize);
    let mut header = serde_json::from_slice(text).unwrap();
    change(&mut header);
    let mut text = serde_json::to_vec(&header).unwrap();
    text.resize(text.len().next_multiple_of(8), b' ');
    [&(text.len() as u64).to_le_bytes()[..], &text, numbers].concat()
}

/// The same with other keys.
fn renamed(name: impl Fn(&str) -> String) -> Vec<u8> {
    with_header(|header| {
        let tensors = std::mem::take(header).into_iter().filter(|(key, _)| key != "__metadata__");
        *header = tensors.map(|(key, tensor)| (name(&key), tensor)).collect();
    })
}

/// `save_model` of safetensors keeps one of a tensor's names.
#[test]
fn a_tensor_is_found_by_the_names_that_it_stands_for() {
    let folder = Folder::new("stands-for");
    folder.copy("bert/config.json", "config.json");
    let weights = with_header(|header| {
        let key = header.keys().find(|key| key.ends_with("word_embeddings.weight")).unwrap().clone();
        let table = header.remove(&key).unwrap();
        header.insert("cls.decoder.weight".to_owned(), table);
        header.insert("__metadata__".to_owned(), serde_json::json!({"format": "pt", key: "cls.decoder.weight"}));
    });
    folder.write("model.safetensors", weights);
    let hidden = |place: &str| run(place).unwrap().last_hidden_state.candle().unwrap().clone();
    assert_eq!(difference(&hidden(&folder.place()), &hidden(fixture("bert").to_str().unwrap())), 0.0);
}

#[test]
fn a_checkpoint_with_other_keys_is_told_what_it_has() {
    let folder = Folder::new("other-keys");
    folder.copy("bert/config.json", "config.json");
    let told = |weights: Vec<u8>| {
        folder.write("model.safetensors", weights);
        refused(run(&folder.place()))
    };
    let start = "tensor `embeddings.word_embeddings.weight`: expected 96x32, found no such tensor";
    for before in ["module.", "_orig_mod.", "base_model.model.", "0.auto_model.", "bert.bert.model."] {
        let error = told(renamed(|key| format!("{before}{key}")));
        let end = format!("`: take `{before}` off the keys");
        assert!(error.contains(start) && error.ends_with(&end), "{error}");
    }
    let error = told(renamed(|key| format!("{key}.packed")));
    assert!(error.contains(start) && error.contains("; the first of its "), "{error}");
}

#[test]
fn a_checkpoint_without_pooler_runs_without_it_if_its_class_has_none() {
    let whole = tensors(&fixture("bert/model.safetensors"));
    let without: HashMap<_, _> = whole.into_iter().filter(|(key, _)| !key.contains("pooler")).collect();
    let folder = Folder::new("pooler");
    candle_core::safetensors::save(&without, folder.0.join("model.safetensors")).unwrap();
    let config = std::fs::read_to_string(fixture("bert/config.json")).unwrap();
    let expected = run(fixture("bert").to_str().unwrap()).unwrap().last_hidden_state;
    for class in ["BertForMaskedLM", "BertForTokenClassification", "BertForQuestionAnswering"] {
        folder.write("config.json", config.replace("BertModel", class));
        let output = run(&folder.place()).unwrap_or_else(|error| panic!("{class}: {error}"));
        assert!(output.pooler_output.is_none());
        assert_eq!(difference(output.last_hidden_state.candle().unwrap(), expected.candle().unwrap()), 0.0);
    }
    // These have one.
    for class in ["BertModel", "BertForSequenceClassification"] {
        folder.write("config.json", config.replace("BertModel", class));
        assert!(
            refused(run(&folder.place()))
                .contains("tensor `pooler.dense.weight`: expected 32x32, found no such tensor")
        );
    }
    // Where the checkpoint has one, it runs.
    let with = Folder::new("with-pooler");
    with.copy("bert/model.safetensors", "model.safetensors");
    with.write("config.json", config.replace("BertModel", "BertForMaskedLM"));
    assert!(run(&with.place()).unwrap().pooler_output.is_some());
}

#[test]
fn what_stands_in_place_of_a_file_is_said_in_one_line() {
    let folder = Folder::new("stands");
    let place = folder.place();
    let good = std::fs::read(fixture("bert/config.json")).unwrap();
    let faults: [(&[u8], &str); 3] = [
        (POINTER.as_bytes(), BROUGHT),
        (b"<!DOCTYPE html>\n<html>", "is a web page or an error that a server sent in place of the file"),
        (b"", "is empty"),
    ];
    for (bytes, fault) in faults {
        folder.write("config.json", bytes);
        let error = refused(ModelSpec::find(&place));
        assert!(error.starts_with(&format!("{place}/config.json: {fault}")), "{error}");
        folder.write("config.json", &good);
        folder.write("model.safetensors", bytes);
        let error = refused(run(&place));
        assert!(error.starts_with(&format!("{place}/model.safetensors: {fault}")), "{error}");
        #[cfg(feature = "text")]
        {
            let error = refused(irene_models::TextEncoder::read(Path::new(&folder.write("tokenizer.json", bytes))));
            assert!(error.starts_with(&format!("{place}/tokenizer.json: {fault}")), "{error}");
        }
        std::fs::remove_file(folder.0.join("model.safetensors")).unwrap();
        folder.write("model.safetensors.index.json", bytes);
        let error = refused(run(&place));
        assert!(error.starts_with(&format!("{place}/model.safetensors.index.json: {fault}")), "{error}");
        std::fs::remove_file(folder.0.join("model.safetensors.index.json")).unwrap();
    }
    let whole = std::fs::read(fixture("bert/model.safetensors")).unwrap();
    folder.write("model.safetensors", &whole[..whole.len() / 2]);
    let error = refused(run(&place));
    let expected = format!("model.safetensors: ends after {} of {} bytes", whole.len() / 2, whole.len());
    assert!(error.contains(&expected) && !error.contains('\n'), "{error}");
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_is_no_missing_file() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new("links");
    folder.copy("bert/config.json", "config.json");
    symlink("../blobs/abc", folder.0.join("model.safetensors")).unwrap();
    symlink("../blobs/def", folder.0.join("tokenizer.json")).unwrap();
    let files = ModelFiles::find(&folder.place()).unwrap();
    let error = refused(files.weights());
    assert!(
        error.ends_with("model.safetensors: is a link to ../blobs/abc, which is not there: download the file again"),
        "{error}"
    );
    assert!(refused(files.tokenizer()).contains("tokenizer.json: is a link to ../blobs/def"));
    symlink("../gone", folder.0.join("other.json")).unwrap();
    let other = folder.0.join("other.json").display().to_string();
    assert!(refused(ModelSpec::find(&other)).contains("other.json: is a link to ../gone, which is not there"));
}

#[test]
fn weights_of_other_kinds_are_named_with_the_way_out() {
    let convert = |options: &str, place: &str| {
        format!("`transformers.AutoModel.from_pretrained('{place}'{options}).save_pretrained('{place}')`")
    };
    let kinds = [
        ("pytorch_model.bin", "PyTorch's", Some("")),
        ("pytorch_model.bin.index.json", "PyTorch's", Some("")),
        ("tf_model.h5", "TensorFlow's", Some(", from_tf=True")),
        ("flax_model.msgpack", "Flax's", Some(", from_flax=True")),
        ("bert.q8_0.gguf", "which holds a whole model: name that file in place of its folder", None),
        ("model.onnx", "ONNX's", None),
    ];
    for (name, whose, options) in kinds {
        let folder = Folder::new(&format!("kind-{name}"));
        folder.copy("bert/config.json", "config.json");
        folder.write("training_args.bin", "PK");
        folder.write(name, "PK");
        let (place, error) = (folder.place(), refused(run(&folder.place())));
        let start =
            format!("{place}: no model.safetensors and no model.safetensors.index.json; there is {name}, {whose}");
        assert!(error.starts_with(&start), "{error}");
        assert!(options.is_none_or(|options| error.ends_with(&convert(options, &place))), "{error}");
    }
    let folder = Folder::new("adapter");
    folder.copy("bert/config.json", "config.json");
    folder.write("adapter_model.safetensors", "");
    assert!(refused(run(&folder.place())).contains("there is adapter_model.safetensors, an adapter: merge it"));
}

#[test]
fn a_folder_without_config_names_the_file_that_may_be_meant() {
    let folder = Folder::new("other-config");
    folder.write("tokenizer_config.json", "{}");
    let find = || refused(ModelSpec::find(&folder.place()));
    assert_eq!(find(), format!("{}: no config.json", folder.place()));
    folder.write("llama.q4_k_m.gguf", "GGUF");
    assert!(find().ends_with("no config.json; there is llama.q4_k_m.gguf: name that file, it holds a whole model"));
    std::fs::remove_file(folder.0.join("llama.q4_k_m.gguf")).unwrap();
    folder.write("params.json", "{}");
    assert!(
        find().ends_with(
            "no config.json; there is params.json: the same model in transformers' layout has a config.json"
        )
    );
    folder.write("adapter_config.json", "{}");
    assert!(find().contains("no config.json; there is adapter_config.json: name the model that it adapts"));
    folder.write("bert_config.json", "{}");
    assert!(find().ends_with("no config.json; there is bert_config.json: name that file if it describes the model"));
}

#[test]
fn a_config_is_read_from_any_reader() {
    let json = std::fs::read(fixture("configs/gpt2-xl.cfg")).unwrap();
    let spec = ModelSpec::from_reader("stdin", &json[..]).unwrap();
    assert_eq!((spec.name(), spec.model_type()), ("stdin", "gpt2"));
    assert!(refused(spec.files()).contains("a config alone, with no weights or tokenizer beside it"));
    assert!(refused(ModelSpec::from_reader("stdin", &b"hello"[..])).starts_with("stdin: no model's config"));
}
