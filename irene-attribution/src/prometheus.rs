//! The accounts as Prometheus reads them.

use std::sync::Arc;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use crate::{Accounts, BUCKETS, Meter, accounts::ModelAccount, share::NANO, state::State};

impl Meter {
    /// Adds the meter's metrics to a registry:
    ///
    /// - `irene_model_energy_joules_total` by `model`, `kind` (`prompt`, `decode`, `idle`) and `provenance`; the energy of nobody has an
    ///   empty model. Together they are the energy of the meter;
    /// - `irene_request_energy_joules`, a histogram by `model` and `provenance`;
    /// - `irene_requests_running` by `model`, `irene_requests_total` by `model` and `outcome` (`ended`, `cancelled`);
    /// - `irene_energy_unknown_seconds_total`, the time of which the meter's energy is not known;
    /// - `irene_idle_power_watts`, once it is known.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Metrics(Arc::clone(&self.state))));
    }
}

#[derive(Debug)]
struct Metrics(Arc<State>);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        // Writing must not hold up the meter.
        let accounts = self.0.accounts().clone();
        // Without a meter no energy is known.
        if let Some(provenance) = self.0.provenance {
            energies(&accounts, provenance.name(), &mut encoder)?;
        }

        let help = "Requests that run";
        let mut running = encoder.encode_descriptor("irene_requests_running", help, None, MetricType::Gauge)?;
        for (name, model) in &accounts.models {
            let running_now = i64::try_from(model.running).unwrap_or(i64::MAX);
            running.encode_family(&[("model", &**name)])?.encode_gauge(&running_now)?;
        }

        let help = "Requests whose share is known";
        let mut through = encoder.encode_descriptor("irene_requests", help, None, MetricType::Counter)?;
        for (name, model) in &accounts.models {
            for (outcome, number) in [("ended", model.ended), ("cancelled", model.cancelled)] {
                let labels = [("model", &**name), ("outcome", outcome)];
                through.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&number, None)?;
            }
        }

        let help = "Time of which the meter's energy is not known";
        let seconds = accounts.unknown_ns as f64 * NANO;
        encoder
            .encode_descriptor("irene_energy_unknown", help, Some(&Unit::Seconds), MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, f64>(&seconds, None)?;
        if let Some(watts) = accounts.idle_watts {
            let unit = Unit::Other("watts".into());
            encoder
                .encode_descriptor("irene_idle_power", "Power while nothing runs", Some(&unit), MetricType::Gauge)?
                .encode_gauge(&watts)?;
        }
        Ok(())
    }
}

fn energies(accounts: &Accounts, provenance: &str, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let help = "Energy of requests and of nobody";
    let mut energy = encoder.encode_descriptor("irene_model_energy", help, Some(&Unit::Joules), MetricType::Counter)?;
    let mut count = |model: &str, kind: &str, nanojoules: u128| {
        let joules = nanojoules as f64 * NANO;
        energy
            .encode_family(&[("model", model), ("kind", kind), ("provenance", provenance)])?
            .encode_counter::<NoLabelSet, _, f64>(&joules, None)
    };
    for (name, model) in &accounts.models {
        count(name, "prompt", model.prompt_nj)?;
        count(name, "decode", model.decode_nj)?;
        count(name, "idle", model.idle_nj)?;
    }
    count("", "idle", accounts.nobody_nj)?;

    let help = "Energy of a request";
    let mut requests =
        encoder.encode_descriptor("irene_request_energy", help, Some(&Unit::Joules), MetricType::Histogram)?;
    for (name, model) in &accounts.models {
        let labels = [("model", &**name), ("provenance", provenance)];
        let mut family = requests.encode_family(&labels)?;
        family.encode_histogram::<NoLabelSet>(model.joules, model.requests, &buckets(model), None)?;
    }
    Ok(())
}

/// The buckets, and one for what is above them.
fn buckets(model: &ModelAccount) -> Vec<(f64, u64)> {
    let within: u64 = model.buckets.iter().sum();
    let above = (f64::INFINITY, model.requests - within);
    BUCKETS.into_iter().zip(model.buckets).chain([above]).collect()
}
