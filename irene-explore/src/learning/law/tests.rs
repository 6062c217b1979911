use serde_json::{Value, json};

use super::*;
use crate::{
    learning::evaluate::{SurrogateErrors, crossvalidate},
    made_up::{candidates, latency, noise},
};

fn learned(candidates: &[Candidate], figure: impl Fn(usize) -> f64) -> Result<CostLaw> {
    let features: Vec<&DesignFeatures> = candidates.iter().map(|candidate| &candidate.features).collect();
    CostLaw::fit(&features, &(0..candidates.len()).map(figure).collect::<Vec<_>>())
}

#[test]
fn a_law_of_costs_is_found_below_its_noise() {
    let candidates = candidates(60, 0);
    let figures: Vec<f64> = candidates.iter().enumerate().map(|(at, one)| latency(one) * noise(at)).collect();
    let held_out = crossvalidate(&CostLawLearner, &candidates, &figures, 5, 1, 0).unwrap();
    let errors = SurrogateErrors::of(held_out.iter()).unwrap();
    assert!(errors.mean < 2.5 && errors.covered > 80.0, "{errors:?}");
}

#[test]
fn one_record_far_off_moves_little() {
    let (candidates, unseen) = (candidates(40, 0), candidates(20, 1));
    let law = learned(&candidates, |at| latency(&candidates[at]) * if at == 7 { 6.0 } else { noise(at) }).unwrap();
    for one in &unseen {
        let (expected, truth) = (law.predict(&one.features).value, latency(one));
        assert!((expected / truth - 1.0).abs() < 0.15, "{expected} for {truth}");
    }
}

#[test]
fn equal_figures_and_equal_designs_are_learned() {
    let candidates = candidates(9, 0);
    let equal = learned(&candidates, |_| 0.5).unwrap().predict(&candidates[3].features);
    assert!((equal.value - 0.5).abs() < 1e-3 && equal.deviation.is_finite(), "{equal:?}");
    let same = vec![candidates[0].clone(); 5];
    let law = learned(&same, |at| 1.0 + at as f64 / 10.0).unwrap();
    let at = law.predict(&same[0].features);
    assert!((1.0..1.4).contains(&at.value) && at.deviation > 0.0, "{at:?}");
    let other = law.predict(&candidates[1].features);
    assert!(other.value > 0.0 && other.value.is_finite() && other.deviation.is_finite(), "{other:?}");
}

#[test]
fn what_nothing_can_be_learned_from_is_refused() {
    let candidates = candidates(6, 0);
    let refused = |figure: f64| learned(&candidates, |at| if at == 2 { figure } else { 1.0 }).unwrap_err().to_string();
    for figure in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-305, 1e305] {
        assert!(refused(figure).starts_with("a figure is "), "{}", refused(figure));
    }
    let few = learned(&candidates[..2], |_| 1.0).unwrap_err().to_string();
    assert_eq!(few, "expected at least 3 designs with a figure each, found 2");
    for count in 3..6 {
        let at = learned(&candidates[..count], |_| 1.0).unwrap().predict(&candidates[5].features);
        assert!(at.value.is_finite() && at.deviation.is_finite(), "{count}: {at:?}");
    }
}

#[test]
fn a_file_gives_the_same_predictions() {
    let (candidates, unseen) = (candidates(20, 0), candidates(10, 1));
    let law = learned(&candidates, |at| latency(&candidates[at]) * noise(at)).unwrap();
    let read: CostLaw = serde_json::from_str(&serde_json::to_string(&law).unwrap()).unwrap();
    for one in &unseen {
        assert_eq!(read.predict(&one.features), law.predict(&one.features));
    }
    // And another fit of the same records is the same.
    let again = learned(&candidates, |at| latency(&candidates[at]) * noise(at)).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), serde_json::to_value(&law).unwrap());
}

#[test]
fn a_file_whose_numbers_do_not_fit_together_is_refused() {
    let candidates = candidates(12, 0);
    let law = serde_json::to_value(learned(&candidates, |at| latency(&candidates[at])).unwrap()).unwrap();
    let cases: [(&str, Value); 14] = [
        ("/blend/deviation", json!(-0.1)),
        ("/blend/deviation", json!(0.0)),
        ("/blend/shift", json!(1e200)),
        ("/blend/trust/0", json!(2.0)),
        ("/blend/trust/1", json!(-0.25)),
        ("/views/additive/floor", json!(0.0)),
        ("/views/additive/prices", json!([1.0])),
        ("/views/additive/prices/2", json!(1e300)),
        ("/views/on_law/factor/0", json!(0.0)),
        ("/views/on_law/factor", json!([])),
        ("/views/with_law/deviations/3", json!(0.0)),
        ("/views/without_law/coefficients", json!([])),
        ("/views/process/points", json!([1.0, 2.0])),
        ("/views/process/deviations/0", json!(-1.0)),
    ];
    assert!(serde_json::from_value::<CostLaw>(law.clone()).is_ok());
    for (place, hostile) in cases {
        let mut broken = law.clone();
        *broken.pointer_mut(place).unwrap() = hostile;
        let error = serde_json::from_value::<CostLaw>(broken).unwrap_err().to_string();
        assert_eq!(error, "a law whose numbers do not fit together", "{place}");
    }
}
