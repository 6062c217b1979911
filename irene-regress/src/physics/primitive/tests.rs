use irene_tree::{Node, Size, TreeBuilder};
use serde_json::json;

use super::{
    super::tests::{sample, shapes},
    *,
};

pub(in crate::physics) const TIME: TimeCurve = TimeCurve { launch: 3e-5, per_mflop: 2e-7, per_mib: 8e-6 };
pub(in crate::physics) const ENERGY: EnergyLaw = EnergyLaw { power: 90.0, per_mflop: 3e-5, per_mib: 8e-4 };
pub(in crate::physics) const GPU: EnergyLaw = EnergyLaw { power: 60.0, per_mflop: 2e-5, per_mib: 4e-4 };

/// The law of a machine that takes so many times as long.
pub(in crate::physics) fn scaled(by: f64) -> TimeCurve {
    TimeCurve::with(TIME.coefficients().map(|coefficient| by * coefficient))
}

/// Samples that follow these laws, times a factor on latencies and energies.
pub(in crate::physics) fn by_law(time: &TimeCurve, factor: impl Fn(usize) -> f64) -> Vec<Sample> {
    let of = |(i, shape): (usize, Shape)| {
        let seconds = factor(i) * time.seconds(&shape);
        let of_gpu = Some(GPU.joules(&shape, seconds).ln());
        Sample { log_gpu_energy: of_gpu, ..sample(shape, seconds, ENERGY.joules(&shape, seconds)) }
    };
    shapes().enumerate().map(of).collect()
}

pub(in crate::physics) fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{found} {expected}");
}

/// Layers of one shape with these latencies, energies and energies of the driver; NaN is not measured.
fn tree(layers: &[[f64; 3]]) -> Tree {
    let mut builder = TreeBuilder::new("m", Size::new(1, 4));
    builder.enter("root", "M", Level::Model);
    for (place, [seconds, joules, of_gpu]) in layers.iter().enumerate() {
        let leaf = builder.leaf(&place.to_string(), "Linear", Level::Ml, None);
        let amounts = [(Quantity::Flops, 3.0), (Quantity::MovedBytes, 2.0), (Quantity::NumParameters, 5.0)];
        let measured =
            [(Quantity::Latency, *seconds), (Quantity::GroundTruthEnergy, *joules), (Quantity::GpuEnergy, *of_gpu)];
        amounts.into_iter().chain(measured).for_each(|(quantity, value)| leaf.set(quantity, value));
    }
    builder.leave();
    builder.finish().unwrap()
}

fn only(trees: &[&Tree]) -> Sample {
    let samples = samples(&trees).unwrap();
    assert_eq!(samples.keys().collect::<Vec<_>>(), ["linear"]);
    assert_eq!(samples["linear"].len(), 1);
    samples["linear"][0]
}

#[test]
fn layers_repeat_their_measurement_and_models_measure_anew() {
    let one = tree(&[[1.0, 8.0, 2.0], [1.0, 8.0, 2.0], [4.0, 2.0, 8.0]]);
    let sample = only(&[&one]);
    assert_eq!((sample.count, sample.energy_count, sample.shape), (2.0, 2.0, [3.0, 2.0, 5.0, 4.0]));
    close(sample.log_time.exp(), 2.0, 1e-12);
    close(sample.log_energy.exp(), 4.0, 1e-12);
    close(sample.log_gpu_energy.unwrap().exp(), 4.0, 1e-12);
    assert_eq!(only(&[&one, &one]).count, 4.0);
    // Measurements that differ in one figure alone are two.
    assert_eq!(only(&[&tree(&[[1.0, 8.0, 2.0], [1.0, 8.0, 3.0]])]).count, 2.0);
}

#[test]
fn what_was_not_measured_is_left_out_and_a_drivers_energy_must_be_known_throughout() {
    let nan = f64::NAN;
    let sample = only(&[&tree(&[[1.0, 8.0, nan], [4.0, nan, 1.0], [nan, 2.0, 1.0]])]);
    assert_eq!((sample.count, sample.log_gpu_energy), (1.0, None));
    assert_eq!(only(&[&tree(&[[1.0, 8.0, 2.0], [4.0, 2.0, 0.0]])]).log_gpu_energy, None);
    assert!(samples(&[&tree(&[[1.0, nan, 1.0]])]).unwrap().is_empty());
}

#[test]
fn a_measurement_with_a_wide_interval_counts_less() {
    let mut tree = tree(&[[1.0, 1.0, 1.0], [4.0, 4.0, 4.0]]);
    let second = tree.ids().last().unwrap();
    // Half the interval is 1.96 deviations of 1%: as much again as the usual spread.
    let measurement = json!({"latency_half_width": 4.0 * 0.0196, "energy_half_width": 0.0, "rounds": 5});
    tree.node_mut(second).extra.get_or_insert_default().insert(Node::MEASUREMENT_FIELD.into(), measurement);
    let sample = only(&[&tree]);
    close(sample.count, 1.5, 1e-9);
    assert_eq!(sample.energy_count, 2.0);
    close(sample.log_time, 4f64.ln() / 3.0, 1e-9);
    close(sample.log_energy, 4f64.ln() / 2.0, 1e-9);
    close(sample.log_gpu_energy.unwrap(), 4f64.ln() / 3.0, 1e-9);
}

#[test]
fn a_primitive_costs_what_its_laws_and_its_departures_say() {
    let departure = |i: usize| if i % 12 > 8 { 1.3 } else { 1.0 };
    let samples = by_law(&TIME, departure);
    let primitive = Primitive::fit(&samples);
    for sample in &samples {
        let launch = primitive.launch(&sample.shape);
        close(launch.latency.value(), sample.log_time.exp(), 0.02);
        close(launch.energy.value(), sample.log_energy.exp(), 0.02);
        close(launch.gpu_energy.unwrap().value(), sample.log_gpu_energy.unwrap().exp(), 0.02);
        assert_eq!(launch.latency.value(), launch.latency.law * launch.latency.factor);
        let cost = launch.cost();
        assert_eq!((cost.latency, cost.energy), (Some(launch.latency.value()), launch.energy.value()));
        assert_eq!(cost.gpu_energy, launch.gpu_energy.map(Corrected::value));
        // Measured shapes are known to about their noise, 1%.
        assert!(launch.deviation < 0.02, "{}", launch.deviation);
    }
    assert!(primitive.launch(&[1e9, 1.0, 0.0, 1.0]).deviation > 0.09);
    let inside = primitive.range.beyond(&samples[0].shape);
    assert_eq!((inside, primitive.range.beyond(&[1e9, 1.0, 0.0, 1.0])[1..].to_vec()), ([None; 4], vec![None; 3]));
}

/// Samples whose latencies and energies depart by 10% at every shape but the largest of each kind.
pub(in crate::physics) fn departing() -> Vec<Sample> {
    let depart = |(i, sample): (usize, Sample)| {
        let by = if i % 12 > 8 { 0.0 } else { 0.1 };
        let log_gpu_energy = sample.log_gpu_energy.map(|log| log - by);
        Sample { log_energy: sample.log_energy + by, log_gpu_energy, ..sample }
    };
    by_law(&TIME, |i| if i % 12 > 8 { 1.1 } else { 1.0 }).into_iter().enumerate().map(depart).collect()
}

#[test]
fn departures_of_energies_are_followed_with_and_without_a_drivers() {
    let with = departing();
    let without: Vec<Sample> = with.iter().map(|sample| Sample { log_gpu_energy: None, ..*sample }).collect();
    for (samples, figures) in [(with, 3), (without, 2)] {
        let primitive = Primitive::fit(&samples);
        for sample in &samples {
            assert_eq!(primitive.correction.at(&sample.shape).of.len(), figures);
            let launch = primitive.launch(&sample.shape);
            close(launch.latency.value(), sample.log_time.exp(), 0.03);
            close(launch.energy.value(), sample.log_energy.exp(), 0.03);
            assert_eq!(launch.gpu_energy.is_some(), sample.log_gpu_energy.is_some());
            if let (Some(of_gpu), Some(log)) = (launch.gpu_energy, sample.log_gpu_energy) {
                close(of_gpu.value(), log.exp(), 0.03);
            }
        }
    }
}

#[test]
fn the_energy_law_is_told_from_the_latency_by_the_measured_time() {
    let primitive = Primitive::of_laws(&by_law(&TIME, |i| 1.0 + 0.2 * (i % 3) as f64));
    for (law, truth) in [(primitive.energy, ENERGY), (primitive.gpu_energy.unwrap(), GPU)] {
        close(law.power, truth.power, 1e-6);
        close(law.per_mflop, truth.per_mflop, 1e-6);
        close(law.per_mib, truth.per_mib, 1e-6);
    }
    assert_eq!(primitive.launch(&[1.0; 4]).gpu_energy.map(|figure| figure.factor), Some(1.0));
}

#[test]
fn a_correction_is_learned_on_top_of_the_one_before() {
    let samples = by_law(&TIME, |_| 1.0);
    let mut primitive = Primitive::fit(&samples);
    let slower = by_law(&TIME, |i| if i == 5 { 1.2 } else { 1.0 });
    primitive.learn_correction(&slower[5..6]);
    let shape = samples[5].shape;
    close(primitive.launch(&shape).latency.value(), 1.2 * TIME.seconds(&shape), 0.05);
    assert!(primitive.launch(&shape).latency.factor > 1.1);
    // A departure that is known already is not learned again.
    let mut known = Primitive::fit(&departing());
    known.learn_correction(&departing()[3..5]);
    for sample in &departing()[3..5] {
        close(known.launch(&sample.shape).energy.value(), sample.log_energy.exp(), 0.03);
    }
    let farther = Sample { shape: [1.0, 1.0, 7.0, 1.0], ..samples[0] };
    primitive.learn_correction(&[farther]);
    assert_eq!(primitive.range.beyond(&[1.0, 1.0, 7.0, 1.0]), [None; 4]);
    assert_eq!(primitive.range.beyond(&samples[23].shape), [None; 4]);
}

#[test]
fn the_terms_of_a_launch_add_up_to_its_cost() {
    let primitive = Primitive::fit(&by_law(&TIME, |i| if i % 12 > 8 { 1.3 } else { 1.0 }));
    for shape in shapes().chain([[0.0, 10.0, 0.0, 1.0], [10.0, 0.0, 0.0, 1.0]]) {
        let (launch, explanation) = (primitive.launch(&shape), primitive.explain(&shape));
        let sum = |terms: &[Term]| terms.iter().map(Term::value).sum::<f64>();
        close(sum(&explanation.energy), launch.energy.value(), 1e-9);
        close(sum(&explanation.latency), launch.latency.value(), 1e-9);
        let names = |terms: &[Term]| terms.iter().map(|term| term.name.clone()).collect::<Vec<_>>();
        let has = |name: &str| names(&explanation.latency).iter().any(|known| known == name);
        assert_eq!((has("FLOPs in tiles"), has("bytes moved")), (shape[0] > 0.0, shape[1] > 0.0));
        assert!(has("launch"));
        assert_eq!(has("departure from the law, as measured"), launch.latency.factor != 1.0);
    }
    // Without a correction no departure is told.
    let laws = Primitive { correction: Correction::none(3), ..primitive };
    assert!(laws.explain(&[1.0; 4]).energy.iter().all(|term| term.name != "departure from the law, as measured"));
    assert_eq!(laws.explain(&[1.0; 4]).latency.len(), 3);
}

#[test]
fn a_primitive_survives_its_file() {
    let with = Primitive::fit(&by_law(&TIME, |_| 1.0));
    let without: Vec<Sample> =
        by_law(&TIME, |_| 1.0).into_iter().map(|sample| Sample { log_gpu_energy: None, ..sample }).collect();
    let without = Primitive::fit(&without);
    assert!(with.gpu_energy.is_some() && without.gpu_energy.is_none());
    for primitive in [with, without] {
        let mut store = Store::new("specs");
        primitive.write("x", &mut store);
        let again = Primitive::read("x", &store).unwrap();
        assert_eq!(again, primitive);
        assert_eq!(again.launch(&[1.0; 4]).deviation, primitive.launch(&[1.0; 4]).deviation);
    }
}

#[test]
fn of_too_many_shapes_the_same_ones_are_kept_in_whatever_order_they_come() {
    let shape = |i: usize| [i as f64, 1.0, 0.0, 32.0].map(f64::to_bits);
    let kept = |order: &mut dyn Iterator<Item = usize>| {
        let mut measurements = Measurements::default();
        for i in order {
            if let Some(sums) = measurements.at(shape(i)) {
                sums.iter_mut().for_each(|[logs, count]| (*logs, *count) = (*logs + 1.0, *count + 1.0));
            }
        }
        measurements.samples()
    };
    const ALL: usize = 3 * MOST_SHAPES;
    let forth = kept(&mut (0..ALL).chain(0..ALL));
    let back = kept(&mut (0..ALL).rev().chain((0..ALL).rev()));
    let shapes = |samples: &[Sample]| samples.iter().map(|sample| sample.shape[0]).collect::<Vec<_>>();
    assert_eq!((forth.len(), shapes(&forth)), (MOST_SHAPES, shapes(&back)));
}
