//! Requests that arrive at a rate: how many run at once in the long run.

use irene_devices::Engine;

use crate::{Error, Figures, Load, Request};

/// The steady state of requests that arrive at random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Settled {
    /// How many run while some run.
    pub(super) load: Load,
    /// The share of the time in which some run.
    pub(super) busy: f64,
    /// The time that a request waits for those before it, s.
    pub(super) wait_s: f64,
}

/// The share of the time in which some request runs, where `mean` run on average and each arrives by itself (Poisson).
fn busy_share(mean: f64) -> f64 {
    -(-mean).exp_m1()
}

/// Requests that run at once at most in a search: a model's largest batch.
const MOST_AT_ONCE: f64 = (1 << 24) as f64;

/// Places that have no queue as long as one is free, nearly.
const MANY: f64 = 1e4;

/// The time that a request waits for one of so many places, in times that it then takes, which is the same for all: half of Erlang's
/// wait, which is exact for one place (M/D/1) and near for others. `mean` places are taken on average.
fn wait_for_a_place(places: f64, mean: f64) -> f64 {
    if places > MANY {
        return 0.0;
    }
    // Erlang's loss formula, by its recurrence.
    let lost = (1..=places as usize).fold(1.0, |lost, place| mean * lost / (place as f64 + mean * lost));
    let waits = lost / (1.0 - mean / places * (1.0 - lost));
    waits / (2.0 * (places - mean))
}

/// A rate in three digits, and no more than it is: who asks for it is served.
pub fn rounded_down(rate: f64) -> f64 {
    let digits = rate.log10().floor();
    if !digits.is_finite() {
        return rate;
    }
    let scale = 10_f64.powf((2.0 - digits).abs());
    if digits > 2.0 { (rate / scale).floor() * scale } else { (rate * scale).floor() / scale }
}

impl Settled {
    /// The steady state of requests that arrive at a rate, where at most so many run at once; None if no rate is asked for.
    pub(super) fn of(
        request: &Request,
        engine: &Engine,
        most: f64,
        figures: impl Fn(Load) -> Result<Figures, Error>,
    ) -> Result<Option<Self>, Error> {
        let Load::Rate(rate) = request.load else { return Ok(None) };
        let copies = request.parallel.data.max(1);
        // Where a copy has room for one alone, none joins it.
        let settled = if engine.is_continuous && request.generated > 0 && most > copies as f64 {
            Self::one_by_one(rate, most.min(MOST_AT_ONCE), |running| figures(Load::Concurrency(running)))
        } else {
            Self::in_turn(rate, copies, figures)
        };
        settled.map(Some)
    }

    /// The concurrency of an engine that takes up requests one by one, by Little's law: the mean number that runs is the rate times the time
    /// that each takes, which grows with that number. `figures` gives the figures at a concurrency.
    fn one_by_one(rate: f64, most: f64, figures: impl Fn(f64) -> Result<Figures, Error>) -> Result<Self, Error> {
        // While some run there are as many as this, less what the latency brings in.
        let excess = |running: f64| {
            let mean = rate * figures(running)?.latency_s;
            Ok::<_, Error>((running - mean / busy_share(mean), mean))
        };
        let (at_most, mean) = excess(most)?;
        if mean >= most {
            return Err(Error::Overload { rate, greatest: most / figures(most)?.latency_s });
        }
        let (mut low, mut high) = ((1.0, excess(1.0)?.0), (most, at_most));
        // Just below the greatest rate, as many as there is room for run all the time.
        let mut running = if at_most < 0.0 { most } else { 1.0 };
        // Regula falsi, with the weight of an end that stays halved (Illinois).
        while low.1 < 0.0 && high.1 >= 0.0 && high.0 - low.0 > 0.01 * low.0 {
            running = (low.0 * high.1 - high.0 * low.1) / (high.1 - low.1);
            let found = excess(running)?.0;
            if found.abs() < 0.005 * running {
                break;
            }
            if found < 0.0 {
                low = (running, found);
                high.1 /= 2.0;
            } else {
                high = (running, found);
                low.1 /= 2.0;
            }
        }
        let seconds = figures(running)?.latency_s;
        let mean = (rate * seconds).min((1.0 - 1e-9) * most);
        // A mean of `mean` where `running` run while some do.
        let busy = (mean / running).min(1.0);
        Ok(Self { load: Load::Concurrency(running), busy, wait_s: seconds * wait_for_a_place(most, mean) })
    }

    /// The queue of an engine that runs one request of each copy after another: arrivals at random, and the same time for all (M/D/1).
    fn in_turn(rate: f64, copies: usize, figures: impl Fn(Load) -> Result<Figures, Error>) -> Result<Self, Error> {
        // Requests of a server, one beside the other on its copies; a batch would be one of a script.
        let load = Load::Concurrency(copies as f64);
        let seconds = figures(load)?.latency_s;
        let busy = rate * seconds / copies as f64;
        if busy >= 1.0 {
            return Err(Error::Overload { rate, greatest: copies as f64 / seconds });
        }
        Ok(Self { load, busy, wait_s: busy * seconds / (2.0 * (1.0 - busy)) })
    }
}

#[cfg(test)]
mod tests {
    use irene_tree::{Format, Kernels, Parallel, Precision};

    use super::*;

    /// A request takes a second, and a tenth more for each that runs beside it.
    fn figures(running: f64) -> Result<Figures, Error> {
        let latency_s = 1.0 + 0.1 * running;
        Ok(Figures {
            energy_per_request_j: 1.0,
            energy_per_token_j: None,
            power_w: 1.0,
            ttft_s: None,
            itl_s: None,
            latency_s,
            tokens_per_s: None,
        })
    }

    /// A request takes a second, whatever runs beside it.
    fn a_second<T>(_: T) -> Result<Figures, Error> {
        Ok(Figures { latency_s: 1.0, ..figures(0.0)? })
    }

    #[test]
    fn arrivals_settle_where_as_many_leave() {
        // n = r (1 + 0.1 n), so n = r / (1 - 0.1 r).
        let settled = Settled::one_by_one(8.0, 1000.0, figures).unwrap();
        let Load::Concurrency(running) = settled.load else { panic!("{settled:?}") };
        assert!((running - 40.0).abs() < 0.5, "{settled:?}");
        let rare = Settled::one_by_one(0.01, 1000.0, figures).unwrap();
        assert!(matches!(rare.load, Load::Concurrency(running) if running < 1.01), "{rare:?}");
        assert!((rare.busy - 0.011).abs() < 1e-4, "{rare:?}");
    }

    #[test]
    fn an_engine_with_room_for_one_sequence_has_a_queue() {
        let settled = |rate: f64| {
            let request = Request {
                prompt: 100,
                generated: 10,
                load: Load::Rate(rate),
                precision: Precision::of(Format::BF16),
                kernels: Kernels::Fused,
                parallel: Parallel::default(),
                head: None,
            };
            Settled::of(&request, Engine::find("vllm").unwrap(), 1.0, a_second).map(Option::unwrap)
        };
        let found = settled(0.67).unwrap();
        assert!((found.wait_s - 1.0).abs() < 0.05 && (found.busy - 0.67).abs() < 1e-9, "{found:?}");
        assert!(settled(0.999).is_ok());
        let Err(Error::Overload { greatest, .. }) = settled(1.0) else { panic!() };
        assert_eq!(greatest, 1.0);
    }

    #[test]
    fn one_place_has_the_queue_of_equal_times_and_many_have_next_to_none() {
        for mean in [0.1, 0.5, 0.9] {
            assert!((wait_for_a_place(1.0, mean) - mean / (2.0 * (1.0 - mean))).abs() < 1e-12, "{mean}");
        }
        assert!(wait_for_a_place(100.0, 50.0) < 1e-9 && wait_for_a_place(1e9, 1e8) == 0.0);
    }

    #[test]
    fn a_rate_that_is_rounded_down_is_served() {
        for (rate, shown) in [(0.050_96, "0.0509"), (0.000_123_9, "0.000123"), (12.39, "12.3"), (54_321.0, "54300")] {
            assert_eq!(rounded_down(rate).to_string(), shown);
        }
    }

    #[test]
    fn no_more_settle_than_there_is_room_for() {
        let mut waited = 0.0;
        for rate in [0.5, 1.0, 1.5, 1.8, 1.9, 1.99] {
            let settled = Settled::one_by_one(rate, 2.0, a_second).unwrap();
            let Load::Concurrency(running) = settled.load else { panic!("{settled:?}") };
            assert!((1.0..=2.0).contains(&running), "{rate}: {settled:?}");
            // Little's law: as many run as arrive while one runs, and more wait the fuller it is.
            assert!((running * settled.busy / rate - 1.0).abs() < 0.01, "{rate}: {settled:?}");
            assert!(settled.wait_s > waited, "{rate}: {settled:?}");
            waited = settled.wait_s;
        }
        assert!(waited > 10.0, "{waited}");
        assert!(Settled::one_by_one(2.0, 2.0, a_second).is_err());
    }

    #[test]
    fn more_than_is_served_is_refused_with_the_greatest_rate() {
        let Err(Error::Overload { greatest, .. }) = Settled::one_by_one(12.0, 90.0, figures) else { panic!() };
        assert!((greatest - 9.0).abs() < 1e-9, "{greatest}");
        let in_turn = |rate| Settled::in_turn(rate, 2, |_| figures(0.0));
        assert_eq!(in_turn(1.0).unwrap().wait_s, 0.5);
        let Err(Error::Overload { greatest, .. }) = in_turn(2.5) else { panic!() };
        assert_eq!(greatest, 2.0);
    }
}
