//! The metrics that Prometheus reads.

use irene_attribution::{IdlePower, Meter, Options};
use irene_sampler::{Provenance, Sampler, SamplerOptions, Sensors};
use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::scripted_time::{MS, Scripted};

/// The page of a registry that has what is registered now.
fn page(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text
}

#[test]
fn metrics_are_the_accounts() {
    let mut scripted = Scripted::new(Options { idle_power: IdlePower::Given(2.0), ..Options::default() });
    let mut registry = Registry::default();
    scripted.meter.register(&mut registry);
    let [one, other] = ["one", "tw\"o"].map(|model| scripted.begin(model));
    one.prompt(30);
    scripted.look(500 * MS);
    one.tokens(10);
    let one = one.end();
    scripted.reading(500 * MS, Some(5000 * MS));
    scripted.reading(900 * MS, None);
    drop(other);
    scripted.reading(1000 * MS, Some(200 * MS));
    assert!(one.try_get().is_some());
    let running = scripted.begin("one");
    scripted.feed.tick();
    let text = page(&registry);
    let expected = [
        "# TYPE irene_model_energy_joules counter",
        "# UNIT irene_model_energy_joules joules",
        r#"irene_model_energy_joules_total{model="one",kind="prompt",provenance="measured"} 3.0"#,
        r#"irene_model_energy_joules_total{model="one",kind="decode",provenance="measured"} 1.0"#,
        r#"irene_model_energy_joules_total{model="one",kind="idle",provenance="measured"} 0.5"#,
        r#"irene_model_energy_joules_total{model="tw\"o",kind="idle",provenance="measured"} 0.5"#,
        r#"irene_model_energy_joules_total{model="",kind="idle",provenance="measured"} 0.2"#,
        "# TYPE irene_request_energy_joules histogram",
        r#"irene_request_energy_joules_sum{model="one",provenance="measured"} 4.5"#,
        r#"irene_request_energy_joules_count{model="one",provenance="measured"} 1"#,
        r#"irene_request_energy_joules_bucket{le="3.0",model="one",provenance="measured"} 0"#,
        r#"irene_request_energy_joules_bucket{le="10.0",model="one",provenance="measured"} 1"#,
        r#"irene_request_energy_joules_bucket{le="+Inf",model="one",provenance="measured"} 1"#,
        r#"irene_requests_running{model="one"} 1"#,
        r#"irene_requests_running{model="tw\"o"} 0"#,
        r#"irene_requests_total{model="one",outcome="ended"} 1"#,
        r#"irene_requests_total{model="tw\"o",outcome="cancelled"} 1"#,
        "irene_energy_unknown_seconds_total 0.4",
        "irene_idle_power_watts 2.0",
    ];
    for line in expected {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    drop(running);
    let energies = text.lines().filter(|line| line.starts_with("irene_model_energy_joules_total"));
    let sum: f64 = energies.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    assert!((sum - 5.2).abs() < 1e-12, "all that is known, {sum} J");
}

#[test]
fn a_model_without_a_name_is_not_nobody() {
    let mut scripted = Scripted::new(Options { idle_power: IdlePower::Given(2.0), ..Options::default() });
    let mut registry = Registry::default();
    scripted.meter.register(&mut registry);
    let unnamed = scripted.begin("");
    scripted.look(500 * MS);
    unnamed.tokens(10);
    drop(unnamed);
    scripted.reading(500 * MS, Some(5000 * MS));
    scripted.reading(600 * MS, Some(200 * MS));
    let text = page(&registry);
    let of = |labels: &str| text.lines().filter(|line| line.contains(labels)).count();
    assert_eq!(of(r#"{model="",kind="idle",provenance="measured"}"#), 1, "that of nobody alone:\n{text}");
    assert_eq!(of(r#"model="""#), 1, "{text}");
    assert!(
        text.contains(r#"irene_model_energy_joules_total{model="other",kind="decode",provenance="measured"} 4.0"#),
        "{text}"
    );
}

#[test]
fn metrics_tell_an_estimate_and_no_energy_without_a_meter() {
    let text = |meter: &Meter| {
        let mut registry = Registry::default();
        meter.register(&mut registry);
        page(&registry)
    };
    let (estimated, _feed) = Meter::fed(|| 0, Provenance::Estimated, Options::default()).unwrap();
    let sample = r#"irene_model_energy_joules_total{model="",kind="idle",provenance="estimated"} 0.0"#;
    assert!(text(&estimated).contains(sample), "{}", text(&estimated));
    let sampler = Sampler::start(Sensors::default(), SamplerOptions::default()).unwrap();
    let without = Meter::new(sampler.into(), Options::default()).unwrap();
    assert!(!text(&without).contains("joules"), "{}", text(&without));
    let share = without.begin("model").end().try_get().unwrap();
    assert_eq!(share.headers(), [("x-energy-covered", "0.0000".into())]);
}
