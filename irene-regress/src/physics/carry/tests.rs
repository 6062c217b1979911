use super::{
    super::primitive::tests::{ENERGY, GPU, TIME, by_law, close, departing, scaled},
    *,
};

fn named<T>(entries: impl IntoIterator<Item = (&'static str, T)>) -> BTreeMap<String, T> {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Two primitives and the one for all others, by one law.
fn here() -> (BTreeMap<String, Primitive>, Primitive) {
    let of = |by: f64| Primitive::fit(&by_law(&scaled(by), |_| 1.0));
    (named([("linear", of(1.0)), ("tanh", of(0.5))]), of(0.7))
}

fn seconds(primitive: &Primitive, shape: &[f64; 4]) -> f64 {
    primitive.launch(shape).latency.value()
}

const LARGE: [f64; 4] = [1000.0, 60.0, 0.0, 1.0];

#[test]
fn what_was_not_measured_on_a_machine_is_scaled_as_the_machine_is() {
    let (primitives, any) = here();
    let (carried, other) = carried_over(&primitives, &any, &named([("linear", by_law(&scaled(3.0), |_| 1.0))]));
    close(seconds(&carried["linear"], &LARGE), 3.0 * TIME.seconds(&LARGE), 0.02);
    close(seconds(&carried["tanh"], &LARGE), 1.5 * TIME.seconds(&LARGE), 0.15);
    close(seconds(&other, &LARGE), 2.1 * TIME.seconds(&LARGE), 0.15);
    // The samples' energies follow the old law at the new latency, and so do the others'.
    let energy = |primitive: &Primitive| primitive.launch(&LARGE).energy.value();
    let of_gpu =
        |primitive: &Primitive| primitive.launch(&LARGE).gpu_energy.map(super::super::primitive::Corrected::value);
    let law = |primitive: &Primitive| primitive.energy.joules(&LARGE, seconds(primitive, &LARGE));
    close(energy(&other), law(&other), 0.02);
    let truth = ENERGY.joules(&LARGE, 2.1 * TIME.seconds(&LARGE));
    close(energy(&other), truth, 0.2);
    let truth = GPU.joules(&LARGE, 2.1 * TIME.seconds(&LARGE));
    close(of_gpu(&other).unwrap(), truth, 0.2);
}

#[test]
fn a_primitive_that_only_this_machine_ran_is_learned_from_four_shapes_on() {
    let (primitives, any) = here();
    let there = by_law(&TIME, |_| 1.0);
    let few = |count: usize| named([("linear", there.clone()), ("gelu", there[..count].to_vec())]);
    assert!(!carried_over(&primitives, &any, &few(3)).0.contains_key("gelu"));
    let carried = carried_over(&primitives, &any, &few(4)).0;
    close(seconds(&carried["gelu"], &there[2].shape), there[2].log_time.exp(), 0.02);
}

#[test]
fn a_primitive_in_other_formats_starts_from_the_one_it_is_like() {
    let (primitives, any) = here();
    let there = by_law(&scaled(0.5), |_| 1.0);
    let (carried, _) = carried_over(&primitives, &any, &named([("linear@bf16", there[..2].to_vec())]));
    assert_eq!(carried.keys().collect::<Vec<_>>(), ["linear", "linear@bf16", "tanh"]);
    close(seconds(&carried["linear@bf16"], &there[1].shape), there[1].log_time.exp(), 0.02);
    // One that is known in these formats keeps its own, and nothing is made of a kind that is unknown.
    let known = in_formats_of(&primitives, &named([("linear", there.clone()), ("gelu@bf16", there)]));
    assert_eq!(known.keys().collect::<Vec<_>>(), ["linear", "tanh"]);
    assert_eq!(known["linear"], primitives["linear"]);
}

#[test]
fn a_primitive_that_is_known_in_other_formats_alone_starts_from_there() {
    let (mut primitives, any) = here();
    let linear = primitives.remove("linear").unwrap();
    primitives.insert("linear@bf16".into(), linear);
    for key in ["linear", "linear@f16"] {
        let known = in_formats_of(&primitives, &named([(key, by_law(&TIME, |_| 1.0))]));
        assert_eq!(known[key], primitives["linear@bf16"], "{key}");
    }
    let there = by_law(&scaled(0.5), |_| 1.0);
    let (carried, _) = carried_over(&primitives, &any, &named([("linear", there[..2].to_vec())]));
    close(seconds(&carried["linear"], &there[1].shape), there[1].log_time.exp(), 0.02);
}

/// Departures of 25% from the law at some shapes: where they are the same there, they hold at shapes that were measured here alone.
#[test]
fn departures_are_carried_as_far_as_they_hold() {
    let departure = |i: usize| if i.is_multiple_of(2) { 1.25 } else { 1.0 };
    let all = by_law(&TIME, departure);
    let primitives = named([("linear", Primitive::fit(&all))]);
    let any = Primitive::of_laws(&all);
    let at = 8;
    let factor = |there: &[Sample]| {
        let some: Vec<Sample> = there.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, sample)| *sample).collect();
        let (carried, _) = carried_over(&primitives, &any, &named([("linear", some)]));
        let (before, after) = (&primitives["linear"], &carried["linear"]);
        after.launch(&all[at].shape).latency.factor / before.launch(&all[at].shape).latency.factor
    };
    let (same, none) = (factor(&by_law(&TIME, departure)), factor(&by_law(&TIME, |_| 1.0)));
    close(same, 1.0, 0.04);
    assert!(none < 0.96, "{none}");
}

#[test]
fn a_drivers_energy_is_carried_if_all_that_was_measured_there_has_it() {
    let (primitives, any) = here();
    let there = by_law(&TIME, |_| 1.0);
    let mut lacking = there.clone();
    lacking[3].log_gpu_energy = None;
    let has = |samples: &[Sample], primitives: &BTreeMap<String, Primitive>| {
        let (carried, other) = carried_over(primitives, &any, &named([("linear", samples.to_vec())]));
        (carried["linear"].gpu_energy.is_some(), other.gpu_energy.is_some())
    };
    assert_eq!((has(&there, &primitives), has(&lacking, &primitives)), ((true, true), (false, false)));
    let mut without = primitives.clone();
    without.insert(
        "tanh".into(),
        Primitive { gpu_energy: None, correction: Correction::none(2), ..primitives["tanh"].clone() },
    );
    assert_eq!(has(&there, &without), (false, false));
}

/// The targets of a law are the measured figures less the departure carried to them; energies at the wall count by their own measurements.
#[test]
fn a_law_is_fitted_to_what_the_correction_leaves() {
    let (primitives, _) = here();
    let samples: Vec<Sample> =
        by_law(&TIME, |_| 1.0)[..2].iter().map(|sample| Sample { count: 2.0, energy_count: 3.0, ..*sample }).collect();
    let log_factors = vec![vec![0.1, 0.2], vec![0.3, 0.4]];
    let both = BTreeMap::from([("linear", Both { primitive: &primitives["linear"], samples: &samples, log_factors })]);
    let of = |figure: usize| known(&both, 0.5, figure, |primitive| primitive.time, |_| 1.0).remove(0);
    for (figure, targets, counts) in [(0, [0.95, 0.85], 2.0), (1, [0.9, 0.8], 3.0), (2, [1.0, 1.0], 2.0)] {
        let known = of(figure);
        assert_eq!(known.counts, [counts; 2], "{figure}");
        known.targets.iter().zip(targets).for_each(|(found, expected)| close(*found, expected, 1e-12));
    }
}

#[test]
fn a_primitive_that_was_not_measured_there_keeps_the_departures_of_all_its_figures() {
    let samples = departing();
    let of_all = Primitive::fit(&samples);
    let lacking: Vec<Sample> = samples.iter().map(|sample| Sample { log_gpu_energy: None, ..*sample }).collect();
    for (primitive, figures) in [(of_all, 3), (Primitive::fit(&lacking), 2)] {
        let primitives = named([("linear", primitive.clone()), ("tanh", primitive.clone())]);
        let (carried, _) = carried_over(&primitives, &primitive, &named([("linear", samples.clone())]));
        for Sample { shape, .. } in &samples {
            let (before, after) = (primitive.correction.at(shape).of, carried["tanh"].correction.at(shape).of);
            assert_eq!((before.len(), after.len()), (figures, figures));
            before.iter().zip(&after).for_each(|(before, after)| close(*after, *before, 1e-9));
        }
    }
}
