use std::{collections::HashMap, path::Path};

use irene_models::flexibert::Design;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

use super::measure::half_widths;
use crate::{Error, Measure, Measures, Result, space::ModelHash};

/// A design and what was measured of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The published MD5 graph hash.
    pub hash: String,
    /// Its place in the campaign that measured it, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<usize>,
    /// The design.
    #[serde(rename = "model_dict")]
    pub design: Design,
    /// The figures.
    #[serde(flatten)]
    pub measures: Measures,
    /// Its accuracy at its task, as a share of 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Where the energy and the peak power come from: `measured` where nothing is said, or `estimated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_provenance: Option<String>,
    /// How the figures were measured.
    #[serde(flatten)]
    pub conditions: Conditions,
}

impl Record {
    /// A design that was measured at this place of a campaign.
    pub fn new(order: usize, design: Design, measures: Measures) -> Self {
        let hash = ModelHash::of(&design).to_string();
        let conditions = Conditions::default();
        Self { hash, order: Some(order), design, measures, accuracy: None, energy_provenance: None, conditions }
    }
}

/// How the figures of a [`Record`] were measured, as far as the file says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Half the 95% confidence intervals of the measures, in fields as `energy_half_width_J`.
    #[serde(flatten, with = "half_widths")]
    pub half_widths: Measures,
    /// Why there is no energy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_energy: Option<String>,
    /// Sequences that ran at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// Tokens in each of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq_len: Option<usize>,
    /// The campaign and how it measures. Records of one campaign have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measuring: Option<Value>,
}

impl Record {
    /// The design's hash, if the record's hash and figures are sound; or the reason why they are not.
    fn check(&self) -> std::result::Result<ModelHash, String> {
        let (stated, found) = (self.hash.parse::<ModelHash>()?, ModelHash::of(&self.design));
        if stated != found {
            return Err(format!("its `model_dict` has the hash {found}; correct whichever of the two is wrong"));
        }
        for measure in Measure::ALL {
            let wrong = |figure: &f64| !(figure.is_finite() && *figure > 0.0);
            if let Some(figure) = self.measures.get(measure).filter(wrong) {
                return Err(format!("{} is {figure} {}, which is not above 0", measure.name(), measure.unit()));
            }
        }
        match self.accuracy.filter(|accuracy| !(*accuracy > 0.0 && *accuracy <= 1.0)) {
            Some(accuracy) => Err(format!("accuracy is {accuracy}, which is no share of 1")),
            None => Ok(found),
        }
    }
}

impl Conditions {
    /// A setting of its measurement.
    fn setting(&self, name: &str) -> Option<Value> {
        self.measuring.as_ref()?.get(name).cloned()
    }
}

type StatedBy = fn(&Conditions) -> Option<Value>;

/// Settings that records must have in common to be learned together.
const SAME: [(&str, StatedBy); 5] = [
    ("batch size", |of| of.batch_size.map(Value::from)),
    ("length in tokens", |of| of.seq_len.map(Value::from)),
    ("dtype", |of| of.setting("dtype")),
    ("device", |of| of.setting("device")),
    ("step of training", |of| of.setting("training")),
];

/// Where energies come from. Whether those of several meters agree, the records do not say.
const METERS: [(&str, StatedBy); 2] =
    [("meters", |of| of.setting("meters")), ("tdp_watts", |of| of.setting("tdp_watts"))];

/// The first record that states something else than one before it, that one, and what each states.
fn different(records: &[Record], stated: StatedBy) -> Option<[(&Record, Value); 2]> {
    let mut stated = records.iter().filter_map(|record| Some((record, stated(&record.conditions)?)));
    let first = stated.next()?;
    let other = stated.find(|(_, ours)| *ours != first.1)?;
    Some([other, first])
}

/// The first record that was measured at another size or in another way than one before it, and what is different. Their figures are not
/// learned together.
fn measured_otherwise(records: &[Record]) -> Option<(&Record, String)> {
    SAME.into_iter().find_map(|(what, stated)| {
        let [(other, ours), (first, theirs)] = different(records, stated)?;
        let reason =
            format!("has a {what} of {ours}, record {} of {theirs}; put them into files of their own", first.hash);
        Some((other, reason))
    })
}

/// The records of one device, in the order of the campaign.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The device's name.
    pub device: String,
    /// Its records.
    pub records: Vec<Record>,
}

/// A device's records as ProTran's data is laid out.
#[derive(Deserialize)]
struct DeviceFile {
    device: String,
    records: Vec<Record>,
}

/// A file of another kind is JSON as well.
fn not_records(error: &serde_json::Error) -> String {
    let expected =
        if error.is_data() { "no records of measured designs, as `irene explore profile` writes them: " } else { "" };
    format!("{expected}{error}")
}

/// Whether a text is one object with a device and its records, and not a record a line.
fn is_device_file(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Fields {
        device: Option<IgnoredAny>,
        records: Option<IgnoredAny>,
    }
    match serde_json::Deserializer::from_str(text).into_iter::<Fields>().next() {
        Some(Ok(fields)) => fields.device.is_some() || fields.records.is_some(),
        // A broken file is taken for what its text looks like.
        Some(Err(_)) => text.contains("\"records\""),
        None => false,
    }
}

impl Dataset {
    /// From a file: one JSON object with `device` and `records`, or JSONL with a record a line, whose device is the file's name.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::File`] that names the line or the record, for a hash that is not the design's, for figures that are not
    /// above 0, for a design that stands twice with different figures, and for records measured at different sizes, on different devices or
    /// by different steps of training.
    pub fn read(path: &Path) -> Result<Self> {
        let origin = path.display().to_string();
        let text = irene_tree::read_text(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let device = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Self::parse(&origin, &device, &text)
    }

    /// From a file's text; `device` is its name where the text gives none.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(origin: &str, device: &str, text: &str) -> Result<Self> {
        let refuse = |place: String, reason: String| Error::File { origin: format!("{origin}{place}"), reason };
        let (device, records) = if is_device_file(text) {
            let file: DeviceFile =
                serde_json::from_str(text).map_err(|error| refuse(String::new(), not_records(&error)))?;
            (file.device, file.records)
        } else {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            let record = |(index, line)| {
                serde_json::from_str(line).map_err(|error| refuse(format!(", line {}", index + 1), not_records(&error)))
            };
            (device.to_owned(), lines.map(record).collect::<Result<Vec<Record>>>()?)
        };
        if records.is_empty() {
            return Err(refuse(String::new(), "has no records".into()));
        }
        if let Some((record, reason)) = measured_otherwise(&records) {
            return Err(refuse(format!(", record {}", record.hash), reason));
        }
        let mut places: HashMap<ModelHash, usize> = HashMap::new();
        let mut kept: Vec<Record> = Vec::with_capacity(records.len());
        for record in records {
            let refuse = |reason| refuse(format!(", record {}", record.hash), reason);
            let hash = record.check().map_err(refuse)?;
            match places.get(&hash).map(|&place| &kept[place]) {
                Some(other) if other.measures == record.measures && other.accuracy == record.accuracy => {}
                Some(_) => return Err(refuse("stands twice with different figures; keep one of them".into())),
                None => {
                    places.insert(hash, kept.len());
                    kept.push(record);
                }
            }
        }
        kept.sort_by_key(|record| record.order);
        Ok(Self { device, records: kept })
    }

    /// Tokens in a sequence, if a record says how many; records that say otherwise are refused.
    pub fn seq_len(&self) -> Option<usize> {
        self.records.iter().find_map(|record| record.conditions.seq_len)
    }

    /// The digest of the space that its campaign was of, if a record says it.
    pub fn space_digest(&self) -> Option<String> {
        let stated = self.records.iter().find_map(|record| record.conditions.setting("space"))?;
        stated.as_str().map(str::to_owned)
    }

    /// Why the energies may not go together, where records say that their meters or the watts of a power model differ.
    pub fn mixed_meters(&self) -> Option<String> {
        METERS.into_iter().find_map(|(name, stated)| {
            let [(other, ours), (first, theirs)] = different(&self.records, stated)?;
            let (device, other, first) = (&self.device, &other.hash, &first.hash);
            Some(format!(
                "{device}: the `measuring.{name}` of record {other} is {ours}, of record {first} {theirs}; what is learned is of one meter"
            ))
        })
    }

    /// Whether a power model estimated the energy of some record.
    pub(crate) fn has_estimates(&self) -> bool {
        self.records.iter().any(|record| record.energy_provenance.as_deref() == Some("estimated"))
    }

    /// The measures that some record has.
    pub fn measures(&self) -> Vec<Measure> {
        let some_has = |measure: &Measure| self.records.iter().any(|record| record.measures.get(*measure).is_some());
        Measure::ALL.into_iter().filter(some_has).collect()
    }

    /// The accuracies, a record each.
    ///
    /// # Errors
    /// [`Error::Data`] that names the first record without it.
    pub fn accuracies(&self) -> Result<Vec<f64>> {
        let accuracy = |record: &Record| {
            let Self { device, .. } = self;
            record.accuracy.ok_or_else(|| Error::Data(format!("{device}, record {}: has no accuracy", record.hash)))
        };
        self.records.iter().map(accuracy).collect()
    }

    /// The figures of one measure, a record each.
    ///
    /// # Errors
    /// [`Error::Data`] that names the first record without it.
    pub fn figures(&self, measure: Measure) -> Result<Vec<f64>> {
        let figure = |record: &Record| {
            record.measures.get(measure).ok_or_else(|| {
                let (device, hash, name) = (&self.device, &record.hash, measure.name());
                Error::Data(format!("{device}, record {hash}: has no {name}; leave the record or the measure out"))
            })
        };
        self.records.iter().map(figure).collect()
    }
}

#[cfg(test)]
mod tests;
