//! Charts.

use std::collections::BTreeMap;

use irene_predict::{Measured, RequestErrors, TrialError};
use irene_viz::{Axis, Mark, Panel, chart};

use super::requests::{COUNTS, Requests, Tried, is_ml_energy};
use crate::commands::reproduce::markdown::Picture;

/// Predicted over measured energy a token of ML.ENERGY's requests, by engine.
pub(super) fn requests(requests: &Requests<'_>) -> Option<Picture> {
    let mut engines: Vec<&str> =
        requests.in_sample.iter().filter(|(one, _)| is_ml_energy(one)).map(|(one, _)| one.engine.name).collect();
    engines.sort_unstable();
    engines.dedup();
    let point = |(one, error): &(&Measured, TrialError)| Some((one.joules_a_token()?, error.residuals[2]?.exp()));
    let panel = |(title, tried): (&str, &Tried<'_>)| {
        let of = |engine: &&str| {
            let of_engine = tried.iter().filter(|(one, _)| is_ml_energy(one) && one.engine.name == *engine);
            of_engine.filter_map(point).collect()
        };
        Panel {
            title: title.into(),
            x: Axis::logarithmic("measured, J a token"),
            y: Axis::logarithmic("predicted / measured"),
            series: engines.iter().map(of).collect(),
            threshold: Some(1.0),
        }
    };
    let panels: Vec<Panel> = [
        ("in sample", &requests.in_sample),
        ("device left out", &requests.without_device),
        ("model left out", &requests.without_model),
    ]
    .into_iter()
    .filter(|(_, tried)| !tried.is_empty())
    .map(panel)
    .collect();
    (!engines.is_empty()).then(|| Picture {
        file: "requests-energy.svg".into(),
        alt: "Predicted over measured energy a token of ML.ENERGY's requests".into(),
        svg: chart("ML.ENERGY: predicted over measured energy a token", &engines, &panels, panels.len(), Mark::Points),
    })
}

/// Errors of energy by the number of requests that are known.
pub(super) fn calibrated(groups: &BTreeMap<String, [RequestErrors; 1 + COUNTS.len()]>) -> Option<Picture> {
    let names: Vec<&str> = groups.keys().map(String::as_str).collect();
    let points = |found: &[RequestErrors; 1 + COUNTS.len()]| -> Vec<(f64, f64)> {
        let of_count = COUNTS.iter().zip(&found[1..]);
        of_count.filter_map(|(count, found)| Some((*count as f64, found.energy.median()?))).collect()
    };
    let series: Vec<_> = groups.values().map(points).collect();
    let panel = Panel {
        title: "ML.ENERGY, device left out of the law".into(),
        x: Axis::logarithmic("requests of the device and engine that are known"),
        y: Axis::linear("median error of energy a token, %"),
        threshold: None,
        series,
    };
    panel.series.iter().any(|points| !points.is_empty()).then(|| Picture {
        file: "requests-calibrated.svg".into(),
        alt: "Errors of energy a token by the number of requests that are known".into(),
        svg: chart("Errors once some requests are known", &names, &[panel], 1, Mark::Lines),
    })
}
