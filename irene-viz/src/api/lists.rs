//! Lists: `GET models`, `GET devices`, `GET engines`, `GET grids`.

use std::sync::Arc;

use axum::{
    extract::State,
    routing::{MethodRouter, get},
};
use irene_devices::{Catalogue, Engine};
use irene_models::{BuiltinModel, ModelSpec};
use irene_tree::{Quantity, Size};
use serde::Serialize;

use super::{
    Shared,
    answers::{DataSheet, DeviceEntry, DeviceKind, Devices, EngineEntry, Engines, Grids, Model, Models},
    fields::Params,
    queries::Nothing,
};
use crate::{
    answer::Asked,
    app::{App, Device, Effort},
    kept::{self, Key},
    problem::Problem,
};

/// The route of a list.
pub(super) fn listed<T: Serialize + 'static>(list: fn(&App) -> Result<T, Problem>) -> MethodRouter<Arc<App>> {
    get(move |State(app): Shared, key: Key, asked: Asked, Params(Nothing): Params<Nothing>| async move {
        kept::answer(&app, key, asked, Effort::Short, list).await
    })
}

pub(super) fn models(app: &App) -> Result<Models, Problem> {
    let specs = ModelSpec::builtin_names().map(|name| app.model(&name)).collect::<Result<Vec<_>, Problem>>()?;
    models_of(specs, app)
}

pub(crate) fn models_of(specs: impl IntoIterator<Item = ModelSpec>, app: &App) -> Result<Models, Problem> {
    let entry = |spec: ModelSpec| {
        let first = |fields: [&'static str; 3]| fields.into_iter().find_map(|field| spec.config().size(field).ok());
        let builtin = BuiltinModel::find(spec.name()).filter(|_| spec.is_builtin());
        let num_parameters = match builtin {
            Some(model) => Some(model.parameters() as f64),
            None => app.trace(&spec, Size::new(1, 1))?.root().get(Quantity::NumParameters),
        };
        Ok(Model {
            name: spec.name().to_owned(),
            architecture: spec.model_type().to_owned(),
            num_parameters,
            series: builtin.map(|model| model.series().to_owned()),
            task: spec.task().name(),
            active_parameters: builtin.and_then(BuiltinModel::active_parameters),
            layers: first(["num_hidden_layers", "n_layer", "n_layers"]),
            hidden_size: first(["hidden_size", "n_embd", "dim"]),
            max_seq_len: spec.longest_sequence().ok(),
        })
    };
    Ok(Models { models: specs.into_iter().map(entry).collect::<Result<_, Problem>>()? })
}

pub(super) fn devices(app: &App) -> Devices {
    devices_of(&app.devices, Catalogue::all().iter().chain(app.lookup.own_devices()))
}

/// Measured machines, then the data sheets of others.
pub(crate) fn devices_of<'a>(
    measured: impl IntoIterator<Item = &'a Device>,
    sheets: impl IntoIterator<Item = &'a irene_devices::Device>,
) -> Devices {
    let mut devices: Vec<DeviceEntry> = measured.into_iter().map(of_measured).collect();
    for sheet in sheets {
        if !devices.iter().any(|known| known.name == sheet.name) {
            devices.push(of_sheet(sheet));
        }
    }
    Devices { devices }
}

fn of_measured(Device { name, profile }: &Device) -> DeviceEntry {
    let provenance = &profile.provenance;
    DeviceEntry {
        name: name.clone(),
        kind: DeviceKind::Measured,
        description: provenance.device.clone(),
        method: profile.predictor.method().to_owned(),
        training_data: provenance.training_data.clone(),
        estimated: provenance.estimated,
        batch_sizes: provenance.sizes.map(|sizes| sizes.sequences),
        seq_lens: provenance.sizes.map(|sizes| sizes.new),
        sheet: Catalogue::find(name).ok().as_ref().map(DataSheet::of),
    }
}

fn of_sheet(sheet: &irene_devices::Device) -> DeviceEntry {
    let source = sheet.sources.get("data_sheet").map_or("its data sheet", String::as_str);
    DeviceEntry {
        name: sheet.name.clone(),
        kind: DeviceKind::DataSheet,
        description: format!("{}, {} GiB, {} W", sheet.title, sheet.memory_gib, sheet.tdp_w),
        method: "data_sheet".to_owned(),
        training_data: source.to_owned(),
        estimated: true,
        batch_sizes: None,
        seq_lens: None,
        sheet: Some(DataSheet::of(sheet)),
    }
}

pub(crate) fn all_engines() -> Engines {
    let entry = |engine: &Engine| EngineEntry {
        name: engine.name,
        about: engine.about(),
        program: engine.program,
        kernels: engine.kernels.name(),
        is_continuous: engine.is_continuous,
    };
    Engines { engines: Engine::all().iter().map(entry).collect() }
}

pub(crate) fn all_grids() -> Grids {
    Grids { grids: irene_advice::Grid::all() }
}
