//! The book is whole: SUMMARY.md has every page, and every link leads somewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{docs, markdown_files, prose, read, root};

const SUMMARY: &str = "SUMMARY.md";

/// Text and target of the links in a page's prose, pictures too; what stands between backticks is no link.
fn links(text: &str) -> Vec<(String, String)> {
    // A link may go on in the next line.
    let mut prose = prose(text).collect::<Vec<_>>().join("\n");
    let code: Vec<String> = prose.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    for span in code {
        prose = prose.replacen(&format!("`{span}`"), &"x".repeat(span.chars().count()), 1);
    }
    let mut found = Vec::new();
    for (at, _) in prose.match_indices("](") {
        let (before, after) = (&prose[..at], &prose[at + 2..]);
        let title = before.rsplit('[').next().unwrap_or_default().replace('\n', " ");
        let target = after.split(')').next().unwrap_or_default();
        found.push((title, target.split_whitespace().next().unwrap_or_default().to_owned()));
    }
    found
}

/// The names of headings in an address, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for line in prose(text).filter(|line| line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = seen.entry(anchor.clone()).or_default();
        anchors.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
        *count += 1;
    }
    anchors
}

fn heading(text: &str) -> &str {
    prose(text).next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default()
}

#[test]
fn the_summary_lists_every_page_once_by_its_heading() {
    let docs = docs();
    let listed = links(&read(&docs.join(SUMMARY)));
    let mut names: Vec<&str> = listed.iter().map(|(_, target)| target.as_str()).collect();
    for (title, target) in &listed {
        let text = read(&docs.join(target));
        assert_eq!(heading(&text), title, "{target}: its first line and the summary do not agree");
        let headings = prose(&text).filter(|line| line.starts_with("# ")).count();
        assert_eq!(headings, 1, "{target}: one heading of the first order is the page's title");
    }
    names.sort_unstable();
    let pages: Vec<String> = markdown_files(&docs)
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != SUMMARY)
        .collect();
    assert_eq!(names, pages, "the summary and the folder do not have the same pages");
    assert!(pages.len() >= 17, "only {} pages", pages.len());
}

/// The pages, and the READMEs that lead to them.
fn linking_files() -> Vec<PathBuf> {
    let mut files = markdown_files(&root());
    files.extend(markdown_files(&docs()));
    for entry in fs::read_dir(root()).unwrap() {
        let dir = entry.unwrap().path();
        if dir.join("Cargo.toml").is_file() {
            files.extend(markdown_files(&dir));
        }
    }
    files
}

fn is_address(target: &str) -> bool {
    ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme))
}

/// Why a link of this file leads nowhere, if it does not lead somewhere.
fn broken(file: &Path, target: &str) -> Option<String> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let place = if path.is_empty() { file.to_owned() } else { file.parent()?.join(path) };
    if !place.exists() {
        return Some("there is no such file".into());
    }
    let anchor = anchor?;
    let known = if place.is_file() { anchors(&read(&place)) } else { BTreeSet::new() };
    (!known.contains(anchor)).then(|| format!("there is no heading `{anchor}`, only {known:?}"))
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in linking_files() {
        for (_, target) in links(&read(&file)).iter().filter(|(_, target)| !is_address(target)) {
            count += 1;
            wrong.extend(broken(&file, target).map(|reason| format!("{}: {target}: {reason}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 80, "only {count} links were found");
}

#[test]
fn no_blank_line_cuts_a_table_in_two() {
    for file in linking_files() {
        let text = read(&file);
        let lines: Vec<&str> = prose(&text).collect();
        let is_row = |at: usize| lines.get(at).is_some_and(|line| line.starts_with('|'));
        for first in (0..lines.len()).filter(|&at| is_row(at) && !(at > 0 && is_row(at - 1))) {
            let below = lines.get(first + 1).copied().unwrap_or_default();
            let has_titles = below.trim_start_matches(['|', ' ']).starts_with("---");
            assert!(has_titles, "{}: no titles above {}", file.display(), lines[first]);
        }
    }
}

#[test]
fn pages_link_to_nothing_outside_of_the_book() {
    for file in markdown_files(&docs()) {
        for (_, target) in links(&read(&file)) {
            assert!(!target.starts_with('/') && !target.contains(".."), "{}: {target}", file.display());
        }
    }
}

#[test]
fn the_data_formats_have_every_number_that_a_node_carries() {
    let text = read(&docs().join("data-formats.md"));
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    for quantity in irene_tree::Quantity::all() {
        let named = format!("`{quantity}`");
        let row = rows.iter().find(|row| row.split('|').nth(1).is_some_and(|cell| cell.contains(&named)));
        let row = row.unwrap_or_else(|| panic!("{named} is in no row"));
        let unit = match quantity.unit() {
            "MFLOP" => "millions",
            unit => unit,
        };
        assert!(row.split('|').nth(3).is_some_and(|cell| cell.contains(unit)), "{row}: {quantity} is in {unit}");
    }
}

#[test]
fn links_and_headings_are_found_where_they_are() {
    let text =
        "# One `two`, 3\n\nSee [a\nb](c.md#d) and `[no](x.md)`.\n```\n# no\n[no](y.md)\n```\n## A & b\n## A & b\n";
    assert_eq!(links(text), [("a b".into(), "c.md#d".into())]);
    assert_eq!(anchors(text), ["a--b", "a--b-1", "one-two-3"].map(str::to_owned).into());
}

#[test]
fn every_model_type_stands_in_the_table_of_architectures() {
    let page = read(&docs().join("models.md"));
    let types = irene_models::architectures().map(irene_models::Architecture::model_type);
    let missing: Vec<&str> = types.filter(|model_type| !page.contains(&format!("`{model_type}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
