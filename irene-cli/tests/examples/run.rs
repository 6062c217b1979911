//! Runs an example as it stands.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    LIMIT, PROGRAMS,
    collect::Example,
    inputs::Inputs,
    script::{self, Served},
};

/// Whether the machine has the program.
pub(crate) fn in_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Runs an example in a folder of its own; what is wrong with it otherwise.
pub(crate) fn run(example: &Example, inputs: &Inputs) -> Result<(), String> {
    let is_lacking = |name: &str| example.script.split_whitespace().any(|word| word == name) && !in_path(name);
    if let Some(lacking) = PROGRAMS.iter().find(|program| program.stand_in.is_none() && is_lacking(program.name)) {
        println!("skipped: {} needs {}, which is not on this machine", example.origin, lacking.name);
        return Ok(());
    }
    let place = inputs.place(&example.script);
    let result = Run::of(example, inputs, &place).and_then(|run| {
        run.shows(example)?;
        run.checked()
    });
    // All examples' files together would be many.
    let _ = fs::remove_dir_all(&place);
    result.map_err(|reason| format!("{}:\n{}\n{reason}\n", example.origin, example.script.trim_end()))
}

/// Runs a line that has to go well, in this folder.
pub(crate) fn by_hand(line: &str, inputs: &Inputs, place: &Path) {
    let example = Example::of_call(line.to_owned(), line);
    let run = Run::of(&example, inputs, place).and_then(Run::checked);
    run.unwrap_or_else(|reason| panic!("{line}: {reason}"));
    for name in [OUT, ERR, CALLS] {
        fs::remove_file(place.join(name)).unwrap();
    }
}

const OUT: &str = ".stdout";
const ERR: &str = ".stderr";
const CALLS: &str = ".calls";

/// An example that ran.
struct Run<'a> {
    place: &'a Path,
    /// As it ran.
    script: String,
    /// How it ended; not at all where a server was stopped.
    status: Option<std::process::ExitStatus>,
}

impl<'a> Run<'a> {
    fn of(example: &Example, inputs: &Inputs, place: &'a Path) -> Result<Self, String> {
        let (script, served) = script::runnable(&example.script);
        for call in script::calls(&script) {
            outputs(&call).into_iter().for_each(|name| drop(fs::remove_file(place.join(name))));
        }
        fs::write(place.join(CALLS), "").unwrap();
        let mut child = Command::new("sh")
            .args(["-e", "-c", &script])
            .current_dir(place)
            .envs(inputs.variables())
            .env("COLUMNS", columns(&example.shown).to_string())
            .env("IRENE_CALLS", place.join(CALLS))
            .stdin(Stdio::null())
            .stdout(File::create(place.join(OUT)).unwrap())
            .stderr(File::create(place.join(ERR)).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        let ended = wait(&mut child, served.as_ref());
        // With servers behind it, all of the group that the child leads.
        let group = format!("kill -KILL -{} 2>/dev/null", child.id());
        let _ = Command::new("sh").args(["-c", &group]).status();
        let _ = child.wait();
        let run = Self { place, script, status: ended.clone().ok().flatten() };
        ended.map_err(|reason| run.failed(&reason))?;
        Ok(run)
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.place.join(name)).unwrap_or_default()).into_owned()
    }

    fn failed(&self, reason: &str) -> String {
        let (script, out, err) = (self.script.trim_end(), self.read(OUT), self.read(ERR));
        format!("ran as:\n{script}\n{reason}\nstdout:\n{}\nstderr:\n{}", end(&out), end(&err))
    }

    /// The lines that the document shows were printed, in their order. Where figures depend on the machine or on made-up files, their
    /// words were. With the variable `IRENE_WRITE` the document gets the new figures instead.
    fn shows(&self, example: &Example) -> Result<(), String> {
        let printed = self.read(ERR) + &self.read(OUT);
        let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
        let is_certain = script::is_certain(&example.script);
        let writes = is_certain && std::env::var_os("IRENE_WRITE").is_some();
        let (mut next, mut changed) = (0, Vec::new());
        for shown in &example.shown {
            let exact = || printed[next..].iter().position(|line| *line == shown.trim_end());
            let alike = || printed[next..].iter().position(|line| words(line) == words(shown));
            let found = if is_certain { exact().or_else(|| alike().filter(|_| writes)) } else { alike() };
            let Some(found) = found else {
                let printed = printed.join("\n");
                return Err(
                    self.failed(&format!("the document shows `{shown}`, which is not printed there:\n{printed}"))
                );
            };
            changed.push((shown.as_str(), printed[next + found]));
            next += found + 1;
        }
        if writes {
            example.rewrite(&changed);
        }
        Ok(())
    }

    /// Every call went well, and what it should write is there.
    fn checked(self) -> Result<(), String> {
        if let Some(status) = self.status.filter(|status| !status.success()) {
            return Err(self.failed(&status.to_string()));
        }
        let mut is_anything_written = self.status.is_none() || !self.read(OUT).is_empty();
        let calls = self.read(CALLS);
        for call in calls.split("\n\n").filter(|call| !call.is_empty()) {
            let words: Vec<String> = call.lines().map(str::to_owned).collect();
            if words[0] != "0" {
                return Err(self.failed(&format!("irene {} ended with {}", words[1..].join(" "), words[0])));
            }
            for name in outputs(&words) {
                if !is_filled(&self.place.join(&name)) {
                    return Err(self.failed(&format!("nothing is in {name}")));
                }
                is_anything_written = true;
            }
        }
        for name in script::written(&self.script) {
            let name = name.replace('~', &self.place.join("../home").display().to_string());
            if !is_filled(&self.place.join(&name)) {
                return Err(self.failed(&format!("nothing is in {name}")));
            }
            is_anything_written = true;
        }
        if is_anything_written { Ok(()) } else { Err(self.failed("it writes nothing")) }
    }
}

/// How it ended; nothing if its server answered instead.
fn wait(child: &mut Child, served: Option<&Served>) -> Result<Option<std::process::ExitStatus>, String> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Ok(Some(status));
        }
        if let Some(served) = served.filter(|served| served.is_last)
            && is_healthy(served.port)
        {
            return Ok(None);
        }
        if start.elapsed() > LIMIT {
            return Err(format!("it has not ended after {LIMIT:?}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_healthy(port: u16) -> bool {
    let agent =
        ureq::Agent::config_builder().proxy(None).timeout_global(Some(Duration::from_secs(10))).build().new_agent();
    agent.get(format!("http://127.0.0.1:{port}/healthz")).call().is_ok()
}

/// The width of the terminal in which these lines were printed: one as wide as usual, or wider.
fn columns(shown: &[String]) -> usize {
    if shown.iter().any(|line| line.chars().count() > 80) { 100 } else { 80 }
}

/// The words of a line, without numbers, units and names of files.
fn words(line: &str) -> String {
    let words = line.split_whitespace().filter(|word| word.chars().filter(|c| c.is_alphabetic()).count() > 2);
    words.filter(|word| !word.contains(['/', '.'])).collect::<Vec<_>>().join(" ")
}

/// The files that a call is told to write.
fn outputs(call: &[String]) -> Vec<String> {
    let own = call.iter().take_while(|word| *word != "--");
    let pairs = own.clone().zip(own.skip(1));
    pairs
        .filter(|(option, _)| ["-o", "--output", "--html"].contains(&option.as_str()))
        .map(|(_, name)| name.clone())
        .collect()
}

/// Whether a file or a folder is there and holds something.
fn is_filled(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    if metadata.is_dir() {
        fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
    } else {
        metadata.len() > 0
    }
}

/// As much of its end as a person reads.
fn end(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
