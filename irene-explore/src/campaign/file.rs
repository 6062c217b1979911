use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::Campaign;
use crate::{Conditions, Dataset, Error, Record, Result, space::ModelHash};

/// A campaign's file of records, one a line. Each is in the file as soon as it is complete.
#[derive(Debug)]
pub struct RecordFile {
    path: PathBuf,
    file: File,
    /// Bytes of whole records.
    length: u64,
    /// Whether the last record ends with a line break.
    is_ended: bool,
}

/// The beginning of a record's line.
const BEGINNING: &str = "{\"hash\":";

impl RecordFile {
    /// The file, made if there is none, and the records that it has. Nobody else writes there while it is open. A record
    /// that was cut off is dropped when the next one is written.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::File`] if it is a pipe or a device, or another campaign writes there, and as [`Dataset::read`].
    pub fn open(path: &Path) -> Result<(Self, Vec<Record>)> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let refuse = |reason: &str| Error::File { origin: path.display().to_string(), reason: reason.to_owned() };
        // A pipe or a device may give bytes without end, or none.
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(refuse("it is read again to go on from it: give a plain file"));
        }
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path).map_err(io)?;
        // A file system without locks is no obstacle.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(refuse("another campaign writes here"));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let text = without_cut_character(bytes).map_err(io)?;
        let whole = whole_lines(&text);
        let records = match text[..whole].trim() {
            "" => Vec::new(),
            lines => Dataset::parse(&path.display().to_string(), "", lines)?.records,
        };
        let is_ended = text[..whole].is_empty() || text[..whole].ends_with('\n');
        Ok((Self { path: path.to_owned(), file, length: whole as u64, is_ended }, records))
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`Error::Io`]; what was there before is kept.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let line = serde_json::to_string(record).map_err(std::io::Error::from);
        let written = line.and_then(|line| self.write(&line));
        written.map_err(|source| Error::Io { path: self.path.clone(), source })
    }

    fn write(&mut self, line: &str) -> std::io::Result<()> {
        self.cut()?;
        let line = format!("{}{line}\n", if self.is_ended { "" } else { "\n" });
        if let Err(error) = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data()) {
            return self.cut().and(Err(error));
        }
        self.length += line.len() as u64;
        self.is_ended = true;
        Ok(())
    }

    /// Drops the bytes after the whole records.
    fn cut(&mut self) -> std::io::Result<()> {
        if self.file.metadata()?.len() > self.length { self.file.set_len(self.length) } else { Ok(()) }
    }
}

/// The bytes as text, without a last character that was cut off.
fn without_cut_character(bytes: Vec<u8>) -> std::io::Result<String> {
    String::from_utf8(bytes).or_else(|error| {
        let (whole, is_cut) = (error.utf8_error().valid_up_to(), error.utf8_error().error_len().is_none());
        let mut bytes = error.into_bytes();
        bytes.truncate(if is_cut { whole } else { bytes.len() });
        String::from_utf8(bytes).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    })
}

/// Bytes up to a record that was cut off. A last line that does not begin like a record is kept, to be refused.
fn whole_lines(text: &str) -> usize {
    let start = text.rfind('\n').map_or(0, |end| end + 1);
    let last = &text[start..];
    let begins_so = last.starts_with(BEGINNING) || BEGINNING.starts_with(last);
    if begins_so && serde_json::from_str::<Record>(last).is_err() { start } else { text.len() }
}

impl Campaign {
    /// Refuses records of another campaign, or measured in another way; `conditions` has the fields that all records share.
    ///
    /// # Errors
    /// [`Error::File`] that names the first record that is not, and what is different.
    pub fn check(&self, origin: &str, records: &[Record], conditions: &Conditions) -> Result<()> {
        match records.iter().find_map(|record| Some((record, self.difference(record, conditions)?))) {
            None => Ok(()),
            Some((record, difference)) => Err(Error::File {
                origin: format!("{origin}, record {}", record.hash),
                reason: format!("is of another campaign: {difference}; choose another file"),
            }),
        }
    }

    fn difference(&self, record: &Record, conditions: &Conditions) -> Option<String> {
        let theirs = &record.conditions;
        let sizes =
            [("batch size", theirs.batch_size, conditions.batch_size), ("length", theirs.seq_len, conditions.seq_len)];
        if let Some((what, Some(theirs), Some(ours))) = sizes.into_iter().find(|(_, theirs, ours)| theirs != ours) {
            return Some(format!("its {what} is {theirs}, here it is {ours}"));
        }
        let (Some(order), Some(their_way)) = (record.order, &theirs.measuring) else {
            return Some("it does not say which, as `order` and `measuring` are missing".into());
        };
        let our_way = conditions.measuring.as_ref();
        let fields = [our_way, Some(their_way)].into_iter().flatten().filter_map(Value::as_object).flat_map(Map::keys);
        for field in fields {
            let of = |way: Option<&Value>| way.and_then(|way| way.get(field)).cloned().unwrap_or_default();
            let (theirs, ours) = (of(Some(their_way)), of(our_way));
            if theirs != ours {
                return Some(format!("its `{field}` is {theirs}, this one's {ours}"));
            }
        }
        let planned = self.planned.get(order)?;
        (ModelHash::of(planned) != ModelHash::of(&record.design))
            .then(|| format!("its order {order} is {} here, as of other numbers of samples", ModelHash::of(planned)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Measure, Measures,
        campaign::{SamplingPlan, Shard},
        space::{DesignSpace, Sampling},
    };

    fn campaign(samples: usize, seed: u64) -> Campaign {
        let space = DesignSpace::find("small").unwrap();
        Campaign::new(space, SamplingPlan::Samples(samples), Sampling::Sobol, seed, Shard::WHOLE).unwrap()
    }

    fn record(campaign: &Campaign, order: usize) -> Record {
        let measures = Measures::default().with(Measure::Latency, 0.1);
        let measuring = Some(campaign.settings());
        let conditions = Conditions { batch_size: Some(1), seq_len: Some(8), measuring, ..Conditions::default() };
        Record { conditions, ..Record::new(order, campaign.planned[order].clone(), measures) }
    }

    #[test]
    fn what_was_cut_off_is_dropped_and_the_rest_goes_on() {
        let path = std::env::temp_dir().join(format!("irene-records-{}.jsonl", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let campaign = campaign(4, 0);
        let (mut file, records) = RecordFile::open(&path).unwrap();
        assert!(records.is_empty());
        file.append(&record(&campaign, 0)).unwrap();
        let mut last = record(&campaign, 1);
        last.conditions.no_energy = Some("µ".into());
        file.append(&last).unwrap();
        assert!(RecordFile::open(&path).unwrap_err().to_string().ends_with("another campaign writes here"));
        drop(file);
        let whole = std::fs::read_to_string(&path).unwrap();
        let in_character = whole.find('µ').unwrap() + 1;
        for cut in [whole.len() - 1, whole.len() - 9, in_character, whole.len() / 2 + 1] {
            std::fs::write(&path, &whole.as_bytes()[..cut]).unwrap();
            let (mut file, records) = RecordFile::open(&path).unwrap();
            let done = records.len();
            file.append(&record(&campaign, 2)).unwrap();
            drop(file);
            let (_, records) = RecordFile::open(&path).unwrap();
            assert_eq!(records[..done], [record(&campaign, 0), last.clone()][..done]);
            assert_eq!(records[done..], [record(&campaign, 2)]);
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_no_file_of_records() {
        let error = RecordFile::open(Path::new("/dev/zero")).unwrap_err().to_string();
        assert_eq!(error, "/dev/zero: it is read again to go on from it: give a plain file");
    }

    #[test]
    fn a_file_of_another_kind_is_left_as_it_is() {
        let path = std::env::temp_dir().join(format!("irene-other-file-{}", std::process::id()));
        for text in ["{\"device\": \"a\",\n \"records\": []\n}", "{\"device\":\"a\"}", "a note"] {
            std::fs::write(&path, text).unwrap();
            assert!(RecordFile::open(&path).is_err(), "{text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn records_of_another_campaign_are_refused_with_the_difference() {
        let ours = campaign(4, 0);
        let mine = record(&ours, 2);
        let refused = |record: Record, campaign: &Campaign| {
            let conditions = Conditions { measuring: Some(campaign.settings()), ..mine.conditions.clone() };
            campaign.check("file", &[record], &conditions).map_err(|error| error.to_string())
        };
        assert_eq!(refused(mine.clone(), &ours), Ok(()));
        let of = |record: Record| refused(record, &ours).unwrap_err();
        let with = |change: &dyn Fn(&mut Record)| {
            let mut record = mine.clone();
            change(&mut record);
            of(record)
        };
        let expected = "its length is 9, here it is 8; choose another file";
        assert!(with(&|record| record.conditions.seq_len = Some(9)).ends_with(expected));
        assert!(with(&|record| record.conditions.measuring = None).contains("are missing"));
        assert!(with(&|record| record.order = None).contains("are missing"));
        assert!(with(&|record| record.order = Some(1)).contains("its order 1 is"));
        assert!(refused(mine.clone(), &campaign(4, 1)).unwrap_err().contains("its `seed` is 0, this one's 1"));
        // A field that only one of the two has tells them apart as well.
        let mut trained = mine.clone();
        trained.conditions.measuring.as_mut().unwrap()["training"] = "adamw".into();
        assert!(of(trained).contains("its `training` is \"adamw\", this one's null"));
        // More samples of the same sequence begin with the same ones.
        assert_eq!(refused(mine.clone(), &campaign(12, 0)), Ok(()));
        let published = DesignSpace::published();
        let other = Campaign::new(published, SamplingPlan::Samples(4), Sampling::Sobol, 0, Shard::WHOLE).unwrap();
        assert!(refused(mine.clone(), &other).unwrap_err().contains("its `space` is"));
    }
}
