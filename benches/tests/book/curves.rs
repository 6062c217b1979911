//! The growth curves of docs/performance.md are drawn from its tables.
//!
//! After a change of these, `IRENE_DRAW=1 cargo test -p irene-benches --test book` draws them anew.

use std::collections::BTreeMap;

use irene_viz::{Axis, Mark, Panel, chart};

use crate::{docs, drawn, read};

/// Curves under a heading of their own.
struct Curves {
    heading: &'static str,
    file: &'static str,
    x_label: &'static str,
    /// Title, label of the vertical axis and columns of each panel; the first column of all is along it.
    panels: &'static [(&'static str, &'static str, &'static [usize])],
    x: usize,
}

const CURVES: [Curves; 4] = [
    Curves {
        heading: "With layers",
        file: "growth-layers.svg",
        x_label: "layers",
        panels: &[("time with layers", "ms", &[1, 3])],
        x: 0,
    },
    Curves {
        heading: "With trees",
        file: "growth-trees.svg",
        x_label: "trees",
        panels: &[("time with trees", "ms", &[1, 2, 3, 4])],
        x: 0,
    },
    Curves {
        heading: "Memory, with a file of trees",
        file: "growth-memory.svg",
        x_label: "file, MiB",
        panels: &[("memory with the file", "MiB", &[3, 5])],
        x: 1,
    },
    Curves {
        heading: "A server, with connections",
        file: "growth-connections.svg",
        x_label: "connections",
        panels: &[("throughput", "answers a second", &[1]), ("waiting, median and 99%", "ms", &[2, 3])],
        x: 0,
    },
];

/// The first table under a heading: its titles, and its cells.
fn table(page: &str, heading: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let (_, section) = page.split_once(&format!("\n### {heading}\n")).unwrap_or_else(|| panic!("no `{heading}`"));
    let lines = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let mut rows: Vec<Vec<String>> = lines.map(cells).collect();
    let titles = rows.remove(0);
    rows.remove(0);
    (titles, rows)
}

/// A cell's number, times in ms and memory in MiB: `12 µs`, `6,300`, `1 (and starting)`.
fn number(cell: &str) -> f64 {
    let mut words = cell.split(' ');
    let number = words.next().unwrap().replace(',', "");
    let number: f64 = number.parse().unwrap_or_else(|_| panic!("`{cell}` begins with no number"));
    let units = BTreeMap::from([("s", 1e3), ("ms", 1.0), ("µs", 1e-3), ("MiB", 1.0)]);
    number * words.next().map_or(1.0, |unit| units.get(unit).copied().unwrap_or(1.0))
}

#[test]
fn growth_curves_are_those_of_the_tables() {
    let page = read(&docs().join("performance.md"));
    for Curves { heading, file, x_label, panels, x } in CURVES {
        let (titles, rows) = table(&page, heading);
        assert!(rows.len() >= 5, "`{heading}` has {} rows", rows.len());
        let columns: Vec<usize> = panels.iter().flat_map(|(.., columns)| columns.iter().copied()).collect();
        let panel = |(title, y_label, shown): &(&str, &str, &[usize])| {
            let curve = |column: &usize| -> Vec<(f64, f64)> {
                if !shown.contains(column) {
                    return Vec::new();
                }
                rows.iter().map(|row| (number(&row[x]), number(&row[*column]))).collect()
            };
            Panel {
                title: (*title).to_owned(),
                x: Axis::logarithmic(x_label),
                y: Axis::logarithmic(*y_label),
                series: columns.iter().map(curve).collect(),
                threshold: None,
            }
        };
        let drawings: Vec<Panel> = panels.iter().map(panel).collect();
        let name = |&column: &usize| {
            // `irene predict`: time | memory
            let (title, before) = (&titles[column], &titles[column - 1]);
            before.split_once(": ").filter(|_| title == "memory").map_or(title.clone(), |(what, _)| what.to_owned())
        };
        let names: Vec<String> = columns.iter().map(name).collect();
        let names: Vec<&str> = names.iter().map(|name| name.trim_matches('`')).collect();
        // A page shows a picture as wide as its text, so a single panel has room beside it.
        let svg = chart(heading, &names, &drawings, drawings.len().max(2), Mark::Lines);
        drawn(&format!("performance/{file}"), &svg);
        assert!(page.contains(&format!("](performance/{file})")), "docs/performance.md does not show {file}");
    }
}

#[test]
fn cells_are_numbers_in_one_unit() {
    assert_eq!(
        ["12 µs", "2.9 ms", "1.42 s", "20 MiB", "6,300", "1 (and starting)"].map(number),
        [12.0 * 1e-3, 2.9, 1420.0, 20.0, 6300.0, 1.0]
    );
}
