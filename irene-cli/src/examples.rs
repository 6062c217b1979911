//! Every example that a help text, a README or the documentation gives is one that the command takes.
#![allow(clippy::unwrap_used)] // a test that cannot read its documents should stop

use std::{fs, path::Path};

use clap::{CommandFactory, Parser};

use crate::Cli;

/// What the variables of scripts may hold.
const VARIABLES: [(&str, &str); 4] = [
    ("$SLURM_ARRAY_TASK_ID", "3"),
    ("$SLURM_ARRAY_TASK_COUNT", "16"),
    ("$JOB_COMPLETION_INDEX", "3"),
    ("$method", "specs"),
];

/// What stands for one of many in the documentation, after which option, and one of those.
const PLACEHOLDERS: [(&str, &str, &str); 9] = [
    ("-b", "B", "8"),
    ("-s", "S", "128"),
    ("--seed", "N", "1"),
    ("--method", "M", "specs"),
    ("--protocol", "P", "leave-size-out"),
    ("--strategy", "S", "end2end"),
    ("--shard", "I/N", "3/16"),
    ("", "MODEL", "gpt2"),
    ("", "SCOPE", "root.0"),
];

/// What precedes the arguments of `irene` where it is not called by its name.
const PREFIXES: [&str; 3] = ["cargo run --release -p irene-cli -- ", "srun irene ", "exec irene "];

#[test]
fn every_example_in_a_help_text_is_taken() {
    let mut checked = Checked::default();
    let mut command = Cli::command();
    command.build();
    let mut commands = vec![&command];
    while let Some(command) = commands.pop() {
        // `irene help` repeats their names.
        commands.extend(command.get_subcommands().filter(|command| command.get_name() != "help"));
        let Some(help) = command.get_after_help() else {
            assert!(command.has_subcommands(), "`{}` has no example in its help", command.get_name());
            continue;
        };
        let help = help.to_string();
        for line in help.lines().map(str::trim).filter(|line| line.starts_with("irene ")) {
            checked.check(&format!("help of `{}`", command.get_name()), line);
        }
    }
    checked.assert(35);
}

#[test]
fn every_command_in_the_documentation_is_taken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut checked = Checked::default();
    for dir in [root.clone(), root.join("docs"), root.join("irene-cli"), root.join("irene-regress/profiles")] {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                checked.check_document(&path);
            }
        }
    }
    checked.assert(80);
}

/// How many examples there are, and what is wrong with those that are not taken.
#[derive(Default)]
struct Checked {
    count: usize,
    refused: Vec<String>,
}

impl Checked {
    fn assert(&self, least: usize) {
        assert!(self.refused.is_empty(), "{}", self.refused.join("\n"));
        assert!(self.count >= least, "only {} examples were found", self.count);
    }

    /// What stands in blocks and between backticks.
    fn check_document(&mut self, path: &Path) {
        let text = fs::read_to_string(path).unwrap().replace("\\\n", " ");
        let mut is_block = false;
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                is_block = !is_block;
                continue;
            }
            let is_code = is_block || line.starts_with("    ");
            // Elsewhere text, code, text, code ...
            let spans = if is_code { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
            let calls = spans.into_iter().filter_map(called);
            calls.for_each(|call| self.check(&path.display().to_string(), &call));
        }
    }

    fn check(&mut self, origin: &str, call: &str) {
        self.count += 1;
        let mut words = words(call);
        substitute(&mut words);
        if let Err(error) = Cli::try_parse_from(&words)
            && !names_a_command(&words[1..])
        {
            self.refused.push(format!("{origin}: `{call}`: {error}"));
        }
    }
}

/// The call of `irene` in a line of a shell's, if it is one.
fn called(line: &str) -> Option<String> {
    let line = line.trim();
    let after = |prefix: &&str| line.split_once(*prefix).map(|(_, arguments)| format!("irene {arguments}"));
    line.starts_with("irene ").then(|| line.to_owned()).or_else(|| PREFIXES.iter().find_map(after))
}

/// In prose `irene predict` stands for the command.
fn names_a_command(names: &[String]) -> bool {
    let command = Cli::command();
    let mut command = &command;
    names.iter().all(|name| match command.find_subcommand(name) {
        Some(found) => {
            command = found;
            true
        }
        None => false,
    })
}

/// A line's words as a shell has them, up to a pipe, a redirection, `&` or a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            (' ', None) => words.extend(word.take()),
            ('|' | '>' | '&' | ';', None) => break,
            ('#', None) if word.is_none() => break,
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn substitute(words: &mut [String]) {
    for at in 1..words.len() {
        let before = words[at - 1].clone();
        let word = &mut words[at];
        for (name, value) in VARIABLES {
            *word = word.replace(name, value);
        }
        let stands_for = |(option, name, _): &&(&str, &str, &str)| {
            *name == word.as_str() && (option.is_empty() || *option == before)
        };
        if let Some((_, _, value)) = PLACEHOLDERS.iter().find(stands_for) {
            (*value).clone_into(word);
        }
    }
}

#[test]
fn words_are_a_shells() {
    assert_eq!(words("irene a 'b c'  \"$D/1\" -- e # f"), ["irene", "a", "b c", "$D/1", "--", "e"]);
    assert_eq!(words("irene a b#c > d"), ["irene", "a", "b#c"]);
    assert_eq!(words("irene a | b"), ["irene", "a"]);
}
