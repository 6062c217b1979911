//! The README has its parts in order, every crate, and no figure of quality that the page behind it lacks.

use std::collections::BTreeSet;

use crate::{docs, prose, read, root};

fn readme() -> String {
    read(&root().join("README.md"))
}

/// The text under a heading of the second order.
fn part<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, part) = text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no `{heading}`"));
    part.split("\n## ").next().unwrap_or_default()
}

#[test]
fn the_readme_counts_the_devices_of_the_catalogue() {
    let catalogue = read(&root().join("irene-devices/data/devices.toml"));
    let count = catalogue.lines().filter(|line| line.trim_start().starts_with("{ name = \"")).count();
    for text in [readme(), read(&docs().join("devices.md"))] {
        assert!(
            text.contains(&format!("lists {count}")) || text.contains(&format!("holds {count}")),
            "{count} devices"
        );
    }
}

/// The numbers in a text, without their commas.
fn numbers(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',')));
    words.map(|word| word.trim_matches(['.', ',']).replace(',', "")).filter(|word| !word.is_empty()).collect()
}

#[test]
fn the_readme_goes_from_a_picture_to_the_limits() {
    let text = readme();
    let headings: Vec<&str> = prose(&text).filter_map(|line| line.strip_prefix("## ")).collect();
    let expected = ["How good it is", "Install", "Five tasks", "The crates", "Limits", "Documentation"];
    assert_eq!(headings, expected);
    let (opening, _) = text.split_once("\n## ").unwrap();
    let places = ["![", "```sh\nirene predict Llama", "```text\n"].map(|start| opening.find(start).unwrap());
    assert!(places.is_sorted(), "a picture, a command, its output: {places:?}");
    let tasks = part(&text, "Five tasks");
    assert_eq!(tasks.lines().filter(|line| line.starts_with("**")).count(), 5, "{tasks}");
    assert_eq!(part(&text, "Limits").lines().filter(|line| line.starts_with("- ")).count(), 5);
}

#[test]
fn every_figure_of_how_good_it_is_stands_on_the_page_behind_it() {
    let text = readme();
    let part = part(&text, "How good it is");
    let rows: Vec<&str> = part.lines().filter(|line| line.starts_with("| ") && line.contains("](docs/")).collect();
    assert!(rows.len() >= 8, "{part}");
    for row in rows {
        let (shown, link) = row.split_once("](docs/").unwrap();
        let page = link.split(['#', ')']).next().unwrap();
        let known = numbers(&read(&docs().join(page)));
        let missing: Vec<String> = numbers(shown).into_iter().filter(|number| !known.contains(number)).collect();
        assert!(missing.is_empty(), "docs/{page} does not have {missing:?} of\n{row}");
    }
    let devices = read(&docs().join("devices.md")).split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, held) = part.split_once("the 90% intervals ").unwrap();
    let (held, _) = held.split_once('.').unwrap();
    assert!(held.starts_with("hold ") && devices.contains(&format!("{held} where a device is left out")), "{held}");
}

#[test]
fn the_readme_has_every_crate_in_a_sentence() {
    let text = readme();
    let manifest = read(&root().join("Cargo.toml"));
    let members = manifest.split("members = [").nth(1).unwrap().split(']').next().unwrap();
    // A crate in another crate's folder is a part of its tests.
    let apart = |name: &str| name.contains('/') || name == "benches";
    let members: BTreeSet<&str> =
        members.split(',').map(|name| name.trim().trim_matches('"')).filter(|name| !apart(name)).collect();
    let rows = part(&text, "The crates").lines().filter_map(|line| line.strip_prefix("| [")?.split(']').next());
    assert_eq!(rows.collect::<BTreeSet<_>>(), members);
}

#[test]
fn numbers_are_found_between_words() {
    let found = numbers("12.2 / 14.6%, 1,665 rows (GTX 1070), e.g. x86.");
    assert_eq!(found, ["12.2", "14.6", "1665", "1070", "86"].map(str::to_owned).into());
}
