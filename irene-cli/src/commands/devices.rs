use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;
use irene_devices::{Catalogue, Device};
use irene_regress::DeviceProfile;
use irene_tree::{
    Format as Numbers,
    render::{Grid, Heading},
};
use serde_json::{Value, json};

use super::usage;
use crate::{
    output, settings,
    sheet::{Field, Format, Sheet},
};

/// Lists devices with their data sheets and measured profiles
///
/// TFLOP/s are dense products of 16-bit floats, as the device multiplies them. One device alone is shown whole, each
/// figure with its source.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene devices
  irene devices amd datacenter
  irene devices h100-sxm
  irene devices h100-sxm --format toml > my-card.toml
  irene devices --format csv > devices.csv")]
pub(crate) struct Args {
    /// List the devices with all of these words in their names, maker, architecture or class
    words: Vec<String>,
    /// Show and check a data sheet of your own, a TOML file
    #[arg(long, value_name = "FILE.toml", conflicts_with = "words")]
    device_spec: Option<PathBuf>,
    /// How results are printed [default: text]
    #[arg(long, value_enum)]
    format: Option<DeviceFormat>,
}

/// How devices are printed.
#[derive(Clone, Copy, ValueEnum)]
enum DeviceFormat {
    /// For people
    Text,
    Json,
    Csv,
    /// The data sheet of one device, as --device-spec reads it
    Toml,
}

impl From<Format> for DeviceFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
            Format::Csv => Self::Csv,
        }
    }
}

/// The figures of a device: their names in the data, in text, and their units.
const FIGURES: [(&str, &str, &str); 16] = [
    ("f32", "f32", "TFLOP/s"),
    ("tf32", "tf32", "TFLOP/s"),
    ("f16", "f16", "TFLOP/s"),
    ("bf16", "bf16", "TFLOP/s"),
    ("fp8", "fp8", "TFLOP/s"),
    ("int8", "int8", "TOP/s"),
    ("fp4", "fp4", "TFLOP/s"),
    ("bandwidth_gb_s", "memory bandwidth", "GB/s"),
    ("memory_gib", "memory", "GiB"),
    ("cache_mib", "last-level cache", "MiB"),
    ("multiprocessors", "multiprocessors", ""),
    ("clock_mhz", "highest clock", "MHz"),
    ("tdp_w", "TDP", "W"),
    ("power_limit_w", "power limit", "W"),
    ("idle_w", "idle power, context open", "W"),
    ("link_gb_s", "link, each way", "GB/s"),
];

/// The fields of a profile: their names in the data, and their titles.
const PROFILE: [(&str, &str); 7] = [
    ("name", "name"),
    ("measured_on", "device"),
    ("predictor", "predictor"),
    ("training_data", "training data"),
    ("precision", "precision"),
    ("digest", "sha256"),
    ("trained_by", "trained by"),
];

/// A device, and the values of [`PROFILE`] where one was measured on it.
struct Listed {
    device: Device,
    profile: Option<[String; PROFILE.len()]>,
}

impl Listed {
    fn new(device: Device) -> Result<Self> {
        let is_measured = DeviceProfile::is_bundled(&device.name);
        let profile = is_measured.then(|| profile(&device.name)).transpose()?;
        Ok(Self { device, profile })
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let devices = match &args.device_spec {
        Some(path) => vec![Device::read(path)?],
        None => asked(&args.words)?,
    };
    let devices = devices.into_iter().map(Listed::new).collect::<Result<Vec<_>>>()?;
    let format = args.format.or(settings::get().format.map(DeviceFormat::from));
    let text = match (format.unwrap_or(DeviceFormat::Text), &devices[..]) {
        (DeviceFormat::Text, [one]) => whole(one),
        (DeviceFormat::Text, several) => table(several),
        (DeviceFormat::Csv, _) => sheet(&devices).csv(),
        (DeviceFormat::Json, _) => output::json([("devices", rows(&devices)?)]),
        (DeviceFormat::Toml, [one]) => toml::to_string(&one.device)?,
        (DeviceFormat::Toml, several) => {
            let found = several.len();
            return usage(format!("--format toml is the data sheet of one device, and these are {found}: name one"));
        }
    };
    output::print(&text)
}

/// The device of this name, or else all that have the words, or else the one that a driver calls so.
fn asked(words: &[String]) -> Result<Vec<Device>> {
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let named = |device: &&Device| lower.join("-") == device.name;
    if let Some(device) = Catalogue::all().iter().find(named) {
        return Ok(vec![device.clone()]);
    }
    let found: Vec<Device> =
        Catalogue::all().iter().filter(|device| lower.iter().all(|word| has_word(device, word))).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    match Catalogue::find(&words.join(" ")) {
        Ok(device) => Ok(vec![device]),
        Err(irene_devices::Error::Device { name, similar }) => {
            let near = irene_tree::did_you_mean(&similar);
            bail!("no device has `{name}` in its name, maker, architecture or class{near}; `irene devices` lists all")
        }
        Err(error) => Err(error.into()),
    }
}

fn has_word(device: &Device, word: &str) -> bool {
    let of_kind = [device.vendor.name(), &device.architecture, device.class.name()];
    device.names().chain(of_kind).any(|text| text.to_lowercase().contains(word))
}

/// The values of a profile, in the order of [`PROFILE`].
fn profile(name: &str) -> Result<[String; PROFILE.len()]> {
    let profile = DeviceProfile::bundled(name)?;
    let made_from = &profile.provenance;
    let precisions: Vec<String> = made_from.precisions.iter().map(ToString::to_string).collect();
    Ok([
        name.to_owned(),
        made_from.device.clone(),
        profile.predictor.summary(),
        made_from.training_data.clone(),
        precisions.join("; "),
        made_from.digest.clone(),
        made_from.trained_by.clone(),
    ])
}

fn table(devices: &[Listed]) -> String {
    let mut grid = Grid::new([
        Heading::left("device"),
        Heading::left("maker").rank(3),
        Heading::left("architecture").rank(1),
        Heading::left("class").rank(3),
        Heading::right("year").rank(2),
        Heading::right("TFLOP/s"),
        Heading::right("GB/s"),
        Heading::right("GiB").rank(1),
        Heading::right("TDP W"),
        Heading::left("profile").rank(1),
    ]);
    for Listed { device, profile } in devices {
        grid.row([
            device.name.clone(),
            device.vendor.name().to_owned(),
            device.architecture.clone(),
            device.class.name().to_owned(),
            device.year.to_string(),
            device.arithmetic(Numbers::F16, Numbers::F16).tflop_s.to_string(),
            device.bandwidth_gb_s.to_string(),
            device.memory_gib.to_string(),
            device.tdp_w.to_string(),
            profile.as_ref().map_or("", |_| "measured").to_owned(),
        ]);
    }
    let blocks =
        devices.iter().filter_map(|listed| listed.profile.as_ref()).map(|profile| format!("\n{}", block(profile)));
    grid.text(output::width()) + &blocks.collect::<String>()
}

/// A profile, a field a line.
fn block(profile: &[String; PROFILE.len()]) -> String {
    let mut grid = Grid::pairs();
    for ((_, title), value) in PROFILE.iter().zip(profile) {
        grid.row([*title, value]);
    }
    grid.text(output::width())
}

/// Everything that is known of a device.
fn whole(Listed { device, profile }: &Listed) -> String {
    let mut kind = Grid::pairs();
    kind.row(["device", &device.name]);
    kind.row(["title", &device.title]);
    kind.row(["maker", device.vendor.name()]);
    kind.row(["architecture", &device.architecture]);
    kind.row(["class", device.class.name()]);
    kind.row(["year", &device.year.to_string()]);
    if !device.aliases.is_empty() {
        kind.row(["also called", &device.aliases.join(", ")]);
    }
    let mut figures = Grid::new([Heading::left("figure"), Heading::right("value"), Heading::left("source")]);
    for (name, figure) in device.figures() {
        let (_, title, unit) = FIGURES.iter().find(|known| known.0 == name).copied().unwrap_or((name, name, ""));
        figures.row([title, format!("{figure} {unit}").trim_end(), device.source(name).unwrap_or_default()]);
    }
    let width = output::width();
    let profile = profile.as_ref().map(|profile| format!("\nmeasured profile\n{}", block(profile)));
    format!("{}\n{}{}", kind.text(width), figures.text(width), profile.unwrap_or_default())
}

/// A line a device, for programs.
fn sheet(devices: &[Listed]) -> Sheet {
    let words = ["name", "title", "vendor", "architecture", "class", "year"].map(|name| Field::word(name, name));
    let figures = FIGURES.map(|(name, title, unit)| match unit {
        "TFLOP/s" | "TOP/s" => Field::figure(&format!("{name}_tflop_s"), title, ""),
        _ => Field::figure(name, title, ""),
    });
    let of_profile = PROFILE[1..].iter().map(|(name, title)| Field::word(name, title));
    let mut sheet = Sheet::new(words.into_iter().chain(figures).chain(of_profile));
    for Listed { device, profile } in devices {
        let year = device.year.to_string();
        let words =
            [&device.name, &device.title, device.vendor.name(), &device.architecture, device.class.name(), &year];
        let known = device.figures();
        let figures =
            FIGURES.map(|(name, ..)| known.iter().find(|figure| figure.0 == name).map(|figure| figure.1).into());
        let of_profile = (1..PROFILE.len()).map(|place| profile.as_ref().map(|values| values[place].clone()).into());
        sheet.row(words.map(Into::into).into_iter().chain(figures).chain(of_profile));
    }
    sheet
}

/// Data sheets as files have them, with the profiles.
fn rows(devices: &[Listed]) -> Result<Value> {
    let row = |Listed { device, profile }: &Listed| {
        let mut row = serde_json::to_value(device)?;
        if let Some(values) = profile {
            let fields = PROFILE.iter().zip(values).map(|((name, _), value)| ((*name).to_owned(), json!(value)));
            row["profile"] = Value::Object(fields.collect());
        }
        Ok(row)
    };
    devices.iter().map(row).collect()
}
