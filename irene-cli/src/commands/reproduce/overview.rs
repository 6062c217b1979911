//! Where each table and figure is found.

use super::{
    Data, irene, language_models,
    markdown::{Cell, Section, Table},
    protran,
};

/// The number of a table or figure, what it shows, and the section.
const IRENE: [(&str, &str, &str); 17] = [
    ("table 2", "the two machines", irene::MACHINES),
    ("table 4", "how many nodes the trees have", irene::NODES),
    ("tables 8 and 9", "ablations of features and of training strategies", irene::BY_METHOD),
    ("tables 5 and 6", "errors at the model and module level by model", irene::BY_MODEL),
    ("tables 5 and 11", "software measurements", irene::SOFTWARE),
    ("table 7", "ML-level errors by primitive", irene::BY_PRIMITIVE),
    ("", "module-level errors by class", irene::BY_CLASS),
    ("", "how far apart measurements of the same are", irene::FLOOR),
    ("", "a profile carried over to another machine", irene::TRANSFER),
    ("", "whole models predicted from data sheets alone", irene::FROM_SHEETS),
    ("figure 3", "distribution of the errors", irene::DISTRIBUTION),
    ("", "predicted against measured energy", irene::AGAINST_MEASURED),
    ("tables 10 and 12", "shares of the modules above the primitives", irene::SHARES),
    ("figure 5", "a tree with each node's share", irene::ANNOTATED),
    ("", "where every joule goes", irene::BOTTLENECKS),
    ("table 3", "what using a model costs", irene::COST),
    ("figure 4", "energy of the BERT miniatures", irene::MINIATURES),
];

const PROTRAN: [(&str, &str, &str); 5] = [
    ("ProTran", "accuracy of surrogates", protran::ACCURACY),
    ("not in the papers", "which intervals of surrogates hold", protran::INTERVALS),
    ("ProTran", "measurements until surrogates converge", protran::LEARNING),
    ("ProTran", "what one device says of another", protran::TRANSFER),
    ("ProTran, EdgeTran", "what searches find", protran::SEARCH),
];

/// Where each table and figure of the papers is found.
pub(super) fn section(data: &Data) -> Section {
    const NO_TREES: &str = "no measurements of IrEne's were given";
    const NO_PUBLIC: &str = "no public measurements of language models were given";
    const NO_SUCH_FILE: &str = "no file of that kind was given";
    const NO_RECORDS: &str = "no records of ProTran's were given";
    let mut table = Table::new(["paper", "what it shows", "here"]);
    let place = |title: &str, is_given: bool, reason: &str| {
        let link = format!("[{title}](#{})", title.to_lowercase().replace(' ', "-").replace(['\'', ','], ""));
        Cell::of(is_given.then_some(link), reason)
    };
    for (number, what, title) in IRENE {
        let paper = if number.is_empty() { "not in the paper".into() } else { format!("IrEne, {number}") };
        table.row([paper.into(), what.into(), place(title, !data.trees.is_empty(), NO_TREES)]);
    }
    table.row(["IrEne-viz".into(), "the page and the API".into(), place(VIZ, !data.trees.is_empty(), NO_TREES)]);
    for (paper, what, title) in PROTRAN {
        table.row([paper.into(), what.into(), place(title, !data.devices.is_empty(), NO_RECORDS)]);
    }
    for (title, what) in language_models::SECTIONS {
        let reason = if data.public.is_empty() { NO_PUBLIC } else { NO_SUCH_FILE };
        let is_given = language_models::has(title, &data.public);
        table.row(["language models".into(), what.into(), place(title, is_given, reason)]);
    }
    Section::new("Where to find what").table(table)
}

const VIZ: &str = "The page and the API";

/// The paper has pictures of its page and no figures.
pub(super) fn irene_viz(data: &Data) -> Vec<Section> {
    if data.trees.is_empty() {
        return Vec::new();
    }
    vec![Section::new(VIZ).text(
        "The paper shows pictures of its page and prints no figures. Ours are `irene serve`, which answers the paper's requests and has the page, and \
         `irene report`, which writes the page as one file.",
    )]
}
