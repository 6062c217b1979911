//! Finds the examples: in the help of every command, and in every README and page of the documentation.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

use crate::{command::good, script};

/// Commands that a reader may type.
pub(crate) struct Example {
    /// Where it stands.
    pub(crate) origin: String,
    /// The document it stands in, and the line where it begins.
    pub(crate) document: Option<(PathBuf, usize)>,
    /// Lines of a shell's.
    pub(crate) script: String,
    /// Lines that a document shows of its output.
    pub(crate) shown: Vec<String>,
}

impl Example {
    /// One that shows nothing.
    pub(crate) fn of_call(origin: String, call: &str) -> Self {
        Self { origin, document: None, script: call.to_owned(), shown: Vec::new() }
    }

    /// Writes what is printed now into the document, in the place of these lines that it shows.
    pub(crate) fn rewrite(&self, lines: &[(&str, &str)]) {
        // Several examples of one page run at a time.
        static WRITING: Mutex<()> = Mutex::new(());
        let Some((path, first)) = &self.document else { return };
        let _writing = WRITING.lock().unwrap();
        let text = fs::read_to_string(path).unwrap();
        let mut document: Vec<&str> = text.lines().collect();
        let mut at = *first;
        for (shown, printed) in lines {
            at += document[at..].iter().position(|line| line == shown).unwrap();
            document[at] = printed;
        }
        fs::write(path, document.join("\n") + "\n").unwrap();
    }
}

/// A command by its names, with its help.
pub(crate) struct Command {
    names: Vec<String>,
    help: String,
}

/// The commands that `irene help` leads to.
pub(crate) fn commands() -> Vec<Command> {
    let (mut commands, mut left) = (Vec::new(), vec![Vec::new()]);
    while let Some(names) = left.pop() {
        let words: Vec<&str> = names.iter().map(String::as_str).chain(["--help"]).collect();
        let help = good(&words);
        // Commands stand in groups before the options. Arguments begin with a bracket, and descriptions go on further to the right;
        // `help` repeats the others.
        let listed = help.lines().take_while(|line| *line != "Options:").filter_map(|line| line.strip_prefix("  "));
        let listed = listed.filter(|line| line.starts_with(|letter: char| letter.is_ascii_lowercase()));
        for name in listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
            left.push([&names[..], &[name.to_owned()]].concat());
        }
        commands.push(Command { names, help });
    }
    commands
}

/// The examples of every command's help; a command without others below it has some of its own.
pub(crate) fn of_help(commands: &[Command]) -> Vec<Example> {
    let mut examples = Vec::new();
    for Command { names, help } in commands {
        let at = help.find("\nExample").map_or(help.len(), |at| at + 1);
        let shown = joined(&help[at..]);
        let is_call = |line: &&str| line.starts_with("irene ");
        let scripts: Vec<&str> = shown.lines().map(str::trim).filter(is_call).collect();
        let own: Vec<&str> = names.iter().map(String::as_str).collect();
        let has_own = scripts.iter().flat_map(|line| script::calls(line)).any(|call| script::is_of(&call, &own));
        let has_others = commands.iter().any(|other| other.names.len() > names.len() && other.names.starts_with(names));
        assert!(has_own || has_others, "`irene {} --help` has no example of it", names.join(" "));
        let origin = format!("irene {} --help", names.join(" "));
        let example = |line: &str| Example::of_call(origin.clone(), line);
        examples.extend(scripts.into_iter().map(example));
    }
    examples
}

/// The examples of the READMEs and the documentation.
pub(crate) fn of_documents(commands: &[Command]) -> Vec<Example> {
    let mut examples = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    for path in documents(&root) {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        for (line, script) in in_document(&text) {
            let calls = script::calls(&script);
            // In prose `irene predict` stands for the command.
            let is_name = |call: &Vec<String>| commands.iter().any(|command| command.names == call[1..]);
            let is_prose = calls.len() == 1 && script.trim() == calls[0].join(" ") && is_name(&calls[0]);
            if calls.is_empty() || is_prose {
                continue;
            }
            let script = script::without_placeholders(&script);
            let shown = shown_after(&text, line);
            let document = Some((path.clone(), line));
            examples.push(Example { origin: format!("{name}, line {line}"), document, script, shown });
        }
    }
    examples
}

/// Only the first of those that say the same, and those that show what is printed.
pub(crate) fn drop_repeated(examples: &mut Vec<Example>) {
    let mut seen = HashSet::new();
    examples.retain(|example| seen.insert(example.script.trim().to_owned()) || !example.shown.is_empty());
}

/// The lines of a block of text that stands right behind the block of a shell's that begins in this line. `...` stands for others.
fn shown_after(text: &str, line: usize) -> Vec<String> {
    let mut lines = text.lines().skip(line - 2);
    if lines.next() != Some("```sh") {
        return Vec::new();
    }
    let behind = lines.skip_while(|line| *line != "```").skip(1);
    let mut behind = behind.skip_while(|line| line.is_empty());
    if behind.next() != Some("```text") {
        return Vec::new();
    }
    let block = behind.take_while(|line| *line != "```");
    block.filter(|line| !line.is_empty() && *line != "...").map(str::to_owned).collect()
}

/// At the root, in `docs`, and in the crates' folders.
fn documents(root: &Path) -> Vec<PathBuf> {
    let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() && !is_hidden(&path) && path != root.join("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Lines that go on with a backslash as one.
fn joined(text: &str) -> String {
    text.replace("\\\n", " ")
}

/// The texts in blocks and between backticks, each with the number of its first line.
fn in_document(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(text.lines()).peekable();
    while let Some((number, line)) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let block: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| !line.trim_start().starts_with("```")).collect();
            let block = joined(&(block.join("\n") + "\n"));
            match language {
                "" | "sh" | "bash" | "shell" => found.push((number + 1, block)),
                // Texts are what is printed, Rust is compiled.
                "text" => {}
                language if language.starts_with("rust") => {}
                _ => found.extend(block.lines().filter_map(quoted).map(|call| (number + 1, call))),
            }
        } else if let Some(line) = line.strip_prefix("    ") {
            let mut block = line.to_owned() + "\n";
            while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with("    ")) {
                block += &line[4..];
                block.push('\n');
            }
            found.push((number, joined(&block)));
        } else {
            let mut paragraph = line.to_owned();
            let is_more =
                |line: &str| !line.is_empty() && !line.starts_with("    ") && !line.trim_start().starts_with("```");
            while let Some((_, line)) = lines.next_if(|(_, line)| is_more(line)) {
                paragraph.push('\n');
                paragraph += line;
            }
            let mut at = number;
            // Text, code, text, code ...
            for (index, span) in paragraph.split('`').enumerate() {
                if index % 2 == 1 {
                    found.push((at, span.replace('\n', " ")));
                }
                at += span.matches('\n').count();
            }
        }
    }
    found
}

/// A call that stands in quotes, as in a list of a container's arguments.
fn quoted(line: &str) -> Option<String> {
    let start = line.find("\"exec irene ")? + 1;
    let end = line[start..].find('"')?;
    Some(line[start..start + end].to_owned())
}

#[test]
fn examples_stand_in_blocks_and_between_backticks() {
    let text = "a `b c` and `d\ne`\n\n    f \\\n    g\n    h\n\n```sh\ni\nj\n```\nk\n```yaml\nx: [sh, -c, \"exec irene l\"]\n```\n";
    let found: Vec<(usize, String)> = in_document(text);
    let found: Vec<(usize, &str)> = found.iter().map(|(line, script)| (*line, script.as_str())).collect();
    assert_eq!(found, [(1, "b c"), (1, "d e"), (4, "f  g\nh\n"), (9, "i\nj\n"), (14, "exec irene l")]);
}

#[test]
fn what_is_printed_stands_right_behind_the_call() {
    let text = "```sh\na\n```\n\n```text\nb\n...\n\n  c\n```\n```sh\nd\n```\ne\n```text\nf\n```\n";
    assert_eq!(shown_after(text, 2), ["b", "  c"]);
    assert!(shown_after(text, 12).is_empty());
}
