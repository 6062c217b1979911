//! How long until a browser shows something: `cargo run --release -p irene-viz --example paint -- http://127.0.0.1:7878/ 20` loads the page of
//! a running `irene serve --quiet` that often in a headless Chromium, each time from the server.
#![allow(clippy::print_stdout)] // what it is for
#![allow(clippy::unwrap_used)] // as the tests whose browser this is

#[allow(dead_code)] // the tests need more of it
#[path = "../tests/webdriver/mod.rs"]
mod webdriver;

use serde_json::{Value, json};
use webdriver::{Browser, Programs};

const TIMES: &str = "if (!document.getElementById('total')?.dataset.joules) return null;
    const paints = performance.getEntriesByType('paint').map(({ name, startTime }) => [name, startTime]);
    const parts = performance.getEntriesByType('resource').map((entry) => entry.responseEnd);
    return { ...Object.fromEntries(paints), 'last answer': Math.max(...parts) }";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "http://127.0.0.1:7878/".to_owned());
    let loads = arguments.next().map_or(20, |count| count.parse().unwrap());
    let browser = Browser::start(&Programs::find().unwrap());
    let times: Vec<Value> = (0..loads)
        .map(|_| {
            browser.open("about:blank");
            browser.open(&address);
            browser.wait_for("a prediction", TIMES, json!([]))
        })
        .collect();
    for name in ["first-paint", "first-contentful-paint", "last answer"] {
        let mut milliseconds: Vec<f64> = times.iter().filter_map(|time| time[name].as_f64()).collect();
        milliseconds.sort_by(f64::total_cmp);
        let [least, median, most] =
            [0, milliseconds.len() / 2, milliseconds.len() - 1].map(|at| milliseconds[at].round());
        println!("{name}: {median} ms in the median, {least} to {most}, of {} loads", milliseconds.len());
    }
}
