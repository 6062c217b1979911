use std::collections::BTreeMap;

use irene_devices::Law;
use irene_numerics::NORMAL_90;
use irene_requests::{PercentErrors, kendall};

use crate::{Measured, TrialError};

/// How far off predictions of requests are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestErrors {
    /// The time.
    pub time: PercentErrors,
    /// The power at the measured time; it has no interval.
    pub power: PercentErrors,
    /// The energy.
    pub energy: PercentErrors,
}

impl RequestErrors {
    /// Adds a request.
    pub fn add(&mut self, error: &TrialError) {
        let [time, power, energy] = error.residuals;
        let within = |to: &mut PercentErrors, residual: Option<f64>, spread: f64| {
            if let Some(residual) = residual {
                to.add_with_interval(residual.exp(), residual.abs() <= NORMAL_90 * spread);
            }
        };
        within(&mut self.time, time, error.spread.time);
        within(&mut self.energy, energy, error.spread.energy);
        if let Some(residual) = power {
            self.power.add(residual.exp());
        }
    }
}

impl<'a> FromIterator<&'a TrialError> for RequestErrors {
    fn from_iter<T: IntoIterator<Item = &'a TrialError>>(errors: T) -> Self {
        let mut all = Self::default();
        errors.into_iter().for_each(|error| all.add(error));
        all
    }
}

/// How far off laws are on requests, and how far off they themselves expect to be. Requests for which there is no law are left out.
pub fn try_laws<'a, 'l>(
    measured: impl IntoIterator<Item = &'a Measured>,
    law: impl Fn(&Measured) -> Option<&'l Law>,
) -> Vec<(&'a Measured, TrialError)> {
    let of = |one: &'a Measured| {
        let law = law(one)?;
        Some((one, TrialError { residuals: one.residuals(law), spread: one.spread(law) }))
    };
    measured.into_iter().filter_map(of).collect()
}

/// How well predictions order configurations of one model by their energy a token.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The model.
    pub model: String,
    /// The task that it was given, where only configurations with the same are compared.
    pub task: Option<String>,
    /// The configurations.
    pub count: usize,
    /// Kendall's rank correlation: 1 for the same order, -1 for the reverse.
    pub tau: f64,
}

/// A model, and the task where that counts.
type Group = (String, Option<String>);

/// The orders of each model's configurations, or of those of one task each.
///
/// Fewer than five configurations say little of an order and are left out.
pub fn order_of_configurations(tried: &[(&Measured, TrialError)], is_by_task: bool) -> Vec<Order> {
    const LEAST: usize = 5;
    let mut groups: BTreeMap<Group, Vec<(f64, f64)>> = BTreeMap::new();
    for (one, error) in tried {
        let (Some(joules), [_, _, Some(residual)]) = (one.joules_a_token(), error.residuals) else { continue };
        let task = one.task.clone().filter(|_| is_by_task);
        groups.entry((one.model.clone(), task)).or_default().push((joules, joules * residual.exp()));
    }
    let order = |((model, task), pairs): (Group, Vec<(f64, f64)>)| {
        let tau = kendall(&pairs).filter(|_| pairs.len() >= LEAST)?;
        Some(Order { model, task, count: pairs.len(), tau })
    };
    groups.into_iter().filter_map(order).collect()
}
