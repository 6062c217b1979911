use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use irene_requests::{RequestReader, RequestRow};

use crate::{
    Error, Measured, Result, Setting,
    identity::{Identity, setting},
};

/// A request sheet on disk that grows by whole lines.
#[derive(Debug)]
pub struct SheetFile {
    path: PathBuf,
    file: File,
    identity: Identity,
    rows: Vec<RequestRow>,
    is_empty: bool,
}

impl SheetFile {
    /// Opens a new sheet, or with `resume` one with rows of the same identity. An unfinished line at its end is cut off. It is locked until
    /// this is dropped.
    ///
    /// # Errors
    /// [`Error::Resume`] if the file has something else, is a pipe or a device, or another process has it open;
    /// [`Error::Io`] if it cannot be read or written.
    pub fn open(path: &Path, identity: Identity, resume: bool) -> Result<Self> {
        let io = || Error::io(format!("cannot write {}", path.display()));
        let refuse = |line: Option<u64>, reason: String| Error::Resume { path: path.to_owned(), line, reason };
        // A pipe or a device may give bytes without end, or none.
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(refuse(None, "it is read again to go on from it: give a plain file".into()));
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(io())?;
        // A file system without locks has none to respect.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(refuse(None, "another bench writes here: wait for it, or choose another file".into()));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io())?;
        if !bytes.is_empty() && !resume {
            return Err(refuse(
                None,
                "it exists; SheetFile::open with resume goes on with it, or choose another file".into(),
            ));
        }
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let (titles, _) = identity.lines(&identity.full())?;
        let mut rows = Vec::new();
        // Without a whole line it may be the beginning of the titles, and nothing else.
        let is_ours = if whole > 0 {
            text.lines().next() == Some(titles.trim_end())
        } else {
            titles.as_bytes().starts_with(&bytes)
        };
        if !is_ours {
            let reason = "its columns are not those that would be written now (another meter or version, or a sheet of another origin): choose another file";
            return Err(refuse(Some(1), reason.into()));
        }
        if whole > 0 {
            for row in RequestReader::new(path.display().to_string(), text.as_bytes())? {
                let row = row?;
                if let Some(difference) = identity.difference(&row) {
                    return Err(refuse(Some(row.line), difference));
                }
                rows.push(row);
            }
        }
        file.set_len(whole as u64).map_err(io())?;
        Ok(Self { path: path.to_owned(), file, identity, rows, is_empty: whole == 0 })
    }

    /// Whether it has this setting.
    pub fn has(&self, asked: Setting) -> bool {
        self.rows.iter().any(|row| setting(row) == Some(asked))
    }

    /// Its rows.
    pub fn rows(&self) -> &[RequestRow] {
        &self.rows
    }

    /// Adds a setting: one whole line, which is on the disk when this returns.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn add(&mut self, measured: &Measured) -> Result<()> {
        let row = self.identity.row_of(measured);
        let (titles, line) = self.identity.lines(&row)?;
        let text = if self.is_empty { titles + &line } else { line };
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(Error::io(format!("cannot write {}", self.path.display())))?;
        self.is_empty = false;
        self.rows.push(row);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use irene_requests::{Figures, Load};

    use super::*;
    use crate::Mark;

    fn identity() -> Identity {
        let word = |word: &str| Some(word.to_owned());
        let (model, device, engine) = (word("gpt2"), word("t4"), word("vllm-0.11"));
        let channels = vec!["rapl.package-0".into()];
        Identity {
            model,
            device,
            engine,
            api: "completions".into(),
            meter: "rapl".into(),
            channels,
            ..Identity::default()
        }
    }

    fn measured(concurrency: usize) -> Measured {
        Measured {
            setting: Setting { prompt: 64, generate: 16, concurrency },
            errors: BTreeMap::from([("timeout".into(), 2)]),
            figures: Figures { energy_per_request_j: Some(3.25), ..Figures::default() },
            marks: vec![Mark::Failures],
            ..Measured::nothing()
        }
    }

    #[test]
    fn a_sheet_goes_on_after_a_cut_in_the_middle_of_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.csv");
        let mut sheet = SheetFile::open(&path, identity(), false).unwrap();
        assert!(!sheet.has(measured(1).setting));
        sheet.add(&measured(1)).unwrap();
        sheet.add(&measured(8)).unwrap();
        drop(sheet);
        let whole = fs::read_to_string(&path).unwrap();
        assert_eq!(whole.lines().count(), 3);
        let (first, second) = (measured(1).setting, measured(8).setting);
        for cut in (0..whole.len()).step_by(9) {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut sheet = SheetFile::open(&path, identity(), true).unwrap();
            let lines = whole[..cut].matches('\n').count();
            assert_eq!([sheet.has(first), sheet.has(second)], [lines > 1, lines > 2], "{cut}");
            for one in [1, 8].map(measured) {
                if !sheet.has(one.setting) {
                    sheet.add(&one).unwrap();
                }
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), whole, "{cut}");
        }
    }

    #[test]
    fn a_sheet_is_written_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.csv");
        let first = SheetFile::open(&path, identity(), false).unwrap();
        for resume in [false, true] {
            let error = SheetFile::open(&path, identity(), resume).unwrap_err().to_string();
            assert!(error.contains("sheet.csv: another bench writes here"), "{error}");
        }
        drop(first);
        assert!(SheetFile::open(&path, identity(), true).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_no_sheet() {
        for resume in [false, true] {
            let error = SheetFile::open(Path::new("/dev/zero"), identity(), resume).unwrap_err().to_string();
            assert_eq!(error, "/dev/zero: it is read again to go on from it: give a plain file");
        }
    }

    #[test]
    fn other_sheets_are_not_continued() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.csv");
        SheetFile::open(&path, identity(), false).unwrap().add(&measured(1)).unwrap();
        let before = fs::read(&path).unwrap();
        let error =
            |identity: Identity, resume: bool| SheetFile::open(&path, identity, resume).unwrap_err().to_string();
        assert!(error(identity(), false).contains("SheetFile::open with resume"));
        let other = error(Identity { model: Some("bert".into()), ..identity() }, true);
        assert!(other.ends_with("line 2: `model` is `gpt2` there and `bert` now: choose another file"), "{other}");
        assert!(error(Identity { subtracts_idle: true, ..identity() }, true).contains("idle_subtracted"));
        assert!(error(Identity { channels: Vec::new(), ..identity() }, true).contains("line 1"));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_file_of_something_else_is_kept_also_without_a_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        fs::write(&path, "precious").unwrap();
        let error = SheetFile::open(&path, identity(), true).unwrap_err().to_string();
        assert!(error.contains("line 1: its columns are not those"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_row_reads_back_as_a_row_of_requests() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.csv");
        SheetFile::open(&path, identity(), false).unwrap().add(&measured(8)).unwrap();
        let rows: Vec<RequestRow> =
            RequestReader::new("s", &fs::read(&path).unwrap()[..]).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows[0].figures, Figures { energy_per_request_j: Some(3.25), ..Figures::default() });
        assert_eq!((rows[0].load, rows[0].device.as_deref()), (Some(Load::Concurrency(1.0)), Some("t4")));
        assert_eq!((rows[0].further("error_kinds"), rows[0].further("marks")), (Some("timeout:2"), Some("failures")));
        assert_eq!(setting(&rows[0]), Some(measured(8).setting));
    }
}
