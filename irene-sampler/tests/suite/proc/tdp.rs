//! Power estimated from thermal design power and load.

use irene_sampler::{
    Provenance, Recorder, WindowError,
    sensors::{Places, Unavailable},
};

use super::ticks;
use crate::machine::{Machine, assert_close, at, channel, each_second, joules, open, window};

fn estimate(machine: &Machine, tdp_watts: Option<f64>) -> Result<Recorder, Unavailable> {
    open("tdp", &Places { tdp_watts, ..machine.places() })
}

#[test]
fn it_is_power_times_load_and_says_that_it_is_estimated() {
    let machine = Machine::new();
    ticks(&machine, 100, 100);
    // Half loaded for two seconds, then fully.
    let load = [(100, 100), (150, 150), (200, 200), (300, 200), (400, 200)];
    let recorder =
        each_second(estimate(&machine, Some(65.0)).unwrap(), load, |(busy, idle)| ticks(&machine, busy, idle));
    assert_eq!(channel(&recorder, "tdp").provenance, Provenance::Estimated);
    assert_close(joules(&recorder, "tdp", 0.0, 2.0), 65.0);
    assert_close(joules(&recorder, "tdp", 2.0, 4.0), 130.0);
    assert_close(joules(&recorder, "tdp", 0.0, 4.0), 195.0);
}

#[test]
fn samples_between_ticks_lose_no_energy() {
    let machine = Machine::new();
    ticks(&machine, 100, 100);
    let mut recorder = estimate(&machine, Some(10.0)).unwrap();
    for millisecond in 0..=100 {
        ticks(&machine, 100 + millisecond / 10, 100);
        recorder.sample_at(at(millisecond as f64 / 1000.0));
    }
    assert_close(joules(&recorder, "tdp", 0.0, 0.1), 1.0);
}

#[test]
fn ticks_that_go_back_give_no_energy() {
    let machine = Machine::new();
    ticks(&machine, 1000, 1000);
    let busy = [1000, 1100, 1200, 3, 4, 5];
    let recorder = each_second(estimate(&machine, Some(10.0)).unwrap(), busy, |busy| ticks(&machine, busy, 1000));
    assert_close(joules(&recorder, "tdp", 0.0, 2.0), 20.0);
    assert_eq!(window(&recorder, "tdp", 1.0, 5.0), Err(WindowError::NotCovered));
}

#[test]
fn it_must_be_given_and_be_a_power() {
    let machine = Machine::new();
    ticks(&machine, 1, 1);
    let unknown = estimate(&machine, None).unwrap_err();
    assert!(unknown.fix.unwrap().contains("Places::tdp_watts"));
    for watts in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(estimate(&machine, Some(watts)).unwrap_err().reason.contains("no thermal design power"));
    }
}
