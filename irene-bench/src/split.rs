use std::collections::BTreeMap;

use irene_numerics::least_squares;
use irene_requests::{Load, RequestRow};
use irene_sampler::Mean;
use serde_json::{Value, json};

use crate::{
    Mark,
    identity::{ASKED, IDLE, WINDOW, WINDOW_ENERGY, WORK, has_mark, number},
};

/// The energy of requests by part, at one concurrency.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The concurrency that was asked for.
    pub concurrency: f64,
    /// Settings that it rests on.
    pub settings: usize,
    /// J of a request, whatever its length.
    pub request: Option<Mean>,
    /// J of a token of the prompt.
    pub prompt_token: Option<Mean>,
    /// J of a generated token.
    pub token: Option<Mean>,
    /// Whether the energy of idling is included, because the idle power is not known.
    pub includes_idle: bool,
    /// The share by which the parts together miss the setting that they fit worst.
    pub worst: Option<f64>,
    /// Why parts are lacking.
    pub lacking: Option<String>,
}

/// Means of a request of a setting: its length, and its energy above that of idling.
struct Point {
    prompt: f64,
    generated: f64,
    joules: f64,
    includes_idle: bool,
}

/// Parts the energy of requests by differences over their lengths: energy = request + prompt × prompt token + generated × token, for each
/// number of requests at once. It is that above idle power, where that is known; settings of which it is not known are then left out.
///
/// Least squares of the relative errors; the intervals are of 95%, by Student's t over the settings beyond the parts that are told apart.
pub fn split(rows: &[RequestRow]) -> Vec<Split> {
    let mut groups: BTreeMap<u64, Vec<Point>> = BTreeMap::new();
    for row in rows {
        if let Some((concurrency, point)) = concurrency(row).zip(Point::of(row)) {
            // Bits of numbers above 0 are in their order.
            groups.entry(concurrency.to_bits()).or_default().push(point);
        }
    }
    let split = |(concurrency, mut points): (u64, Vec<Point>)| {
        // The two are no differences of one another.
        let is_known = points.iter().any(|point| !point.includes_idle);
        points.retain(|point| point.includes_idle != is_known);
        Split::of(f64::from_bits(concurrency), &points)
    };
    groups.into_iter().map(split).collect()
}

fn concurrency(row: &RequestRow) -> Option<f64> {
    let measured = match row.load? {
        Load::Concurrency(mean) => Some(mean),
        Load::Sequences(count) => Some(count as f64),
        Load::Rate(_) => None,
    };
    number(row, ASKED[2]).or(measured).filter(|count: &f64| *count > 0.0)
}

impl Point {
    fn of(row: &RequestRow) -> Option<Self> {
        Self::of_window(row).or_else(|| Self::of_figures(row)).filter(|point| point.joules > 0.0)
    }

    /// By what was worked on in the window, that of failed requests too, and all of its energy.
    fn of_window(row: &RequestRow) -> Option<Self> {
        let number = |title| number(row, title);
        let [requests, prompt, generated] = WORK.map(number);
        let (requests, seconds) = (requests.filter(|count| *count > 0.0)?, number(WINDOW)?);
        let idle = number(IDLE);
        Some(Self {
            prompt: prompt? / requests,
            generated: generated? / requests,
            joules: (number(WINDOW_ENERGY)? - idle.unwrap_or(0.0) * seconds) / requests,
            includes_idle: idle.is_none(),
        })
    }

    fn of_figures(row: &RequestRow) -> Option<Self> {
        let joules = row.figures.energy_per_request_j?;
        let is_net = has_mark(row, Mark::IdleSubtracted);
        let idle_share =
            number(row, IDLE).zip(row.figures.power_w).map(|(idle, power)| idle / power).filter(|_| !is_net);
        Some(Self {
            prompt: row.prompt?,
            generated: row.generated.unwrap_or(0.0),
            joules: joules * (1.0 - idle_share.unwrap_or(0.0)),
            includes_idle: idle_share.is_none() && !is_net,
        })
    }
}

/// Lengths that differ by a smaller share are the same.
const SAME: f64 = 0.02;

/// A column of which the others explain all but this share tells nothing of its own.
const LEAST_OWN: f64 = 1e-3;

impl Split {
    fn of(concurrency: f64, points: &[Point]) -> Self {
        let none = Self {
            concurrency,
            settings: points.len(),
            request: None,
            prompt_token: None,
            token: None,
            includes_idle: points.iter().any(|point| point.includes_idle),
            worst: None,
            lacking: None,
        };
        let varies = |of: fn(&Point) -> f64| {
            let (least, most) = points.iter().map(of).fold((f64::INFINITY, 0.0_f64), |(a, b), x| (a.min(x), b.max(x)));
            most > (1.0 + SAME) * least
        };
        let has = [true, varies(|point| point.prompt), varies(|point| point.generated)];
        let row = |point: &Point| -> Vec<f64> {
            let all = [1.0, point.prompt, point.generated];
            all.into_iter().zip(has).filter(|(_, has)| *has).map(|(value, _)| value).collect()
        };
        let rows: Vec<Vec<f64>> = points.iter().map(row).collect();
        let lacking = |what: &str| Some(format!("more settings are needed to tell {what} apart"));
        let Some(fit) = Fit::of(&rows, points) else {
            return Self { lacking: lacking("prompt and generated tokens"), ..none };
        };
        let mut parts = fit.parts.into_iter();
        let mut next = |has: bool| if has { parts.next() } else { None };
        let lacking = match (has[1], points.iter().all(|point| point.generated == 0.0) || has[2]) {
            (true, true) => None,
            (false, true) => lacking("the tokens of the prompt (another Setting::prompt)"),
            (true, false) => lacking("generated tokens (another Setting::generate)"),
            (false, false) => lacking("tokens (other lengths of Setting::prompt and Setting::generate)"),
        };
        let [request, prompt_token, token] = has.map(&mut next);
        Self { request, prompt_token, token, worst: Some(fit.worst), lacking, ..none }
    }

    /// As an object of JSON; what is not known is left out.
    pub fn to_json(&self) -> Value {
        let mut value = json!({"concurrency": self.concurrency, "settings": self.settings,
            "includes_idle": self.includes_idle});
        let parts =
            [("request_j", self.request), ("prompt_token_j", self.prompt_token), ("generated_token_j", self.token)];
        for (name, part) in parts {
            if let Some(Mean { mean, half_width }) = part {
                value[name] = json!(mean);
                if let Some(half_width) = half_width {
                    value[format!("{name}_ci95")] = json!(half_width);
                }
            }
        }
        if let Some(worst) = self.worst {
            value["worst_miss"] = json!(worst);
        }
        if let Some(lacking) = &self.lacking {
            value["lacking"] = json!(lacking);
        }
        value
    }
}

struct Fit {
    parts: Vec<Mean>,
    worst: f64,
}

impl Fit {
    /// None if there are fewer settings than parts, or if some parts cannot be told apart.
    fn of(rows: &[Vec<f64>], points: &[Point]) -> Option<Self> {
        let columns = rows.first()?.len();
        let weights: Vec<f64> = points.iter().map(|point| point.joules.powi(-2)).collect();
        let slices: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let is_told_apart = (0..columns).all(|column| own_share(rows, &weights, column) > LEAST_OWN);
        let freedom = rows.len().checked_sub(columns).filter(|_| is_told_apart)?;
        let targets: Vec<f64> = points.iter().map(|point| point.joules).collect();
        let parts = least_squares(&slices, &targets, &weights);
        let misses = || {
            rows.iter().zip(&targets).map(|(row, target)| {
                let fitted: f64 = row.iter().zip(&parts).map(|(value, part)| value * part).sum();
                fitted / target - 1.0
            })
        };
        let variance = misses().map(|miss| miss * miss).sum::<f64>() / freedom as f64;
        // The solution is linear in the targets: its slopes carry their errors over.
        let slopes: Vec<Vec<f64>> = (0..targets.len())
            .map(|place| {
                let unit: Vec<f64> = (0..targets.len()).map(|other| f64::from(u8::from(other == place))).collect();
                least_squares(&slices, &unit, &weights)
            })
            .collect();
        let half_width = |part: usize| {
            let spread: f64 = slopes.iter().zip(&weights).map(|(slope, weight)| slope[part].powi(2) / weight).sum();
            (freedom > 0).then(|| Mean::student_t(freedom) * (variance * spread).sqrt())
        };
        let means = parts.iter().enumerate().map(|(part, mean)| Mean { mean: *mean, half_width: half_width(part) });
        Some(Self { parts: means.collect(), worst: misses().map(f64::abs).fold(0.0, f64::max) })
    }
}

/// The share of a column's length that the other columns do not explain.
fn own_share(rows: &[Vec<f64>], weights: &[f64], column: usize) -> f64 {
    let targets: Vec<f64> = rows.iter().map(|row| row[column]).collect();
    let others: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| row.iter().enumerate().filter(|(place, _)| *place != column).map(|(_, value)| *value).collect())
        .collect();
    if others.iter().all(Vec::is_empty) {
        return 1.0;
    }
    let slices: Vec<&[f64]> = others.iter().map(Vec::as_slice).collect();
    let explained = least_squares(&slices, &targets, weights);
    let length = |left: &dyn Fn(usize) -> f64| {
        (0..rows.len()).map(|place| weights[place] * left(place).powi(2)).sum::<f64>().sqrt()
    };
    let fitted = |place: usize| others[place].iter().zip(&explained).map(|(value, part)| value * part).sum::<f64>();
    length(&|place| targets[place] - fitted(place)) / length(&|place| targets[place])
}

#[cfg(test)]
mod tests {
    use irene_requests::Figures;

    use super::*;

    fn row(prompt: f64, generated: f64, concurrency: f64, joules: f64) -> RequestRow {
        let figures = Figures { energy_per_request_j: Some(joules), power_w: Some(100.0), ..Figures::default() };
        let load = Some(Load::Concurrency(concurrency));
        RequestRow { prompt: Some(prompt), generated: Some(generated), load, figures, ..RequestRow::default() }
    }

    fn grid(law: impl Fn(f64, f64) -> f64) -> Vec<RequestRow> {
        let lengths = [(64.0, 16.0), (64.0, 128.0), (256.0, 16.0), (256.0, 128.0)];
        lengths.into_iter().map(|(prompt, generated)| row(prompt, generated, 8.0, law(prompt, generated))).collect()
    }

    #[test]
    fn the_parts_of_a_law_are_found_and_idling_is_taken_out() {
        let mut rows = grid(|prompt, generated| (2.0 + 0.01 * prompt + 0.3 * generated) / 0.8);
        rows.iter_mut().for_each(|row| row.set_further("idle_w", "20"));
        let found = &split(&rows)[0];
        let means = [found.request, found.prompt_token, found.token].map(|part| part.unwrap().mean);
        assert!([2.0, 0.01, 0.3].iter().zip(means).all(|(law, found)| (found / law - 1.0).abs() < 1e-6), "{means:?}");
        assert!(!found.includes_idle && found.worst.unwrap() < 1e-9 && found.lacking.is_none());
    }

    #[test]
    fn energies_with_and_without_that_of_idling_are_not_mixed() {
        let all = |prompt: f64, generated: f64| (2.0 + 0.01 * prompt + 0.3 * generated) / 0.8;
        let mut rows = grid(all);
        rows.iter_mut().for_each(|row| row.set_further("idle_w", "20"));
        let known = split(&rows);
        rows.extend(grid(all));
        assert_eq!(split(&rows), known, "eight settings, of which four tell the idle power");
        assert_eq!((known[0].settings, known[0].includes_idle), (4, false));
    }

    #[test]
    fn the_interval_covers_an_error_of_the_grid() {
        // One of four settings is 1% off.
        let rows = grid(|prompt, generated| {
            let law = 2.0 + 0.01 * prompt + 0.3 * generated;
            if prompt > 100.0 && generated > 100.0 { 1.01 * law } else { law }
        });
        let found = &split(&rows)[0];
        for (part, law) in [(found.request, 2.0), (found.prompt_token, 0.01), (found.token, 0.3)] {
            let Mean { mean, half_width } = part.unwrap();
            assert!((mean - law).abs() < half_width.unwrap() && (mean / law - 1.0).abs() < 0.2, "{found:?}");
        }
        assert!(found.includes_idle);
    }

    #[test]
    fn parts_that_the_grid_does_not_tell_apart_are_absent() {
        let law = |prompt: f64, generated: f64| 2.0 + 0.01 * prompt + 0.3 * generated;
        let diagonal: Vec<RequestRow> =
            [64.0, 128.0, 256.0, 512.0].map(|length| row(length, length / 4.0, 1.0, law(length, length / 4.0))).into();
        let found = &split(&diagonal)[0];
        assert!(found.token.is_none() && found.lacking.is_some(), "{found:?}");
        let prompts: Vec<RequestRow> = [64.0, 256.0].map(|length| row(length, 16.0, 1.0, law(length, 16.0))).into();
        let found = &split(&prompts)[0];
        let slope = found.prompt_token.unwrap();
        assert!((slope.mean - 0.01).abs() < 1e-9 && slope.half_width.is_none() && found.token.is_none());
        assert!(found.lacking.as_ref().unwrap().contains("Setting::generate"));
        // Embeddings have no generated tokens.
        let embeddings: Vec<RequestRow> = [64.0, 256.0].map(|length| row(length, 0.0, 1.0, law(length, 0.0))).into();
        assert_eq!(split(&embeddings)[0].lacking, None);
        assert!(split(&[RequestRow::default()]).is_empty());
    }
}
