//! The page for who cannot see it, cannot point at it, or sees it on a phone or in the dark.

use serde_json::{Value, json};

use crate::{
    page::GPT2,
    visit::{INPUTS, Visit},
    webdriver::{Browser, key},
};

pub(crate) const VIEWS: [&str; 11] =
    ["tree", "icicle", "list", "generation", "whatif", "suggest", "plan", "leaderboard", "compare", "sizes", "jobs"];

/// Queries with which the views have something to show.
pub(crate) const COMPARING: &str = "b=model%3Ddistilgpt2&set_b=num_hidden_layers%3D6&plan_rate=20";

/// Whether a view is there.
const IS_SHOWN: &str = "const panel = document.getElementById(`panel-${arguments[0]}`);
    return panel.checkVisibility() && !document.getElementById('main').hasAttribute('aria-busy')";

/// Chooses a view and waits until it is there.
pub(crate) fn choose(browser: &Browser, view: &str) {
    browser.click(&format!("#tab-{view}"));
    browser.wait_for(view, IS_SHOWN, json!([view]));
    // Two frames, so that what is drawn to the page's width is.
    browser.ask("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))");
}

/// A node's role, name and property as the browser tells them.
fn role(node: &Value) -> &str {
    node["role"]["value"].as_str().unwrap_or("")
}

fn name(node: &Value) -> &str {
    node["name"]["value"].as_str().unwrap_or("").trim()
}

fn property<'a>(node: &'a Value, name: &str) -> &'a Value {
    let found = node["properties"].as_array().into_iter().flatten().find(|property| property["name"] == name);
    found.map_or(&Value::Null, |property| &property["value"]["value"])
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn everything_that_takes_the_focus_has_a_name() {
    let visit = Visit::start(&format!("{GPT2}&{COMPARING}"));
    for view in VIEWS {
        choose(&visit.browser, view);
        let nodes = visit.browser.accessible();
        let focusable: Vec<&Value> = nodes.iter().filter(|node| property(node, "focusable") == true).collect();
        assert!(focusable.len() > 20, "{view}: {}", focusable.len());
        for node in focusable {
            assert!(!name(node).is_empty(), "{view}: {node}");
        }
        for landmark in ["banner", "main", "contentinfo", "form"] {
            assert!(nodes.iter().any(|node| role(node) == landmark), "{view} has no {landmark}");
        }
        for live in ["alert", "status"] {
            assert!(nodes.iter().any(|node| role(node) == live), "{view} has no {live}");
        }
        let chosen: Vec<&Value> = nodes.iter().filter(|node| property(node, "selected") == true).collect();
        let tabs = chosen.iter().filter(|node| role(node) == "tab").count();
        assert_eq!(tabs, 1, "{view}");
    }
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_tree_tells_where_each_row_is() {
    let visit = Visit::start(&format!("{GPT2}&depth=all&layers=all"));
    let prediction = visit.api(&visit.selection());
    let mut places = Vec::new();
    walk(&prediction["tree"]["frontend_tree"], 1, [1, 1], &mut places);

    let nodes = visit.browser.accessible();
    let is_row = |node: &&Value| role(node) == "row" && !property(node, "level").is_null();
    let rows: Vec<Value> = nodes
        .iter()
        .filter(is_row)
        .map(|row| json!([property(row, "level"), property(row, "expanded"), name(row).split(' ').nth(1)]))
        .collect();
    let told: Vec<Value> = places.iter().map(|place| json!([place[0], place[3], place[4]])).collect();
    assert_eq!(rows, told);

    // Chromium's tree leaves these out, and reads them where we do.
    let attributes = visit.browser.ask("const rows = [...document.querySelectorAll('#panel-tree [role=row][data-scope]')];
         return rows.map((row) => ['level', 'posinset', 'setsize'].map((name) => Number(row.getAttribute(`aria-${name}`))))");
    let expected: Vec<Value> = places.iter().map(|place| json!([place[0], place[1], place[2]])).collect();
    assert_eq!(attributes, json!(expected));
    visit.end(&[]);
}

/// A node's level, its place among its siblings, how many they are, whether it is open, and its type.
fn walk(node: &Value, level: usize, [place, siblings]: [usize; 2], places: &mut Vec<Value>) {
    let children: Vec<&Value> = node["child_nodes_obj"].as_array().into_iter().flatten().collect();
    let open = if children.is_empty() { Value::Null } else { json!(true) };
    places.push(json!([level, place, siblings, open, node["instance_type"]]));
    for (at, child) in children.iter().enumerate() {
        walk(child, level + 1, [at + 1, children.len()], places);
    }
}

/// Presses Tab until something of a panel has the focus.
fn tab_to(browser: &Browser, selector: &str) {
    let is_focused = "return document.activeElement.matches(arguments[0])";
    let is_there = (0..40).any(|_| {
        browser.press(key::TAB);
        browser.run(is_focused, json!([selector])) == true
    });
    assert!(is_there, "{selector} cannot be reached with Tab");
}

/// Goes to a view by its tab, with the arrow keys.
fn arrow_to(browser: &Browser, view: &str) {
    browser.ask("document.querySelector('[role=tab][tabindex=\"0\"]').focus()");
    let id = format!("tab-{view}");
    let is_there = VIEWS.iter().any(|_| {
        browser.press(key::RIGHT);
        browser.ask("return document.activeElement.id") == id
    });
    assert!(is_there, "{view} cannot be reached with the arrow keys");
    browser.wait_for(view, IS_SHOWN, json!([view]));
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn every_view_can_be_used_with_the_keyboard_alone() {
    let visit = Visit::start(&format!("{GPT2}&{COMPARING}"));
    let browser = &visit.browser;
    let press = |keys: &[&str]| keys.iter().for_each(|key| browser.press(key));
    let in_panel = |selector: &str| tab_to(browser, selector);
    let to_view = |view: &str| arrow_to(browser, view);
    let focused = |body: &str| browser.ask(&format!("const at = document.activeElement; return {body}"));

    in_panel("#panel-tree [role=row]");
    press(&[key::END]);
    assert_eq!(focused("at.nextElementSibling"), Value::Null);
    press(&[key::HOME, key::RIGHT]);
    assert_eq!(focused("at.getAttribute('aria-level')"), "2");

    to_view("icicle");
    in_panel("#panel-icicle [role=treeitem]");
    press(&[key::DOWN, key::END]);
    let scope = focused("at.dataset.scope");
    press(&[key::ENTER]);
    browser.wait("the zoom", "return location.search.includes('zoom=')");
    assert_eq!(focused("at.dataset.scope"), scope);
    press(&[key::ESCAPE]);
    browser.wait("the whole", "return !location.search.includes('zoom=')");

    to_view("list");
    in_panel("#panel-list button.link");
    press(&[key::DOWN, key::DOWN, key::UP]);
    assert_eq!(focused("at.textContent"), browser.ask("return document.querySelector('#details .scope').textContent"));

    to_view("compare");
    in_panel("#compare-detail [role=treeitem]");
    press(&[key::DOWN, key::END]);
    let is_said = "document.querySelector('#compare-detail [role=status]').textContent.startsWith(at.dataset.scope)";
    assert_eq!(focused(is_said), true);

    to_view("sizes");
    in_panel("#panel-sizes td button");
    press(&[key::RIGHT, key::UP, key::ENTER]);
    browser.wait("another size", "return document.getElementById('load-value').value === '1'");
    assert_eq!(browser.ask(INPUTS)[3], "128");

    to_view("leaderboard");
    in_panel("#panel-leaderboard button.link");
    let model = focused("at.textContent");
    press(&[key::ENTER]);
    browser.wait_for(
        "its prediction",
        "return document.getElementById('model').value === arguments[0]",
        json!([model]),
    );
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn text_can_be_read_on_what_it_lies_on_in_light_and_in_dark() {
    let visit = Visit::start(&format!("{GPT2}&{COMPARING}"));
    let browser = &visit.browser;
    for is_dark in [false, true] {
        browser.dark(is_dark);
        for view in VIEWS {
            choose(browser, view);
            let texts = browser.ask(CONTRASTS);
            let texts = texts.as_array().unwrap();
            assert!(texts.len() > 4, "{view}: {texts:?}");
            for text in texts {
                // WCAG 2.2, 1.4.3.
                assert!(text[0].as_f64().unwrap() >= 4.5, "{view}, dark {is_dark}: {text}");
            }
        }
    }
    visit.end(&[]);
}

/// The contrast of the texts that are shown with the colour behind them, once for each pair of colours.
const CONTRASTS: &str = r"
    const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
    const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => [r, g, b].map((each) => linear(each / 255)).reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
    const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const rect = at.matches('.cell, .own') && at.querySelector('rect');
        const colour = channels(rect ? getComputedStyle(rect).fill : getComputedStyle(at).backgroundColor);
        if (colour.length === 3 || colour[3] === 1) return colour;
      }
      return [255, 255, 255];
    };
    const found = new Map();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode.textContent.trim();
      const element = walker.currentNode.parentElement;
      if (!text || !element.checkVisibility({ visibilityProperty: true }) || element.matches('title, option, .skip')) continue;
      const style = getComputedStyle(element);
      const own = channels(element.closest('svg') ? style.fill : style.color);
      const under = behind(element);
      found.set(`${own} on ${under}`, [contrast(light(own), light(under)), text, `${own} on ${under}`]);
    }
    return [...found.values()];";

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_phone_shows_the_view_first_and_the_form_on_demand() {
    let visit = Visit::start(&format!("{GPT2}&{COMPARING}"));
    let browser = &visit.browser;
    browser.resize(360, 740);
    for view in VIEWS {
        choose(browser, view);
        let ends = "return ['totals', 'tabs'].map((id) => document.getElementById(id).getBoundingClientRect().bottom + scrollY)";
        let ends = browser.ask(ends);
        // The answer is in the first screen, and what else there is to see of it too.
        assert!(ends[0].as_f64().unwrap() <= 600.0 && ends[1].as_f64().unwrap() <= 740.0, "{view}: {ends}");
    }
    let is_shown =
        |id: &str| browser.run("return document.getElementById(arguments[0]).checkVisibility()", json!([id]));
    assert_eq!(is_shown("load-value"), false);
    browser.click("#change");
    assert_eq!(is_shown("load-value"), true);
    browser.fill("#load-value", "2");
    browser.click("#predict");
    browser
        .wait("the new size", "return document.getElementById('change').textContent.includes('batch of 2, 64 tokens')");
    assert_eq!(is_shown("load-value"), false);
    assert_eq!(browser.ask("return document.activeElement.id"), "change");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn figures_have_three_digits_wherever_they_are() {
    let visit = Visit::start(&format!("{GPT2}&depth=all"));
    for view in ["tree", "icicle", "list", "sizes"] {
        choose(&visit.browser, view);
        let figures = visit.browser.ask(
            r"const cells = document.querySelectorAll(`#totals dd:not(.quiet), .heat-table td,
                td.number, td.bar, [role=gridcell].number, [role=gridcell].bar`);
              const shown = [...cells].filter((cell) => cell.checkVisibility() && cell.dataset.field !== 'count');
              return shown.flatMap((cell) => cell.textContent.match(/(?<![\w.])\d[\d.]*/g) ?? [])",
        );
        let figures: Vec<&str> = figures.as_array().unwrap().iter().map(|figure| figure.as_str().unwrap()).collect();
        assert!(figures.len() > 2, "{view}: {figures:?}");
        for figure in figures {
            let digits = figure.replace('.', "").trim_start_matches('0').len();
            // A bound is no figure, and zero is none.
            assert!(digits == 3 || ["0.01", "0"].contains(&figure), "{view}: {figure}");
        }
    }
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn roles_and_references_hold_together_in_every_view() {
    let visit = Visit::start(&format!("{GPT2}&{COMPARING}"));
    for view in VIEWS {
        choose(&visit.browser, view);
        let faults = visit.browser.ask(FAULTS);
        assert_eq!(faults, json!([]), "{view}");
    }
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_focus_stays_where_a_button_was_pressed_that_is_drawn_anew() {
    let visit = Visit::start(&format!("{GPT2}&node=root.0&b=seq_len%3D32&c=seq_len%3D16"));
    let browser = &visit.browser;
    let press = |selector: &str, what: &str, done: &str| {
        browser.run("document.querySelector(arguments[0]).focus()", json!([selector]));
        browser.press(key::ENTER);
        browser.wait(what, done);
        let quiet = "return !document.getElementById('main').hasAttribute('aria-busy')";
        browser.wait("a quiet page", quiet);
    };
    let has_focus = |selector: &str| {
        let is_focused = "return document.activeElement.matches(arguments[0])";
        assert_eq!(browser.run(is_focused, json!([selector])), true, "{selector}");
    };
    press("#details-fold", "each layer", "return location.search.includes('layers=')");
    has_focus("#details-fold");
    choose(browser, "list");
    press("#details-tree", "the tree", "return document.getElementById('panel-tree').checkVisibility()");
    has_focus("#details-tree");
    choose(browser, "icicle");
    browser.choose("#sandwich", "Attention");
    browser.wait("a sandwich", "return document.querySelector('.sandwich-row.middle') !== null");
    let other = "return !location.search.includes('sandwich=Attention')";
    press(".sandwich-row:not(.middle) button", "another in the middle", other);
    has_focus(".sandwich-row.middle button");
    choose(browser, "compare");
    let cards = |count: usize| format!("return document.querySelectorAll('#compare-sides .card').length === {count}");
    press("#remove-b", "one of them gone", &cards(2));
    has_focus("#remove-b");
    press("#remove-b", "both gone", &cards(0));
    has_focus("#compare");
    visit.end(&[]);
}

/// Faults that a checker of accessibility looks for in what is shown: ids that are there once, references that lead somewhere,
/// roles in the parents that they need, no order of focus but the page's, headings in order, names of controls.
const FAULTS: &str = r"
    const faults = [];
    const all = [...document.querySelectorAll('body *')].filter((element) => element.checkVisibility());
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
    for (const id of new Set(ids)) if (ids.filter((each) => each === id).length > 1) faults.push(`twice: ${id}`);
    const references = ['aria-controls', 'aria-labelledby', 'aria-describedby', 'aria-activedescendant', 'for'];
    const parents = { option: '[role=listbox]', row: '[role=rowgroup], table', gridcell: '[role=row]', treeitem: '[role=tree]', tab: '[role=tablist]', columnheader: '[role=row]' };
    for (const element of all) {
      const name = `${element.tagName} ${element.id || element.className}`;
      for (const reference of references) {
        const missing = (element.getAttribute(reference) ?? '').split(' ').filter((id) => id && !document.getElementById(id));
        if (missing.length > 0) faults.push(`${name}: ${reference} leads to ${missing}`);
      }
      const parent = parents[element.getAttribute('role')];
      if (parent && !element.parentElement.closest(parent)) faults.push(`${name}: not in ${parent}`);
      if (element.tabIndex > 0) faults.push(`${name}: an order of focus of its own`);
      if (element.matches('th') && !element.hasAttribute('scope')) faults.push(`${name}: a head without a scope`);
      if (element.matches('svg:not([aria-hidden]) image, img') && !element.hasAttribute('alt')) faults.push(`${name}: no alt`);
      if (element.matches('li') && !element.parentElement.matches('ul, ol')) faults.push(`${name}: not in a list`);
      if (element.matches('dt, dd') && !element.closest('dl')) faults.push(`${name}: not in a dl`);
      if (element.matches('button button, a button, button a, label button')) faults.push(`${name}: a control inside a control`);
      if (element.matches('[aria-hidden=true] *') && element.tabIndex >= 0) faults.push(`${name}: hidden, and takes the focus`);
    }
    const levels = all.filter((element) => element.matches('h1, h2, h3, h4')).map((element) => Number(element.tagName[1]));
    levels.forEach((level, at) => { if (at > 0 && level > levels[at - 1] + 1) faults.push(`h${level} after h${levels[at - 1]}`); });
    if (levels.filter((level) => level === 1).length !== 1) faults.push('not one h1');
    return faults;";

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn who_asks_for_less_motion_gets_none() {
    let visit = Visit::start(GPT2);
    let moving = "return [...document.querySelectorAll('*')].filter((element) => ['', '::before', '::after'].some((part) => {
        const { transitionDuration, transitionDelay, animationName } = getComputedStyle(element, part || null);
        const lasts = [transitionDuration, transitionDelay].some((times) => times.split(', ').some((time) => parseFloat(time) > 0));
        return lasts || animationName !== 'none';
    })).length";
    assert!(visit.browser.ask(moving).as_u64().unwrap() > 0, "nothing moves anyway");
    visit.browser.less_motion();
    assert_eq!(visit.browser.ask(moving), 0);
    visit.end(&[]);
}
