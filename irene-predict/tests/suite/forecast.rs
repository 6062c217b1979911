//! Rules that every forecast has to keep to, whatever the law's constants are.

use irene_devices::{Catalogue, Peaks};
use irene_predict::{
    Device, Engine, Error, Forecast, Host, Law, Load, ModelSpec, Note, Request, Service, ServiceOptions, forecast,
};
use irene_requests::RequestRow;
use irene_tree::{Format, Kernels, NodeId, Parallel, Precision, Quantity, Size, Tree};
use proptest::prelude::*;

pub(crate) const MODELS: [&str; 3] = ["meta-llama/Llama-3.1-8B", "Qwen/Qwen3-30B-A3B", "google/gemma-2-2b-it"];
const ENGINES: [&str; 4] = ["vllm-0.11", "vllm-0.5", "tensorrt-llm", "transformers"];
const DEVICES: [&str; 5] = ["h100-sxm", "a100-sxm-80gb", "rtx-pro-6000", "mi300x", "b200"];

pub(crate) fn request(load: Load, prompt: usize, generated: usize) -> Request {
    Request {
        prompt,
        generated,
        load,
        precision: Precision::of(Format::BF16),
        kernels: Kernels::Fused,
        parallel: Parallel::default(),
        head: None,
    }
}

pub(crate) struct Case {
    pub(crate) spec: ModelSpec,
    pub(crate) device: Device,
    pub(crate) engine: &'static Engine,
    pub(crate) law: Law,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {} by {}", self.spec.name(), self.device.name, self.engine.name)
    }
}

impl Case {
    pub(crate) fn new(model: &str, device: &str, engine: &str) -> Self {
        let device = Catalogue::find(device).unwrap();
        Self {
            spec: ModelSpec::find(model).unwrap(),
            device,
            engine: Engine::find(engine).unwrap(),
            law: Law::shipped().clone(),
        }
    }

    pub(crate) fn of(&self, load: Load, prompt: usize, generated: usize) -> Result<Forecast, Error> {
        let request = Request { kernels: self.engine.kernels, ..request(load, prompt, generated) };
        forecast(&self.spec, &self.device, self.engine, &request, &self.law)
    }

    /// The forecast for a request that is given in full.
    pub(crate) fn asked(&self, request: &Request) -> Forecast {
        forecast(&self.spec, &self.device, self.engine, request, &self.law).unwrap()
    }

    pub(crate) fn good(&self, load: Load, prompt: usize, generated: usize) -> Forecast {
        self.of(load, prompt, generated).unwrap()
    }
}

fn cases() -> impl Strategy<Value = Case> {
    (prop::sample::select(&MODELS[..]), prop::sample::select(&DEVICES[..]), prop::sample::select(&ENGINES[..]))
        .prop_map(|(model, device, engine)| Case::new(model, device, engine))
}

/// A batch or a concurrency of so many.
fn load(is_steady: bool, sequences: usize) -> Load {
    if is_steady { Load::Concurrency(sequences as f64) } else { Load::Sequences(sequences) }
}

/// At least as much, but for the last bits.
pub(crate) fn is_at_least(more: f64, less: f64) -> bool {
    more.is_finite() && more >= less * (1.0 - 1e-9)
}

/// A tree of so many joules, in which each node has its own part and those of its children, and none of them is below nothing.
pub(crate) fn adds_up(tree: &Tree, whole: f64) -> Result<(), TestCaseError> {
    tree.check().unwrap();
    let energy = |id: NodeId| tree.node(id).get(Quantity::PredictedEnergy).unwrap();
    prop_assert!((energy(NodeId::ROOT) - whole).abs() <= 1e-9 * whole);
    for id in tree.ids() {
        let node = tree.node(id);
        let own = node.get(Quantity::OwnEnergy).unwrap_or(0.0);
        let parts: f64 = tree.children(id).map(|part| tree.node(part).times() * energy(part)).sum();
        prop_assert!(tree.is_leaf(id) || (own + parts - energy(id)).abs() <= 1e-9 * whole);
        prop_assert!(own >= -1e-9 * whole && energy(id) >= -1e-9 * whole, "{} {own} of {whole}", node.scope());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn energy_and_time_rise_with_prompt_tokens_and_batch(
        case in cases(), is_steady: bool, sequences in 1..24_usize, prompt in 16..1500_usize, generated in 2..400_usize,
        more in 1..400_usize,
    ) {
        let base = case.good(load(is_steady, sequences), prompt, generated).figures;
        let longer = case.good(load(is_steady, sequences), prompt + more, generated).figures;
        prop_assert!(is_at_least(longer.energy_per_request_j, base.energy_per_request_j), "{longer:?} {base:?}");
        prop_assert!(is_at_least(longer.latency_s, base.latency_s) && is_at_least(longer.ttft_s.unwrap(), base.ttft_s.unwrap()));
        let further = case.good(load(is_steady, sequences), prompt, generated + more).figures;
        prop_assert!(is_at_least(further.energy_per_request_j, base.energy_per_request_j), "{further:?} {base:?}");
        prop_assert!(is_at_least(further.latency_s, base.latency_s));
        let larger = case.good(load(is_steady, sequences + more), prompt, generated).figures;
        prop_assert!(is_at_least(larger.latency_s, base.latency_s), "{larger:?} {base:?}");
        let all = |figures: &irene_predict::Figures, count: usize| figures.energy_per_request_j * count as f64;
        prop_assert!(is_at_least(all(&larger, sequences + more), all(&base, sequences)), "{larger:?} {base:?}");
    }

    #[test]
    fn nothing_is_below_the_physical_floor(
        case in cases(), sequences in 1..64_usize, prompt in 16..1500_usize, generated in 2..400_usize,
    ) {
        let found = case.good(Load::Sequences(sequences), prompt, generated);
        let seconds = found.figures.latency_s;
        let weights = found.memory.weights * if case.spec.name().contains("A3B") { 0.05 } else { 0.85 };
        let bandwidth = case.device.bandwidth_gb_s * 1e9;
        prop_assert!(found.token.unwrap().seconds >= weights / bandwidth, "a step reads the weights");
        prop_assert!(seconds >= weights * generated as f64 / bandwidth);
        let idle = case.device.idle_w.unwrap_or(0.0);
        prop_assert!(found.figures.energy_per_request_j * sequences as f64 >= idle * seconds);
    }

    #[test]
    fn power_stays_within_the_limit(
        case in cases(), is_steady: bool, sequences in 1..256_usize, prompt in 16..3000_usize, generated in 1..200_usize,
        share in 0.45..1.0_f64,
    ) {
        let limit = share * case.device.tdp_w;
        let device = case.device.clone().with_power_limit(limit).unwrap();
        let capped = Case { device, ..case };
        let found = capped.good(load(is_steady, sequences), prompt, generated).figures;
        prop_assert!(found.power_w <= limit * (1.0 + 1e-9), "{} of {limit} W", found.power_w);
    }

    #[test]
    fn a_device_twice_as_fast_takes_half_but_for_launches_and_the_host(
        case in cases(), is_steady: bool, sequences in 1..64_usize, prompt in 16..1500_usize, generated in 2..200_usize,
    ) {
        let twice = |rate: Option<f64>| rate.map(|rate| 2.0 * rate);
        let Peaks { f32, tf32, f16, bf16, fp8, int8, fp4 } = case.device.peaks;
        let peaks = Peaks {
            f32: twice(f32), tf32: twice(tf32), f16: twice(f16), bf16: twice(bf16), fp8: twice(fp8), int8: twice(int8), fp4: twice(fp4),
        };
        let device = Device {
            peaks,
            bandwidth_gb_s: 2.0 * case.device.bandwidth_gb_s,
            clock_mhz: twice(case.device.clock_mhz),
            link_gb_s: twice(case.device.link_gb_s),
            tdp_w: 2.0 * case.device.tdp_w,
            ..case.device.clone()
        };
        let waits_for_host = case.engine.starts_kernels_ahead();
        let slow = case.good(load(is_steady, sequences), prompt, generated).figures.latency_s;
        let fast = Case { device, ..case }.good(load(is_steady, sequences), prompt, generated).figures.latency_s;
        prop_assert!(fast > 0.499 * slow && (fast < slow || waits_for_host && fast == slow), "{fast} and {slow}");
    }

    #[test]
    fn a_tree_adds_up_to_its_forecast(
        case in cases(), is_steady: bool, sequences in 1..300_usize, prompt in 16..1500_usize, generated in 0..200_usize,
    ) {
        let found = case.good(load(is_steady, sequences), prompt, generated);
        let tree = found.tree(&case.spec, &case.device, case.engine, &case.law, false).unwrap();
        let whole = found.figures.energy_per_request_j * found.requests();
        adds_up(&tree, whole)?;
        // Nothing stands still, so the root has no part of its own.
        let own = tree.root().get(Quantity::OwnEnergy).unwrap();
        prop_assert!(generated == 0 || own.abs() <= 1e-6 * whole, "{own} of {whole}");
    }
}

#[test]
fn a_token_gets_cheaper_with_the_batch_until_arithmetic_binds() {
    for device in DEVICES {
        let case = Case::new(MODELS[0], device, "vllm-0.11");
        let token = |running: f64| case.good(Load::Concurrency(running), 64, 256).figures.energy_per_token_j.unwrap();
        let tokens: Vec<f64> = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0].map(token).to_vec();
        assert!(tokens.windows(2).all(|pair| pair[1] < pair[0]), "{device}: {tokens:?}");
        assert!(tokens[6] < 0.2 * tokens[0], "{device}: {tokens:?}");
    }
}

#[test]
fn more_tokens_of_each_sequence_in_a_pass_take_no_less() {
    for (engine, device) in
        Engine::all().iter().flat_map(|engine| ["h100-sxm", "a100-sxm-80gb"].map(|name| (engine, name)))
    {
        let asked = RequestRow {
            model: Some(MODELS[0].into()),
            device: Some(device.into()),
            engine: Some(engine.name.into()),
            load: Some(Load::Concurrency(8.0)),
            prompt: Some(1000.0),
            generated: Some(100.0),
            ..RequestRow::default()
        };
        let setting = Service::new(ServiceOptions::default()).setting(&asked).unwrap();
        let found = setting.forecast().unwrap();
        let passes: Vec<_> = (1..=24).map(|new| setting.pass(&found, Size::new(8, new).after(1000)).unwrap()).collect();
        for (new, pair) in passes.windows(2).enumerate() {
            let rises = is_at_least(pair[1].seconds, pair[0].seconds) && is_at_least(pair[1].joules, pair[0].joules);
            assert!(rises, "{} on {device} after {} tokens: {pair:?}", engine.name, new + 1);
        }
    }
}

#[test]
fn a_mean_concurrency_lies_between_whole_ones() {
    let case = Case::new(MODELS[0], "h100-sxm", "vllm-0.11");
    let [two, between, three] = [2.0, 2.5, 3.0].map(|running| case.good(Load::Concurrency(running), 300, 200).figures);
    assert!(
        two.energy_per_request_j > between.energy_per_request_j
            && between.energy_per_request_j > three.energy_per_request_j
    );
    assert!(two.latency_s < between.latency_s && between.latency_s < three.latency_s);
    assert!(two.tokens_per_s < between.tokens_per_s && between.tokens_per_s < three.tokens_per_s);
}

#[test]
fn arrivals_settle_at_a_concurrency_that_rises_with_the_rate() {
    let case = Case::new(MODELS[0], "h100-sxm", "vllm-0.11");
    let found: Vec<Forecast> =
        [0.01, 0.5, 2.0, 8.0, 16.0].map(|rate| case.good(Load::Rate(rate), 500, 200)).into_iter().collect();
    assert!(found.windows(2).all(|pair| pair[1].running >= pair[0].running), "{found:?}");
    // A rare request pays for the power in between.
    assert!(found[0].figures.energy_per_request_j > 5.0 * found[2].figures.energy_per_request_j);
    let idle = case.device.idle_w.unwrap();
    assert!((found[0].figures.power_w / idle - 1.0).abs() < 0.1, "{} and {idle}", found[0].figures.power_w);
    for (found, rate) in found.iter().zip([0.01, 0.5, 2.0, 8.0, 16.0]) {
        let tokens = found.figures.tokens_per_s.unwrap();
        assert!((tokens / (rate * 200.0) - 1.0).abs() < 1e-9, "as many tokens as are asked for: {tokens}");
        let [low, high] = found.interval;
        assert!(low.latency_s < found.figures.latency_s && low.tokens_per_s == high.tokens_per_s);
    }
    // Little's law at a rate where something always runs.
    let little = 16.0 * found[4].figures.latency_s;
    assert!((little / found[4].running - 1.0).abs() < 0.05, "{little} and {}", found[4].running);
    let Err(Error::Overload { greatest, .. }) = case.of(Load::Rate(1e4), 500, 200) else { panic!("served") };
    assert!(
        case.of(Load::Rate(0.95 * greatest), 500, 200).is_ok()
            && case.of(Load::Rate(1.05 * greatest), 500, 200).is_err()
    );
    let one_by_one = Case::new(MODELS[0], "h100-sxm", "transformers");
    assert!(one_by_one.of(Load::Rate(100.0), 500, 200).unwrap_err().to_string().contains("at most"));
}

#[test]
fn as_many_requests_are_served_as_their_latency_tells() {
    for engine in ["vllm-0.11", "vllm-0.5"] {
        let case = Case::new(MODELS[0], "h100-sxm", engine);
        for (running, prompt, generated) in [(1.0, 8000, 16), (8.0, 4000, 64), (64.0, 500, 200)] {
            let found = case.good(Load::Concurrency(running), prompt, generated).figures;
            let served = found.tokens_per_s.unwrap() / generated as f64 * found.latency_s;
            assert!((served / running - 1.0).abs() < 0.02, "{case:?} with {running}: {served}");
            assert!(found.ttft_s.unwrap() <= found.latency_s, "{case:?} with {running}: {found:?}");
        }
    }
}

#[test]
fn a_rate_of_next_to_nothing_is_refused() {
    let case = Case::new("Llama-3.1-8B", "h100-sxm", "vllm-0.11");
    let error = case.of(Load::Rate(1e-320), 500, 200).unwrap_err().to_string();
    assert!(error.contains("are too few") && error.ends_with("ask for a higher rate"), "{error}");
}

#[test]
fn what_does_not_fit_is_refused_with_what_would_help() {
    let case = Case::new("meta-llama/Llama-3.1-70B", "l4", "vllm");
    let refused = case.of(Load::Sequences(1), 100, 10).unwrap_err().to_string();
    assert!(refused.contains("does not fit l4") && refused.contains("parallel.tensor 8"), "{refused}");
    let on_h100 = Case::new("meta-llama/Llama-3.1-70B", "h100-sxm", "vllm");
    let refused = on_h100.of(Load::Sequences(1), 100, 10).unwrap_err().to_string();
    for way in ["parallel.tensor 2", "precision.weights f8_e4m3", "and larger devices"] {
        assert!(refused.contains(way), "{refused}");
    }
    let weights = Format::F8E4M3;
    let narrow = Request {
        precision: Precision { weights, ..Precision::of(Format::BF16) },
        ..request(Load::Sequences(1), 100, 10)
    };
    on_h100.asked(&narrow);
}

#[test]
fn more_than_the_cache_holds_waits() {
    let case = Case::new(MODELS[0], "l4", "vllm");
    let most = case.good(Load::Concurrency(1.0), 4000, 500).memory.most_sequences;
    assert!((1..200).contains(&most), "{most}");
    let full = case.good(Load::Concurrency(most as f64), 4000, 500);
    let waiting = case.good(Load::Concurrency(2.0 * most as f64), 4000, 500);
    assert_eq!((waiting.running, waiting.waiting), (full.running, full.running));
    assert!((waiting.figures.latency_s / full.figures.latency_s - 2.0).abs() < 0.05, "{waiting:?}");
    assert_eq!(waiting.figures.tokens_per_s, full.figures.tokens_per_s);
    assert!(waiting.notes.iter().any(|note| matches!(note, Note::CacheFull { .. })));
    let in_turn = Case::new(MODELS[0], "l4", "transformers");
    let most_in_turn = in_turn.good(Load::Concurrency(1.0), 4000, 500).memory.most_sequences;
    for waves in [
        case.good(Load::Sequences(10 * most), 4000, 500),
        in_turn.good(Load::Concurrency(10.0 * most_in_turn as f64), 4000, 500),
    ] {
        assert!(waves.notes.iter().any(|note| note.mark() == "waves"), "{:?}", waves.notes);
        assert!(waves.memory.total() <= waves.memory.usable && full.memory.total() <= full.memory.usable);
    }
}

#[test]
fn copies_wait_for_the_one_with_the_most_sequences() {
    let case = Case::new(MODELS[0], "h100-sxm", "vllm-0.11");
    let of = |sequences: usize| {
        let parallel = Parallel { data: 8, ..Parallel::default() };
        case.asked(&Request { parallel, ..request(Load::Sequences(sequences), 500, 50) }).figures
    };
    let [eight, eleven, sixteen] = [8, 11, 16].map(of);
    assert!(eight.latency_s < eleven.latency_s && eleven.latency_s == sixteen.latency_s, "{eleven:?} {sixteen:?}");
    assert!(eleven.energy_per_request_j >= sixteen.energy_per_request_j, "{eleven:?} {sixteen:?}");
}

#[test]
fn a_model_that_generates_nothing_is_a_pass() {
    let case = Case::new("bert-large-uncased", "a100-sxm-80gb", "transformers");
    let found = case.good(Load::Sequences(8), 384, 0);
    assert_eq!((found.figures.energy_per_token_j, found.figures.ttft_s, found.token), (None, None, None));
    assert!(found.figures.latency_s > 0.0 && found.memory.most_sequences > 8);
    let f32 = Request { precision: Precision::F32, kernels: Kernels::Eager, ..request(Load::Sequences(8), 384, 0) };
    assert!(case.asked(&f32).figures.latency_s > 2.0 * found.figures.latency_s);
}

#[test]
fn requests_that_generate_nothing_are_single_passes_for_a_server_too() {
    for (model, engine) in [(MODELS[0], "vllm-0.11"), (MODELS[0], "vllm-0.5"), ("bert-large-uncased", "vllm-0.11")] {
        let case = Case::new(model, "h100-sxm", engine);
        let alone = case.good(Load::Concurrency(1.0), 384, 0);
        let rare = case.good(Load::Rate(1e-3), 384, 0);
        assert!((rare.figures.latency_s / alone.figures.latency_s - 1.0).abs() < 1e-3, "{case:?}: {rare:?} {alone:?}");
        assert_eq!((rare.token, rare.sizes().count()), (None, 1), "{case:?}");
        let Err(Error::Overload { greatest, .. }) = case.of(Load::Rate(1e6), 384, 0) else { panic!("{case:?}") };
        assert!((greatest * alone.figures.latency_s - 1.0).abs() < 1e-9, "{case:?}: {greatest}");
    }
}

#[test]
fn a_lower_power_limit_takes_time_once_a_lower_voltage_saves_no_more() {
    let case = Case::new(MODELS[0], "h100-sxm", "vllm-0.11");
    let tdp = case.device.tdp_w;
    let load = Load::Concurrency(32.0);
    let limited = |share: f64| {
        let device = case.device.clone().with_power_limit(share * tdp).unwrap();
        forecast(&case.spec, &device, case.engine, &request(load, 500, 200), &case.law).unwrap().figures
    };
    let found = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.35, 0.3, 0.27].map(limited);
    assert_eq!(found[0], case.good(load, 500, 200).figures);
    for pair in found.windows(2) {
        assert!(is_at_least(pair[1].itl_s.unwrap(), pair[0].itl_s.unwrap()), "{pair:?}");
        assert!(pair[1].power_w > 0.9 * case.law.power.loaded_share * tdp, "{pair:?}");
    }
    let [half, least] = [found[5], found[9]];
    assert!(least.itl_s.unwrap() > 2.0 * half.itl_s.unwrap(), "{half:?} {least:?}");
    assert!(least.energy_per_request_j > half.energy_per_request_j, "{half:?} {least:?}");
}

#[test]
fn copies_with_nothing_to_do_draw_what_idle_devices_draw() {
    for (device, data) in [("a40", 8), ("a40", 2), ("l40s", 8), ("h100-sxm", 4)] {
        let case = Case::new("google/gemma-2-2b-it", device, "vllm-0.11");
        let parallel = Parallel { data, ..Parallel::default() };
        let found = case.asked(&Request { parallel, ..request(Load::Sequences(1), 200, 50) }).figures;
        let idle = data as f64 * case.device.idle_w.unwrap();
        assert!(is_at_least(found.power_w, idle), "{data} of {device}: {} of {idle} W", found.power_w);
    }
}

#[test]
fn a_format_without_a_unit_is_said() {
    let case = Case::new(MODELS[0], "t4", "vllm");
    let request = Request {
        precision: Precision { weights: Format::F8E4M3, ..Precision::of(Format::BF16) },
        ..request(Load::Sequences(1), 64, 16)
    };
    let found = case.asked(&request);
    assert!(found.notes[0].to_string().contains("has no unit on t4"), "{:?}", found.notes);
    assert_eq!(found.notes[0].mark(), "format_fallback");
}

#[test]
fn the_wall_has_the_machine_on_top_and_its_tree_adds_up() {
    let case = Case::new(MODELS[0], "h100-sxm", "vllm-0.11");
    for load in [Load::Concurrency(16.0), Load::Sequences(4), Load::Rate(2.0)] {
        let of_gpu = case.good(load, 500, 200);
        let wall = of_gpu.clone().at_the_wall(Host::Watts(200.0), &case.device, &case.law).unwrap();
        let [alone, all] = [&of_gpu, &wall].map(|forecast| forecast.figures);
        assert!((all.power_w - alone.power_w - 200.0).abs() < 1e-9);
        assert_eq!((all.latency_s, all.itl_s, all.tokens_per_s), (alone.latency_s, alone.itl_s, alone.tokens_per_s));
        for (all, alone) in [
            (all.energy_per_request_j, alone.energy_per_request_j),
            (all.energy_per_token_j.unwrap(), alone.energy_per_token_j.unwrap()),
        ] {
            assert!((all / alone - (1.0 + 200.0 / of_gpu.figures.power_w)).abs() < 1e-9, "{load:?}");
        }
        let [low, high] = wall.interval;
        assert!(
            low.energy_per_request_j < all.energy_per_request_j && high.energy_per_request_j > all.energy_per_request_j
        );
        let parts = wall.prompt.joules + 199.0 * wall.token.unwrap().joules;
        let whole = if matches!(load, Load::Rate(_)) { parts } else { all.energy_per_request_j };
        assert!((parts / whole - 1.0).abs() < 1e-9, "{load:?}: {parts} of {whole}");
        let tree = wall.tree(&case.spec, &case.device, case.engine, &case.law, false).unwrap();
        tree.check().unwrap();
        let energy = tree.root().get(Quantity::PredictedEnergy).unwrap();
        assert!((energy / (wall.requests() * all.energy_per_request_j) - 1.0).abs() < 1e-9);
    }
}

#[test]
fn a_host_that_starts_kernels_bounds_small_passes_and_hides_behind_large_ones() {
    let case = Case::new("bert-base-uncased", "a100-sxm-80gb", "transformers");
    let seconds = |batch: usize| case.good(Load::Sequences(batch), 128, 0).figures.latency_s;
    assert!((seconds(1) / seconds(2) - 1.0).abs() < 1e-9, "the host decides");
    let (large, twice) = (seconds(256), seconds(512));
    assert!((1.9..2.1).contains(&(twice / large)), "the device decides: {large} and {twice}");
    let small = case.good(Load::Sequences(1), 128, 0).figures;
    let full = case.good(Load::Sequences(256), 128, 0).figures;
    assert!(small.power_w < 0.6 * full.power_w, "a device that waits draws less: {small:?} {full:?}");
}
