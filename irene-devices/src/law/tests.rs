use irene_tree::{Format, OpKind, Operand, Operation, Shape};

use super::*;
use crate::Catalogue;

fn device(name: &str) -> &'static Device {
    Catalogue::all().iter().find(|device| device.name == name).unwrap()
}

fn engine(name: &str) -> &'static Engine {
    Engine::find(name).unwrap()
}

fn product([rows, inner, columns]: [usize; 3], weights: Format, activations: Format) -> Work {
    let activation = |shape: [usize; 2]| Operand::activation(Shape::new(&shape).unwrap(), activations);
    let operands = [activation([rows, inner]), Operand::parameter([columns, inner], weights)];
    Work::of(&Operation::new(OpKind::Linear, &operands, activation([rows, columns])))
}

fn pass(work: Work, times: f64) -> Pass {
    Pass { works: vec![(work, times)], sequences: 1.0, gpus: 1.0, is_served: true, is_sampled: true }
}

fn cost(pass: &Pass, device: &Device, engine_name: &str) -> PassCost {
    Law::shipped().pass(pass, device, engine(engine_name))
}

/// A layer of a model of eight billion parameters.
const LAYER: [usize; 2] = [4096, 14_336];

fn layer(rows: usize, weights: Format, activations: Format) -> Work {
    product([rows, LAYER[0], LAYER[1]], weights, activations)
}

#[test]
fn a_power_limit_never_makes_more_work_faster() {
    for (name, limit) in [("mi300x", 300.0), ("h100-sxm", 200.0), ("b200", 300.0), ("rtx-4090", 150.0)] {
        let device = device(name).clone().with_power_limit(limit).unwrap();
        let of = |rows: usize| cost(&pass(layer(rows, Format::BF16, Format::BF16), 96.0), &device, "transformers");
        let costs: Vec<PassCost> = (0..14).map(|power| of(1 << power)).collect();
        for two in costs.windows(2) {
            assert!(two[1].seconds >= two[0].seconds * (1.0 - 1e-9), "{name}: {two:?}");
            assert!(two[1].joules >= two[0].joules * (1.0 - 1e-9), "{name}: {two:?}");
        }
        assert!(costs.iter().all(|cost| cost.joules <= limit * cost.seconds * (1.0 + 1e-9)), "{name}");
    }
}

#[test]
fn products_of_eight_bits_are_about_twice_as_fast_also_where_power_is_at_its_limit() {
    for name in ["h100-sxm", "h200-sxm", "b200"] {
        let of = |format: Format| KernelLaw::shipped().time(&layer(16_384, format, Format::BF16), device(name)).seconds;
        let ratio = of(Format::BF16) / of(Format::F8E4M3);
        assert!((1.6..=2.1).contains(&ratio), "{name}: {ratio}");
    }
}

#[test]
fn one_row_takes_what_its_weights_take_on_devices_without_units_for_matrices() {
    for (name, format) in [("m1-pro", Format::F16), ("gtx-1080", Format::F32), ("core-i9-14900k", Format::F32)] {
        let device = device(name);
        let work = layer(1, format, format);
        let time = KernelLaw::shipped().time(&work, device);
        assert!(time.arithmetic_s < time.memory_s, "{name}: {time:?}");
    }
}

#[test]
fn more_rows_of_a_mixture_never_take_less_energy() {
    let power = &Law::shipped().power;
    let of = |tokens: usize| {
        let activation = |columns: usize| Operand::activation(Shape::new(&[tokens, columns]).unwrap(), Format::BF16);
        let operands = [activation(2048), Operand::parameter([128, 768, 2048], Format::BF16)];
        let mut operation = Operation::new(OpKind::GroupedLinear, &operands, activation(768));
        operation.touched = 64 * 768 * 2048;
        power.dynamic_joules(&Work::of(&operation), device("h100-sxm"))
    };
    let joules: Vec<f64> = (1..400).map(of).collect();
    assert!(joules.windows(2).all(|two| two[1] >= two[0]), "{joules:?}");
}

#[test]
fn integers_of_eight_bits_are_not_slower_where_an_engine_joins_kernels() {
    let of = |format: Format, engine: &str| {
        let work = layer(1, format, Format::BF16);
        cost(&pass(work, 96.0), device("h100-sxm"), engine).seconds
    };
    for engine in ["vllm", "tensorrt-llm"] {
        assert!(of(Format::Int8, engine) < of(Format::BF16, engine), "{engine}");
    }
    // Outliers are taken out and multiplied apart.
    assert!(of(Format::Int8, "transformers") > of(Format::BF16, "transformers"));
}

#[test]
fn processors_of_a_maker_are_not_its_accelerators() {
    let law = Law::shipped();
    let of = |name: &str| law.on(device(name), engine("llama.cpp"), false).maker();
    assert_eq!((of("epyc-7763").kernels, of("epyc-7763").launches), (1.0, 1.0));
    assert!(of("mi300x").kernels > 1.0);
}

#[test]
fn nine_tenths_of_figures_lie_between_the_factors_of_their_spread() {
    let spread = FigureSpread { time: 0.1, power: 0.0, energy: 0.3 };
    let [low, high] = spread.factors();
    let bound = irene_numerics::NORMAL_90;
    assert_eq!([low.time, high.time], [(-bound * 0.1_f64).exp(), (bound * 0.1_f64).exp()]);
    assert_eq!([low.power, high.power], [1.0, 1.0]);
    assert!((low.energy * high.energy - 1.0).abs() < 1e-12 && (1.6..1.7).contains(&high.energy), "{high:?}");
}

#[test]
fn an_engine_in_a_mode_that_was_not_measured_is_less_sure() {
    let law = Law::shipped();
    let of = |name: &str, is_served: bool| law.on(device("h100-sxm"), engine(name), is_served).spread();
    assert!(of("tensorrt-llm", true).time >= FigureSpread::default().time);
    assert!(of("tensorrt-llm", false).time < FigureSpread::default().time);
    assert!(of("vllm", true).time < FigureSpread::default().time);
    let encoders = law.on(device("h100-sxm"), engine("vllm"), true).spread_of_encoders();
    assert_eq!(encoders.time, FigureSpread::default().time, "its constants are of language models");
}

#[test]
fn an_engine_starts_exchanges_in_its_own_time_and_sends_at_the_link_s_bandwidth() {
    let exchange = |numbers: usize| {
        let tensor = Operand::activation(Shape::new(&[1, numbers]).unwrap(), Format::BF16);
        let mut operation = Operation::new(OpKind::AllReduce, &[tensor], tensor);
        operation.gpus = 4;
        Work::of(&operation)
    };
    let seconds = |numbers: usize, exchange_start: f64| {
        let mut law = Law::shipped().clone();
        law.engines.get_mut("vllm-0.11").unwrap().served.as_mut().unwrap().exchange_start = exchange_start;
        law.pass(&pass(exchange(numbers), 1.0), device("h100-sxm"), engine("vllm-0.11")).seconds
    };
    let added = |numbers: usize| seconds(numbers, 3.0) - seconds(numbers, 1.0);
    assert!(added(1) > 1e-5, "{}", added(1));
    assert!((added(1 << 26) / added(1) - 1.0).abs() < 1e-6, "{} {}", added(1 << 26), added(1));
}

#[test]
fn the_parts_of_a_kernel_make_its_cost() {
    let law = Law::shipped();
    for name in ["vllm-0.11", "transformers"] {
        let law = law.on(device("h100-sxm"), engine(name), name == "vllm-0.11");
        for work in [layer(1, Format::F16, Format::F16), layer(4096, Format::Int4, Format::F16)] {
            let (parts, whole) = (law.parts(&work), law.work(&work));
            let seconds = parts.launch_s + parts.arithmetic.seconds + parts.traffic.seconds + parts.link.seconds;
            let joules = parts.arithmetic.joules + parts.traffic.joules + parts.link.joules;
            assert!((seconds / whole.seconds - 1.0).abs() < 1e-9, "{name} {parts:?} {whole:?}");
            assert!((joules / whole.joules - 1.0).abs() < 1e-9, "{name} {parts:?} {whole:?}");
            // A product of few rows waits for its weights.
            assert_eq!(parts.arithmetic.seconds == 0.0, work.rows < 2.0, "{name} {parts:?}");
            assert!(parts.launch_s > 0.0 && parts.link == WorkCost { seconds: 0.0, joules: 0.0 });
        }
    }
}

#[test]
fn several_gpus_take_as_much_longer_however_long_a_maker_s_launches_take() {
    let seconds = |gpus: f64, launches: f64| {
        let mut law = Law::shipped().clone();
        law.makers.get_mut("xe-hpc").unwrap().launches = launches;
        let pass = Pass { gpus, ..pass(layer(1, Format::F16, Format::F16), 32.0) };
        law.pass(&pass, device("max-1550"), engine("llama.cpp")).seconds
    };
    let [one, ten] = [1.0, 10.0].map(|launches| seconds(2.0, launches) - seconds(1.0, launches));
    assert!(one > 0.0 && (ten / one - 1.0).abs() < 1e-9, "{one} {ten}");
}
