//! The preview of a link to the page where it is shared: Open Graph's title and description, from the query that the link has.

use irene_advice::{By, Change, Comparison, ComponentShare, FigureSet, Selection, Whole};
use irene_tree::render::{range, si};

use crate::{api::check_bounds, app::App, chart::escaped, report::SETTINGS};

/// A title and a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Preview {
    title: String,
    description: String,
}

impl Preview {
    /// The preview of a page that shows nothing yet, or of a selection that cannot be predicted.
    pub(crate) fn plain() -> Self {
        Self {
            title: "irene".to_owned(),
            description: "What a Transformer’s inference costs in energy, and which part of it spends that.".to_owned(),
        }
    }

    /// The preview of the selection that the page's query names; None where there is no figure for it.
    pub(crate) fn of(app: &App, query: &[(String, String)]) -> Option<Self> {
        let value = |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        // A config of one's own is the page's to unpack.
        if value("config").is_some_and(|config| !config.is_empty()) {
            return None;
        }
        let given = |name: &str| value(name).filter(|value| !value.is_empty()).map(|value| Change::new(name, value));
        let settings = SETTINGS.into_iter().map(|(name, _)| name);
        let changes: Vec<Change> = ["model"].into_iter().chain(settings).chain(["set"]).filter_map(given).collect();
        let selection = Selection::default().changed(&changes).ok()?;
        check_bounds(app, &selection).ok()?;
        match value("set_b").filter(|text| !text.is_empty() && value("view") == Some("whatif")) {
            Some(text) => {
                let changes = Change::list(text).ok()?;
                check_bounds(app, &selection.changed(&changes).ok()?).ok()?;
                Some(Self::of_change(&app.lookup.what_if(&selection, &changes).ok()?, &changes))
            }
            None => Self::of_whole(&app.answer(&selection).ok()?.whole()),
        }
    }

    fn of_whole(whole: &Whole) -> Option<Self> {
        let Whole { title, figures, low, high, components, provenance, notes, .. } = whole;
        let of_request = figures.energy_per_request_j?;
        let energy = match figures.energy_per_token_j {
            Some(joules) => format!("{} a token", si(joules, "J")),
            None => format!("{} a request", si(of_request, "J")),
        };
        let interval = low.energy_per_request_j.zip(high.energy_per_request_j);
        let interval =
            interval.map_or_else(String::new, |(low, high)| format!(" ({} with 90%)", range(low, high, "J")));
        let mut sentences = vec![format!("{} a request{interval}", si(of_request, "J"))];
        sentences.extend(notes.iter().map(|note| capital(note)));
        sentences.extend(times(figures));
        sentences.extend(largest(components));
        sentences.push(capital(provenance));
        Some(Self { title: format!("{title}: {energy}"), description: format!("{}.", sentences.join(". ")) })
    }

    fn of_change(comparison: &Comparison, changes: &[Change]) -> Self {
        let Comparison { a, b, energy, .. } = comparison;
        let measure = if energy.by == By::Token { "token" } else { "request" };
        let share = 100.0 * (energy.ratio - 1.0).abs();
        let verdict = match energy.ratio {
            _ if share < 0.05 => "the same energy".to_owned(),
            ratio if ratio < 1.0 => format!("{share:.1}% less energy"),
            _ => format!("{share:.1}% more energy"),
        };
        let doubt = if energy.is_within_intervals { ", which the intervals do not tell apart" } else { "" };
        let joules = |joules: f64| si(joules, "J");
        Self {
            title: format!("{}, what if {}: {verdict} a {measure}", a.selection.model, Change::join(changes)),
            description: format!(
                "{} a {measure} beside {}{doubt}. First: {}. Then: {}.",
                joules(energy.b_j),
                joules(energy.a_j),
                a.title,
                b.title
            ),
        }
    }

    /// The page with it in its head.
    pub(crate) fn page(&self, index: &str) -> String {
        let property =
            |name: &str, value: &str| format!("<meta property=\"og:{name}\" content=\"{}\">\n", escaped(value));
        let head = [
            property("type", "website"),
            property("site_name", "irene"),
            property("title", &self.title),
            property("description", &self.description),
        ];
        index.replacen("</head>", &format!("{}</head>", head.concat()), 1)
    }
}

fn times(figures: &FigureSet) -> Option<String> {
    let first = figures.ttft_s.map(|seconds| format!("first token after {}", si(seconds, "s")));
    let whole = figures.latency_s.map(|seconds| format!("{} in all", si(seconds, "s")));
    let times: Vec<String> = first.into_iter().chain(whole).collect();
    (!times.is_empty()).then(|| capital(&times.join(", ")))
}

fn largest(components: &[ComponentShare]) -> Option<String> {
    let named = |part: &ComponentShare| format!("{} {:.0}%", part.component.replace('_', "-"), 100.0 * part.share);
    let named: Vec<String> = components.iter().take(3).map(named).collect();
    (!named.is_empty()).then(|| capital(&named.join(", ")))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_preview_ends_its_attribute() {
        let hostile = "\"><script>alert(1)</script>&amp;";
        let preview = Preview { title: hostile.to_owned(), description: hostile.to_owned() };
        let page = preview.page("<head></head></head>");
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("content=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;\">"), "{page}");
        assert_eq!(page.matches("og:title").count(), 1);
    }
}
