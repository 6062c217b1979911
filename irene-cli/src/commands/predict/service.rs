//! Requests on devices that are known by their data sheets.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;
use irene_devices::{Catalogue, Device, Engine};
use irene_predict::{Calibration, Forecast, Host, Service, ServiceOptions, Setting};
use irene_regress::DeviceProfile;
use irene_requests::RequestRow;
use irene_tree::{Format, Precision};

use super::{Args, refuse};
use crate::{
    commands::{
        Usage, following,
        numbers::{MOST, format, not_negative, number, positive},
        predictor::OF_SETTINGS,
        usage,
    },
    output,
};

/// How a device serves requests.
#[derive(clap::Args, Clone)]
pub(crate) struct ServiceArgs {
    /// The engine, with its generation (vllm-0.11, vllm-0.5, vllm-0.2, tensorrt-llm, transformers, llama.cpp, deepspeed, candle)
    /// [default: vllm-0.11; llama.cpp on processors and Apple's chips; transformers for models that generate nothing]
    #[arg(long, value_name = "NAME")]
    pub(crate) engine: Option<String>,
    /// Mean number of requests running at once (others wait their turn); several with commas between
    #[arg(long, value_name = "C", value_delimiter = ',', value_parser = at_least_one, conflicts_with_all = ["batch_size", "rate"])]
    pub(crate) concurrency: Vec<f64>,
    /// Requests that arrive in a second; several with commas between
    #[arg(long, value_name = "R", value_delimiter = ',', value_parser = positive, conflicts_with = "batch_size")]
    pub(crate) rate: Vec<f64>,
    /// The format of the weights [default: the model's own]
    #[arg(long, value_name = "FORMAT", value_parser = format, conflicts_with = "dtype")]
    pub(crate) weights: Option<Format>,
    /// The format of the cache of keys and values [default: that of the activations]
    #[arg(long, value_name = "FORMAT", value_parser = format, conflicts_with = "dtype")]
    pub(crate) cache: Option<Format>,
    /// A limit on the power of each GPU
    #[arg(long, value_name = "WATTS", value_parser = positive)]
    pub(crate) power_limit: Option<f64>,
    /// Whose energy [default: gpu]
    #[arg(long, value_enum, value_name = "METER")]
    meter: Option<Meter>,
    /// The power of the machine around the devices, for energy at the wall [default: that of a usual server or desktop]
    #[arg(long, value_name = "WATTS", value_parser = not_negative, allow_negative_numbers = true)]
    host_power: Option<f64>,
    /// A data sheet of your own, in place of --device (`irene devices h100-sxm --format toml` prints one to start from)
    #[arg(long, value_name = "FILE.toml", conflicts_with_all = ["device", "predictor"])]
    device_spec: Option<PathBuf>,
}

/// Whose energy a forecast is of.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Meter {
    /// The devices alone, as their own sensors would read
    Gpu,
    /// The whole machine at the wall
    Wall,
}

/// As many as run while some run.
fn at_least_one(text: &str) -> Result<f64, String> {
    number(text, 1.0..=MOST, "a number from 1 to 1e9; rarer requests arrive at a --rate")
}

impl ServiceArgs {
    /// The flags that are given.
    pub(in crate::commands) fn flags(&self) -> [(&'static str, bool); 9] {
        let [meter, host_power] = self.meter_flags();
        [
            ("--engine", self.engine.is_some()),
            ("--concurrency", !self.concurrency.is_empty()),
            ("--rate", !self.rate.is_empty()),
            ("--weights", self.weights.is_some()),
            ("--cache", self.cache.is_some()),
            ("--power-limit", self.power_limit.is_some()),
            ("--device-spec", self.device_spec.is_some()),
            meter,
            host_power,
        ]
    }

    /// The options of all rows.
    pub(super) fn options(&self, args: &Args) -> Result<ServiceOptions> {
        let calibration = args.setting.predictor.calibration()?;
        self.refuse_another_meter(calibration.as_deref())?;
        Ok(ServiceOptions {
            device: self.own_device()?,
            calibration,
            power_limit_w: self.power_limit,
            precision: args.setting.run.dtype,
            head: args.setting.run.pass.head(),
            host: self.host()?,
        })
    }

    /// Those of the energy that is meant.
    pub(in crate::commands) fn meter_flags(&self) -> [(&'static str, bool); 2] {
        [("--meter", self.meter.is_some()), ("--host-power", self.host_power.is_some())]
    }

    /// Refuses those where the calibration has the machine around the devices in all its energies.
    pub(in crate::commands) fn refuse_another_meter(&self, calibration: Option<&Calibration>) -> Result<()> {
        let Some(meter) = calibration.and_then(|known| known.provenance.meter.as_ref()) else { return Ok(()) };
        let others = format!("another calibration: the energy of this one is what its meter `{meter}` counts");
        refuse(true, &others, &self.meter_flags())
    }

    /// Those of requests.
    pub(super) fn flags_of_requests(&self) -> [(&'static str, bool); 4] {
        [
            ("--concurrency", !self.concurrency.is_empty()),
            ("--rate", !self.rate.is_empty()),
            ("--weights", self.weights.is_some()),
            ("--cache", self.cache.is_some()),
        ]
    }

    /// The device of one's own data sheet.
    pub(in crate::commands) fn own_device(&self) -> Result<Option<Device>> {
        Ok(self.device_spec.as_deref().map(Device::read).transpose()?)
    }

    /// The machine around the devices, where energy is that at the wall.
    pub(in crate::commands) fn host(&self) -> Result<Option<Host>> {
        refuse(self.meter == Some(Meter::Gpu), "--meter wall", &[("--host-power", self.host_power.is_some())])?;
        let usual = (self.meter == Some(Meter::Wall)).then_some(Host::Usual);
        Ok(self.host_power.map(Host::Watts).or(usual))
    }
}

/// The devices whose data sheets are asked for, None where a measured profile is.
pub(super) fn devices(args: &Args) -> Result<Option<Vec<String>>> {
    let flag = args.setting.service.flags().into_iter().find(|(_, given)| *given);
    if args.setting.service.device_spec.is_some() {
        return Ok(Some(Vec::new()));
    }
    if let Some(calibration) = args.setting.predictor.calibration()? {
        return Ok(Some(vec![calibration.device.name.clone()]));
    }
    let Some(names) = args.setting.predictor.devices() else {
        return match flag {
            Some((flag, _)) => usage(format!(
                "{flag} works only with a device: give --device NAME (`irene devices` lists them), or the --predictor of `irene calibrate --requests`"
            )),
            None => {
                Ok(args.setting.predictor.is_of_data_sheet().then(|| vec![DeviceProfile::DEFAULT_DEVICE.to_owned()]))
            }
        };
    };
    if flag.is_none()
        && !args.setting.predictor.is_of_data_sheet()
        && names.len() == 1
        && names.iter().all(|name| DeviceProfile::is_bundled(name))
    {
        return Ok(None);
    }
    let of_profiles = [("--method", args.setting.predictor.asks_for_track())];
    refuse(true, "a measured profile: --device gtx-1080-ti or gtx-1070", &of_profiles)?;
    let found = names.iter().try_for_each(|name| Catalogue::find(name).map(drop));
    match args.setting.predictor.device.is_some() {
        true => found?,
        false => found.context(OF_SETTINGS)?,
    }
    if !args.setting.predictor.is_of_data_sheet() {
        tell_of_profiles(&names);
    }
    Ok(Some(names))
}

/// Tells which of the devices have a measured profile: their figures are others than the same command gives for one alone.
fn tell_of_profiles(names: &[String]) {
    let measured: Vec<&str> = names.iter().map(String::as_str).filter(|name| DeviceProfile::is_bundled(name)).collect();
    let (has, here) = match (measured.as_slice(), names) {
        ([], _) => return,
        ([_], [_]) => ("has a measured profile", "it is predicted from its data sheet"),
        ([_], _) => ("has a measured profile", "all are predicted from their data sheets"),
        _ => ("have measured profiles", "all are predicted from their data sheets"),
    };
    output::tell(&format!("{} {has}, with energy at the wall; here {here}", measured.join(" and ")));
}

/// A row for each request: every model on every device with every load and prompt, in this order.
pub(super) fn rows(args: &Args, devices: &[String]) -> Result<Vec<RequestRow>> {
    refuse_of_profiles(args)?;
    let (loads, prompts) = (args.setting.loads(), &args.setting.sizes.seq_len);
    if loads.is_empty() {
        return usage("how many requests run at once? Give --sequences, --concurrency or --rate");
    }
    if prompts.is_empty() {
        return usage("how long are the prompts? Give --prompt");
    }
    // A data sheet of one's own has its name in it.
    let devices: Vec<Option<&String>> =
        if devices.is_empty() { vec![None] } else { devices.iter().map(Some).collect() };
    let defaults = defaults(args);
    let mut rows = Vec::new();
    for model in &args.subjects {
        for device in &devices {
            for load in &loads {
                for prompt in prompts {
                    rows.push(RequestRow {
                        model: Some(model.clone()),
                        device: device.cloned(),
                        load: Some(*load),
                        prompt: Some(*prompt as f64),
                        ..defaults.clone()
                    });
                }
            }
        }
    }
    Ok(rows)
}

/// The flags that hold for every row.
pub(super) fn defaults(args: &Args) -> RequestRow {
    RequestRow {
        engine: args.setting.service.engine.clone(),
        weights: args.setting.service.weights,
        cache: args.setting.service.cache,
        kernels: args.setting.run.pass.kernels(),
        generated: args.setting.run.generate.map(|tokens| tokens as f64),
        parallel: args.setting.parallel.parallel(),
        ..RequestRow::default()
    }
}

/// The flags that fill the cells which a sheet leaves empty.
pub(super) fn defaults_of_sheet(args: &Args) -> Result<RequestRow> {
    let only = |flag: &str, count: usize| match count {
        0 | 1 => Ok(()),
        _ => Err(Usage(format!("{flag} has one value beside a sheet: that of the rows without their own"))),
    };
    let devices = args.setting.predictor.devices().unwrap_or_default();
    let (loads, prompts) = (args.setting.loads(), &args.setting.sizes.seq_len);
    only("--device", devices.len())?;
    only("--sequences, --concurrency or --rate", loads.len())?;
    only("--prompt", prompts.len())?;
    refuse_of_profiles(args)?;
    // Also where every row has its own.
    devices.iter().try_for_each(|name| Catalogue::find(name).map(drop))?;
    args.setting.service.engine.as_deref().map(Engine::find).transpose()?;
    Ok(RequestRow {
        device: devices.first().cloned(),
        load: loads.first().copied(),
        prompt: prompts.first().map(|&tokens| tokens as f64),
        ..defaults(args)
    })
}

/// Refuses flags of measured profiles.
fn refuse_of_profiles(args: &Args) -> Result<()> {
    let past = [("--past", args.setting.run.pass.past.is_some())];
    refuse(true, "a measured profile; on a data sheet requests have --prompt and --generate", &past)?;
    let head = [("--head", args.setting.run.pass.head().is_some())];
    refuse(
        args.setting.run.generate.is_some_and(|tokens| tokens > 0),
        "single passes; what is generated comes from the language model's head",
        &head,
    )?;
    refuse(true, "a measured profile", &args.text_flags())
}

/// A row with its setting and forecast.
pub(super) struct Answer {
    pub(super) row: RequestRow,
    pub(super) setting: Setting,
    pub(super) forecast: Forecast,
}

/// The forecasts of the command line's rows, and how many have none: of several rows the others go on.
pub(super) fn answers(args: &Args, rows: Vec<RequestRow>) -> Result<(Vec<Answer>, usize)> {
    let mut service = Service::new(args.setting.service.options(args)?);
    for name in &args.subjects {
        service.add_model(name, following::model(name)?);
    }
    let count = rows.len();
    let mut answers = Vec::new();
    for row in rows {
        let names: Vec<String> = [&row.model, &row.device].into_iter().flatten().cloned().collect();
        match answer(&service, row) {
            Ok(answer) => answers.push(answer),
            Err(error) if count == 1 => return Err(error.into()),
            Err(error) => output::complain(&named(error.into(), names)),
        }
    }
    let lacking = count - answers.len();
    Ok((answers, lacking))
}

/// The error with what it is of, unless it says that itself.
fn named(error: anyhow::Error, names: Vec<String>) -> anyhow::Error {
    let text = error.to_string();
    if names.iter().all(|name| text.contains(name)) { error } else { error.context(names.join(" on ")) }
}

fn answer(service: &Service, mut row: RequestRow) -> Result<Answer, irene_predict::Error> {
    let setting = service.setting(&row).map_err(|fault| fault.error)?;
    let forecast = setting.forecast()?;
    forecast.fill_in(&mut row);
    row.device = Some(setting.device.name.clone());
    row.engine = Some(setting.engine.name.to_owned());
    let Precision { weights, activations, cache } = setting.request.precision;
    row.weights = Some(weights);
    row.cache = Some(cache).filter(|cache| *cache != activations);
    Ok(Answer { row, setting, forecast })
}
