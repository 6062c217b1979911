//! The help texts: commands and flags stand in the same groups everywhere.

use clap::{Arg, Command, CommandFactory};

/// The commands, by what a person wants.
const COMMANDS: [(&str, &[&str]); 8] = [
    ("Predict", &["predict", "operations"]),
    ("Understand", &["trace", "explain", "models", "devices"]),
    ("Save energy", &["whatif", "suggest", "plan", "explore"]),
    ("Measure", &["doctor", "sample", "profile", "bench", "run"]),
    ("Calibrate and judge predictors", &["import", "calibrate", "train", "evaluate", "crossvalidate"]),
    ("Serve", &["serve", "report"]),
    ("Reproduce the papers", &["reproduce"]),
    ("Set up", &["config", "completions", "man"]),
];

/// The flags by their ids, in the order that every command shows them. Those that are not named belong to one command.
const FLAGS: [(&str, &[&str]); 11] = [
    ("Records and designs", &["space", "measure", "samples", "active", "budget", "initial", "sampling", "shard"]),
    (
        "Input",
        &[
            "batch_size",
            "seq_len",
            "prompt",
            "past",
            "generate",
            "concurrency",
            "rate",
            "text",
            "text_file",
            "tokenizer",
            "input",
            "chat",
            "system",
        ],
    ),
    ("How the model runs", &["dtype", "weights", "random_weights", "cache", "kernels", "head", "engine"]),
    (
        "Device and predictor",
        &["device", "device_spec", "power_limit", "method", "strategy", "features", "predictor", "name", "memory_gib"],
    ),
    ("Meter", &["meter", "host_power", "tdp_watts", "log_ahead", "period", "subtract_idle"]),
    ("Rounds", &["quick", "round", "rounds", "most_rounds", "cool_down", "stand_by", "target"]),
    ("Several GPUs", &["tensor_parallel", "pipeline_parallel", "expert_parallel", "data_parallel", "max_gpus"]),
    (
        "Training",
        &[
            "train",
            "optimizer",
            "checkpoint",
            "accumulate",
            "lora_rank",
            "no_master_weights",
            "steps",
            "tokens",
            "learning_rate",
        ],
    ),
    ("Bounds", &["max_ttft", "max_itl", "max_latency"]),
    ("Money and emissions", &["price_per_kwh", "gpu_hour_price", "grid_intensity"]),
    ("Output", &["format", "output", "resume", "depth", "unfold", "top", "math", "every", "plot", "html"]),
];

/// The command line of `C`, its help in groups.
pub(crate) fn command<C: CommandFactory>() -> Command {
    let command = grouped(C::command());
    let mut list = String::new();
    for (title, names) in COMMANDS {
        let line = |name: &&str| {
            let about = command.find_subcommand(name)?.get_about()?.to_string();
            Some(format!("  {name:15}{about}\n"))
        };
        list += &format!("{title}:\n{}\n", names.iter().filter_map(line).collect::<String>());
    }
    command
        .help_template(format!("{{about}}\n\n{{usage-heading}} {{usage}}\n\n{list}Options:\n{{options}}{{after-help}}"))
}

/// Every flag of the command and of those inside it in its group.
fn grouped(command: Command) -> Command {
    command.mut_args(placed).mut_subcommands(grouped)
}

fn placed(arg: Arg) -> Arg {
    let group = |(title, ids): &(&'static str, &[&str])| {
        let place = ids.iter().position(|id| *id == arg.get_id().as_str())?;
        Some((*title, place))
    };
    match FLAGS.iter().find_map(group) {
        Some((title, place)) if !arg.is_positional() && arg.get_help_heading().is_none() => {
            arg.help_heading(title).display_order(place)
        }
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Visits a command and those inside it, each with its full name.
    fn each(command: &Command, name: &str, visit: &mut dyn FnMut(&str, &Command)) {
        visit(name, command);
        command.get_subcommands().for_each(|inner| each(inner, &format!("{name} {}", inner.get_name()), visit));
    }

    #[test]
    fn every_command_is_in_one_group_and_has_a_line() {
        let command = command::<crate::Cli>();
        let listed: Vec<&str> = COMMANDS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        for inner in command.get_subcommands() {
            let name = inner.get_name();
            assert_eq!(listed.iter().filter(|known| **known == name).count(), 1, "{name}");
        }
        let text = command.clone().render_help().to_string();
        assert!(text.lines().filter(|line| line.starts_with("  ")).all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn groups_of_flags_come_in_the_same_order_everywhere() {
        let place = |title: &str| FLAGS.iter().position(|(known, _)| *known == title);
        each(&command::<crate::Cli>(), "irene", &mut |name, command| {
            let places: Vec<_> = command.get_arguments().filter_map(|arg| place(arg.get_help_heading()?)).collect();
            let mut firsts: Vec<usize> = Vec::new();
            places.iter().for_each(|place| {
                if !firsts.contains(place) {
                    firsts.push(*place);
                }
            });
            assert!(firsts.is_sorted(), "{name}: {:?}", firsts.iter().map(|&at| FLAGS[at].0).collect::<Vec<_>>());
        });
    }

    #[test]
    fn a_flag_in_a_group_is_one_of_some_command() {
        let mut ids = std::collections::BTreeSet::new();
        each(&command::<crate::Cli>(), "irene", &mut |_, command| {
            ids.extend(command.get_arguments().map(|arg| arg.get_id().to_string()));
        });
        for id in FLAGS.iter().flat_map(|(_, ids)| *ids).filter(|_| cfg!(feature = "candle")) {
            assert!(ids.contains(*id), "{id}");
        }
    }
}
