// What the page shows, all of it in the URL's query, so that a view can be shared and the back button works.

// A report says in its own address which selection it is of. The address of a file may change in its fragment alone.
const report = document.getElementById("answers")?.dataset;
const MARK = report ? "#?" : "?";

// Every value is a string, as in the URL, and the empty one is left out of it. The first group is the selection.
const DEFAULTS = {
  model: "",
  device: "",
  batch: "",
  concurrency: "",
  rate: "",
  seq: "128",
  generate: "0",
  past: "",
  weights: "",
  cache: "",
  dtype: "",
  kernels: "",
  head: "",
  engine: "",
  tp: "",
  pp: "",
  ep: "",
  dp: "",
  power: "",
  set: "",
  config: "",
  math: "",
  // Every view.
  view: "tree",
  price: "",
  grid: "",
  // Tree, icicle, list.
  depth: "2",
  toggled: "",
  node: "",
  layers: "",
  zoom: "",
  search: "",
  order: "",
  sandwich: "",
  sort: "-energy",
  group: "",
  // Sizes.
  metric: "energy_j",
  // What if, and compare: changes to the selection, as in `batch=1;weights=int4` by the API's names.
  set_b: "",
  b: "",
  c: "",
  d: "",
  // Suggestions and plans: bounds on latency; the plan's rate, and what it chooses from.
  max_ttft: "",
  max_itl: "",
  max_latency: "",
  plan_rate: "",
  plan_devices: "",
  plan_formats: "",
  plan_max_gpus: "",
  plan_hire: "",
  // Leaderboard.
  family: "",
  task: "",
  max_parameters: "",
  benchmark: "",
};

export const SELECTION = Object.keys(DEFAULTS).slice(0, Object.keys(DEFAULTS).indexOf("math"));

// The selection of an address that has none.
const FRESH = {
  model: "Llama-3.1-8B",
  device: "h100-sxm",
  concurrency: "32",
  seq: "512",
  generate: "256",
};

// Exactly one of these says how much runs at once.
export const LOADS = ["batch", "concurrency", "rate"];
export const loadOf = (state) => LOADS.find((name) => state[name] !== "") ?? "batch";
const BATCH = "8";

// These are written even where they are the default, as a default may change and a shared view should not.
const ALWAYS_WRITTEN = ["model", "device", "seq", "generate", "view"];

const WRITE_DELAY_MS = 250;

export function address(state) {
  const query = new URLSearchParams();
  for (const [name, fallback] of Object.entries(DEFAULTS)) {
    const isWorthWriting = state[name] !== fallback || ALWAYS_WRITTEN.includes(name);
    if (isWorthWriting && (state[name] !== "" || fallback !== "")) query.set(name, state[name]);
  }
  return `${MARK}${query}`;
}

// A fragment that is no state, as that of a link within the page, says nothing.
function shown() {
  if (!report) return location.search;
  return location.hash.startsWith(MARK) ? location.hash : "";
}

// What still waits to be written, of the step of the history that is shown.
let waiting = null;
let timer = 0;

// As a whole: the address of a page inside another one is taken for that of the other otherwise.
const whole = (state) => new URL(address(state), location.href);

function settle(isWritten) {
  clearTimeout(timer);
  if (waiting && isWritten) history.replaceState(null, "", whole(waiting));
  waiting = null;
}

// A step that the back button undoes.
export function pushState(state) {
  settle(true);
  if (address(state) !== shown()) history.pushState(null, "", whole(state));
}

export function replaceState(state) {
  settle(false);
  history.replaceState(null, "", whole(state));
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
  if (!SELECTION.some((name) => query.has(name))) {
    const first = report ? Object.fromEntries(new URLSearchParams(report.state)) : FRESH;
    for (const [name, value] of Object.entries(first)) if (!query.has(name)) query.set(name, value);
  }
  if (!LOADS.some((name) => query.has(name))) query.set("batch", BATCH);
  return Object.fromEntries(Object.entries(DEFAULTS).map(([name, fallback]) => [name, query.get(name) ?? fallback]));
}
