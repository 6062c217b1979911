//! The graph of the crates, in a picture and in a table, is that of their manifests.
//!
//! After a change of the crates, `IRENE_DRAW=1 cargo test -p irene-benches --test book` draws the picture anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    process::Command,
};

use serde_json::Value;

use crate::{docs, read, root};

/// Where a crate stands in the picture: column and row, from the bottom left. Candle is the one that is not ours.
const PLACES: [(&str, f64, f64); 17] = [
    ("irene-tree", 0.5, 0.0),
    (CANDLE, 2.0, 0.0),
    ("irene-sampler", 3.0, 0.0),
    ("irene-features", 0.0, 1.0),
    ("irene-numerics", 1.0, 1.0),
    ("irene-devices", 1.0, 2.0),
    ("irene-attribution", 3.0, 2.0),
    ("irene-models", 2.0, 2.0),
    ("irene-regress", 0.0, 2.0),
    ("irene-requests", 1.0, 3.0),
    ("irene-predict", 2.0, 4.0),
    ("irene-bench", 3.0, 4.0),
    ("irene-explore", 1.0, 5.0),
    ("irene-advice", 3.0, 5.0),
    ("irene-baselines", 0.0, 6.0),
    ("irene-viz", 2.0, 6.0),
    ("irene-cli", 1.0, TOP),
];

/// The row of the crate that knows all.
const TOP: f64 = 7.0;

const CANDLE: &str = "candle";

/// Crates that nobody depends on: benchmarks, a stub and a server for tests.
const APART: [&str; 3] = ["irene-benches", "irene-nvml-stub", "irene-scripted-server"];

/// The crates that a crate needs always, and those that it needs with some feature.
#[derive(Debug, Default, PartialEq)]
struct Needs {
    always: BTreeSet<String>,
    with_a_feature: BTreeSet<String>,
}

/// By the manifests. `--no-deps` asks for no other crate's.
fn manifests() -> BTreeMap<String, Needs> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(root());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut crates = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if APART.contains(&name) {
            continue;
        }
        let mut needs = Needs::default();
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = dependency["name"].as_str().unwrap();
            // Only what a user of the crate builds: tests have a kind.
            if !dependency["kind"].is_null() || !(other.starts_with("irene-") || other.starts_with("candle-")) {
                continue;
            }
            let other = if other.starts_with("candle-") { CANDLE } else { other };
            let is_optional = dependency["optional"].as_bool().unwrap();
            if is_optional { &mut needs.with_a_feature } else { &mut needs.always }.insert(other.to_owned());
        }
        crates.insert(name.to_owned(), needs);
    }
    crates
}

type Edges = BTreeSet<(String, String)>;

/// Whether a way of two steps or more leads from one crate to the other.
fn has_detour(edges: &Edges, from: &str, to: &str) -> bool {
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut next: Vec<&str> = edges.iter().filter(|(a, b)| a == from && b != to).map(|(_, b)| b.as_str()).collect();
    while let Some(here) = next.pop() {
        if reached.insert(here) {
            next.extend(edges.iter().filter(|(a, _)| a == here).map(|(_, b)| b.as_str()));
        }
    }
    reached.contains(to)
}

/// Solid and dashed arrows: those that do not follow from others.
fn arrows(crates: &BTreeMap<String, Needs>) -> (Edges, Edges) {
    let edges = |of: fn(&Needs) -> &BTreeSet<String>| -> Edges {
        crates.iter().flat_map(|(name, needs)| of(needs).iter().map(|other| (name.clone(), other.clone()))).collect()
    };
    let (always, optional) = (edges(|needs| &needs.always), edges(|needs| &needs.with_a_feature));
    let all: Edges = always.union(&optional).cloned().collect();
    let without = |among: &Edges, edges: &Edges| -> Edges {
        edges.iter().filter(|(from, to)| !has_detour(among, from, to)).cloned().collect()
    };
    (without(&always, &always), without(&all, &optional))
}

const COLUMN: f64 = 160.0;
const ROW: f64 = 84.0;
const BOX: (f64, f64) = (124.0, 34.0);

/// The middle of a crate's box.
fn middle(name: &str) -> (f64, f64) {
    let place = PLACES.iter().find(|(known, ..)| *known == name);
    let (_, column, row) = place.unwrap_or_else(|| panic!("{name} has no place in the picture"));
    (80.0 + COLUMN * column, 30.0 + ROW * (TOP - row))
}

fn picture(crates: &BTreeMap<String, Needs>) -> String {
    let height = 60.0 + ROW * TOP;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {height}" width="640" height="{height}" role="img" font-family="sans-serif" font-size="13">
<title>Which crate of irene needs which</title>
<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#6e7781"/></marker></defs>
"##,
    );
    let (solid, dashed) = arrows(crates);
    for (edges, dashes) in [(solid, ""), (dashed, r#" stroke-dasharray="5 4""#)] {
        for (from, to) in edges {
            let ((x1, y1), (x2, y2)) = (middle(&from), middle(&to));
            let (y1, y2) = (y1 + BOX.1 / 2.0, y2 - BOX.1 / 2.0);
            let line = format!(r##"x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#6e7781""##);
            writeln!(svg, r#"<line {line}{dashes} marker-end="url(#head)"><title>{from} needs {to}</title></line>"#)
                .unwrap();
        }
    }
    for (name, ..) in PLACES {
        let (x, y) = middle(name);
        let (left, top) = (x - BOX.0 / 2.0, y - BOX.1 / 2.0);
        let fill = if name == CANDLE { "#fff1d6" } else { "#eef2f6" };
        let shape = format!(r#"x="{left}" y="{top}" width="{}" height="{}" rx="5""#, BOX.0, BOX.1);
        writeln!(svg, r##"<rect {shape} fill="{fill}" stroke="#57606a"/>"##).unwrap();
        writeln!(svg, r##"<text x="{x}" y="{}" text-anchor="middle" fill="#1f2328">{name}</text>"##, y + 4.5).unwrap();
    }
    svg + "</svg>\n"
}

#[test]
fn the_picture_is_drawn_from_the_manifests() {
    let crates = manifests();
    let drawn: BTreeSet<&str> = PLACES.iter().map(|(name, ..)| *name).filter(|name| *name != CANDLE).collect();
    assert_eq!(drawn, crates.keys().map(String::as_str).collect(), "the picture has the crates of the workspace");
    crate::drawn("crates.svg", &picture(&crates));
    assert!(read(&docs().join("architecture.md")).contains("(crates.svg)"), "docs/architecture.md shows the picture");
}

#[test]
fn the_table_of_the_architecture_says_what_the_manifests_say() {
    let text = read(&docs().join("architecture.md"));
    let names = |cell: &str| -> BTreeSet<String> {
        cell.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let rows = text.lines().filter(|line| line.starts_with("| irene-")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, _, always, with_a_feature] = cells[..] else { panic!("{line}: four cells are expected") };
        (name.to_owned(), Needs { always: names(always), with_a_feature: names(with_a_feature) })
    });
    assert_eq!(rows.collect::<BTreeMap<_, _>>(), manifests());
}

#[test]
fn what_follows_from_other_arrows_is_left_out() {
    let needs = |always: &[&str], optional: &[&str]| {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Needs { always: set(always), with_a_feature: set(optional) }
    };
    let crates: BTreeMap<String, Needs> = [
        ("a".to_owned(), needs(&["b", "c"], &["d"])),
        ("b".to_owned(), needs(&["c"], &["d"])),
        ("c".to_owned(), Needs::default()),
        ("d".to_owned(), Needs::default()),
    ]
    .into();
    let edge = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(arrows(&crates), ([edge("a", "b"), edge("b", "c")].into(), [edge("b", "d")].into()));
}
