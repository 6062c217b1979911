//! Laws that every forecast of training keeps, whatever the constants are.

use irene_devices::Catalogue;
use irene_predict::{
    Device, Engine, Error, Host, Law, ModelSpec, Run, TrainingForecast, TrainingLength, TrainingNote, forecast_training,
};
use irene_tree::{Checkpoint, Format, Kernels, NodeId, Optimizer, Parallel, Precision, Quantity, Size, Training};
use proptest::prelude::*;

use crate::forecast::{adds_up, is_at_least};

const MODELS: [&str; 4] = ["bert-base-uncased", "gpt2", "meta-llama/Llama-3.2-1B", "google/gemma-2-2b-it"];
/// Each has the memory for any case.
const DEVICES: [&str; 3] = ["b200", "mi300x", "h200"];

struct Case {
    model: &'static str,
    device: Device,
    run: Run,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Run { size, precision, kernels, training, .. } = self.run;
        let training = training.unwrap();
        write!(f, "{} on {}: {size:?} {precision} {} {training}", self.model, self.device.name, kernels.name())
    }
}

impl Case {
    fn of(&self, run: Run) -> Result<TrainingForecast, Error> {
        let spec = ModelSpec::find(self.model).unwrap();
        forecast_training(&spec, &self.device, Engine::find("transformers").unwrap(), run, Law::shipped())
    }

    fn good(&self) -> TrainingForecast {
        self.of(self.run).unwrap()
    }

    fn with(&self, training: Training) -> TrainingForecast {
        self.of(Run { training: Some(training), ..self.run }).unwrap()
    }

    fn at(&self, sequences: usize, new: usize) -> TrainingForecast {
        self.of(Run { size: Size::new(sequences, new), ..self.run }).unwrap()
    }

    fn training(&self) -> Training {
        self.run.training.unwrap()
    }
}

fn trainings() -> impl Strategy<Value = Training> {
    let (optimizers, checkpoints) =
        (prop::sample::select(&Optimizer::ALL[..]), prop::sample::select(&Checkpoint::ALL[..]));
    (optimizers, checkpoints, 1..5_usize, prop::sample::select(vec![0, 8]), any::<bool>()).prop_map(
        |(optimizer, checkpoint, accumulate, lora_rank, master_weights)| Training {
            optimizer,
            checkpoint,
            accumulate,
            lora_rank,
            master_weights,
        },
    )
}

fn cases() -> impl Strategy<Value = Case> {
    let kernels = prop::sample::select(vec![Kernels::Eager, Kernels::Fused]);
    let format = prop::sample::select(vec![Format::F32, Format::BF16]);
    let sizes = (1..5_usize, 16..300_usize);
    (prop::sample::select(&MODELS[..]), prop::sample::select(&DEVICES[..]), trainings(), kernels, format, sizes)
        .prop_map(|(model, device, training, kernels, format, (sequences, new))| Case {
            model,
            device: Catalogue::find(device).unwrap(),
            run: Run {
                precision: Precision::of(format),
                kernels,
                training: Some(training),
                ..Size::new(sequences, new).into()
            },
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_run_is_linear_in_its_steps(case in cases(), steps in 1..1_000_000_u32) {
        let forecast = case.good();
        let run = forecast.run_of(TrainingLength::Steps(f64::from(steps)));
        for (whole, one) in [
            (run.joules, forecast.figures.joules), (run.seconds, forecast.figures.seconds), (run.tokens, forecast.tokens), (run.flops, forecast.flops),
        ] {
            prop_assert!((whole / one / f64::from(steps) - 1.0).abs() < 1e-12);
        }
        let same = forecast.run_of(TrainingLength::Tokens(run.tokens));
        prop_assert_eq!(same, run);
        prop_assert_eq!(forecast.run_of(TrainingLength::Tokens(run.tokens + 1.0)).steps, run.steps + 1.0);
    }

    #[test]
    fn checkpoints_never_save_time_nor_cost_memory(case in cases()) {
        let training = case.training();
        let of = |checkpoint| case.with(Training { checkpoint, ..training });
        let [none, layer, full] = Checkpoint::ALL.map(of);
        for (less, more) in [(&none, &layer), (&layer, &full)] {
            prop_assert!(is_at_least(more.figures.seconds, less.figures.seconds));
            prop_assert!(is_at_least(more.figures.joules, less.figures.joules));
            prop_assert!(more.memory.total() <= none.memory.total(), "{:?} {:?}", more.memory, none.memory);
            prop_assert_eq!(more.model_flops, none.flops);
        }
        prop_assert!(layer.flops > none.flops);
    }

    #[test]
    fn more_tokens_never_cost_less(case in cases(), more in 1..30_usize) {
        let (size, base) = (case.run.size, case.good());
        let longer = case.at(size.sequences, size.new + more);
        let larger = case.at(size.sequences + more, size.new);
        let training = case.training();
        let further = case.with(Training { accumulate: training.accumulate + more, ..training });
        for other in [&longer, &larger, &further] {
            prop_assert!(is_at_least(other.figures.joules, base.figures.joules), "{:?} {:?}", other.figures, base.figures);
            prop_assert!(is_at_least(other.figures.seconds, base.figures.seconds));
            prop_assert!(other.tokens > base.tokens);
        }
        for other in [&longer, &larger] {
            prop_assert!(other.memory.total() >= base.memory.total());
        }
    }

    #[test]
    fn phases_and_tree_add_up(case in cases(), shows_math: bool) {
        let forecast = case.good();
        let spec = ModelSpec::find(case.model).unwrap();
        let engine = Engine::find("transformers").unwrap();
        let tree = forecast.tree(&spec, &case.device, engine, Law::shipped(), shows_math).unwrap();
        adds_up(&tree, forecast.figures.joules)?;
        for phase in &forecast.phases {
            let id = tree.children(NodeId::ROOT).find(|id| tree.node(*id).name() == phase.name).unwrap();
            let node = tree.node(id);
            let joules = node.times() * node.get(Quantity::PredictedEnergy).unwrap();
            prop_assert!((joules / phase.joules - 1.0).abs() < 1e-9, "{}", phase.name);
        }
    }

    #[test]
    fn figures_lie_in_their_intervals_and_below_the_limits(case in cases()) {
        let forecast = case.good();
        let [low, high] = &forecast.interval;
        let figures = &forecast.figures;
        prop_assert!(low.seconds < figures.seconds && figures.seconds < high.seconds);
        prop_assert!(low.joules < figures.joules && figures.joules < high.joules);
        prop_assert!(low.watts < figures.watts && figures.watts <= case.device.limit_w());
        prop_assert!(forecast.peak_share() > 0.0 && forecast.peak_share() < 1.0);
    }
}

fn case(model: &'static str, device: &str, run: Run) -> Case {
    Case { model, device: Catalogue::find(device).unwrap(), run }
}

fn step(sequences: usize, new: usize, format: Format) -> Run {
    Run { precision: Precision::of(format), training: Some(Training::default()), ..Size::new(sequences, new).into() }
}

#[test]
fn copies_of_a_model_wait_for_what_their_backward_pass_does_not_hide() {
    let alone = case("gpt2", "a100-sxm-80gb", step(4, 512, Format::BF16)).good();
    let parallel = Parallel { data: 4, ..Parallel::default() };
    let run = Run { parallel, ..step(16, 512, Format::BF16) };
    let copies = case("gpt2", "a100-sxm-80gb", run).good();
    let exchange = copies.phases.iter().find(|phase| phase.name == "allreduce").unwrap();
    let of_note = copies.notes.iter().find_map(|note| match note {
        TrainingNote::Overlap { exchange, exposed } => Some((*exchange, *exposed)),
        _ => None,
    });
    let (whole, exposed) = of_note.unwrap();
    assert_eq!(exposed, exchange.seconds);
    assert!(exposed > 0.0 && exposed < 0.5 * whole, "{exposed} of {whole}");
    assert!((copies.figures.seconds - alone.figures.seconds - exposed).abs() < 1e-9 * alone.figures.seconds);
    assert!(copies.figures.joules > 4.0 * alone.figures.joules);
    assert_eq!(copies.tokens, 4.0 * alone.tokens);
    // Buckets are kept beside the gradients.
    assert_eq!(copies.memory.buckets, copies.memory.step.gradients as f64);
    // Over a bus the exchange is what takes the time.
    let slow = case("gpt2", "a10", Run { parallel, ..step(4, 128, Format::BF16) }).good();
    let exchange = slow.phases.iter().find(|phase| phase.name == "allreduce").unwrap();
    assert!(exchange.seconds > 0.3 * slow.figures.seconds);
}

#[test]
fn a_pipeline_waits_by_its_micro_batches() {
    let at = |pipeline: usize, accumulate: usize| {
        let parallel = Parallel { pipeline, ..Parallel::default() };
        let training = Training { accumulate, ..Training::default() };
        let run = Run { parallel, training: Some(training), ..step(4, 1024, Format::BF16) };
        case("meta-llama/Llama-3.2-1B", "b200", run).good()
    };
    let passes = |forecast: &TrainingForecast| forecast.phases[0].seconds + forecast.phases[1].seconds;
    let (one, few, many) = (at(1, 4), at(4, 4), at(4, 32));
    // (m + p - 1)/(m p) of what one GPU takes, and what is sent between stages.
    let expected = |batches: f64| (batches + 3.0) / (4.0 * batches);
    let found = passes(&few) / passes(&one);
    assert!(found >= 0.999 * expected(4.0) && found < 1.05 * expected(4.0), "{found}");
    let found = passes(&many) / (8.0 * passes(&one));
    assert!(found >= 0.999 * expected(32.0) && found < 1.05 * expected(32.0), "{found}");
    assert!(many.peak_share() > few.peak_share());
    let bubble = few.notes.iter().find_map(|note| match note {
        TrainingNote::Bubble { share, .. } => Some(*share),
        _ => None,
    });
    assert!((bubble.unwrap() - 3.0 / 7.0).abs() < 1e-12);
}

/// The run that the fields of a way out ask for.
fn changed(run: Run, fields: &str) -> Option<Run> {
    let (mut run, mut training) = (run, run.training.unwrap());
    let mut words = fields.split_whitespace();
    while let (Some(field), Some(value)) = (words.next(), words.next()) {
        match field {
            "size.sequences" => run.size.sequences = value.parse().unwrap(),
            "training.checkpoint" => training.checkpoint = value.parse().unwrap(),
            "training.accumulate" => training.accumulate = value.parse().unwrap(),
            "training.lora_rank" => training.lora_rank = value.parse().unwrap(),
            "training.optimizer" => training.optimizer = value.parse().unwrap(),
            "run.precision" => run.precision = value.parse().unwrap(),
            "parallel.tensor" => run.parallel.tensor = value.parse().unwrap(),
            _ => return None,
        }
    }
    Some(Run { training: Some(training), ..run })
}

#[test]
fn every_way_out_of_a_memory_that_is_too_small_fits() {
    let runs = [
        ("gpt2", "rtx-4090", step(64, 1024, Format::F32)),
        ("meta-llama/Llama-3.1-8B", "h100-sxm", step(4, 2048, Format::BF16)),
        ("bert-large-uncased", "t4", step(32, 512, Format::F32)),
        ("meta-llama/Llama-3.1-70B", "h100-sxm", step(8, 4096, Format::BF16)),
    ];
    for (model, device, run) in runs {
        let case = case(model, device, run);
        let Err(Error::StepDoesNotFit { needed_gib, available_gib, ways, .. }) = case.of(run) else {
            panic!("{model} fits {device}");
        };
        assert!(needed_gib > available_gib);
        let mut tried = 0;
        for way in ways.split(", or ") {
            if let Some(run) = changed(run, way) {
                let found = case.of(run).unwrap_or_else(|error| panic!("{model} with {way}: {error}"));
                assert!(found.memory.total() <= found.memory.card);
                if way.contains("training.accumulate") {
                    // As many sequences a step.
                    let batches = found.run().training.unwrap().accumulate;
                    assert_eq!(found.run().size.sequences * batches, case.run.size.sequences, "{way}");
                }
                tried += 1;
            } else {
                let other = way.trim_end_matches(" and larger devices");
                let other = Case { device: Catalogue::find(other).unwrap(), ..case };
                other.good();
                break;
            }
        }
        assert!(tried > 0, "{model} on {device}: {ways}");
    }
}

#[test]
fn experts_that_rest_take_no_part_in_the_rule_of_thumb() {
    let run = Run { kernels: Kernels::Fused, ..step(1, 1024, Format::BF16) };
    let training = Training { lora_rank: 8, checkpoint: Checkpoint::Layer, ..Training::default() };
    let forecast = case("Qwen/Qwen3-30B-A3B", "b200", Run { training: Some(training), ..run }).good();
    // 30.5 billion, of which 3.3 billion take part, as its makers say.
    assert!((forecast.parameters / 3.35e9 - 1.0).abs() < 0.03, "{}", forecast.parameters);
    let dense = case("bert-base-uncased", "b200", step(1, 128, Format::F32)).good();
    assert!((dense.parameters / 1.1e8 - 1.0).abs() < 0.03, "{}", dense.parameters);
    assert!((dense.flops / dense.rule_flops() - 1.0).abs() < 0.25);
}

#[test]
fn energy_at_the_wall_has_the_machines_around_the_devices() {
    let case = case("bert-base-uncased", "a100-sxm-80gb", step(32, 128, Format::BF16));
    let (alone, wall) =
        (case.good(), case.good().at_the_wall(Host::Watts(300.0), &case.device, Law::shipped()).unwrap());
    assert!((wall.figures.watts - alone.figures.watts - 300.0).abs() < 1e-6);
    assert!((wall.figures.joules - alone.figures.joules - 300.0 * alone.figures.seconds).abs() < 1e-6);
    assert_eq!(wall.figures.seconds, alone.figures.seconds);
    let width = |forecast: &TrainingForecast| forecast.interval[1].joules / forecast.interval[0].joules;
    assert!(width(&wall) > 1.0 && wall.interval[0].joules < wall.figures.joules);
    assert!(wall.notes.contains(&TrainingNote::Host { watts: 300.0 }));
}

#[test]
fn a_device_that_cannot_be_is_refused() {
    let mut case = case("gpt2", "a100-sxm-80gb", step(8, 512, Format::BF16));
    case.device.bandwidth_gb_s = 0.0;
    let said = case.of(case.run).unwrap_err().to_string();
    assert!(said.starts_with("device: bandwidth_gb_s: expected"), "{said}");
}

#[test]
fn products_in_32_bits_are_said_to_leave_tf32_off() {
    let of = |format| case("gpt2", "a100-sxm-80gb", step(8, 512, format)).good();
    assert!(of(Format::F32).notes.contains(&TrainingNote::FullPrecision));
    assert!(!of(Format::BF16).notes.contains(&TrainingNote::FullPrecision));
    assert!(of(Format::F32).figures.seconds > 1.5 * of(Format::BF16).figures.seconds);
}
