//! The measurements of an unfinished profile, on disk.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use irene_sampler::Measurement;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::output;

/// The measurements of a tree that is not whole yet, kept beside the output so that nothing is lost.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// A digest of the settings that the figures depend on.
    settings: u64,
    pub(crate) known: HashMap<u64, Measurement>,
    /// Lines of measurements by other settings.
    others: String,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    settings: u64,
    key: u64,
    measured: Measurement,
}

impl Journal {
    /// The journal of an output. If the profile resumes, it reads the measurements by these settings.
    pub(crate) fn open(output: &Path, settings: &Value, resume: bool) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        settings.to_string().hash(&mut hasher);
        let settings = hasher.finish();
        let mut path = output.as_os_str().to_owned();
        path.push(".journal");
        let path = PathBuf::from(path);
        let (mut known, mut others) = (HashMap::new(), String::new());
        let has_rounds = path.metadata().is_ok_and(|metadata| metadata.len() > 0);
        ensure!(
            resume || !has_rounds,
            "{} has what a profile measured before it was cut off; --resume goes on from it, or delete it",
            path.display()
        );
        if has_rounds {
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            // The last line may be cut off; its node is measured again.
            for (line, entry) in text.lines().filter_map(|line| Some((line, serde_json::from_str::<Entry>(line).ok()?)))
            {
                if entry.settings == settings {
                    known.insert(entry.key, entry.measured);
                } else {
                    others.extend([line, "\n"]);
                }
            }
        }
        let mut file =
            OpenOptions::new().create(true).append(true).open(&path).with_context(|| path.display().to_string())?;
        if file.try_lock().is_err() {
            bail!("{}: another profile writes here", path.display());
        }
        if has_rounds {
            // Ends a line that was cut off.
            file.write_all(b"\n")?;
        }
        Ok(Self { path, file, settings, known, others })
    }

    /// Writes a measurement. The last line of a node counts.
    pub(crate) fn keep(&mut self, key: u64, measured: &Measurement) {
        self.known.insert(key, measured.clone());
        let entry = Entry { settings: self.settings, key, measured: measured.clone() };
        let line = serde_json::to_string(&entry).map(|line| line + "\n").unwrap_or_default();
        // A journal that cannot be written costs a repetition after a cut, not the measurement.
        let _ = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
    }

    /// Removes the measurements by these settings, which the trees now have; those by other settings stay.
    pub(crate) fn finish(self) -> Result<()> {
        if self.others.is_empty() {
            std::fs::remove_file(&self.path).with_context(|| self.path.display().to_string())
        } else {
            output::write_bytes(&self.path, self.others.as_bytes())
        }
    }
}
