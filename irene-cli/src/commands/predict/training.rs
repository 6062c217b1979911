//! Steps and runs of training on devices that are known by their data sheets.

mod one;
mod rows;

use std::sync::Arc;

use anyhow::{Context, Result};
use irene_devices::{Catalogue, Device, Engine, Law};
use irene_models::{ModelSpec, Run};
use irene_predict::{TrainingForecast, TrainingLength, TrainingNote, forecast_training};
use irene_tree::{Training, Tree};
use serde_json::Value;

use super::{
    Args,
    answered::{self, Answered},
    of_devices, refuse,
};
use crate::{
    commands::{following, numbers::many, predictor::OF_SETTINGS, usage},
    output,
};

/// How long training goes on.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct LengthArgs {
    /// Steps of the whole run (1e5)
    #[arg(long, value_name = "N", value_parser = many, requires = "train", conflicts_with = "tokens")]
    steps: Option<f64>,
    /// Tokens that the whole run sees (1e9): whole steps until there are as many
    #[arg(long, value_name = "N", value_parser = many, requires = "train")]
    tokens: Option<f64>,
}

impl LengthArgs {
    fn length(self) -> Option<TrainingLength> {
        self.steps.map(TrainingLength::Steps).or(self.tokens.map(TrainingLength::Tokens))
    }
}

/// A step of training with its forecast.
pub(super) struct Answer {
    spec: Arc<ModelSpec>,
    device: Arc<Device>,
    engine: &'static Engine,
    forecast: TrainingForecast,
    length: Option<TrainingLength>,
}

impl Answered for Answer {
    fn text(&self, args: &Args) -> Result<String> {
        one::text(args, self)
    }

    fn tree(&self, args: &Args) -> Result<Tree> {
        Ok(self.forecast.tree(&self.spec, &self.device, self.engine, Law::shipped(), args.output.math)?)
    }

    fn object(&self, args: &Args) -> Value {
        one::object(args, self)
    }

    fn table(args: &Args, several: &[Self]) -> String {
        let provenance = several.first().map_or("", |first| first.forecast.provenance.as_str());
        let whose = several.first().and_then(Self::whose).unwrap_or("energy and power are those at the wall");
        let sheet = rows::table(args, several);
        let shared = sheet.shared();
        let shared = if shared.is_empty() { shared } else { shared + "\n" };
        format!("{shared}{provenance}\n{whose}\n\n{}", sheet.text())
    }

    fn csv(args: &Args, several: &[Self]) -> Result<String> {
        Ok(rows::table(args, several).csv())
    }
}

impl Answer {
    /// Whose energy it is, where no note says that it is at the wall.
    fn whose(&self) -> Option<&'static str> {
        let is_at_the_wall = self.forecast.notes.iter().any(|note| matches!(note, TrainingNote::Host { .. }));
        (!is_at_the_wall).then(|| of_devices(self.forecast.run().parallel))
    }

    /// `8 x h100-sxm limited to 400 W`.
    fn devices(&self) -> String {
        super::forecasts::counted(&self.device, self.forecast.run().parallel)
    }
}

/// Forecasts a step of every model on every device at every size, and prints the forecasts.
pub(super) fn run(args: &Args, training: Training) -> Result<()> {
    check(args)?;
    let format = args.output.format(None);
    args.check(format, true)?;
    answered::show(args, format, answers(args, training)?)
}

/// Refuses what has no meaning in training.
fn check(args: &Args) -> Result<()> {
    let of_requests = "requests: with --train every sequence is read whole";
    let passes =
        [("--generate", args.setting.run.generate.is_some()), ("--past", args.setting.run.pass.past.is_some())];
    refuse(true, of_requests, &[&passes[..], &args.setting.service.flags_of_requests()].concat())?;
    refuse(true, "a measured profile", &args.text_flags())?;
    refuse(true, "a measured profile", &[("--method", args.setting.predictor.asks_for_track())])?;
    refuse(
        true,
        "inference: with --train give --device NAME (`irene devices` lists them)",
        &[("--predictor", args.setting.predictor.predictor.is_some())],
    )
}

fn answers(args: &Args, training: Training) -> Result<(Vec<Answer>, usize)> {
    let (devices, engine, sizes) =
        (devices(args)?, engine(args)?, args.setting.sizes.sizes(args.setting.run.pass.past(), "")?);
    let count = args.subjects.len() * devices.len() * sizes.len();
    let mut answers = Vec::new();
    for name in &args.subjects {
        let spec = Arc::new(following::model(name)?);
        for (device, size) in devices.iter().flat_map(|device| sizes.iter().map(move |size| (device, size))) {
            let (parallel, training) = (args.setting.parallel.parallel(), Some(training));
            let run = Run { parallel, training, ..args.setting.run.run(&spec, *size, args.output.math)? };
            match answer(args, &spec, device, engine, run) {
                Ok(answer) => answers.push(answer),
                Err(error) if count == 1 => return Err(error),
                Err(error) => output::complain(&error.context(format!("{name} on {}", device.name))),
            }
        }
    }
    let lacking = count - answers.len();
    Ok((answers, lacking))
}

fn answer(
    args: &Args,
    spec: &Arc<ModelSpec>,
    device: &Arc<Device>,
    engine: &'static Engine,
    run: Run,
) -> Result<Answer> {
    let forecast = forecast_training(spec, device, engine, run, Law::shipped())?;
    let forecast = match args.setting.service.host()? {
        Some(host) => forecast.at_the_wall(host, device, Law::shipped())?,
        None => forecast,
    };
    let (spec, device) = (Arc::clone(spec), Arc::clone(device));
    Ok(Answer { spec, device, engine, forecast, length: args.length.length() })
}

/// The devices of the command line or of the settings.
fn devices(args: &Args) -> Result<Vec<Arc<Device>>> {
    let limited = |device: Device| match args.setting.service.power_limit {
        Some(watts) => Ok::<_, anyhow::Error>(Arc::new(device.with_power_limit(watts)?)),
        None => Ok(Arc::new(device)),
    };
    if let Some(own) = args.setting.service.own_device()? {
        return Ok(vec![limited(own)?]);
    }
    let Some(names) = args.setting.predictor.devices() else {
        return usage("training is predicted from a data sheet: give --device NAME (`irene devices` lists them)");
    };
    let find = |name: &String| {
        let found = Catalogue::find(name);
        if args.setting.predictor.device.is_some() { Ok(found?) } else { found.context(OF_SETTINGS) }
    };
    names.iter().map(|name| limited(find(name)?)).collect()
}

/// Training runs on the kernels that PyTorch starts from the host.
fn engine(args: &Args) -> Result<&'static Engine> {
    const USUAL: &str = "transformers";
    let engine = Engine::find(args.setting.service.engine.as_deref().unwrap_or(USUAL))?;
    if engine.name == USUAL {
        return Ok(engine);
    }
    let words = format!(
        "{} is for inference: training is predicted under {USUAL}, with --kernels fused for compiled or fused code",
        engine.name
    );
    usage(words)
}
