// Suggestions: what would save energy here, what each would save and what it costs in time, memory or accuracy.

import { getSuggestions, hasWhatIf } from "./api.js";
import { createBounds } from "./bounds.js";
import { make } from "./dom.js";
import { csv, plainColumns } from "./downloads.js";
import { fieldsForm } from "./field.js";
import { labelled, orProblem } from "./form.js";
import { capital, clipped, isKnown, joules, number, percent } from "./format.js";
import { createLeftOut } from "./states.js";

const RATIOS = [
  ["ttft_ratio", "time to the first token"],
  ["latency_ratio", "time of a request"],
  ["memory_ratio", "memory of each GPU"],
];
// A smaller change counts as none.
const LEAST = 0.005;

// Its price beside energy, and its gain.
function priceWords({ accuracy, gpus, ...ratios } = {}) {
  const known = RATIOS.filter(([name]) => isKnown(ratios[name])).map(([name, what]) => [ratios[name], what]);
  const worse = known
    .filter(([ratio]) => ratio > 1 + LEAST)
    .map(([ratio, what]) => `${number(ratio)} times the ${what}`);
  const better = known
    .filter(([ratio]) => ratio < 1 - LEAST)
    .map(([ratio, what]) => `${percent(1 - ratio)} less ${what}`);
  if (isKnown(gpus)) worse.push(`${gpus} GPU${gpus === 1 ? "" : "s"}`);
  worse.push(accuracy === "unknown" ? "accuracy not known, so measure it" : "the same accuracy");
  return [`Price: ${worse.join(", ")}`, better.length > 0 && `Gain: ${better.join(", ")}`].filter(Boolean);
}

// The share saved with its interval, as a bar.
function savingBar({ saved_share: share, saved_share_low: low, saved_share_high: high }) {
  const end = (value) => `${100 * clipped(value)}%`;
  const hasRange = isKnown(low) && isKnown(high);
  return make(
    "span",
    { class: "saving", "aria-hidden": "true" },
    make("span", { class: "saved", style: { "--saved": end(share) } }),
    hasRange && make("span", { class: "range", style: { "--from": end(low), "--to": end(high) } }),
  );
}

function savingText({ saved_share: share, saved_share_low: low, saved_share_high: high }) {
  const range = isKnown(low) && isKnown(high) ? make("small", {}, ` 90%: ${percent(low)} to ${percent(high)}`) : "";
  return make("span", { class: "saves" }, make("strong", {}, `saves ${percent(share)}`), range);
}

const CSV = [
  ...plainColumns("kind", "title"),
  ["change", (row) => row.set],
  ...plainColumns("energy_a_j", "energy_b_j", "saved_share", "saved_share_low", "saved_share_high"),
  ["price", (row) => priceWords(row.price).join("; ")],
];

export function createSuggestView(panel, act) {
  let shown = [];
  const bounds = createBounds("suggest", ["max_ttft", "max_itl", "max_latency"], act.go);
  const intro = make("p", { id: "suggest-summary", role: "status" });
  const list = make("ol", { class: "suggestions" });
  const leftOut = createLeftOut();
  panel.append(
    make("h2", {}, "What would save energy here?"),
    fieldsForm("Bounds that a suggestion has to keep", ...bounds.elements),
    intro,
    list,
    leftOut.element,
  );

  function title({ title: text, set }, state) {
    if (!set || !hasWhatIf(state, set)) return make("h3", {}, text);
    return make("h3", {}, act.link({ view: "whatif", set_b: set }, text));
  }

  function entry(measure, suggestion, state) {
    const { kind, saved_share: share, energy_a_j: a, energy_b_j: b, price, why, assumed } = suggestion;
    const amounts = isKnown(a) && isKnown(b) ? `${joules(b)} a ${measure} instead of ${joules(a)}` : "";
    return make(
      "li",
      { data: { kind, saved: share } },
      title(suggestion, state),
      make("div", { class: "saving-row" }, savingBar(suggestion), savingText(suggestion)),
      [amounts, ...priceWords(price)].filter(Boolean).map((line) => make("p", {}, line)),
      why && make("p", { class: "quiet" }, `${capital(why)}.`),
      assumed && make("p", { class: "quiet" }, `Assumed: ${assumed}`),
    );
  }

  function summary({ suggestions, baseline, measure }, state) {
    if (suggestions.length === 0)
      return "Nothing that can be computed here would save energy within these bounds; the reasons are below.";
    const best = suggestions[0];
    const now = baseline.figures[`energy_per_${measure}_j`];
    const from = isKnown(now) ? ` of the ${joules(now)} that a ${measure} takes now` : "";
    const many =
      suggestions.length === 1 ? "One suggestion saves" : `${suggestions.length} suggestions, the best of which saves`;
    const more = suggestions.some(({ set }) => set && hasWhatIf(state, set)) ? " Choose one to see where it saves." : "";
    return `${many} ${percent(best.saved_share)}${from}. Each is computed by itself; they do not add up.${more}`;
  }

  return {
    load: (state) => orProblem(getSuggestions(state)),
    downloads: () => (shown.length > 0 ? [["csv", "suggestions", () => csv(CSV, shown)]] : []),
    render(state, prediction, answer) {
      bounds.show(state);
      const { problem, measure, suggestions = [], left_out: out = [] } = answer;
      shown = suggestions;
      intro.textContent = problem ?? summary(answer, state);
      intro.classList.toggle("wrong", Boolean(problem));
      list.replaceChildren(...suggestions.map((each) => entry(measure, each, state)));
      leftOut.show(out.map(({ kind, reason }) => [kind.replaceAll("_", " "), `: ${labelled(reason)}`]));
    },
  };
}
