// Starts the page, and carries what is shown from one state to the next.

import { getDevices, getEngines, getModels, getPrediction, holdsAnswersOf, isReport } from "./api.js";
import { createDetails } from "./details.js";
import { byId, make } from "./dom.js";
import { createDownloads } from "./downloads.js";
import { createDrop } from "./drop.js";
import { createForm, labelled } from "./form.js";
import { createHeadline, energyText, wholeText } from "./headline.js";
import { createMisfit, memoryBar } from "./memory.js";
import { indexNodes } from "./nodes.js";
import { toggledToShow } from "./openness.js";
import { address, loadOf, pushState, readState, replaceState, replaceStateSoon } from "./state.js";
import { emptyState } from "./states.js";
import { createTabs } from "./tabs.js";
import { createGlossary } from "./term.js";
import { rememberConfig } from "./uploads.js";

// Each view's script comes when the view is first opened.
const VIEWS = {
  tree: async () => (await import("./tree.js")).createTreeView,
  icicle: async () => (await import("./icicle.js")).createIcicleView,
  list: async () => (await import("./list.js")).createListView,
  generation: async () => (await import("./generation.js")).createGenerationView,
  whatif: async () => (await import("./whatif.js")).createWhatIfView,
  suggest: async () => (await import("./suggest.js")).createSuggestView,
  plan: async () => (await import("./plan.js")).createPlanView,
  leaderboard: async () => (await import("./leaderboard.js")).createLeaderboardView,
  compare: async () => (await import("./compare.js")).createCompareView,
  sizes: async () => (await import("./sizes.js")).createSizesView,
  jobs: async () => (await import("./jobs.js")).createJobsView,
};
// Addresses that were shared before a view had its name.
const RENAMED = { tradeoff: "leaderboard" };
// The operations whose answers they show.
const OPERATIONS = {
  generation: "generation",
  whatif: "whatif",
  suggest: "suggest",
  plan: "plan",
  leaderboard: "leaderboard",
  compare: "whatif",
  sizes: "sweep",
  jobs: "jobs",
};
const VIEWS_WITH_DETAILS = ["tree", "icicle", "list"];
// Those that answer for a selection that does not fit its device, too.
const VIEWS_WITHOUT_PREDICTION = ["plan", "leaderboard"];

// Nodes that were toggled are known by their place in the tree, which another model has differently, and the same one
// where it runs in another way.
const CHANGES_TREE = ["model", "config", "set", "device", "math", "generate", "kernels", "head", "engine", "tp", "pp", "ep", "dp"];
const treeOf = (of) => [loadOf(of), ...CHANGES_TREE.map((name) => of[name])].join("\n");

let state = readState();
// The state with what was asked for since and has not come yet: the next change is made to this.
let wanted = state;
let prediction;
let choices;
let shownView;
// Counts what was asked for, so that an answer that comes late does not replace a newer one.
let latest = 0;
// Work that was begun and has not ended.
let atWork = 0;
// Counts what was tried, so that an end that comes late does not take a newer problem away.
let attempts = 0;

const act = {
  // Shows what the changes ask for and makes it a step of the history. They may be a function of the state that they are
  // made to.
  go: (changes) => attempt(() => load(changes)),
  load,
  attempt,
  // A link to where the changes lead, whose click needs no new page.
  link(changes, text) {
    const follow = (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      act.go(changes);
    };
    return make("a", { href: address({ ...state, ...changes }), on: { click: follow } }, text);
  },
  // Keeps a change in the address that the view has shown already.
  note(changes) {
    // Nodes of this tree are none of another one that was asked for.
    const { toggled, ...others } = changes;
    const isOtherTree = treeOf(wanted) !== treeOf(state);
    state = { ...state, ...changes };
    wanted = { ...wanted, ...(isOtherTree ? others : changes) };
    replaceStateSoon(state);
  },
  select(node) {
    if (state.node !== node.key) act.note({ node: node.key });
    details.show(node, prediction, state);
  },
  // Shows a node while the pointer is on it, and then the selected one again.
  preview(node) {
    details.show(node ?? selected(), prediction, state);
  },
  showInTree: (node) => act.go({ view: "tree", node: node.key, toggled: toggledToShow(state, node) }),
  showInIcicle: (node) => act.go({ view: "icicle", node: node.key, zoom: node.parent ? node.key : "" }),
  showStale(isStale) {
    byId("stale").hidden = !isStale || !prediction;
    byId("main").classList.toggle("is-stale", isStale);
  },
};

const views = {};
const tabs = createTabs((view) => act.go({ view }));
const form = createForm(act);
const details = createDetails(act);
const headline = createHeadline(act);
const misfit = createMisfit(act);
const shown = () => ({ prediction, state, view: shownView });
const downloads = createDownloads(shown);
createDrop(act, form);
createGlossary(byId("open-glossary"));

const selected = () => prediction.find(state.node) ?? prediction.root;

async function viewOf(name) {
  if (!views[name]) {
    const create = await VIEWS[name]();
    views[name] ??= create(byId(`panel-${name}`), act);
    if (choices) views[name].offer?.(...choices);
  }
  return views[name];
}

// Runs something that may fail: what goes wrong is said in one line, beside its field if it has one, and what was shown
// stays.
async function attempt(action) {
  const busy = byId("main");
  busy.setAttribute("aria-busy", "true");
  atWork += 1;
  attempts += 1;
  const mine = attempts;
  try {
    await action();
    if (mine === attempts) say("");
  } catch (error) {
    say(form.showError(error) ? "" : labelled(error.message));
  } finally {
    atWork -= 1;
    if (atWork === 0) busy.removeAttribute("aria-busy");
  }
}

function say(message) {
  if (byId("error").textContent !== message) byId("error").textContent = message;
}

function withChanges(asked) {
  const changes = typeof asked === "function" ? asked(wanted) : asked;
  const next = { ...wanted, ...changes };
  const isOtherTree = treeOf(next) !== treeOf(wanted);
  if (isOtherTree && changes.toggled === undefined) next.toggled = "";
  if (isOtherTree && changes.layers === undefined) next.layers = next.layers === "all" ? "all" : "";
  const isView = (name) => Object.hasOwn(VIEWS, name);
  if (!isView(next.view)) next.view = isView(RENAMED[next.view]) ? RENAMED[next.view] : "tree";
  return next;
}

// The answer of a view, or why it has none.
async function answerOf(view, next) {
  try {
    return { extra: await (await viewOf(view)).load?.(next) };
  } catch (problem) {
    return { problem };
  }
}

// The prediction, or the problem of a model that does not fit, which is an answer too.
async function predictionOf(next) {
  try {
    return { answer: await getPrediction(next) };
  } catch (problem) {
    if (problem.isTooLarge) return { problem };
    throw problem;
  }
}

async function load(changes, remember = pushState) {
  const next = withChanges(changes);
  wanted = next;
  latest += 1;
  const mine = latest;
  let found;
  try {
    found = await Promise.all([predictionOf(next), answerOf(next.view, next)]);
  } catch (error) {
    if (mine !== latest) return;
    wanted = state;
    throw error;
  }
  if (mine !== latest) return;
  const [whole, part] = found;
  const isOtherForm = wanted.layers !== state.layers;
  state = wanted;
  if (whole.problem) prediction = undefined;
  else if (whole.answer.text !== prediction?.text || isOtherForm) prediction = readPrediction(whole.answer);
  if (state.config && prediction) rememberConfig(state);
  remember(state);
  show(whole.problem, part);
}

function readPrediction({ data, text }) {
  const { tree, ...rest } = data;
  return { ...rest, ...indexNodes(tree.frontend_tree, data.repeats, state.layers), tree, text };
}

function show(problem, part) {
  form.show(state);
  byId("answer").hidden = !prediction;
  byId("trouble").hidden = !problem;
  byId("trouble").replaceChildren(problem ? misfit(state, problem) : "");
  byId("explore").hidden = false;
  if (prediction) showAnswer();
  else showNoAnswer();
  tabs.show(state.view);
  showView(part);
  // Once the view has what it would save.
  downloads.enable();
  if (problem) say("");
}

function showAnswer() {
  const { selection, predictor } = prediction;
  headline.show(state, prediction, choices?.[1].find(({ name }) => name === state.device));
  byId("fit").replaceChildren(memoryBar(prediction.memory));
  const status = `${byId("headline").textContent}; ${predictor.provenance}`;
  // Said again only where it changed: a screen reader would read it at every step.
  if (byId("status").textContent !== status) byId("status").textContent = status;
  byId("whole").textContent = wholeText(prediction);
  document.title = `${selection?.model ?? state.model} on ${state.device}: ${energyText(prediction)} – irene`;
}

// The trouble says why; what is said of another selection goes.
function showNoAnswer() {
  byId("status").textContent = "";
  document.title = `${state.model} on ${state.device} – irene`;
}

function showView({ extra, problem }) {
  const panel = byId(`panel-${state.view}`);
  const isPossible = Boolean(prediction) || VIEWS_WITHOUT_PREDICTION.includes(state.view);
  const trouble = byId("view-trouble");
  trouble.hidden = !problem && isPossible;
  panel.hidden = Boolean(problem) || !isPossible;
  byId("details").hidden = panel.hidden || !VIEWS_WITH_DETAILS.includes(state.view);
  byId("whole").hidden = byId("details").hidden || byId("whole").textContent === "";
  shownView = undefined;
  if (panel.hidden) {
    const why = isPossible
      ? emptyState("This view has no answer for it", labelled(problem.message))
      : emptyState("There is nothing to look into yet", "The selection does not fit its device: choose a way that does.");
    trouble.replaceChildren(why);
    return;
  }
  shownView = views[state.view];
  shownView.render(state, prediction, extra);
  if (prediction && !byId("details").hidden) details.show(selected(), prediction, state);
}

// An address that cannot be shown is explained, with the way on; what is said of another goes.
function showTrouble(asked, error) {
  const fresh = () => location.assign(location.pathname);
  state = wanted = withChanges(asked);
  prediction = shownView = undefined;
  byId("answer").hidden = true;
  byId("explore").hidden = true;
  byId("trouble").hidden = false;
  byId("trouble").replaceChildren(
    emptyState(
      "This address asks for something that cannot be predicted",
      `${labelled(error.message)}. Change it in the form above, or start from a fresh page.`.replace("..", "."),
      [["Start afresh", fresh]],
    ),
  );
  showNoAnswer();
  downloads.enable();
  form.fill(state);
  form.showError(error);
}

// The views that a report has no answers for are left out, and named; those of the tree need none but the prediction.
// Links that lead to a server go too.
function hideAbsent() {
  for (const link of document.querySelectorAll(".served")) link.hidden = true;
  const absent = Object.keys(VIEWS).filter((view) => view in OPERATIONS && !holdsAnswersOf(OPERATIONS[view]));
  const names = tabs.hide(absent);
  byId("absent").hidden = names.length === 0;
  byId("absent").textContent = `A report of one prediction. ${names.join(", ")}: with \`irene serve\`.`;
}

async function offerChoices() {
  const [models, devices, engines] = await Promise.all([getModels(), getDevices(), getEngines().catch(() => [])]);
  choices = [models, devices];
  form.offer(models, devices, engines);
  for (const view of Object.values(views)) view.offer?.(...choices);
  return choices;
}

async function start() {
  form.fill(state);
  const offered = offerChoices();
  if (!state.model || !state.device) {
    const [models, devices] = await offered;
    state.model ||= models[0].name;
    state.device ||= devices[0].name;
    form.fill(state);
  }
  if (isReport) hideAbsent();
  try {
    await load({}, replaceState);
  } catch (error) {
    await offered;
    showTrouble(state, error);
    return;
  }
  // The names of devices may come after the answer.
  await offered;
  form.show(state);
  if (prediction) showAnswer();
}

// Nobody shares anything before there is something to see.
async function startSharing() {
  (await import("./share.js")).createShare(shown);
}

// A link within the page would change the fragment, which in a report is the state.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
addEventListener("popstate", () => {
  const asked = readState();
  attempt(() =>
    load(asked, () => {}).catch((error) => {
      // That says nothing about the address.
      if (error.isUnreachable) throw error;
      showTrouble(asked, error);
    }),
  );
});
new ResizeObserver(() => shownView?.resize?.()).observe(byId("views"));
await attempt(start);
await startSharing();
