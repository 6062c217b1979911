use super::{
    super::{
        Primitive,
        primitive::tests::{TIME, by_law},
    },
    *,
};

#[test]
fn too_many_samples_are_thinned_with_their_residuals() {
    let samples: Vec<Sample> = (1..=3000).map(|i| at([f64::from(i), f64::from(i), 0.0, 32.0])).collect();
    let (thin, residuals) = thinned(&samples, &[(1..=3000).map(f64::from).collect()], MOST);
    assert_eq!(thin.len(), MOST);
    assert!(thin.iter().zip(&residuals[0]).all(|(sample, residual)| sample.shape[0] == *residual));
}

const SHAPE: Shape = [200.0, 50.0, 999.0, 32.0];

/// The first kernels, at a distance of nothing: deviations of 10% and of 3%.
const AT_ONCE: f64 = 0.1 * 0.1 + 0.03 * 0.03;

fn at(shape: Shape) -> Sample {
    super::super::tests::sample(shape, 1.0, 1.0)
}

/// One shape that departs by so many e-folds in each figure, by the first kernels.
fn one(sample: Sample, residuals: &[f64]) -> Correction {
    Correction::none(0).refitted(&[sample], &residuals.iter().map(|residual| vec![*residual]).collect::<Vec<_>>())
}

fn logs(correction: &Correction, shape: &Shape) -> Vec<f64> {
    correction.at(shape).of.into_iter().map(f64::ln).collect()
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9 + 1e-9 * expected.abs(), "{found} {expected}");
}

/// The mean and the variance of a normal variable of this variance, given one noisy measurement.
fn posterior(variance: f64, noise: f64) -> (f64, f64) {
    let gain = variance / (variance + noise * noise);
    (gain, variance * (1.0 - gain))
}

#[test]
fn a_departure_is_followed_as_far_as_its_measurements_are_to_be_trusted() {
    for (count, noise) in [(1.0, NOISE), (4.0, NOISE / 2.0), (0.25, 2.0 * NOISE)] {
        let correction = one(Sample { count, energy_count: count, ..at(SHAPE) }, &[0.1, -0.2, 0.3]);
        let (of_time, variance) = posterior(AT_ONCE, noise);
        let (of_energy, _) = posterior(AT_ONCE / 9.0, noise);
        let found = logs(&correction, &SHAPE);
        close(found[0], 0.1 * of_time);
        close(found[1], -0.2 * of_energy);
        close(found[2], 0.3 * of_energy);
        close(correction.at(&SHAPE).deviation, (variance + NOISE * NOISE).sqrt());
    }
}

#[test]
fn energies_at_the_wall_count_by_their_own_measurements() {
    let correction = one(Sample { energy_count: 4.0, ..at(SHAPE) }, &[0.1, 0.1, 0.1]);
    let found = logs(&correction, &SHAPE);
    close(found[1], 0.1 * posterior(AT_ONCE / 9.0, NOISE / 2.0).0);
    close(found[2], 0.1 * posterior(AT_ONCE / 9.0, NOISE).0);
}

/// The reaches of the wide one of the first kernels: 1 e-fold of bytes, 0.7 of intensity, 2.5 of parameters, 2 of the sequence.
#[test]
fn a_departure_fades_along_each_coordinate_by_its_reach() {
    let correction = one(at(SHAPE), &[0.1]);
    let gain = 0.1 / (AT_ONCE + NOISE * NOISE);
    let [flops, bytes, parameters, seq_len] = SHAPE;
    let by = f64::exp;
    let near = 0.01 * by(-0.5);
    // The coordinates add a thousandth of a MiB, and one parameter.
    let longer = by(1.0) * (bytes + 1e-3) - 1e-3;
    let moved = [
        [flops * by(1.0), longer, parameters, seq_len],
        [flops * by(0.7), bytes, parameters, seq_len],
        [flops, bytes, by(2.5) * 1000.0 - 1.0, seq_len],
        [flops, bytes, parameters, seq_len * by(2.0)],
    ];
    for shape in moved {
        close(logs(&correction, &shape)[0], gain * near);
    }
    let far = correction.at(&[flops * 1e6, bytes * 1e6, parameters, seq_len]);
    assert_eq!(far.of, [1.0]);
    close(far.deviation, (AT_ONCE + NOISE * NOISE).sqrt());
}

#[test]
fn an_operation_has_an_intensity_from_a_hundredth_of_a_mflop_on() {
    let at = |flops: f64, bytes: f64| coordinates(&[flops, bytes, 0.0, 1.0]);
    assert_eq!(at(0.0, 50.0), at(0.01, 50.0));
    close(at(0.0, 50.0)[1], 0.0);
    close(at(0.010_001, 50.0)[1], (0.010_001f64 / 50.001).ln());
    close(at(0.5, 50.0)[1], (0.5f64 / 50.001).ln());
    assert_eq!((at(0.0, 0.999)[0], at(0.0, 1.0)[2], at(0.0, 1.0)[3]), (0.0, 0.0, 0.0));
}

#[test]
fn the_data_chooses_between_smooth_and_jagged_departures() {
    let shapes: Vec<Sample> = (0..40).map(|i| at([50.0 * 1.2f64.powi(i), 50.0, 0.0, 32.0])).collect();
    let chosen = |departure: fn(f64) -> f64| {
        let residuals = shapes.iter().map(|sample| departure((sample.shape[0] / sample.shape[1]).ln())).collect();
        Correction::fit(&shapes, &[residuals, vec![0.0; 40]]).kernels
    };
    assert_eq!(chosen(|intensity| 0.05 * (intensity / 2.0).cos()), 0);
    assert_eq!(chosen(|intensity| 0.3 * (intensity / 0.35).sin()), 2);
}

#[test]
fn corrections_multiply_and_carry_over_to_a_power() {
    let [here, there] = [SHAPE, [400.0, 50.0, 999.0, 32.0]];
    let first = one(at(here), &[0.1, 0.2, 0.3]);
    let second = one(at(there), &[-0.05, 0.0, 0.1]);
    let half = first.carried_over(0.5, 2);
    let expected: Vec<f64> = logs(&first, &there)[..2].iter().map(|log| 0.5 * log).collect();
    let found = logs(&half, &there);
    assert_eq!(found.len(), 2);
    found.iter().zip(&expected).for_each(|(found, expected)| close(*found, *expected));
    // Measurements of another machine say nothing of the deviation on this one.
    assert!(half.at(&here).deviation > 0.99 * Correction::none(0).at(&here).deviation);
    assert!(first.at(&here).deviation < 0.2 * half.at(&here).deviation);
    let sums: Vec<f64> = logs(&first, &here).iter().zip(logs(&second, &here)).map(|(a, b)| a + b).collect();
    let both = logs(&first.clone().with(second), &here);
    both.iter().zip(&sums).for_each(|(found, expected)| close(*found, *expected));
    assert!(!first.is_empty() && Correction::none(3).is_empty());
    assert_eq!(Correction::none(3).at(&here).of, [1.0; 3]);
}

/// More shapes than two machines have, of which the first ones depart by 5%.
#[test]
fn a_primitive_that_is_calibrated_again_and_again_can_be_read_and_keeps_what_it_knew() {
    let shape = |size: f64, i: usize| [200.0 * size, 50.0 * size, 1.01f64.powi(i as i32), 32.0];
    let first: Vec<Sample> = (0..MOST).map(|i| at(shape(1.0, i))).collect();
    let residuals = [vec![0.05; MOST], vec![0.0; MOST], vec![0.0; MOST]];
    let known = Correction::none(0).refitted(&first, &residuals);
    let mut primitive = Primitive::of_laws(&by_law(&TIME, |_| 1.0));
    primitive.correction = known.with(one(at(shape(1.0, MOST)), &[0.05, 0.0, 0.0]));
    let before = logs(&primitive.correction, &shape(1.0, 300))[0];
    assert!((before - 0.05).abs() < 0.005, "{before}");

    // Far from there, by the law.
    let new = |i: usize| {
        let shape = shape(1e3, i);
        let seconds = primitive.time.seconds(&shape);
        super::super::tests::sample(shape, seconds, primitive.energy.joules(&shape, seconds))
    };
    let new: Vec<Sample> = (0..MOST).map(new).collect();
    primitive.learn_correction(&new);
    let after = logs(&primitive.correction, &shape(1.0, 300))[0];
    assert!((after - before).abs() < 0.005, "{before} {after}");
    let mut store = Store::new("specs");
    primitive.correction.write("x", &mut store);
    let shapes = store.take_any("x.counts").unwrap().len();
    assert!((MOST..=MOST_IN_ALL).contains(&shapes), "{shapes}");
}

#[test]
fn a_correction_survives_its_file_and_another_is_not_equal() {
    let correction = one(at(SHAPE), &[0.1, 0.2]);
    let mut store = Store::new("specs");
    correction.write("x", &mut store);
    assert_eq!(Correction::read("x", 2, &store).unwrap(), correction);
    assert_ne!(one(at(SHAPE), &[0.1, 0.3]), correction);
    assert_ne!(one(at([1.0; 4]), &[0.1, 0.2]), correction);
}

#[test]
fn a_file_of_what_no_correction_can_be_is_refused() {
    let error = |kernels: f64, counts: &[f64]| {
        let mut store = Store::new("specs");
        store.put("x.kernels", &[kernels]);
        store.put("x.counts", counts);
        store.put("x.places", &[1.0; 4]);
        Correction::read("x", 0, &store).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(error(0.0, &[1.0]), "");
    for kernels in [0.5, 3.0, 7.0] {
        assert!(error(kernels, &[1.0]).contains("which this irene does not know"), "{kernels}");
    }
    for count in [0.0, -1.0] {
        assert!(error(2.0, &[count]).contains("must be above 0"), "{count}");
    }
    // As many as two machines can have, whose coordinates are missing; and one more.
    assert!(error(0.0, &[1.0; 2 * MOST]).contains("x.places"));
    let too_many = 2 * MOST + 1;
    let expected = format!("`x.counts` has {too_many} numbers, more than any predictor");
    assert!(error(0.0, &vec![1.0; too_many]).contains(&expected));
}

/// The logarithm of a normal density, but for the constant.
#[test]
fn the_evidence_of_one_departure_is_its_density() {
    let variance = AT_ONCE + NOISE * NOISE;
    let evidence = |residual: f64| evidence(Correction::unweighted(0, &[at(SHAPE)]).factors.as_ref(), &[residual]);
    close(evidence(0.0), -0.5 * variance.ln());
    close(evidence(0.2), -0.5 * (0.04 / variance + variance.ln()));
    assert_eq!(super::evidence(None, &[]), f64::NEG_INFINITY);
}
