//! Rows of a sheet: what all have in common, and the cells of a setting.

use irene_requests::{Figure, Figures, Load, RequestRow, write};
use irene_sampler::sensors::{Places, Selection};
use irene_tree::Format;

use crate::{Mark, Measured, Result, Server, Setting};

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

pub(crate) const ASKED: [&str; 3] = ["asked_prompt", "asked_generated", "asked_concurrency"];
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
    pub(crate) fn row_of(&self, measured: &Measured) -> RequestRow {
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
    pub(crate) fn full(&self) -> RequestRow {
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
    pub(crate) fn lines(&self, row: &RequestRow) -> Result<(String, String)> {
        let mut bytes = Vec::new();
        write(&mut bytes, &[self.full(), row.clone()])?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut lines = text.split_inclusive('\n');
        let titles = lines.next().unwrap_or_default().to_owned();
        lines.next();
        Ok((titles, lines.collect()))
    }

    /// The reason why a row has another identity.
    pub(crate) fn difference(&self, row: &RequestRow) -> Option<String> {
        let own = self.row();
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
            (Mark::IdleSubtracted.name(), yes(has_mark(row, Mark::IdleSubtracted)), yes(self.subtracts_idle)),
            (Mark::SharedPrefix.name(), yes(has_mark(row, Mark::SharedPrefix)), yes(self.shares_prefix)),
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

pub(crate) fn has_mark(row: &RequestRow, mark: Mark) -> bool {
    row.further(MARKS).is_some_and(|marks| marks.split(' ').any(|word| word == mark.name()))
}

/// A number in a column that only sheets of this crate have.
pub(crate) fn number(row: &RequestRow, title: &str) -> Option<f64> {
    row.further(title)?.parse().ok()
}

/// The setting that a row is of.
pub(crate) fn setting(row: &RequestRow) -> Option<Setting> {
    let [prompt, generate, concurrency] = ASKED.map(|title| row.further(title)?.parse().ok());
    Some(Setting { prompt: prompt?, generate: generate?, concurrency: concurrency? })
}

impl Measured {
    pub(crate) fn nothing() -> Self {
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
