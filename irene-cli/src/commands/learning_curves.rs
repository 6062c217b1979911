use irene_baselines::{MeanErrors, Replay};
use irene_viz::{Axis, Mark, Panel, chart};

/// A figure that a row of panels shows.
type Shown = fn(&MeanErrors) -> f64;

/// The learning curves of a replay as SVG: a row of panels for the squared error that decides convergence, a row for the percentage
/// error; one column a measure.
pub(crate) fn learning_curves(replay: &Replay) -> String {
    let rows: [(&str, Option<f64>, Shown); 2] = [
        ("squared error, of 2 × largest", Some(replay.error), |errors| errors.squared),
        ("mean absolute error, %", None, |errors| 100.0 * errors.relative),
    ];
    let curves: Vec<_> = replay.curves.iter().map(|curve| (curve.name.as_str(), curve.means())).collect();
    let mut panels = Vec::new();
    for (y_label, threshold, shown) in rows {
        for (at, measure) in replay.measures.iter().enumerate() {
            let line = |means: &Vec<(usize, Vec<MeanErrors>, f64)>| {
                means.iter().map(|(samples, errors, _)| (*samples as f64, shown(&errors[at]))).collect()
            };
            panels.push(Panel {
                title: measure.name().replace('_', " "),
                x: Axis::linear("measured designs"),
                y: Axis::logarithmic(y_label),
                series: curves.iter().map(|(_, means)| line(means)).collect(),
                threshold,
            });
        }
    }
    let names: Vec<&str> = curves.iter().map(|(name, _)| *name).collect();
    let title = format!("{}: {} records replayed", replay.device, replay.records);
    chart(&title, &names, &panels, replay.measures.len(), Mark::Lines)
}
