//! The configuration file: defaults of options that a user gives again and again. The command line wins.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::{
    commands::numbers::{NOT_NEGATIVE, is_not_negative},
    sheet::Format,
};

/// The keys of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// A device of `irene devices`.
    pub(crate) device: Option<String>,
    /// A predictor file, in place of a device.
    pub(crate) predictor: Option<PathBuf>,
    /// USD.
    pub(crate) price_per_kwh: Option<f64>,
    /// g CO2e per kWh.
    pub(crate) grid_intensity: Option<f64>,
    pub(crate) format: Option<Format>,
    pub(crate) color: Option<Color>,
    /// Equal layers one by one.
    pub(crate) unfold: Option<bool>,
    /// Instance types in the table of bottlenecks.
    pub(crate) top: Option<usize>,
}

/// When output has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

impl Color {
    pub(crate) fn apply(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// Names another file than the usual one; empty for none.
const VARIABLE: &str = "IRENE_CONFIG";

/// Where the file is looked for.
pub(crate) fn path() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if std::env::var_os(VARIABLE).is_some() {
        return variable(VARIABLE).map(PathBuf::from);
    }
    let home = || variable("HOME").or_else(|| variable("USERPROFILE")).map(|home| PathBuf::from(home).join(".config"));
    let folder = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home)?;
    Some(folder.join("irene").join("config.toml"))
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// Those of the file, once it is read.
pub(crate) fn get() -> &'static Settings {
    SETTINGS.get_or_init(Settings::default)
}

/// Reads the file, if there is one.
pub(crate) fn load() -> Result<&'static Settings> {
    if let Some(path) = path()
        && let Some(settings) = Settings::read(&path)?
    {
        // Nothing has asked for them yet.
        let _ = SETTINGS.set(settings);
    }
    Ok(get())
}

impl Settings {
    /// None without a file.
    fn read(path: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            // A file that was named has to be there. In another user's home, whose folders may not be entered, none can be seen.
            Err(_) if path.metadata().is_err() && std::env::var_os(VARIABLE).is_none() => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let mut settings = Self::parse(&text).with_context(|| path.display().to_string())?;
        // It is beside the file, wherever the command runs.
        let folder = path.parent().unwrap_or(Path::new(""));
        settings.predictor = settings.predictor.map(|predictor| folder.join(predictor));
        Ok(Some(settings))
    }

    fn parse(text: &str) -> Result<Self> {
        let settings: Self = match toml::from_str(text) {
            Ok(settings) => settings,
            Err(error) => {
                let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
                bail!("line {}: {}", before.matches('\n').count() + 1, error.message().replace('\n', " "));
            }
        };
        for (name, value) in [("price_per_kwh", settings.price_per_kwh), ("grid_intensity", settings.grid_intensity)] {
            ensure!(value.is_none_or(is_not_negative), "{name}: expected {NOT_NEGATIVE}");
        }
        ensure!(
            settings.device.is_none() || settings.predictor.is_none(),
            "device and predictor are both given; leave one out"
        );
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_and_wrong_values_are_named_with_their_line() {
        let refused = |text: &str| Settings::parse(text).unwrap_err().to_string();
        let unknown = refused("top = 3\ndevise = \"gtx-1070\"\n");
        assert!(unknown.starts_with("line 2: unknown field `devise`, expected one of `device`"), "{unknown}");
        assert!(refused("format = \"xml\"").contains("unknown variant `xml`"));
        assert!(refused("price_per_kwh = -1.0").contains("price_per_kwh: expected a number of at least 0"));
        assert!(refused("grid_intensity = 1e308").contains("grid_intensity: expected a number of at least 0"));
        assert!(refused("device = \"a\"\npredictor = \"b\"").contains("leave one out"));
        assert!(refused("top = \n").starts_with("line 1: "));
    }

    #[test]
    fn a_predictor_is_looked_for_beside_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "predictor = \"lab.safetensors\"").unwrap();
        let settings = Settings::read(&path).unwrap().unwrap();
        assert_eq!(settings.predictor, Some(folder.path().join("lab.safetensors")));
    }

    #[test]
    fn what_is_given_is_known_and_the_rest_is_not() {
        let settings = Settings::parse("device = \"gtx-1070\"\nprice_per_kwh = 1\ncolor = \"never\"\n").unwrap();
        assert_eq!(settings.device.as_deref(), Some("gtx-1070"));
        assert_eq!((settings.price_per_kwh, settings.color), (Some(1.0), Some(Color::Never)));
        assert!(settings.top.is_none() && settings.format.is_none());
    }
}
