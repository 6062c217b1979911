use std::{
    cell::Cell,
    f64::consts::PI,
    sync::atomic::{AtomicBool, Ordering},
};

use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

use super::{
    synthetic::{Grid, exactly, search},
    *,
};
use crate::{Measure, Result};

const SHAPED_AS_OURS: Grid = Grid { dimensions: 37, levels: 50 };

fn all() -> [Box<dyn Search<Grid>>; 2] {
    [Box::new(Evolution::default()), Box::new(Climb::default())]
}

/// A search of what stands in for designs.
fn of_designs(
    by: &dyn Search<Grid>,
    objective: &str,
    constraints: &str,
    limits: &SearchLimits<'_>,
) -> Result<Outcome<Vec<u16>>> {
    search(by, &SHAPED_AS_OURS, |x| SHAPED_AS_OURS.transformer(x), objective, constraints, limits)
}

#[test]
fn evolution_comes_close_to_the_known_front_of_two_costs() {
    let grid = Grid { dimensions: 30, levels: 101 };
    let outcome = search(
        &Evolution::default(),
        &grid,
        |x| grid.zdt1(x),
        "pareto(latency, energy)",
        "",
        &SearchLimits::new(30_000, 1),
    )
    .unwrap();
    let volume = outcome.hypervolume(&[1.0, 1.0]);
    assert!((0.64..2.0 / 3.0).contains(&volume), "{volume}");
    for found in &outcome.front {
        assert!((found.costs[1] - (1.0 - found.costs[0].sqrt())).abs() < 0.05, "{:?}", found.costs);
    }
}

#[test]
fn evolution_comes_close_to_the_known_front_of_four_costs() {
    let grid = Grid { dimensions: 10, levels: 41 };
    let limits = SearchLimits { front: 1000, ..SearchLimits::new(30_000, 1) };
    let outcome = search(&Evolution::default(), &grid, |x| grid.dtlz2(x), "pareto", "", &limits).unwrap();
    let (volume, whole) = (outcome.hypervolume(&[0.0, 1.0, 1.0, 1.0]), 1.0 - PI * PI / 32.0);
    assert!((0.9 * whole..whole).contains(&volume), "{volume} of {whole}");
}

#[test]
fn a_climb_ends_at_the_bottom() {
    let grid = Grid { dimensions: 12, levels: 30 };
    let bowl = |x: &[u16]| {
        exactly(&[(Criterion::Of(Measure::Energy), x.iter().map(|&x| (f64::from(x) - 7.0).powi(2)).sum::<f64>() + 1.0)])
    };
    let outcome = search(&Climb::default(), &grid, bowl, "energy", "", &SearchLimits::new(20_000, 5)).unwrap();
    assert_eq!(outcome.front[0].design, [7; 12]);
    assert!(outcome.trace.windows(2).all(|pair| pair[0].best >= pair[1].best));
}

#[test]
fn the_published_objective_is_searched_as_one_cost() {
    let grid = SHAPED_AS_OURS;
    let [evolved, climbed] =
        all().map(|by| of_designs(&*by, "protran", "peak_power <= 25 W", &SearchLimits::new(3000, 2)).unwrap().front);
    assert_eq!([&evolved, &climbed].map(Vec::len), [1; 2]);
    // Better than the best of as many random designs.
    let mut rng = Pcg64Mcg::seed_from_u64(2);
    let (objective, bound): (Objective, Constraints) =
        ("protran".parse().unwrap(), "peak_power <= 25 W".parse().unwrap());
    let figures = (0..3000).map(|_| grid.transformer(&grid.random(&mut rng).unwrap()));
    let kept = figures.filter(|figures| bound.violation(figures).unwrap() <= 0.0);
    let drawn = kept.map(|figures| objective.costs(&figures).unwrap()[0]).fold(f64::INFINITY, f64::min);
    assert!(evolved[0].costs[0] < drawn && climbed[0].costs[0] < drawn);
}

#[test]
fn what_is_found_keeps_the_constraints() {
    let text = "latency <= 5 ms, energy <= 150 mJ, accuracy >= 60%";
    let constraints: Constraints = text.parse().unwrap();
    let outcome = of_designs(&Evolution::default(), "pareto", text, &SearchLimits::new(4000, 0)).unwrap();
    assert!(outcome.front.len() > 10);
    for found in &outcome.front {
        assert_eq!((constraints.violation(&found.figures).unwrap(), found.feasibility), (0.0, 1.0));
    }
}

#[test]
fn constraints_that_nothing_keeps_end_with_how_near_one_came() {
    for by in all() {
        let error = of_designs(&*by, "energy", "latency <= 1 ms", &SearchLimits::new(1000, 0));
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("none of 1000 designs evaluated keeps latency <= 0.001 s; the nearest has latency 0.0"),
            "{text}"
        );
        assert!(text.contains("(bound 0.001 s, ") && text.contains("% over)"), "{text}");
    }
}

#[test]
fn equal_seeds_give_equal_outcomes_and_others_do_not() {
    for by in all() {
        let text = |seed| {
            let outcome = of_designs(&*by, "protran", "", &SearchLimits::new(1500, seed)).unwrap();
            serde_json::to_string(&outcome).unwrap()
        };
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }
}

#[test]
fn no_design_is_evaluated_twice_and_a_small_space_ends_the_search() {
    let grid = Grid { dimensions: 3, levels: 4 };
    for by in all() {
        let met = std::sync::Mutex::new(std::collections::HashSet::new());
        let once = |x: &[u16]| {
            assert!(met.lock().unwrap().insert(x.to_vec()), "{x:?} twice");
            exactly(&[(Criterion::Of(Measure::Latency), 1.0 + f64::from(x[0] + x[1] + x[2]))])
        };
        let outcome = search(&*by, &grid, once, "latency", "", &SearchLimits::new(10_000, 0)).unwrap();
        assert_eq!((outcome.evaluations, outcome.front[0].costs[0]), (64, 1.0));
    }
}

#[test]
fn a_search_stops_when_told_and_says_so() {
    for by in all() {
        let (stop, calls) = (AtomicBool::new(false), Cell::new(0));
        let progress = |at: &SearchProgress| {
            calls.set(calls.get() + 1);
            stop.store(at.evaluations >= 400, Ordering::Relaxed);
        };
        let limits = SearchLimits { stop: Some(&stop), progress: Some(&progress), ..SearchLimits::new(10_000, 0) };
        let outcome = of_designs(&*by, "energy", "", &limits).unwrap();
        assert!(
            outcome.stopped && (400..600).contains(&outcome.evaluations) && calls.get() > 1,
            "{}",
            outcome.evaluations
        );
        stop.store(true, Ordering::Relaxed);
        let error = of_designs(&*by, "energy", "", &SearchLimits { stop: Some(&stop), ..SearchLimits::new(10, 0) });
        assert!(error.unwrap_err().to_string().contains("stopped before"));
    }
}

#[test]
fn figures_that_are_no_numbers_are_never_found() {
    let grid = Grid { dimensions: 4, levels: 10 };
    let patchy =
        |x: &[u16]| exactly(&[(Criterion::Of(Measure::Latency), if x[0] < 5 { f64::NAN } else { f64::from(x[1]) })]);
    let nothing = |_: &[u16]| exactly(&[(Criterion::Of(Measure::Latency), f64::INFINITY)]);
    for by in all() {
        let outcome = search(&*by, &grid, patchy, "latency", "", &SearchLimits::new(500, 0)).unwrap();
        assert!(outcome.front[0].design[0] >= 5 && outcome.front[0].costs == [0.0]);
        let error = search(&*by, &grid, nothing, "latency", "latency <= 1 s", &SearchLimits::new(500, 0))
            .unwrap_err()
            .to_string();
        assert!(error.contains("not finite numbers"), "{error}");
    }
}

#[test]
fn settings_without_sense_are_refused() {
    let grid = SHAPED_AS_OURS;
    let run = |by: &dyn Search<Grid>, objective: &str, limits: &SearchLimits<'_>| {
        search(by, &grid, |x| grid.zdt1(x), objective, "", limits).unwrap_err().to_string()
    };
    assert!(run(&Evolution::default(), "latency", &SearchLimits::new(0, 0)).contains("1 or more evaluations"));
    assert!(run(&Climb::default(), "pareto(latency, energy)", &SearchLimits::new(9, 0)).contains("use evolution"));
    assert!(
        run(&Evolution { population: 1, ..Evolution::default() }, "latency", &SearchLimits::new(9, 0))
            .contains("2 or more")
    );
    assert!(run(&Evolution::default(), "pareto", &SearchLimits::new(9, 0)).contains("accuracy is asked for"));
    let limits = SearchLimits { reference: Some(&[1.0]), ..SearchLimits::new(9, 0) };
    assert!(run(&Evolution::default(), "pareto(latency, energy)", &limits).contains("1 costs"));
}

#[test]
fn a_front_keeps_no_more_than_it_may_and_keeps_its_ends() {
    let grid = Grid { dimensions: 30, levels: 1000 };
    let by = |front| {
        let limits = SearchLimits { front, ..SearchLimits::new(10_000, 0) };
        search(&Evolution::default(), &grid, |x| grid.zdt1(x), "pareto(latency, energy)", "", &limits).unwrap().front
    };
    let (few, many) = (by(20), by(1000));
    assert!(few.len() <= 20 && many.len() > 20);
    assert_eq!((&few[0].costs, &few[few.len() - 1].costs), (&many[0].costs, &many[many.len() - 1].costs));
}

#[test]
fn an_outcome_is_written_as_json() {
    let outcome = of_designs(&Evolution::default(), "pareto", "", &SearchLimits::new(50, 0)).unwrap();
    let json = serde_json::to_value(&outcome).unwrap();
    assert_eq!((&json["method"], &json["evaluations"]), (&"evolution".into(), &50.into()));
    assert!(json["front"][0]["figures"]["latency_s"]["value"].is_f64());
    assert!(json["trace"][0]["hypervolume"].is_f64());
}
