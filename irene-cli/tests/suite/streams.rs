//! Standard input, pipes, and signals that end a command.

use std::{io::Write, process::Stdio, time::Duration};

use serde_json::Value;

use crate::command::{Folder, Says, command, fed, text_of, training_data};

#[test]
fn a_dash_is_standard_input() {
    let folder = Folder::new("stdin");
    let trees = std::fs::read_to_string(training_data(&folder)).unwrap();
    let config = r#"{"model_type":"distilbert","dim":64,"n_layers":2,"n_heads":4,"hidden_dim":128,"vocab_size":50,
        "max_position_embeddings":64}"#;
    for command in ["predict", "trace"] {
        text_of(&fed(&[command, "-", "-b", "1", "-s", "8"], config)).says("root DistilBertModel");
    }
    text_of(&fed(&["predict", "-"], &trees)).says("distilgpt2");
    text_of(&fed(&["explain", "-", "root.0", "-b", "16"], &trees)).says("of distilgpt2, batch 16");
    let crossvalidated = fed(&["crossvalidate", "-", "--method", "specs"], &trees);
    text_of(&crossvalidated).says("distilgpt2");
    let bad = fed(&["predict", "-"], &trees[..trees.len() / 2]);
    String::from_utf8(bad.stderr).unwrap().says("stdin, line 3");
    let records = Value::from(crate::command::records("6", "small"));
    let device = serde_json::json!({ "device": "toy", "records": records }).to_string();
    let output = folder.path("surrogates.json");
    assert!(fed(&["explore", "fit", "-", "--space", "small", "-o", &output], &device).status.success());
    assert!(text_of(&fed(&["explore", "predict", &output, "-"], &device)).starts_with("toy, learned from 6 records"));
}

#[cfg(unix)]
#[test]
fn a_signal_that_ends_a_command_leaves_no_temporary_file() {
    use std::os::unix::process::ExitStatusExt;
    const TERM: i32 = 15;
    let data = Folder::new("half");
    let trees = std::fs::read_to_string(training_data(&data)).unwrap();
    for args in [&["predict", "-", "-o"][..], &["train", "-", "--method", "specs", "-o"]] {
        let folder = Folder::new("ended");
        let output = folder.path("out.jsonl");
        let mut writes = command(&[args, &[output.as_str()]].concat());
        let quiet = writes.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = quiet.env("TMPDIR", &folder.0).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(trees.lines().next().unwrap().as_bytes()).unwrap();
        input.write_all(b"\n").unwrap();
        // Whether the folder can be written is tried by a file that goes at once.
        let mut seen = 0;
        for _ in 0..600 {
            seen = if folder.files().is_empty() { 0 } else { seen + 1 };
            if seen > 2 {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(seen > 2, "{args:?}: no temporary file");
        let kill = ["-TERM", &child.id().to_string()];
        assert!(std::process::Command::new("kill").args(kill).status().unwrap().success());
        assert_eq!(child.wait().unwrap().signal(), Some(TERM), "{args:?}");
        assert_eq!(folder.files(), [""; 0], "{args:?}");
    }
}

/// The first bytes of a pipe may be too few to tell what it is.
#[test]
fn standard_input_is_known_however_slowly_it_comes() {
    let folder = Folder::new("slowly");
    let trees = std::fs::read(training_data(&folder)).unwrap();
    let mut child =
        command(&["predict", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for part in [&trees[..1], &trees[1..30], &trees[30..]] {
        let _ = input.write_all(part);
        std::thread::sleep(Duration::from_millis(300));
    }
    drop(input);
    text_of(&child.wait_with_output().unwrap()).says("distilgpt2");
}

#[test]
fn standard_input_is_not_given_twice() {
    let folder = Folder::new("twice");
    let trees = std::fs::read_to_string(training_data(&folder)).unwrap();
    let table = ["import", "csv", "-", "-", "--columns", "model,batch_size,seq_len,energy:J", "-o", "-"];
    for twice in [&["evaluate", "-", "-"][..], &["predict", "-", "-"], &table] {
        let output = fed(twice, &trees);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(complaint.contains("stdin: it is read once alone"), "{complaint}");
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_as_a_file_is() {
    use crate::command::{good, irene};
    let folder = Folder::new("pipe");
    let (data, pipe) = (training_data(&folder), folder.path("pipe"));
    let trees = std::fs::read(&data).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let through = |args: &[&str]| {
        let (pipe, trees) = (pipe.clone(), trees.clone());
        let writer = std::thread::spawn(move || std::fs::write(pipe, trees));
        let text = text_of(&irene(args));
        let _ = writer.join();
        text
    };
    through(&["train", &pipe, "--method", "specs", "-o", &folder.path("mine.safetensors")]);
    through(&["predict", &pipe]).says("distilgpt2");
    let predicted = folder.path("predicted.jsonl");
    good(&["predict", &data, "-o", &predicted]);
    through(&["evaluate", &pipe, &predicted]).says("percentage error");
}
