// What the page shows, all of it in the URL's query, so that a view can be shared and the back button works.

// A report says which size it is of. The address of a file may change in its fragment alone.
const report = document.getElementById("answers")?.dataset;
const MARK = report ? "#?" : "?";

// Every value is a string, as in the URL, and the empty one is left out of it.
const DEFAULTS = {
  model: "",
  device: "",
  batch: report?.batch ?? "8",
  seq: report?.seq ?? "128",
  math: "",
  view: "tree",
  depth: "2",
  toggled: "",
  node: "",
  zoom: "",
  search: "",
  sort: "-energy",
  group: "",
  metric: "energy_j",
  price: "",
  other_model: "",
  other_device: "",
  other_batch: "",
  other_seq: "",
};

// These are written even where they are the default, as a default may change and a shared view should not.
const ALWAYS_WRITTEN = ["model", "device", "batch", "seq", "view"];

const WRITE_DELAY_MS = 250;

function address(state) {
  const query = new URLSearchParams();
  for (const [name, fallback] of Object.entries(DEFAULTS)) {
    const isWorthWriting = state[name] !== fallback || ALWAYS_WRITTEN.includes(name);
    if (isWorthWriting && (state[name] !== "" || fallback !== "")) query.set(name, state[name]);
  }
  return `${MARK}${query}`;
}

const shown = () => (report ? location.hash : location.search);

// What still waits to be written, of the step of the history that is shown.
let waiting = null;
let timer = 0;

function settle(isWritten) {
  clearTimeout(timer);
  if (waiting && isWritten) history.replaceState(null, "", address(waiting));
  waiting = null;
}

// A step that the back button undoes.
export function pushState(state) {
  settle(true);
  const url = address(state);
  if (url !== shown()) history.pushState(null, "", url);
}

export function replaceState(state) {
  settle(false);
  history.replaceState(null, "", address(state));
}

// For what changes with every key press: browsers limit how often an address may change.
export function replaceStateSoon(state) {
  clearTimeout(timer);
  waiting = state;
  timer = setTimeout(() => settle(true), WRITE_DELAY_MS);
}

// Of the address that is shown now: what waits to be written belonged to another.
export function readState() {
  settle(false);
  const query = new URLSearchParams(shown().slice(MARK.length));
  return Object.fromEntries(Object.entries(DEFAULTS).map(([name, fallback]) => [name, query.get(name) ?? fallback]));
}
