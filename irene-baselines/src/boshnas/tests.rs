use rand::RngExt;

use super::*;
use crate::synthetic;

fn learner() -> BoshnasLearner {
    BoshnasLearner { bounds: synthetic::bounds() }
}

#[test]
fn the_published_space_has_37_bounds() {
    let bounds = BoshnasLearner::default().bounds;
    assert_eq!((bounds.len(), bounds[0], bounds[36]), (37, (0.0, 5.0), (0.0, 21_804.0)));
}

#[test]
fn it_explains_unseen_records_and_its_bounds_have_gradients() {
    let (rows, figures) = synthetic::records(150, 1);
    let (unseen, truth) = synthetic::records(80, 2);
    let model = Boshnas::fit(&learner(), &rows, &figures, 3).unwrap();
    let predictions: Vec<f64> = unseen.iter().map(|row| model.at(row).value).collect();
    assert!(synthetic::r2(&predictions, &truth) > 0.7, "{}", synthetic::r2(&predictions, &truth));
    for exploration in [0.0, 0.5, 2.0] {
        let (value, gradient) = model.gradient(&unseen[0], exploration);
        let at = model.at(&unseen[0]);
        assert!((value - (at.value - exploration * at.deviation)).abs() < 1e-12 * (1.0 + value.abs()));
        differences::agree(&gradient, &unseen[0], |row| model.gradient(row, exploration).0);
    }
    let start = [6.0, 9.0, 5.0, 5.0, 5.0];
    let objective = |row: &[f64]| model.gradient(row, 0.0);
    let (least, value) = optimise_input(objective, &start, &synthetic::bounds(), 100, 0).unwrap();
    assert!(value < model.at(&start).value && synthetic::figure(&least) < synthetic::figure(&start) - 1.0);
}

#[test]
fn deviations_are_larger_where_measurements_scatter() {
    let random = &mut Pcg64Mcg::seed_from_u64(5);
    let rows: Vec<Vec<f64>> = (0..200).map(|_| vec![2.0 * random.random::<f64>() - 1.0]).collect();
    let noise = |x: f64| if x > 0.0 { 0.8 } else { 0.05 };
    let figures: Vec<f64> =
        rows.iter().map(|row| 5.0 + row[0] + noise(row[0]) * (random.random::<f64>() - 0.5)).collect();
    let model = Boshnas::fit(&BoshnasLearner { bounds: vec![(-1.0, 1.0)] }, &rows, &figures, 0).unwrap();
    let (quiet, loud) = (model.at(&[-0.6]), model.at(&[0.6]));
    assert!(loud.deviation > 1.5 * quiet.deviation, "{quiet:?} {loud:?}");
    let aleatoric = |x: f64| model.natural.forward(&[x]).variance;
    assert!(aleatoric(0.6) > 4.0 * aleatoric(-0.6), "{} {}", aleatoric(0.6), aleatoric(-0.6));
}

#[test]
fn the_same_seed_gives_the_same_model_and_a_file_keeps_it() {
    let (rows, figures) = synthetic::records(20, 4);
    let fit = |seed| Boshnas::fit(&learner(), &rows, &figures, seed).unwrap();
    let model = fit(1);
    assert_eq!(model, fit(1));
    assert_ne!(model, fit(2));
    let text = serde_json::to_string(&model).unwrap();
    assert_eq!(serde_json::from_str::<Boshnas>(&text).unwrap(), model);
    let breaks = [
        ("\"bounds\":[", "\"bounds\":[[0,1],"),
        ("\"parameters\":[", "\"parameters\":[1e200,"),
        ("[0.0,6.0]", "[6.0,0.0]"),
    ];
    for (from, to) in breaks {
        assert!(text.contains(from));
        assert!(serde_json::from_str::<Boshnas>(&text.replacen(from, to, 1)).is_err(), "{from}");
    }
    let huge = text.replacen("\"width\":5", "\"width\":18446744073709551615", 2);
    assert!(serde_json::from_str::<Boshnas>(&huge).is_err());
}

#[test]
fn hostile_records_give_finite_predictions_or_errors() {
    let fit = |rows: &[Vec<f64>], figures: &[f64]| {
        Boshnas::fit(&BoshnasLearner { bounds: vec![(0.0, 1.0), (3.0, 3.0)] }, rows, figures, 0)
    };
    for (rows, figures) in [(vec![vec![1.0, 3.0]], vec![7.0]), (vec![vec![0.5, 3.0], vec![1.0, 3.0]], vec![7.0; 2])] {
        let at = fit(&rows, &figures).unwrap().at(&rows[0]);
        assert!((at.value - 7.0).abs() < 3.0 && at.deviation.is_finite(), "{at:?}");
    }
    assert!(fit(&[vec![1.0, 3.0]], &[f64::NAN]).is_err());
    assert!(fit(&[vec![1.0]], &[1.0]).is_err());
    assert!(fit(&[vec![]], &[1.0]).is_err());
    assert!(fit(&[], &[]).is_err());
    for bound in [(1.0, 0.0), (f64::NAN, 1.0)] {
        assert!(Boshnas::fit(&BoshnasLearner { bounds: vec![bound] }, &[vec![1.0]], &[1.0], 0).is_err());
    }
}
