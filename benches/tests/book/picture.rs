//! The README's picture: where the energy of one request goes, as nested boxes whose widths are joules.
//!
//! After a change of the figures, `IRENE_DRAW=1 cargo test --workspace --test book` draws it anew.

use std::fmt::Write;

use irene_predict::{Load, Service, ServiceOptions};
use irene_requests::RequestRow;
use irene_tree::{NodeId, Quantity, Tree, render};

use crate::{docs, drawn, read, root};

const FILE: &str = "pictures/request.svg";
const CONCURRENCY: f64 = 16.0;
const PROMPT: f64 = 512.0;
const GENERATED: f64 = 256.0;

/// A box: its name, its joules, and what is inside it.
struct Part {
    name: String,
    joules: f64,
    parts: Vec<Part>,
}

impl Part {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), joules: 0.0, parts: Vec::new() }
    }

    /// Counts joules here and in the parts of these names, one inside the other.
    fn add(&mut self, path: &[&str], joules: f64) {
        self.joules += joules;
        let Some((first, rest)) = path.split_first() else { return };
        let at = self.parts.iter().position(|part| part.name == *first).unwrap_or_else(|| {
            self.parts.push(Part::new(first));
            self.parts.len() - 1
        });
        self.parts[at].add(rest, joules);
    }

    /// The largest first; prompt and tokens stay in the order in which they run.
    fn sort(&mut self) {
        for part in &mut self.parts {
            part.parts.sort_by(|a, b| b.joules.total_cmp(&a.joules));
            part.sort();
        }
    }
}

/// Names of what a node is in the picture, from the part of the model down.
fn place(scope: &str, is_own: bool) -> Vec<&'static str> {
    let has = |name: &str| scope.split('.').any(|part| part == name);
    let inner = |whole, parts: &[(&str, &'static str)], own| {
        let found = parts.iter().find(|(name, _)| has(name)).map(|(_, shown)| *shown);
        vec![whole, found.unwrap_or(own)]
    };
    if has("mlp") {
        inner("feed-forward", &[("gate_up_proj", "gate and up"), ("down_proj", "down")], "SiLU")
    } else if has("self_attn") {
        let parts = [("qkv_proj", "q, k, v"), ("attention", "scores, values"), ("o_proj", "output")];
        inner("attention", &parts, "rest")
    } else if has("lm_head") {
        vec!["head"]
    } else if has("embed_tokens") {
        vec!["embeddings"]
    } else if has("norm") || scope.contains("layernorm") {
        vec!["norms"]
    } else {
        assert!(is_own, "{scope} has no place in the picture");
        vec!["engine"]
    }
}

/// Adds the own part of a node and of all below it, `times` as often as the root runs.
fn collect(whole: &mut Part, tree: &Tree, id: NodeId, times: f64) {
    let energy = |id| tree.node(id).get(Quantity::PredictedEnergy).unwrap();
    let (node, often) = (tree.node(id), |child| tree.node(child).times());
    let below: f64 = tree.children(id).map(|child| often(child) * energy(child)).sum();
    let own = times * (energy(id) - below);
    if own.abs() > 1e-9 * times * energy(id) {
        let phase = if node.scope().contains("prefill") { "the prompt" } else { "the answer" };
        let path = place(node.scope(), !tree.is_leaf(id));
        whole.add(&[&[phase][..], &path].concat(), own);
    }
    for child in tree.children(id) {
        collect(whole, tree, child, times * often(child));
    }
}

const WIDTH: f64 = 880.0;
const EDGE: f64 = 16.0;
const ROW: f64 = 52.0;
const TOP: f64 = 62.0;

fn colour(name: &str) -> &'static str {
    match name {
        "the prompt" => "#b9d4ee",
        "the answer" => "#f3c99f",
        "feed-forward" | "gate and up" | "down" | "SiLU" => "#f5dca0",
        "attention" | "q, k, v" | "scores, values" | "output" | "rest" => "#b5dfc6",
        "engine" => "#e3c2dc",
        _ => "#d5dae1",
    }
}

fn draw(svg: &mut String, part: &Part, x: f64, row: f64, scale: f64) {
    let (y, width, energy) = (TOP + row * ROW, part.joules * scale, render::si(part.joules, "J"));
    writeln!(
        svg,
        r##"<g><title>{}: {energy}</title><rect x="{x:.1}" y="{y}" width="{width:.1}" height="{ROW}" fill="{}" class="box"/>"##,
        part.name,
        colour(&part.name)
    )
    .unwrap();
    let middle = x + width / 2.0;
    let wide = |text: &str| 6.6 * text.chars().count() as f64 + 6.0;
    if width >= wide(&part.name).max(wide(&energy)) {
        for (line, text, weight) in [(22.0, &part.name, "bold"), (39.0, &energy, "normal")] {
            writeln!(
                svg,
                r#"<text x="{middle:.1}" y="{}" text-anchor="middle" font-weight="{weight}">{text}</text>"#,
                y + line
            )
            .unwrap();
        }
    } else if width >= 14.0 && ROW >= wide(&part.name) {
        let place = format!("translate({:.1} {})", middle + 4.0, y + ROW / 2.0);
        writeln!(svg, r#"<text transform="{place} rotate(-90)" text-anchor="middle">{}</text>"#, part.name).unwrap();
    }
    svg.push_str("</g>\n");
    let mut left = x;
    for inner in &part.parts {
        draw(svg, inner, left, row + 1.0, scale);
        left += inner.joules * scale;
    }
}

#[test]
fn the_picture_of_a_request_is_drawn_from_its_prediction() {
    let row = RequestRow {
        model: Some("Llama-3.1-8B".into()),
        device: Some("h100-sxm".into()),
        prompt: Some(PROMPT),
        generated: Some(GENERATED),
        load: Some(Load::Concurrency(CONCURRENCY)),
        ..RequestRow::default()
    };
    let setting = Service::new(ServiceOptions::default()).setting(&row).unwrap();
    let forecast = setting.forecast().unwrap();
    let tree = setting.tree(&forecast, false).unwrap();
    let mut whole = Part::new("one request");
    // The tree is of all that run at once.
    collect(&mut whole, &tree, tree.ids().next().unwrap(), 1.0 / forecast.requests());
    whole.sort();
    let expected = forecast.figures.energy_per_request_j;
    assert!((whole.joules / expected - 1.0).abs() < 0.01, "{} in the picture, {expected} J a request", whole.joules);

    let height = TOP + 4.0 * ROW + 34.0;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" font-family="sans-serif" font-size="12">
<style>svg{{background:#fff;color:#1f2328}}.note{{fill:currentColor}}.box{{stroke:#fff;stroke-width:1.5}}text{{fill:#1f2328}}text.note{{fill:currentColor}}@media(prefers-color-scheme:dark){{svg{{background:#0d1117;color:#e6edf3}}.box{{stroke:#0d1117}}}}</style>
<title>Where the energy of a request goes</title>
<text x="{EDGE}" y="26" class="note" font-size="16" font-weight="bold">Where the energy of a request goes: Llama-3.1-8B on one H100</text>
<text x="{EDGE}" y="46" class="note">{PROMPT} tokens are read and {GENERATED} written, in bf16 under vLLM 0.11, {CONCURRENCY} requests at once. Widths are joules.</text>
"##
    );
    draw(&mut svg, &whole, EDGE, 0.0, (WIDTH - 2.0 * EDGE) / whole.joules);
    writeln!(
        svg,
        r#"<text x="{EDGE}" y="{}" class="note">Predicted from the card's data sheet, before anything is rented or run. "engine": the server's own time between the kernels.</text>
</svg>"#,
        height - 12.0
    )
    .unwrap();
    drawn(FILE, &svg);
    let figure = render::si(whole.joules, "J");
    let shown =
        format!("on an H100 takes {figure}; nested boxes show which part of the model takes how much](docs/{FILE})");
    assert!(read(&root().join("README.md")).contains(&shown), "the README shows the picture as `{shown}`");
    assert!(read(&docs().join("introduction.md")).contains(&format!("({FILE})")), "the book shows the picture");
}
