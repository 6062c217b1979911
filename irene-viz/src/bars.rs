use std::fmt::Write;

use crate::chart::{self, escaped};

/// One group of bars: its name, and the length of each series' bar, in the order of the legend; None for a bar that is not known.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// A length for each series.
    pub lengths: Vec<Option<f64>>,
}

const WIDTH: f64 = 720.0;
const RIGHT: f64 = 56.0;
const TOP: f64 = 34.0;
const BAR: f64 = 11.0;
const BETWEEN: f64 = 8.0;
/// Room for the axis and its label.
const AXIS: f64 = 42.0;
/// The width of a letter, and the most that names take.
const LETTER: f64 = 6.3;
const LONGEST: f64 = 300.0;

/// Bars from left to right in groups, over a legend of the series' names, as SVG. The text takes the colour of the reader's scheme.
///
/// ```
/// let group = irene_viz::Group { name: "gpt2".into(), lengths: vec![Some(0.5), Some(2.1)] };
/// let svg = irene_viz::bars("Errors", &["ml", "module"], &[group], "error, %");
/// assert!(svg.starts_with("<svg") && svg.contains(">2.1<"));
/// ```
pub fn bars(title: &str, names: &[&str], groups: &[Group], label: &str) -> String {
    let letters = groups.iter().map(|group| group.name.chars().count()).max().unwrap_or(0);
    let left = (letters as f64 * LETTER + 16.0).min(LONGEST);
    let each = names.len() as f64 * BAR + BETWEEN;
    let bottom = TOP + groups.len() as f64 * each + BETWEEN;
    let known = groups.iter().flat_map(|group| &group.lengths).flatten().copied().filter(|length| length.is_finite());
    let longest = known.fold(0.0, f64::max);
    let longest = if longest > 0.0 { longest } else { 1.0 };
    let across = |length: f64| left + length / longest * (WIDTH - RIGHT - left);

    let mut svg = chart::opening(title, WIDTH, bottom + AXIS + chart::legend_height(names.len()));
    for tick in chart::linear_ticks(0.0, longest) {
        chart::upright(&mut svg, tick, across(tick), [TOP, bottom]);
    }
    for (place, group) in groups.iter().enumerate() {
        let top = TOP + BETWEEN + place as f64 * each;
        let middle = top + (each - BETWEEN) / 2.0 + 4.0;
        let _ = writeln!(
            svg,
            r#"<text x="{}" y="{middle:.1}" text-anchor="end">{}</text>"#,
            left - 8.0,
            escaped(&group.name)
        );
        for (series, length) in group.lengths.iter().enumerate() {
            let Some(length) = length.filter(|length| length.is_finite()) else { continue };
            bar(&mut svg, series, [left, top + series as f64 * BAR], across(length) - left, length);
        }
    }
    let _ = writeln!(
        svg,
        r#"<path class="frame" d="M{left} {TOP}V{bottom}"/><text x="{}" y="{}" text-anchor="middle">{}</text>"#,
        (left + WIDTH - RIGHT) / 2.0,
        bottom + 32.0,
        escaped(label)
    );
    chart::legend(&mut svg, names, bottom + AXIS, |series, x, y| {
        format!(r#"<rect x="{x}" y="{}" width="28" height="9" fill="{}"/>"#, y - 4.5, chart::colour(series))
    });
    svg.push_str("</svg>\n");
    svg
}

fn bar(svg: &mut String, series: usize, [x, y]: [f64; 2], width: f64, length: f64) {
    let digits = if length < 10.0 { 2 } else { 1 };
    let shown: f64 = format!("{length:.digits$}").parse().unwrap_or(length);
    let _ = writeln!(
        svg,
        r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{}" fill="{}"/><text x="{:.1}" y="{:.1}" font-size="9">{shown}</text>"#,
        BAR - 1.0,
        chart::colour(series),
        x + width + 4.0,
        y + 8.5,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_figure_is_a_bar_and_the_longest_reaches_the_end() {
        let group = |name: &str, lengths: [Option<f64>; 2]| Group { name: name.into(), lengths: lengths.to_vec() };
        let groups = [
            group("a<b>", [Some(1.0), None]),
            group("b", [Some(4.0), Some(f64::NAN)]),
            group("c", [Some(0.0), Some(2.0)]),
        ];
        let svg = bars("errors & more", &["ml", "model"], &groups, "error, %");
        // Four bars and two of the legend.
        assert_eq!(svg.matches("<rect").count(), 6, "{svg}");
        assert!(svg.contains("a&lt;b&gt;") && svg.contains("errors &amp; more") && svg.contains(">error, %<"));
        let width = |length: &str| -> f64 {
            let before = svg.split(&format!(r#"font-size="9">{length}<"#)).next().unwrap();
            before.rsplit("width=\"").next().unwrap().split('"').next().unwrap().parse().unwrap()
        };
        assert!((width("4") - 4.0 * width("1")).abs() < 0.3 && width("0") == 0.0, "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        assert!(!bars("nothing", &[], &[], "").contains("NaN"));
    }
}
