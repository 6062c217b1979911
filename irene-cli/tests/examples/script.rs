//! Calls of `irene` in a script of the shell's.

use std::ops::Range;

use crate::{Change, INSTEAD, PLACEHOLDERS};

/// Words that may stand before a command in a line.
const BEFORE: [&str; 7] = ["exec", "srun", "do", "then", "time", "--", "$"];

/// A word as it stands, quotes and all, or what separates commands.
struct Token {
    at: Range<usize>,
    is_word: bool,
}

/// Up to a comment. Lines must have been joined where they go on.
fn tokens(line: &str) -> Vec<Token> {
    let (mut tokens, mut start, mut quote) = (Vec::new(), None, None);
    let word = |tokens: &mut Vec<Token>, start: &mut Option<usize>, end| {
        tokens.extend(start.take().map(|start| Token { at: start..end, is_word: true }));
    };
    let mut end = line.len();
    for (at, c) in line.char_indices() {
        match (c, quote) {
            (c, Some(open)) => quote = (c != open).then_some(open),
            ('#', None) if start.is_none() => {
                end = at;
                break;
            }
            (c, None) if c.is_whitespace() => word(&mut tokens, &mut start, at),
            ('|' | '&' | ';' | '<' | '>' | '(' | ')', None) => {
                word(&mut tokens, &mut start, at);
                tokens.push(Token { at: at..at + 1, is_word: false });
            }
            (c, None) => {
                quote = matches!(c, '\'' | '"').then_some(c);
                start.get_or_insert(at);
            }
        }
    }
    word(&mut tokens, &mut start, end);
    tokens
}

/// Where the calls of `irene` in a line are, from that word to the last argument.
fn calls_in_line(line: &str) -> Vec<(Range<usize>, Vec<String>)> {
    let tokens = tokens(line);
    let text = |token: &Token| line[token.at.clone()].to_owned();
    let is_call = |at: &usize| {
        let before = at.checked_sub(1).map(|at| &tokens[at]);
        text(&tokens[*at]) == "irene" && before.is_none_or(|before| !before.is_word || BEFORE.contains(&&*text(before)))
    };
    let call = |at: usize| {
        let words: Vec<&Token> = tokens[at..].iter().take_while(|token| token.is_word).collect();
        let end = words.last().map_or(0, |last| last.at.end);
        (tokens[at].at.start..end, words.into_iter().map(text).collect())
    };
    (0..tokens.len()).filter(is_call).map(call).collect()
}

/// The words of every call of `irene`, `irene` among them.
pub(crate) fn calls(script: &str) -> Vec<Vec<String>> {
    script.lines().flat_map(calls_in_line).map(|(_, words)| words).collect()
}

/// The files to which the shell, or another program, is told to write, as far as no variable is in their names.
pub(crate) fn written(script: &str) -> Vec<String> {
    let in_line = |line: &str| {
        let tokens: Vec<String> = tokens(line).into_iter().map(|token| line[token.at].to_owned()).collect();
        let pairs = tokens.windows(2).filter(|pair| [">", "-o"].contains(&pair[0].as_str()));
        pairs.map(|pair| pair[1].trim_matches('"').to_owned()).filter(|name| !name.contains('$')).collect::<Vec<_>>()
    };
    script.lines().flat_map(in_line).collect()
}

/// Whether a call is of this command.
pub(crate) fn is_of(call: &[String], command: &[&str]) -> bool {
    call.len() > command.len() && call[1..].iter().zip(command).all(|(word, name)| word == name)
}

/// Whether a script prints the same on every machine: nothing is measured, and no file is read.
pub(crate) fn is_certain(script: &str) -> bool {
    const COMMANDS: [&str; 8] = ["devices", "explain", "models", "plan", "predict", "suggest", "trace", "whatif"];
    const FILES: [&str; 5] = [".csv", ".jsonl", ".json", ".safetensors", ".gguf"];
    calls(script).iter().all(|call| {
        COMMANDS.contains(&call[1].as_str())
            && !call.iter().any(|word| FILES.iter().any(|ending| word.ends_with(ending)))
    })
}

/// The script with the words of each call of `irene` changed.
pub(crate) fn rewritten(script: &str, mut change: impl FnMut(&mut Vec<String>)) -> String {
    let line = |line: &str| {
        let mut out = line.to_owned();
        for (at, mut words) in calls_in_line(line).into_iter().rev() {
            change(&mut words);
            out.replace_range(at, &words.join(" "));
        }
        out + "\n"
    };
    script.lines().map(line).collect()
}

/// Puts one of many in the place of each word that stands for them.
pub(crate) fn without_placeholders(script: &str) -> String {
    rewritten(script, |words| {
        for at in 1..words.len() {
            let of = |(option, name, _): &&(&str, &str, &str)| {
                words[at] == *name && (option.is_empty() || words[at - 1] == *option)
            };
            if let Some((_, _, value)) = PLACEHOLDERS.iter().find(of) {
                (*value).clone_into(&mut words[at]);
            }
        }
    })
}

/// The script as it is run, with the ports that servers have in it.
pub(crate) fn runnable(script: &str) -> (String, Option<Served>) {
    let mut served = None;
    let mut script = rewritten(script, |words| {
        if let Some(instead) = INSTEAD.iter().find(|instead| is_of(words, instead.command)) {
            for change in instead.changes {
                apply(*change, words, instead.command.len(), &mut served);
            }
        }
    });
    if let Some(served) = &mut served {
        let in_background = |line: &str| calls(line).iter().any(|call| is_of(call, &["serve"])) && line.contains(" &");
        served.is_last = !script.lines().any(in_background);
        script = script.replace(&format!("127.0.0.1:{}", served.from), &format!("127.0.0.1:{}", served.port));
    }
    (script, served)
}

/// A server of a script.
pub(crate) struct Served {
    /// The port that the script gives it.
    pub(crate) from: String,
    pub(crate) port: u16,
    /// Whether the script goes no further while it runs.
    pub(crate) is_last: bool,
}

fn apply(change: Change, words: &mut Vec<String>, command_len: usize, served: &mut Option<Served>) {
    match change {
        Change::Always(names, values) => set(words, names, values),
        Change::Given(name, value) if words.iter().any(|word| word == name) => set(words, &[name], &[value]),
        Change::Operand(operand) => operand.clone_into(&mut words[command_len + 1]),
        Change::OperandWith(option, operand) if words.iter().any(|word| word == option) => {
            operand.clone_into(&mut words[command_len + 1]);
        }
        Change::ShortRounds(of) if of.is_none_or(|of| words.iter().any(|word| word == of)) => {
            for (name, value) in [("--round", "0.1"), ("--rounds", "2"), ("--most-rounds", "2"), ("--period", "2")] {
                set(words, &[name], &[value]);
            }
        }
        Change::Given(..) | Change::OperandWith(..) | Change::ShortRounds(_) => {}
        Change::Served => {
            let given = words.iter().position(|word| word == "--port").and_then(|at| words.get(at + 1));
            let from = given.map_or("7878", String::as_str).to_owned();
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            set(words, &["--port"], &[&port.to_string()]);
            *served = Some(Served { from, port, is_last: true });
        }
    }
}

fn set(words: &mut Vec<String>, names: &[&str], values: &[&str]) {
    if let Some(at) = words.iter().position(|word| names.contains(&word.as_str())) {
        let old = if values.is_empty() {
            0
        } else {
            words[at + 1..].iter().take_while(|word| !word.starts_with('-')).count()
        };
        words.drain(at..=at + old);
    }
    words.extend(names.iter().take(1).chain(values).map(|word| (*word).to_owned()));
}

#[test]
fn files_that_are_written_are_known() {
    assert_eq!(written("irene a > b # > c\nirene d | dot -o \"e f\" > \"$g\""), ["b", "e f"]);
}

#[test]
fn calls_are_found_as_a_shell_finds_them() {
    let words = |script: &str| calls(script).into_iter().map(|call| call.join("~")).collect::<Vec<_>>();
    assert_eq!(words("irene a 'b c'  \"$D/1\" -- e # irene f"), ["irene~a~'b c'~\"$D/1\"~--~e"]);
    assert_eq!(words("irene a b#c > d"), ["irene~a~b#c"]);
    assert_eq!(words("cat a | irene b; irene c | irene d"), ["irene~b", "irene~c", "irene~d"]);
    assert_eq!(
        words("srun irene a\n  exec irene b &\necho irene c\ncargo run -p irene-cli -- d"),
        ["irene~a", "irene~b"]
    );
    let (script, _) = runnable("irene profile gpt2 -b 1,8 --quick -o 'a b' | tee c");
    assert!(script.starts_with("irene profile ./my-bert -b 1,8 -o 'a b' --quick --round 0.1"), "{script}");
    assert!(script.ends_with(" | tee c\n"), "{script}");
}
