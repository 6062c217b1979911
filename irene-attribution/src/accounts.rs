use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, Serializer};

/// Where a meter's energy went. The energies of the models and of nobody add up to `total_nj` exactly. Written as JSON it has these
/// fields; energies beyond the 18.4 GJ that 64 bits count are rounded there.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Accounts {
    /// By model.
    pub models: BTreeMap<Arc<str>, ModelAccount>,
    /// Energy of no request, nJ: idling while nothing ran or that is kept apart, work that nobody told, and what is left over of
    /// nanojoules.
    #[serde(serialize_with = "nanojoules")]
    pub nobody_nj: u128,
    /// The energy of the meter that was shared so far, nJ.
    #[serde(serialize_with = "nanojoules")]
    pub total_nj: u128,
    /// Time of which the meter's energy is not known, ns.
    pub unknown_ns: u64,
    /// The idle power, W, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_watts: Option<f64>,
}

/// Not all formats and their readers have whole numbers of more than 64 bits.
fn nanojoules<S: Serializer>(energy: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    match u64::try_from(*energy) {
        Ok(whole) => serializer.serialize_u64(whole),
        Err(_) => serializer.serialize_f64(*energy as f64),
    }
}

/// Upper ends of the histogram's buckets, J. Larger energies are in no bucket and count all the same.
pub const BUCKETS: [f64; 15] =
    [1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0];

/// Where the energy of a model's requests went.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelAccount {
    /// Energy of prompts, nJ.
    #[serde(serialize_with = "nanojoules")]
    pub prompt_nj: u128,
    /// Energy of tokens that were generated, nJ.
    #[serde(serialize_with = "nanojoules")]
    pub decode_nj: u128,
    /// Its requests' shares of the idle power, nJ.
    #[serde(serialize_with = "nanojoules")]
    pub idle_nj: u128,
    /// Requests that run.
    pub running: u64,
    /// Finished requests whose share is known.
    pub ended: u64,
    /// Cancelled requests whose share is known.
    pub cancelled: u64,
    /// The number of requests in each of the [`BUCKETS`], by their energy.
    pub buckets: [u64; BUCKETS.len()],
    /// The number of requests whose energy is known.
    pub requests: u64,
    /// The sum of their energies, J.
    pub joules: f64,
}

/// The name for the models beyond the first few hundred, and for one with an empty name, which is nobody's in metrics: names may come
/// from clients.
const OTHERS: &str = "other";

const MOST_MODELS: usize = 256;

impl Accounts {
    pub(crate) fn model(&mut self, name: &Arc<str>) -> &mut ModelAccount {
        let is_new = !self.models.contains_key(name);
        let is_other = name.is_empty() || is_new && self.models.len() >= MOST_MODELS;
        self.models.entry(if is_other { Arc::from(OTHERS) } else { Arc::clone(name) }).or_default()
    }

    /// Energy that requests were given, nJ.
    pub fn shared_nj(&self) -> u128 {
        self.models.values().map(|model| model.prompt_nj + model.decode_nj + model.idle_nj).sum()
    }
}

impl ModelAccount {
    pub(crate) fn observe(&mut self, joules: f64) {
        if let Some(bucket) = BUCKETS.iter().position(|&end| joules <= end) {
            self.buckets[bucket] += 1;
        }
        self.requests += 1;
        self.joules += joules;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energies_are_written_beyond_what_64_bits_count() {
        let accounts = Accounts { nobody_nj: 7, total_nj: 1 << 70, ..Accounts::default() };
        let json = serde_json::to_value(&accounts).unwrap();
        assert_eq!((json["nobody_nj"].as_u64(), json["total_nj"].as_f64()), (Some(7), Some((1_u128 << 70) as f64)));
        assert!(json.get("idle_watts").is_none());
    }
}
