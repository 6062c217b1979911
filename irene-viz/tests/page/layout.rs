//! Where things stand on screens of all sizes.

use serde_json::json;

use super::LLAMA;
use crate::{
    access::{self, COMPARING, VIEWS},
    visit::Visit,
};

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn no_view_scrolls_sideways_on_a_phone_or_a_wide_screen() {
    let visit = Visit::start(&format!("{LLAMA}&{COMPARING}"));
    let browser = &visit.browser;
    for (width, height) in [(360, 740), (2560, 1300)] {
        browser.resize(width, height);
        for view in VIEWS {
            access::choose(browser, view);
            let page = "const page = document.documentElement; return [page.scrollWidth, page.clientWidth, innerWidth]";
            let [content, shown, window] = [0, 1, 2].map(|at| browser.ask(page)[at].as_u64().unwrap());
            assert_eq!(window, u64::from(width));
            assert!(content <= shown, "{view} at {width}: {content} px of content in {shown} px");
            let [used, room] = [0, 1].map(|at| browser.run(USED_WIDTH, json!([view]))[at].as_f64().unwrap());
            assert!(used < 0.0 || used > 0.9 * room, "{view} at {width}: {used} px of {room} px are used");
        }
    }
    visit.end(&[]);
}

/// How far right tables, charts and controls of a view reach, and how far they could.
const USED_WIDTH: &str = "const panel = document.getElementById(`panel-${arguments[0]}`);
    const parts = [...panel.querySelectorAll('.scroller, svg, fieldset, form')].map((part) => part.getBoundingClientRect().right);
    const { left, width } = panel.getBoundingClientRect();
    return [Math.max(-1, ...parts) - left, width]";
