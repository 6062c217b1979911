//! Which of several ways no other beats.

use irene_numerics::dominates;

use super::PlanRow;

/// The figures that should be low: energy, times, money. An unknown one counts as infinite.
fn costs(row: &PlanRow) -> [f64; 4] {
    let latency = row.figures.latency_s;
    let known = |figure: Option<f64>| figure.unwrap_or(f64::INFINITY);
    [
        row.energy_per_token_j,
        known(row.ttft_s.or(latency)),
        known(row.itl_s.or(latency)),
        known(row.usd_per_million_tokens),
    ]
}

/// Marks the front and the best of each kind, and sorts: the front first, the rest by energy.
pub(super) fn mark(rows: &mut [PlanRow]) {
    rows.sort_by(|a, b| a.energy_per_token_j.total_cmp(&b.energy_per_token_j));
    // One that is beaten is beaten by one of the front, which takes no more energy and so stands before it, or beside it at equal energy.
    let mut front: Vec<[f64; 4]> = Vec::new();
    let all: Vec<[f64; 4]> = rows.iter().map(costs).collect();
    for (place, row) in rows.iter_mut().enumerate() {
        let own = &all[place];
        let equals = all[place + 1..].iter().take_while(|other| other[0] == own[0]);
        row.is_on_front = !front.iter().chain(equals).any(|other| dominates(other, own));
        if row.is_on_front {
            front.push(*own);
        }
    }
    best(rows, "energy", |row| Some(row.energy_per_token_j));
    best(rows, "latency", |row| row.figures.latency_s);
    best(rows, "cost", |row| row.usd_per_million_tokens);
    rows.sort_by_key(|row| (!row.is_on_front, row.best_of.is_empty()));
}

fn best(rows: &mut [PlanRow], name: &'static str, of: impl Fn(&PlanRow) -> Option<f64>) {
    let figure = |row: &PlanRow| of(row).unwrap_or(f64::INFINITY);
    let least = rows.iter_mut().min_by(|a, b| figure(a).total_cmp(&figure(b)));
    if let Some(row) = least.filter(|row| figure(row).is_finite()) {
        row.best_of.push(name);
    }
}
