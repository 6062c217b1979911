//! The result of a search in a design space, as an HTML page that loads nothing.

use std::fmt::Write;

use irene_explore::{
    Measure,
    search::{Criterion, Evaluation, Outcome, PartDifference, Solution},
};
use irene_models::flexibert::Design;
use irene_tree::{Tree, render::si};

use crate::chart::escaped;

/// The result of a search in a design space.
#[derive(Clone, Debug)]
pub struct SearchPage<'a> {
    /// The device whose surrogates were asked.
    pub device: &'a str,
    /// The words for their figures: [`Surrogates::basis`](irene_explore::learning::Surrogates::basis).
    pub basis: &'a str,
    /// The search.
    pub outcome: &'a Outcome<Design>,
    /// The place in the front of the design that the page shows.
    pub winner: usize,
    /// Its energy tree.
    pub tree: &'a Tree,
    /// The profile that the tree's energies come from.
    pub profile: &'a str,
    /// The design to compare it with, in words.
    pub beside: &'a str,
    /// The parts where the two differ, the greatest difference first.
    pub differences: &'a [PartDifference],
}

const STYLE: &str = "
:root { color-scheme: light dark; --line: light-dark(#d5d9e0, #3a4150); --mark: light-dark(#1f5fbf, #7fb0ff); --quiet: light-dark(#5a6372, #9aa4b5); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
.winner { font-weight: 600; color: var(--mark); }
.quiet, figcaption { color: var(--quiet); }
svg { width: 100%; height: auto; } svg text { fill: currentColor; font-size: 12px; }
pre, .wide { overflow-x: auto; }";

/// Rows of a table that are shown; of the front, beside the winner's.
const ROWS: usize = 40;
const PARTS: usize = 12;

impl SearchPage<'_> {
    /// The page.
    pub fn to_html(&self) -> String {
        let Outcome { method, objective, constraints, seed, evaluations, front, .. } = self.outcome;
        let whose = Measure::whose(self.known().into_iter().filter_map(Criterion::measure));
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>irene explore search</title>\n\
             <style>{STYLE}</style>\n<h1>{} designs for {}</h1>\n\
             <p>Objective {}{}{}; {method}, {evaluations} evaluations, seed {seed}. All figures are {}, of {whose}.</p>\n",
            front.len(),
            escaped(self.device),
            escaped(objective),
            if constraints.is_empty() { "" } else { ", subject to " },
            escaped(constraints),
            escaped(self.basis),
        );
        for section in [self.scatter(), self.front_table(), self.layers(), self.differences(), self.nodes()] {
            html += &section;
        }
        html + "</html>\n"
    }

    fn known(&self) -> Vec<Criterion> {
        let is_known =
            |criterion: &Criterion| self.outcome.front.iter().any(|found| found.figures.get(*criterion).is_some());
        Criterion::ALL.into_iter().filter(is_known).collect()
    }

    /// The front over its first two criteria.
    fn scatter(&self) -> String {
        let known = self.known();
        let [x, y, ..] = known[..] else { return String::new() };
        let point = |found: &Solution<Design>| Some((found.figures.get(x)?.value, found.figures.get(y)?.value));
        let points: Vec<(usize, (f64, f64))> =
            self.outcome.front.iter().enumerate().filter_map(|(place, found)| Some((place, point(found)?))).collect();
        let across = Side::over(points.iter().map(|(_, point)| point.0), WIDTH);
        let up = Side::over(points.iter().map(|(_, point)| point.1), HEIGHT);
        let mut svg = format!(
            "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{y} over {x} of the designs found\">\n"
        );
        for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            svg += &grid_line(share, (&across, x), (&up, y));
        }
        for (index, (value_x, value_y)) in &points {
            let is_winner = *index == self.winner;
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{}\" fill=\"var(--mark)\" fill-opacity=\"{}\"><title>design {}</title></circle>",
                across.place(*value_x),
                HEIGHT - up.place(*value_y),
                if is_winner { 7 } else { 4 },
                if is_winner { 1.0 } else { 0.45 },
                index + 1,
            );
        }
        svg + &format!(
            "</svg><figcaption>{y} over {x}; the larger mark is design {}.</figcaption></figure>\n",
            self.winner + 1
        )
    }

    fn front_table(&self) -> String {
        let known = self.known();
        let mut html = "<h2>The front</h2>\n<div class=\"wide\"><table>\n<tr><th>design</th><th>layers</th>".to_owned();
        for criterion in &known {
            let _ = write!(html, "<th>{}</th><th>90% interval</th>", criterion.name().replace('_', " "));
        }
        html += "<th>feasible</th></tr>\n";
        let is_shown = |place: usize| place < ROWS || place == self.winner;
        for (place, found) in self.outcome.front.iter().enumerate().filter(|(place, _)| is_shown(*place)) {
            let class = if place == self.winner { " class=\"winner\"" } else { "" };
            let _ = write!(html, "<tr{class}><td>{}</td><td>{}</td>", place + 1, found.design.layers().len());
            for &criterion in &known {
                html += &cells(&found.figures, criterion);
            }
            let _ = writeln!(html, "<td>{:.0}%</td></tr>", 100.0 * found.feasibility);
        }
        html += "</table></div>\n";
        let more = (0..self.outcome.front.len()).filter(|place| !is_shown(*place)).count();
        if more > 0 {
            let _ = writeln!(html, "<p class=\"quiet\">{more} more are in the JSON file.</p>");
        }
        html
    }

    fn layers(&self) -> String {
        let mut html = format!("<h2>Design {}</h2>\n", self.winner + 1);
        if let Some(found) = self.outcome.front.get(self.winner) {
            html += "<div class=\"wide\"><table>\n<tr><th>layer</th><th>hidden</th><th>heads</th><th>feed-forward</th></tr>\n";
            for (index, layer) in found.design.layers().iter().enumerate() {
                let alike = |heads: &[irene_models::flexibert::Head]| format!("{} {}", heads.len(), heads[0]);
                let heads: Vec<String> = layer.heads.chunk_by(|a, b| a == b).map(alike).collect();
                let widths: Vec<String> = layer.feed_forward.iter().map(ToString::to_string).collect();
                let (heads, widths) = (heads.join(", "), widths.join(", "));
                let _ = writeln!(
                    html,
                    "<tr><td>{index}</td><td>{}</td><td>{heads}</td><td>{widths}</td></tr>",
                    layer.hidden
                );
            }
            html += "</table></div>\n";
        }
        html
    }

    fn differences(&self) -> String {
        let mut html = format!(
            "<h2>Parts that make the difference</h2>\n<p>Beside {}; joules by the profile {}, which is not the searched device: \
             what counts is which parts differ.</p>\n<div class=\"wide\"><table>\n\
             <tr><th>part</th><th>class</th><th>this design</th><th>the other</th><th>difference</th></tr>\n",
            escaped(self.beside),
            escaped(self.profile),
        );
        for part in self.differences.iter().filter(|part| part.difference() != 0.0).take(PARTS) {
            let joules = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |value| si(value, "J"));
            let sign = if part.difference() > 0.0 { "+" } else { "−" };
            let _ = writeln!(
                html,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{sign}{}</td></tr>",
                escaped(&part.scope),
                escaped(&part.instance_type),
                joules(part.one),
                joules(part.other),
                si(part.difference().abs(), "J"),
            );
        }
        html + "</table></div>\n"
    }

    fn nodes(&self) -> String {
        let mut html = "<h2>Its energy tree</h2>\n<details><summary>All nodes</summary><pre>".to_owned();
        for id in self.tree.ids() {
            let node = self.tree.node(id);
            let energy = node.get(irene_tree::Quantity::PredictedEnergy);
            let energy = energy.map_or_else(|| "unknown".to_owned(), |joules| si(joules, "J"));
            let _ = writeln!(
                html,
                "{energy:>12}  {}{} {}",
                "  ".repeat(node.depth()),
                escaped(node.name()),
                escaped(node.instance_type())
            );
        }
        html + "</pre></details>\n"
    }
}

/// The scatter's size, and the room around its grid.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 360.0;
const EDGE: f64 = 60.0;

/// One side of the scatter's grid: the values at its ends, and its length with the room around it.
struct Side {
    low: f64,
    high: f64,
    length: f64,
}

impl Side {
    fn over(values: impl Iterator<Item = f64>, length: f64) -> Self {
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if high > low { (low, high) } else { (low * 0.9, high * 1.1 + f64::MIN_POSITIVE) };
        Self { low, high, length }
    }

    fn place(&self, value: f64) -> f64 {
        EDGE + (value - self.low) / (self.high - self.low) * (self.length - 2.0 * EDGE)
    }

    fn value(&self, share: f64) -> f64 {
        self.low + share * (self.high - self.low)
    }
}

/// A horizontal line at a share of the height, with its label, and the label at the same share of the width.
fn grid_line(share: f64, (across, x): (&Side, Criterion), (up, y): (&Side, Criterion)) -> String {
    let (at_x, at_y) = (EDGE + share * (WIDTH - 2.0 * EDGE), HEIGHT - EDGE - share * (HEIGHT - 2.0 * EDGE));
    format!(
        "<line x1=\"{EDGE}\" x2=\"{}\" y1=\"{at_y}\" y2=\"{at_y}\" stroke=\"var(--line)\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><text x=\"{at_x}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
        WIDTH - EDGE,
        EDGE - 6.0,
        at_y + 4.0,
        figure(up.value(share), y),
        HEIGHT - EDGE + 18.0,
        figure(across.value(share), x),
    )
}

fn cells(figures: &Evaluation, criterion: Criterion) -> String {
    let Some(prediction) = figures.get(criterion) else { return "<td></td><td></td>".to_owned() };
    let (low, high) = criterion.interval(&prediction);
    let text = |value| figure(value, criterion);
    format!("<td>{}</td><td class=\"quiet\">{} to {}</td>", text(prediction.value), text(low), text(high))
}

fn figure(value: f64, criterion: Criterion) -> String {
    if criterion.unit().is_empty() { format!("{:.1}%", 100.0 * value) } else { si(value, criterion.unit()) }
}

#[cfg(test)]
mod tests {
    use irene_explore::{
        Measure,
        learning::PredictedValue,
        search::{TracePoint, differences, energy_tree},
        space::{DesignSpace, Sampling},
    };
    use irene_regress::DeviceProfile;

    use super::*;

    fn designs(count: usize, seed: u64) -> Vec<Design> {
        DesignSpace::find("small").unwrap().sample(Sampling::Sobol, count, seed).unwrap()
    }

    /// A search of this many designs, with words as hostile as a file's may be.
    fn outcome(count: usize) -> Outcome<Design> {
        let found = |(at, design): (usize, Design)| {
            let prediction = PredictedValue { value: 1e-3 * (at + 1) as f64, deviation: 1e-4 };
            let figures = Evaluation::new().with(Measure::Latency, prediction).with(Measure::Energy, prediction);
            Solution { design, figures, costs: vec![0.0], feasibility: 0.75, evaluation: at + 1 }
        };
        Outcome {
            method: "random",
            objective: "<script>alert(1)</script>".into(),
            constraints: "\"quoted\" & <b>".into(),
            seed: 0,
            budget: 9,
            evaluations: 9,
            stopped: false,
            reference: None,
            front: designs(count, 0).into_iter().enumerate().map(found).collect(),
            trace: vec![TracePoint { evaluations: 9, front: count, best: None, hypervolume: None }],
        }
    }

    fn html(outcome: &Outcome<Design>, winner: usize) -> String {
        let designs = designs(2, 1);
        let profile = DeviceProfile::bundled("gtx-1080-ti").unwrap();
        let [tree, other] = [0, 1].map(|at| energy_tree("a", &designs[at], 16, &profile).unwrap());
        let differences = differences(&tree, &other);
        let (device, beside) = ("<img src=x onerror=alert(2)>", "a & b");
        let (basis, profile) = ("predicted & guessed", "<i>");
        SearchPage { device, basis, outcome, winner, tree: &tree, profile, beside, differences: &differences }.to_html()
    }

    #[test]
    fn no_word_of_a_file_becomes_markup() {
        let page = html(&outcome(3), 1);
        for hostile in ["<script", "<img", "<i>", "<b>", "& <b>", "a & b"] {
            assert!(!page.contains(hostile), "{hostile}");
        }
        assert!(
            page.contains("&lt;script&gt;alert(1)&lt;/script&gt;")
                && page.contains("&quot;quoted&quot; &amp; &lt;b&gt;")
        );
        assert!(page.contains("&lt;img src=x onerror=alert(2)&gt;"));
        assert!(page.contains("All figures are predicted &amp; guessed, of a sequence."));
        // It asks for nothing from elsewhere.
        assert!(!page.contains("src=\"") && !page.contains("href=") && !page.contains("url("));
    }

    #[test]
    fn the_front_is_shown_with_its_winner_and_what_is_more_is_counted() {
        let page = html(&outcome(43), 2);
        assert_eq!(page.matches("<circle ").count(), 43);
        assert_eq!(page.matches("<tr class=\"winner\"><td>3</td>").count(), 1);
        assert!(page.contains("3 more are in the JSON file"), "43 designs, 40 rows");
        assert!(page.contains("<td>75%</td>") && page.contains("<td>3 ms</td>"));
        // The one that the page is about is in the table wherever it stands.
        let page = html(&outcome(100), 50);
        assert_eq!(page.matches("class=\"winner\"").count(), 1);
        assert!(page.contains("<tr class=\"winner\"><td>51</td>") && page.contains("59 more are in the JSON file"));
        for (designs, winner) in [(1, 0), (1, 9), (0, 0)] {
            let page = html(&outcome(designs), winner);
            assert!(page.ends_with("</html>\n") && !page.contains("NaN") && !page.contains("inf"), "{designs}");
        }
    }
}
