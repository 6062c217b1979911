use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Result, anyhow, ensure};
use clap::{Arg, Id, builder::Resettable};
use irene_advice::{
    Basis, Hire, LeftOutDevice, Lookup, LookupOptions, Plan, PlanOptions, PlanRow, Selection, hire_prices,
};
use irene_predict::{Calibration, Load};
use irene_regress::{DeviceProfile, PRICE_PER_KWH};
use irene_requests::RequestRow;
use irene_tree::{Format as Numbers, render};

use super::{BoundsArgs, json, name_in_files};
use crate::{
    commands::{
        FormatArgs, following,
        numbers::{format, not_negative, positive, size, size_or_zero, whole},
        predictor::PredictorArgs,
        refuse,
        trees::count,
    },
    output, settings,
    sheet::{Cell, Field, Format, Sheet},
};

/// Finds the machines that can serve your requests
///
/// Tries every device, number of GPUs, kind of parallelism and weight format, and lists the combinations that keep up
/// with the rate, which also decides how many requests run at once. First come those that no other beats in energy,
/// times and money; the rest follow by energy. Money is electricity, or the hire of the GPUs if you give prices.
#[derive(clap::Args)]
#[command(mut_args = of_a_plan, after_help = "Examples:
  irene plan Llama-3.1-8B --prompt 512 --generate 256 --rate 20
  irene plan Llama-3.1-8B --prompt 512 --generate 256 --rate 20 --max-ttft 0.5
  irene plan Llama-3.1-70B --prompt 1000 --generate 200 --rate 2 --device h100-sxm,mi300x
  irene plan Llama-3.1-8B --prompt 512 --generate 256 --rate 5 --gpu-hour-price public
  irene plan gemma-2-9b --prompt 512 --generate 256 --rate 5 --gpu-hour-price l4=0.7,l40s=1.2
  irene plan bge-large-en-v1.5 --prompt 256 --rate 100 --format csv")]
pub(crate) struct Args {
    /// A built-in model's name, or a path to a config.json, its directory or a GGUF file; - reads a config from the standard input
    model: String,
    /// Tokens of a prompt
    #[arg(short, long, visible_alias = "prompt", value_name = "S", value_parser = size)]
    seq_len: usize,
    /// Tokens of each sequence that are generated after the prompt, for decoders [default: none]
    #[arg(long, value_name = "N", value_parser = size_or_zero)]
    generate: Option<usize>,
    /// Requests that arrive in a second
    #[arg(long, value_name = "R", value_parser = positive)]
    rate: f64,
    /// Formats of the weights that may be taken; several with commas between [default: the model's own, f8_e4m3 (fp8), int4]
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', value_parser = format)]
    weights: Vec<Numbers>,
    /// The engine [default: as for `irene predict`]
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    #[command(flatten)]
    predictor: PredictorArgs,
    /// Use at most this many GPUs, up to 64, over all copies [default: 8]
    #[arg(long, value_name = "GPUS", value_parser = whole::<1, { PlanOptions::MOST_GPUS }>)]
    max_gpus: Option<usize>,
    #[command(flatten)]
    bounds: BoundsArgs,
    /// Price of a kWh, USD [default: 0.1319]
    #[arg(long, value_name = "USD", value_parser = not_negative, allow_negative_numbers = true, conflicts_with = "gpu_hour_price")]
    price_per_kwh: Option<f64>,
    /// The hire of a device for an hour, USD; several with commas between; public stands for those that are known here
    #[arg(long, value_name = "NAME=USD")]
    gpu_hour_price: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
    /// Show this many ways (text) [default: 15]
    #[arg(long, value_name = "N", value_parser = size)]
    top: Option<usize>,
}

/// Many devices, of which requests to one may have been measured.
fn of_a_plan(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "device" => arg
            .help("Devices that may be taken; several with commas between [default: all]")
            .conflicts_with(Resettable::<Id>::Reset),
        "predictor" => arg
            .help("Requests that were measured on your server (`irene calibrate --requests`), for ways on its device"),
        "method" => arg.hide(true),
        _ => arg,
    }
}

impl Args {
    fn options(&self) -> Result<PlanOptions> {
        let named = self.predictor.device.as_deref().unwrap_or("all");
        let devices: Vec<String> = named.split(',').map(|name| name.trim().to_owned()).collect();
        let is_all = devices.iter().any(|name| name == "all");
        let usual = PlanOptions::default();
        Ok(PlanOptions {
            bounds: self.bounds.bounds(self.generate.unwrap_or(0))?,
            devices: if is_all { Vec::new() } else { devices },
            formats: self.weights.clone(),
            max_gpus: self.max_gpus(),
            gpu_hour_usd: self
                .gpu_hour_price
                .as_deref()
                .map(hire_prices)
                .transpose()
                .map_err(as_flag)?
                .unwrap_or_default(),
            price_per_kwh: self.own_price().unwrap_or(PRICE_PER_KWH),
            most_rows: usual.most_rows,
        })
    }

    fn max_gpus(&self) -> usize {
        self.max_gpus.unwrap_or(PlanOptions::default().max_gpus)
    }

    fn own_price(&self) -> Option<f64> {
        self.price_per_kwh.or(settings::get().price_per_kwh)
    }

    /// The measured requests of the predictor that is asked for, or of the configuration file's.
    fn calibration(&self) -> Result<Option<Arc<Calibration>>> {
        let Some(path) = self.predictor.file_beside_devices() else { return Ok(None) };
        if let Some(found) = Calibration::read(path)? {
            return Ok(Some(Arc::new(found)));
        }
        DeviceProfile::read(path)?;
        let reason = "it knows single nodes; a plan takes what `irene calibrate --requests` makes";
        ensure!(self.predictor.predictor.is_none(), "{}: {reason}", path.display());
        output::tell(&format!("the predictor of the configuration file, {}, is left out: {reason}", path.display()));
        Ok(None)
    }

    fn selection(&self) -> Selection {
        let row = RequestRow {
            model: Some(self.model.clone()),
            engine: self.engine.clone(),
            load: Some(Load::Rate(self.rate)),
            prompt: Some(self.seq_len as f64),
            generated: self.generate.map(|tokens| tokens as f64),
            ..RequestRow::default()
        };
        Selection { row, ..Selection::default() }
    }
}

/// The fault by the name of the flag.
fn as_flag(error: irene_advice::Error) -> anyhow::Error {
    match error {
        irene_advice::Error::Setting { name, reason } => match name.as_str() {
            "devices" => anyhow!("--device: {reason}"),
            "gpu_hour_usd" => anyhow!("--gpu-hour-price: {reason}"),
            name => anyhow!("{name}: {reason}"),
        },
        error => error.into(),
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    following::refuse_numbers(std::slice::from_ref(&args.model))?;
    refuse(args.format.format() != Format::Text, "--format text", &[("--top", args.top.is_some())])?;
    let options = args.options()?;
    refuse(true, "irene predict", &[("--method", args.predictor.asks_for_track())])?;
    let mut lookup = Lookup::new(LookupOptions { finds_files: true, ..LookupOptions::default() });
    let calibration = args.calibration()?;
    if let Some(calibration) = &calibration {
        lookup.add_calibration(Arc::clone(calibration));
    }
    lookup.add_model(args.model.clone(), following::model(&args.model)?);
    let plan = lookup.plan(&args.selection(), &options).map_err(as_flag)?;
    match args.format.format() {
        Format::Text => output::print_text(&text(args, &plan, calibration.as_deref()))?,
        Format::Json => output::print(&json(&plan)?)?,
        Format::Csv => output::print(&sheet(&plan.plans).csv())?,
    }
    ensure!(plan.fitting > 0, "no way keeps up");
    Ok(())
}

fn text(args: &Args, plan: &Plan, calibration: Option<&Calibration>) -> String {
    const TOP: usize = 15;
    let generated = if plan.generate > 0 { format!(" and {} generated", plan.generate) } else { String::new() };
    let mut out = format!(
        "{} for {} request{} a second of {}{generated}: {} tried, {}\n",
        plan.model,
        plan.rate,
        if plan.rate == 1.0 { "" } else { "s" },
        count(plan.seq_len, "token"),
        if plan.considered == 1 { "1 way was".to_owned() } else { format!("{} ways were", plan.considered) },
        match plan.fitting {
            // More may.
            0 => format!("0 keep up with at most {} (--max-gpus)", count(args.max_gpus(), "GPU")),
            1 => "1 keeps up".to_owned(),
            fitting => format!("{fitting} keep up"),
        }
    );
    let shown = plan.plans.len().min(args.top.unwrap_or(TOP));
    let front = plan.plans.iter().filter(|row| row.is_on_front).count();
    if shown > 0 {
        for name in ["energy", "latency", "cost"] {
            if let Some(row) = plan.plans.iter().find(|row| row.best_of.contains(&name)) {
                out += &format!("least {}: {}\n", word(name), in_words(row));
            }
        }
        let table = sheet(&plan.plans[..shown]);
        let shared = table.shared();
        let shared = if shared.is_empty() { shared } else { format!("\n{shared}\n") };
        out += &format!("{shared}\n{}", table.text());
        out += &format!(
            "\nno other way beats {front} of them in energy, times and money (marked *); energy is of a token that is {}, money {}\n",
            plan.tokens,
            money_of(args)
        );
        out += &calibration.map_or_else(String::new, |calibration| whose(plan, calibration));
    }
    out + &left_out(plan)
}

/// Which ways rest on measured requests, and what their energy leaves out.
fn whose(plan: &Plan, calibration: &Calibration) -> String {
    let (device, provenance) = (&calibration.device.name, &calibration.provenance);
    let has = |basis: Basis| plan.plans.iter().any(|row| row.basis == basis);
    if !has(Basis::Calibrated) {
        return format!("\nnone of these ways is {provenance}\n");
    }
    let others = if has(Basis::DataSheet) { ", the others are by data sheets" } else { "" };
    let meter = provenance.meter.as_ref().map_or_else(String::new, |meter| {
        format!("; energy is that of the GPUs alone, without what the meter `{meter}` counts beside them")
    });
    format!("\nways on {device} are {provenance}{others}{meter}\n")
}

/// The word for a figure in which a way is the best.
fn word(name: &str) -> &str {
    match name {
        "latency" => "time",
        "cost" => "money",
        other => other,
    }
}

/// The money, with where its prices are from.
fn money_of(args: &Args) -> String {
    let Some(prices) = &args.gpu_hour_price else {
        return match args.own_price() {
            Some(price) => format!("electricity alone at {price} USD/kWh"),
            None => format!("electricity alone at {PRICE_PER_KWH} USD/kWh (US average in IrEne's paper)"),
        };
    };
    let is_public = prices.split(',').any(|price| price.trim() == "public");
    let sellers: BTreeSet<&str> = Hire::all().iter().filter_map(|hire| hire.source.split(',').next()).collect();
    let sellers = sellers.into_iter().collect::<Vec<_>>().join(", ");
    let public = if is_public { format!(" (public prices of {sellers})") } else { String::new() };
    format!("hire, electricity included{public}")
}

/// How the model is spread over GPUs: `tp2 dp4`.
fn spread(row: &PlanRow) -> String {
    let degrees = [("tp", row.parallel.tensor), ("pp", row.parallel.pipeline), ("dp", row.parallel.data)];
    let several = degrees.into_iter().filter(|(_, degree)| *degree > 1);
    several.map(|(name, degree)| format!("{name}{degree}")).collect::<Vec<_>>().join(" ")
}

fn in_words(row: &PlanRow) -> String {
    let count = if row.gpus == 1 { String::new() } else { format!("{} x ", row.gpus) };
    let spread = if row.gpus == 1 { String::new() } else { format!(" ({})", spread(row)) };
    let money = row.usd_per_million_tokens.map_or_else(String::new, |usd| format!(", {} a million tokens", money(usd)));
    let latency =
        row.figures.latency_s.map_or_else(String::new, |seconds| format!(", {} a request", render::si(seconds, "s")));
    format!(
        "{count}{}{spread} with weights in {}: {} a token{latency}{money}",
        row.device,
        row.weights,
        render::si(row.energy_per_token_j, "J")
    )
}

/// Money with three digits that count: electricity alone is far below a cent.
fn money(usd: f64) -> String {
    let digits = if usd >= 1.0 { 2 } else { 4 };
    format!("{usd:.digits$} USD")
}

/// The devices of which no way is left, by reason.
fn left_out(plan: &Plan) -> String {
    const SHOWN: usize = 8;
    let is_in = |device: &str| plan.plans.iter().any(|row| row.device == device);
    let without = plan.left_out.iter().filter(|left_out| !is_in(&left_out.device));
    let ways: usize = plan.left_out.iter().map(|left_out| left_out.count).sum();
    if ways == 0 {
        return String::new();
    }
    let mut reasons: Vec<(&str, Vec<&str>, usize)> = Vec::new();
    for LeftOutDevice { device, reason, count } in without {
        match reasons.iter_mut().find(|(known, ..)| known == reason) {
            Some((_, devices, ways)) => {
                devices.push(device);
                *ways += count;
            }
            None => reasons.push((reason.as_str(), vec![device.as_str()], *count)),
        }
    }
    let mut out = format!("\n{} left out", count(ways, "way"));
    if !reasons.is_empty() && plan.fitting <= plan.plans.len() {
        out += ", of these devices all of them:";
        for (reason, devices, ways) in reasons.iter().take(SHOWN) {
            let devices = if devices.len() > SHOWN { count(devices.len(), "device") } else { devices.join(", ") };
            out += &format!("\n- {devices}: {} ({})", output::reason_in_flags(reason), count(*ways, "way"));
        }
        if reasons.len() > SHOWN {
            out += &format!("\n- and {}; --format json has all", count(reasons.len() - SHOWN, "further reason"));
        }
    } else {
        out += "; --format json says which and why";
    }
    out + "\n"
}

fn sheet(rows: &[PlanRow]) -> Sheet {
    Sheet::of(
        rows,
        [
            (Field::word("front", ""), |row| Cell::from(if row.is_on_front { "*" } else { "" })),
            (Field::word("device", "device").setting(str::to_owned), |row| row.device.as_str().into()),
            (Field::word("", "GPUs").only_text(), |row| format!("{} {}", row.gpus, spread(row)).trim_end().into()),
            (Field::figure("gpus", "", "").only_data(), |row| row.gpus.into()),
            (Field::word("parallel", "").only_data(), |row| spread(row).into()),
            (Field::word("weights", "weights").setting(|format| format!("weights in {format}")), |row| {
                row.weights.into()
            }),
            // In all copies, as `irene predict` counts them.
            (Field::figure("", "at once", "").rank(5).only_text(), |row| {
                (row.running * row.parallel.data as f64).into()
            }),
            (Field::figure("running", "", "").only_data(), |row| row.running.into()),
            (Field::figure("energy_per_token_j", "a token", "J"), |row| row.energy_per_token_j.into()),
            (Field::figure("ttft_s", "first", "s").rank(2), |row| row.ttft_s.into()),
            (Field::figure("itl_s", "between", "s").rank(3), |row| row.itl_s.into()),
            (Field::figure("latency_s", "whole", "s").rank(4), |row| row.figures.latency_s.into()),
            (Field::figure("power_w", "power", "W").rank(6), |row| row.power_w.into()),
            (Field::word("usd", "a million").rank(1).only_text(), |row| row.usd_per_million_tokens.map(money).into()),
            (Field::figure("usd_per_million_tokens", "", "USD").only_data(), |row| row.usd_per_million_tokens.into()),
            (Field::figure("kwh_per_million_tokens", "", "kWh").only_data(), |row| row.kwh_per_million_tokens.into()),
            (Field::word("", "least").rank(7).only_text(), |row| {
                row.best_of.iter().map(|name| word(name)).collect::<Vec<_>>().join(", ").into()
            }),
            (Field::word("best_of", "").only_data(), |row| row.best_of.join(" ").into()),
            (Field::word("basis", "").only_data(), |row| name_in_files(&row.basis).into()),
            (Field::word("set", "").only_data(), |row| row.set.as_str().into()),
        ],
    )
}
