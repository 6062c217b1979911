//! Charts as SVG: panels of lines or points over a legend, in the reader's colour scheme.

use std::fmt::Write;

/// One chart of several beside each other.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Its title.
    pub title: String,
    /// Its horizontal axis.
    pub x: Axis,
    /// Its vertical axis.
    pub y: Axis,
    /// Points of each series, in the order of the legend; points that an axis cannot show are left out.
    pub series: Vec<Vec<(f64, f64)>>,
    /// A height to mark.
    pub threshold: Option<f64>,
}

/// One axis of a panel.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Its label, with the unit.
    pub label: String,
    /// Whether equal distances are equal factors.
    pub is_logarithmic: bool,
}

impl Axis {
    /// Equal distances are equal differences.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), is_logarithmic: false }
    }

    /// Equal distances are equal factors; only values above 0 have a place.
    pub fn logarithmic(label: impl Into<String>) -> Self {
        Self { label: label.into(), is_logarithmic: true }
    }

    /// A value's distance along the axis, in no unit yet.
    fn place(&self, value: f64) -> Option<f64> {
        let place = if self.is_logarithmic { value.log10() } else { value };
        place.is_finite().then_some(place)
    }

    /// From the least place to the greatest, with a little room where values are factors.
    fn range(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let places = values.filter_map(|value| self.place(value));
        let (low, high) =
            places.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)));
        let room = if self.is_logarithmic { ROOM } else { 0.0 };
        if low <= high { (low - room, high + room) } else { (0.0, 1.0) }
    }

    fn ticks(&self, low: f64, high: f64) -> Vec<f64> {
        if self.is_logarithmic { logarithmic_ticks(low, high) } else { linear_ticks(low, high) }
    }
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// From point to point.
    Lines,
    /// Each point on its own.
    Points,
}

/// Room around the values on a logarithmic axis, in decades.
const ROOM: f64 = 0.05;
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 240.0;
/// Room around a panel's frame.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 44.0;
const TITLE: f64 = 30.0;
const LEGEND_LINE: f64 = 20.0;

/// Colours that people with any colour vision tell apart (Okabe and Ito), readable on white and on black; dashes besides.
const STYLES: [(&str, &str); 6] = [
    ("#0072b2", ""),
    ("#d55e00", "6 3"),
    ("#009e73", "2 2"),
    ("#b8659a", "9 3 2 3"),
    ("#b07d00", "4 4"),
    ("#7a7a7a", "1 3"),
];

/// Panels in rows of `columns`, over a legend of the series' names. The text takes the colour of the reader's scheme.
pub fn chart(title: &str, names: &[&str], panels: &[Panel], columns: usize, mark: Mark) -> String {
    let columns = columns.max(1);
    let (width, panels_end) = (columns as f64 * WIDTH, TITLE + panels.len().div_ceil(columns) as f64 * HEIGHT);
    let mut svg = opening(title, width, panels_end + legend_height(names.len()));
    for (index, panel) in panels.iter().enumerate() {
        let (x, y) = ((index % columns) as f64 * WIDTH, TITLE + (index / columns) as f64 * HEIGHT);
        let _ = writeln!(svg, r#"<g transform="translate({x} {y})">"#);
        panel.draw(&mut svg, mark);
        svg.push_str("</g>\n");
    }
    legend(&mut svg, names, panels_end, |index, x, y| match mark {
        Mark::Lines => format!(r#"<path class="line" {} d="M{x} {y}h28"/>"#, style(index)),
        Mark::Points => point(index, x + 14.0, y),
    });
    svg.push_str("</svg>\n");
    svg
}

/// The beginning of a picture: its size, its styles and its title.
pub(crate) fn opening(title: &str, width: f64, height: f64) -> String {
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{title}" font-family="sans-serif" font-size="11">
<style>svg{{background:#fff;color:#1a1a1a}}text{{fill:currentColor}}.line{{fill:none;stroke-width:1.8;stroke-linejoin:round}}.frame{{fill:none;stroke:currentColor;stroke-opacity:.6}}.grid{{stroke:currentColor;stroke-opacity:.13}}.mark{{stroke:currentColor;stroke-dasharray:5 4;stroke-opacity:.75}}@media(prefers-color-scheme:dark){{svg{{background:#16181c;color:#e6e6e6}}}}</style>
<text x="{LEFT}" y="20" font-size="14" font-weight="bold">{title}</text>
"##,
        title = escaped(title)
    )
}

pub(crate) fn legend_height(names: usize) -> f64 {
    (names as f64 + 0.5) * LEGEND_LINE
}

/// The names of the series, a line each from `top` on, beside what `sample` draws for the series at a place.
pub(crate) fn legend(svg: &mut String, names: &[&str], top: f64, sample: impl Fn(usize, f64, f64) -> String) {
    for (index, name) in names.iter().enumerate() {
        let y = top + (index as f64 + 0.5) * LEGEND_LINE;
        let sample = sample(index, LEFT, y);
        // Writing to a text cannot fail.
        let _ = writeln!(svg, r#"{sample}<text x="{}" y="{}">{}</text>"#, LEFT + 34.0, y + 4.0, escaped(name));
    }
}

/// A line of the grid from top to bottom, with its number below.
pub(crate) fn upright(svg: &mut String, tick: f64, x: f64, [top, bottom]: [f64; 2]) {
    // Writing to a text cannot fail.
    let _ = writeln!(
        svg,
        r#"<path class="grid" d="M{x:.1} {top}V{bottom}"/><text x="{x:.1}" y="{}" text-anchor="middle">{tick}</text>"#,
        bottom + 15.0
    );
}

/// The colour of a series.
pub(crate) fn colour(index: usize) -> &'static str {
    STYLES[index % STYLES.len()].0
}

impl Panel {
    fn draw(&self, svg: &mut String, mark: Mark) {
        let shown = |&(x, y): &(f64, f64)| Some((self.x.place(x)?, self.y.place(y)?));
        let points = || self.series.iter().flatten().filter(|point| shown(point).is_some());
        let (x_low, x_high) = self.x.range(points().map(|point| point.0));
        let (y_low, y_high) = self.y.range(points().map(|point| point.1).chain(self.threshold));
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let across = |place: f64| LEFT + (place - x_low) / (x_high - x_low).max(1e-9) * (right - LEFT);
        let up = |place: f64| bottom - (place - y_low) / (y_high - y_low).max(1e-9) * (bottom - TOP);
        self.draw_frame(svg);
        for tick in self.y.ticks(y_low, y_high) {
            let y = self.y.place(tick).map_or(bottom, up);
            let _ = writeln!(
                svg,
                r#"<path class="grid" d="M{LEFT} {y:.1}H{right}"/><text x="{}" y="{:.1}" text-anchor="end">{tick}</text>"#,
                LEFT - 6.0,
                y + 4.0
            );
        }
        for tick in self.x.ticks(x_low, x_high) {
            upright(svg, tick, self.x.place(tick).map_or(LEFT, across), [TOP, bottom]);
        }
        if let Some(y) = self.threshold.and_then(|threshold| self.y.place(threshold)) {
            let _ = writeln!(svg, r#"<path class="mark" d="M{LEFT} {:.1}H{right}"/>"#, up(y));
        }
        for (index, series) in self.series.iter().enumerate() {
            mark.draw(svg, index, series.iter().filter_map(shown).map(|(x, y)| (across(x), up(y))));
        }
    }

    /// The frame with its title and the labels of its axes.
    fn draw_frame(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let (title, middle) = (escaped(&self.title), (TOP + bottom) / 2.0);
        let _ = writeln!(
            svg,
            r#"<text x="{LEFT}" y="{}" font-weight="bold">{title}</text>
<rect class="frame" x="{LEFT}" y="{TOP}" width="{}" height="{}"/>
<text x="{}" y="{}" text-anchor="middle">{}</text>
<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{}</text>"#,
            TOP - 8.0,
            right - LEFT,
            bottom - TOP,
            (LEFT + right) / 2.0,
            HEIGHT - 12.0,
            escaped(&self.x.label),
            escaped(&self.y.label)
        );
    }
}

impl Mark {
    /// A series at these places.
    fn draw(self, svg: &mut String, index: usize, places: impl Iterator<Item = (f64, f64)>) {
        match self {
            Self::Lines => {
                let mut path = String::new();
                for (x, y) in places {
                    let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
                }
                let _ = writeln!(svg, r#"<path class="line" {} d="{path}"/>"#, style(index));
            }
            Self::Points => places.for_each(|(x, y)| {
                let _ = writeln!(svg, "{}", point(index, x, y));
            }),
        }
    }
}

fn point(index: usize, x: f64, y: f64) -> String {
    format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="2" fill="{}"/>"#, colour(index))
}

fn style(index: usize) -> String {
    let (colour, dashes) = STYLES[index % STYLES.len()];
    format!(r#"stroke="{colour}" stroke-dasharray="{dashes}""#)
}

/// 1, 2 and 5 times powers of ten; powers alone over many decades, more over less than one.
fn logarithmic_ticks(low: f64, high: f64) -> Vec<f64> {
    let steps: &[f64] = match high - low {
        ..0.8 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
        ..2.5 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let exponents = low.floor() as i32..=high.ceil() as i32;
    let all = exponents.flat_map(|exponent| steps.iter().map(move |step| format!("{step}e{exponent}")));
    all.filter_map(|text| text.parse().ok()).filter(|tick: &f64| (low..=high).contains(&tick.log10())).collect()
}

/// At most nine round numbers.
pub(crate) fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    const MOST: f64 = 8.0;
    let whole = high - low;
    if whole <= 0.0 {
        return vec![low];
    }
    let decade = 10f64.powf((whole / MOST).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade).into_iter().find(|step| whole / step <= MOST);
    let step = step.unwrap_or(whole);
    let first = (low / step).ceil() as i64;
    // Rounded through text, so that 3 tenths are 0.3.
    let tick = |at: i64| format!("{:.12}", at as f64 * step).parse().unwrap_or(low);
    (first..).map(tick).take_while(|tick| *tick <= high + 1e-9 * whole).take(10).collect()
}

/// Text in markup, also in an attribute between double quotes.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_its_axes_legend_and_lines() {
        let panel = |lines| Panel {
            title: "energy".into(),
            x: Axis::linear("designs"),
            y: Axis::logarithmic("error, %"),
            series: lines,
            threshold: Some(0.005),
        };
        let line = vec![(4.0, 0.1), (5.0, 0.0), (6.0, f64::NAN), (20.0, 0.001)];
        let svg =
            chart("a <b> & \"c\"", &["ours", "theirs"], &[panel(vec![line, vec![]]), panel(vec![])], 2, Mark::Lines);
        assert!(
            svg.contains("a &lt;b&gt; &amp; &quot;c&quot;") && svg.contains(">error, %<") && svg.contains(">theirs<")
        );
        // Two lines of a panel and two of the legend; the threshold of each panel.
        assert_eq!((svg.matches("class=\"line\"").count(), svg.matches("class=\"mark\"").count()), (4, 2));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        assert!(svg.contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn points_stand_alone_and_a_logarithm_leaves_out_what_it_cannot_show() {
        let series = vec![vec![(1.0, 1.0), (10.0, 2.0), (0.0, 3.0), (100.0, f64::INFINITY)]];
        let (x, y) = (Axis::logarithmic("J"), Axis::linear("ratio"));
        let panel = Panel { title: String::new(), x, y, series, threshold: Some(1.0) };
        let svg = chart("points", &["one"], &[panel], 1, Mark::Points);
        // Two points, and one in the legend.
        assert_eq!(svg.matches("<circle").count(), 3);
    }

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(linear_ticks(4.0, 47.0), [10.0, 20.0, 30.0, 40.0]);
        assert_eq!(logarithmic_ticks(-2.3, -0.9), [0.01, 0.02, 0.05, 0.1]);
        assert_eq!(linear_ticks(0.0, 1.0), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!(linear_ticks(0.95, 1.08), [0.96, 0.98, 1.0, 1.02, 1.04, 1.06, 1.08]);
        assert_eq!(linear_ticks(3.0, 3.0), [3.0]);
    }
}
