use std::{collections::BTreeMap, fmt, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::{
    Map,
    value::{RawValue, to_raw_value},
};

use super::{
    candidate::{Candidate, Describer, PUBLISHED_SEQ_LEN},
    law::CostLaw,
    surrogate::{Learner, PredictedValue, Reader, Saved, Surrogate, read_as},
};
use crate::{Dataset, Error, Measure, Result, space::DesignSpace};

/// Kinds of surrogates that every program reads.
const READERS: &[(&str, Reader)] = &[("law", read_as::<CostLaw>)];

/// The surrogates of a device, one a measure.
pub struct Surrogates {
    /// The device whose records they learned from.
    pub device: String,
    /// How many records.
    pub records: usize,
    /// The design space.
    pub space: DesignSpace,
    /// Tokens in a sequence that was measured.
    pub seq_len: usize,
    /// Whether energies or peak powers that they learned from are a power model's estimates rather than a meter's readings.
    pub estimated: bool,
    /// One a measure.
    pub measures: BTreeMap<Measure, Box<dyn Surrogate>>,
}

impl fmt::Debug for Surrogates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measures: Vec<&Measure> = self.measures.keys().collect();
        let mut fields = f.debug_struct("Surrogates");
        fields.field("device", &self.device).field("records", &self.records).field("measures", &measures);
        fields.finish_non_exhaustive()
    }
}

/// The same as a file holds it.
#[derive(Serialize, Deserialize)]
struct SurrogatesFile {
    format: Format,
    device: String,
    records: usize,
    space: DesignSpace,
    /// Older files learned from features at the published length.
    #[serde(default = "published_seq_len")]
    seq_len: usize,
    /// Absent where a meter gave the energies, and in older files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
    measures: BTreeMap<Measure, Box<RawValue>>,
}

fn published_seq_len() -> usize {
    PUBLISHED_SEQ_LEN
}

/// The first field of a file of surrogates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "irene-surrogates-1")]
    One,
}

/// The field that names the reader of a surrogate.
#[derive(Deserialize)]
struct Kind {
    learner: String,
}

impl Surrogates {
    /// Learns these measures of a device.
    ///
    /// # Errors
    /// [`Error::Outside`] for a record outside the space; [`Error::Data`] for one without the measure and for too few records.
    pub fn learn(
        learner: &dyn Learner,
        data: &Dataset,
        space: &DesignSpace,
        measures: &[Measure],
        seed: u64,
    ) -> Result<Self> {
        let candidates = Describer::new(space.clone()).describe_all(data)?;
        let learn = |&measure: &Measure| {
            let figures = data.records.iter().map(|record| record.measures.get(measure));
            let known = candidates.iter().zip(figures).filter_map(|(candidate, figure)| Some((candidate, figure?)));
            let (candidates, figures): (Vec<&Candidate>, Vec<f64>) = known.unzip();
            if figures.is_empty() {
                data.figures(measure)?;
            }
            Ok((measure, learner.fit(&candidates, &figures, seed)?))
        };
        let measures = measures.iter().map(learn).collect::<Result<BTreeMap<_, _>>>()?;
        Ok(Self {
            device: data.device.clone(),
            records: data.records.len(),
            space: space.clone(),
            seq_len: data.seq_len().unwrap_or(PUBLISHED_SEQ_LEN),
            estimated: measures.keys().any(|measure| !measure.is_time()) && data.has_estimates(),
            measures,
        })
    }

    /// Reads a file of surrogates by the learner of this crate.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::File`] for a file without surrogates, or of a version or kind that is not known here.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_with(path, &[])
    }

    /// As [`read`](Self::read), with readers of further kinds by their names.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with(path: &Path, readers: &[(&str, Reader)]) -> Result<Self> {
        let text = irene_tree::read_text(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Self::parse_with(&path.display().to_string(), &text, readers)
    }

    /// From a file's text; `origin` names the file in errors.
    ///
    /// # Errors
    /// [`Error::File`] as [`read`](Self::read).
    pub fn parse_with(origin: &str, text: &str, readers: &[(&str, Reader)]) -> Result<Self> {
        let refuse = |reason: String| Error::File { origin: origin.to_owned(), reason };
        let file: SurrogatesFile = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        let SurrogatesFile { device, records, space, seq_len, estimated, measures, .. } = file;
        let read = |(measure, fields): (Measure, Box<RawValue>)| {
            let surrogate =
                surrogate(fields.get(), readers).map_err(|reason| refuse(format!("{}: {reason}", measure.name())))?;
            Ok((measure, surrogate))
        };
        let measures = measures.into_iter().map(read).collect::<Result<_>>()?;
        Ok(Self { device, records, space, seq_len, estimated, measures })
    }

    /// The text of a file.
    ///
    /// # Errors
    /// [`Error::Data`] for a surrogate that no file can hold.
    pub fn to_json(&self) -> Result<String> {
        let measures = self.measures.iter().map(|(&measure, surrogate)| {
            let json = surrogate.saved().and_then(json);
            let unsaved = || Error::Data(format!("no file can hold this surrogate of {}", measure.name()));
            Ok((measure, json.ok_or_else(unsaved)?))
        });
        let measures = measures.collect::<Result<_>>()?;
        let file = SurrogatesFile {
            format: Format::One,
            device: self.device.clone(),
            records: self.records,
            space: self.space.clone(),
            seq_len: self.seq_len,
            estimated: self.estimated,
            measures,
        };
        serde_json::to_string(&file).map_err(|error| Error::Data(error.to_string()))
    }

    /// The word for their figures: `predicted`, or what they rest on beside that.
    pub fn basis(&self) -> &'static str {
        if self.estimated { "predicted from estimated energies" } else { "predicted" }
    }

    /// Describes designs for these surrogates: of their space, at the length of their sequences.
    pub fn describer(&self) -> Describer {
        Describer::new(self.space.clone()).with_seq_len(self.seq_len)
    }

    /// The prediction of one measure of a design, if there is a surrogate of it.
    pub fn predict(&self, measure: Measure, candidate: &Candidate) -> Option<PredictedValue> {
        Some(self.measures.get(&measure)?.predict(candidate))
    }
}

/// A surrogate as a file holds it, its kind first.
fn json(saved: Saved) -> Option<Box<RawValue>> {
    let kind = [("learner".to_owned(), saved.kind.into())];
    to_raw_value(&Map::from_iter(kind.into_iter().chain(saved.fields))).ok()
}

/// One surrogate from its JSON.
fn surrogate(json: &str, readers: &[(&str, Reader)]) -> std::result::Result<Box<dyn Surrogate>, String> {
    let Kind { learner } = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let all = || READERS.iter().chain(readers);
    let Some((_, read)) = all().find(|(kind, _)| *kind == learner) else {
        let known: Vec<&str> = all().map(|(kind, _)| *kind).collect();
        return Err(format!("no reader of surrogates by `{learner}` here; there are those by {}", known.join(", ")));
    };
    read(json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        learning::CostLawLearner,
        made_up::{Always, candidates, dataset, noise},
    };

    fn learned() -> Surrogates {
        let space = DesignSpace::find("small").unwrap();
        Surrogates::learn(&CostLawLearner, &dataset(&candidates(12, 0), noise), &space, &[Measure::Latency], 0).unwrap()
    }

    #[test]
    fn a_file_gives_the_same_surrogates_and_the_learner_comes_first() {
        let (written, unseen) = (learned(), candidates(3, 1));
        let text = written.to_json().unwrap();
        assert!(
            text.starts_with(r#"{"format":"irene-surrogates-1","device":"made up","records":12,"space":{"#),
            "{text}"
        );
        assert!(text.contains(r#""measures":{"latency":{"learner":"law","views":"#), "{text}");
        let read = Surrogates::parse_with("file", &text, &[]).unwrap();
        assert_eq!((read.records, &read.device, &read.space), (12, &written.device, &written.space));
        assert_eq!(read.seq_len, 128);
        for one in &unseen {
            assert_eq!(read.predict(Measure::Latency, one), written.predict(Measure::Latency, one));
        }
        assert_eq!(read.predict(Measure::Energy, &unseen[0]), None);
    }

    #[test]
    fn surrogates_know_the_length_that_was_measured_and_older_files_mean_the_published_one() {
        let mut data = dataset(&candidates(12, 0), noise);
        data.records.iter_mut().for_each(|record| record.conditions.seq_len = Some(32));
        let space = DesignSpace::find("small").unwrap();
        let learned = Surrogates::learn(&CostLawLearner, &data, &space, &[Measure::Latency], 0).unwrap();
        assert_eq!(learned.seq_len, 32);
        let text = learned.to_json().unwrap();
        let read = Surrogates::parse_with("file", &text, &[]).unwrap();
        // A design that was measured is described as its record was.
        let described = read.describer().describe(data.records[0].design.clone()).unwrap();
        assert_eq!(described.features, Describer::new(space).describe_record(&data.records[0]).unwrap().features);
        let older = text.replace(r#""seq_len":32,"#, "");
        assert_ne!(older, text);
        assert_eq!(Surrogates::parse_with("file", &older, &[]).unwrap().seq_len, 128);
    }

    #[test]
    fn what_cannot_be_read_or_written_is_named() {
        let text = learned().to_json().unwrap();
        let refused = |from: &str, to: &str| {
            assert!(text.contains(from));
            Surrogates::parse_with("file", &text.replace(from, to), &[]).err().unwrap().to_string()
        };
        assert_eq!(
            refused(r#""learner":"law""#, r#""learner":"lore""#),
            "file: latency: no reader of surrogates by `lore` here; there are those by law"
        );
        assert!(refused(r#""learner":"law","#, "").starts_with("file: latency: missing field `learner`"));
        assert!(refused("surrogates-1", "surrogates-9").starts_with("file: unknown variant `irene-surrogates-9`"));
        assert!(refused("\"blend\"", "\"blemish\"").starts_with("file: latency: missing field `blend`"));
        let mut unsaved = learned();
        let always = Always(PredictedValue { value: 1.0, deviation: 0.1 });
        unsaved.measures.insert(Measure::Energy, Box::new(always));
        assert_eq!(unsaved.to_json().unwrap_err().to_string(), "no file can hold this surrogate of energy");
    }
}
