//! Messages name what was typed, and the way out.

use crate::command::{Folder, Says, command, refused, words};

#[test]
fn an_option_is_told_by_the_name_that_was_typed() {
    let of = |args: &[&str]| refused(2, &[&["predict", "gpt2", "--device", "l4"], args].concat());
    of(&["--prompt", "0", "--rate", "1"]).says("invalid value '0' for '--prompt <S>'");
    of(&["--prompt=x", "--rate", "1"]).says("for '--prompt <S>'");
    of(&["--seq-len", "0", "--rate", "1"]).says("for '--seq-len <S>'");
    let both = of(&["--prompt", "8", "--sequences", "1", "--rate", "1"]);
    assert!(
        both.contains("'--sequences <B>' cannot be used with") || both.contains("with '--sequences <B>'"),
        "{both}"
    );
    assert!(
        refused(1, &["predict", "bge-m3", "--device", "l4", "--prompt", "8", "--generate", "5", "--rate", "1"])
            .ends_with("leave --generate out\n")
    );
    of_rate("10", &["--data-parallel", "2"]).says("more GPUs (a greater --data-parallel)");
}

/// The refusal of a rate that a small device cannot serve.
fn of_rate(rate: &str, more: &[&str]) -> String {
    let args = ["predict", "Llama-3.1-8B", "--device", "l4", "--prompt", "512", "--generate", "256", "--rate", rate];
    refused(1, &[&args[..], more].concat())
}

#[test]
fn a_configuration_file_that_is_not_there_is_told_from_one_that_cannot_be_read() {
    let folder = Folder::new("no-config");
    let config = |path: &str| {
        let output = command(&["config"]).env("IRENE_CONFIG", path).output().unwrap();
        assert!(output.status.success());
        words(&String::from_utf8(output.stdout).unwrap())
    };
    config(&folder.path("none.toml")).says("none.toml, which is not there");
    config(&folder.path("")).says("which cannot be read: ");
}
