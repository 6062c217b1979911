//! Windows hold their promises for any sequence of readings.

use irene_sampler::{Channel, Metric, Resource, Series, Window, WindowError};
use proptest::prelude::*;

use super::{LIMIT_WATTS, counter, series, watts};

/// Times that mostly increase, and readings that mostly increase.
fn readings() -> impl Strategy<Value = Vec<(f64, f64)>> {
    let pause = prop_oneof![60 => 0.01..2.0, 1 => -3.0..0.0, 1 => Just(0.0), 1 => Just(f64::NAN), 1 => Just(60.0)];
    let change = prop_oneof![
        60 => (0.0..60.0).prop_map(Change::Watts),
        2 => Just(Change::Watts(0.0)),
        1 => (0.0..1e4).prop_map(Change::Watts),
        1 => (-50.0..500.0).prop_map(Change::To),
        1 => prop_oneof![
            Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(f64::MAX), Just(f64::MIN), Just(-0.0)
        ].prop_map(Change::To),
    ];
    prop::collection::vec((pause, change), 0..60).prop_map(|steps| {
        let (mut time, mut joules) = (0.0, 0.0);
        let read = |(pause, change): (f64, Change)| {
            let now = time + pause;
            time = if now.is_nan() { time } else { now };
            let reading = match change {
                Change::Watts(watts) => joules + watts * if pause > 0.0 { pause } else { 0.0 },
                Change::To(to) => to,
            };
            joules = if reading.abs() < 1e6 { reading } else { joules };
            (now, reading)
        };
        steps.into_iter().map(read).collect()
    })
}

#[derive(Clone, Debug)]
enum Change {
    Watts(f64),
    To(f64),
}

/// Times within and around those of the readings.
fn cuts() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-1.0..70.0, 3).prop_map(|mut cuts| {
        cuts.sort_by(f64::total_cmp);
        cuts
    })
}

fn check_window(series: &Series, from: f64, to: f64) -> Result<(), TestCaseError> {
    let Ok(Window { mean, energy: Some(energy), peak: Some(peak), min, max, std, readings, .. }) =
        series.window(from, to)
    else {
        return Ok(());
    };
    let most = LIMIT_WATTS * (1.0 + 1e-9);
    prop_assert!(energy >= 0.0 && energy <= most * (to - from), "{energy} J in {} s", to - from);
    prop_assert!((mean - energy / (to - from)).abs() <= 1e-9 * mean);
    prop_assert!(0.0 <= min && min <= max && max <= most && std <= most, "{min} to {max}, {std}");
    prop_assert!(peak >= mean && peak <= most, "{peak} W where the mean is {mean} W");
    prop_assert!(readings >= 2 && to > from);
    Ok(())
}

/// Every window whose ends are readings or lie between them.
fn check(series: &Series, cuts: &[f64]) -> Result<(), TestCaseError> {
    let times: Vec<f64> = series.points().map(|(time, _)| time).chain(cuts.iter().copied()).collect();
    for &from in &times {
        for &to in &times {
            check_window(series, from, to)?;
        }
    }
    Ok(())
}

fn check_sum(series: &Series, cuts: &[f64]) -> Result<(), TestCaseError> {
    let [from, middle, to] = cuts[..] else { return Ok(()) };
    if let (Ok(left), Ok(right)) = (series.window(from, middle), series.window(middle, to)) {
        let sum = left.energy.unwrap() + right.energy.unwrap();
        let whole = series.window(from, to).unwrap().energy.unwrap();
        prop_assert!((sum - whole).abs() <= 1e-9 * whole, "{sum} is not {whole}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn counters_never_give_a_negative_or_impossible_energy(
        points in readings(), wraps_at in prop::option::of(50.0..500.0), cuts in cuts()
    ) {
        let series = series(&Channel { wraps_at, ..counter() }, points);
        let totals: Vec<f64> = series.points().map(|(_, total)| total).collect();
        prop_assert!(totals.windows(2).all(|pair| pair[0] <= pair[1]), "{totals:?}");
        check(&series, &cuts)?;
        check_sum(&series, &cuts)?;
    }

    #[test]
    fn power_never_gives_a_negative_or_impossible_energy(points in readings(), cuts in cuts()) {
        let series = series(&watts(), points);
        check(&series, &cuts)?;
        check_sum(&series, &cuts)?;
    }

    #[test]
    fn windows_that_adjoin_add_up(
        powers in prop::collection::vec((0.01..1.0, 0.0..LIMIT_WATTS), 40..60), cuts in prop::collection::vec(0.0..1.0, 1..4)
    ) {
        let mut now = (0.0, 0.0);
        let mut power = Vec::new();
        let mut energy = Vec::new();
        for (pause, watts) in powers {
            now = (now.0 + pause, now.1 + pause * watts);
            power.push((now.0, watts));
            energy.push(now);
        }
        // The whole, and its parts between cuts at the given shares of the time.
        let (start, end) = (power[0].0, now.0);
        let mut cuts: Vec<f64> = cuts.iter().map(|share| start + share * (end - start)).chain([start, end]).collect();
        cuts.sort_by(f64::total_cmp);
        for series in [series(&watts(), power), series(&Channel { wraps_at: Some(1e4), ..counter() }, energy)] {
            let whole = series.window(start, end).unwrap().energy.unwrap();
            let parts: Result<Vec<Window>, WindowError> =
                cuts.windows(2).map(|cut| series.window(cut[0], cut[1])).collect();
            if let Ok(parts) = parts {
                let sum: f64 = parts.iter().map(|part| part.energy.unwrap()).sum();
                prop_assert!((sum - whole).abs() <= 1e-9 * whole, "{sum} is not {whole}");
            }
        }
    }

    #[test]
    fn any_window_of_anything_is_answered(
        points in prop::collection::vec((any::<f64>(), any::<f64>()), 0..30), from in any::<f64>(), to in any::<f64>()
    ) {
        for metric in [Metric::Memory, Metric::CoreClock, Metric::Power, Metric::Energy] {
            let channel = Channel::new(Resource::Gpu(0), metric);
            let mut ordered = points.clone();
            ordered.sort_by(|a, b| a.0.total_cmp(&b.0));
            for points in [&points, &ordered] {
                let series = series(&channel, points.iter().copied());
                let _ = series.window(from, to);
                let _ = series.observed_period();
                let ends: Vec<f64> = series.points().map(|(time, _)| time).collect();
                if let [first, .., last] = ends[..] {
                    let _ = series.window(first, last);
                }
            }
        }
    }
}

proptest! {
    /// Whatever is read, joules never fall; they are those of a window over all readings that has an energy.
    #[test]
    fn joules_never_fall(readings in readings(), is_counter in any::<bool>()) {
        let mut series = Series::new(&if is_counter { counter() } else { watts() }, 4096);
        let mut last = 0.0;
        for (time, value) in readings {
            series.push(time, value);
            let joules = series.joules().unwrap_or(0.0);
            prop_assert!(joules >= last);
            last = joules;
        }
        let ends = series.points().next().zip(series.points().next_back());
        if let Some(Ok(Window { energy: Some(energy), .. })) = ends.map(|((from, _), (to, _))| series.window(from, to)) {
            prop_assert_eq!(series.gaps(), 0);
            prop_assert!((energy - last).abs() <= 1e-9 * energy.abs(), "{} is not {}", energy, last);
        }
    }
}
