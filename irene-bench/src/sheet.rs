use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use irene_requests::{Figure, Figures, Load, RequestReader, RequestRow, write};
use irene_sampler::sensors::{Places, Selection};
use irene_tree::Format;

use crate::{Error, Mark, Measured, Result, Server, Setting};

/// The common facts of all rows of a sheet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// The model, as `irene predict` knows it.
    pub model: Option<String>,
    /// The device, by its name in the catalogue.
    pub device: Option<String>,
    /// The engine with its generation.
    pub engine: Option<String>,
    /// Format of the weights, if it is not the model's own.
    pub weights: Option<Format>,
    /// Format of the cache of keys and values, if it is not that of the activations.
    pub cache: Option<Format>,
    /// GPUs that share each layer; 0 and 1 mean one.
    pub tensor_parallel: usize,
    /// The server's API.
    pub api: String,
    /// The sensors that make up the energy, joined by plus signs, with what it depends on beside the machine; empty without a meter.
    pub meter: String,
    /// The channels that have a power or energy, in order.
    pub channels: Vec<String>,
    /// Whether the energy of idling is left out.
    pub subtracts_idle: bool,
    /// Whether all prompts begin the same.
    pub shares_prefix: bool,
}

const ASKED: [&str; 3] = ["asked_prompt", "asked_generated", "asked_concurrency"];
/// The work in the window: requests, tokens of their prompts, generated tokens.
pub(crate) const WORK: [&str; 3] = ["window_requests", "window_prompt_tokens", "window_generated_tokens"];
pub(crate) const WINDOW: &str = "window_s";
pub(crate) const WINDOW_ENERGY: &str = "window_energy_j";
pub(crate) const IDLE: &str = "idle_w";
const API: &str = "api";
const METER: &str = "meter";
const MARKS: &str = "marks";

impl Identity {
    /// The facts that a server and a meter tell: model, API, meter and channels. `places` are those that the selection was made from.
    pub fn of(server: &Server, selection: &Selection, places: &Places) -> Self {
        let sensors = selection.sensors.probes.iter().chain(&selection.sensors.meters);
        let channels = sensors.flat_map(|sensor| sensor.channels()).filter(|channel| channel.id.metric.is_energy());
        Self {
            model: server.model().map(str::to_owned),
            api: server.api().to_owned(),
            meter: meter(selection, places),
            channels: channels.map(|channel| channel.id.to_string()).collect(),
            ..Self::default()
        }
    }

    fn row(&self) -> RequestRow {
        let Self { model, device, engine, weights, cache, .. } = self.clone();
        let mut row = RequestRow { model, device, engine, weights, cache, ..RequestRow::default() };
        row.parallel.tensor = self.tensor_parallel.max(1);
        row
    }

    /// The row of a setting.
    fn row_of(&self, measured: &Measured) -> RequestRow {
        let Setting { prompt, generate, concurrency } = measured.setting;
        let mut row = self.row();
        row.load = Some(Load::Concurrency(rounded(measured.concurrency)));
        row.prompt = Some(rounded(measured.prompt));
        row.generated = Some(rounded(measured.generated));
        for figure in Figure::ALL {
            row.figures.set(figure, measured.figures.get(figure).map(rounded));
        }
        for (title, asked) in ASKED.iter().zip([prompt, generate, concurrency]) {
            row.set_further(title, asked.to_string());
        }
        let number = |value: Option<f64>| value.map(|value| rounded(value).to_string()).unwrap_or_default();
        let kinds: Vec<String> = measured.errors.iter().map(|(kind, count)| format!("{kind}:{count}")).collect();
        let marks: Vec<&str> = measured.marks.iter().map(|mark| mark.name()).collect();
        let energy = measured.energy.as_ref();
        let interval = energy.and_then(|energy| energy.request?.half_width);
        let further = [
            ("requests", measured.requests.to_string()),
            ("errors", measured.errors.values().sum::<usize>().to_string()),
            ("error_kinds", kinds.join(" ")),
            (WINDOW, number(Some(measured.window_s))),
            ("warm_up_s", number(Some(measured.warm_up_s))),
            ("rounds", measured.rounds.to_string()),
            ("began_unix_s", format!("{:.3}", measured.began_unix_s)),
            (IDLE, number(measured.idle_w)),
            (WORK[0], number(Some(measured.work.requests))),
            (WORK[1], number(Some(measured.work.prompt))),
            (WORK[2], number(Some(measured.work.generated))),
            (WINDOW_ENERGY, number(energy.map(|energy| energy.joules))),
            ("energy_per_request_ci95_j", number(interval)),
            ("readings", energy.map(|energy| energy.readings.to_string()).unwrap_or_default()),
            ("provenance", energy.map(|energy| energy.provenance.name().to_owned()).unwrap_or_default()),
            ("no_energy", measured.no_energy.clone().unwrap_or_default()),
            (API, self.api.clone()),
            (METER, self.meter.clone()),
            (MARKS, marks.join(" ")),
        ];
        for (title, cell) in further {
            row.set_further(title, cell);
        }
        for channel in &self.channels {
            let joules = energy.and_then(|energy| energy.channels.iter().find(|(name, _)| name == channel));
            row.set_further(&column(channel), number(joules.map(|(_, joules)| *joules)));
        }
        row
    }

    /// A row that has all columns.
    fn full(&self) -> RequestRow {
        let mut figures = Figures::default();
        Figure::ALL.into_iter().for_each(|figure| figures.set(figure, Some(1.0)));
        let mut row = self.row_of(&Measured::nothing());
        let word = || Some("x".to_owned());
        (row.model, row.device, row.engine, row.weights) = (word(), word(), word(), Some(Format::F32));
        row.cache = Some(Format::F32);
        row.parallel.tensor = 2;
        RequestRow { figures, ..row }
    }

    /// The line of titles and the line of a row. All rows have the same titles, whatever cells are empty.
    fn lines(&self, row: &RequestRow) -> Result<(String, String)> {
        let mut bytes = Vec::new();
        write(&mut bytes, &[self.full(), row.clone()])?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut lines = text.split_inclusive('\n');
        let titles = lines.next().unwrap_or_default().to_owned();
        lines.next();
        Ok((titles, lines.collect()))
    }

    /// The reason why a row has another identity.
    fn difference(&self, row: &RequestRow) -> Option<String> {
        let own = self.row();
        let has = |mark: Mark| row.further(MARKS).is_some_and(|marks| marks.split(' ').any(|word| word == mark.name()));
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "not said".into());
        let format = |format: Option<Format>| format.map_or("not said", Format::name).to_owned();
        let yes = |is_so: bool| if is_so { "yes" } else { "no" }.to_owned();
        let further = |title: &str| row.further(title).unwrap_or_default().to_owned();
        let pairs = [
            ("model", word(&row.model), word(&own.model)),
            ("device", word(&row.device), word(&own.device)),
            ("engine", word(&row.engine), word(&own.engine)),
            ("weights", format(row.weights), format(own.weights)),
            ("cache", format(row.cache), format(own.cache)),
            ("tensor_parallel", row.parallel.tensor.to_string(), own.parallel.tensor.to_string()),
            (API, further(API), self.api.clone()),
            (METER, further(METER), self.meter.clone()),
            (Mark::IdleSubtracted.name(), yes(has(Mark::IdleSubtracted)), yes(self.subtracts_idle)),
            (Mark::SharedPrefix.name(), yes(has(Mark::SharedPrefix)), yes(self.shares_prefix)),
        ];
        let (name, is, asked) = pairs.into_iter().find(|(_, is, asked)| is != asked)?;
        Some(format!("`{name}` is `{is}` there and `{asked}` now: choose another file"))
    }
}

/// The sensors of the meter, with what their energies depend on beside the machine.
fn meter(selection: &Selection, places: &Places) -> String {
    let named = |name: String| match places.tdp_watts {
        Some(watts) if name == "tdp" => format!("tdp {watts} W"),
        _ => name,
    };
    let names: Vec<String> = selection.sensors.total().names().into_iter().map(named).collect();
    let ahead = places.power_log_ahead;
    names.join(" + ") + &if ahead == 0.0 { String::new() } else { format!(" {ahead} s ahead") }
}

/// The title of a channel's column: joules of the window.
fn column(channel: &str) -> String {
    format!("{WINDOW_ENERGY}[{channel}]")
}

/// Six digits, which is more than any meter knows.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

fn setting(row: &RequestRow) -> Option<Setting> {
    let [prompt, generate, concurrency] = ASKED.map(|title| row.further(title)?.parse().ok());
    Some(Setting { prompt: prompt?, generate: generate?, concurrency: concurrency? })
}

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
            return Err(refuse(None, "it exists; --resume goes on with it, or choose another file".into()));
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

impl Measured {
    fn nothing() -> Self {
        Self {
            setting: Setting { prompt: 1, generate: 1, concurrency: 1 },
            prompt: 1.0,
            generated: 1.0,
            concurrency: 1.0,
            whole: 1.0,
            broken: 0.0,
            work: crate::Work::default(),
            requests: 1,
            errors: std::collections::BTreeMap::new(),
            window_s: 1.0,
            began_unix_s: 0.0,
            warm_up_s: 0.0,
            rounds: 1,
            figures: Figures::default(),
            energy: None,
            no_energy: None,
            idle_w: None,
            marks: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use super::*;

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
        assert!(error(identity(), false).contains("--resume"));
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
