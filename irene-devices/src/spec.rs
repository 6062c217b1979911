//! Reading your own data sheets.

use std::path::Path;

use crate::{Device, Error, Result};

/// A figure outside all reason: its name, and what is expected.
#[derive(Debug)]
pub(crate) struct Fault {
    field: &'static str,
    reason: String,
}

/// The unit of a figure, and the range that holds all devices there are: a figure beyond it is in another unit.
const RANGES: [(&str, &str, f64, f64); 16] = [
    ("f32", "10¹² operations a second", 1e-3, 1e6),
    ("tf32", "10¹² operations a second", 1e-3, 1e6),
    ("f16", "10¹² operations a second", 1e-3, 1e6),
    ("bf16", "10¹² operations a second", 1e-3, 1e6),
    ("fp8", "10¹² operations a second", 1e-3, 1e6),
    ("int8", "10¹² operations a second", 1e-3, 1e6),
    ("fp4", "10¹² operations a second", 1e-3, 1e6),
    ("bandwidth_gb_s", "10⁹ bytes a second", 0.1, 1e6),
    ("memory_gib", "GiB", 0.1, 1e5),
    ("cache_mib", "MiB", 1e-3, 1e5),
    ("multiprocessors", "multiprocessors", 1.0, 1e6),
    ("clock_mhz", "MHz", 10.0, 2e4),
    ("tdp_w", "W", 0.5, 1e5),
    ("power_limit_w", "W", 0.1, 1e5),
    ("idle_w", "W", 0.01, 1e5),
    ("link_gb_s", "10⁹ bytes a second each way", 0.01, 1e5),
];

impl Device {
    /// A device from a data sheet in TOML, which has the fields of this struct. `origin` names the file in errors.
    ///
    /// ```
    /// let text = r#"
    ///     name = "one"
    ///     title = "The first of its kind"
    ///     vendor = "other"
    ///     architecture = "new"
    ///     class = "datacenter"
    ///     year = 2026
    ///     peaks = { bf16 = 500, int8 = 1000 }
    ///     bandwidth_gb_s = 2000
    ///     memory_gib = 64
    ///     tdp_w = 400
    /// "#;
    /// let device = irene_devices::Device::from_toml("one.toml", text)?;
    /// assert_eq!((device.peaks.bf16, device.limit_w()), (Some(500.0), 400.0));
    /// let error = irene_devices::Device::from_toml("one.toml", &text.replace("2000", "2e12")).unwrap_err();
    /// assert!(error.to_string().starts_with("one.toml, line 9: bandwidth_gb_s: expected 10⁹ bytes a second"));
    /// # Ok::<(), irene_devices::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Sheet`] with the line, the field and what is expected of it.
    pub fn from_toml(origin: &str, text: &str) -> Result<Self> {
        let fault = |line, reason| Error::Sheet { origin: origin.to_owned(), line, reason };
        let mut device: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| line_of(text, span.start)).filter(|_| !is_missing(&error));
            fault(line, error.message().replace('\n', " "))
        })?;
        device.check().map_err(|Fault { field, reason }| {
            let place = text.lines().position(|line| has_key(line, field));
            fault(place.map(|place| place + 1), format!("{field}: {reason}"))
        })?;
        device.sources.entry("data_sheet".to_owned()).or_insert_with(|| origin.to_owned());
        Ok(device)
    }

    /// A device from a file, as [`Device::from_toml`] reads it.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Sheet`] if it cannot be used.
    pub fn read(path: &Path) -> Result<Self> {
        let text = irene_tree::read_text(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Self::from_toml(&path.display().to_string(), &text)
    }

    /// The figure that no device has, with what is expected of it: what [`Device::from_toml`] refuses.
    pub fn fault(&self) -> Option<String> {
        self.check().err().map(|Fault { field, reason }| format!("{field}: {reason}"))
    }

    pub(crate) fn check(&self) -> std::result::Result<(), Fault> {
        let fault = |field, reason: String| Err(Fault { field, reason });
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        if self.name.is_empty() || !self.name.chars().all(is_name) {
            return fault("name", format!("expected lower-case letters, digits and hyphens, found `{}`", self.name));
        }
        if !(1990..2100).contains(&self.year) {
            return fault("year", format!("expected a year from 1990 on, found {}", self.year));
        }
        let figures = self.figures();
        for (name, figure) in &figures {
            let Some((field, unit, low, high)) = RANGES.iter().find(|range| range.0 == *name) else { continue };
            if !(*low..=*high).contains(figure) {
                return fault(field, format!("expected {unit}, from {low} to {high}; found {figure}"));
            }
        }
        // Nothing is multiplied in tf32 here, so that it alone is none.
        if !self.peaks.figures().iter().any(|(name, _)| *name != "tf32") {
            return fault("peaks", "expected at least one beside tf32, such as { f32 = 8.1, f16 = 65 }".into());
        }
        if let Some(idle) = self.idle_w.filter(|idle| *idle >= self.limit_w()) {
            return fault("idle_w", format!("expected less than the {} W under load, found {idle}", self.limit_w()));
        }
        if let Some(limit) = self.power_limit_w.filter(|limit| *limit <= self.lowest_w()) {
            let lowest = self.lowest_w();
            return fault("power_limit_w", format!("expected more than the {lowest} W whatever runs, found {limit}"));
        }
        let is_figure =
            |key: &str| ["data_sheet", "peaks", "chip"].contains(&key) || RANGES.iter().any(|range| range.0 == key);
        match self.sources.keys().find(|key| !is_figure(key)) {
            Some(key) => {
                fault("sources", format!("`{key}` is no figure; data_sheet stands for all that are not named"))
            }
            None => Ok(()),
        }
    }
}

/// Whether a field is missing, which is so nowhere.
fn is_missing(error: &toml::de::Error) -> bool {
    error.message().starts_with("missing field")
}

/// The line of a place in a text, from 1.
fn line_of(text: &str, place: usize) -> usize {
    text.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1
}

/// Whether a line gives this field.
fn has_key(line: &str, field: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(field).any(|(place, _)| {
        let (before, after) = (&line[..place], &line[place + field.len()..]);
        !before.contains('#') && !before.ends_with(is_part) && after.trim_start().starts_with(['=', ']', '.'])
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Catalogue;

    /// A device as a data sheet that is read again.
    fn to_toml(device: &Device) -> String {
        fn value(of: &serde_json::Value) -> String {
            let serde_json::Value::Object(fields) = of else { return of.to_string() };
            let fields = fields.iter().map(|(key, of)| format!("{key} = {}", value(of)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        let fields = serde_json::to_value(device).unwrap();
        fields.as_object().unwrap().iter().map(|(key, of)| format!("{key} = {}\n", value(of))).collect()
    }

    #[test]
    fn a_data_sheet_is_read_as_it_was_written() {
        for device in Catalogue::all() {
            assert_eq!(&Device::from_toml("sheet.toml", &to_toml(device)).unwrap(), device, "{}", device.name);
        }
    }

    #[test]
    fn a_fault_is_said_with_its_line_its_field_and_what_is_expected() {
        let sheet = to_toml(&Catalogue::find("l4").unwrap());
        let said = |from: &str, to: &str| {
            assert!(sheet.contains(from), "{from} in {sheet}");
            Device::from_toml("mine.toml", &sheet.replace(from, to)).unwrap_err().to_string()
        };
        for (from, to, expected) in [
            (
                "tdp_w = 72.0",
                "tdp_w = 7.2e13",
                "mine.toml, line 13: tdp_w: expected W, from 0.5 to 100000; found 72000000000000",
            ),
            ("bandwidth_gb_s = 300.0", "bandwidth_gb_s = -300", "line 8: bandwidth_gb_s: expected 10⁹ bytes a second"),
            ("bandwidth_gb_s = 300.0", "bandwidth_gb_s = nan", "found NaN"),
            ("bandwidth_gb_s = 300.0", "bandwidth_gb_s = inf", "found inf"),
            ("memory_gib = 22.49", "memory_gib = \"22 GB\"", "line 9: invalid type: string \"22 GB\", expected f64"),
            ("memory_gib = 22.49", "", "mine.toml: missing field `memory_gib`"),
            ("memory_gib", "memory_gb", "line 9: unknown field `memory_gb`, expected one of"),
            (
                "tdp_w = 72.0",
                "tdp_w = 72.0\nidle_w = 72",
                "line 14: idle_w: expected less than the 72 W under load, found 72",
            ),
            ("tdp_w = 72.0", "tdp_w = 72.0\npower_limit_w = 40\nidle_w = 50", "idle_w: expected less than the 40 W"),
            ("tdp_w = 72.0", "tdp_w = 72.0\npower_limit_w = 5", "line 14: power_limit_w: expected more than the "),
            ("name = \"l4\"", "name = \"My L4\"", "line 1: name: expected lower-case letters"),
            ("\"nvidia\"", "\"nvidea\"", "line 3: unknown variant `nvidea`, expected one of `nvidia`"),
            ("year = 2023", "year = 23", "line 6: year: expected a year"),
            ("data_sheet =", "datasheet =", "sources: `datasheet` is no figure"),
            ("f16 = 121.0", "f16 = 0", "line 7: f16: expected 10¹² operations a second, from 0.001"),
            ("{ f32", "{{ f32", "line 7"),
        ] {
            let said = said(from, to);
            assert!(said.contains(expected), "{said} without {expected}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
        let no_peaks: String = sheet
            .lines()
            .map(|line| if line.starts_with("peaks") { "peaks = {}\n".into() } else { format!("{line}\n") })
            .collect();
        assert!(
            Device::from_toml("m", &no_peaks)
                .unwrap_err()
                .to_string()
                .contains("m, line 7: peaks: expected at least one")
        );
        assert!(Device::read(Path::new("/nowhere/d.toml")).unwrap_err().to_string().starts_with("/nowhere/d.toml: "));
    }

    proptest! {
        #[test]
        fn a_power_limit_is_kept_or_refused(place in 0..Catalogue::all().len(), watts in -10.0..3000.0f64) {
            let device = Catalogue::all()[place].clone();
            let is_allowed = watts > device.lowest_w() && watts <= 1.5 * device.tdp_w;
            prop_assert!(device.lowest_w() >= device.idle_w.unwrap_or(0.0) && device.lowest_w() < 0.4 * device.tdp_w);
            match device.clone().with_power_limit(watts) {
                Ok(limited) => {
                    prop_assert!(is_allowed && limited.limit_w() == watts && limited.tdp_w == device.tdp_w);
                }
                Err(error) => prop_assert!(!is_allowed && error.to_string().contains(&device.name)),
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-z_]{0,8}( ?= ?[0-9a-z\"{}.]{0,6}\n)?.{0,20}") {
            prop_assert!(Device::from_toml("any.toml", &text).is_err());
        }
    }

    #[test]
    fn what_is_no_number_is_no_power_limit() {
        let device = || Catalogue::find("a100-sxm-80gb").unwrap();
        assert!(device().with_power_limit(f64::NAN).is_err());
        let said = device().with_power_limit(80.0).unwrap_err().to_string();
        let lowest = device().lowest_w();
        assert_eq!(said, format!("power limit of 80 W: a100-sxm-80gb takes more than {lowest:.1} W and at most 600 W"));
        assert!(device().with_power_limit(1.0).is_err());
    }
}
