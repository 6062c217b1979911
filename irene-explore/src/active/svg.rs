use std::fmt::Write;

/// A line chart with a logarithmic vertical axis.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) x_label: String,
    pub(super) y_label: String,
    /// Points of each line, in the order of the legend; what is not above 0 is left out.
    pub(super) lines: Vec<Vec<(f64, f64)>>,
    /// A height to mark.
    pub(super) threshold: Option<f64>,
}

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 240.0;
/// Around a panel's frame.
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

/// Panels in rows of `columns`, over a legend. The text takes the colour of the reader's scheme.
pub(super) fn chart(title: &str, names: &[&str], panels: &[Panel], columns: usize) -> String {
    let columns = columns.max(1);
    let (width, panels_end) = (columns as f64 * WIDTH, TITLE + panels.len().div_ceil(columns) as f64 * HEIGHT);
    let height = panels_end + (names.len() as f64 + 0.5) * LEGEND_LINE;
    let mut svg = String::new();
    // Writing to a text cannot fail.
    let _ = writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{title}" font-family="sans-serif" font-size="11">
<style>svg{{background:#fff;color:#1a1a1a}}text{{fill:currentColor}}.line{{fill:none;stroke-width:1.8;stroke-linejoin:round}}.frame{{fill:none;stroke:currentColor;stroke-opacity:.6}}.grid{{stroke:currentColor;stroke-opacity:.13}}.mark{{stroke:currentColor;stroke-dasharray:5 4;stroke-opacity:.75}}@media(prefers-color-scheme:dark){{svg{{background:#16181c;color:#e6e6e6}}}}</style>
<text x="{LEFT}" y="20" font-size="14" font-weight="bold">{title}</text>"##,
        title = escaped(title)
    );
    for (index, panel) in panels.iter().enumerate() {
        let (x, y) = ((index % columns) as f64 * WIDTH, TITLE + (index / columns) as f64 * HEIGHT);
        let _ = writeln!(svg, r#"<g transform="translate({x} {y})">"#);
        panel.draw(&mut svg);
        svg.push_str("</g>\n");
    }
    for (index, name) in names.iter().enumerate() {
        let y = panels_end + (index as f64 + 0.5) * LEGEND_LINE;
        let (style, x) = (style(index), LEFT + 34.0);
        let _ = writeln!(
            svg,
            r#"<path class="line" {style} d="M{LEFT} {y}h28"/><text x="{x}" y="{}">{}</text>"#,
            y + 4.0,
            escaped(name)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

impl Panel {
    fn draw(&self, svg: &mut String) {
        let points = || self.lines.iter().flatten().filter(|(_, y)| *y > 0.0 && y.is_finite());
        let (x_low, x_high) = range(points().map(|point| point.0));
        let (y_low, y_high) = range(points().map(|point| point.1).chain(self.threshold));
        let (y_low, y_high) = (y_low.log10() - 0.05, y_high.log10() + 0.05);
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let x = |value: f64| LEFT + (value - x_low) / (x_high - x_low).max(1e-9) * (right - LEFT);
        let y = |value: f64| bottom - (value.log10() - y_low) / (y_high - y_low) * (bottom - TOP);
        let title = escaped(&self.title);
        let _ = writeln!(svg, r#"<text x="{LEFT}" y="{}" font-weight="bold">{title}</text>"#, TOP - 8.0);
        let decades = y_high - y_low;
        for tick in logarithmic_ticks(y_low, y_high, decades) {
            let y = y(tick);
            let _ = writeln!(
                svg,
                r#"<path class="grid" d="M{LEFT} {y:.1}H{right}"/><text x="{}" y="{:.1}" text-anchor="end">{tick}</text>"#,
                LEFT - 6.0,
                y + 4.0
            );
        }
        for tick in linear_ticks(x_low, x_high) {
            let x = x(tick);
            let _ = writeln!(
                svg,
                r#"<path class="grid" d="M{x:.1} {TOP}V{bottom}"/><text x="{x:.1}" y="{}" text-anchor="middle">{tick}</text>"#,
                bottom + 15.0
            );
        }
        if let Some(threshold) = self.threshold {
            let _ = writeln!(svg, r#"<path class="mark" d="M{LEFT} {:.1}H{right}"/>"#, y(threshold));
        }
        for (index, line) in self.lines.iter().enumerate() {
            let mut path = String::new();
            for (at_x, at_y) in line.iter().filter(|(_, y)| *y > 0.0 && y.is_finite()) {
                let _ = write!(path, "{}{:.1} {:.1}", if path.is_empty() { 'M' } else { 'L' }, x(*at_x), y(*at_y));
            }
            let _ = writeln!(svg, r#"<path class="line" {} d="{path}"/>"#, style(index));
        }
        let middle = (TOP + bottom) / 2.0;
        let _ = writeln!(
            svg,
            r#"<rect class="frame" x="{LEFT}" y="{TOP}" width="{}" height="{}"/>
<text x="{}" y="{}" text-anchor="middle">{}</text>
<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{}</text>"#,
            right - LEFT,
            bottom - TOP,
            (LEFT + right) / 2.0,
            HEIGHT - 12.0,
            escaped(&self.x_label),
            escaped(&self.y_label)
        );
    }
}

fn style(index: usize) -> String {
    let (colour, dashes) = STYLES[index % STYLES.len()];
    format!(r#"stroke="{colour}" stroke-dasharray="{dashes}""#)
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)));
    if low <= high { (low, high) } else { (1.0, 10.0) }
}

/// 1, 2 and 5 times powers of ten; powers alone over many decades, more over less than one.
fn logarithmic_ticks(low: f64, high: f64, decades: f64) -> Vec<f64> {
    let steps: &[f64] = match decades {
        ..0.8 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
        ..2.5 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let exponents = low.floor() as i32..=high.ceil() as i32;
    let all = exponents.flat_map(|exponent| steps.iter().map(move |step| format!("{step}e{exponent}")));
    all.filter_map(|text| text.parse().ok()).filter(|tick: &f64| (low..=high).contains(&tick.log10())).collect()
}

/// At most eight round numbers.
fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    let step = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
    let step = step.into_iter().find(|step| (high - low) / step <= 8.0).unwrap_or((high - low).max(1.0));
    let first = (low / step).ceil() as i64;
    (first..).map(|at| at as f64 * step).take_while(|tick| *tick <= high).take(10).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_its_axes_legend_and_lines() {
        let panel = |lines| Panel {
            title: "energy".into(),
            x_label: "designs".into(),
            y_label: "error, %".into(),
            lines,
            threshold: Some(0.005),
        };
        let line = vec![(4.0, 0.1), (5.0, 0.0), (6.0, f64::NAN), (20.0, 0.001)];
        let svg = chart("a <b> & \"c\"", &["ours", "theirs"], &[panel(vec![line, vec![]]), panel(vec![])], 2);
        assert!(
            svg.contains("a &lt;b&gt; &amp; &quot;c&quot;") && svg.contains(">error, %<") && svg.contains(">theirs<")
        );
        // Two lines of a panel and two of the legend; the threshold of each panel.
        assert_eq!((svg.matches("class=\"line\"").count(), svg.matches("class=\"mark\"").count()), (4, 2));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        assert!(svg.contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(linear_ticks(4.0, 47.0), [10.0, 20.0, 30.0, 40.0]);
        assert_eq!(logarithmic_ticks(-2.3, -0.9, 1.4), [0.01, 0.02, 0.05, 0.1]);
        assert_eq!(linear_ticks(3.0, 3.0), [3.0]);
    }
}
