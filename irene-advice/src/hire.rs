use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::shipped;

static PRICES: LazyLock<Vec<Hire>> = LazyLock::new(|| shipped(include_str!("../data/hire.json")));

/// A public price for the hire of a device by the hour, electricity and machine included. Prices change by the month, and sellers differ by
/// more than a factor of two: take it as an example, and give your own.
///
/// ```
/// use irene_advice::Hire;
/// assert!(Hire::of("l4").is_some_and(|hire| hire.usd_per_hour < 1.0));
/// assert_eq!(Hire::of("m4-max"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Hire {
    /// The device, by its name in the catalogue.
    pub device: String,
    /// The price of one device, USD an hour.
    pub usd_per_hour: f64,
    /// The seller, and who wrote its price down.
    pub source: String,
}

impl Hire {
    /// All known prices.
    pub fn all() -> &'static [Self] {
        &PRICES
    }

    /// The price of a device, where one is known.
    pub fn of(device: &str) -> Option<&'static Self> {
        Self::all().iter().find(|hire| hire.device == device)
    }
}

#[cfg(test)]
mod tests {
    use irene_devices::Catalogue;

    use super::*;

    #[test]
    fn every_price_is_of_a_device_and_names_its_seller() {
        assert!(!Hire::all().is_empty());
        for hire in Hire::all() {
            assert_eq!(Catalogue::find(&hire.device).unwrap().name, hire.device);
            assert!((0.05..20.0).contains(&hire.usd_per_hour) && hire.source.len() > 8, "{hire:?}");
        }
    }
}
