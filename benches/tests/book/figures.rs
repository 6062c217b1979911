//! Figures of the book: predictions drawn as they are now, and tables and outputs drawn from the pages that show them.
//!
//! After a change, `IRENE_DRAW=1 cargo test --workspace --test book` draws them anew.

use std::fmt::Write;

use irene_predict::{Load, Service, ServiceOptions};
use irene_requests::RequestRow;
use irene_viz::{Axis, Mark, Panel, chart};

use crate::{docs, drawn, read};

fn shows(page: &str, figure: &str) {
    assert!(read(&docs().join(page)).contains(&format!("](pictures/{figure})")), "docs/{page} does not show {figure}");
}

const DEVICES: [&str; 4] = ["h100-sxm", "a100-sxm-80gb", "l4", "rtx-4090"];

/// Joules of a generated token and milliseconds between tokens, at 1, 2, 4 ... 64 requests at once.
#[test]
fn energy_and_time_with_load_are_predicted_ones() {
    let service = Service::new(ServiceOptions::default());
    let (mut joules, mut waits) = (Vec::new(), Vec::new());
    for device in DEVICES {
        let (mut energy, mut wait) = (Vec::new(), Vec::new());
        for doubling in 0..7 {
            let concurrency = f64::from(1 << doubling);
            let row = RequestRow {
                model: Some("Llama-3.1-8B".into()),
                device: Some(device.into()),
                prompt: Some(512.0),
                generated: Some(256.0),
                load: Some(Load::Concurrency(concurrency)),
                ..RequestRow::default()
            };
            // Requests that wait for room in the cache would not be this load.
            let Ok(forecast) = service.setting(&row).unwrap().forecast() else { continue };
            if forecast.notes.iter().any(|note| note.mark() == "cache_full") {
                continue;
            }
            energy.push((concurrency, forecast.figures.energy_per_token_j.unwrap()));
            wait.push((concurrency, 1e3 * forecast.figures.itl_s.unwrap()));
        }
        joules.push(energy);
        waits.push(wait);
    }
    assert!(joules.iter().all(|curve| curve.len() >= 3), "{joules:?}");
    let panel = |title: &str, unit: &str, series| Panel {
        title: title.to_owned(),
        x: Axis::logarithmic("requests at once"),
        y: Axis::logarithmic(unit),
        series,
        threshold: None,
    };
    let panels =
        [panel("energy of a generated token", "J", joules), panel("time between tokens (median)", "ms", waits)];
    let svg = chart("Llama-3.1-8B, 512 tokens read and 256 written", &DEVICES, &panels, 2, Mark::Lines);
    drawn("pictures/load.svg", &svg);
    shows("requests.md", "load.svg");
}

/// The cells of the table whose titles begin with these words.
fn table(page: &str, titles: &str) -> Vec<Vec<String>> {
    let lines = page.lines().skip_while(|line| !line.starts_with(titles)).take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn the_curve_of_calibration_is_that_of_its_table() {
    let page = read(&docs().join("calibrating.md"));
    let rows = table(&page, "| | from the data sheet | 1 setting |");
    let counts: Vec<f64> = rows[0][2..].iter().map(|title| title.split(' ').next().unwrap().parse().unwrap()).collect();
    let (mut names, mut series) = (Vec::new(), Vec::new());
    for row in rows[2..].iter().filter(|row| row[1].contains(" / ")) {
        let median = |cell: &String| cell.split(" / ").next().unwrap().parse::<f64>().unwrap();
        names.push(row[0].as_str());
        series.push(counts.iter().copied().zip(row[2..].iter().map(median)).collect());
    }
    assert!(names.len() >= 5, "{names:?}");
    let panel = Panel {
        title: "median error of the energy of a token, %".into(),
        x: Axis::logarithmic("settings that were measured"),
        y: Axis::linear("%"),
        series,
        threshold: None,
    };
    drawn("pictures/calibration.svg", &chart("Calibrating to a server", &names, &[panel], 2, Mark::Lines));
    shows("calibrating.md", "calibration.svg");
}

/// A line of suggestions: what to do, and the least, the expected and the most that it saves, in percent.
fn suggestion(line: &str) -> Option<(String, [f64; 3])> {
    let (what, rest) = line.split_once("  ")?;
    let mut words = rest.split_whitespace();
    let number = |word: &str| word.trim_end_matches('%').replace('−', "-").parse::<f64>().ok();
    let saves = number(words.next()?)?;
    let low = number(words.next()?)?;
    let high = words.nth(1).and_then(number)?;
    Some((what.to_owned(), [low, saves, high]))
}

#[test]
fn the_bars_of_suggestions_are_those_of_the_output_beside_them() {
    const NAME: f64 = 352.0;
    const ROW: f64 = 22.0;
    const TOP: f64 = 44.0;
    let page = read(&docs().join("saving.md"));
    let (_, output) = page.split_once("what to do ").unwrap();
    let rows: Vec<_> = output.lines().skip(1).take_while(|line| *line != "```").filter_map(suggestion).collect();
    assert!(rows.len() >= 8, "{output}");
    let height = TOP + rows.len() as f64 * ROW + 24.0;
    // From −30 to 100% of the energy.
    let across = |percent: f64| NAME + 20.0 + (percent + 30.0) * 3.2;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 810 {height}" width="810" height="{height}" role="img" font-family="sans-serif" font-size="11.5">
<style>svg{{background:#fff;color:#1f2328}}text{{fill:currentColor}}.reach{{stroke:currentColor;stroke-width:1.2}}.zero{{stroke:currentColor;stroke-opacity:.4}}@media(prefers-color-scheme:dark){{svg{{background:#16181c;color:#e6e6e6}}}}</style>
<title>What would save energy</title>
<text x="12" y="22" font-size="14" font-weight="bold">What each suggestion saves, with its 90% interval</text>
<path class="zero" d="M{zero:.1} {TOP}V{bottom:.1}"/>
"##,
        zero = across(0.0),
        bottom = height - 22.0,
    );
    for (at, (what, [low, saves, high])) in rows.iter().enumerate() {
        let y = TOP + (at as f64 + 0.5) * ROW;
        let (zero, end) = (across(0.0), across(*saves));
        writeln!(
            svg,
            r##"<text x="{NAME}" y="{:.1}" text-anchor="end">{what}</text><rect x="{zero:.1}" y="{:.1}" width="{:.1}" height="12" fill="#009e73" fill-opacity=".75"/><path class="reach" d="M{:.1} {y:.1}H{:.1}"/>"##,
            y + 4.0,
            y - 6.0,
            (end - zero).max(0.0),
            across(*low),
            across(*high),
        )
        .unwrap();
    }
    for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
        let (x, y) = (across(percent), height - 8.0);
        writeln!(svg, r#"<text x="{x:.1}" y="{y}" text-anchor="middle">{percent}%</text>"#).unwrap();
    }
    drawn("pictures/suggestions.svg", &(svg + "</svg>\n"));
    shows("saving.md", "suggestions.svg");
}

#[test]
fn a_suggestion_is_read_from_its_line() {
    let line = "Run on h100-nvl instead of h100-sxm     30.4%   −4 to 53%    +1.3%    same";
    assert_eq!(suggestion(line), Some(("Run on h100-nvl instead of h100-sxm".into(), [-4.0, 30.4, 53.0])));
    assert_eq!(suggestion("  its data sheet"), None);
}
