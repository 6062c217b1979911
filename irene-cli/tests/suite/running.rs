//! `irene run`: a pass over given ids, and what it lacks.

use crate::command::{Folder, Says, fixture, good, refused};

#[test]
fn a_model_runs_on_given_ids_and_writes_what_it_gives() {
    let folder = Folder::new("run");
    let (model, out) = (fixture("bert"), folder.path("out.safetensors"));
    let input = fixture("bert/io.safetensors");
    good(&["run", &model, "--input", &input, "--output", &out, "--all", "--repeat", "2"])
        .says("last_hidden_state  3x17x32 f32")
        .says("of 2 runs (measured)");
    let bytes = std::fs::read(&out).unwrap();
    String::from_utf8_lossy(&bytes[8..400]).says("out.root");
    good(&["run", "google/bert_uncased_L-2_H-128_A-2", "--random-weights", "1", "-b", "2", "-s", "8"])
        .says("pooler_output      2x128 f32");
}

#[test]
fn what_a_run_lacks_is_named() {
    let folder = Folder::new("lack");
    let model = fixture("bert");
    refused(1, &["run", "gpt2", "-b", "1", "-s", "4", "--weights", &folder.path("nowhere")])
        .says("no weights; give --weights PATH, or --random-weights SEED");
    refused(1, &["run", &model, "--text", "hello"]).says("--text needs the model's tokenizer.json");
    refused(1, &["run", &model, "-b", "1", "-s", "41"]).says("sequence length 41 is longer than");
    refused(2, &["run", &model]).says("give --text, --text-file, --input, or --batch-size and --seq-len");
    refused(2, &["run", &model, "-b", "1"]).says("--seq-len");

    let whole = std::fs::read(fixture("bert/model.safetensors")).unwrap();
    let cut = folder.path("cut.safetensors");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    refused(1, &["run", &model, "--weights", &cut, "-b", "1", "-s", "4"]).says("cut.safetensors: ends after ");
    refused(1, &["run", &model, "--weights", &fixture("gpt2"), "-b", "1", "-s", "4"])
        .says("tensor `embeddings.word_embeddings.weight`: expected 96x32, found no such tensor");
    // The ids of another model's fixture reach beyond a smaller vocabulary.
    let config = std::fs::read_to_string(fixture("bert/config.json")).unwrap();
    let small = folder.write("small.json", &config.replace("\"vocab_size\": 96", "\"vocab_size\": 50"));
    refused(1, &["run", &small, "--random-weights", "1", "--input", &fixture("bert/io.safetensors")])
        .says("beyond the vocabulary of 50");
    refused(1, &["run", &model, "--input", &fixture("bert/model.safetensors")]).says("no tensor `input_ids`");
}
