// Starts the page, and carries what is shown from one state to the next.

import { getDevices, getModels, getPrediction } from "./api.js";
import { createCompareView } from "./compare.js";
import { createDetails } from "./details.js";
import { byId } from "./dom.js";
import { createDownloads } from "./downloads.js";
import { createForm } from "./form.js";
import { joules } from "./format.js";
import { createIcicleView } from "./icicle.js";
import { createListView } from "./list.js";
import { indexNodes } from "./nodes.js";
import { toggledToShow } from "./openness.js";
import { createSizesView } from "./sizes.js";
import { pushState, readState, replaceState, replaceStateSoon } from "./state.js";
import { createTabs } from "./tabs.js";
import { createTotals } from "./totals.js";
import { createTradeoffView } from "./tradeoff.js";
import { createTreeView } from "./tree.js";

const VIEWS = {
  tree: createTreeView,
  icicle: createIcicleView,
  list: createListView,
  compare: createCompareView,
  sizes: createSizesView,
  tradeoff: createTradeoffView,
};
const VIEWS_WITH_DETAILS = ["tree", "icicle", "list"];

// Nodes that were toggled are known by their place in the tree, which another model has differently.
const CHANGES_TREE = ["model", "math"];

let state = readState();
let prediction;
let shownView;
// Counts what was asked for, so that an answer that comes late does not replace a newer one.
let latest = 0;

const act = {
  // Shows what the changes ask for and makes it a step of the history.
  go: (changes) => attempt(() => load(changes)),
  load,
  attempt,
  // Keeps a change in the address that the view has shown already.
  note(changes) {
    state = { ...state, ...changes };
    replaceStateSoon(state);
  },
  select(node) {
    if (state.node !== node.key) act.note({ node: node.key });
    details.show(node, prediction);
  },
  // Shows a node while the pointer is on it, and then the selected one again.
  preview(node) {
    details.show(node ?? selected(), prediction);
  },
  showInTree: (node) => act.go({ view: "tree", node: node.key, toggled: toggledToShow(state, node) }),
  showInIcicle: (node) => act.go({ view: "icicle", node: node.key, zoom: node.parent ? node.key : "" }),
  redrawTotals: () => prediction && totals.show(state, prediction),
};

const tabs = createTabs((view) => act.go({ view }));
const views = Object.fromEntries(tabs.views.map((view) => [view, VIEWS[view](byId(`panel-${view}`), act)]));
const form = createForm(act);
const details = createDetails(act);
const totals = createTotals(act);
const downloads = createDownloads(() => ({ prediction, state }));

const selected = () => prediction.find(state.node) ?? prediction.root;

// Runs something that may fail: what goes wrong is said in one line, and what was shown stays.
async function attempt(action) {
  const busy = byId("main");
  busy.setAttribute("aria-busy", "true");
  try {
    await action();
    byId("error").textContent = "";
  } catch (error) {
    byId("error").textContent = error.message;
  } finally {
    busy.removeAttribute("aria-busy");
  }
}

function withChanges(changes) {
  const next = { ...state, ...changes };
  const isOtherTree = CHANGES_TREE.some((name) => next[name] !== state[name]);
  if (isOtherTree && changes.toggled === undefined) next.toggled = "";
  return next;
}

async function load(changes, remember = pushState) {
  const next = withChanges(changes);
  if (!tabs.views.includes(next.view)) next.view = "tree";
  latest += 1;
  const mine = latest;
  let answer;
  let extra;
  try {
    [answer, extra] = await Promise.all([getPrediction(next), views[next.view].load?.(next)]);
  } catch (error) {
    if (mine === latest) throw error;
  }
  if (mine !== latest) return;

  if (answer.text !== prediction?.text) {
    const { tree, ...rest } = answer.data;
    prediction = { ...indexNodes(tree.frontend_tree), tree, ...rest, text: answer.text };
  }
  state = next;
  remember(state);
  show(extra);
}

function show(extra) {
  const { tree, predictor } = prediction;
  form.show(state);
  totals.show(state, prediction);
  downloads.enable();
  tabs.show(state.view);
  shownView = views[state.view];
  shownView.render(state, prediction, extra);
  byId("details").hidden = !VIEWS_WITH_DETAILS.includes(state.view);
  details.show(selected(), prediction);
  const title = `${tree.model_name}, batch ${tree.batch_size}, sequence ${tree.seq_len}, on ${state.device}`;
  const status = `${title}: ${predictor.provenance}, ${joules(prediction.root.energy)} a run`;
  // Said again only where it changed: a screen reader would read it at every step.
  if (byId("status").textContent !== status) byId("status").textContent = status;
  document.title = `${title} – irene`;
}

async function start() {
  const [models, devices] = await Promise.all([getModels(), getDevices()]);
  form.offer(models, devices);
  views.compare.offer(models, devices);
  state.model ||= models[0].name;
  state.device ||= devices[0].name;
  form.show(state);
  tabs.show(state.view);
  try {
    await load({}, replaceState);
  } catch (error) {
    // Where only this view cannot be had, the prediction can be seen in another.
    if (state.view !== "tree") await load({ view: "tree" }, () => {});
    throw error;
  }
}

addEventListener("popstate", () => {
  const wanted = readState();
  attempt(() => load(wanted, () => {}));
});
new ResizeObserver(() => shownView?.resize?.()).observe(byId("views"));
await attempt(start);
if (!prediction) byId("status").textContent = "";
