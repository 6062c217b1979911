//! The selection that the flags of `irene predict` name.

use anyhow::Result;
use clap::Arg;
use irene_advice::{Basis, Bounds, Change, Error, Estimate, Lookup, LookupOptions, Selection};
use irene_models::ModelSpec;
use irene_predict::Load;
use irene_regress::DeviceProfile;
use irene_requests::RequestRow;
use irene_tree::Kernels;

use crate::{
    commands::{following, numbers::positive, refuse, setting::SettingArgs, usage},
    output,
};

/// A model, how it runs, and where.
#[derive(clap::Args)]
#[command(mut_args = one_value)]
pub(crate) struct SelectionArgs {
    /// A built-in model's name, or a path to a config.json, its directory or a GGUF file; - reads a config from the standard input
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) setting: SettingArgs,
}

/// Flags that have several values elsewhere have one here, and --method none.
fn one_value(arg: Arg) -> Arg {
    let help = match arg.get_id().as_str() {
        "batch_size" => "Sequences in the batch",
        "seq_len" => "Tokens in a sequence",
        "concurrency" => "Mean number of requests running at once (others wait their turn)",
        "rate" => "Requests that arrive in a second",
        "device" => "A device of `irene devices` [default: gtx-1080-ti; h100-sxm for requests to a decoder]",
        "method" => return arg.hide(true),
        _ => return arg,
    };
    arg.help(help)
}

/// The bounds that a service has to keep to.
#[derive(clap::Args, Clone, Copy)]
pub(super) struct BoundsArgs {
    /// The most time to the first token
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    max_ttft: Option<f64>,
    /// The most median time between the tokens of a sequence
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    max_itl: Option<f64>,
    /// The most time of a request, or of a batch
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    max_latency: Option<f64>,
}

impl BoundsArgs {
    /// The bounds on what generates so many tokens.
    pub(super) fn bounds(self, generated: usize) -> Result<Bounds> {
        let of_tokens = [("--max-ttft", self.max_ttft.is_some()), ("--max-itl", self.max_itl.is_some())];
        refuse(generated == 0, "--generate; --max-latency bounds what generates nothing", &of_tokens)?;
        Ok(Bounds { max_ttft_s: self.max_ttft, max_itl_s: self.max_itl, max_latency_s: self.max_latency })
    }
}

/// A selection, and what looks its names up.
pub(crate) struct Selected {
    pub(crate) lookup: Lookup,
    pub(crate) selection: Selection,
}

impl Selected {
    /// Refuses a past that has no place here, by its flag.
    fn refuse_past(&self) -> Result<()> {
        match self.lookup.estimate(&self.selection) {
            Err(Error::Setting { name, reason }) if name == "past_len" => {
                usage(output::reason_in_flags(&format!("--past {reason}")))
            }
            _ => Ok(()),
        }
    }
}

/// The defaults: an encoder's batch, and requests to a decoder on the device of most servers.
const BATCH: usize = 8;
const TOKENS: usize = 128;
const SERVER: &str = "h100-sxm";
const RUNNING: f64 = 32.0;
const PROMPT: usize = 512;
const GENERATED: usize = 256;

impl SelectionArgs {
    /// The selection, with what is not said filled in and told. A flag that counts neither for it nor after the changes is refused.
    pub(crate) fn selected(&self, changes: &[Change]) -> Result<Selected> {
        let selected = self.looked_up()?;
        if selected.selection.past > 0 {
            selected.refuse_past()?;
        }
        let of_meter = self.setting.service.meter_flags();
        if of_meter.iter().any(|(_, is_given)| *is_given) {
            let Estimate { basis, device, .. } = selected.lookup.estimate(&selected.selection)?;
            let then = selected.selection.changed(changes).and_then(|then| selected.lookup.estimate(&then));
            let is_measured = basis == Basis::Profile && then.is_ok_and(|then| then.basis == Basis::Profile);
            let others = format!("a data sheet: the energy of {device} is that of its measured profile");
            refuse(is_measured, &others, &of_meter)?;
        }
        Ok(selected)
    }

    fn looked_up(&self) -> Result<Selected> {
        following::refuse_numbers(std::slice::from_ref(&self.model))?;
        let refused = [("--method", self.setting.predictor.asks_for_track())];
        refuse(true, "irene predict", &refused)?;
        let spec = following::model(&self.model)?;
        let calibration = self.setting.predictor.calibration()?;
        self.setting.service.refuse_another_meter(calibration.as_deref())?;
        let mut lookup = Lookup::new(LookupOptions {
            finds_files: true,
            device: self.setting.service.own_device()?,
            calibration: calibration.clone(),
            host: self.setting.service.host()?,
        });
        let has_sheet = self.setting.service.flags().contains(&("--device-spec", true));
        let has_machine = calibration.is_some() || has_sheet;
        // A data sheet of one's own stands before the configuration file's device.
        let named = self.setting.predictor.devices().filter(|_| !has_sheet).unwrap_or_default();
        let device = match named.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            _ => return usage("--device names one device here; `irene predict` takes several"),
        };
        let selection = self.completed(&spec, device, has_machine)?;
        lookup.add_model(self.model.clone(), spec);
        if self.setting.predictor.file().is_some() && !has_machine {
            let named = self.setting.predictor.load()?;
            let device = named.profile.provenance.device.clone();
            lookup.add_profile(device.clone(), named.profile.into());
            let row = RequestRow { device: Some(device), ..selection.row };
            return Ok(Selected { lookup, selection: Selection { row, ..selection } });
        }
        Ok(Selected { lookup, selection })
    }

    fn completed(&self, spec: &ModelSpec, device: Option<String>, has_machine: bool) -> Result<Selection> {
        let (service, run) = (&self.setting.service, &self.setting.run);
        let mut selection = Selection {
            row: RequestRow {
                model: Some(self.model.clone()),
                device,
                engine: service.engine.clone(),
                weights: service.weights,
                cache: service.cache,
                kernels: run.pass.kernels(),
                load: one(&self.setting.loads(), "--batch-size, --concurrency or --rate")?,
                prompt: one(&self.setting.sizes.seq_len, "--prompt (--seq-len)")?.map(|tokens| tokens as f64),
                generated: run.generate.map(|tokens| tokens as f64),
                parallel: self.setting.parallel.parallel(),
                ..RequestRow::default()
            },
            precision: run.dtype,
            power_limit_w: service.power_limit,
            head: run.pass.head(),
            past: run.pass.past(),
            ..Selection::default()
        };
        if self.setting.predictor.is_of_data_sheet() && selection.row.engine.is_none() {
            return usage("--method data-sheet belongs to irene predict; an --engine asks for the data sheet here");
        }
        let is_decoder = spec.cache(Kernels::Fused)?.is_some();
        fill_in(&mut selection, is_decoder, has_machine || self.setting.predictor.file().is_some());
        Ok(selection)
    }
}

/// The value that is given, if one is.
fn one<T: Copy>(values: &[T], flag: &str) -> Result<Option<T>> {
    match values {
        [] => Ok(None),
        [value] => Ok(Some(*value)),
        _ => usage(format!("{flag} has one value here; `irene predict` takes several")),
    }
}

/// Tells the defaults that were taken, because they decide the answer.
fn fill_in(selection: &mut Selection, is_decoder: bool, has_machine: bool) {
    let row = &mut selection.row;
    let mut told = Vec::new();
    let is_bare = row.load.is_none() && row.prompt.is_none() && selection.past == 0;
    let is_request = matches!(row.load, Some(Load::Concurrency(_) | Load::Rate(_)));
    if row.device.is_none() && !has_machine && is_decoder && (is_bare || is_request) {
        row.device = Some(SERVER.to_owned());
        told.push(format!("--device {SERVER}"));
    }
    let is_served = is_decoder && row.device.as_deref().is_some_and(|name| !DeviceProfile::is_bundled(name));
    if row.load.is_none() {
        row.load = Some(if is_served { Load::Concurrency(RUNNING) } else { Load::Sequences(BATCH) });
        told.push(if is_served { format!("--concurrency {RUNNING}") } else { format!("--batch-size {BATCH}") });
    }
    if row.prompt.is_none() {
        let tokens = match (selection.past, is_served) {
            (1.., _) => 1,
            (_, true) => PROMPT,
            (_, false) => TOKENS,
        };
        row.prompt = Some(tokens as f64);
        told.push(format!("--seq-len {tokens}"));
    }
    if is_served && is_bare && row.generated.is_none() {
        row.generated = Some(GENERATED as f64);
        told.push(format!("--generate {GENERATED}"));
    }
    if !told.is_empty() {
        output::tell(&format!("taken for granted: {}", told.join(" ")));
    }
}
