//! Every example that a help text, a README or the documentation gives is run: by a shell, with the real command, in a folder that has
//! the files which the documents name. Examples are found by scanning, those of pages to come too; what cannot run as it is
//! written is in the table [`INSTEAD`], with the reason and what runs instead.
#![cfg(all(unix, feature = "candle", feature = "text"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // a test that cannot be set up should stop, and say so

mod collect;
#[path = "../command/mod.rs"]
mod command;
mod inputs;
mod irene_csv;
#[path = "../../../irene-regress/tests/made_up/mod.rs"]
mod made_up;
mod run;
mod script;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use inputs::Inputs;

/// A change to a call that cannot run as it is written.
#[derive(Clone, Copy)]
enum Change {
    /// An option or a flag, by all its names, has these values, given or not.
    Always(&'static [&'static str], &'static [&'static str]),
    /// An option that is given has this value.
    Given(&'static str, &'static str),
    /// This operand stands behind the command.
    Operand(&'static str),
    /// The same where an option is given.
    OperandWith(&'static str, &'static str),
    /// Rounds as short as they can be; where an option is named, if that is given.
    ShortRounds(Option<&'static str>),
    /// A free port, wherever the example has its port. It is asked for `/healthz`, and stopped.
    Served,
}

struct Instead {
    command: &'static [&'static str],
    because: &'static str,
    changes: &'static [Change],
}

const INSTEAD: [Instead; 9] = [
    Instead {
        command: &["profile"],
        because: "measuring a model takes minutes to hours; a miniature with short rounds takes a second",
        changes: &[
            Change::Operand("./my-bert"),
            Change::OperandWith("--past", "./my-gpt2"),
            Change::Given("--past", "8"),
            Change::Always(&["--quick"], &[]),
            Change::ShortRounds(None),
        ],
    },
    Instead {
        command: &["explore", "profile"],
        because: "measuring a campaign takes minutes to days; a few small designs with short rounds take seconds",
        changes: &[
            Change::Always(&["--space"], &["small"]),
            Change::Always(&["--batch-size", "-b"], &["1"]),
            Change::Always(&["--seq-len", "-s"], &["16"]),
            Change::Given("--samples", "6"),
            Change::Always(&["--quick"], &[]),
            Change::ShortRounds(None),
        ],
    },
    Instead {
        command: &["reproduce"],
        because: "it trains over and over, for minutes to hours; each thing once takes seconds",
        changes: &[
            Change::Always(&["--repeats"], &["1"]),
            Change::Always(&["--seeds"], &["1"]),
            Change::Always(&["--choices"], &["1"]),
            Change::Always(&["--limit"], &["6"]),
        ],
    },
    Instead {
        command: &["explore", "search"],
        because: "a hundred thousand designs take half a minute without optimisation; a thousand show as much",
        changes: &[Change::Given("--budget", "1000")],
    },
    Instead {
        command: &["explore", "replay"],
        because: "each seed learns from every budget anew; one shows as much",
        changes: &[Change::Given("--seeds", "1")],
    },
    Instead {
        command: &["run"],
        because: "twenty steps of training take a minute where candle is not optimised; a few show as much",
        changes: &[Change::Given("--steps", "3")],
    },
    Instead {
        command: &["bench"],
        because: "it needs a server, and windows of seconds; a scripted server and short windows take a second",
        changes: &[
            Change::Operand("\"$SCRIPTED_SERVER\""),
            Change::Given("--key-variable", "HOME"),
            Change::Given("--api", "completions"),
            Change::Always(&["--prompt"], &["16"]),
            Change::Always(&["--generate"], &["2,8"]),
            Change::Always(&["--concurrency"], &["2"]),
            Change::Always(&["--seconds"], &["0.2"]),
            Change::Always(&["--warm-up"], &["0"]),
            Change::Always(&["--stand-by"], &["0.2"]),
            Change::Always(&["--period"], &["5"]),
        ],
    },
    Instead {
        command: &["sample"],
        because: "a recording may go on for days, and its port may be taken; two seconds show as much",
        changes: &[Change::Given("--duration", "2"), Change::Given("--prometheus", "0")],
    },
    Instead {
        command: &["serve"],
        because: "a server goes on until it is stopped, and its port may be taken",
        changes: &[Change::Served, Change::ShortRounds(Some("--allow-profiling"))],
    },
];

/// Programs that examples run and a machine may lack: what stands for each, and whether it does so even where the program is. An
/// example that needs one for which nothing stands is skipped without it.
const PROGRAMS: [Program; 5] = [
    // `cargo run --release -p irene-cli -- ARGUMENTS` is the command; all else that cargo does is tested elsewhere.
    Program {
        name: "cargo",
        stand_in: Some(
            "while [ $# -gt 0 ] && [ \"$1\" != -- ]; do shift; done\n[ $# -eq 0 ] || { shift; irene \"$@\"; }",
        ),
        is_always: true,
    },
    Program { name: "srun", stand_in: Some("exec \"$@\""), is_always: true },
    Program { name: "dot", stand_in: Some("while [ \"$1\" != -o ]; do shift; done\ncat > \"$2\""), is_always: false },
    Program { name: "curl", stand_in: None, is_always: false },
    Program { name: "jq", stand_in: None, is_always: false },
];

struct Program {
    name: &'static str,
    stand_in: Option<&'static str>,
    is_always: bool,
}

/// Words of the documentation that stand for one of many: the option before the word, the word, and one of those.
const PLACEHOLDERS: [(&str, &str, &str); 10] = [
    ("-b", "B", "8"),
    ("-s", "S", "128"),
    ("--seed", "N", "1"),
    ("--method", "M", "specs"),
    ("--protocol", "P", "leave-size-out"),
    ("--strategy", "S", "end2end"),
    ("--shard", "I/N", "3/16"),
    ("", "FILES", "mine.jsonl"),
    ("", "MODEL", "gpt2"),
    ("", "SCOPE", "root.0"),
];

fn count(examples: &[collect::Example]) -> usize {
    examples.iter().map(|example| script::calls(&example.script).len()).sum()
}

#[test]
fn every_example_runs() {
    let start = Instant::now();
    let commands = collect::commands();
    let mut examples = collect::of_help(&commands);
    let in_help = count(&examples);
    examples.extend(collect::of_documents(&commands));
    let found = count(&examples);
    assert!(in_help >= 50 && found >= in_help + 70, "only {in_help} calls in help texts, {found} in all");
    collect::drop_repeated(&mut examples);
    // While a page is written: `IRENE_EXAMPLES=saving.md` runs that page's alone, and with `IRENE_WRITE=1` the page gets the new figures.
    if let Ok(origin) = std::env::var("IRENE_EXAMPLES") {
        examples.retain(|example| example.origin.contains(&origin));
    }
    // Those that train over and over begin first, so that none of them runs alone at the end.
    let is_long = |call: &Vec<String>| script::is_of(call, &["reproduce"]) || script::is_of(call, &["doctor"]);
    examples.sort_by_key(|example| !script::calls(&example.script).iter().any(is_long));
    println!("{found} calls, {} in help texts; {} of them differ", in_help, count(&examples));

    let inputs = Inputs::new();
    println!("their files took {:.1?}", start.elapsed());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut ended = Vec::new();
        while let Some(example) = examples.get(next.fetch_add(1, Ordering::Relaxed)) {
            let start = Instant::now();
            let failure = run::run(example, &inputs).err();
            ended.push((start.elapsed(), example, failure));
        }
        ended
    };
    let workers = std::thread::available_parallelism().map_or(2, usize::from) + 1; // some only wait
    let mut ended: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    ended.sort_by_key(|(time, ..)| std::cmp::Reverse(*time));
    println!("all ended after {:.1?}; the longest:", start.elapsed());
    for (time, example, _) in ended.iter().take(8) {
        println!("{:5.1} s  {}: {}", time.as_secs_f64(), example.origin, example.script.trim().replace('\n', "; "));
    }
    let failures: Vec<&str> = ended.iter().filter_map(|(_, _, failure)| failure.as_deref()).collect();
    assert!(failures.is_empty(), "{} examples fail\n\n{}", failures.len(), failures.join("\n"));
}

/// The table of exceptions is true: some example needs each of them, and each names a command.
#[test]
fn every_exception_is_needed() {
    let commands = collect::commands();
    let mut examples = collect::of_help(&commands);
    examples.extend(collect::of_documents(&commands));
    for Instead { command, because, .. } in &INSTEAD {
        let is_needed = examples
            .iter()
            .any(|example| script::calls(&example.script).iter().any(|call| script::is_of(call, command)));
        assert!(is_needed, "no example runs `irene {}`, of which the table says: {because}", command.join(" "));
    }
}

/// However busy the machine is, an example that runs for so long hangs.
const LIMIT: Duration = Duration::from_secs(300);
